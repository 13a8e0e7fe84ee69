//! A connector: where it comes from, what it is, and whether the policy lets it load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_core::policy::{ConnectorRule, Policy};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Component, ContractVersion, Engine, LoadError, grantable};

/// The place that a connector was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The connector is built into the binary.
    BuiltIn,
    /// The connector is a file in a plugins directory.
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
    /// The connector's own name.
    pub name: String,
    /// Other names that documents may use for it.
    pub aliases: Vec<String>,
    /// The account types that it accepts; empty when it uses no account.
    pub account_types: Vec<String>,
    /// JSON Schema of its parameters.
    pub parameters: Value,
    /// JSON Schema of its output.
    pub output: Value,
    /// Its version, to be shown to people.
    pub version: String,
    /// One sentence that says what it does.
    pub summary: String,
    /// The place that it was loaded from.
    pub origin: Origin,
    /// The SHA-256 digest of the component's bytes: `sha256:` and 64 hexadecimal digits.
    pub digest: Arc<str>,
    /// The component's size in bytes.
    pub size: usize,
    /// The compiled component, which batches are run in.
    pub component: Component,
}

impl Connector {
    /// Returns the names of its imports, read from its bytes. It can reach these and nothing else.
    pub fn imports(&self) -> &[String] {
        &self.component.interfaces.imports
    }

    /// Returns the names of its exports.
    pub fn exports(&self) -> &[String] {
        &self.component.interfaces.exports
    }

    /// Returns the version of the contract that it was built against.
    pub fn contract(&self) -> ContractVersion {
        self.component.contract
    }

    /// Returns whether it can hold connections.
    pub fn has_transport(&self) -> bool {
        self.component.holds_connections()
    }

    /// Returns the name of the output's member that lists the recipients whom the service refused although the call
    /// succeeded. The schema marks this member with the keyword `x-pipepost-refused`.
    pub fn refused_member(&self) -> Option<&str> {
        let properties = self.output.get("properties")?.as_object()?;
        let mut marked = properties
            .iter()
            .filter(|(_, property)| property.get("x-pipepost-refused") == Some(&Value::Bool(true)));
        marked.next().map(|(name, _)| name.as_str())
    }

    /// Returns everything that is known about it, for people and machines.
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

/// The report that `pipepost plugins inspect` shows.
#[derive(Debug, Serialize)]
pub struct ConnectorReport<'a> {
    /// The connector's own name.
    pub name: &'a str,
    /// Other names that documents may use for it.
    pub aliases: &'a [String],
    /// Its version.
    pub version: &'a str,
    /// One sentence that says what it does.
    pub summary: &'a str,
    /// The place that it was loaded from.
    pub origin: String,
    /// The SHA-256 digest of its bytes.
    pub digest: &'a str,
    /// Its size in bytes.
    pub size: usize,
    /// The version of the contract that it was built against.
    pub contract: &'static str,
    /// The account types that it accepts.
    pub account_types: &'a [String],
    /// Its imports, read from its bytes.
    pub imports: &'a [String],
    /// Its exports, read from its bytes.
    pub exports: &'a [String],
    /// JSON Schema of its parameters.
    pub parameters: &'a Value,
    /// JSON Schema of its output.
    pub output: &'a Value,
}

/// The reason why a connector was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A directory or file cannot be read.
    #[error("`{path}` cannot be read: {source}.")]
    Read {
        /// The path of the directory or file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A component does not load.
    #[error("The connector {name} is not loaded: {source}.")]
    Load {
        /// The component's file, or its name if it is built in.
        name: String,
        /// The reason.
        source: LoadError,
    },
    /// The connector's manifest cannot be used.
    #[error("The connector {name} is not loaded: {reason}.")]
    Manifest {
        /// The component's file, or its name if it is built in.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The operator's policy does not allow it.
    #[error("The connector {name} is not loaded: the policy {reason}.")]
    Policy {
        /// The component's file, or its name if it is built in.
        name: String,
        /// The reason that the policy gives.
        reason: String,
    },
    /// The operator's policy grants something that this host cannot give.
    #[error("The policy grants `{grant}`, which cannot be granted; what can is {}.", grantable().join(", "))]
    Grant {
        /// The interface, as the policy names it.
        grant: String,
    },
}

/// Checks that the policy grants only what a host of this version can give.
///
/// # Errors
/// Returns the first grant that cannot be given.
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
/// Fails when the file cannot be read, or the component does not load.
pub async fn load_file(engine: &Engine, policy: &Policy, path: &Path) -> Result<Connector, ConnectorError> {
    check_grants(policy)?;
    let shown = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| ConnectorError::Read {
        path: shown.clone(),
        source,
    })?;
    load(engine, policy, &bytes, Origin::File(path.to_owned()), &shown).await
}

/// Loads one component from its bytes: looks it up in the policy, compiles it, and asks it for its manifest. Errors use
/// the name `shown` for it.
///
/// # Errors
/// Fails when the policy does not allow the component, or it does not load.
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

/// Returns the SHA-256 digest of the bytes, as `sha256:` and hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    shown_digest(&Sha256::digest(bytes))
}

/// A digest of several pieces. It changes when the boundary between two pieces moves.
#[derive(Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds one piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    /// Returns the digest as `sha256:` and hexadecimal digits.
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
