//! The sources of values that are not in the file: the chosen environment, variables, files, the keyring.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::secret::Secret;

/// The operating system's store for secrets, or a replacement for it.
pub trait Keyring: Send + Sync {
    /// Returns the secret stored under this name, or `None`.
    ///
    /// # Errors
    /// Returns a sentence for a person, without the secret, when the keyring itself cannot be asked.
    fn get(&self, name: &str) -> Result<Option<Secret>, String>;
}

/// The surroundings of the accounts: the environment chosen by the operator (`test`, `prod`), and the sources that
/// `${env:}` and `${keyring:}` read. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Environment {
    name: Option<String>,
    variables: Option<Arc<HashMap<String, String>>>,
    keyring: Option<Arc<dyn Keyring>>,
}

impl Environment {
    /// Makes an environment with the process's own variables, no keyring and no chosen environment.
    pub fn process() -> Self {
        Self::default()
    }

    /// Chooses which set of values of an account's `environments` replaces its other fields.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Makes `${env:}` read these variables instead of the process's: for tests, and for hosts that serve several
    /// tenants.
    #[must_use]
    pub fn with_variables(mut self, variables: HashMap<String, String>) -> Self {
        self.variables = Some(Arc::new(variables));
        self
    }

    /// Makes `${keyring:}` read this keyring.
    #[must_use]
    pub fn with_keyring(mut self, keyring: Arc<dyn Keyring>) -> Self {
        self.keyring = Some(keyring);
        self
    }

    /// Returns the chosen environment's name.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Why a variable's value cannot be had, or the value.
    pub(crate) fn variable(&self, name: &str) -> Result<String, String> {
        let absent = || format!("the environment variable {name} is not set; set it, or name another");
        match &self.variables {
            Some(variables) => variables.get(name).cloned().ok_or_else(absent),
            None => match std::env::var(name) {
                Ok(value) => Ok(value),
                Err(std::env::VarError::NotPresent) => Err(absent()),
                Err(std::env::VarError::NotUnicode(_)) => Err(format!(
                    "the environment variable {name} is not UTF-8 text; set it to text"
                )),
            },
        }
    }

    /// Why a keyring entry cannot be had, or the entry.
    pub(crate) fn keyring(&self, name: &str) -> Result<Secret, String> {
        let Some(keyring) = &self.keyring else {
            return Err(format!(
                "the keyring entry {name} cannot be read, because no keyring is available here; use ${{env:}} or ${{file:}}"
            ));
        };
        match keyring.get(name) {
            Ok(Some(secret)) => Ok(secret),
            Ok(None) => Err(format!(
                "the keyring has no entry {name}; store it there, or name another"
            )),
            Err(reason) => Err(format!("the keyring entry {name} cannot be read: {reason}")),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("name", &self.name)
            .field(
                "variables",
                &if self.variables.is_some() {
                    "given"
                } else {
                    "of the process"
                },
            )
            .field("keyring", &self.keyring.is_some())
            .finish()
    }
}
