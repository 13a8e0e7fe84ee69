//! The accounts of a run: read from files, unique by label.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::account::Account;
use crate::assemble::assemble;
use crate::document::{Node, parse_objects};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Errors, Place, Remedy, Warning, WarningKind};
use crate::fields::Findings;
use crate::reference::References;
use crate::store::Store;
use crate::suggest::{nearest, quoted};

/// An accounts file beyond this is a mistake.
const MAX_FILE: u64 = 16 << 20;

/// All accounts of a run, by label.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    accounts: Vec<Arc<Account>>,
    warnings: Vec<Warning>,
}

impl Accounts {
    /// Reads account files as [`Accounts::load`] does, and adds the accounts of the encrypted store after them.
    ///
    /// # Errors
    /// Returns the same errors as [`Accounts::load`] and [`Store::list`].
    pub fn load_with_store<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        store: &Store,
        environment: &Environment,
    ) -> Result<Self, Errors> {
        let mut loading = Loading::new(environment);
        for path in paths {
            loading.add_file(path.as_ref());
        }
        loading.add_store(store);
        loading.finish()
    }

    /// Reads account files. Each holds one account or an array of accounts.
    ///
    /// References in secret fields are not read yet. References in all other fields are resolved now, since everything
    /// about an account except its secrets is checked here.
    ///
    /// # Errors
    /// Returns every problem of every file, in order.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, environment: &Environment) -> Result<Self, Errors> {
        let mut loading = Loading::new(environment);
        for path in paths {
            loading.add_file(path.as_ref());
        }
        loading.finish()
    }

    /// Reads accounts from JSON that the caller holds, for hosts that do not keep accounts in files. Relative paths
    /// start at `base`.
    ///
    /// # Errors
    /// Returns the same errors as [`Accounts::load`].
    pub fn from_json(json: &str, base: &Path, environment: &Environment) -> Result<Self, Errors> {
        let mut loading = Loading::new(environment);
        let place = Place::default();
        for object in parse_objects(json, &place)? {
            loading.add(object, &place, base, &References::Every);
        }
        loading.finish()
    }

    /// Returns the account with this label.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NoSuchAccount`], with the nearest label, when there is no such account.
    pub fn get(&self, label: &str) -> Result<&Arc<Account>, Error> {
        self.accounts
            .iter()
            .find(|account| account.label() == label)
            .ok_or_else(|| {
                let labels = || self.accounts.iter().map(|account| account.label());
                let advice = match nearest(label, labels()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None if self.accounts.is_empty() => "no account was given".to_owned(),
                    None => format!("there are {}", labels().collect::<Vec<_>>().join(", ")),
                };
                let error = Error::new(
                    ErrorKind::NoSuchAccount,
                    Place::default(),
                    format!("there is no account {}; {advice}", quoted(label)),
                );
                if self.accounts.is_empty() {
                    error.with_remedy(Remedy::NameAccounts)
                } else {
                    error
                }
            })
    }

    /// Returns every account, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.iter()
    }

    /// Returns what a person should know although it works, in the order of the files.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Files read so far.
pub(crate) struct Loading<'a> {
    environment: &'a Environment,
    accounts: Vec<Arc<Account>>,
    /// The labels found so far, with their places, whether the account could be built or not: a label that occurs twice
    /// is named even when there are other problems.
    labels: Vec<(String, Place)>,
    found: Findings,
}

impl<'a> Loading<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Self {
        let found = Findings {
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        Self {
            environment,
            accounts: Vec::new(),
            labels: Vec::new(),
            found,
        }
    }

    pub(crate) fn add_file(&mut self, path: &Path) {
        let place = Place::file(path);
        let objects = match read_file(path).and_then(|text| parse_objects(&text, &place)) {
            Ok(objects) => objects,
            Err(error) => return self.found.errors.push(error),
        };
        let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let before = self.accounts.len();
        for object in objects {
            self.add(object, &place, &base, &References::Every);
        }
        let holds_secret = |account: &Arc<Account>| account.secrets().iter().any(|(_, source)| source.has_literal());
        if self.accounts[before..].iter().any(holds_secret) && is_open_to_others(path) {
            let message = "it holds a secret in clear and can be read by others; run chmod 600 on it, or use ${env:}, ${file:} or the store";
            self.found
                .warnings
                .push(Warning::new(WarningKind::FileMode, place, message));
        }
    }

    fn add_store(&mut self, store: &Store) {
        match store.read() {
            Ok(documents) => {
                let (place, base) = (Place::file(store.path()), store.folder());
                for document in documents {
                    let references = store.references_of(&document);
                    self.add(document, &place, &base, &references);
                }
            }
            Err(error) => self.found.errors.push(error),
        }
    }

    fn add(&mut self, object: Vec<(String, Node)>, place: &Place, base: &Path, references: &References) {
        let label = object.iter().find_map(|(name, value)| match value {
            Node::Text(text) if crate::fields::normal(name) == "label" => Some(text.trim().to_owned()),
            _ => None,
        });
        if let Some(label) = label.filter(|label| !label.is_empty()) {
            let here = place.with_label(&label);
            if let Some((_, first)) = self.labels.iter().find(|(known, _)| *known == label) {
                let other = first
                    .path()
                    .map_or("another file".to_owned(), |path| path.display().to_string());
                let message = format!("the label is taken already, in {other}; give one of the two another label");
                return self
                    .found
                    .errors
                    .push(Error::new(ErrorKind::DuplicateLabel, here, message));
            }
            self.labels.push((label, here));
        }
        if let Some(account) = assemble(object, place, base, self.environment, references, &mut self.found) {
            self.accounts.push(Arc::new(account));
        }
    }

    pub(crate) fn finish(self) -> Result<Accounts, Errors> {
        match Errors::from_found(self.found.errors) {
            Some(errors) => Err(errors),
            None => Ok(Accounts {
                accounts: self.accounts,
                warnings: self.found.warnings,
            }),
        }
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let fail = |message: String| Error::new(ErrorKind::File, Place::file(path), message);
    let unreadable = |error: std::io::Error| {
        fail(format!(
            "the accounts file cannot be read ({error}); correct the path or its mode"
        ))
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(fail(
            "the file is larger than 16 MiB, too large for accounts; name another".to_owned(),
        ));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(fail("the file is not UTF-8 text; save it as UTF-8".to_owned())),
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// Elsewhere the user's folders are the user's own.
#[cfg(not(unix))]
fn is_open_to_others(_path: &Path) -> bool {
    false
}
