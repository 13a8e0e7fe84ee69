//! The file of tokens: read, added to, taken from. Every change replaces the file at once, and two changes at the same time
//! wait for each other.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Entry, Scope, Token, Tokens};

/// A file of a thousand tokens has about 200 KB.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How long a token's name may be, in bytes.
const MAX_NAME: usize = 100;

/// The reason why tokens cannot be read, made or changed. Each is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read or written.
    #[error("{}: the file of tokens {what}: {source}.", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What cannot be done with it.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: {reason}.", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// Others than the owner can write the file, so they could give themselves every right.
    #[error("{}: it can be written by others (mode {mode:04o}); run chmod 600 on it.", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The name is not one.
    #[error("`{0}` cannot be the name of a token: use 1 to 100 characters without line breaks.")]
    Name(String),
    /// There is a token of this name.
    #[error("There is a token `{0}` already; remove it first, or choose another name.")]
    Taken(String),
    /// There is no token of this name.
    #[error("There is no token `{0}`.")]
    Unknown(String),
    /// It is none of the scopes.
    #[error(
        "`{0}` is not a scope; the scopes are `run:*`, `run:` with a pipeline's name, `read`, `operate` and `admin`."
    )]
    Scope(String),
    /// A token that may do nothing.
    #[error(
        "The token has no scope; name at least one of `run:*`, `run:` with a pipeline's name, `read`, `operate` and `admin`."
    )]
    NoScope,
    /// The system has no random numbers.
    #[error("The system gives no random numbers: {0}.")]
    NoRandom(String),
}

/// One token in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub may: Vec<Scope>,
}

/// One entry as the file writes it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    sha256: String,
    may: Vec<Scope>,
}

