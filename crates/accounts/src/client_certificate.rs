//! The client's certificate and its private key: what the host shows to a server that asks for one in the TLS handshake.
//!
//! Both are PEM: the text itself, a reference to it, or the path of a file. They are read when a connection needs them,
//! as every secret is, and the key never leaves the host's TLS.

use std::fmt;

use ring::digest;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::environment::Environment;
use crate::error::{Error, ErrorKind};
use crate::fields::{Fields, Findings};
use crate::reference::SecretSource;

/// How PEM begins (RFC 7468, section 2).
const PEM: &str = "-----BEGIN ";

/// The fields of an account.
pub(crate) const CERTIFICATE: &str = "client_certificate";
pub(crate) const KEY: &str = "client_key";

/// Checks whether a field's text is a path, and neither PEM nor a reference.
pub(crate) fn is_path(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(PEM) && !text.contains("${")
}

/// Where a client's certificate and its key come from.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) certificate: SecretSource,
    pub(crate) key: SecretSource,
}

/// A client's certificate and its private key, read.
pub struct ClientIdentity {
    /// The client's certificate first, and the authorities between it and a root, if there are any.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
    fingerprint: [u8; digest::SHA256_OUTPUT_LEN],
}

impl ClientIdentity {
    /// Returns a digest by which two identities can be told apart. It is for use inside this process.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl ClientCertificate {
    /// Reads the two fields, and nothing that they refer to.
    pub(crate) fn read(fields: &mut Fields, found: &mut Findings) -> Option<Self> {
        let certificate = read_source(CERTIFICATE, fields, found);
        let key = read_source(KEY, fields, found);
        match (certificate, key) {
            (Some(certificate), Some(key)) => return Some(Self { certificate, key }),
            (Some(_), None) if !fields.is_written(KEY) => {
                let message =
                    "it is needed with a client certificate; write the path of its private key, or a reference to it";
                fields.refuse(KEY, ErrorKind::Missing, message, found);
            }
            (None, Some(_)) if !fields.is_written(CERTIFICATE) => {
                let message =
                    "it is needed with a client's key; write the path of the certificate, or a reference to it";
                fields.refuse(CERTIFICATE, ErrorKind::Missing, message, found);
            }
            _ => {}
        }
        None
    }

    /// Reads the certificate and the key.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`] when one of them cannot be read, is no PEM, or, for the key, is encrypted or in a
    /// file that others than its owner can read.
    pub(crate) fn resolve(&self, environment: &Environment) -> Result<ClientIdentity, Error> {
        let fail = |source: &SecretSource, message: &str| {
            Error::new(ErrorKind::Secret, source.place().clone(), message.to_owned())
        };
        self.key.refuse_files_open_to_others()?;
        let pem = self.certificate.resolve(environment)?;
        let chain = CertificateDer::pem_slice_iter(pem.expose().as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| fail(&self.certificate, "it is not whole PEM; export the certificate anew"))?;
        if chain.is_empty() {
            let message = "it holds no certificate; name a PEM file that holds -----BEGIN CERTIFICATE-----";
            return Err(fail(&self.certificate, message));
        }
        let pem = self.key.resolve(environment)?;
        let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| {
            // A key in a file has nobody who could type its passphrase.
            if pem.expose().contains("ENCRYPTED") {
                let message = "the key is encrypted with a passphrase; write it in clear into a file with mode 0600 (`openssl pkey -in KEY -out FILE`), and name that file";
                return fail(&self.key, message);
            }
            let message = "it holds no private key; name a PEM file that holds -----BEGIN PRIVATE KEY-----";
            fail(&self.key, message)
        })?;
        let mut context = digest::Context::new(&digest::SHA256);
        for part in chain.iter().map(AsRef::as_ref).chain([key.secret_der()]) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; digest::SHA256_OUTPUT_LEN];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Ok(ClientIdentity {
            chain,
            key,
            fingerprint,
        })
    }
}

fn read_source(name: &str, fields: &mut Fields, found: &mut Findings) -> Option<SecretSource> {
    let source = fields.secret(name, found).filter(|source| !source.is_blank())?;
    let path = source.as_literal().filter(|text| is_path(text)).map(str::to_owned);
    let Some(path) = path else { return Some(source) };
    let context = fields.context();
    SecretSource::file(path.trim(), &context.base, fields.place(name))
        .within(&context.references)
        .map_err(|error| found.errors.push(error))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Accounts;

    const CERTIFICATE_PEM: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    fn account(certificate: &str, key: &str) -> Result<Option<ClientIdentity>, String> {
        let json = serde_json::json!({
            "label": "mail", "type": "smtp-auth-and-properties", "host": "mx.example.com",
            CERTIFICATE: certificate, KEY: key,
        });
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let accounts = Accounts::from_json(&json.to_string(), &folder, &Environment::process());
        let accounts = accounts.map_err(|error| error.to_string())?;
        let account = accounts.get("mail").expect("an account");
        let shown = format!("{account:?} {}", account.public_view());
        assert!(!shown.contains("MII"), "{shown}");
        account.client_identity().map_err(|error| error.to_string())
    }

    fn key() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/service-account.pem");
        std::fs::read_to_string(path).expect("a key")
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = account(CERTIFICATE_PEM, &key()).expect("both").expect("an identity");
        assert_eq!(format!("{identity:?}"), "ClientIdentity { chain: 1, .. }");
        let other = account(&CERTIFICATE_PEM.replace("AAAA", "BBBB"), &key())
            .expect("both")
            .expect("an identity");
        assert_ne!(identity.fingerprint(), other.fingerprint());
    }

    #[test]
    fn what_is_neither_certificate_nor_key_is_named_and_not_shown() {
        let broken = key().replace("-----END", "-----EN");
        let locked = key().replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        for (certificate, key, words) in [
            ("-----BEGIN NOTHING-----", key().as_str(), "it is not whole PEM"),
            (CERTIFICATE_PEM, CERTIFICATE_PEM, "it holds no private key"),
            (CERTIFICATE_PEM, broken.as_str(), "it holds no private key"),
            (CERTIFICATE_PEM, locked.as_str(), "encrypted with a passphrase"),
            ("no-such.pem", key().as_str(), "no-such.pem cannot be read"),
        ] {
            let error = account(certificate, key).expect_err(words);
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("MII"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("client.key");
        std::fs::write(&path, key()).expect("written");
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a file of our own");
            for named in [path.display().to_string(), format!("${{file:{}}}", path.display())] {
                let identity = account(CERTIFICATE_PEM, &named);
                assert_eq!(identity.is_ok(), is_good, "{mode:o} {named}: {identity:?}");
                if let Err(error) = identity {
                    assert!(error.contains("run chmod 600 on it"), "{error}");
                }
            }
        }
    }
}
