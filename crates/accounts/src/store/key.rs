//! The key of the store: a passphrase, or an age identity.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use age::secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::environment::Keyring;
use crate::error::{Error, ErrorKind, Place};
use crate::secret::Secret;

/// How an age identity begins.
const IDENTITY: &str = "AGE-SECRET-KEY-1";

/// The key that opens the store.
pub struct StoreKey {
    inner: Inner,
    place: Place,
}

enum Inner {
    Passphrase(SecretString),
    Identity(age::x25519::Identity),
}

impl StoreKey {
    /// Makes a key from a passphrase that a person typed.
    pub fn passphrase(passphrase: &Secret) -> Self {
        Self {
            inner: Inner::Passphrase(passphrase.expose().to_owned().into()),
            place: Place::default(),
        }
    }

    /// Reads the passphrase in a file, without one trailing line break.
    ///
    /// # Errors
    /// Returns an error when the file cannot be read, is empty, or can be read by others than its owner.
    pub fn from_passphrase_file(path: &Path) -> Result<Self, Error> {
        let text = read_private(path)?;
        let passphrase = text
            .strip_suffix('\n')
            .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if passphrase.is_empty() {
            return Err(Error::new(
                ErrorKind::Secret,
                Place::file(path),
                "the passphrase file is empty; write the passphrase into it",
            ));
        }
        Ok(Self {
            inner: Inner::Passphrase(passphrase.to_owned().into()),
            place: Place::file(path),
        })
    }

    /// Reads the age identity in a file, as `age-keygen` and [`StoreKey::create_key_file`] write it.
    ///
    /// # Errors
    /// Returns an error when the file cannot be read, holds no identity, or can be read by others than its owner.
    pub fn from_key_file(path: &Path) -> Result<Self, Error> {
        let text = read_private(path)?;
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        let identity = line.and_then(|line| line.parse::<age::x25519::Identity>().ok());
        match identity {
            Some(identity) => Ok(Self {
                inner: Inner::Identity(identity),
                place: Place::file(path),
            }),
            None => Err(Error::new(
                ErrorKind::Invalid,
                Place::file(path),
                format!("the key file holds no age key; it is one line that begins with {IDENTITY}"),
            )),
        }
    }

    /// Reads the passphrase or age identity under a name in the keyring.
    ///
    /// # Errors
    /// Returns an error when the keyring cannot be asked or has no such entry.
    pub fn from_keyring(keyring: &dyn Keyring, name: &str) -> Result<Self, Error> {
        let fail = |message: String| Error::new(ErrorKind::Secret, Place::default(), message);
        let secret = match keyring.get(name) {
            Ok(Some(secret)) if !secret.is_empty() => secret,
            Ok(_) => {
                return Err(fail(format!(
                    "the keyring has no entry {name} for the store; put the store's passphrase there"
                )));
            }
            Err(reason) => return Err(fail(format!("the keyring entry {name} cannot be read: {reason}"))),
        };
        let inner = match secret.expose().parse() {
            Ok(identity) => Inner::Identity(identity),
            Err(_) => Inner::Passphrase(secret.expose().to_owned().into()),
        };
        Ok(Self {
            inner,
            place: Place::default(),
        })
    }

    /// Makes a new key in a new file that only its owner can read.
    ///
    /// # Errors
    /// Returns an error when the file exists or cannot be written: a store whose key was overwritten can never be
    /// opened again.
    pub fn create_key_file(path: &Path) -> Result<Self, Error> {
        let identity = age::x25519::Identity::generate();
        let text = identity.to_string();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let write = || {
            let mut file = options.open(path)?;
            file.write_all(text.expose_secret().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|error| {
            let message = format!("the key file cannot be made ({error}); name a file that does not exist yet");
            Error::new(ErrorKind::File, Place::file(path), message)
        })?;
        Ok(Self {
            inner: Inner::Identity(identity),
            place: Place::file(path),
        })
    }

    /// Returns the place of the key, which names its file when it came from one.
    pub fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn is_passphrase(&self) -> bool {
        matches!(self.inner, Inner::Passphrase(_))
    }

    pub(super) fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, age::EncryptError> {
        match &self.inner {
            Inner::Passphrase(passphrase) => age::encrypt(&age::scrypt::Recipient::new(passphrase.clone()), plain),
            Inner::Identity(identity) => age::encrypt(&identity.to_public(), plain),
        }
    }

    pub(super) fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, age::DecryptError> {
        let plain = match &self.inner {
            Inner::Passphrase(passphrase) => {
                let mut identity = age::scrypt::Identity::new(passphrase.clone());
                // A gibibyte of memory: what a fast machine wrote, a slow one can still read.
                identity.set_max_work_factor(20);
                age::decrypt(&identity, sealed)?
            }
            Inner::Identity(identity) => age::decrypt(identity, sealed)?,
        };
        Ok(Zeroizing::new(plain))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_passphrase() {
            "StoreKey(passphrase)"
        } else {
            "StoreKey(identity)"
        })
    }
}

/// Reads the text of a file that only its owner can read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, Error> {
    let fail = |message: String| Error::new(ErrorKind::File, Place::file(path), message);
    super::file::refuse_open_to_others(path)?;
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        fail(format!(
            "the key file cannot be read ({error}); correct the path or its mode"
        ))
    })
}