/// A file of tokens.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// Names the file. It need not exist before the first token is added.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the tokens that are taken.
    ///
    /// # Errors
    /// When the file is missing, open to others, or holds something else.
    pub fn load(&self) -> Result<Tokens, TokensError> {
        self.read().map(Tokens::of)
    }

    /// Returns the tokens' names and scopes, in the file's order.
    ///
    /// # Errors
    /// As [`TokenFile::load`]; a file that does not exist holds no tokens.
    pub fn list(&self) -> Result<Vec<Listed>, TokensError> {
        let listed = |entry: Entry| Listed {
            name: entry.name,
            may: entry.may,
        };
        Ok(self.read_or_empty()?.into_iter().map(listed).collect())
    }

    /// Makes a token, adds its hash to the file, and returns the token: it cannot be shown again.
    ///
    /// # Errors
    /// When the name is taken or not one, there is no scope, or the file cannot be changed.
    pub fn add(&self, name: &str, may: &[Scope]) -> Result<Token, TokensError> {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(TokensError::Name(name.to_owned()));
        }
        if may.is_empty() {
            return Err(TokensError::NoScope);
        }
        let _lock = self.lock()?;
        let mut entries = self.read_or_empty()?;
        if entries.iter().any(|entry| entry.name == name) {
            return Err(TokensError::Taken(name.to_owned()));
        }
        let token = Token::random()?;
        entries.push(Entry {
            name: name.to_owned(),
            digest: token.digest(),
            may: may.to_vec(),
        });
        self.replace(&entries)?;
        Ok(token)
    }

    /// Removes the token of this name.
    ///
    /// # Errors
    /// When there is none, or the file cannot be changed.
    pub fn remove(&self, name: &str) -> Result<(), TokensError> {
        let _lock = self.lock()?;
        let mut entries = self.read_or_empty()?;
        let before = entries.len();
        entries.retain(|entry| entry.name != name);
        if entries.len() == before {
            return Err(TokensError::Unknown(name.to_owned()));
        }
        self.replace(&entries)
    }

    fn read_or_empty(&self) -> Result<Vec<Entry>, TokensError> {
        match self.read() {
            Err(TokensError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    fn read(&self) -> Result<Vec<Entry>, TokensError> {
        let about = std::fs::metadata(&self.path).map_err(|error| self.failed("cannot be read", error))?;
        if !about.is_file() {
            // A pipe would be waited for.
            return Err(self.wrong("it is not a file; name the file of tokens".to_owned()));
        }
        let file = File::open(&self.path).map_err(|error| self.failed("cannot be read", error))?;
        self.refuse_writable_by_others(&file)?;
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(|error| self.failed("cannot be read", error))?;
        let written: Vec<Written> = serde_json::from_str(&text).map_err(|error| self.wrong(trimmed(&error)))?;
        let mut entries: Vec<Entry> = Vec::with_capacity(written.len());
        for one in written {
            let digest = from_hex(&one.sha256)
                .ok_or_else(|| self.wrong(format!("the `sha256` of `{}` is not 64 hexadecimal digits", one.name)))?;
            if one.name.is_empty() || one.may.is_empty() {
                let missing = if one.name.is_empty() { "name" } else { "scope in `may`" };
                return Err(self.wrong(format!("the token {} has no {missing}", entries.len() + 1)));
            }
            if entries.iter().any(|entry| entry.name == one.name) {
                return Err(self.wrong(format!("the name `{}` is there twice", one.name)));
            }
            entries.push(Entry {
                name: one.name,
                digest,
                may: one.may,
            });
        }
        Ok(entries)
    }

    fn replace(&self, entries: &[Entry]) -> Result<(), TokensError> {
        let written: Vec<Written> = entries
            .iter()
            .map(|entry| Written {
                name: entry.name.clone(),
                sha256: to_hex(&entry.digest),
                may: entry.may.clone(),
            })
            .collect();
        let mut text = serde_json::to_string_pretty(&written).map_err(|error| self.wrong(error.to_string()))?;
        text.push('\n');
        let new = self.beside(".new");
        let write = || {
            // What a writer left that was killed; the lock says that it is nobody's.
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = private().create_new(true).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            #[cfg(unix)]
            File::open(self.folder())?.sync_all()?;
            Ok(())
        };
        write().map_err(|error: io::Error| {
            // It may be renamed already; the error that matters is the first.
            drop(std::fs::remove_file(&new));
            self.failed("cannot be written", error)
        })
    }

    /// Waits for whoever changes the file now. The lock has a file of its own, because the other one is replaced.
    fn lock(&self) -> Result<File, TokensError> {
        let lock = || {
            let file = private().create(true).truncate(false).open(self.beside(".lock"))?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| self.failed("cannot be locked", error))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(ending);
        self.path.with_file_name(name)
    }

    #[cfg(unix)]
    fn folder(&self) -> &Path {
        self.path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    #[cfg(unix)]
    fn refuse_writable_by_others(&self, file: &File) -> Result<(), TokensError> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = file.metadata().map_err(|error| self.failed("cannot be read", error))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            let path = self.path.clone();
            return Err(TokensError::OpenToOthers { path, mode });
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn refuse_writable_by_others(&self, _file: &File) -> Result<(), TokensError> {
        Ok(())
    }

    fn failed(&self, what: &'static str, source: io::Error) -> TokensError {
        TokensError::File {
            path: self.path.clone(),
            what,
            source,
        }
    }

    fn wrong(&self, reason: String) -> TokensError {
        TokensError::Content {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Options for a file that only its owner reads.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A parser's words as a part of a sentence.
fn trimmed(error: &serde_json::Error) -> String {
    error.to_string().replace(". at line", " at line")
}

fn to_hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (position, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::Need;
    use super::*;

    fn scopes(may: &[&str]) -> Vec<Scope> {
        may.iter().map(|scope| scope.parse().expect("a scope")).collect()
    }

    #[test]
    fn a_token_is_added_known_listed_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = TokenFile::new(folder.path().join("tokens.json"));
        assert_eq!(file.list().expect("no tokens"), []);
        let shop = file.add("shop", &scopes(&["run:order"])).expect("a token");
        let console = file.add("console", &scopes(&["admin"])).expect("a token");
        let tokens = file.load().expect("tokens");
        let caller = tokens.recognise(shop.expose()).expect("known");
        assert_eq!(caller.name(), "shop");
        assert!(caller.may(Need::Run("order")) && !caller.may(Need::Read));
        assert!(tokens.recognise(console.expose()).expect("known").may(Need::Admin));
        let names: Vec<String> = file
            .list()
            .expect("two")
            .into_iter()
            .map(|listed| listed.name)
            .collect();
        assert_eq!(names, ["shop", "console"]);
        file.remove("shop").expect("removed");
        assert_eq!(file.load().expect("one").recognise(shop.expose()), None);
        assert!(matches!(file.remove("shop"), Err(TokensError::Unknown(_))));
    }

    #[test]
    fn the_file_holds_the_hash_and_not_the_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = TokenFile::new(folder.path().join("tokens.json"));
        let token = file.add("shop", &scopes(&["read"])).expect("a token");
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert!(!text.contains(&token.expose()[3..]));
        let expected = format!(
            r#"[{{"name":"shop","sha256":"{}","may":["read"]}}]"#,
            to_hex(&token.digest())
        );
        let compact: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(compact.to_string(), expected);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(file.path()).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn names_are_unique_and_scopes_are_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = TokenFile::new(folder.path().join("tokens.json"));
        file.add("shop", &scopes(&["read"])).expect("a token");
        assert!(matches!(
            file.add("shop", &scopes(&["read"])),
            Err(TokensError::Taken(_))
        ));
        assert!(matches!(file.add("", &scopes(&["read"])), Err(TokensError::Name(_))));
        assert!(matches!(
            file.add("a\nb", &scopes(&["read"])),
            Err(TokensError::Name(_))
        ));
        assert!(matches!(file.add("other", &[]), Err(TokensError::NoScope)));
    }

    #[test]
    fn many_who_add_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = TokenFile::new(folder.path().join("tokens.json"));
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let file = &file;
                scope.spawn(move || {
                    for turn in 0..4 {
                        file.add(&format!("{worker}-{turn}"), &[Scope::Read]).expect("a token");
                    }
                });
            }
        });
        assert_eq!(file.list().expect("all").len(), 32);
    }

    #[test]
    fn a_file_with_something_else_is_refused_by_name_and_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let hash = "0".repeat(64);
        for (text, expected) in [
            ("{", "tokens.json"),
            ("{}", "line 1"),
            (r#"[{"name":"a","sha256":"12","may":["read"]}]"#, "64 hexadecimal"),
            (
                r#"[{"name":"a","sha256":"HASH","may":["write"]}]"#,
                "`write` is not a scope",
            ),
            (
                r#"[{"name":"a","sha256":"HASH","can":["read"]}]"#,
                "unknown field `can`",
            ),
            (
                r#"[{"name":"a","sha256":"HASH","may":["read"]},{"name":"a","sha256":"HASH","may":["read"]}]"#,
                "`a` is there twice",
            ),
        ] {
            std::fs::write(&path, text.replace("HASH", &hash)).expect("written");
            let told = TokenFile::new(&path).load().expect_err(text).to_string();
            assert!(told.contains(expected) && told.ends_with('.'), "{told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let file = TokenFile::new(folder.path().join("tokens.json"));
        file.add("shop", &[Scope::Read]).expect("a token");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o622)).expect("changed");
        assert!(matches!(file.load(), Err(TokensError::OpenToOthers { .. })));
        assert!(matches!(
            file.add("b", &[Scope::Read]),
            Err(TokensError::OpenToOthers { .. })
        ));
    }
}
