//! Where everything lives.

use std::path::PathBuf;

use super::error::CliError;
use super::logging::answer;

/// Where compiled connectors are kept: `PIPEPOST_CACHE`, else the user's cache directory.
pub(super) fn cache() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PIPEPOST_CACHE") {
        return (!named.is_empty()).then(|| PathBuf::from(named));
    }
    base("XDG_CACHE_HOME", ".cache")
}

/// Where the user's configuration is: `PIPEPOST_CONFIG`, else the user's configuration directory.
pub(super) fn configuration() -> Option<PathBuf> {
    match std::env::var_os("PIPEPOST_CONFIG") {
        Some(named) => Some(PathBuf::from(named)),
        None => base("XDG_CONFIG_HOME", ".config"),
    }
}

/// Where the ledger is: `PIPEPOST_STATE`, else the user's state directory.
pub(super) fn state() -> Option<PathBuf> {
    match std::env::var_os("PIPEPOST_STATE") {
        Some(named) => Some(PathBuf::from(named)),
        None => base("XDG_STATE_HOME", ".local/state"),
    }
}

/// Where the encrypted accounts are: `PIPEPOST_STORE`, else beside the configuration.
pub(super) fn store() -> Option<PathBuf> {
    match std::env::var_os("PIPEPOST_STORE") {
        Some(named) => Some(PathBuf::from(named)),
        None => Some(configuration()?.join("accounts.age")),
    }
}

/// After the XDG base directory specification: the variable if it is an absolute path, else a folder of the home.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let folder = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below_home)))?;
    Some(folder.join("pipepost"))
}

pub(super) fn execute() -> Result<u8, CliError> {
    let shown = |path: Option<PathBuf>| {
        path.map_or_else(
            || "none (no home directory)".to_owned(),
            |path| path.display().to_string(),
        )
    };
    let lines = [
        format!(
            "cache          {}    compiled connectors; may be deleted at any time (PIPEPOST_CACHE)",
            shown(cache())
        ),
        format!(
            "store          {}    accounts, encrypted (PIPEPOST_STORE, --store)",
            shown(store())
        ),
        format!("configuration  {}    (PIPEPOST_CONFIG)", shown(configuration())),
        format!(
            "state          {}    the ledger of named executions; without it they would send again (PIPEPOST_STATE)",
            shown(state().map(|place| super::state::shown(&place).into()))
        ),
    ];
    for line in lines {
        answer(&line).map_err(|error| CliError::io("standard output", &error))?;
    }
    Ok(0)
}
