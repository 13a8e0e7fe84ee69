//! Text with references in it: `${env:NAME}`, `${file:PATH}`, `${keyring:NAME}`, and `$${` for a literal `${`.
//!
//! References are read only when the text is needed, so that a document can be checked on a machine that has none of
//! its secrets.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_core::beneath::{self, Access, OpenError};
use pipepost_core::policy::AllowedReferences;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place, Remedy};
use crate::secret::Secret;
use crate::suggest::advice;

/// More than any password, token or key; a reference to a disk image is a mistake.
const MAX_FILE: u64 = 1 << 20;

/// A text that may hold secrets or references to secrets, not yet read.
///
/// Its `Debug` names the references and hides literal text.
pub struct SecretSource {
    pieces: Vec<Piece>,
    base: PathBuf,
    place: Place,
    references: References,
}

/// What an account may refer to.
#[derive(Debug, Clone, Default)]
pub(crate) enum References {
    /// An account of the operator's: everything that the process may read.
    #[default]
    Every,
    /// An account of the store: what the operator allows its label.
    Only(Arc<AllowedReferences>),
}

enum Piece {
    Literal(Zeroizing<String>),
    Variable(String),
    File(String),
    Keyring(String),
}

impl SecretSource {
    /// Reads the references, not what they point to. `base` is the folder of the accounts file.
    pub(crate) fn parse(text: &str, base: &Path, place: Place) -> Result<Self, Error> {
        let pieces = parse_pieces(text).map_err(|message| Error::new(ErrorKind::Invalid, place.clone(), message))?;
        Ok(Self {
            pieces,
            base: base.to_path_buf(),
            place,
            references: References::Every,
        })
    }

    /// The same, for an account that may hold no other references than these.
    ///
    /// # Errors
    /// Returns [`ErrorKind::NotAllowed`] for another reference.
    pub(crate) fn within(mut self, references: &References) -> Result<Self, Error> {
        self.references = references.clone();
        match self.pieces.iter().find(|piece| !self.allows(piece)) {
            None => Ok(self),
            Some(piece) => Err(self.not_allowed(piece)),
        }
    }

    fn allows(&self, piece: &Piece) -> bool {
        let References::Only(allowed) = &self.references else {
            return true;
        };
        match piece {
            Piece::Literal(_) => true,
            Piece::Variable(name) => allowed.variables.contains(name),
            Piece::File(path) => allowed.folder_of(&self.base.join(path)).is_some(),
            Piece::Keyring(name) => allowed.keyring_entries.contains(name),
        }
    }

    fn not_allowed(&self, piece: &Piece) -> Error {
        let key = match piece {
            Piece::Literal(_) | Piece::Variable(_) => "variables",
            Piece::File(_) => "folders",
            Piece::Keyring(_) => "keyring_entries",
        };
        let message = format!(
            "it refers to {}, which the operator's policy does not allow an account of the store; write the value itself, or have the operator allow it under \"stored_accounts\", this label, \"{key}\"",
            piece.describe()
        );
        Error::new(ErrorKind::NotAllowed, self.place.clone(), message).with_remedy(Remedy::NamePolicy)
    }

    /// The content of a file; a relative path starts at `base`.
    pub(crate) fn file(path: &str, base: &Path, place: Place) -> Self {
        Self {
            pieces: vec![Piece::File(path.to_owned())],
            base: base.to_path_buf(),
            place,
            references: References::Every,
        }
    }

    /// A text that was resolved already.
    pub(crate) fn literal(text: &str, place: Place) -> Self {
        let pieces = vec![Piece::Literal(Zeroizing::new(text.to_owned()))];
        Self {
            pieces,
            base: PathBuf::new(),
            place,
            references: References::Every,
        }
    }

