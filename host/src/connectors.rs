//! The connectors of a host: where they come from, what they are, and under which names documents find them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_core::policy::{ConnectorRule, Policy};
use pipepost_flowspec::{Catalogue, ConnectorDescription, ConnectorNames, NameHolder};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::engine::{Component, ContractVersion, Engine, LoadError, grantable};

/// Where a connector came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built into the binary.
    BuiltIn,
    /// A file of a plugins directory.
    File(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One connector, compiled, granted and described.
#[derive(Debug, Clone)]
pub struct Connector {
    /// How documents and the checker know it.
    pub description: ConnectorDescription,
    /// JSON Schema of its output.
    pub output: Value,
    /// Its version, for people.
    pub version: String,
    /// One sentence: what it does.
    pub summary: String,
    /// Where it came from.
    pub origin: Origin,
    /// `sha256:` and 64 hexadecimal digits, over the component's bytes.
    pub digest: Arc<str>,
    /// The component's size in bytes.
    pub size: usize,
    pub(crate) component: Component,
}

impl Connector {
    /// What it imports, as its bytes name it: the whole of what it can reach.
    pub fn imports(&self) -> &[String] {
        &self.component.interfaces.imports
    }

    /// What it exports.
    pub fn exports(&self) -> &[String] {
        &self.component.interfaces.exports
    }

    /// The version of the contract that it was built against.
    pub fn contract(&self) -> ContractVersion {
        self.component.contract
    }

    /// Whether it holds connections.
    pub(crate) fn has_transport(&self) -> bool {
        self.component.holds_connections()
    }

    /// The member of its output that lists those whom the service refused though the call succeeded, by the schema's
    /// keyword `x-pipepost-refused`.
    pub(crate) fn refused_member(&self) -> Option<&str> {
        let properties = self.output.get("properties")?.as_object()?;
        let mut marked = properties
            .iter()
            .filter(|(_, property)| property.get("x-pipepost-refused") == Some(&Value::Bool(true)));
        marked.next().map(|(name, _)| name.as_str())
    }

    /// All about it, for people and machines.
    pub fn report(&self) -> ConnectorReport<'_> {
        ConnectorReport {
            name: &self.description.name,
            aliases: &self.description.aliases,
            version: &self.version,
            summary: &self.summary,
            origin: self.origin.to_string(),
            digest: &self.digest,
            size: self.size,
            contract: self.contract().as_str(),
            account_types: &self.description.account_types,
            imports: self.imports(),
            exports: self.exports(),
            parameters: &self.description.parameters,
            output: &self.output,
        }
    }
}

/// What `pipepost plugins inspect` shows.
#[derive(Debug, Serialize)]
pub struct ConnectorReport<'a> {
    /// Its own name.
    pub name: &'a str,
    /// Other names by which documents call it.
    pub aliases: &'a [String],
    /// Its version.
    pub version: &'a str,
    /// One sentence: what it does.
    pub summary: &'a str,
    /// Where it came from.
    pub origin: String,
    /// SHA-256 of its bytes.
    pub digest: &'a str,
    /// Bytes.
    pub size: usize,
    /// The version of the contract that it was built against.
    pub contract: &'static str,
    /// The account types it takes.
    pub account_types: &'a [String],
    /// What it imports, read from its bytes.
    pub imports: &'a [String],
    /// What it exports, read from its bytes.
    pub exports: &'a [String],
    /// JSON Schema of its parameters.
    pub parameters: &'a Value,
    /// JSON Schema of its output.
    pub output: &'a Value,
}

/// Why the connectors were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorsError {
    /// A directory or file cannot be read.
    #[error("`{path}` cannot be read: {source}.")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// One does not load.
    #[error("The connector {name} is not loaded: {source}.")]
    Load {
        /// Its file, or its name where it is built in.
        name: String,
        /// Why.
        source: LoadError,
    },
    /// What it says of itself is no use.
    #[error("The connector {name} is not loaded: {reason}.")]
    Manifest {
        /// Its file, or its name where it is built in.
        name: String,
        /// Why.
        reason: String,
    },
    /// Two claim one name.
    #[error("Two connectors claim the name `{name}`: {first} and {second}. Remove one of them.")]
    Conflict {
        /// The name or alias.
        name: String,
        /// Where the one is from.
        first: String,
        /// Where the other is from.
        second: String,
    },
    /// It claims the name of a step that the host performs itself.
    #[error(
        "The connector {connector} claims the name `{name}`, which is a step of the runtime's own: give it another one."
    )]
    Reserved {
        /// The name or alias.
        name: String,
        /// The connector, and where it is from.
        connector: String,
    },
    /// The operator's policy does not allow it.
    #[error("The connector {name} is not loaded: the policy {reason}.")]
    Policy {
        /// Its file, or its name where it is built in.
        name: String,
        /// What the policy says.
        reason: String,
    },
    /// The operator's policy grants what this host cannot give.
    #[error("The policy grants `{grant}`, which cannot be granted; what can is {}.", grantable().join(", "))]
    Grant {
        /// The interface, as the policy names it.
        grant: String,
    },
}

/// All connectors of a host, by every name they go by.
#[derive(Debug, Clone, Default)]
pub struct Connectors {
    all: Vec<Arc<Connector>>,
    names: ConnectorNames,
    /// Built-in connectors that a file replaced: name and file.
    replaced: Vec<(String, PathBuf)>,
}

