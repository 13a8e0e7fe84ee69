//! What the API does beside runs: accounts, connectors, checks and previews. The host implements it with the same library
//! calls that the command line uses; the API adds only tokens, paths and JSON.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::mpsc::UnboundedSender;

use crate::host::Source;
use crate::problem::Problem;

/// An answer that may have to wait for a disk or a network.
pub type Answer<'a, T> = pipepost_state::Answer<'a, Result<T, Problem>>;

/// A sign-in that a person has to finish in a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BegunAuthorization {
    /// The address to open.
    pub url: String,
    /// The address to which the provider sends the person back, as it must be registered with it.
    pub redirect: String,
}

/// What is measured of an account at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountUse {
    /// The account's label.
    pub label: String,
    /// Whether it pauses.
    pub is_paused: bool,
    /// How much of each limit is used, from 0 to 1: `second` and `day`, as far as the account states such a limit.
    pub windows: Vec<(&'static str, f64)>,
    /// The number of connections in use.
    pub active: usize,
    /// The number of connections in the pool.
    pub idle: usize,
}

/// The host, as an operator asks for it. No answer holds a secret.
pub trait Operator: Send + Sync + Debug {
    /// Returns all accounts: `label`, `type`, `source` (`store` or `file`), `description`, `environments`, `paused`.
    fn accounts(&self) -> Answer<'_, Vec<Value>>;

    /// Reads the accounts again where they come from. If one of them is wrong, all stay as they were.
    fn reload_accounts(&self) -> Answer<'_, ()>;

    /// Takes the labels of the accounts that may send more in 24 hours than before, by whatever read them again.
    fn take_raised(&self) -> Vec<String>;

    /// Returns the pauses that are in force, by the labels of their accounts: `until`, `since`, `why`, `cause`.
    fn pauses(&self) -> Answer<'_, BTreeMap<String, Value>>;

    /// Returns what is measured of each account that can be used.
    fn account_use(&self) -> Answer<'_, Vec<AccountUse>>;

    /// Returns one account, with its fields as they are stored. Secrets are `***`.
    fn account<'o>(&'o self, label: &'o str) -> Answer<'o, Value>;

    /// Writes an account into the store. A secret that is `***` stays as it is. Returns whether the account is new.
    fn put_account<'o>(&'o self, label: &'o str, fields: Map<String, Value>) -> Answer<'o, bool>;

    /// Removes an account from the store.
    fn remove_account<'o>(&'o self, label: &'o str) -> Answer<'o, ()>;

    /// Tests an account, and sends each check to `tell` as it ends. With `to`, a message is sent at the end. Returns the
    /// report.
    fn test_account<'o>(
        &'o self,
        label: &'o str,
        to: Option<String>,
        tell: UnboundedSender<Value>,
    ) -> Answer<'o, Value>;

    /// Lets the account send nothing for this time. Returns the pause: `until`, `why`.
    fn pause_account<'o>(&'o self, label: &'o str, why: &'o str, lasts: Duration) -> Answer<'o, Value>;

    /// Ends the account's pauses. Returns those that were in force.
    fn resume_account<'o>(&'o self, label: &'o str) -> Answer<'o, Vec<Value>>;

    /// Begins to sign a person in to an `oauth-2` account. The provider sends the person back to `redirect`.
    fn begin_authorization<'o>(&'o self, label: &'o str, redirect: &'o str) -> Answer<'o, BegunAuthorization>;

    /// Finishes a sign-in with the whole address to which the provider sent the person back. Returns the account's label.
    fn end_authorization<'o>(&'o self, address: &'o str) -> Answer<'o, String>;

    /// Returns the connectors: their names, digests, imports and parameters.
    fn connectors(&self) -> Answer<'_, Vec<Value>>;

    /// Checks a document: `ok`, `problems`, `wants`.
    fn check<'o>(&'o self, document: &'o str, folder: &'o Path) -> Answer<'o, Value>;

    /// Runs a document without sending: every connection leads to a server inside this process. Returns the messages that
    /// it would have sent, whole, and the run's result.
    fn preview(&self, source: Source, message: Value, globals: Map<String, Value>) -> Answer<'_, Value>;

    /// Makes the document of a pipeline that sends one email with these parameters.
    ///
    /// # Errors
    /// A problem of the kind `invalid` or `configuration`, if it would not check.
    fn send_document(&self, account: &str, params: &Map<String, Value>) -> Result<String, Problem>;
}
