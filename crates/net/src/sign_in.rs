//! The sign-in: the one exchange that the host speaks itself, so that the secret stays with it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use pipepost_accounts::oauth::{Granted, Tokens};
use pipepost_accounts::sasl::{Credentials, Exchange, Mechanism, Next, Outcome, Refusal};
use pipepost_accounts::{Account, ErrorKind};
use pipepost_core::Endpoint;

use crate::buffered_stream::BufferedStream;
use crate::connection::ConnectionError;
use crate::held_up::Hold;
use crate::pool::Connections;
use crate::secret_redactor::SecretRedactor;
use crate::session::Session;
use crate::sign_in_gate::{Refused, Verdict};
use crate::transcript::Dialogue;

/// The longest line of a reply that is read here; a 334 can carry a challenge (RFC 4954, section 4).
const LINE_BYTES_MAX: usize = 12_288;

/// The most lines of one reply.
const LINES_MAX: usize = 100;

/// The server's last word, redacted, and what it means for further sign-ins.
pub(crate) struct Reply {
    pub(crate) text: Vec<u8>,
    pub(crate) verdict: Verdict,
    /// When the token dies that signed in; none for a password.
    pub(crate) expires: Option<SystemTime>,
}

/// The server does not take the credentials (RFC 4954, section 6).
const REFUSED: u16 = 535;

/// What a sign-in is made with.
pub(crate) struct SignInRequest<'a> {
    pub(crate) account: &'a Account,
    pub(crate) connections: &'a Connections,
    /// For the bound on an account's sign-ins.
    pub(crate) owner: &'a str,
    pub(crate) address: &'a Endpoint,
    /// The mechanisms to try, the first one first; at least one.
    pub(crate) mechanisms: Vec<Mechanism>,
}

/// Returns the mechanisms to try: the one that the connector asks for, or the one that is known to be good here; then those
/// that account and server share, in the account's order.
///
/// # Errors
/// When the account does not sign in with the mechanism that is asked for.
pub(crate) fn order(
    account: &Account,
    asked: &str,
    known: Option<Mechanism>,
    offered: &[Mechanism],
) -> Result<Vec<Mechanism>, ConnectionError> {
    let own = account.mechanisms();
    let asked = Mechanism::from_name(asked)
        .filter(|mechanism| own.contains(mechanism))
        .ok_or_else(|| {
            ConnectionError::Denied(format!(
                "The account `{}` does not sign in with that mechanism.",
                account.label()
            ))
        })?;
    let known = known.filter(|mechanism| offered.contains(mechanism) && own.contains(mechanism));
    let mut order = vec![known.unwrap_or(asked)];
    for mechanism in own.iter().filter(|mechanism| offered.contains(mechanism)) {
        if !order.contains(mechanism) {
            order.push(*mechanism);
        }
    }
    Ok(order)
}

/// Signs in over a connection that stands at a line's start.
///
/// A mechanism that the server refuses by itself is followed by the next one, on the same connection (RFC 4954, section 4).
/// After a 535 at most one more sign-in is made, whatever else is shared, so that none locks an account.
///
/// A token that the server refuses may have died early: one new one is asked for, and one more exchange made, on the same
/// connection, since after a refusal a client may try again (RFC 4954, section 4).
///
/// Each secret is looked for in what the server says before its first byte leaves, and an exchange that was begun and did not
/// come to its end closes the connection: what the server still says to it reaches nobody.
pub(crate) async fn run(session: &mut Session, request: SignInRequest<'_>) -> Result<Reply, ConnectionError> {
    let SignInRequest {
        account,
        connections,
        owner,
        address,
        mechanisms,
    } = request;
    let tokens = &connections.tokens;
    let held_up = session.held_up.clone();
    let mut left: VecDeque<Mechanism> = mechanisms.into();
    let mut speaker = Speaker {
        socket: session.socket.take().ok_or(ConnectionError::Closed)?,
        redactor: &mut session.redactor,
        dialogue: &mut session.dialogue,
        tokens,
        account,
        address,
    };
    let mut may_be_refused_again = true;
    let mut last: Option<End> = None;
    while let Some(mechanism) = left.pop_front() {
        let Granted {
            credentials,
            mut expires,
            token,
        } = held_up
            .by(Hold::Token, granted(tokens, account, mechanism, address))
            .await?;
        held_up.by(Hold::Turn, connections.sign_in_turn(owner)).await;
        let mut end = match (speaker.exchange(mechanism, credentials).await, last.take()) {
            (Ok(end), _) => end,
            // A server that closes after a refusal has said what it has to say.
            (Err(error), Some(before)) if error.is_closed() => {
                tracing::debug!(%error, %mechanism, "the next mechanism's exchange did not come about");
                return Ok(before.reply());
            }
            (Err(error), _) => return Err(error),
        };
        if let Some(token) = token.filter(|_| end.code == REFUSED) {
            tracing::info!(
                account = account.label(),
                "the access token was refused; asking for another"
            );
            tokens.refused(account, token);
            let renewed = held_up
                .by(Hold::Token, granted(tokens, account, mechanism, address))
                .await?;
            held_up.by(Hold::Turn, connections.sign_in_turn(owner)).await;
            match speaker.exchange(mechanism, renewed.credentials).await {
                Ok(second) => {
                    expires = renewed.expires;
                    end = second;
                }
                // A server that closes after a refusal has said what it has to say.
                Err(error) => {
                    tracing::debug!(%error, "the second exchange did not come about");
                    return Ok(end.reply());
                }
            }
        }
        tracing::debug!(account = account.label(), %mechanism, refused = end.refusal.map_or("nothing", Refusal::as_str), "an exchange is over");
        let Some(refusal) = end.refusal else {
            session.socket = Some(speaker.socket);
            return Ok(Reply {
                text: end.text,
                verdict: Verdict::Accepted(mechanism),
                expires,
            });
        };
        let is_out_of_tries = end.code == REFUSED
            && mechanism != Mechanism::External
            && !std::mem::replace(&mut may_be_refused_again, false);
        match refusal {
            _ if is_out_of_tries => left.clear(),
            Refusal::Mechanism => {}
            Refusal::Proof | Refusal::Transition => left.retain(|other| other.shows_password()),
            _ => left.clear(),
        }
        last = Some(end);
    }
    session.socket = Some(speaker.socket);
    // At least one mechanism was tried, and each way to go on without its end has returned.
    last.map(|end| end.reply()).ok_or(ConnectionError::Closed)
}

