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
    match Named::of(&named) {
        Named::Directory => {}
        Named::Database(rest) => return database(&format!("postgres://{rest}"), observer),
        Named::Unknown(scheme) => {
            let sentence = format!(
                "No state is kept at an address that begins with `{scheme}:`: name a directory with --state, or a database as `postgres://…`."
            );
            return Err(CliError::new(FailureKind::Configuration, sentence));
        }
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

/// What a state was named as.
enum Named<'n> {
    Directory,
    /// A database, by what follows the scheme and its slashes.
    Database(&'n str),
    /// An address of another kind, by its scheme. As a directory it would be a new and empty state, with a password in its
    /// name.
    Unknown(&'n str),
}

impl<'n> Named<'n> {
    fn of(named: &'n Path) -> Self {
        let Some((scheme, rest)) = named.to_str().and_then(|text| text.split_once(":/")) else {
            return Self::Directory;
        };
        // One letter is a drive of Windows. Upper case and lower case are the same (RFC 3986, section 3.1).
        let is_scheme = scheme.len() > 1
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
        let is_database = ["postgres", "postgresql"]
            .iter()
            .any(|one| scheme.eq_ignore_ascii_case(one));
        match (is_scheme, rest.strip_prefix('/').filter(|_| is_database)) {
            (false, _) => Self::Directory,
            (true, Some(rest)) => Self::Database(rest),
            (true, None) => Self::Unknown(scheme),
        }
    }
}

/// Returns a place as it may be shown: a database's address without user and password.
pub(super) fn shown(named: &Path) -> String {
    let rest = match Named::of(named) {
        Named::Directory => return named.display().to_string(),
        Named::Database(rest) => rest,
        Named::Unknown(scheme) => return format!("{scheme}:…"),
    };
    // Whatever is before the last `@` before the query may be a secret, and so may a parameter.
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("postgres://{rest}")
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
            ("postgresql://one/mail?password=hush", "postgres://one/mail"),
            ("Postgres://ann:hush@one/mail", "postgres://one/mail"),
            ("postgre://ann:hush@one/mail", "postgre:…"),
            ("postgres:/ann:hush@one/mail", "postgres:…"),
            ("c:/pipepost", "c:/pipepost"),
            ("./a b:/c", "./a b:/c"),
        ] {
            assert_eq!(shown(Path::new(named)), expected);
        }
    }
}
