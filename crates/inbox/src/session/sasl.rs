//! The server's half of the SASL mechanisms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::settings::Credentials;

/// An exchange that waits for a line of the client.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) mechanism: &'static str,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The single response of PLAIN, XOAUTH2 or OAUTHBEARER.
    Response,
    LoginUser,
    LoginPassword(String),
    /// A token was refused and the client was told why; whatever it says now, the end is 535.
    TokenRefused(String),
}

/// What a response leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// Another prompt: the text after `334 `.
    Challenge(Exchange, String),
    /// The credentials are complete: whose they are, and whether they are right.
    Verdict { user: Option<String>, accepted: bool },
    /// The response is not base64.
    Undecodable,
    /// The client gave up with `*`.
    Cancelled,
}

impl Exchange {
    /// Begins an exchange; `None` if the server does not speak the mechanism.
    pub(super) fn begin(mechanism: &str) -> Option<Self> {
        let known = ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"];
        let mechanism = known.into_iter().find(|name| name.eq_ignore_ascii_case(mechanism))?;
        Some(Self {
            mechanism,
            state: if mechanism == "LOGIN" {
                State::LoginUser
            } else {
                State::Response
            },
        })
    }

    /// The prompt before the client's first response: the text after `334 `.
    pub(super) fn first_prompt(&self) -> String {
        if self.mechanism == "LOGIN" {
            STANDARD.encode("Username:")
        } else {
            String::new()
        }
    }

