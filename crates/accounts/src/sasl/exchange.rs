//! One exchange, from the AUTH line to the final reply.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::scram::{Final, Scram};
use super::scrub::SecretPatterns;
use super::{Credentials, Mechanism, cram_md5};
use crate::secret::Secret;

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
    /// What is said in answer to a challenge.
    challenge: Challenge,
    state: State,
    patterns: SecretPatterns,
    status: Option<String>,
    /// Something that was made from the secret has left.
    has_shown: bool,
    problem: Option<ChallengeError>,
}

/// What a mechanism that answers challenges waits for, once all its prepared responses are said.
enum Challenge {
    /// Nothing: the mechanism has said all.
    None,
    /// CRAM-MD5's challenge; this is the user name and the password.
    Cram(Secret, Secret),
    /// The server's first message of SCRAM.
    Scram(Scram),
    /// The server's last message of SCRAM, which proves that it knows the password.
    Proof(Final),
    /// The server has proven it, and only its final reply is left.
    Proven,
    /// The server has said in SCRAM's own words that it refuses, and only its final reply is left.
    Refused,
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
    /// The exchange replied `*`: the server asked for more than the mechanism has, or [`Exchange::problem`] says what
    /// was wrong with its challenge.
    Cancelled,
}

/// What is wrong with a server's challenge. It never holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeError {
    /// It is not what the mechanism defines.
    Malformed,
    /// It asks for fewer or more iterations than are safe (RFC 7677, section 4).
    Iterations(u32),
    /// It answers another exchange: the nonce is not this client's.
    ForeignNonce,
    /// The server accepted the sign-in without proving that it knows the password (RFC 5802, section 5).
    Unproven,
}

impl fmt::Display for ChallengeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("its challenge is not what the mechanism defines"),
            Self::Iterations(count) => write!(
                f,
                "its challenge asks for {count} iterations, and from 4096 to 1000000 are safe"
            ),
            Self::ForeignNonce => f.write_str("its challenge answers another client's sign-in"),
            Self::Unproven => f.write_str("it did not prove that it knows the account's password"),
        }
    }
}

impl std::error::Error for ChallengeError {}

