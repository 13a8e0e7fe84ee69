//! A connector: where it comes from, what it is, and whether the policy lets it load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_core::policy::{ConnectorRule, Policy};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Component, ContractVersion, Engine, LoadError, grantable};

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
    /// Its own name.
    pub name: String,
    /// Other names by which documents call it.
    pub aliases: Vec<String>,
    /// The account types that it takes; empty when it takes no account.
    pub account_types: Vec<String>,
    /// JSON Schema of its parameters.
    pub parameters: Value,
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
    /// What batches run in.
    pub component: Component,
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

    /// Returns whether it holds connections.
    pub fn has_transport(&self) -> bool {
        self.component.holds_connections()
    }

    /// Returns the member of its output that lists those whom the service refused though the call succeeded, by the
    /// schema's keyword `x-pipepost-refused`.
    pub fn refused_member(&self) -> Option<&str> {
        let properties = self.output.get("properties")?.as_object()?;
        let mut marked = properties
            .iter()
            .filter(|(_, property)| property.get("x-pipepost-refused") == Some(&Value::Bool(true)));
        marked.next().map(|(name, _)| name.as_str())
    }

    /// All about it, for people and machines.
    pub fn report(&self) -> ConnectorReport<'_> {
        ConnectorReport {
            name: &self.name,
            aliases: &self.aliases,
            version: &self.version,
            summary: &self.summary,
            origin: self.origin.to_string(),
            digest: &self.digest,
            size: self.size,
            contract: self.contract().as_str(),
            account_types: &self.account_types,
            imports: self.imports(),
            exports: self.exports(),
            parameters: &self.parameters,
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

/// Why a connector was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
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

/// Checks that the policy grants nothing that no host of this version can give.
///
/// # Errors
/// The first grant that cannot be given.
pub fn check_grants(policy: &Policy) -> Result<(), ConnectorError> {
    match policy.ungrantable(&grantable()) {
        Some(grant) => Err(ConnectorError::Grant {
            grant: grant.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Loads one component from a file.
///
/// # Errors
/// When it cannot be read, or does not load.
pub async fn load_file(engine: &Engine, policy: &Policy, path: &Path) -> Result<Connector, ConnectorError> {
    check_grants(policy)?;
    let shown = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| ConnectorError::Read {
        path: shown.clone(),
        source,
    })?;
    load(engine, policy, &bytes, Origin::File(path.to_owned()), &shown).await
}

/// Loads one component from its bytes: looks it up in the policy, compiles it, and asks it what it is. Errors name it as
/// `shown`.
///
/// # Errors
/// When the policy does not allow it, or it does not load.
pub async fn load(
    engine: &Engine,
    policy: &Policy,
    bytes: &[u8],
    origin: Origin,
    shown: &str,
) -> Result<Connector, ConnectorError> {
    let name = format!("`{shown}`");
    let digest = digest(bytes);
    let rule = policy.connector(&digest);
    if matches!(rule, ConnectorRule::Refused) {
        let reason = format!("lists the connectors it allows by digest, and {digest} is not among them");
        return Err(ConnectorError::Policy { name, reason });
    }
    let granted: Option<Vec<&str>> = match &rule {
        ConnectorRule::Granted(interfaces) => Some(interfaces.iter().map(String::as_str).collect()),
        _ => None,
    };
    let failed = |source| ConnectorError::Load {
        name: name.clone(),
        source,
    };
    let component = engine.load(bytes, granted.as_deref()).map_err(failed)?;
    let manifest = engine.describe(&component).await.map_err(failed)?;
    let unusable = |reason: String| ConnectorError::Manifest {
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
        parameters: schema("parameters", &manifest.parameters)?,
        name: manifest.name,
        aliases: manifest.aliases,
        account_types: manifest.account_types,
        version: manifest.version,
        summary: manifest.summary,
        origin,
        digest: digest.into(),
        size: bytes.len(),
        component,
    })
}

/// Returns `sha256:` and the digest in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    shown_digest(&Sha256::digest(bytes))
}

/// The digest of several pieces, in which it matters where one ends and the next begins.
#[derive(Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds one piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    /// Returns `sha256:` and the digest in hexadecimal digits.
    pub fn finish(self) -> String {
        shown_digest(&self.0.finalize())
    }
}

fn shown_digest(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| char::from(DIGITS[usize::from(digit)]));
    "sha256:".chars().chain(digits).collect()
}
