//! One connection, as a connector holds it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use pipepost_accounts::Security;
use pipepost_core::Endpoint;
use tokio::time::Instant;

use super::dial::{self, DialError, Progress};
use super::pool::Key;
use super::socket::{Carrier, Socket};
use super::tls::{TlsError, TlsFacts};
use super::transcript::Dialogue;
use super::veil::Veil;
use super::{Transport, gate, sign_in};
use crate::bindings::transport::{Facts, TransportError};

/// How much memo a connection keeps.
const MEMO: usize = 4 * 1024;

/// How much a farewell may be.
const FAREWELL: usize = 64;

/// How much one read gives at most.
const READ: usize = 256 * 1024;

/// How long closing in order may take: long enough for an answer, short enough that nobody notices.
const CLOSE: Duration = Duration::from_millis(500);

/// Why the transport did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Not granted.
    #[error("{0}")]
    Denied(String),
    /// No connection came about.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The peer closed.
    #[error("The server closed the connection.")]
    Closed,
    /// The credentials cannot be had.
    #[error("{0}")]
    Credentials(String),
    /// The provider cannot be asked for an access token now; later it may.
    #[error("{0}")]
    TokenUnavailable(String),
    /// The operating system's word.
    #[error("The connection failed: {0}.")]
    Io(#[from] std::io::Error),
}

impl From<LinkError> for TransportError {
    fn from(error: LinkError) -> Self {
        let sentence = error.to_string();
        match error {
            LinkError::Denied(_) => Self::Denied(sentence),
            LinkError::Dial(DialError::Unresolved { .. }) => Self::Unresolved(sentence),
            LinkError::Dial(DialError::Forbidden { .. }) => Self::Denied(sentence),
            LinkError::Dial(DialError::Refused { .. } | DialError::TimedOut { .. }) => Self::Refused(sentence),
            LinkError::Tls(error) if error.is_transient() => Self::Io(sentence),
            LinkError::Tls(_) => Self::Tls(sentence),
            LinkError::Closed => Self::Closed,
            LinkError::Credentials(_) => Self::Credentials(sentence),
            LinkError::Io(error) if is_closed(&error) => Self::Closed,
            LinkError::Io(_) | LinkError::TokenUnavailable(_) => Self::Io(sentence),
        }
    }
}

fn is_closed(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof, WriteZero};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof | WriteZero
    )
}