/// The reason why an exchange cannot begin. It never holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslError {
    /// A password for a token mechanism, or a token for a password mechanism.
    WrongSecret(Mechanism),
    /// The user name or the password holds a NUL, which PLAIN cannot carry (RFC 4616, section 2).
    Nul,
    /// The user name or the secret holds a character that the mechanism cannot carry: one that would end its field
    /// early, or one that SASLprep prohibits (RFC 4013, section 2.3).
    ControlCharacter(Mechanism),
    /// A response would be longer than a line may be (RFC 4954, section 4).
    TooLong,
    /// The system gives no random numbers, without which SCRAM is not safe.
    NoRandomNumbers,
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongSecret(Mechanism::External) => f.write_str(
                "EXTERNAL takes a client certificate, and the account has another secret; choose another mechanism",
            ),
            Self::WrongSecret(mechanism) if mechanism.takes_token() => {
                write!(
                    f,
                    "{mechanism} takes an access token, and the account has none; choose PLAIN or LOGIN"
                )
            }
            Self::WrongSecret(mechanism) => {
                write!(
                    f,
                    "{mechanism} takes a password, and the account has none; choose XOAUTH2 or OAUTHBEARER"
                )
            }
            Self::Nul => {
                f.write_str("the user name or the password holds a NUL, which PLAIN cannot carry; correct the account")
            }
            Self::ControlCharacter(mechanism) => write!(
                f,
                "the user name or the secret holds a control character, which {mechanism} cannot carry; correct the account"
            ),
            Self::TooLong => {
                f.write_str("the user name or the secret is too long for a line of 12288 octets; correct the account")
            }
            Self::NoRandomNumbers => f.write_str("the system gives no random numbers; no sign-in is safe without them"),
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
        if !credentials.fit(mechanism) {
            return Err(SaslError::WrongSecret(mechanism));
        }
        let (user, secret) = (credentials.username(), credentials.secret());
        let mut challenge = Challenge::None;
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
            Mechanism::CramMd5 => {
                // The digest follows a blank, and the server takes all before the last blank for the user.
                refuse_controls(mechanism, user, "")?;
                challenge = Challenge::Cram(Secret::new(user.to_owned()), Secret::new(secret.to_owned()));
                Vec::new()
            }
            Mechanism::ScramSha256 => {
                let scram = Scram::new(credentials)?;
                let first = joined(&[&scram.first_message()]);
                challenge = Challenge::Scram(scram);
                vec![first]
            }
            Mechanism::External => {
                refuse_controls(mechanism, user, "")?;
                vec![joined(&[user])]
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
        if !matches!(mechanism, Mechanism::ScramSha256 | Mechanism::External) {
            responses.iter().for_each(|response| patterns.insert_as_is(response));
        }
        // LOGIN has no initial response that all its servers take.
        let initial = mechanism != Mechanism::Login
            && responses
                .first()
                .is_some_and(|first| "AUTH ".len() + mechanism.as_str().len() + 1 + first.len() + 2 <= MAX_COMMAND);
        Ok(Self {
            mechanism,
            responses,
            said: 0,
            initial,
            challenge,
            state: State::Responding,
            patterns,
            status: None,
            has_shown: false,
            problem: None,
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
            let response: &[u8] = match self.responses[0].as_slice() {
                // An empty response is written so, since nothing would be none (RFC 4954, section 4).
                [] => b"=",
                response => response,
            };
            let first = line(&[b"AUTH ", name.as_bytes(), b" ", response]);
            self.said = 1;
            self.note_shown();
            return first;
        }
        line(&[b"AUTH ", name.as_bytes()])
    }

    /// Takes a reply (its code, and the text of its last line) and returns what to do next.
    pub fn handle_reply(&mut self, code: u16, text: &[u8]) -> Next {
        if code != 334 {
            let outcome = match self.state {
                State::Cancelled => Outcome::Cancelled,
                _ if code == 235 && self.is_unproven_with(text) => {
                    self.problem = Some(ChallengeError::Unproven);
                    Outcome::Cancelled
                }
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
                self.note_shown();
                Next::Send(response)
            }
            State::Responding
                if !matches!(self.challenge, Challenge::None | Challenge::Proven | Challenge::Refused) =>
            {
                let answer = STANDARD
                    .decode(text.trim_ascii())
                    .map_err(|_| ChallengeError::Malformed)
                    .and_then(|challenge| self.answer(&challenge));
                match answer {
                    Ok(response) => Next::Send(line(&[&response])),
                    Err(problem) => {
                        self.problem = Some(problem);
                        self.cancel()
                    }
                }
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
            State::Responding | State::Acknowledged => self.cancel(),
            // A server that asks on after `*` would ask for ever.
            State::Cancelled | State::Done => {
                self.state = State::Done;
                Next::Done(Outcome::Cancelled)
            }
        }
    }

    fn cancel(&mut self) -> Next {
        self.state = State::Cancelled;
        Next::Send(line(&[b"*"]))
    }

    /// Answers a challenge, and makes sure that what leaves for it is searched for from now on.
    fn answer(&mut self, challenge: &[u8]) -> Result<Line, ChallengeError> {
        match std::mem::replace(&mut self.challenge, Challenge::None) {
            Challenge::Cram(user, password) => {
                if challenge.is_empty() {
                    return Err(ChallengeError::Malformed);
                }
                let digest = cram_md5::digest(password.expose().as_bytes(), challenge);
                // Whoever has the challenge can try passwords against it.
                self.patterns.insert(digest.as_bytes());
                let response = encoded(&joined(&[user.expose(), " ", &digest]));
                self.patterns.insert_as_is(&response);
                self.has_shown = true;
                Ok(response)
            }
            Challenge::Scram(scram) => {
                let last = scram.answer(challenge)?;
                // Against either signature passwords can be tried, too.
                for signature in [&last.proof, &last.server_signature] {
                    self.patterns.insert(signature);
                    self.patterns.insert(&encoded(signature));
                }
                let response = encoded(last.message.as_bytes());
                self.patterns.insert_as_is(&response);
                self.has_shown = true;
                self.challenge = Challenge::Proof(last);
                Ok(response)
            }
            Challenge::Proof(last) => {
                // A server that says why it refuses (`e=`) says its final reply after this, as one does that has proven
                // itself. One that has done neither is found out when it says yes.
                self.challenge = if last.is_proven_by(challenge) {
                    Challenge::Proven
                } else if challenge.starts_with(b"e=") {
                    Challenge::Refused
                } else {
                    return Err(ChallengeError::Unproven);
                };
                Ok(Zeroizing::new(Vec::new()))
            }
            Challenge::None | Challenge::Proven | Challenge::Refused => Err(ChallengeError::Malformed),
        }
    }

    /// Whether SCRAM's server says yes and has not proven that it knows the password. Some send the proof with their yes,
    /// which RFC 4954 has no place for.
    fn is_unproven_with(&self, text: &[u8]) -> bool {
        match &self.challenge {
            Challenge::Scram(_) | Challenge::Refused => true,
            Challenge::Proof(last) => !text
                .split(u8::is_ascii_whitespace)
                .filter_map(|word| STANDARD.decode(word).ok())
                .any(|word| last.is_proven_by(&word)),
            Challenge::None | Challenge::Cram(..) | Challenge::Proven => false,
        }
    }

    /// The first response is the whole secret, save where the user's name comes first.
    fn note_shown(&mut self) {
        self.has_shown |= match self.mechanism {
            Mechanism::Plain | Mechanism::XOAuth2 | Mechanism::OAuthBearer => true,
            Mechanism::Login => self.said > 1,
            Mechanism::ScramSha256 | Mechanism::CramMd5 | Mechanism::External => false,
        };
    }

    /// Returns what the final reply refuses: call it after [`Outcome::Refused`], with the reply's code and whole text.
    pub fn refusal(&self, code: u16, text: &[u8]) -> Refusal {
        Refusal::of(self.mechanism, self.has_shown, code, text)
    }

    /// Returns what was wrong with the server's challenge, when an exchange was cancelled because of it.
    pub fn problem(&self) -> Option<ChallengeError> {
        self.problem
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
