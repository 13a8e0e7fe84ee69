//! A connector: where it comes from, what it is, and whether the policy lets it load.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::{fmt, fs};

use pipepost_core::policy::{ConnectorRule, Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component as Compiled;

use crate::inspect::Interfaces;
use crate::{Component, ContractVersion, Engine, LoadError, contract, grantable, granted_contract};

/// The place that a connector was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The connector is built into the binary.
    BuiltIn,
    /// The connector is a file in a plugins directory.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a connector says of itself, checked, and what its bytes say of its interfaces.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
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
    /// Its imports and exports, read from its bytes.
    #[serde(flatten)]
    pub interfaces: Interfaces,
}

/// A connector that is built into the binary.
#[derive(Clone)]
pub struct BuiltIn {
    /// The name of the component's file, less the ending.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
    /// The SHA-256 digest of the component: `sha256:` and 64 hexadecimal digits.
    pub digest: &'static str,
    /// What was compiled of it when the binary was built.
    pub precompiled: Option<Precompiled>,
}

/// The machine code of a built-in connector.
#[derive(Clone)]
pub struct Precompiled {
    /// A [`Description`] as JSON.
    pub description: &'static str,
    /// Loads the code into an engine. It fails where the code does not fit the engine or the processor.
    pub load: LoadCode,
}

/// Loads machine code into an engine.
pub type LoadCode = Arc<dyn Fn(&wasmtime::Engine) -> wasmtime::Result<Compiled> + Send + Sync>;

impl fmt::Debug for BuiltIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuiltIn")
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("is_compiled", &self.precompiled.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Precompiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Precompiled")
    }
}

/// One connector, granted and described. Its code is loaded when it is first needed.
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
    interfaces: Interfaces,
    contract: ContractVersion,
    loaded: OnceLock<Component>,
    /// Where the code comes from that is not loaded yet.
    built_in: Option<BuiltIn>,
}

impl Connector {
    fn new(description: Description, contract: ContractVersion, origin: Origin, digest: Arc<str>, size: usize) -> Self {
        Self {
            name: description.name,
            aliases: description.aliases,
            account_types: description.account_types,
            parameters: description.parameters,
            output: description.output,
            version: description.version,
            summary: description.summary,
            origin,
            digest,
            size,
            interfaces: description.interfaces,
            contract,
            loaded: OnceLock::new(),
            built_in: None,
        }
    }

    /// Returns the names of its imports, read from its bytes. It can reach these and nothing else.
    pub fn imports(&self) -> &[String] {
        &self.interfaces.imports
    }

    /// Returns the names of its exports.
    pub fn exports(&self) -> &[String] {
        &self.interfaces.exports
    }

    /// Returns the version of the contract that it was built against.
    pub fn contract(&self) -> ContractVersion {
        self.contract
    }

    /// Returns whether it can hold connections.
    pub fn has_transport(&self) -> bool {
        contract::holds_connections(&self.interfaces)
    }

    /// Returns whether its code is in memory.
    pub fn is_loaded(&self) -> bool {
        self.loaded.get().is_some()
    }

    /// Returns the component that batches are run in. Loads it the first time; the engine is always the same.
    ///
    /// # Errors
    /// Fails when the engine does not start, or the code does not fit it.
    pub fn component(&self, engine: &Engine) -> Result<&Component, ConnectorError> {
        if let Some(loaded) = self.loaded.get() {
            return Ok(loaded);
        }
        let loaded = match &self.built_in {
            Some(built_in) => engine.load_built_in(built_in, self.contract, &self.interfaces),
            // A connector of a file is loaded when it describes itself.
            None => Err(LoadError::Unfit("its code is gone".to_owned())),
        };
        let loaded = loaded.map_err(|source| ConnectorError::Load {
            name: format!("`{}`", self.name),
            source,
        })?;
        Ok(self.loaded.get_or_init(|| loaded))
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
    let granted = granted(policy, &digest, &name)?;
    let granted = borrowed(granted.as_ref());
    let failed = |source| ConnectorError::Load {
        name: name.clone(),
        source,
    };
    let component = engine.load(bytes, granted.as_deref()).map_err(failed)?;
    let description = describe(engine, &component, &name).await?;
    let connector = Connector::new(description, component.contract, origin, digest.into(), bytes.len());
    connector.loaded.get_or_init(|| component);
    Ok(connector)
}

/// Takes a built-in connector. Where it was described and compiled when the binary was built, nothing is loaded yet.
///
/// # Errors
/// Fails when the policy does not allow the component, or it does not load.
pub async fn load_built_in(engine: &Engine, policy: &Policy, built_in: &BuiltIn) -> Result<Connector, ConnectorError> {
    let described = built_in.precompiled.as_ref().and_then(|precompiled| {
        let read = serde_json::from_str::<Description>(precompiled.description);
        read.inspect_err(
            |error| tracing::debug!(connector = built_in.name, %error, "has no description that can be read"),
        )
        .ok()
    });
    let Some(description) = described else {
        return load(engine, policy, built_in.bytes, Origin::BuiltIn, built_in.name).await;
    };
    let name = format!("`{}`", built_in.name);
    let granted = granted(policy, built_in.digest, &name)?;
    let granted = borrowed(granted.as_ref());
    let contract = granted_contract(&description.interfaces, granted.as_deref())
        .map_err(|source| ConnectorError::Load { name, source })?;
    let (digest, size) = (built_in.digest.into(), built_in.bytes.len());
    Ok(Connector {
        built_in: Some(built_in.clone()),
        ..Connector::new(description, contract, Origin::BuiltIn, digest, size)
    })
}

/// What the policy lets a component import; none: all that its version of the contract has.
fn granted(policy: &Policy, digest: &str, name: &str) -> Result<Option<Vec<String>>, ConnectorError> {
    match policy.connector(digest) {
        ConnectorRule::Refused => {
            let reason = format!("lists the connectors it allows by digest, and {digest} is not among them");
            Err(ConnectorError::Policy {
                name: name.to_owned(),
                reason,
            })
        }
        ConnectorRule::Granted(interfaces) => Ok(Some(interfaces)),
        _ => Ok(None),
    }
}

fn borrowed(names: Option<&Vec<String>>) -> Option<Vec<&str>> {
    names.map(|names| names.iter().map(String::as_str).collect())
}

/// Asks a component for its manifest and checks it.
pub(crate) async fn describe(
    engine: &Engine,
    component: &Component,
    name: &str,
) -> Result<Description, ConnectorError> {
    let manifest = engine
        .describe(component)
        .await
        .map_err(|source| ConnectorError::Load {
            name: name.to_owned(),
            source,
        })?;
    let unusable = |reason: String| ConnectorError::Manifest {
        name: name.to_owned(),
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
    Ok(Description {
        output: schema("output", &manifest.output)?,
        parameters: schema("parameters", &manifest.parameters)?,
        name: manifest.name,
        aliases: manifest.aliases,
        account_types: manifest.account_types,
        version: manifest.version,
        summary: manifest.summary,
        interfaces: component.interfaces.clone(),
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
