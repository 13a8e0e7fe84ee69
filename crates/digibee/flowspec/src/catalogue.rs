//! The things that a document is checked against: the connectors that are installed and the accounts that are known.
//! The host has both; this crate only looks them up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// A connector's description of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorDescription {
    /// The connector's name, such as `email-v2`.
    pub name: String,
    /// Other names by which documents may call it, such as `email-connector-v2`.
    pub aliases: Vec<String>,
    /// The JSON Schema of its parameters; see [`crate::parameters`] for the keywords that are read.
    pub parameters: Value,
    /// The account types it takes; empty when it takes no account.
    pub account_types: Vec<String>,
}

/// The connectors that documents may use.
pub trait Catalogue {
    /// Returns the connector with this name or alias.
    fn find(&self, name: &str) -> Option<&ConnectorDescription>;

    /// Returns all connectors, in a stable order.
    fn all(&self) -> Vec<&ConnectorDescription>;
}

/// The names and aliases of connectors. Each name belongs to one connector.
#[derive(Debug, Clone, Default)]
pub struct ConnectorNames {
    names: BTreeMap<String, usize>,
}

/// The owner of a name that a connector cannot have because it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameHolder {
    /// The runtime performs a step of this name itself.
    Runtime,
    /// Another connector has the name; the number is its index.
    Connector(usize),
}

impl ConnectorNames {
    /// Adds the names of the connector with this index.
    ///
    /// # Errors
    /// Returns the first name that is taken, and its owner.
    pub fn add(&mut self, index: usize, connector: &ConnectorDescription) -> Result<(), (String, NameHolder)> {
        for name in std::iter::once(&connector.name).chain(&connector.aliases) {
            if crate::steps::is_builtin(name) {
                return Err((name.clone(), NameHolder::Runtime));
            }
            match self.names.get(name) {
                Some(holder) if *holder != index => return Err((name.clone(), NameHolder::Connector(*holder))),
                _ => {
                    self.names.insert(name.clone(), index);
                }
            }
        }
        Ok(())
    }

    /// Returns the index of the connector with this name or alias.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }
}

/// A [`Catalogue`] in memory, in which no two connectors share a name or an alias.
#[derive(Debug, Clone, Default)]
pub struct Connectors {
    all: Vec<ConnectorDescription>,
    names: ConnectorNames,
}

impl Connectors {
    /// Makes a catalogue of these connectors.
    ///
    /// # Errors
    /// Fails if two connectors have the same name, or if one has the name of a step that the runtime itself performs.
    pub fn new(connectors: impl IntoIterator<Item = ConnectorDescription>) -> Result<Self, NameConflict> {
        let mut taken = Self::default();
        for connector in connectors {
            taken.add(connector)?;
        }
        Ok(taken)
    }

    fn add(&mut self, connector: ConnectorDescription) -> Result<(), NameConflict> {
        let added = self.names.add(self.all.len(), &connector);
        added.map_err(|(name, holder)| NameConflict {
            name,
            first: match holder {
                NameHolder::Runtime => "the runtime itself".to_owned(),
                NameHolder::Connector(index) => self.all[index].name.clone(),
            },
            second: connector.name.clone(),
        })?;
        self.all.push(connector);
        Ok(())
    }
}

impl Catalogue for Connectors {
    fn find(&self, name: &str) -> Option<&ConnectorDescription> {
        self.names.find(name).and_then(|index| self.all.get(index))
    }

    fn all(&self) -> Vec<&ConnectorDescription> {
        self.all.iter().collect()
    }
}

/// An error: two connectors claim the same name, or one claims the name of a step that the runtime itself performs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is claimed by two connectors, {first} and {second}; remove one of them")]
pub struct NameConflict {
    /// The name or alias.
    pub name: String,
    /// The connector that already has the name, or the runtime itself.
    pub first: String,
    /// The connector that claims it as well.
    pub second: String,
}

/// Whether an expression may read a field of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldAccess {
    /// The field is not a secret, or the account exposes it.
    Readable,
    /// The field is a secret that the account does not list under `exposed_fields`.
    Secret,
    /// The account has no such field.
    Unknown,
}

/// The accounts that documents may name by label.
pub trait Accounts {
    /// Returns the type of the account with this label, or `None` if there is no such account.
    fn account_type(&self, label: &str) -> Option<&str>;

    /// Returns whether expressions may read this field of the account. Upper and lower case are the same, and so are
    /// `-` and `_`.
    fn field(&self, label: &str, field: &str) -> FieldAccess;

    /// Returns all labels, so that the nearest one can be suggested.
    fn labels(&self) -> Vec<&str>;
}

/// Everything that a document is checked against.
#[derive(Clone, Copy)]
pub struct CheckContext<'a> {
    /// The connectors.
    pub catalogue: &'a dyn Catalogue,
    /// The accounts. `None` if they are not known yet; then every label is accepted.
    pub accounts: Option<&'a dyn Accounts>,
    /// Steps whose output the caller provides, by `id`, `stepName` or `doubleBracesAlias`. They may be of any type.
    pub pins: &'a BTreeSet<String>,
    /// The document's folder, where its sidecar files are looked up; `None` for a document that has no folder.
    pub document_dir: Option<&'a Path>,
}

impl<'a> CheckContext<'a> {
    /// Makes a context with these connectors. The accounts are not known yet, and no step is pinned.
    pub fn new(catalogue: &'a dyn Catalogue) -> Self {
        static NO_PINS: BTreeSet<String> = BTreeSet::new();
        CheckContext {
            catalogue,
            accounts: None,
            pins: &NO_PINS,
            document_dir: None,
        }
    }

    /// Adds the accounts.
    pub fn with_accounts(self, accounts: &'a dyn Accounts) -> Self {
        CheckContext {
            accounts: Some(accounts),
            ..self
        }
    }

    /// Adds the pinned steps.
    pub fn with_pins(self, pins: &'a BTreeSet<String>) -> Self {
        CheckContext { pins, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(name: &str, aliases: &[&str]) -> ConnectorDescription {
        ConnectorDescription {
            name: name.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            parameters: Value::Null,
            account_types: Vec::new(),
        }
    }

    #[test]
    fn two_connectors_do_not_share_an_alias() {
        let error = Connectors::new([connector("a", &["mail"]), connector("b", &["mail"])]).unwrap_err();
        assert_eq!((error.first.as_str(), error.second.as_str()), ("a", "b"));
        assert!(Connectors::new([connector("a", &["a", "mail"])]).is_ok());
    }

    #[test]
    fn the_runtimes_own_steps_are_not_replaced() {
        assert!(Connectors::new([connector("log-connector", &[])]).is_err());
    }
}