    /// Checks whether any part of the text is written in clear in the accounts file.
    pub fn has_literal(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Literal(_)))
    }

    /// The value, when it stands in the file and nothing else does.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text without what may be a secret: references stay, literal text becomes `***`.
    pub(crate) fn redacted(&self) -> String {
        self.pieces.iter().map(Piece::redacted).collect()
    }

    /// The same text with its relative files named from the root, for keeping elsewhere.
    pub(crate) fn rooted(&self) -> Zeroizing<String> {
        let parts: Vec<Zeroizing<String>> = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Zeroizing::new(text.replace("${", "$${")),
                Piece::File(path) => Zeroizing::new(format!("${{file:{}}}", self.base.join(path).display())),
                reference => Zeroizing::new(reference.redacted()),
            })
            .collect();
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        parts.iter().for_each(|part| text.push_str(part));
        text
    }

    /// Hands over what decides its value, piece by piece: literal text itself, of references where they point.
    pub(crate) fn digest(&self, feed: &mut dyn FnMut(&[u8])) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => {
                    feed(b"literal");
                    feed(text.as_bytes());
                }
                Piece::Variable(name) => {
                    feed(b"env");
                    feed(name.as_bytes());
                }
                // The same name in another folder is another file.
                Piece::File(path) => {
                    feed(b"file");
                    feed(self.base.join(path).as_os_str().as_encoded_bytes());
                }
                Piece::Keyring(name) => {
                    feed(b"keyring");
                    feed(name.as_bytes());
                }
            }
        }
    }

    /// Whether nothing was written at all.
    pub(crate) fn is_blank(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether both would give the same value, as far as can be said without reading either.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.pieces.len() == other.pieces.len()
            && self.pieces.iter().zip(&other.pieces).all(|pair| match pair {
                (Piece::Literal(a), Piece::Literal(b)) => a == b,
                (Piece::Variable(a), Piece::Variable(b))
                | (Piece::File(a), Piece::File(b))
                | (Piece::Keyring(a), Piece::Keyring(b)) => a == b,
                _ => false,
            })
    }

    /// Returns where the text was written.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reads the values of the references and returns the whole text.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`] when a variable is unset, a file is unreadable, a keyring entry is missing, or the
    /// whole text is empty, and [`ErrorKind::NotAllowed`] when the account may not hold the reference. The sentence names the reference, never a value.
    pub fn resolve(&self, environment: &Environment) -> Result<Secret, Error> {
        let fail = |message: String| Error::new(ErrorKind::Secret, self.place.clone(), message);
        let mut value = Zeroizing::new(String::new());
        for piece in &self.pieces {
            if !self.allows(piece) {
                return Err(self.not_allowed(piece));
            }
            let part = self.resolve_piece(piece, environment).map_err(fail)?;
            if part.is_empty() {
                return Err(fail(format!("{} is empty; put the value there", piece.describe())));
            }
            // Growing in place would leave the shorter copy behind in freed memory.
            let mut grown = Zeroizing::new(String::with_capacity(value.len() + part.len()));
            grown.push_str(&value);
            grown.push_str(&part);
            value = grown;
        }
        if value.is_empty() {
            return Err(fail(
                "the value is empty; write it, or a reference such as ${env:NAME}".to_owned(),
            ));
        }
        Ok(Secret::from(value))
    }

    /// Refuses a file among the references that others than its owner can read: it holds a private key.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`], with the file and its mode.
    pub(crate) fn refuse_files_open_to_others(&self) -> Result<(), Error> {
        for piece in &self.pieces {
            let Piece::File(path) = piece else { continue };
            if let Some(mode) = mode_open_to_others(&self.base.join(path)) {
                let message = format!("the file {path} can be read by others (mode {mode:04o}); run chmod 600 on it");
                return Err(Error::new(ErrorKind::Secret, self.place.clone(), message));
            }
        }
        Ok(())
    }

    /// Returns the value when it can be had without asking anybody and without reading a file, which may give it only once.
    pub(crate) fn at_hand(&self, environment: &Environment) -> Option<Secret> {
        let is_at_hand = |piece: &Piece| matches!(piece, Piece::Literal(_) | Piece::Variable(_));
        let all = self.pieces.iter().all(is_at_hand);
        all.then(|| self.resolve(environment).ok()).flatten()
    }

    fn resolve_piece(&self, piece: &Piece, environment: &Environment) -> Result<Zeroizing<String>, String> {
        match piece {
            Piece::Literal(text) => Ok(text.clone()),
            Piece::Variable(name) => environment.variable(name).map(Zeroizing::new),
            Piece::File(path) => self.read_file(&self.base.join(path)),
            Piece::Keyring(name) => environment
                .keyring(name)
                .map(|secret| Zeroizing::new(secret.expose().to_owned())),
        }
    }
}

