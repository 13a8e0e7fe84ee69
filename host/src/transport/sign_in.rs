//! The sign-in: the one exchange that the host speaks itself, so that the secret stays with it.

use std::net::{IpAddr, SocketAddr};

use pipepost_accounts::Account;
use pipepost_accounts::sasl::{Exchange, Mechanism, Next, Outcome};

use super::Address;
use super::link::LinkError;
use super::socket::Socket;

/// The longest line of a reply that is read here; a 334 can carry a challenge (RFC 4954, section 4).
const LINE: usize = 12_288;

/// The most lines of one reply.
const LINES: usize = 100;

/// The server's last word, scrubbed, and whether it was yes.
pub(super) struct Reply {
    pub(super) text: Vec<u8>,
    pub(super) signed_in: bool,
}

/// Runs the exchange over a connection that stands at a line's start.
pub(super) async fn run(
    socket: &mut Socket,
    account: &Account,
    mechanism: &str,
    address: &Address,
) -> Result<Reply, LinkError> {
    let mechanism = Mechanism::from_name(mechanism)
        .filter(|mechanism| account.mechanisms().contains(mechanism))
        .ok_or_else(|| {
            LinkError::Denied(format!(
                "The account `{}` does not sign in with that mechanism.",
                account.label()
            ))
        })?;
    let credentials = account
        .credentials(&address.host)
        .map_err(|error| LinkError::Denied(error.to_string()))?
        .ok_or_else(|| {
            LinkError::Credentials(format!(
                "The account `{}` has no password to sign in with.",
                account.label()
            ))
        })?;
    let mut exchange = Exchange::start(mechanism, &credentials, &address.host, address.port).map_err(|error| {
        LinkError::Credentials(format!("The account `{}` cannot sign in: {error}", account.label()))
    })?;
    drop(credentials);
    tracing::debug!(account = account.label(), %mechanism, "signing in");
    socket.write_all(&exchange.first_line()).await?;
    loop {
        let reply = read_reply(socket).await?;
        // Yes is 235 and a question 334 (RFC 4954, section 4); another yes answers something else, and the server has lost
        // step.
        if !matches!(reply.code, 235 | 334 | 400..600) {
            return Err(nonsense());
        }
        match exchange.handle_reply(reply.code, &reply.last_text) {
            Next::Send(bytes) => socket.write_all(&bytes).await?,
            Next::Done(outcome) => {
                let signed_in = outcome == Outcome::SignedIn;
                tracing::debug!(account = account.label(), %mechanism, signed_in, "the sign-in is over");
                return Ok(Reply {
                    text: exchange.scrub(&reply.raw),
                    signed_in,
                });
            }
        }
    }
}

struct RawReply {
    code: u16,
    last_text: Vec<u8>,
    raw: Vec<u8>,
}

async fn read_reply(socket: &mut Socket) -> Result<RawReply, LinkError> {
    let mut raw = Vec::new();
    for _ in 0..LINES {
        let line = socket.read_line(LINE).await?.ok_or(LinkError::Closed)?;
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

fn nonsense() -> LinkError {
    LinkError::Io(std::io::Error::other(
        "the server's answer to the sign-in is no SMTP reply to it",
    ))
}

/// The name to say in EHLO when the account names none: the machine's full name, else the address literal of the local
/// end (RFC 5321, section 4.1.3). Never `localhost`, which Gmail answers with a 421.
pub(super) fn client_name(local: Option<SocketAddr>) -> String {
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
