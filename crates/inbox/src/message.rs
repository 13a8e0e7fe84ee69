//! What the server caught: the message as it was sent, and everything that the dialogue said about it.

use std::fmt;

use serde::Serialize;

/// The addresses that the dialogue named, which need not be the ones in the message's own header (RFC 5321 section 2.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// The reverse-path of MAIL FROM without its angle brackets; empty for the null reverse-path `<>`.
    pub from: String,
    /// The forward-paths of the accepted RCPT TO commands, in their order, without angle brackets.
    pub to: Vec<String>,
}

/// The parameters of MAIL FROM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// `SIZE=`, the size in octets that the client declared (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=`, as a keyword in upper case: `7BIT` or `8BITMIME` (RFC 6152).
    pub body: Option<String>,
    /// Whether `SMTPUTF8` was given (RFC 6531).
    pub smtputf8: bool,
}

/// How the content travelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transfer {
    /// With DATA, dot-stuffed (RFC 5321 section 4.5.2).
    #[default]
    Data,
    /// With BDAT, in this many chunks (RFC 3030).
    Chunks(u32),
}

/// What the TLS handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsInfo {
    /// The protocol version, as `TLSv1.3`.
    pub version: String,
    /// The cipher suite, as rustls names it.
    pub cipher: String,
    /// The server name that the client asked for, if it gave one.
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed instead of a full handshake.
    pub resumed: bool,
}

/// One message that the server took responsibility for.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The position in order of arrival, from 1; given by the [`Store`](crate::Store), 0 before.
    pub sequence: u64,
    /// The number of the connection that brought it, from 1.
    pub connection: u64,
    /// The position among the messages of that connection, from 1.
    pub transaction: u64,
    /// The identifier that the server's replies about it end in.
    pub id: String,
    /// Seconds since 1970-01-01T00:00:00Z, by the clock that the session was told.
    pub received_at: u64,
    /// Sender and accepted recipients.
    pub envelope: Envelope,
    /// The parameters of MAIL FROM.
    pub parameters: Parameters,
    /// How the content travelled.
    pub transfer: Transfer,
    /// The user who had signed in, if there was a sign-in.
    pub user: Option<String>,
    /// The connection's TLS, if there was any.
    pub tls: Option<TlsInfo>,
    /// The name given with EHLO or HELO.
    pub helo: String,
    /// The octets of the message, dot-stuffing undone, nothing else changed.
    #[serde(skip)]
    pub content: Vec<u8>,
}

impl Message {
    /// Returns the first header field of this name (any case), unfolded and without surrounding blanks. Encoded words stay as they are.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for line in self.content.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let text = String::from_utf8_lossy(line);
            if text.starts_with([' ', '\t']) {
                if let Some(value) = &mut found {
                    value.push(' ');
                    value.push_str(text.trim());
                }
            } else if found.is_some() {
                break;
            } else if let Some((field, value)) = text.split_once(':')
                && field.trim_end().eq_ignore_ascii_case(name)
            {
                found = Some(value.trim().to_owned());
            }
        }
        found
    }

    /// Returns the `Message-ID` without its angle brackets.
    pub fn message_id(&self) -> Option<String> {
        let value = self.header("Message-ID")?;
        let value = value.trim();
        Some(
            value
                .strip_prefix('<')
                .and_then(|rest| rest.strip_suffix('>'))
                .unwrap_or(value)
                .to_owned(),
        )
    }
}

/// Everything but the content, of which only the length is shown: a log is no place for somebody's letter.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence)
            .field("connection", &self.connection)
            .field("transaction", &self.transaction)
            .field("id", &self.id)
            .field("received_at", &self.received_at)
            .field("envelope", &self.envelope)
            .field("parameters", &self.parameters)
            .field("transfer", &self.transfer)
            .field("user", &self.user)
            .field("tls", &self.tls)
            .field("helo", &self.helo)
            .field("content", &format_args!("{} octets", self.content.len()))
            .finish()
    }
}
