//! Accounts in one encrypted file.
//!
//! The file is an [age](https://age-encryption.org/v1) file, so that the `age` tool opens it too. It contains a
//! versioned JSON document of the same accounts that account files hold. Everything that the command line does with the
//! store is a call to this module, which prints nothing and asks nothing.
//!
//! Each change is one step: take the lock, read, change, check the account as loading would, encrypt, replace the file.
//! When any part of it fails, the file stays as it was.

mod document;
mod file;
mod key;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use document::Change;
use document::Document;
pub use key::StoreKey;
use pipepost_core::policy::AllowedReferences;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::assemble::assemble;
use crate::document::{Node, parse_objects};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Errors, Place};
use crate::fields::Findings;
use crate::reference::References;
use crate::secret::Secret;
use crate::suggest::{nearest, quoted};

/// The version of the document inside. A newer one is refused, since what it means is not known here.
const VERSION: u64 = 1;

/// The encrypted store. Opening it reads nothing; every call reads the file again, so that processes may share it.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    key: StoreKey,
    references: BTreeMap<String, Arc<AllowedReferences>>,
}

/// The entry of a stored account in a list, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccount {
    /// The account's label.
    pub label: String,
    /// The account's type, as written.
    pub kind: String,
    /// The account's own description.
    pub description: Option<String>,
    /// The names of its environments.
    pub environments: Vec<String>,
}

impl Store {
    /// Makes a store at `path`; the file need not exist yet.
    pub fn new(path: impl Into<PathBuf>, key: StoreKey) -> Self {
        Self {
            path: path.into(),
            key,
            references: BTreeMap::new(),
        }
    }

    /// Allows accounts references, by label. Without this no account of the store holds any: whoever may add one must not
    /// read what the process may read. It is checked when an account is added or changed, and when one is loaded.
    #[must_use]
    pub fn with_references(mut self, allowed: &BTreeMap<String, AllowedReferences>) -> Self {
        self.references = allowed
            .iter()
            .map(|(label, allowed)| (label.clone(), Arc::new(allowed.clone())))
            .collect();
        self
    }

    /// What an account of the store may refer to.
    pub(crate) fn references_of(&self, account: &Document) -> References {
        let allowed = document::label(account).and_then(|label| self.references.get(label));
        References::Only(allowed.cloned().unwrap_or_default())
    }

    /// Returns the path of the store's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the accounts in the store, in the order in which they were added.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Store`] for a wrong key or passphrase and for a damaged file, and [`ErrorKind::File`] when
    /// the file cannot be read or when others can read it.
    pub fn list(&self) -> Result<Vec<StoredAccount>, Error> {
        let summary = |account: &Document| StoredAccount {
            label: document::label(account).unwrap_or_default().to_owned(),
            kind: document::text(account, "type").unwrap_or_default().to_owned(),
            description: document::text(account, "description").map(str::to_owned),
            environments: document::environments(account),
        };
        Ok(self.read()?.iter().map(summary).collect())
    }

    /// Returns one account's fields as written; secrets become `***`, references stay.
    ///
    /// # Errors
    /// Returns the same errors as [`Store::list`], and [`ErrorKind::NoSuchAccount`].
    pub fn show(&self, label: &str) -> Result<Value, Error> {
        let accounts = self.read()?;
        Ok(document::shown(&accounts[self.find(&accounts, label)?]))
    }

    /// Adds the accounts of a file, or only the one with this label: the file holds one account, or an array of accounts.
    /// Relative paths in them become absolute, since the store is in another folder.
    ///
    /// # Errors
    /// Returns every problem of the accounts, as loading them would, an error for a label that the store already has, and
    /// [`ErrorKind::NoSuchAccount`] for a label that the file does not have. Nothing is added then.
    pub fn add_file(&self, path: &Path, label: Option<&str>) -> Result<Vec<String>, Errors> {
        let place = Place::file(path);
        let unreadable = |error| {
            Error::new(
                ErrorKind::File,
                place.clone(),
                format!("the file cannot be read ({error}); correct the path"),
            )
        };
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
        // A bare file name has an empty folder, which cannot be made absolute.
        let whole = std::path::absolute(path).map_err(unreadable)?;
        let folder = whole.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut accounts = parse_objects(&text, &place)?;
        if let Some(label) = label {
            accounts.retain(|account| document::label(account) == Some(label));
            if accounts.is_empty() {
                let message = format!("the file has no account {}; correct the label", quoted(label));
                return Err(Error::new(ErrorKind::NoSuchAccount, place, message).into());
            }
        }
        self.add_documents(accounts, &place, &folder)
    }

    /// Adds one account with this label, made of the changes.
    ///
    /// # Errors
    /// Returns the same errors as [`Store::add_file`].
    pub fn add(&self, label: &str, changes: &[Change]) -> Result<(), Errors> {
        let place = Place::file(&self.path).with_label(label);
        let mut account = Document::new();
        document::set_label(&mut account, label);
        for change in changes {
            document::change(&mut account, change, &place)?;
        }
        self.add_documents(vec![account], &Place::file(&self.path), &self.folder())
            .map(drop)
    }