/// Told how a connection comes about.
pub(crate) type Watcher<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// One connection on a route.
pub struct Link {
    /// None only while TLS is being put around it, and after that has failed.
    socket: Option<Socket>,
    transport: Transport,
    key: Key,
    tls: Option<&'static str>,
    tls_facts: Option<TlsFacts>,
    signed_in: Option<String>,
    sign_in_asked: bool,
    /// Something left that a sign-in may not follow.
    spoke: bool,
    /// Something left and nothing was read since: a reply is still to come.
    unanswered: bool,
    client_name: String,
    peer: Option<SocketAddr>,
    warm: bool,
    idle: Duration,
    memo: Vec<u8>,
    opened: Instant,
    /// Keeps the secret out of what the server says after the sign-in.
    veil: Option<Veil>,
    /// What is said, as far as it is written down.
    dialogue: Option<Dialogue>,
    /// When the token dies that signed this connection in. The server closes it then.
    expires: Option<SystemTime>,
    /// Of everything that follows; set by the connector.
    pub(crate) deadline: Option<Instant>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.transport.route.address)
            .field("tls", &self.tls)
            .field("signed_in", &self.signed_in)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Opens a connection on the route, warm or fresh.
    ///
    /// # Errors
    /// When the connector asks for more than the route grants, and when no connection comes about.
    pub(crate) async fn open(transport: &Transport, wanted: &Endpoint, security: Security) -> Result<Self, LinkError> {
        let route = &transport.route;
        check_grant(transport, wanted, security)?;
        let key = Key::new(route, security, &transport.component);
        if let Some(parked) = transport.connections.take(&key).await {
            return Ok(parked.into_link(transport.clone(), key));
        }
        transport.connections.make_room(&key, route.max_connections).await;
        Self::open_fresh(transport, key, security, &mut |_| ()).await
    }

    /// Opens a connection that nobody has used, and tells how it comes about: for whoever looks at the account itself.
    pub(crate) async fn open_watched(
        transport: &Transport,
        security: Security,
        watch: Watcher<'_>,
    ) -> Result<Self, LinkError> {
        let key = Key::new(&transport.route, security, &transport.component);
        Self::open_fresh(transport, key, security, watch).await
    }

    async fn open_fresh(
        transport: &Transport,
        key: Key,
        security: Security,
        watch: Watcher<'_>,
    ) -> Result<Self, LinkError> {
        let mut link = Self {
            socket: None,
            transport: transport.clone(),
            key,
            veil: None,
            dialogue: transport.connections.transcript.as_ref().map(Dialogue::begin),
            tls: None,
            tls_facts: None,
            signed_in: None,
            sign_in_asked: false,
            spoke: false,
            unanswered: false,
            client_name: String::new(),
            peer: None,
            warm: false,
            idle: Duration::ZERO,
            memo: Vec::new(),
            opened: Instant::now(),
            expires: None,
            deadline: None,
        };
        link.note(format_args!("opening a connection to {}", transport.route.address));
        match link.connect(security, watch).await {
            Ok(()) => Ok(link),
            Err(error) => {
                link.note(format_args!("{error}"));
                Err(error)
            }
        }
    }

    async fn connect(&mut self, security: Security, watch: Watcher<'_>) -> Result<(), LinkError> {
        let transport = self.transport.clone();
        let route = &transport.route;
        if let Some(rehearsal) = &route.rehearsal {
            self.socket = Some(Socket::new(Carrier::Memory(rehearsal())));
            self.client_name = route.client_name.clone().unwrap_or_else(|| sign_in::client_name(None));
            // The server inside speaks no TLS; for the dialogue it counts as if it did.
            self.tls = (security != Security::None).then_some("TLSv1.3");
            return Ok(());
        }
        let limit = route.connect_timeout;
        let connecting = async {
            let stream = dial::dial_watched(&route.address, &route.reach, limit, watch).await?;
            self.peer = stream.peer_addr().ok();
            if let Some(peer) = self.peer {
                self.note(format_args!("connected to {peer}"));
            }
            self.client_name = route
                .client_name
                .clone()
                .unwrap_or_else(|| sign_in::client_name(stream.local_addr().ok()));
            self.socket = Some(Socket::new(Carrier::Plain(stream)));
            if security == Security::Tls {
                self.wrap_in_tls().await
            } else {
                Ok(())
            }
        };
        let timed_out = || DialError::TimedOut {
            endpoint: route.address.clone(),
            seconds: limit.as_secs(),
        };
        tokio::time::timeout(limit, connecting).await.map_err(|_| timed_out())?
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.note(what);
        }
    }

    /// What the handshake showed; none in clear.
    pub(crate) fn tls_facts(&self) -> Option<&TlsFacts> {
        self.tls_facts.as_ref()
    }

    /// The name to say in EHLO.
    pub(crate) fn client_name(&self) -> &str {
        &self.client_name
    }

    /// Whether the account's secret has signed this connection in.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.signed_in.is_some()
    }

    /// What the host knows for certain.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            tls: self.tls.map(str::to_owned),
            signed_in: self.signed_in.clone(),
            client_name: self.client_name.clone(),
            warm: self.warm,
            idle: u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(crate) fn memo(&self) -> Vec<u8> {
        self.memo.clone()
    }

    /// The count of bytes that left.
    pub(crate) fn written_counter(&self) -> Arc<AtomicU64> {
        self.socket.as_ref().map(Socket::written_counter).unwrap_or_default()
    }

    fn socket(&mut self) -> Result<&mut Socket, LinkError> {
        self.socket.as_mut().ok_or(LinkError::Closed)
    }

    /// At least one byte and at most `max`.
    pub(crate) async fn read(&mut self, max: u32) -> Result<Vec<u8>, LinkError> {
        let max = (max as usize).min(READ);
        let socket = self.socket.as_mut().ok_or(LinkError::Closed)?;
        let bytes = match &mut self.veil {
            Some(veil) => veil.read(socket, max).await?,
            None => socket.read(max).await?,
        };
        self.unanswered = false;
        if let Some(dialogue) = &mut self.dialogue {
            dialogue.received(&bytes);
        }
        if bytes.is_empty() {
            self.note(format_args!("the server closed the connection"));
            Err(LinkError::Closed)
        } else {
            Ok(bytes)
        }
    }

    /// All of it, if it may leave now.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.is_gated() {
            gate::check(bytes)
                .map_err(|reason| LinkError::Denied(format!("These bytes may not leave yet: {reason}.")))?;
        } else {
            self.spoke = true;
        }
        self.unanswered = true;
        if let Some(dialogue) = &mut self.dialogue {
            match &self.veil {
                // What an account exposes may stand in a message; in a transcript it does not.
                Some(veil) => dialogue.sent(&veil.scrubbed(bytes)),
                None => dialogue.sent(bytes),
            }
        }
        self.socket()?.write_all(bytes).await?;
        Ok(())
    }

    /// Whether only greetings may leave: before a sign-in that is due, and before a TLS that is demanded.
    fn is_gated(&self) -> bool {
        let sign_in_due = self.transport.route.signs_in && self.signed_in.is_none();
        let tls_due = self.transport.route.least != Security::None && self.tls.is_none();
        sign_in_due || tls_due
    }

    /// Puts TLS around the connection, after a `220` to STARTTLS.
    pub(crate) async fn start_tls(&mut self) -> Result<(), LinkError> {
        if self.tls.is_some() {
            return Err(LinkError::Denied(
                "TLS has begun on this connection already.".to_owned(),
            ));
        }
        if self.socket()?.has_news().await {
            let address = &self.transport.route.address;
            // The news may be that there will be none.
            let is_over = match self.socket.take() {
                Some(mut socket) => socket.read(1).await.map_or(true, |bytes| bytes.is_empty()),
                None => true,
            };
            return Err(LinkError::Tls(if is_over {
                TlsError::Lost(format!("{address} closed the connection before the TLS handshake."))
            } else {
                TlsError::Handshake(format!(
                    "{address} sent bytes between its reply to STARTTLS and the handshake: somebody may be injecting them, so the connection was closed."
                ))
            }));
        }
        self.wrap_in_tls().await
    }

    async fn wrap_in_tls(&mut self) -> Result<(), LinkError> {
        let route = Arc::clone(&self.transport.route);
        let Some(Carrier::Plain(stream)) = self.socket.take().map(Socket::into_carrier) else {
            return Err(LinkError::Denied("TLS cannot begin on this connection.".to_owned()));
        };
        let handshake = self
            .transport
            .connections
            .tls
            .handshake(stream, &route.address, &route.tls)
            .await;
        if let Err(error) = &handshake {
            self.note(format_args!("{error}"));
        }
        let wrapped = handshake?;
        self.tls = Some(match wrapped.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        });
        self.tls_facts = Some(TlsFacts::of(wrapped.get_ref().1));
        self.note(format_args!("{} began", self.tls.unwrap_or_default()));
        self.socket = Some(Socket::new(Carrier::Tls(Box::new(wrapped))));
        Ok(())
    }

    /// The whole SASL exchange with the account's secret.
    pub(crate) async fn sign_in(&mut self, mechanism: &str) -> Result<Vec<u8>, LinkError> {
        let denied = |message: String| Err(LinkError::Denied(message));
        let route = Arc::clone(&self.transport.route);
        let Some(account) = route.account.as_ref().filter(|_| route.signs_in) else {
            return denied("This step has no account to sign in with.".to_owned());
        };
        if std::mem::replace(&mut self.sign_in_asked, true) {
            return denied("A connection signs in once.".to_owned());
        }
        if self.spoke {
            return denied("A sign-in may not follow what was written on this connection.".to_owned());
        }
        let plain_loopback = self.peer.is_some_and(|peer| account.may_sign_in_clear(peer.ip()));
        if self.tls.is_none() && !plain_loopback {
            return denied(format!(
                "No sign-in in clear: the account `{}` signs in over TLS, or, with `allow_plaintext_auth`, at a loopback address.",
                account.label()
            ));
        }
        if route.rehearsal.is_some() {
            self.signed_in = Some(mechanism.to_owned());
            return Ok(b"235 2.7.0 Accepted\r\n".to_vec());
        }
        self.transport.connections.sign_in_turn(&route.owner()).await;
        let socket = self.socket.as_mut().ok_or(LinkError::Closed)?;
        let tokens = &self.transport.connections.tokens;
        let reply = sign_in::run(socket, account, tokens, mechanism, &route.address, &mut self.dialogue).await?;
        self.expires = reply.expires;
        self.veil = Some(Veil::over(reply.exchanges));
        if reply.signed_in {
            self.signed_in = Some(mechanism.to_ascii_uppercase());
        }
        Ok(reply.text)
    }

    /// Lays the connection into the pool, or closes it, if anything about it is open. `settled`: no part of a message is
    /// unconfirmed.
    pub(crate) async fn release(mut self, memo: Vec<u8>, farewell: Vec<u8>, settled: bool) {
        let signed_in = !self.transport.route.signs_in || self.signed_in.is_some();
        let harmless = farewell.len() <= FAREWELL && gate::check(&farewell).is_ok();
        let Some(mut socket) = self.socket.take() else { return };
        let unread = self.veil.as_ref().is_some_and(Veil::has_news);
        let quiet = !self.unanswered && !unread && !socket.has_news().await;
        let parked = Parked {
            socket,
            tls: self.tls,
            signed_in: self.signed_in,
            client_name: self.client_name,
            peer: self.peer,
            memo,
            farewell: if harmless { farewell } else { Vec::new() },
            opened: self.opened,
            veil: self.veil,
            dialogue: self.dialogue,
            expires: self.expires,
            parked: Instant::now(),
        };
        if settled
            && signed_in
            && harmless
            && quiet
            && parked.memo.len() <= MEMO
            && !parked.is_expired(SystemTime::now())
            && self.transport.route.rehearsal.is_none()
        {
            self.transport.connections.park(self.key, parked);
        } else {
            let mut parked = parked;
            parked.close().await;
        }
    }
}