    /// Takes a response as the client wrote it.
    pub(super) fn step(self, line: &str, credentials: &Credentials) -> Step {
        if line == "*" {
            return Step::Cancelled;
        }
        let Some(response) = decode(line) else {
            return Step::Undecodable;
        };
        let mechanism = self.mechanism;
        match self.state {
            State::Response if mechanism == "PLAIN" => plain(&response, credentials),
            State::Response => match bearer(mechanism, &response) {
                Some((user, token)) if credentials.accepts_token(&user, &token) => Step::Verdict {
                    user: Some(user),
                    accepted: true,
                },
                other => {
                    let user = other.map(|(user, _)| user).unwrap_or_default();
                    let status = if mechanism == "XOAUTH2" { "400" } else { "invalid_token" };
                    let schemes = if mechanism == "XOAUTH2" {
                        r#""schemes":"Bearer","#
                    } else {
                        ""
                    };
                    let json = format!(r#"{{"status":"{status}",{schemes}"scope":"https://mail.google.com/"}}"#);
                    Step::Challenge(
                        Self {
                            mechanism,
                            state: State::TokenRefused(user),
                        },
                        STANDARD.encode(json),
                    )
                }
            },
            State::LoginUser => {
                let user = String::from_utf8_lossy(&response).into_owned();
                Step::Challenge(
                    Self {
                        mechanism,
                        state: State::LoginPassword(user),
                    },
                    STANDARD.encode("Password:"),
                )
            }
            State::LoginPassword(user) => {
                let accepted = credentials.accepts_password(&user, &String::from_utf8_lossy(&response));
                Step::Verdict {
                    user: Some(user),
                    accepted,
                }
            }
            State::TokenRefused(user) => Step::Verdict {
                user: Some(user).filter(|user| !user.is_empty()),
                accepted: false,
            },
        }
    }
}

/// Base64, where `=` alone stands for an empty response (RFC 4954 section 4).
fn decode(line: &str) -> Option<Vec<u8>> {
    if line == "=" {
        Some(Vec::new())
    } else {
        STANDARD.decode(line).ok()
    }
}

/// RFC 4616: `[authzid] NUL authcid NUL password`.
fn plain(response: &[u8], credentials: &Credentials) -> Step {
    let Ok(text) = std::str::from_utf8(response) else {
        return Step::Verdict {
            user: None,
            accepted: false,
        };
    };
    let parts: Vec<&str> = text.split('\0').collect();
    let [authorized, user, password] = parts[..] else {
        return Step::Verdict {
            user: None,
            accepted: false,
        };
    };
    // To act for somebody else is not offered here.
    let own = authorized.is_empty() || authorized == user;
    Step::Verdict {
        user: Some(user.to_owned()),
        accepted: own && credentials.accepts_password(user, password),
    }
}

/// User and token of an XOAUTH2 or OAUTHBEARER response (RFC 7628 section 3.1).
fn bearer(mechanism: &str, response: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(response).ok()?;
    let mut fields = text.strip_suffix("\x01\x01")?.split('\x01');
    let first = fields.next()?;
    let user = if mechanism == "XOAUTH2" {
        first.strip_prefix("user=")?.to_owned()
    } else {
        let name = first.strip_prefix("n,a=")?.strip_suffix(',')?;
        name.replace("=2C", ",").replace("=3D", "=")
    };
    let token = fields.find_map(|field| field.strip_prefix("auth="))?;
    let (scheme, token) = token.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| (user, token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let credentials = Credentials::default();
        credentials.set_password("ann@example.com", "pä ss");
        credentials.add_token("ann@example.com", "ya29.x");
        credentials
    }

    fn verdict(mechanism: &str, response: &str) -> Option<bool> {
        match Exchange::begin(mechanism)
            .unwrap()
            .step(&STANDARD.encode(response), &credentials())
        {
            Step::Verdict { accepted, .. } => Some(accepted),
            _ => None,
        }
    }

    #[test]
    fn plain_compares_user_and_password() {
        assert_eq!(verdict("plain", "\0ann@example.com\0pä ss"), Some(true));
        assert_eq!(verdict("PLAIN", "ann@example.com\0ann@example.com\0pä ss"), Some(true));
        for wrong in [
            "\0ann@example.com\0pa ss",
            "bob\0ann@example.com\0pä ss",
            "ann@example.com\0pä ss",
            "",
            "\0\0",
        ] {
            assert_eq!(verdict("PLAIN", wrong), Some(false), "{wrong:?}");
        }
    }

    #[test]
    fn tokens_are_accepted_at_once_and_refused_in_two_steps() {
        assert_eq!(
            verdict("XOAUTH2", "user=ann@example.com\x01auth=Bearer ya29.x\x01\x01"),
            Some(true)
        );
        let bearer = "n,a=ann@example.com,\x01host=h\x01port=587\x01auth=Bearer ya29.x\x01\x01";
        assert_eq!(verdict("OAUTHBEARER", bearer), Some(true));
        for (mechanism, response) in [
            ("XOAUTH2", "user=ann@example.com\x01auth=Bearer old\x01\x01"),
            ("XOAUTH2", "nonsense"),
            ("OAUTHBEARER", "n,a=ann@example.com,\x01auth=Bearer old\x01\x01"),
        ] {
            let exchange = Exchange::begin(mechanism).unwrap();
            let Step::Challenge(next, prompt) = exchange.step(&STANDARD.encode(response), &credentials()) else {
                panic!("a challenge was due")
            };
            assert!(STANDARD.decode(prompt).unwrap().starts_with(b"{\"status\":"));
            let answer = if mechanism == "XOAUTH2" { "" } else { "AQ==" };
            assert!(matches!(
                next.step(answer, &credentials()),
                Step::Verdict { accepted: false, .. }
            ));
        }
    }

    #[test]
    fn login_asks_twice() {
        let exchange = Exchange::begin("LOGIN").unwrap();
        assert_eq!(exchange.first_prompt(), "VXNlcm5hbWU6");
        let Step::Challenge(next, prompt) = exchange.step(&STANDARD.encode("ann@example.com"), &credentials()) else {
            panic!("a challenge was due")
        };
        assert_eq!(prompt, "UGFzc3dvcmQ6");
        assert!(matches!(
            next.step(&STANDARD.encode("pä ss"), &credentials()),
            Step::Verdict { accepted: true, .. }
        ));
    }

    #[test]
    fn what_is_not_base64_is_said_so() {
        assert!(matches!(
            Exchange::begin("PLAIN").unwrap().step("%%", &credentials()),
            Step::Undecodable
        ));
        assert!(matches!(
            Exchange::begin("PLAIN").unwrap().step("*", &credentials()),
            Step::Cancelled
        ));
        assert!(Exchange::begin("XOAUTH").is_none());
    }
}
