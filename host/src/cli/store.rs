//! The encrypted store: where it is and what opens it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use pipepost::{FailureKind, Policy};
use pipepost_accounts::store::{Store, StoreKey};
use pipepost_accounts::{ErrorKind, Remedy, Secret};
use pipepost_core::sentence::{capitalised, ended};

use super::error::CliError;
use super::logging::say;
use super::{paths, remedy, setup};

/// Where the store is and what opens it.
#[derive(Debug, Default, Args)]
pub(super) struct StoreOptions {
    /// The encrypted store of accounts; by default the one that `pipepost paths` names, if it is there
    #[arg(long, value_name = "FILE", env = "PIPEPOST_STORE")]
    pub(super) store: Option<PathBuf>,
    /// The age key that opens the store
    #[arg(long, value_name = "FILE", env = "PIPEPOST_STORE_KEY_FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// A file with the store's passphrase
    #[arg(
        long,
        value_name = "FILE",
        env = "PIPEPOST_STORE_PASSPHRASE_FILE",
        conflicts_with = "key_file"
    )]
    pub(super) passphrase_file: Option<PathBuf>,
    /// The entry of the system's keyring with the store's passphrase or key
    #[cfg(feature = "keyring")]
    #[arg(
        long,
        value_name = "NAME",
        env = "PIPEPOST_STORE_KEYRING",
        conflicts_with_all = ["key_file", "passphrase_file"]
    )]
    pub(super) keyring: Option<String>,
}

impl StoreOptions {
    fn names_a_key(&self) -> bool {
        let in_a_file = self.key_file.is_some() || self.passphrase_file.is_some();
        #[cfg(feature = "keyring")]
        let elsewhere = self.keyring.is_some();
        #[cfg(not(feature = "keyring"))]
        let elsewhere = false;
        in_a_file || elsewhere
    }

    fn path(&self) -> Result<PathBuf, CliError> {
        self.store.clone().or_else(paths::store).ok_or_else(|| {
            CliError::new(
                FailureKind::Configuration,
                "There is no home directory to keep the store in; name it with --store.",
            )
        })
    }
}

/// The store that a run reads beside its account files: one that was named, or the usual one when it is there and can be
/// opened without being in the way.
pub(super) fn beside(options: &StoreOptions, files: &[PathBuf], policy: &Policy) -> Result<Option<Store>, CliError> {
    if options.store.is_none() {
        let usual = paths::store().filter(|path| path.exists());
        let may_ask = files.is_empty() && is_terminal();
        if usual.is_none() || !(options.names_a_key() || may_ask) {
            return Ok(None);
        }
    }
    let path = options.path()?;
    if !path.exists() {
        return Err(CliError::no_input("store", &path, &std::io::ErrorKind::NotFound.into()));
    }
    Ok(Some(open(options)?.with_references(policy.stored_accounts())))
}

/// The store that a command works on; it need not be there yet.
pub(super) fn open(options: &StoreOptions) -> Result<Store, CliError> {
    let path = options.path()?;
    let key = key(options, &path)?;
    Ok(Store::new(path, key))
}

/// The store for a command that adds or changes accounts: the policy says what they may refer to.
pub(super) fn open_within(options: &StoreOptions, policy: &PolicyOptions) -> Result<Store, CliError> {
    let policy = setup::policy(policy.policy.as_deref())?;
    Ok(open(options)?.with_references(policy.stored_accounts()))
}

/// The operator's policy, where accounts are added or changed.
#[derive(Debug, Default, Args)]
pub(super) struct PolicyOptions {
    /// The operator's policy: what accounts of the store may refer to (`stored_accounts`)
    #[arg(long, value_name = "FILE", env = "PIPEPOST_POLICY")]
    policy: Option<PathBuf>,
}

