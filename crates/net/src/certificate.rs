//! What a certificate says, for a person. Rustls has checked it before; nothing is decided here.

use jiff::Timestamp;
use x509_cert::der::Decode as _;
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