/// What to sign in with, or why there is nothing.
async fn granted(
    tokens: &Tokens,
    account: &Account,
    mechanism: Mechanism,
    address: &Endpoint,
) -> Result<Granted, ConnectionError> {
    let failed = |error: pipepost_accounts::Error| {
        let sentence = format!("{error}.");
        match error.kind() {
            ErrorKind::Token => ConnectionError::Credentials(sentence),
            ErrorKind::TokenUnavailable => ConnectionError::TokenUnavailable(sentence),
            _ => ConnectionError::Denied(sentence),
        }
    };
    if mechanism == Mechanism::External {
        return Ok(Granted {
            credentials: account.certificate_credentials().map_err(failed)?,
            expires: None,
            token: None,
        });
    }
    let granted = tokens.sign_in(account, &address.host).await.map_err(failed)?;
    granted.ok_or_else(|| {
        ConnectionError::Credentials(format!(
            "The account `{}` has no password to sign in with.",
            account.label()
        ))
    })
}

/// How one exchange ended.
struct End {
    code: u16,
    /// The last reply, redacted.
    text: Vec<u8>,
    /// What was refused; none when it succeeded.
    refusal: Option<Refusal>,
}

impl End {
    /// As the end of the whole sign-in.
    fn reply(self) -> Reply {
        let verdict = match self.refusal {
            Some(Refusal::Later | Refusal::Transition) => Verdict::Open,
            Some(Refusal::Mechanism) if self.code != REFUSED => Verdict::Refused(Refused::Mechanisms),
            _ => Verdict::Refused(Refused::Secret),
        };
        Reply {
            text: self.text,
            verdict,
            expires: None,
        }
    }
}

/// Who speaks for the account. It has the socket until an exchange is over, so that the connection is closed where one is
/// not.
struct Speaker<'a> {
    socket: BufferedStream,
    redactor: &'a mut SecretRedactor,
    dialogue: &'a mut Option<Dialogue>,
    tokens: &'a Tokens,
    account: &'a Account,
    address: &'a Endpoint,
}

