//! What a certificate says, for a person; and whether one that the operator has pinned is within its period of validity.
//! All others rustls has checked before.

use std::time::Duration;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::name::Name;

/// The parts of a certificate that people ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The owner of the certificate.
    pub subject: String,
    /// The authority that signed it.
    pub issuer: String,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads a certificate from DER; returns `None` when the bytes are not a certificate.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let not_after = certificate.validity.not_after.to_unix_duration();
        Some(Self {
            subject: shown(&certificate.subject),
            issuer: shown(&certificate.issuer),
            not_after: Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()?,
        })
    }

    /// Returns the number of whole days until it expires.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(86_400)
    }
}

/// Returns a certificate's public key, as DER (`SubjectPublicKeyInfo`); `None` when the bytes are no certificate.
pub(crate) fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    certificate.tbs_certificate.subject_public_key_info.to_der().ok()
}

/// Checks a certificate's period of validity.
///
/// # Errors
/// When `now` is outside it, or the bytes are no certificate.
pub(crate) fn check_period(der: &[u8], now: UnixTime) -> Result<(), CertificateError> {
    let certificate = x509_cert::Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let validity = certificate.tbs_certificate.validity;
    let time = |time: Duration| UnixTime::since_unix_epoch(time);
    let not_before = time(validity.not_before.to_unix_duration());
    let not_after = time(validity.not_after.to_unix_duration());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

/// The common name, or the organisation, or the whole of it; the server chose it, so nothing in it reaches a terminal raw.
fn shown(name: &Name) -> String {
    let whole = name.to_string();
    let part = |kind: &str| {
        whole
            .split(',')
            .find_map(|part| part.strip_prefix(kind))
            .map(str::to_owned)
    };
    let text = part("CN=").or_else(|| part("O=")).unwrap_or_else(|| whole.clone());
    let text: String = text.escape_debug().take(100).collect();
    if text.is_empty() {
        "nobody by name".to_owned()
    } else {
        text
    }
}
