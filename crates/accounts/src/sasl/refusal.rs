//! What a refused sign-in refuses: the secret, or only the way in which it was proven (RFC 4954, sections 4 and 6).
//!
//! The difference decides what may follow. Servers lock accounts after some refused secrets, so a secret that was
//! refused is not sent again. A mechanism that was refused says nothing about the secret, and another may be tried on
//! the same connection.

use super::Mechanism;

/// What a final reply refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The mechanism: the same secret may be good under another.
    Mechanism,
    /// The proof of the password. The server may keep the password in a form in which it cannot check this proof; it
    /// can check the password itself.
    Proof,
    /// This mechanism, until the password was sent once by PLAIN (`432 4.7.12`).
    Transition,
    /// The secret or the account.
    Secret,
    /// Nothing for good (4yz).
    Later,
}

impl Refusal {
    /// Returns what is refused, in a word or two.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mechanism => "mechanism",
            Self::Proof => "proof",
            Self::Transition => "mechanism for now",
            Self::Secret => "secret",
            Self::Later => "now",
        }
    }

    /// Judges a final reply that is no `235`. `has_shown` says whether anything that was made from the secret had left
    /// before.
    pub(super) fn of(mechanism: Mechanism, has_shown: bool, code: u16, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).to_ascii_lowercase();
        match code {
            432 if text.contains("4.7.12") => Self::Transition,
            400..500 => Self::Later,
            // The command was not understood, or its parameter not implemented, or only over TLS.
            500 | 502 | 504 | 538 => Self::Mechanism,
            // Nobody refuses what was not shown.
            501 | 534 | 535 if !has_shown => Self::Mechanism,
            534 | 535 if is_about_the_mechanism(code, &text) => Self::Mechanism,
            535 if mechanism.takes_password() && !mechanism.shows_password() => Self::Proof,
            _ => Self::Secret,
        }
    }
}

/// 534 is for mechanisms that are too weak, and some providers use it to demand an app password or a visit to their
/// web page. 535 is for secrets, and some servers use it for mechanisms that they do not have. So both are judged by
/// their words.
fn is_about_the_mechanism(code: u16, text: &str) -> bool {
    const MECHANISM: [&str; 5] = ["mechanism", "auth type", "auth method", "ation type", "ation method"];
    const REFUSED: [&str; 12] = [
        "weak",
        "not supported",
        "unsupported",
        "not available",
        "unavailable",
        "not allowed",
        "not permitted",
        "disabled",
        "unrecogni",
        "unknown",
        "no mechanism",
        "invalid authentication mechanism",
    ];
    let has_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match code {
        534 => has_any(&MECHANISM) || text.contains("weak"),
        _ => has_any(&MECHANISM) && has_any(&REFUSED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_mechanism_is_told_from_a_refused_secret() {
        for (mechanism, has_shown, code, text, expected) in [
            (
                Mechanism::Plain,
                true,
                504,
                "5.5.4 Unrecognized authentication type",
                Refusal::Mechanism,
            ),
            (
                Mechanism::Plain,
                true,
                538,
                "5.7.11 Encryption required",
                Refusal::Mechanism,
            ),
            (Mechanism::Plain, true, 500, "5.5.6 Line too long", Refusal::Mechanism),
            (
                Mechanism::Plain,
                true,
                534,
                "5.7.9 Authentication mechanism is too weak",
                Refusal::Mechanism,
            ),
            (Mechanism::Plain, true, 534, "5.7.9 Too weak", Refusal::Mechanism),
            (
                Mechanism::Plain,
                true,
                534,
                "5.7.9 Application-specific password required. For more information, go to https://support.google.com/mail/?p=InvalidSecondFactor",
                Refusal::Secret,
            ),
            (
                Mechanism::Plain,
                true,
                534,
                "5.7.14 Please log in with your web browser and then try again",
                Refusal::Secret,
            ),
            (
                Mechanism::Plain,
                true,
                535,
                "5.7.8 Error: authentication failed: no mechanism available",
                Refusal::Mechanism,
            ),
            (
                Mechanism::CramMd5,
                false,
                535,
                "5.7.8 Error: authentication failed: Invalid authentication mechanism",
                Refusal::Mechanism,
            ),
            (
                Mechanism::Plain,
                true,
                535,
                "5.7.8 Username and Password not accepted",
                Refusal::Secret,
            ),
            (
                Mechanism::Plain,
                true,
                535,
                "5.7.139 Authentication unsuccessful, basic authentication is disabled.",
                Refusal::Secret,
            ),
            (Mechanism::Plain, true, 501, "5.5.2 Cannot decode", Refusal::Secret),
            (Mechanism::Login, false, 535, "5.7.8 no", Refusal::Mechanism),
            (Mechanism::Login, false, 501, "what", Refusal::Mechanism),
            (Mechanism::Login, true, 535, "5.7.8 no", Refusal::Secret),
            (Mechanism::CramMd5, true, 535, "5.7.8 no", Refusal::Proof),
            (Mechanism::ScramSha256, true, 535, "5.7.8 no", Refusal::Proof),
            (Mechanism::External, false, 535, "5.7.8 no", Refusal::Mechanism),
            (Mechanism::XOAuth2, true, 535, "5.7.8 no", Refusal::Secret),
            (
                Mechanism::CramMd5,
                true,
                432,
                "4.7.12 A password transition is needed",
                Refusal::Transition,
            ),
            (
                Mechanism::Login,
                true,
                432,
                "4.3.2 Concurrent connections limit exceeded",
                Refusal::Later,
            ),
            (
                Mechanism::Plain,
                true,
                454,
                "4.7.0 Temporary authentication failure",
                Refusal::Later,
            ),
            (
                Mechanism::Plain,
                true,
                525,
                "5.7.13 User account disabled",
                Refusal::Secret,
            ),
            (
                Mechanism::Login,
                false,
                530,
                "5.7.0 Must issue a STARTTLS command first",
                Refusal::Secret,
            ),
        ] {
            assert_eq!(
                Refusal::of(mechanism, has_shown, code, text.as_bytes()),
                expected,
                "{code} {text}"
            );
        }
    }
}
