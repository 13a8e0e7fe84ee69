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
            format!("The certificate of {address} has expired. If it has not, this machine's clock is wrong.")
        }
        CertificateError::NotValidYet => {
            format!("The certificate of {address} is not valid yet. Most often this machine's clock is wrong.")
        }
        CertificateError::NotValidForName => format!(
            "The certificate of {address} is not issued for `{host}`. Name the host as its certificate does. {STRANGER}"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented
                .iter()
                .take(5)
                .map(|name| format!("`{}`", name.escape_debug()))
                .collect::<Vec<_>>()
                .join(", ");
            format!(
                "The certificate of {address} is not issued for `{host}` but for {names}. Name the host as its certificate does. {STRANGER}"
            )
        }
        // The last two: an authority of that name is trusted, and it is not the one that signed this.
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "The certificate of {address} is signed by nobody this machine trusts. If the server is your own, name its authority's certificate in the account's `ca_file`. {STRANGER}"
        ),
        CertificateError::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => format!(
            "{address} shows a certificate that is itself an authority's (`openssl req -x509` makes such). Give the server a certificate that this authority has signed, and name the authority's in `ca_file`."
        ),
        CertificateError::Revoked => format!("The certificate of {address} has been revoked."),
        other => format!("The certificate of {address} is not valid: {other}."),
    }
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
