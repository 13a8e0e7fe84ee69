//! Certificates that the server makes for itself, good ones and bad ones.
//!
//! An [`Authority`] is made anew for each server and never leaves memory; its certificate, without the key, is what a client
//! trusts. The key dies with the process, so a forgotten trust does no harm: nobody can issue another certificate with it. A
//! server's own certificate can be kept ([`Identity::to_text`]), so that clients find the server that they know when it
//! begins again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// What is said of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing is wrong.
    #[default]
    None,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is signed with its own key, by no authority.
    SelfSigned,
    /// Its names are others than those of the server.
    WrongName,
}

/// A certificate authority of one's own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes an authority with a fresh key.
    pub fn new() -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Pipepost inbox authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2120, 1, 1);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Its certificate in PEM: what an account's `ca_file` holds to trust the server.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a server certificate for `localhost`, `127.0.0.1`, `::1` and `names` (names or addresses), with this flaw.
    pub fn issue(&self, names: &[String], flaw: Flaw) -> Result<Identity, TlsError> {
        let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        all.extend(names.iter().cloned());
        if flaw == Flaw::WrongName {
            all = vec!["somebody-else.example".to_owned()];
        }
        all.dedup();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(all.clone())?;
        let common_name = all.iter().find(|name| name.parse::<IpAddr>().is_err());
        params
            .distinguished_name
            .push(DnType::CommonName, common_name.map_or("pipepost inbox", String::as_str));
        params.use_authority_key_identifier_extension = flaw != Flaw::SelfSigned;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.not_before, params.not_after) = match flaw {
            Flaw::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31)),
            Flaw::NotYetValid => (date_time_ymd(2119, 1, 1), date_time_ymd(2119, 12, 31)),
            _ => (date_time_ymd(2020, 1, 1), date_time_ymd(2119, 12, 31)),
        };
        let certificate = match flaw {
            Flaw::SelfSigned => params.self_signed(&key)?,
            _ => params.signed_by(&key, &self.issuer)?,
        };
        Ok(Identity {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }
}

/// Without the key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A server's certificate with its key.
#[derive(Clone)]
pub struct Identity {
    pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// The certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the certificate and its key in PEM, as [`Identity::from_text`] reads them. Whoever has the text is this server.
    pub fn to_text(&self) -> Result<String, TlsError> {
        let key = KeyPair::try_from(self.key.as_slice())?;
        Ok(format!("{}{}", self.pem, key.serialize_pem()))
    }

    /// Reads the certificate and the key that [`Identity::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, TlsError> {
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())?;
        let end = text.find("-----BEGIN PRIVATE KEY-----").unwrap_or(text.len());
        Ok(Self {
            pem: text[..end].to_owned(),
            certificate,
            key: key.secret_pkcs8_der().to_vec(),
        })
    }

    /// A server configuration that presents it, for these TLS versions (all that rustls knows, when there are none). Sessions
    /// can be resumed.
    pub fn server_config(&self, versions: &[&'static SupportedProtocolVersion]) -> Result<Arc<ServerConfig>, TlsError> {
        let versions = if versions.is_empty() {
            rustls::ALL_VERSIONS
        } else {
            versions
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)?;
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        Ok(Arc::new(config))
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// A certificate or the TLS configuration could not be made.
#[derive(Debug)]
pub struct TlsError(Box<dyn std::error::Error + Send + Sync>);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the inbox could not make its certificate: {}; check the names that it is to bear",
            self.0
        )
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<rustls::pki_types::pem::Error> for TlsError {
    fn from(error: rustls::pki_types::pem::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(Box::new(error))
    }
}