impl Speaker<'_> {
    async fn exchange(&mut self, mechanism: Mechanism, credentials: Credentials) -> Result<End, ConnectionError> {
        let Endpoint { host, port } = self.address;
        let account = self.account.label();
        let mut exchange = Exchange::start(mechanism, &credentials, host, *port).map_err(|error| {
            ConnectionError::Credentials(format!("The account `{account}` cannot sign in: {error}"))
        })?;
        drop(credentials);
        tracing::debug!(account, %mechanism, "signing in");
        let first = exchange.first_line();
        self.write_secret(&exchange, &first).await?;
        loop {
            let reply = read_reply(&mut self.socket).await?;
            let text = self.redactor.reply(&reply.raw);
            if let Some(dialogue) = self.dialogue {
                dialogue.received(&text);
            }
            // Yes is 235 and a question 334 (RFC 4954, section 4); another yes answers something else, and the server has
            // lost step.
            if !matches!(reply.code, 235 | 334 | 400..600) {
                return Err(nonsense());
            }
            let next;
            (exchange, next) = answer(exchange, reply.code, &reply.last_text).await?;
            match next {
                Next::Send(bytes) => self.write_secret(&exchange, &bytes).await?,
                Next::Done(Outcome::Cancelled) if let Some(problem) = exchange.problem() => {
                    return Err(ConnectionError::Denied(format!(
                        "The server `{}` was not believed when the account `{account}` signed in by {mechanism}: {problem}. See whether host and port are those of its mail server; if they are, name another mechanism with `auth`.",
                        self.address
                    )));
                }
                // Everything that there is to say was said, and the server asked on: what it says to our withdrawal is no
                // word on the credentials, and another try would end alike.
                Next::Done(Outcome::Cancelled) => {
                    return Err(ConnectionError::Denied(format!(
                        "The sign-in dialogue of the server `{}` does not end: it asks on after all that {mechanism} has to say. Name another mechanism with `auth` in the account `{account}`, and see whether host and port are those of its mail server.",
                        self.address
                    )));
                }
                Next::Done(outcome) => {
                    if let Some(status) = exchange.status() {
                        let status = self.redactor.redacted_text(status);
                        tracing::debug!(account, status, "the server said why");
                    }
                    return Ok(End {
                        code: reply.code,
                        refusal: (outcome != Outcome::SignedIn).then(|| exchange.refusal(reply.code, &text)),
                        text,
                    });
                }
            }
        }
    }

    /// Writes a line of an exchange. What it holds of the secret is looked for from before it leaves.
    async fn write_secret(&mut self, exchange: &Exchange, line: &[u8]) -> Result<(), ConnectionError> {
        self.tokens.secrets().insert_all(exchange.patterns());
        if let Some(dialogue) = self.dialogue {
            dialogue.sent_secret(line);
        }
        Ok(self.socket.write_all(line).await?)
    }
}

/// Has the exchange answer a reply. SCRAM's answer takes as long as the server wants it to, within bounds: long enough that
/// other connections must not wait for it.
async fn answer(mut exchange: Exchange, code: u16, text: &[u8]) -> Result<(Exchange, Next), ConnectionError> {
    if exchange.mechanism() != Mechanism::ScramSha256 {
        let next = exchange.handle_reply(code, text);
        return Ok((exchange, next));
    }
    let text = text.to_vec();
    let answering = tokio::task::spawn_blocking(move || {
        let next = exchange.handle_reply(code, &text);
        (exchange, next)
    });
    answering
        .await
        .map_err(|error| ConnectionError::Io(std::io::Error::other(error)))
}

struct RawReply {
    code: u16,
    last_text: Vec<u8>,
    raw: Vec<u8>,
}

async fn read_reply(socket: &mut BufferedStream) -> Result<RawReply, ConnectionError> {
    let mut raw = Vec::new();
    for _ in 0..LINES_MAX {
        let line = socket.read_line(LINE_BYTES_MAX).await?.ok_or(ConnectionError::Closed)?;
        let text = line.strip_suffix(b"\r\n").ok_or_else(nonsense)?;
        let code = text
            .get(..3)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok())
            .ok_or_else(nonsense)?;
        let last_text = text.get(4..).unwrap_or_default().to_vec();
        let is_last = match text.get(3) {
            Some(b'-') => false,
            Some(b' ') | None => true,
            Some(_) => return Err(nonsense()),
        };
        raw.extend_from_slice(&line);
        if is_last {
            return Ok(RawReply { code, last_text, raw });
        }
    }
    Err(nonsense())
}

fn nonsense() -> ConnectionError {
    ConnectionError::Io(std::io::Error::other(
        "the server's answer to the sign-in is no SMTP reply to it",
    ))
}

/// The name to say in EHLO when the account names none: the machine's full name, else the address literal of the local
/// end (RFC 5321, section 4.1.3). Never `localhost`, which Gmail answers with a 421.
pub(crate) fn client_name(local: Option<SocketAddr>) -> String {
    let machine = gethostname::gethostname()
        .to_string_lossy()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let is_full = machine.contains('.')
        && !machine.starts_with("localhost.")
        && machine
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if is_full {
        return machine;
    }
    match local.map(|local| local.ip().to_canonical()) {
        Some(IpAddr::V4(v4)) => format!("[{v4}]"),
        Some(IpAddr::V6(v6)) => format!("[IPv6:{v6}]"),
        None => "[127.0.0.1]".to_owned(),
    }
}
