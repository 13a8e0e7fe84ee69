//! One exchange, from the AUTH line to the final reply.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::scrub::SecretPatterns;
use super::{Credentials, Mechanism};

/// The longest command line, CRLF included (RFC 5321, section 4.5.3.1.4; RFC 4954, section 4, keeps it for AUTH).
const MAX_COMMAND: usize = 512;
/// The longest line of a response, CRLF included (RFC 4954, section 4).
const MAX_RESPONSE: usize = 12_288;

/// A sign-in in progress. All that it holds of the secret is overwritten when it is dropped.
pub struct Exchange {
    mechanism: Mechanism,
    /// What is still to be said, in order; the first may already travel with the AUTH line.
    responses: Vec<Line>,
    said: usize,
    initial: bool,
    state: State,
    patterns: SecretPatterns,
    status: Option<String>,
}

type Line = Zeroizing<Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The next 334 asks for the next response.
    Responding,
    /// A bearer mechanism's failure was acknowledged; only a final reply may follow.
    Acknowledged,
    /// `*` was sent; only a final reply may follow.
    Cancelled,
    Done,
}

/// The next action after a reply.
pub enum Next {
    /// Write these bytes, a whole line with its CRLF, and read the next reply.
    Send(Zeroizing<Vec<u8>>),
    /// The exchange is over.
    Done(Outcome),
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `235`: signed in.
    SignedIn,
    /// Any other final reply.
    Refused,
    /// The server asked for more than the mechanism has, and the exchange replied `*`.
    Cancelled,
}

/// The reason why an exchange cannot begin. It never holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslError {
    /// A password for a token mechanism, or a token for a password mechanism.
    WrongSecret(Mechanism),
    /// The user name or the password holds a NUL, which PLAIN cannot carry (RFC 4616, section 2).
    Nul,
    /// The user name or the token holds a control character, which would end its field early.
    ControlCharacter(Mechanism),
    /// A response would be longer than a line may be (RFC 4954, section 4).
    TooLong,
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSecret(mechanism) if mechanism.takes_token() => {
                write!(
                    f,
                    "{mechanism} takes an access token, and the account has a password; choose PLAIN or LOGIN"
                )
            }
            Self::WrongSecret(mechanism) => {
                write!(
                    f,
                    "{mechanism} takes a password, and the account has an access token; choose XOAUTH2 or OAUTHBEARER"
                )
            }
            Self::Nul => {
                f.write_str("the user name or the password holds a NUL, which PLAIN cannot carry; correct the account")
            }
            Self::ControlCharacter(mechanism) => write!(
                f,
                "the user name or the token holds a control character, which {mechanism} cannot carry; correct the account"
            ),
            Self::TooLong => {
                f.write_str("the user name or the secret is too long for a line of 12288 octets; correct the account")
            }
        }
    }
}

impl std::error::Error for SaslError {}

impl Exchange {
    /// Prepares a sign-in at `host` and `port`, which OAUTHBEARER names to the server.
    ///
    /// # Errors
    /// Returns an error when the mechanism cannot carry these credentials; nothing has been sent then.
    pub fn start(mechanism: Mechanism, credentials: &Credentials, host: &str, port: u16) -> Result<Self, SaslError> {
        if mechanism.takes_token() != credentials.is_token() {
            return Err(SaslError::WrongSecret(mechanism));
        }
        let (user, secret) = (credentials.username(), credentials.secret());
        let messages = match mechanism {
            Mechanism::Plain => {
                if user.contains('\0') || secret.contains('\0') {
                    return Err(SaslError::Nul);
                }
                vec![joined(&["\0", user, "\0", secret])]
            }
            Mechanism::Login => vec![joined(&[user]), joined(&[secret])],
            Mechanism::XOAuth2 => {
                refuse_controls(mechanism, user, secret)?;
                vec![joined(&["user=", user, "\x01auth=Bearer ", secret, "\x01\x01"])]
            }
            Mechanism::OAuthBearer => {
                refuse_controls(mechanism, user, secret)?;
                let user = saslname(user);
                let port = port.to_string();
                vec![joined(&[
                    "n,a=",
                    &user,
                    ",\x01host=",
                    host,
                    "\x01port=",
                    &port,
                    "\x01auth=Bearer ",
                    secret,
                    "\x01\x01",
                ])]
            }
        };
        let responses: Vec<Line> = messages.iter().map(|message| encoded(message)).collect();
        if responses.iter().any(|response| response.len() + 2 > MAX_RESPONSE) {
            return Err(SaslError::TooLong);
        }
        let patterns = SecretPatterns::new();
        patterns.insert(secret.as_bytes());
        // What they say beside the secret (user name, host) is none, and stays where a server repeats it as words: what a
        // reply means may hang on them.
        responses.iter().for_each(|response| patterns.insert_as_is(response));
        // LOGIN has no initial response that all its servers take.
        let initial = mechanism != Mechanism::Login
            && "AUTH ".len() + mechanism.as_str().len() + 1 + responses[0].len() + 2 <= MAX_COMMAND;
        Ok(Self {
            mechanism,
            responses,
            said: 0,
            initial,
            state: State::Responding,
            patterns,
            status: None,
        })
    }

