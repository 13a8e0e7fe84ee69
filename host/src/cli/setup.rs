//! From what was typed to a host.

use std::path::{Path, PathBuf};

use pipepost::{Host, HostBuilder, Kind, Policy};
use pipepost_accounts::{Accounts, Environment, ErrorKind};

use super::arguments::HostOptions;
use super::complaint::Complaint;
use super::paths;

/// A host with the accounts, connectors and policy that were named.
pub(super) async fn host(options: &HostOptions) -> Result<Host, Complaint> {
    Ok(builder(options)?.build().await?).inspect(tell_replaced)
}

/// The same, not yet built.
pub(super) fn builder(options: &HostOptions) -> Result<HostBuilder, Complaint> {
    let policy = match &options.policy {
        Some(path) => {
            Policy::from_file(path).map_err(|error| Complaint::new(Kind::Configuration, error.to_string()))?
        }
        None => Policy::default(),
    };
    let mut builder = Host::builder()
        .policy(policy)
        .accounts(accounts(&options.accounts, options.environment.as_deref())?);
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

fn accounts(files: &[PathBuf], environment: Option<&str>) -> Result<Accounts, Complaint> {
    let mut surroundings = Environment::process();
    if let Some(name) = environment {
        surroundings = surroundings.named(name);
    }
    let accounts = Accounts::load(files, &surroundings).map_err(|errors| {
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
