//! What an observer of the server is told. No event ever holds a password, a token or a message's text.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::message::{Message, TlsInfo};
use crate::settings::Security;

/// Which side a line of the dialogue came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client sent it.
    Received,
    /// The server sent it.
    Sent,
}

/// Something that happened. Every event names its connection, counted from 1.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client connected to one of the server's faces.
    Connected {
        /// The connection.
        connection: u64,
        /// The client's address.
        peer: SocketAddr,
        /// How this face begins TLS.
        security: Security,
    },
    /// A TLS handshake succeeded.
    Secured {
        /// The connection.
        connection: u64,
        /// What was settled.
        tls: TlsInfo,
    },
    /// A user signed in.
    SignedIn {
        /// The connection.
        connection: u64,
        /// The user's name.
        user: String,
        /// The SASL mechanism, in upper case.
        mechanism: &'static str,
    },
    /// A sign-in was refused, by the credentials or by the script.
    SignInRefused {
        /// The connection.
        connection: u64,
        /// The user's name, if the exchange came that far.
        user: Option<String>,
        /// The SASL mechanism, in upper case.
        mechanism: &'static str,
    },
    /// One line of the dialogue, without its CRLF. What may hold a secret is replaced by `***`, message content by its length.
    /// Only with [`Settings::record_dialogue`](crate::Settings::record_dialogue).
    Line {
        /// The connection.
        connection: u64,
        /// Who sent it.
        direction: Direction,
        /// The line.
        text: String,
    },
    /// A message was stored, and the client is about to be told so.
    Caught {
        /// The message, with its sequence number.
        message: Arc<Message>,
    },
    /// A connection ended.
    Closed {
        /// The connection.
        connection: u64,
        /// Why, when it did not end by QUIT, by the script or by the client's closing.
        error: Option<String>,
    },
}

impl Event {
    /// Returns the number of the connection that the event belongs to.
    pub fn connection(&self) -> u64 {
        match self {
            Self::Connected { connection, .. }
            | Self::Secured { connection, .. }
            | Self::SignedIn { connection, .. }
            | Self::SignInRefused { connection, .. }
            | Self::Line { connection, .. }
            | Self::Closed { connection, .. } => *connection,
            Self::Caught { message } => message.connection,
        }
    }
}
