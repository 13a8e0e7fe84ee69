//! What is wrong with a certificate, in a sentence for the person who can correct it.
//!
//! When a certificate is outside its period of validity, either the server or this machine's clock is wrong. The two
//! times together often show which: the clock shows a time at which this program did not exist, or one that is decades
//! ahead.

use jiff::Timestamp;
use pipepost_core::Endpoint;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// No copy of this program is older: 2026-05-01, in seconds since the Unix epoch.
const OLDEST: i64 = 1_777_593_600;

/// A clock that runs so far ahead of the oldest copy is wrong: twenty years, in seconds.
const LIFE: i64 = 20 * 365 * 24 * 60 * 60;

/// A certificate that begins so soon after the clock's time was made just now, by a clock that is ahead: two days.
const JUST_NOW: i64 = 2 * 24 * 60 * 60;

/// Says what is wrong.
pub(crate) fn explain(problem: &CertificateError, address: &Endpoint) -> String {
    let host = &address.host;
    match problem {
        CertificateError::ExpiredContext { time, not_after } => expired(address, seconds(*time), seconds(*not_after)),
        CertificateError::NotValidYetContext { time, not_before } => {
            not_yet_valid(address, seconds(*time), seconds(*not_before))
        }
        CertificateError::Expired => {
            format!(
                "The certificate of {address} has expired. The server's operator has to renew it; if it has not expired, set this machine's clock."
            )
        }
        CertificateError::NotValidYet => {
            format!("The certificate of {address} is not valid yet. Most often this machine's clock is wrong: set it.")
        }
        CertificateError::NotValidForName => format!(
            "The certificate of {address} is not issued for `{host}`. Name the host as its certificate does. {STRANGER}"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => match names(presented) {
            Some(names) => format!(
                "The certificate of {address} is not issued for `{host}` but for {names}. Name the host as its certificate does. {STRANGER}"
            ),
            None => format!(
                "The certificate of {address} names no host, so it cannot be for `{host}`; a common name alone does not count. The server's operator has to give it a certificate with that name (a subject alternative name). {STRANGER}"
            ),
        },
        // The last two: an authority of that name is trusted, and it is not the one that signed this.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "The certificate of {address} is signed by nobody this machine trusts. If the server is your own, name its authority's certificate in the account's `ca_file`. {STRANGER}"
        ),
        CertificateError::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => format!(
            "{address} shows a certificate that is itself an authority's (`openssl req -x509` makes such). If the server is your own, name this very certificate in the account's `ca_file`."
        ),
        CertificateError::Other(other) => built_wrongly(address, &other.0.to_string()),
        CertificateError::Revoked => format!(
            "The certificate of {address} has been revoked by its authority. The server's operator has to give it a new one."
        ),
        #[expect(deprecated, reason = "rustls may still give it")]
        CertificateError::UnsupportedSignatureAlgorithm => signed_weakly(address, None),
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } => signed_weakly(address, algorithm(signature_algorithm_id)),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
            "The certificate of {address} is not made for servers (its extended key usage lacks server authentication). The server's operator has to give it one that is."
        ),
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. }
        | CertificateError::InvalidOcspResponse => format!(
            "Whether the certificate of {address} has been revoked is not known, because what the server or its authority says of it is too old or unreadable. Tell the server's operator."
        ),
        CertificateError::BadEncoding => built_wrongly(address, "BadDer"),
        CertificateError::UnhandledCriticalExtension => built_wrongly(address, "UnsupportedCriticalExtension"),
        _ => built_wrongly(address, ""),
    }
}

/// The names of a certificate, from the form in which rustls gives them: `DnsName("mail.example")`, `IpAddress(...)`.
fn names(presented: &[String]) -> Option<String> {
    /// More names tell a person nothing.
    const SHOWN_MAX: usize = 5;
    let bare = |name: &String| {
        let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        let bare = inside.unwrap_or(name).trim_matches('"').escape_debug().to_string();
        (!bare.is_empty()).then(|| format!("`{bare}`"))
    };
    let mut names: Vec<String> = presented.iter().filter_map(bare).collect();
    let more = names.len().saturating_sub(SHOWN_MAX);
    names.truncate(SHOWN_MAX);
    let listed = match names.as_slice() {
        [] => return None,
        [only] => only.clone(),
        [first @ .., last] if more == 0 => format!("{} and {last}", first.join(", ")),
        all => all.join(", "),
    };
    Some(if more == 0 {
        listed
    } else {
        format!("{listed} and {more} more")
    })
}

/// The signature algorithms that certificates were signed with and are no longer, or not yet, taken: the object identifier
/// as DER, and the name.
const ALGORITHMS: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x02], "MD2 with RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], "MD5 with RSA"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
        "SHA-1 with RSA",
    ),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a], "RSA-PSS"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
        "SHA-256 with RSA",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
        "SHA-384 with RSA",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
        "SHA-512 with RSA",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0e],
        "SHA-224 with RSA",
    ),
    (&[0x2b, 0x0e, 0x03, 0x02, 0x1d], "SHA-1 with RSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03], "SHA-1 with DSA"),
    (
        &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x02],
        "SHA-256 with DSA",
    ),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], "SHA-1 with ECDSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01], "SHA-224 with ECDSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], "SHA-256 with ECDSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], "SHA-384 with ECDSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], "SHA-512 with ECDSA"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
];

