//! Where the state is, and what opens it: one function for every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost::FailureKind;
use pipepost::state::{CommitObserver, StateStore};
use pipepost_state_sqlite::SqliteStore;

use super::error::CliError;
use super::paths;

/// Within a state directory: the refresh tokens that took the place of those in account files.
pub(super) const REFRESH_TOKENS: &str = "refresh-tokens";

/// The state that a command works with.
#[derive(Debug, Clone)]
pub(super) struct OpenState {
    pub(super) store: Arc<dyn StateStore>,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A database, as it may be shown.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "there is no database without the feature")
    )]
    Database(String),
}

/// Opens the state that was named, else the usual one. Nothing is made, and no connection opened, before it is needed.
///
/// # Errors
/// Fails with a sentence when a database's address cannot be used, and when there is no usual place.
pub(super) fn open(named: Option<PathBuf>) -> Result<OpenState, CliError> {
    open_observed(named, None)
}

/// Does the same, and tells this observer of each commit.
///
/// # Errors
/// Fails as [`open`] does.
pub(super) fn open_observed(
    named: Option<PathBuf>,
    observer: Option<Arc<dyn CommitObserver>>,
) -> Result<OpenState, CliError> {
    let named = named.or_else(paths::state).ok_or_else(|| {
        let sentence = "There is no home directory to keep the state in: name a directory with --state.";
        CliError::new(FailureKind::Configuration, sentence)
    })?;
    if let Some(address) = address_of(&named) {
        return database(address, observer);
    }
    let mut store = SqliteStore::new(&named);
    if let Some(observer) = observer {
        store = store.observed_by(observer);
    }
    Ok(OpenState {
        store: Arc::new(store),
        place: Place::Directory(named),
    })
}

/// What was named, if it is the address of a database.
fn address_of(named: &Path) -> Option<&str> {
    let is_one = |text: &&str| {
        ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    };
    named.to_str().filter(is_one)
}

/// Returns a place as it may be shown: a database's address without user and password.
pub(super) fn shown(named: &Path) -> String {
    let Some(address) = address_of(named) else {
        return named.display().to_string();
    };
    // Whatever is between the scheme and the last `@` before the query may be a secret, and so may a parameter.
    let (scheme, rest) = address.split_once("://").unwrap_or(("postgres", address));
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{rest}")
}

#[cfg(feature = "postgres")]
fn database(address: &str, observer: Option<Arc<dyn CommitObserver>>) -> Result<OpenState, CliError> {
    use pipepost_state_postgres::{Address, PostgresStore, Trust};

    let address = Address::parse(address)
        .map_err(|error| CliError::new(FailureKind::Configuration, format!("{error} --state names it.")))?;
    let mut store = PostgresStore::new(address, Trust::with(pipepost::net::tls_to_a_database));
    if let Some(observer) = observer {
        store = store.observed_by(observer);
    }
    let place = Place::Database(store.place().to_owned());
    Ok(OpenState {
        store: Arc::new(store),
        place,
    })
}

#[cfg(not(feature = "postgres"))]
fn database(_address: &str, _observer: Option<Arc<dyn CommitObserver>>) -> Result<OpenState, CliError> {
    let sentence = "This build of pipepost keeps no state in PostgreSQL: build it with the feature `postgres`, or name a directory with --state.";
    Err(CliError::new(FailureKind::Configuration, sentence))
}

impl OpenState {
    /// Returns the place as it may be shown.
    pub(super) fn shown(&self) -> String {
        match &self.place {
            Place::Directory(directory) => directory.display().to_string(),
            Place::Database(place) => place.clone(),
        }
    }

    /// Returns the directory, if it is one.
    pub(super) fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(directory) => Some(directory),
            Place::Database(_) => None,
        }
    }

    /// Returns whether something may have been written to it before. A look at a directory makes nothing.
    pub(super) fn is_there(&self) -> bool {
        match &self.place {
            Place::Directory(directory) => directory.join(pipepost_state_sqlite::FILE).exists(),
            Place::Database(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_databases_address_is_shown_without_what_opens_it() {
        for (named, expected) in [
            ("/var/lib/pipepost", "/var/lib/pipepost"),
            ("postgres://ann:hush@one,two/mail?lease=2", "postgres://one,two/mail"),
            ("postgres://ann:${file:/a/hush@b}@one/mail", "postgres://one/mail"),
            ("postgresql://one/mail?password=hush", "postgresql://one/mail"),
        ] {
            assert_eq!(shown(Path::new(named)), expected);
        }
    }
}