fn check_grant(transport: &Transport, wanted: &Endpoint, security: Security) -> Result<(), LinkError> {
    let route = &transport.route;
    if !wanted.host.eq_ignore_ascii_case(&route.address.host) || wanted.port != route.address.port {
        return Err(LinkError::Denied(format!(
            "This step may talk to {} and to no other server; it asked for {wanted}.",
            route.address
        )));
    }
    let fits = match route.least {
        Security::Tls => security == Security::Tls,
        Security::StartTls => security != Security::None,
        Security::None => true,
    };
    if fits {
        Ok(())
    } else {
        Err(LinkError::Denied(format!(
            "The account demands the security `{}` at {}; the connector asked for `{}`.",
            route.least.as_str(),
            route.address,
            security.as_str()
        )))
    }
}

/// A connection at rest in the pool.
pub(super) struct Parked {
    socket: Socket,
    tls: Option<&'static str>,
    signed_in: Option<String>,
    client_name: String,
    peer: Option<SocketAddr>,
    memo: Vec<u8>,
    farewell: Vec<u8>,
    opened: Instant,
    veil: Option<Veil>,
    dialogue: Option<Dialogue>,
    expires: Option<SystemTime>,
    parked: Instant,
}

impl Parked {
    pub(super) fn idle(&self) -> Duration {
        self.parked.elapsed()
    }

    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether the token that signed it in is dead.
    pub(super) fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(super) async fn has_news(&mut self) -> bool {
        self.socket.has_news().await
    }