    /// Returns the mechanism of this exchange.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Returns the AUTH line with its CRLF. It includes the initial response where the mechanism has one and it fits
    /// into the line (RFC 4954, section 4).
    pub fn first_line(&mut self) -> Zeroizing<Vec<u8>> {
        let name = self.mechanism.as_str();
        if self.initial && self.said == 0 {
            self.said = 1;
            return line(&[b"AUTH ", name.as_bytes(), b" ", &self.responses[0]]);
        }
        line(&[b"AUTH ", name.as_bytes()])
    }

    /// Takes a reply (its code, and the text of its last line) and returns what to do next.
    pub fn handle_reply(&mut self, code: u16, text: &[u8]) -> Next {
        if code != 334 {
            let outcome = match self.state {
                State::Cancelled => Outcome::Cancelled,
                _ if code == 235 => Outcome::SignedIn,
                _ => Outcome::Refused,
            };
            self.state = State::Done;
            return Next::Done(outcome);
        }
        match self.state {
            State::Responding if self.said < self.responses.len() => {
                let response = line(&[&self.responses[self.said]]);
                self.said += 1;
                Next::Send(response)
            }
            State::Responding if self.mechanism.takes_token() => {
                self.status = self.read_status(text);
                self.state = State::Acknowledged;
                // XOAUTH2 wants an empty line, OAUTHBEARER a lone ^A (RFC 7628, section 3.2.3), before the final 535.
                Next::Send(if self.mechanism == Mechanism::XOAuth2 {
                    line(&[])
                } else {
                    line(&[b"AQ=="])
                })
            }
            State::Responding | State::Acknowledged => {
                self.state = State::Cancelled;
                Next::Send(line(&[b"*"]))
            }
            // A server that asks on after `*` would ask for ever.
            State::Cancelled | State::Done => {
                self.state = State::Done;
                Next::Done(Outcome::Cancelled)
            }
        }
    }

    /// Returns what a bearer mechanism's server said about a refused token: JSON, scrubbed, such as
    /// `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`.
    pub fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    /// Returns the patterns that later replies must not show: the secret, and each response that contains it.
    pub fn patterns(&self) -> &SecretPatterns {
        &self.patterns
    }

    /// Returns a reply without the secret. The secret itself, in every encoding that [`SecretPatterns`] undoes, and
    /// each response, whole or in part, become `***`. The codes at the start of the lines stay.
    pub fn scrub(&self, reply: &[u8]) -> Vec<u8> {
        self.patterns.scrub(reply)
    }

    fn read_status(&self, text: &[u8]) -> Option<String> {
        let decoded = STANDARD.decode(text.trim_ascii()).ok()?;
        let scrubbed = String::from_utf8(self.patterns.scrub(&decoded)).ok()?;
        let is_plain = scrubbed.len() <= 1024 && !scrubbed.chars().any(char::is_control);
        is_plain.then_some(scrubbed)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("mechanism", &self.mechanism)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(_) => f.write_str("Send(***)"),
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
        }
    }
}

fn refuse_controls(mechanism: Mechanism, user: &str, token: &str) -> Result<(), SaslError> {
    if user.chars().chain(token.chars()).any(char::is_control) {
        return Err(SaslError::ControlCharacter(mechanism));
    }
    Ok(())
}

/// The user name in the GS2 header (RFC 5801, section 4).
fn saslname(user: &str) -> Zeroizing<String> {
    Zeroizing::new(user.replace('=', "=3D").replace(',', "=2C"))
}

fn joined(parts: &[&str]) -> Line {
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
    message
}

fn encoded(message: &[u8]) -> Line {
    Zeroizing::new(STANDARD.encode(message).into_bytes())
}

fn line(parts: &[&[u8]]) -> Line {
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        parts.iter().map(|part| part.len()).sum::<usize>() + 2,
    ));
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests;
