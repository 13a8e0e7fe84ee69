//! The data of one account that the rules need.

use super::Pause;
use crate::clock::Moment;
use crate::error::StateError;

/// The data that is kept about one account, while nobody else changes it. A store over a network reads it in one query
/// beforehand, and writes what was changed afterwards.
pub trait AccountRows {
    /// Returns the number of admissions that have not ended.
    ///
    /// # Errors
    /// Fails, like every method here, when the state cannot be used.
    fn under_way(&mut self) -> Result<usize, StateError>;
    /// Returns the number of admissions that ended after this moment.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn ended_after(&mut self, moment: Moment) -> Result<usize, StateError>;
    /// Leaves out the `count` latest end times and returns the latest of the others; none if there are no others.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn end_before_latest(&mut self, count: usize) -> Result<Option<Moment>, StateError>;
    /// Returns the earliest end time that is after this moment.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn first_end_after(&mut self, moment: Moment) -> Result<Option<Moment>, StateError>;
    /// Changes end times that are later than this moment to this moment.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn bring_back_to(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Ends, at this moment, the admissions of processes that are gone.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn end_the_dead(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Deletes the admissions that ended at this moment or before.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn forget(&mut self, moment: Moment) -> Result<(), StateError>;
    /// Adds an admission that is under way, and returns its number.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn add(&mut self) -> Result<i64, StateError>;
    /// Ends an admission at this moment.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn end(&mut self, admission: i64, at: Moment) -> Result<(), StateError>;
    /// Returns the pause, even if it is over.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn pause(&mut self) -> Result<Option<Pause>, StateError>;
    /// Writes this pause down in place of any other; none deletes it.
    ///
    /// # Errors
    /// Fails when the state cannot be used.
    fn set_pause(&mut self, pause: Option<&Pause>) -> Result<(), StateError>;
}
