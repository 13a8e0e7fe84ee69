//! The settings that the owner of a connection chooses.

use std::time::Duration;

use crate::address::ClientName;

/// The behaviour of a [`Client`](crate::Client). [`Config::new`] gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name to say in EHLO.
    pub client_name: ClientName,
    /// How TLS begins.
    pub security: Security,
    /// The mechanisms that may sign in, the preferred one first. Empty: there is no sign-in. With `EXTERNAL` alone
    /// (RFC 4422, appendix A) the sign-in is made where the server offers it, and left out where it does not: TLS has shown
    /// the client's certificate already.
    pub mechanisms: Vec<String>,
    /// How far commands may run ahead of replies.
    pub pipelining: Pipelining,
    /// True: BDAT is used if the server offers it.
    pub chunking: bool,
    /// The maximum number of octets in one BDAT; 0 counts as 1. A larger message is sent in several, each of which costs
    /// a reply. None: every message is sent in one.
    pub chunk_octets: Option<u64>,
    /// What may be in flight at once.
    pub window: Window,
    /// The maximum number of transactions on one connection, including those before it was released. After them the
    /// connection is closed in order. None: no limit.
    pub messages_per_connection: Option<u32>,
    /// The maximum waiting times.
    pub timeouts: Timeouts,
    /// True: the message is sent to the accepted recipients even when others were refused. False: it is sent to all
    /// recipients or to none, which costs one more round trip.
    pub send_partial: bool,
}

impl Config {
    /// Creates a configuration with full pipelining, the default window and time-outs, and no sign-in. Messages are
    /// sent to the recipients that are accepted.
    pub fn new(client_name: ClientName, security: Security) -> Self {
        Self {
            client_name,
            security,
            mechanisms: Vec::new(),
            pipelining: Pipelining::Full,
            chunking: true,
            chunk_octets: None,
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
    /// TLS begins before the first byte of SMTP (RFC 8314).
    Tls,
    /// TLS begins with STARTTLS (RFC 3207). It is required: without it nothing is sent.
    StartTls,
    /// There is no TLS.
    None,
}

/// How far commands may run ahead of replies, if the server offers PIPELINING (RFC 2920).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipelining {
    /// Across messages: with BDAT, transactions stream without waiting; with DATA, content travels with the next
    /// transaction's commands.
    Full,
    /// Within one transaction.
    Transaction,
    /// Not at all: the client waits for each reply, and uses DATA. This is the dialogue that every server supports.
    Off,
}

/// The limits on what may be written and not yet answered.
///
/// All of it can become uncertain when one connection is lost. While it is written, the server's replies must fit into
/// the buffers between the two sides. A single transaction that is larger than a limit is sent by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The maximum number of messages; 0 counts as 1.
    pub messages: usize,
    /// The maximum number of octets, in commands and content.
    pub bytes: u64,
    /// The maximum number of replies.
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

/// The maximum waiting times, each for one reply or one write. The defaults are those of RFC 5321, section 4.5.3.2.
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
    /// For the reply to the end of a message. 10 minutes. A shorter time can cause duplicate messages.
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
