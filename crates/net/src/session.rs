//! A connection from its first byte to its last, while a connector, the pool or nobody holds it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use pipepost_accounts::sasl::SecretPatterns;
use tokio::time::Instant;

use crate::buffered_stream::BufferedStream;
use crate::connection::ConnectionError;
use crate::held_up::HeldUp;
use crate::reply_count::{OutOfOrder, ReplyCount};
use crate::round_trip::RoundTrip;
use crate::route::RunId;
use crate::secret_redactor::SecretRedactor;
use crate::transcript::Dialogue;
use crate::watching::OpenSocket;

/// How much one read gives at most.
pub(crate) const READ_BYTES_MAX: usize = 256 * 1024;

/// How long closing in order may take: long enough for an answer, short enough that nobody notices.
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);

/// How long the server may take to forget what was begun. One that takes longer costs more than a new connection.
const RESET_WAIT_MAX: Duration = Duration::from_secs(5);

/// One session with a server.
pub(crate) struct Session {
    /// None until it is dialled, while TLS is being put around it, and after that has failed.
    pub(crate) socket: Option<BufferedStream>,
    pub(crate) tls: Option<&'static str>,
    pub(crate) signed_in: Option<String>,
    pub(crate) client_name: String,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) memo: Vec<u8>,
    /// Who had it last.
    pub(crate) run: Option<RunId>,
    /// Messages that the server has confirmed on it.
    pub(crate) carried: Arc<AtomicU32>,
    /// The pipeline of that run, by its document's digest.
    pub(crate) pipeline: Option<Arc<str>>,
    /// Whether everything that was said has its reply.
    pub(crate) replies: ReplyCount,
    /// How long its sign-in waited for others than the server.
    pub(crate) held_up: HeldUp,
    /// How far away the server is.
    pub(crate) round_trip: RoundTrip,
    /// Messages whose content has left to its end.
    pub(crate) messages: Arc<AtomicU64>,
    pub(crate) opened: Instant,
    /// Keeps the secrets of the process out of what the server says.
    pub(crate) redactor: SecretRedactor,
    /// What is said, as far as it is written down.
    pub(crate) dialogue: Option<Dialogue>,
    /// When the token dies that signed this connection in. The server closes it then.
    pub(crate) expires: Option<SystemTime>,
    /// Counts it among the connections that are open.
    pub(crate) counted: Option<OpenSocket>,
}

impl Session {
    pub(crate) fn new(dialogue: Option<Dialogue>, secrets: Arc<SecretPatterns>) -> Self {
        Self {
            socket: None,
            tls: None,
            signed_in: None,
            client_name: String::new(),
            peer: None,
            memo: Vec::new(),
            run: None,
            carried: Arc::default(),
            pipeline: None,
            replies: ReplyCount::new(),
            held_up: HeldUp::default(),
            round_trip: RoundTrip::default(),
            messages: Arc::default(),
            opened: Instant::now(),
            redactor: SecretRedactor::new(secrets),
            dialogue,
            expires: None,
            counted: None,
        }
    }

