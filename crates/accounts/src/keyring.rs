//! The operating system's keyring: Secret Service, Keychain or Credential Manager.

use zeroize::Zeroizing;

use crate::environment::Keyring;
use crate::secret::Secret;

/// The service under which entries stand; `${keyring:NAME}` is the user name in it.
const SERVICE: &str = "pipepost";

/// The keyring of the person who runs this program. A request to it can block, and can open a window that asks to
/// unlock it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemKeyring;

impl SystemKeyring {
    /// Stores a secret under a name, in place of the old one.
    ///
    /// # Errors
    /// Returns a sentence for a person, when the keyring is absent or locked.
    pub fn set(&self, name: &str, secret: &Secret) -> Result<(), String> {
        let entry = keyring::v1::Entry::new(SERVICE, name).map_err(|error| explain(&error))?;
        entry.set_password(secret.expose()).map_err(|error| explain(&error))
    }
}

impl Keyring for SystemKeyring {
    fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        let entry = keyring::v1::Entry::new(SERVICE, name).map_err(|error| explain(&error))?;
        match entry.get_password() {
            Ok(password) => Ok(Some(Secret::from(Zeroizing::new(password)))),
            Err(keyring::v1::Error::NoEntry) => Ok(None),
            Err(error) => Err(explain(&error)),
        }
    }
}

fn explain(error: &keyring::v1::Error) -> String {
    use keyring::v1::Error;
    match error {
        Error::NoDefaultStore | Error::PlatformFailure(_) => {
            "no keyring runs for this user; start one (on Linux a Secret Service such as gnome-keyring), or use ${env:} or ${file:}"
                .to_owned()
        }
        Error::NoStorageAccess(_) => "it is locked; unlock it, or use ${env:} or ${file:}".to_owned(),
        // The other kinds may quote what they found, which may be the secret.
        _ => "its entry cannot be used; store it there anew, as text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use keyring::v1::Error;

    use super::*;

    #[test]
    fn what_the_keyring_says_becomes_a_sentence_without_the_secret() {
        assert!(explain(&Error::NoDefaultStore).starts_with("no keyring runs for this user"));
        let explained = explain(&Error::BadEncoding(b"PLANTED\xff".to_vec()));
        assert_eq!(explained, "its entry cannot be used; store it there anew, as text");
    }
}