impl SecretSource {
    /// Whether the value comes from outside of the document, in part or whole.
    pub(crate) fn has_reference(&self) -> bool {
        self.pieces.iter().any(|piece| !matches!(piece, Piece::Literal(_)))
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<String>, String> {
        let shown = path.display();
        let unreadable =
            |error: std::io::Error| format!("the file {shown} cannot be read ({error}); correct the path or its mode");
        let References::Only(allowed) = &self.references else {
            return read_text(path, std::fs::File::open(path).map_err(unreadable)?);
        };
        // The folder is a wall: neither a name nor a link leads out, also one that is exchanged meanwhile.
        let (folder, inside) = allowed
            .folder_of(path)
            .ok_or_else(|| format!("the file {shown} is not in a folder that the policy allows; name another"))?;
        let file = beneath::open(folder, inside, Access::Read).map_err(|error| match error {
            OpenError::NotFound => unreadable(std::io::ErrorKind::NotFound.into()),
            OpenError::Outside => {
                format!(
                    "the file {shown} leads out of the folder {} that the policy allows; name another",
                    folder.display()
                )
            }
            OpenError::NotAFile => format!("{shown} is not a file; name another"),
            OpenError::Io(error) => unreadable(error),
        })?;
        read_text(path, file)
    }
}

impl Piece {
    fn redacted(&self) -> String {
        match self {
            Self::Literal(_) => "***".to_owned(),
            Self::Variable(name) => format!("${{env:{name}}}"),
            Self::File(path) => format!("${{file:{path}}}"),
            Self::Keyring(name) => format!("${{keyring:{name}}}"),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Literal(_) => "the value".to_owned(),
            Self::Variable(name) => format!("the environment variable {name}"),
            Self::File(path) => format!("the file {path}"),
            Self::Keyring(name) => format!("the keyring entry {name}"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({})", self.redacted())
    }
}

fn parse_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if at > 0 && rest.as_bytes()[at - 1] == b'$' {
            literal.push_str(&rest[..at - 1]);
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        // The text around a malformed reference may be a password: the message shows none of it.
        let Some(end) = inside.find('}') else {
            return Err(
                "a \"${\" has no closing \"}\"; close the reference, or write \"$${\" for a literal \"${\"".to_owned(),
            );
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(parse_reference(&inside[..end])?);
        rest = &inside[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn parse_reference(inside: &str) -> Result<Piece, String> {
    const KINDS: [&str; 3] = ["env", "file", "keyring"];
    let Some((kind, name)) = inside.split_once(':') else {
        return Err(
            "a \"${\" begins no reference; write ${env:NAME}, ${file:PATH} or ${keyring:NAME}, or \"$${\" for a literal \"${\""
                .to_owned(),
        );
    };
    if name.trim().is_empty() {
        return Err(format!(
            "a ${{{}:}} reference has no name; write it after the colon",
            kind.trim()
        ));
    }
    match kind.trim().to_ascii_lowercase().as_str() {
        "env" => Ok(Piece::Variable(name.trim().to_owned())),
        "file" => Ok(Piece::File(name.to_owned())),
        "keyring" => Ok(Piece::Keyring(name.trim().to_owned())),
        other if other.len() <= 12 && other.chars().all(|c| c.is_ascii_alphabetic()) => {
            Err(format!("there is no ${{{other}:}} reference; {}", advice(other, KINDS)))
        }
        _ => Err("a \"${\" begins no reference; write \"$${\" for a literal \"${\"".to_owned()),
    }
}

/// The mode of a file that others than its owner can read. A file that is not there is found missing when it is read.
#[cfg(unix)]
fn mode_open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then_some(mode & 0o7777)
}

/// Elsewhere the user's folders are the user's own.
#[cfg(not(unix))]
fn mode_open_to_others(_path: &Path) -> Option<u32> {
    None
}

/// The text of a file, less one trailing line break.
fn read_text(path: &Path, file: std::fs::File) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| format!("the file {shown} cannot be read ({error}); correct the path or its mode");
    let size = file.metadata().map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(format!(
            "the file {shown} is larger than 1 MiB, too large for a value; name another"
        ));
    }
    // With the capacity reserved, reading does not leave copies behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE.min(size + 1) as usize + 64));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("the file {shown} is not UTF-8 text; name another"))?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn resolve(text: &str) -> Result<String, String> {
        let environment = Environment::process().with_variables(HashMap::from([
            ("A".to_owned(), "alpha".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]));
        SecretSource::parse(text, Path::new("."), Place::default())
            .and_then(|source| source.resolve(&environment))
            .map(|secret| secret.expose().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn references_stand_alone_or_inside_text() {
        assert_eq!(resolve("${env:A}").as_deref(), Ok("alpha"));
        assert_eq!(resolve("x-${ENV: A }-y").as_deref(), Ok("x-alpha-y"));
        assert_eq!(resolve("${env:A}${env:A}").as_deref(), Ok("alphaalpha"));
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_one() {
        assert_eq!(resolve("$${env:A}").as_deref(), Ok("${env:A}"));
        assert_eq!(resolve("a$b$$c{").as_deref(), Ok("a$b$$c{"));
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        for (text, expected) in [
            ("${env:B}", "variable B is not set"),
            ("${env:EMPTY}", "variable EMPTY is empty"),
            ("${keyring:mail}", "no keyring is available"),
            ("${file:no-such-file}", "no-such-file cannot be read"),
            ("hunter2${", "no closing"),
            ("hunter2${x}", "begins no reference"),
            ("hunter2${evn:B}", "did you mean \"env\"?"),
            ("${env:}", "has no name"),
            ("", "is empty"),
        ] {
            let error = resolve(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn one_trailing_line_break_of_a_file_is_dropped() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (content, expected) in [
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s3cret\n\n", "s3cret\n"),
            (" s ", " s "),
        ] {
            std::fs::write(dir.path().join("pw"), content).expect("written");
            let source = SecretSource::parse("${file:pw}", dir.path(), Place::default()).expect("a reference");
            assert_eq!(
                source.resolve(&Environment::process()).expect("readable").expose(),
                expected
            );
        }
    }

    #[test]
    fn debug_names_references_and_hides_text() {
        let source = SecretSource::parse("hunter2${env:A}${file:f}${keyring:k}", Path::new("."), Place::default());
        assert_eq!(
            format!("{:?}", source.expect("parses")),
            "SecretSource(***${env:A}${file:f}${keyring:k})"
        );
    }
}