    fn into_link(self, transport: Transport, key: Key) -> Link {
        Link {
            idle: self.idle(),
            socket: Some(self.socket),
            transport,
            key,
            tls: self.tls,
            tls_facts: None,
            signed_in: self.signed_in,
            sign_in_asked: true,
            spoke: true,
            unanswered: false,
            client_name: self.client_name,
            peer: self.peer,
            warm: true,
            memo: self.memo,
            opened: self.opened,
            veil: self.veil,
            dialogue: self.dialogue,
            expires: self.expires,
            deadline: None,
        }
    }

    /// Says farewell, takes the answer (RFC 5321, section 4.1.1.10), and closes.
    pub(super) async fn close(&mut self) {
        let closing = async {
            if !self.farewell.is_empty() {
                let said = self.socket.write_all(&self.farewell).await;
                let answer = self.socket.read(READ).await;
                if let (Some(dialogue), Ok(answer)) = (&mut self.dialogue, &answer) {
                    dialogue.sent(&self.farewell);
                    match &self.veil {
                        Some(veil) => dialogue.received(&veil.scrubbed(answer)),
                        None => dialogue.received(answer),
                    }
                }
                if let Err(error) = said.and(answer.map(drop)) {
                    tracing::debug!(%error, "the connection was gone before its farewell");
                }
            }
            self.socket.shut_down().await;
        };
        if tokio::time::timeout(CLOSE, closing).await.is_err() {
            tracing::debug!("the server did not answer the farewell");
        }
    }
}
