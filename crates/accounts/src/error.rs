//! What went wrong with an account, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// A position in the accounts: a file, a label in it, and a field of that account.
///
/// It is shown as `accounts.json, account "gmail", field "port"`, with the parts that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub(crate) file: Option<PathBuf>,
    pub(crate) label: Option<String>,
    pub(crate) field: Option<String>,
}

impl Place {
    pub(crate) fn file(path: &Path) -> Self {
        Self {
            file: Some(path.to_path_buf()),
            ..Self::default()
        }
    }

    pub(crate) fn with_label(&self, label: &str) -> Self {
        Self {
            label: Some(label.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn with_field(&self, field: &str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..self.clone()
        }
    }

    /// Returns the accounts file, or the store's file.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the label of the account.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Returns the field, as it was written; nested fields have dots, such as `limits.messages_per_day`.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(file) = &self.file {
            write!(f, "{}", on_one_line(file.display().to_string()))?;
            separator = ", ";
        }
        if let Some(label) = &self.label {
            write!(f, "{separator}account \"{}\"", label.escape_debug())?;
            separator = ", ";
        }
        if let Some(field) = &self.field {
            write!(f, "{separator}field \"{}\"", field.escape_debug())?;
        }
        Ok(())
    }
}

/// The kind of an [`Error`]. Decisions depend on it, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file cannot be read or written.
    File,
    /// A file is not JSON, or not an account or an array of accounts.
    Syntax,
    /// A field, a type or a property that does not exist, or does not belong to this type.
    Unknown,
    /// A required field is missing.
    Missing,
    /// A value that its field does not accept.
    Invalid,
    /// Two values that contradict each other.
    Contradiction,
    /// A label that occurs twice.
    DuplicateLabel,
    /// No account has the requested label.
    NoSuchAccount,
    /// The account has environments, and none was chosen, or one that the account does not have.
    Environment,
    /// A secret cannot be read: an unset variable, an empty file, a missing keyring entry.
    Secret,
    /// An account of the store refers to something that the operator's policy does not allow it.
    NotAllowed,
    /// The provider refused to give an access token; the sentence contains its reason.
    Token,
    /// The provider does not accept the request for a token as the account has it: its client, tenant, scopes or endpoints
    /// do not fit. The sentence names the field.
    TokenRequest,
    /// The provider could not be asked for an access token now; trying again later can help.
    TokenUnavailable,
    /// The provider's token endpoint may not be asked from here: the operator's policy or the egress rule forbids it.
    EgressDenied,
    /// The encrypted store cannot be opened: a wrong passphrase or key, a damaged file.
    Store,
}

/// A remedy besides a correction of the account, which is carried out in the program around this library: a command
/// line, a server and a console each say it in their own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Name a file with accounts, or put one into the store.
    NameAccounts,
    /// Choose one of the account's environments.
    ChooseEnvironment,
    /// Wait for the browser on another port.
    ChoosePort,
    /// Name another store.
    NameStore,
    /// Name a policy that allows it.
    NamePolicy,
    /// Have a person sign in to the account at its provider, once more if somebody did.
    Authorize,
    /// The same of an account that is in a file, where no refresh token is kept: put it into the store first.
    StoreThenAuthorize,
}

/// One problem of one account: what it is, where it is, and what to do now. It never holds a secret.
///
/// Its `Display` is the place and then a clause in lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    place: Place,
    message: String,
    remedy: Option<Remedy>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, place: Place, message: impl Into<String>) -> Self {
        Self {
            kind,
            place,
            message: on_one_line(message.into()),
            remedy: None,
        }
    }

    pub(crate) fn with_remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Returns the kind of the problem.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the remedy in the program around this library, where there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        self.remedy
    }

    /// Checks whether the same call can succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::TokenUnavailable
    }

    /// Returns where the problem is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the clause without its place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place == Place::default() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Error {}

/// All problems that loading found, at least one; shown one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// None when there are no problems.
    pub(crate) fn from_found(found: Vec<Error>) -> Option<Self> {
        if found.is_empty() { None } else { Some(Self(found)) }
    }
}

impl std::ops::Deref for Errors {
    type Target = [Error];

    fn deref(&self) -> &[Error] {
        &self.0
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// The kind of a [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// Other people than the owner can read a file that holds a secret in clear.
    FileMode,
    /// A setting was corrected, or made stricter, because as written it cannot work.
    Corrected,
    /// A setting has no effect here.
    NoEffect,
    /// The account would sign in without TLS; the host refuses that unless the step asks for TLS.
    PlaintextSignIn,
    /// A value comes from a reference and is hidden where it would have to be seen.
    Masked,
    /// The provider no longer accepts passwords, or only special ones.
    Provider,
}

/// Something that works but that a person should know, as a clause without a full stop. It is returned, never printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    kind: WarningKind,
    place: Place,
    message: String,
}

impl Warning {
    pub(crate) fn new(kind: WarningKind, place: Place, message: impl Into<String>) -> Self {
        Self {
            kind,
            place,
            message: on_one_line(message.into()),
        }
    }

    /// Returns the kind of the warning.
    pub fn kind(&self) -> WarningKind {
        self.kind
    }

    /// Returns where the cause is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Returns the clause without its place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Control characters spelled out, wherever they came from: a file's name, a provider's words.
fn on_one_line(message: String) -> String {
    if !message.chars().any(char::is_control) {
        return message;
    }
    let spelled = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    message.chars().map(spelled).collect()
}
