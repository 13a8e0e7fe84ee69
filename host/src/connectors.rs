//! The connectors of a host, and the names under which documents find them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pipepost_core::policy::Policy;
use pipepost_engine::Engine;
use pipepost_engine::connector::{BuiltIn, Precompiled, check_grants, load_built_in};
pub use pipepost_engine::connector::{Connector, ConnectorError, ConnectorReport, Origin, digest, load_file};
use pipepost_flowspec::{Catalogue, ConnectorDescription, ConnectorNames, NameHolder};

/// The reason why the connectors were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorsError {
    /// A connector was not loaded.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// Two connectors claim the same name.
    #[error("Two connectors claim the name `{name}`: {first} and {second}. Remove one of them.")]
    Conflict {
        /// The name or alias.
        name: String,
        /// The first connector's origin.
        first: String,
        /// The second connector's origin.
        second: String,
    },
    /// A connector claims the name of a step that the host performs itself.
    #[error(
        "The connector {connector} claims the name `{name}`, which is a step of the runtime's own: give it another one."
    )]
    Reserved {
        /// The name or alias.
        name: String,
        /// The connector, and its origin.
        connector: String,
    },
}

/// All connectors of a host, by each of their names.
#[derive(Debug, Clone, Default)]
pub struct Connectors {
    all: Vec<Arc<Connector>>,
    /// How documents and the checker know each.
    descriptions: Vec<ConnectorDescription>,
    names: ConnectorNames,
    /// Built-in connectors that a file replaced: name and file.
    replaced: Vec<(String, PathBuf)>,
}

impl Connectors {
    /// Takes the built-in connectors and those of the directories. A file replaces the built-in connector with the same
    /// name. Any other clash of names is an error. A built-in connector that was compiled with the binary is loaded when a
    /// document is prepared that uses it; the others are loaded now.
    ///
    /// # Errors
    /// Returns the error of the first connector that does not load.
    pub async fn load(engine: &Engine, policy: &Policy, directories: &[PathBuf]) -> Result<Self, ConnectorsError> {
        check_grants(policy)?;
        let mut built_in = Vec::new();
        for embedded in pipepost_embedded_connectors::embedded() {
            let precompiled = embedded.precompiled.map(|precompiled| Precompiled {
                description: precompiled.description,
                load: Arc::new(move |engine| precompiled.load(engine)),
            });
            let connector = BuiltIn {
                name: embedded.name,
                bytes: embedded.bytes,
                digest: embedded.digest,
                precompiled,
            };
            built_in.push(load_built_in(engine, policy, &connector).await?);
        }
        let mut from_files = Vec::new();
        for path in files(directories)? {
            from_files.push(load_file(engine, policy, &path).await?);
        }
        let mut connectors = Self::default();
        for connector in built_in {
            let replacement = from_files.iter().find(|other| other.name == connector.name);
            match replacement.map(|other| &other.origin) {
                Some(Origin::File(path)) => connectors.replaced.push((connector.name, path.clone())),
                _ => connectors.add(connector)?,
            }
        }
        for connector in from_files {
            connectors.add(connector)?;
        }
        Ok(connectors)
    }

    fn add(&mut self, connector: Connector) -> Result<(), ConnectorsError> {
        let description = description(&connector);
        let added = self.names.add(self.all.len(), &description);
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
        self.descriptions.push(description);
        self.all.push(Arc::new(connector));
        Ok(())
    }

    /// Returns the connector with this name or alias.
    pub fn get(&self, name: &str) -> Option<&Connector> {
        self.shared(name).map(|connector| &**connector)
    }

    /// The same, for whoever keeps it.
    pub(crate) fn shared(&self, name: &str) -> Option<&Arc<Connector>> {
        self.names.find(name).map(|index| &self.all[index])
    }

    /// Returns all connectors, built-in ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Connector> {
        self.all.iter().map(|connector| &**connector)
    }

    /// Returns the built-in connectors that a file of the same name replaces.
    pub fn replaced(&self) -> &[(String, PathBuf)] {
        &self.replaced
    }
}

impl Catalogue for Connectors {
    fn find(&self, name: &str) -> Option<&ConnectorDescription> {
        self.names.find(name).map(|index| &self.descriptions[index])
    }

    fn all(&self) -> Vec<&ConnectorDescription> {
        self.descriptions.iter().collect()
    }
}

fn description(connector: &Connector) -> ConnectorDescription {
    ConnectorDescription {
        name: connector.name.clone(),
        aliases: connector.aliases.clone(),
        parameters: connector.parameters.clone(),
        account_types: connector.account_types.clone(),
    }
}

fn shown(connector: &Connector) -> String {
    format!("`{}` ({})", connector.name, connector.origin)
}

fn files(directories: &[PathBuf]) -> Result<Vec<PathBuf>, ConnectorError> {
    let mut files = Vec::new();
    for directory in directories {
        let unreadable = |source| ConnectorError::Read {
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
