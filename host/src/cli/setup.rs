//! From what was typed to a host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost::net::Transcript;
use pipepost::policy::PolicyError;
use pipepost::serve::AccountSources;
use pipepost::token_sink::TokenSink;
use pipepost::{FailureKind, Host, HostBuilder, Limits, Policy, Preparation};
use pipepost_accounts::store::Store;
use pipepost_accounts::{Accounts, Environment, ErrorKind};
use serde_json::{Map, Value};

use super::arguments::{Globals, HostOptions, Pins};
use super::error::CliError;
use super::state::{self, OpenState};
use super::{paths, store};

/// A host with the accounts, connectors and policy that were named.
pub(super) async fn host(options: &HostOptions) -> Result<Host, CliError> {
    Ok(builder(options)?.build().await?).inspect(tell_replaced)
}

/// A transcript that was named.
pub(super) fn transcript(path: &Path) -> Result<Transcript, CliError> {
    Transcript::to_file(path).map_err(|error| {
        CliError::new(
            FailureKind::Configuration,
            format!("The transcript `{}` cannot be written: {error}.", path.display()),
        )
    })
}

/// The same, not yet built, with the user's state directory.
pub(super) fn builder(options: &HostOptions) -> Result<HostBuilder, CliError> {
    builder_in(options, None)
}

