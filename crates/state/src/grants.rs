//! Refresh tokens with which a provider replaced others, for a state that several machines share: each of them goes on with
//! what another one was given.
//!
//! What is kept is sealed by whoever keeps it, under a name that tells nothing of the account. A revision tells whether
//! somebody else was given a newer one meanwhile.

use std::fmt;

use crate::Answer;
use crate::error::StateError;

/// A sealed token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Raised at each replacement; the first one is 1.
    pub revision: i64,
    /// The token, sealed.
    pub sealed: Vec<u8>,
}

/// A store of sealed tokens.
pub trait GrantStore: Send + Sync + fmt::Debug {
    /// Returns what is kept under this name.
    ///
    /// The answer may fail when the state cannot be used.
    fn look<'s>(&'s self, name: &'s str) -> Answer<'s, Result<Option<Grant>, StateError>>;

    /// Returns all of them with their names, in no order.
    ///
    /// The answer may fail when the state cannot be used.
    fn list(&self) -> Answer<'_, Result<Vec<(String, Grant)>, StateError>>;

    /// Keeps a token under this name, if the revision is still the one that was seen: 0 for none. Returns whether it was.
    ///
    /// The answer may fail when the state cannot be used.
    fn replace<'s>(&'s self, name: &'s str, seen: i64, sealed: Vec<u8>) -> Answer<'s, Result<bool, StateError>>;
}
