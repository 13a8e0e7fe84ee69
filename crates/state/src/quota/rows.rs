//! What the rules ask of one account's rows.

use super::Pause;
use crate::clock::Moment;
use crate::error::StateError;

/// What is kept of one account, while nobody else touches it. A store over a network reads it in one query beforehand, and
/// writes what was changed afterwards.
pub trait AccountRows {
    /// Returns how many admissions have not ended.
    ///
    /// # Errors
    /// As every method here: when the state cannot be used.
    fn under_way(&mut self) -> Result<usize, StateError>;
    /// Returns how many admissions ended after this moment.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError>;
    /// Returns when the one ended that `count` ended after or with; none if there are fewer.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError>;
    /// Returns when the first ended of those that ended after this moment.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError>;
    /// Moves ends that are later than this moment to it.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Ends the admissions of processes that are gone, at this moment.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Lets go of what ended at this moment or before.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn forget(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Adds an admission that is under way, and returns its number.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn add(&mut self) -> Result<i64, StateError>;
    /// Ends an admission.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError>;
    /// Returns the pause, over or not.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn pause(&mut self) -> Result<Option<Pause>, StateError>;
    /// Writes the pause down, in place of any other.
    ///
    /// # Errors
    /// When the state cannot be used.
    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError>;
}