/// The name of an algorithm. Its identifier begins with an object identifier in DER: tag 6, length, value.
fn algorithm(identifier: &[u8]) -> Option<&'static str> {
    let value = match identifier {
        [6, length, rest @ ..] => rest.get(..usize::from(*length))?,
        bare => bare,
    };
    let known = ALGORITHMS.iter().find(|(object, _)| *object == value);
    known.map(|(_, name)| *name)
}

fn signed_weakly(address: &Endpoint, algorithm: Option<&str>) -> String {
    let how = match algorithm {
        Some(name) => format!("by {name}"),
        None => "by an algorithm".to_owned(),
    };
    format!(
        "The certificate of {address}, or its authority's, is signed {how}, which is not taken here. The server's operator has to give it one that is signed by SHA-256 with RSA or ECDSA, or stronger."
    )
}

/// What webpki finds in a certificate beyond signature, name and time. `finding` is the name of its error.
fn built_wrongly(address: &Endpoint, finding: &str) -> String {
    let has = |names: &[&str]| names.iter().any(|name| finding.contains(name));
    let what = if has(&["EndEntityUsedAsCa"]) {
        "is signed by a certificate that is no authority's"
    } else if has(&["NameConstraint"]) {
        "is for a name that its authority may not certify"
    } else if has(&["PathLen", "MaximumPath", "MaximumSignature"]) {
        "has a longer chain of authorities than is allowed"
    } else if has(&["UnsupportedCertVersion"]) {
        "is of an old version (X.509 version 3 is required)"
    } else if has(&["UnsupportedCriticalExtension"]) {
        "has an extension that has to be understood, and that this program does not know"
    } else if has(&["SignatureAlgorithmMismatch"]) {
        "names two signature algorithms that contradict each other"
    } else if has(&["Eku", "Purpose"]) {
        "is not made for servers"
    } else if has(&["CertDistrusted"]) {
        "is of an authority that this machine distrusts"
    } else {
        "is not built as a certificate must be (RFC 5280)"
    };
    format!("The certificate of {address} {what}. The server's operator has to give it another one. {STRANGER}")
}

/// A stranger in the server's place.
const STRANGER: &str = "If the host is right, something on the way answers in its place (the sign-in page of a guest network, a company's filter, a virus scanner): use another network, or have that filter let mail through.";

fn expired(address: &Endpoint, now: i64, end: i64) -> String {
    let (clock, end_said) = (said(now), said(end));
    if now - OLDEST > LIFE {
        return format!(
            "The certificate of {address} has expired by this machine's clock, which is wrong: it says {clock}. Set the clock."
        );
    }
    format!(
        "The certificate of {address} has expired: it ended on {end_said}, and this machine's clock says {clock}. If the clock is right, the server's owner has to renew the certificate; else set the clock."
    )
}

fn not_yet_valid(address: &Endpoint, now: i64, begin: i64) -> String {
    let (clock, begin_said) = (said(now), said(begin));
    let what = format!("The certificate of {address} is not valid yet");
    if now < OLDEST {
        return format!(
            "{what} by this machine's clock, which is wrong: it says {clock}, when this program did not exist. Set the clock."
        );
    }
    if begin - now < JUST_NOW {
        return format!(
            "{what}: it begins on {begin_said}, and this machine's clock says {clock}. One of the two machines' clocks is a little wrong: compare this one's, and set it or wait."
        );
    }
    format!(
        "{what}: it begins on {begin_said}, and this machine's clock says {clock}. Most often that clock is wrong: set it."
    )
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn said(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn time(seconds: i64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).expect("after 1970")))
    }

    fn told(problem: &CertificateError) -> String {
        let address = Endpoint {
            host: "mail.example.test".to_owned(),
            port: 465,
        };
        explain(problem, &address)
    }

    #[test]
    fn a_clock_is_blamed_when_it_cannot_be_right() {
        let not_yet = |now, begin| {
            told(&CertificateError::NotValidYetContext {
                time: time(now),
                not_before: time(begin),
            })
        };
        let epoch = not_yet(3600, OLDEST);
        assert!(
            epoch.contains("clock, which is wrong: it says 1970-01-01 01:00 UTC"),
            "{epoch}"
        );
        let behind = not_yet(OLDEST + DAY, OLDEST + 90 * DAY);
        assert!(
            behind.contains("begins on 2026-07-30") && behind.contains("Most often that clock"),
            "{behind}"
        );
        let new = not_yet(OLDEST + DAY, OLDEST + DAY + 60);
        assert!(new.contains("a little wrong"), "{new}");
        let expired = |now, end| {
            told(&CertificateError::ExpiredContext {
                time: time(now),
                not_after: time(end),
            })
        };
        let ahead = expired(OLDEST + 2 * LIFE, OLDEST + 90 * DAY);
        assert!(ahead.contains("clock, which is wrong: it says 2066-"), "{ahead}");
        let plain = expired(OLDEST + 100 * DAY, OLDEST + 90 * DAY);
        assert!(
            plain.contains("it ended on 2026-07-30") && plain.contains("owner has to renew"),
            "{plain}"
        );
        assert!(!plain.contains("which is wrong"), "{plain}");
    }

    #[test]
    fn a_stranger_in_the_servers_place_is_thought_of() {
        for problem in [CertificateError::UnknownIssuer, CertificateError::NotValidForName] {
            let told = told(&problem);
            assert!(told.contains("answers in its place"), "{told}");
        }
    }
}