impl Connectors {
    /// Loads the built-in connectors and those of the directories. A file replaces the built-in connector of its own
    /// name; any other clash of names is an error.
    ///
    /// # Errors
    /// The first connector that does not load.
    pub async fn load(engine: &Engine, policy: &Policy, directories: &[PathBuf]) -> Result<Self, ConnectorsError> {
        check_grants(policy)?;
        let mut built_in = Vec::new();
        for embedded in pipepost_embedded_connectors::embedded() {
            built_in.push(load_one(engine, policy, embedded.bytes, Origin::BuiltIn, embedded.name).await?);
        }
        let mut from_files = Vec::new();
        for path in files(directories)? {
            from_files.push(load_file(engine, policy, &path).await?);
        }
        let mut connectors = Self::default();
        for connector in built_in {
            let replacement = from_files
                .iter()
                .find(|other| other.description.name == connector.description.name);
            match replacement.map(|other| &other.origin) {
                Some(Origin::File(path)) => connectors
                    .replaced
                    .push((connector.description.name.clone(), path.clone())),
                _ => connectors.add(connector)?,
            }
        }
        for connector in from_files {
            connectors.add(connector)?;
        }
        Ok(connectors)
    }

    fn add(&mut self, connector: Connector) -> Result<(), ConnectorsError> {
        let added = self.names.add(self.all.len(), &connector.description);
        added.map_err(|(name, holder)| match holder {
            NameHolder::Runtime => ConnectorsError::Reserved {
                name,
                connector: shown(&connector),
            },
            NameHolder::Connector(index) => ConnectorsError::Conflict {
                name,
                first: shown(&self.all[index]),
                second: shown(&connector),
            },
        })?;
        self.all.push(Arc::new(connector));
        Ok(())
    }

    /// The connector that goes by this name or alias.
    pub fn get(&self, name: &str) -> Option<&Connector> {
        self.shared(name).map(|connector| &**connector)
    }

    /// The same, for whoever keeps it.
    pub(crate) fn shared(&self, name: &str) -> Option<&Arc<Connector>> {
        self.names.find(name).map(|index| &self.all[index])
    }

    /// All of them, built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.all.iter().map(|connector| &**connector)
    }

    /// Built-in connectors that a file of the same name stands in for.
    pub fn replaced(&self) -> &[(String, PathBuf)] {
        &self.replaced
    }
}

impl Catalogue for Connectors {
    fn find(&self, name: &str) -> Option<&ConnectorDescription> {
        self.get(name).map(|connector| &connector.description)
    }

    fn all(&self) -> Vec<&ConnectorDescription> {
        self.iter().map(|connector| &connector.description).collect()
    }
}

fn shown(connector: &Connector) -> String {
    format!("`{}` ({})", connector.description.name, connector.origin)
}

fn files(directories: &[PathBuf]) -> Result<Vec<PathBuf>, ConnectorsError> {
    let mut files = Vec::new();
    for directory in directories {
        let unreadable = |source| ConnectorsError::Read {
            path: directory.display().to_string(),
            source,
        };
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn check_grants(policy: &Policy) -> Result<(), ConnectorsError> {
    match policy.ungrantable(&grantable()) {
        Some(grant) => Err(ConnectorsError::Grant {
            grant: grant.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Loads one component from a file.
///
/// # Errors
/// When it cannot be read, or does not load.
pub async fn load_file(engine: &Engine, policy: &Policy, path: &Path) -> Result<Connector, ConnectorsError> {
    check_grants(policy)?;
    let shown = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| ConnectorsError::Read {
        path: shown.clone(),
        source,
    })?;
    load_one(engine, policy, &bytes, Origin::File(path.to_owned()), &shown).await
}

async fn load_one(
    engine: &Engine,
    policy: &Policy,
    bytes: &[u8],
    origin: Origin,
    shown: &str,
) -> Result<Connector, ConnectorsError> {
    let name = format!("`{shown}`");
    let digest = digest(bytes);
    let rule = policy.connector(&digest);
    if matches!(rule, ConnectorRule::Refused) {
        let reason = format!("lists the connectors it allows by digest, and {digest} is not among them");
        return Err(ConnectorsError::Policy { name, reason });
    }
    let granted: Option<Vec<&str>> = match &rule {
        ConnectorRule::Granted(interfaces) => Some(interfaces.iter().map(String::as_str).collect()),
        _ => None,
    };
    let load = |source| ConnectorsError::Load {
        name: name.clone(),
        source,
    };
    let component = engine.load(bytes, granted.as_deref()).map_err(load)?;
    let manifest = engine.describe(&component).await.map_err(load)?;
    let unusable = |reason: String| ConnectorsError::Manifest {
        name: name.clone(),
        reason,
    };
    let schema = |what: &str, text: &str| match serde_json::from_str::<Value>(text) {
        Ok(schema) if schema.is_object() => Ok(schema),
        _ => Err(unusable(format!("its schema of the {what} is no JSON object"))),
    };
    for name in std::iter::once(&manifest.name).chain(&manifest.aliases) {
        if name.is_empty()
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(unusable(
                "its names must be letters, digits, `-`, `_` and `.`".to_owned(),
            ));
        }
    }
    Ok(Connector {
        output: schema("output", &manifest.output)?,
        description: ConnectorDescription {
            parameters: schema("parameters", &manifest.parameters)?,
            name: manifest.name,
            aliases: manifest.aliases,
            account_types: manifest.account_types,
        },
        version: manifest.version,
        summary: manifest.summary,
        origin,
        digest: digest.into(),
        size: bytes.len(),
        component,
    })
}

/// `sha256:` and the digest in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    shown_digest(&Sha256::digest(bytes))
}

/// The digest of several pieces, in which it matters where one ends and the next begins.
#[derive(Default)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> String {
        shown_digest(&self.0.finalize())
    }
}

fn shown_digest(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from(DIGITS[usize::from(digit)]));
    "sha256:".chars().chain(digits).collect()
}