    pub(crate) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.note(format_args!("{}", self.redactor.redacted_text(&what.to_string())));
        }
    }

    pub(crate) fn socket(&mut self) -> Result<&mut BufferedStream, ConnectionError> {
        self.socket.as_mut().ok_or(ConnectionError::Closed)
    }

    /// Reads at least one byte and at most `max`, without the secrets; none at the end of the stream.
    pub(crate) async fn read(&mut self, max: usize) -> Result<Vec<u8>, ConnectionError> {
        let socket = self.socket.as_mut().ok_or(ConnectionError::Closed)?;
        let max = max.min(READ_BYTES_MAX);
        let bytes = self.redactor.read(socket, max).await?;
        self.round_trip.heard(Instant::now());
        self.replies.received(&bytes);
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.received(&bytes);
        }
        Ok(bytes)
    }

    /// Writes all of it, if no more than `messages_max` messages end in it. What may not leave ends the connection: from
    /// there on nothing would be known about it.
    pub(crate) async fn write(&mut self, bytes: &[u8], messages_max: u64) -> Result<(), ConnectionError> {
        let is_answered = self.replies.is_even();
        let refused = match self.replies.writing(bytes) {
            Ok(ended) if u64::from(ended) <= messages_max => {
                // Before the first of the bytes: a write that is given up may have been enough.
                self.messages.fetch_add(ended.into(), Ordering::Relaxed);
                None
            }
            Ok(_) => Some(ConnectionError::Denied(
                "The end of a message may leave only after its part was announced.".to_owned(),
            )),
            Err(OutOfOrder::Connector(reason)) => {
                Some(ConnectionError::Denied(format!("These bytes may not leave: {reason}.")))
            }
            Err(OutOfOrder::Server) => Some(ConnectionError::Closed),
        };
        if let Some(error) = refused {
            self.note(format_args!("{error}"));
            self.socket = None;
            return Err(error);
        }
        if let Some(dialogue) = &mut self.dialogue {
            // What an account exposes may stand in a message; in a transcript it does not.
            dialogue.sent(&self.redactor.redacted(bytes));
        }
        let socket = self.socket.as_mut().ok_or(ConnectionError::Closed)?;
        if is_answered {
            self.round_trip.said(Instant::now());
        }
        socket.write_all(bytes).await?;
        self.replies.written();
        Ok(())
    }

    /// Has the server forget what was begun (RFC 5321, section 4.1.1.5), for the next run. Returns whether it did, and owes
    /// no other reply.
    pub(crate) async fn reset(&mut self) -> bool {
        let resetting = async {
            self.write(b"RSET\r\n", 0).await?;
            let mut reply = Vec::new();
            while !reply.ends_with(b"\n") && reply.len() <= READ_BYTES_MAX {
                let bytes = self.read(READ_BYTES_MAX).await?;
                if bytes.is_empty() {
                    return Err(ConnectionError::Closed);
                }
                reply.extend(bytes);
            }
            Ok(reply.starts_with(b"250"))
        };
        let is_reset = match tokio::time::timeout(RESET_WAIT_MAX, resetting).await {
            Ok(Ok(is_reset)) => is_reset,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the connection was gone before its next run");
                false
            }
            Err(_) => false,
        };
        // The next user did not ask for it.
        drop(self.replies.take_answers());
        is_reset && self.replies.is_even() && !self.has_unread_input().await
    }

    /// Returns whether something arrived that nobody has read, or the stream has ended. Does not wait.
    pub(crate) async fn has_unread_input(&mut self) -> bool {
        if self.redactor.has_unread_input() {
            return true;
        }
        match &mut self.socket {
            Some(socket) => socket.has_unread_input().await,
            None => true,
        }
    }

    /// Returns whether the token that signed it in is dead.
    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Says farewell, takes the answer (RFC 5321, section 4.1.1.10), and closes.
    pub(crate) async fn close(&mut self, farewell: &[u8]) {
        let closing = async {
            if !farewell.is_empty() {
                let said = self.write(farewell, 0).await;
                let answer = self.read(READ_BYTES_MAX).await;
                if let Err(error) = said.and(answer.map(drop)) {
                    tracing::debug!(%error, "the connection was gone before its farewell");
                }
            }
            if let Some(socket) = &mut self.socket {
                socket.shut_down().await;
            }
        };
        if tokio::time::timeout(CLOSE_WAIT_MAX, closing).await.is_err() {
            tracing::debug!("the server did not answer the farewell");
        }
    }
}

/// A session at rest in the pool.
pub(crate) struct IdleConnection {
    session: Session,
    farewell: Vec<u8>,
    idle_since: Instant,
}

impl IdleConnection {
    pub(crate) fn new(session: Session, farewell: Vec<u8>) -> Self {
        Self {
            session,
            farewell,
            idle_since: Instant::now(),
        }
    }

    pub(crate) fn idle(&self) -> Duration {
        self.idle_since.elapsed()
    }

    pub(crate) fn age(&self) -> Duration {
        self.session.opened.elapsed()
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        self.session.is_expired(now)
    }

    pub(crate) async fn has_unread_input(&mut self) -> bool {
        self.session.has_unread_input().await
    }

    /// Returns whether a run of this pipeline had it last.
    pub(crate) fn is_of(&self, pipeline: &Arc<str>) -> bool {
        self.session.pipeline.as_ref() == Some(pipeline)
    }

    /// Forgets what the last user left for the next.
    pub(crate) fn forget_memo(&mut self) {
        self.session.memo.clear();
    }

    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// Returns whether it can be had by this run: after another one, once the server has forgotten what that one began.
    pub(crate) async fn is_fit_for(&mut self, run: RunId) -> bool {
        self.session.run == Some(run) || self.session.reset().await
    }

    pub(crate) async fn close(mut self) {
        self.session.close(&self.farewell).await;
    }
}