fn key(options: &StoreOptions, store: &Path) -> Result<StoreKey, CliError> {
    let configuration = |error: pipepost_accounts::Error| CliError::new(FailureKind::Configuration, sentence(&error));
    if let Some(file) = &options.key_file {
        if !file.exists() && !store.exists() {
            make_folder(file)?;
            let key = StoreKey::create_key_file(file).map_err(configuration)?;
            say(&format!(
                "pipepost: made the key {} for the new store {}. Keep a copy of it: without it the store is lost.",
                file.display(),
                store.display()
            ));
            make_folder(store)?;
            return Ok(key);
        }
        return StoreKey::from_key_file(file).map_err(configuration);
    }
    if let Some(file) = &options.passphrase_file {
        make_folder(store)?;
        return StoreKey::from_passphrase_file(file).map_err(configuration);
    }
    #[cfg(feature = "keyring")]
    if let Some(name) = &options.keyring {
        make_folder(store)?;
        return StoreKey::from_keyring(&pipepost_accounts::SystemKeyring, name).map_err(configuration);
    }
    if !is_terminal() {
        return Err(CliError::new(
            FailureKind::Configuration,
            format!(
                "The store `{}` is encrypted, and nothing was named that opens it; name --key-file or --passphrase-file.",
                store.display()
            ),
        ));
    }
    let passphrase = if store.exists() {
        ask_secret(&format!("Passphrase of the store {}: ", store.display()))?
    } else {
        new_passphrase(store)?
    };
    make_folder(store)?;
    Ok(StoreKey::passphrase(&passphrase))
}

fn new_passphrase(store: &Path) -> Result<Secret, CliError> {
    let first = ask_secret(&format!("A passphrase for the new store {}: ", store.display()))?;
    let second = ask_secret("The same once more: ")?;
    if first.is_empty() || first.expose() != second.expose() {
        return Err(CliError::usage(
            "The two passphrases differ, or are empty; nothing was made.",
        ));
    }
    Ok(first)
}

/// The folder of a file, for its owner alone.
fn make_folder(file: &Path) -> Result<(), CliError> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    else {
        return Ok(());
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| CliError::io("the store's directory", &error))
}

/// Whether somebody is there to be asked.
pub(super) fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a secret on the terminal; nothing of it is shown.
pub(super) fn ask_secret(question: &str) -> Result<Secret, CliError> {
    rpassword::prompt_password(question)
        .map(Secret::new)
        .map_err(|error| CliError::io("the terminal", &error))
}

/// An error of the accounts, to the person.
pub(super) fn told(error: pipepost_accounts::Error) -> CliError {
    let kind = match error.kind() {
        ErrorKind::Token => FailureKind::Authentication,
        ErrorKind::TokenUnavailable => FailureKind::Transient,
        _ => FailureKind::Configuration,
    };
    CliError::new(kind, sentence(&error))
}

/// An error of the accounts as a sentence of its own, with what helps on this command line.
pub(super) fn sentence(error: &pipepost_accounts::Error) -> String {
    let text = ended(&clause(error));
    // A file's name keeps its case.
    match error.place().path() {
        None => capitalised(&text),
        Some(_) => text,
    }
}

/// An error of the accounts as one line of several, with what helps on this command line.
pub(super) fn clause(error: &pipepost_accounts::Error) -> String {
    match error.remedy() {
        Some(Remedy::NameAccounts) => format!("{error}; name a file with --accounts"),
        Some(Remedy::ChooseEnvironment) => format!("{error} with --environment"),
        Some(Remedy::ChoosePort) => format!("{error} with --port"),
        Some(Remedy::NameStore) => format!("{error} with --store"),
        Some(Remedy::NamePolicy) => format!("{error}; name the policy with --policy"),
        Some(Remedy::Authorize) => match error.place().label() {
            Some(label) => format!("{error}; run {}", remedy::authorize(label, None)),
            None => format!("{error}; run `pipepost accounts authorize`"),
        },
        Some(Remedy::StoreThenAuthorize) => {
            let label = error.place().label().unwrap_or_default();
            format!("{error}; {}", remedy::authorize(label, error.place().path()))
        }
        _ => error.to_string(),
    }
}
