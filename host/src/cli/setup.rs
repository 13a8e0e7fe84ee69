//! From what was typed to a host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost::keeper::StoreKeeper;
use pipepost::transport::Transcript;
use pipepost::{Host, HostBuilder, Kind, Policy};
use pipepost_accounts::store::Store;
use pipepost_accounts::{Accounts, Environment, ErrorKind};

use super::arguments::HostOptions;
use super::complaint::Complaint;
use super::{paths, store};

/// A host with the accounts, connectors and policy that were named.
pub(super) async fn host(options: &HostOptions) -> Result<Host, Complaint> {
    Ok(builder(options)?.build().await?).inspect(tell_replaced)
}

/// The same, which writes down its dialogues.
pub(super) async fn host_with_transcript(options: &HostOptions, transcript: Option<&Path>) -> Result<Host, Complaint> {
    let mut builder = builder(options)?;
    if let Some(path) = transcript {
        builder = builder.transcript(self::transcript(path)?);
    }
    Ok(builder.build().await?).inspect(tell_replaced)
}

/// A transcript that was named.
pub(super) fn transcript(path: &Path) -> Result<Transcript, Complaint> {
    Transcript::to_file(path).map_err(|error| {
        Complaint::new(
            Kind::Configuration,
            format!("The transcript `{}` cannot be written: {error}.", path.display()),
        )
    })
}

/// The same, not yet built.
pub(super) fn builder(options: &HostOptions) -> Result<HostBuilder, Complaint> {
    let policy = match &options.policy {
        Some(path) => {
            Policy::from_file(path).map_err(|error| Complaint::new(Kind::Configuration, error.to_string()))?
        }
        None => Policy::default(),
    };
    let store = store::beside(&options.store, &options.accounts)?;
    let accounts = accounts(&options.accounts, store.as_ref(), options.environment.as_deref())?;
    let mut builder = Host::builder().policy(policy).accounts(accounts);
    if let Some(store) = store {
        builder = builder.refresh_token_keeper(Arc::new(StoreKeeper::new(store)));
    }
    if let Some(name) = &options.environment {
        builder = builder.environment(name);
    }
    for directory in &options.plugins {
        builder = builder.connectors_from(directory);
    }
    if let Some(cache) = usable_cache() {
        builder = builder.cache(cache);
    }
    Ok(builder)
}

/// What surrounds the accounts: the process, and the environment that was named.
pub(super) fn surroundings(environment: Option<&str>) -> Environment {
    let surroundings = Environment::process();
    #[cfg(feature = "keyring")]
    let surroundings = surroundings.with_keyring(Arc::new(pipepost_accounts::SystemKeyring));
    match environment {
        Some(name) => surroundings.named(name),
        None => surroundings,
    }
}

/// The accounts of these files, and of the store beside them.
pub(super) fn accounts(
    files: &[PathBuf],
    store: Option<&Store>,
    environment: Option<&str>,
) -> Result<Accounts, Complaint> {
    let surroundings = surroundings(environment);
    let loaded = match store {
        Some(store) => Accounts::load_with_store(files, store, &surroundings),
        None => Accounts::load(files, &surroundings),
    };
    let accounts = loaded.map_err(|errors| {
        if let [only] = &*errors
            && only.kind() == ErrorKind::File
            && let Some(path) = only.place().path().filter(|path| !path.exists())
        {
            return Complaint::no_input("accounts file", path, &std::io::ErrorKind::NotFound.into());
        }
        Complaint::many(Kind::Configuration, errors.iter().map(ToString::to_string))
    })?;
    for warning in accounts.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(accounts)
}

/// The cache, when it can be written; without it connectors compile anew in every process.
fn usable_cache() -> Option<PathBuf> {
    let cache = paths::cache()?;
    match std::fs::create_dir_all(&cache) {
        Ok(()) => cache.canonicalize().ok(),
        Err(error) => {
            tracing::info!(cache = %cache.display(), %error, "no cache for compiled connectors");
            None
        }
    }
}

fn tell_replaced(host: &Host) {
    for (name, file) in host.connectors().replaced() {
        tracing::warn!("the built-in connector `{name}` is replaced by {}", file.display());
    }
}

/// Reads a text file that was named on the command line.
pub(super) fn read(what: &str, path: &Path) -> Result<String, Complaint> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Complaint::new(
            Kind::Invalid,
            format!("The {what} `{}` is not text in UTF-8.", path.display()),
        ),
        _ => Complaint::no_input(what, path, &error),
    })
}

/// Mode 0600, as every file has that holds a secret in clear.
pub(super) fn restrict(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}
