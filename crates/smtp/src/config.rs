//! What the owner of a connection wants from it.

use std::time::Duration;

use crate::address::ClientName;

/// How a [`Client`](crate::Client) is to behave. [`Config::new`] gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name to say in EHLO.
    pub client_name: ClientName,
    /// How TLS begins.
    pub security: Security,
    /// The mechanisms that may sign in, the preferred one first. Empty: there is no sign-in.
    pub mechanisms: Vec<String>,
    /// How far commands may run ahead of replies.
    pub pipelining: Pipelining,
    /// True: BDAT is used where it is offered.
    pub chunking: bool,
    /// What may be in flight at once.
    pub window: Window,
    /// The most transactions on one connection, those before it was released included; then it is closed in order. None:
    /// as many as there are.
    pub messages_per_connection: Option<u32>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// True: a message goes to the recipients that were accepted though others were refused. False: it goes to all of
    /// them or to none, which costs a round trip more.
    pub send_partial: bool,
}

impl Config {
    /// Full pipelining, the default window and time-outs, no sign-in, and messages go to whoever is accepted.
    pub fn new(client_name: ClientName, security: Security) -> Self {
        Self {
            client_name,
            security,
            mechanisms: Vec::new(),
            pipelining: Pipelining::Full,
            chunking: true,
            window: Window::default(),
            messages_per_connection: None,
            timeouts: Timeouts::default(),
            send_partial: true,
        }
    }
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// It was there before the first byte (RFC 8314).
    Tls,
    /// By STARTTLS (RFC 3207), which is required: without it nothing is sent.
    StartTls,
    /// Never.
    None,
}

/// How far commands may run ahead of replies, where the server offers PIPELINING (RFC 2920) at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipelining {
    /// Across messages: with BDAT, transactions stream without waiting; with DATA, content travels with the next
    /// transaction's commands.
    Full,
    /// Within one transaction.
    Transaction,
    /// Not at all: command by command, and DATA. The dialogue that every server speaks.
    Off,
}

/// What may be written and unanswered at once.
///
/// All of it can become uncertain with one lost connection, and while it is written the peer's replies must fit into
/// whatever buffers lie between. A single transaction beyond a bound goes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages; 0 counts as 1.
    pub messages: usize,
    /// Octets of commands and content.
    pub bytes: u64,
    /// Replies.
    pub replies: usize,
}

impl Default for Window {
    /// 16 messages, 1 MiB, 512 replies.
    fn default() -> Self {
        Self {
            messages: 16,
            bytes: 1024 * 1024,
            replies: 512,
        }
    }
}

/// The longest waits, each for one reply or one write. The defaults are those of RFC 5321, section 4.5.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the greeting. 5 minutes.
    pub greeting: Duration,
    /// For the reply to EHLO, HELO, STARTTLS and RSET, for the TLS handshake and for the sign-in. 5 minutes.
    pub command: Duration,
    /// For the reply to MAIL. 5 minutes.
    pub mail: Duration,
    /// For the reply to RCPT. 5 minutes.
    pub rcpt: Duration,
    /// For the reply to DATA. 2 minutes.
    pub data: Duration,
    /// For one write. 3 minutes.
    pub block: Duration,
    /// For the reply to the end of a message. 10 minutes; less than that makes copies.
    pub finish: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            greeting: minutes(5),
            command: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            finish: minutes(10),
        }
    }
}