    /// Changes fields of an account.
    ///
    /// # Errors
    /// Returns every problem that the account would have after the changes. Nothing is changed then.
    pub fn edit(&self, label: &str, changes: &[Change]) -> Result<(), Errors> {
        self.change(|accounts| {
            let place = Place::file(&self.path).with_label(label);
            let at = self.find(accounts, label)?;
            let account = &mut accounts[at];
            for change in changes {
                document::change(account, change, &place)?;
            }
            self.check(account)
        })
    }

    /// Writes an account, given as JSON of its fields: it replaces the one with this label, or is added. A text that is
    /// `***` stays as it is stored, so that what [`Store::show`] returned can be changed and written back. References
    /// (`${env:}`, `${file:}`, `${keyring:}`) are refused unless they are stored there already: whoever writes an account
    /// this way must not read the operator's files. Returns whether the account is new.
    ///
    /// # Errors
    /// Returns every problem that the account would have. Nothing is changed then.
    pub fn put(&self, label: &str, fields: &str) -> Result<bool, Errors> {
        let place = Place::file(&self.path).with_label(label);
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, place.clone(), message);
        let Ok(Node::Object(mut account)) = Node::parse(fields) else {
            return Err(invalid("the account is not a JSON object of fields").into());
        };
        if document::label(&account).is_some_and(|own| own != label) {
            return Err(invalid("the field \"label\" names another account; leave it out").into());
        }
        let mut is_new = false;
        self.change(|accounts| {
            document::set_label(&mut account, label);
            let at = accounts.iter().position(|other| document::label(other) == Some(label));
            document::keep_hidden(&mut account, at.map(|at| &accounts[at]), &place)?;
            self.check(&account)?;
            is_new = at.is_none();
            match at {
                Some(at) => accounts[at] = account,
                None => accounts.push(account),
            }
            Ok(())
        })?;
        Ok(is_new)
    }

    /// Copies an account under another label.
    ///
    /// # Errors
    /// Returns an error when there is no such account, or the new label is already used.
    pub fn copy(&self, label: &str, new: &str) -> Result<(), Errors> {
        self.change(|accounts| {
            let mut account = accounts[self.find(accounts, label)?].clone();
            self.refuse_taken(accounts, new)?;
            document::set_label(&mut account, new);
            self.check(&account)?;
            accounts.push(account);
            Ok(())
        })
    }

    /// Gives an account another label.
    ///
    /// # Errors
    /// Returns the same errors as [`Store::copy`].
    pub fn rename(&self, label: &str, new: &str) -> Result<(), Errors> {
        self.change(|accounts| {
            let at = self.find(accounts, label)?;
            self.refuse_taken(accounts, new)?;
            document::set_label(&mut accounts[at], new);
            self.check(&accounts[at])
        })
    }

    /// Removes an account.
    ///
    /// # Errors
    /// Returns the same errors as [`Store::list`], and [`ErrorKind::NoSuchAccount`].
    pub fn remove(&self, label: &str) -> Result<(), Errors> {
        self.change(|accounts| {
            let at = self.find(accounts, label)?;
            accounts.remove(at);
            Ok(())
        })
    }

    /// Returns the accounts with these labels, or all, as the JSON of an accounts file **with their secrets in clear**.
    ///
    /// # Errors
    /// Returns the same errors as [`Store::list`], and [`ErrorKind::NoSuchAccount`].
    pub fn export(&self, labels: &[&str]) -> Result<Secret, Error> {
        let accounts = self.read()?;
        let chosen = match labels {
            [] => accounts,
            labels => labels
                .iter()
                .map(|label| Ok(accounts[self.find(&accounts, label)?].clone()))
                .collect::<Result<Vec<_>, Error>>()?,
        };
        Ok(Secret::from(
            Node::List(chosen.into_iter().map(Node::Object).collect()).to_json(),
        ))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).to_path_buf()
    }

    /// Returns the accounts as documents; an empty list when there is no store yet.
    pub(crate) fn read(&self) -> Result<Vec<Document>, Error> {
        let Some(sealed) = file::read(&self.path)? else {
            return Ok(Vec::new());
        };
        let plain = self
            .key
            .decrypt(&sealed)
            .map_err(|error| self.closed(&sealed, &error))?;
        let text = std::str::from_utf8(&plain).map_err(|_| self.damaged())?;
        let Ok(Node::Object(entries)) = Node::parse(text) else {
            return Err(self.damaged());
        };
        let mut version = None;
        let mut accounts = None;
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("version", Node::Number(number)) => version = number.as_u64(),
                ("accounts", Node::List(items)) => accounts = Some(items),
                _ => {}
            }
        }
        match version {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => {
                let message = format!(
                    "the store is of version {newer}, and this program knows version {VERSION}; use a newer pipepost"
                );
                return Err(self.error(message));
            }
            _ => return Err(self.damaged()),
        }
        let into_document = |item| match item {
            Node::Object(document) => Ok(document),
            _ => Err(self.damaged()),
        };
        accounts
            .ok_or_else(|| self.damaged())?
            .into_iter()
            .map(into_document)
            .collect()
    }

    /// One change, whole or not at all.
    fn change(&self, change: impl FnOnce(&mut Vec<Document>) -> Result<(), Errors>) -> Result<(), Errors> {
        let lock = file::Lock::take(&self.path)?;
        let mut accounts = self.read()?;
        change(&mut accounts)?;
        let accounts = Node::List(accounts.into_iter().map(Node::Object).collect());
        let document = Node::Object(vec![
            ("version".to_owned(), Node::Number(VERSION.into())),
            ("accounts".to_owned(), accounts),
        ]);
        let sealed = self
            .key
            .encrypt(document.to_json().as_bytes())
            .map_err(|error| self.error(format!("the store cannot be encrypted ({error}); nothing was changed")))?;
        Ok(file::replace(&self.path, &sealed, &lock)?)
    }

    fn add_documents(&self, new: Vec<Document>, place: &Place, base: &Path) -> Result<Vec<String>, Errors> {
        let mut labels = Vec::new();
        self.change(|accounts| {
            for mut account in new {
                let label = document::label(&account).unwrap_or_default().to_owned();
                if !label.is_empty() {
                    self.refuse_taken(accounts, &label)?;
                }
                document::root(&mut account, base, &place.with_label(&label))?;
                check(&account, place, base, &self.references_of(&account))?;
                labels.push(label);
                accounts.push(account);
            }
            Ok(())
        })?;
        Ok(labels)
    }

    fn find(&self, accounts: &[Document], label: &str) -> Result<usize, Error> {
        accounts
            .iter()
            .position(|account| document::label(account) == Some(label))
            .ok_or_else(|| {
                let labels = || accounts.iter().filter_map(document::label);
                let advice = match nearest(label, labels()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None if accounts.is_empty() => "it is empty".to_owned(),
                    None => format!("there are {}", labels().collect::<Vec<_>>().join(", ")),
                };
                Error::new(
                    ErrorKind::NoSuchAccount,
                    Place::file(&self.path),
                    format!("the store has no account {}; {advice}", quoted(label)),
                )
            })
    }

    fn refuse_taken(&self, accounts: &[Document], label: &str) -> Result<(), Error> {
        if accounts.iter().any(|account| document::label(account) == Some(label)) {
            let place = Place::file(&self.path).with_label(label);
            return Err(Error::new(
                ErrorKind::DuplicateLabel,
                place,
                "the store has an account of this label; choose another, or edit that one",
            ));
        }
        Ok(())
    }

    fn check(&self, account: &Document) -> Result<(), Errors> {
        let references = self.references_of(account);
        check(account, &Place::file(&self.path), &self.folder(), &references)
    }

    fn closed(&self, sealed: &[u8], error: &age::DecryptError) -> Error {
        let is_passphrase = sealed.windows(11).take(64).any(|window| window == b"\n-> scrypt ");
        let message = match error {
            age::DecryptError::NoMatchingKeys
            | age::DecryptError::DecryptionFailed
            | age::DecryptError::KeyDecryptionFailed
                if is_passphrase != self.key.is_passphrase() =>
            {
                let (has, given) = if is_passphrase {
                    ("a passphrase", "a key")
                } else {
                    ("a key", "a passphrase")
                };
                format!("the store is closed with {has}, and {given} was given; nothing was changed")
            }
            age::DecryptError::NoMatchingKeys => {
                "this key does not open the store; name the key file that it was made with".to_owned()
            }
            age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed if is_passphrase => {
                "the passphrase is wrong, or the file was altered; try the passphrase again, then a backup".to_owned()
            }
            age::DecryptError::ExcessiveWork { .. } => {
                "the store was closed with more work than this machine can do; open it on a larger one".to_owned()
            }
            _ => return self.damaged(),
        };
        self.error(message)
    }

    fn damaged(&self) -> Error {
        self.error("the file is damaged: cut short, altered, or no store at all; put a backup in its place".to_owned())
    }

    fn error(&self, message: String) -> Error {
        Error::new(ErrorKind::Store, Place::file(&self.path), message)
    }
}

/// Checks an account in each of its environments, as loading would. That a variable is not set here and now is no
/// fault of the account.
fn check(account: &Document, place: &Place, base: &Path, references: &References) -> Result<(), Errors> {
    let names = document::environments(account);
    let environments = match names.as_slice() {
        [] => vec![Environment::process()],
        names => names.iter().map(|name| Environment::process().named(name)).collect(),
    };
    let mut errors: Vec<Error> = Vec::new();
    for environment in &environments {
        let mut found = Findings {
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        assemble(account.clone(), place, base, environment, references, &mut found);
        let new = found
            .errors
            .into_iter()
            .filter(|error| error.kind() != ErrorKind::Secret);
        for error in new {
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    Errors::from_found(errors).map_or(Ok(()), Err)
}