/// The same with the state that was named.
pub(super) fn builder_in(options: &HostOptions, state: Option<&OpenState>) -> Result<HostBuilder, CliError> {
    let policy = policy(options.policy.as_deref())?;
    let store = store::beside(&options.store, &options.accounts, &policy)?;
    let accounts = accounts(&options.accounts, store.as_ref(), options.environment.as_deref())?;
    // One run needs no thousand instances at once, and room for them takes longer to lay out than a message to send.
    let limits = policy.limits_over(Limits {
        instances: 100,
        ..Limits::default()
    });
    let mut builder = Host::builder().policy(policy).limits(limits).accounts(accounts);
    let usual = match state {
        Some(_) => None,
        None => state::open(None).ok(),
    };
    builder = builder.refresh_token_sink(Arc::new(token_sink(store, state.or(usual.as_ref()))));
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

/// Where the accounts come from that were named, so that they can be read again.
pub(super) fn sources(options: &HostOptions) -> Result<AccountSources, CliError> {
    let policy = policy(options.policy.as_deref())?;
    Ok(AccountSources {
        files: options.accounts.clone(),
        store: store::beside(&options.store, &options.accounts, &policy)?.map(Arc::new),
        environment: surroundings(options.environment.as_deref()),
    })
}

/// Where new refresh tokens go: into the store, and into the state for accounts of files; where several machines share the
/// state, into that.
pub(super) fn token_sink(store: Option<Store>, state: Option<&OpenState>) -> TokenSink {
    let mut sink = TokenSink::new();
    if let Some(store) = store {
        sink = sink.with_store(store);
    }
    if let Some(grants) = state.and_then(|state| state.store.grants()) {
        return sink.with_grants(grants);
    }
    if let Some(directory) = state.and_then(OpenState::directory) {
        sink = sink.with_directory(directory.join(state::REFRESH_TOKENS));
    }
    sink
}

/// The policy that was named, else the one that allows whatever the accounts do.
pub(super) fn policy(named: Option<&Path>) -> Result<Policy, CliError> {
    let Some(path) = named else {
        return Ok(Policy::default());
    };
    Policy::from_file(path).map_err(|error| match &error {
        PolicyError::Read { source, .. } => CliError::no_input("policy", path, source),
        PolicyError::Invalid { .. } => CliError::new(FailureKind::Configuration, error.to_string()),
    })
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
) -> Result<Accounts, CliError> {
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
            return CliError::no_input("accounts file", path, &std::io::ErrorKind::NotFound.into());
        }
        CliError::many(FailureKind::Configuration, errors.iter().map(store::sentence))
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

pub(super) fn tell_replaced(host: &Host) {
    for (name, file) in host.connectors().replaced() {
        tracing::warn!("the built-in connector `{name}` is replaced by {}", file.display());
    }
}

/// Reads a text file that was named on the command line.
pub(super) fn read(what: &str, path: &Path) -> Result<String, CliError> {
    let octets = std::fs::read(path).map_err(|error| CliError::no_input(what, path, &error))?;
    pipepost_core::text::decoded(octets).map_err(|error| {
        let sentence = format!("The {what} `{}` {error}.", path.display());
        CliError::new(FailureKind::Invalid, sentence)
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

/// A longer message is parsed as it is read, so that its text and its values are not in memory together; in octets.
const TEXT_MAX: u64 = 4 << 20;

/// A message that was named on the command line: a file, standard input, or nothing.
pub(super) fn message(what: &str, path: Option<&Path>) -> Result<Value, CliError> {
    match input(what, path)? {
        Input::Message(message) => Ok(message),
        Input::Long(long) => long.read(),
    }
}

/// What was named for a message.
pub(super) enum Input {
    /// It was read.
    Message(Value),
    /// It is long, and not read yet.
    Long(Long),
}

/// A long message.
pub(super) struct Long {
    what: String,
    path: PathBuf,
    pub(super) shown: String,
    /// At its first character.
    pub(super) file: File,
}

impl Long {
    /// Reads it.
    pub(super) fn read(&self) -> Result<Value, CliError> {
        let read = serde_json::from_reader(BufReader::with_capacity(256 * 1024, &self.file));
        read.map_err(|error| self.unread(&error))
    }

    /// Why it is no message.
    pub(super) fn unread(&self, error: &serde_json::Error) -> CliError {
        match error.io_error_kind() {
            Some(std::io::ErrorKind::InvalidData) => no_text(&self.what, &self.shown),
            Some(kind) => CliError::no_input(&self.what, &self.path, &kind.into()),
            None => not_json(&self.what, &self.shown, error),
        }
    }
}

/// Reads a message that was named on the command line, unless it is long.
pub(super) fn input(what: &str, path: Option<&Path>) -> Result<Input, CliError> {
    let Some(path) = path else {
        return Ok(Input::Message(Value::Object(Map::new())));
    };
    let unreadable = |error: std::io::Error| CliError::no_input(what, path, &error);
    let (shown, mut source) = if path == Path::new("-") {
        ("standard input".to_owned(), Source::Stream(Box::new(std::io::stdin())))
    } else {
        let file = File::open(path).map_err(unreadable)?;
        let is_regular = file.metadata().is_ok_and(|about| about.is_file());
        let source = match is_regular {
            true => Source::File(file),
            false => Source::Stream(Box::new(file)),
        };
        (format!("`{}`", path.display()), source)
    };
    let mut text = Vec::new();
    let reader: &mut dyn Read = match &mut source {
        Source::File(file) => file,
        Source::Stream(stream) => stream,
    };
    reader.take(TEXT_MAX).read_to_end(&mut text).map_err(unreadable)?;
    if (text.len() as u64) < TEXT_MAX {
        let text = String::from_utf8(text).map_err(|_| no_text(what, &shown))?;
        return json(what, &shown, &text).map(Input::Message);
    }
    let marked = text.starts_with(MARK.as_bytes());
    let mut file = match source {
        Source::File(file) => file,
        // What comes by and is gone is kept in a file without a name.
        Source::Stream(stream) => {
            let mut file = tempfile::tempfile().map_err(unreadable)?;
            std::io::copy(&mut text.as_slice().chain(stream), &mut file).map_err(unreadable)?;
            file
        }
    };
    let first = if marked { MARK.len() as u64 } else { 0 };
    file.seek(SeekFrom::Start(first)).map_err(unreadable)?;
    Ok(Input::Long(Long {
        what: what.to_owned(),
        path: path.to_owned(),
        shown,
        file,
    }))
}

/// Where a message comes from.
enum Source {
    File(File),
    Stream(Box<dyn Read>),
}

/// A byte order mark.
const MARK: &str = "\u{FEFF}";

fn no_text(what: &str, shown: &str) -> CliError {
    let sentence = format!("The {what} {shown} is not text in UTF-8.");
    CliError::new(FailureKind::Invalid, sentence)
}

fn json(what: &str, shown: &str, text: &str) -> Result<Value, CliError> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    serde_json::from_str(text).map_err(|error| not_json(what, shown, &error))
}

fn not_json(what: &str, shown: &str, error: &serde_json::Error) -> CliError {
    let sentence = format!("The {what} {shown} is not JSON: {error}.");
    CliError::new(FailureKind::Invalid, sentence)
}

/// The globals of a file, and those that were typed over them.
pub(super) fn globals(given: &Globals) -> Result<Map<String, Value>, CliError> {
    let mut globals = match &given.file {
        None => Map::new(),
        Some(path) => match message("globals file", Some(path))? {
            Value::Object(globals) => globals,
            _ => {
                let sentence = format!(
                    "The globals file `{}` must be a JSON object of names and values.",
                    path.display()
                );
                return Err(CliError::new(FailureKind::Invalid, sentence));
            }
        },
    };
    for pair in &given.pairs {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(CliError::usage(format!(
                "`--global {pair}` has no value; write `--global name=value`."
            )));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        globals.insert(name.to_owned(), value);
    }
    Ok(globals)
}

/// What a document is prepared with: its folder, and the steps that are pinned.
pub(super) fn preparation(document: &Path, pins: &Pins) -> Result<Preparation, CliError> {
    let mut outputs = BTreeMap::new();
    for pin in &pins.pins {
        // A step's name may hold a `=`; a file's rarely does.
        let Some((step, file)) = pin
            .rsplit_once('=')
            .filter(|(step, file)| !step.is_empty() && !file.is_empty())
        else {
            return Err(CliError::usage(format!(
                "`--pin {pin}` names no file; write `--pin step=output.json`."
            )));
        };
        outputs.insert(step.to_owned(), message("pinned output", Some(Path::new(file)))?);
    }
    let folder = match document.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => ".".into(),
    };
    Ok(Preparation {
        document_dir: Some(folder),
        pins: outputs,
    })
}
