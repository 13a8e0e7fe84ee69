//! One connection, as a connector holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use pipepost_accounts::Security;
use pipepost_accounts::sasl::Mechanism;
use pipepost_core::Endpoint;
use pipepost_core::shutdown::ShutdownToken;
use tokio::time::Instant;

use crate::buffered_stream::{BufferedStream, Stream};
use crate::dial::{self, DialError, Progress};
use crate::held_up::Hold;
use crate::offered_mechanisms::OfferedMechanisms;
use crate::pool::{Key, SIGN_INS_MAX};
use crate::reply_count::Answers;
use crate::route::{Route, TransportGrant};
use crate::session::{IdleConnection, Session};
use crate::sign_in::SignInRequest;
use crate::sign_in_gate::{First, Refused, RefusedBefore, Verdict};
use crate::silence::{Awaited, SHY, TLS_ANSWER};
use crate::tls::{ClientAuth, TlsError, TlsFacts};
use crate::transcript::Dialogue;
use crate::watching::SignInResult;
use crate::{plain_io, preauth_filter, sign_in};

/// How much memo a connection keeps.
const MEMO_BYTES_MAX: usize = 4 * 1024;

/// How many lines may leave before the sign-in and before TLS. A conversation needs three; each says one of few things, and
/// the bound keeps their order from saying much.
const GREETINGS_MAX: u32 = 16;

/// How long the last word of a server that has gone may take: it has arrived, or it does not come.
const LAST_WORD_WAIT_MAX: Duration = Duration::from_millis(500);

/// How much a farewell may be.
const FAREWELL_BYTES_MAX: usize = 64;

/// The reason why an operation on a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The route does not grant the operation.
    #[error("{0}")]
    Denied(String),
    /// The connection could not be opened.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// TLS could not be started.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server, or what is before it, says nothing.
    #[error("{endpoint} {awaited}.")]
    Silent {
        /// The server.
        endpoint: Endpoint,
        /// What was waited for.
        awaited: Awaited,
    },
    /// A server that was spoken to in clear says nothing, and answers a TLS handshake.
    #[error(
        "{0} says nothing in clear and answers a TLS handshake: TLS begins there with the first byte. Write \"properties\": {{\"mail.smtp.ssl.enable\": true}} into the account, or use the port for STARTTLS (587)."
    )]
    TlsPort(Endpoint),
    /// The run ends, and nothing new begins.
    #[error("The run ended before the connection was open.")]
    Ending,
    /// The peer closed the connection.
    #[error("The server closed the connection.")]
    Closed,
    /// The credentials cannot be read.
    #[error("{0}")]
    Credentials(String),
    /// The provider cannot be asked for an access token now; a later try may succeed.
    #[error("{0}")]
    TokenUnavailable(String),
    /// The operating system reported an error.
    #[error("The connection failed: {}.", plain_io::cause(.0))]
    Io(#[from] std::io::Error),
}

impl ConnectionError {
    /// Checks whether the peer closed the connection, or it was cut.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Io(error) => is_closed(error),
            _ => false,
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

/// A callback that receives the progress while a connection is opened.
pub type Watcher<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// What the host knows for certain about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The TLS version; `None` in clear.
    pub tls: Option<&'static str>,
    /// The mechanism by which the account signed in; `None` before the sign-in.
    pub signed_in: Option<String>,
    /// The name to say in EHLO.
    pub client_name: String,
    /// Whether the connection came from the pool.
    pub warm: bool,
    /// How long it was in the pool.
    pub idle: Duration,
}

/// A server's reply to a sign-in, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInReply {
    /// The server's last reply, as it arrived except for the secret.
    pub text: Vec<u8>,
    /// The mechanism by which the account is signed in; `None` when the server refused.
    pub mechanism: Option<String>,
}

impl SignInReply {
    /// Checks whether the account is signed in.
    pub fn is_accepted(&self) -> bool {
        self.mechanism.is_some()
    }
}

/// One connection on a route.
pub struct Connection {
    session: Session,
    transport: TransportGrant,
    key: Key,
    tls_facts: Option<TlsFacts>,
    /// Whether the server asked for the client's certificate.
    client_auth: ClientAuth,
    /// Something was read since TLS began.
    heard_over_tls: bool,
    offered: OfferedMechanisms,
    sign_in_asked: bool,
    /// Something left that a sign-in may not follow.
    spoke: bool,
    /// Lines that left before the sign-in or before TLS.
    greetings: u32,
    /// How long it was in the pool; none for one that was opened now.
    idle: Option<Duration>,
    /// The right to be the first that signs in.
    first_sign_in: Option<First>,
    /// Something was read.
    greeted: bool,
    turned_away: bool,
    /// Something was written since it was opened or taken.
    wrote: bool,
    /// The server ended it, or fell silent.
    ended_by_server: bool,
    /// The time by which everything that follows has to be done; set by the connector.
    deadline: Option<Instant>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", self.transport.route.endpoint())
            .field("tls", &self.session.tls)
            .field("signed_in", &self.session.signed_in)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Opens a connection on the route, from the pool or fresh.
    ///
    /// # Errors
    /// Returns an error when the connector asks for more than the route grants, when no connection can be opened, and
    /// when the run ends meanwhile.
    pub async fn open(
        transport: &TransportGrant,
        wanted: &Endpoint,
        security: Security,
        ending: &ShutdownToken,
    ) -> Result<Self, ConnectionError> {
        let route = &transport.route;
        check_grant(route, wanted, security)?;
        let key = Key::new(transport, security);
        if let Some(parked) = transport.connections.take(&key, transport).await {
            let idle = parked.idle();
            return Ok(Self {
                sign_in_asked: true,
                spoke: true,
                idle: Some(idle),
                ..Self::over(parked.into_session(), transport, key)
            });
        }
        let first_sign_in = match &route.account {
            Some(account) if route.signs_in && !route.is_dry_run() => {
                let gate = &transport.connections.sign_in_gate;
                let entered = Awaited::FirstSignIn.unless_over(route.endpoint(), Some(ending), gate.enter(&key));
                entered.await?.map_err(|RefusedBefore(what)| {
                    let why = match what {
                        Refused::Secret => "and is not tried again with the same secret",
                        Refused::Mechanisms => {
                            "by each mechanism that account and server share, and is not tried again"
                        }
                    };
                    ConnectionError::Credentials(format!(
                        "The sign-in of the account `{}` was refused before in this run, {why}.",
                        account.label()
                    ))
                })?
            }
            _ => None,
        };
        transport.connections.make_room(&key, route.max_connections).await;
        let mut link = Self::open_fresh(transport, key, security, &mut |_| (), Some(ending)).await?;
        link.first_sign_in = first_sign_in;
        Ok(link)
    }

    /// Opens a fresh connection and reports each step to a watcher. It is for code that examines the account itself.
    ///
    /// # Errors
    /// Returns an error when no connection can be opened.
    pub async fn open_watched(
        transport: &TransportGrant,
        security: Security,
        watch: Watcher<'_>,
    ) -> Result<Self, ConnectionError> {
        let key = Key::new(transport, security);
        Self::open_fresh(transport, key, security, watch, None).await
    }

    fn over(session: Session, transport: &TransportGrant, key: Key) -> Self {
        Self {
            session,
            transport: transport.clone(),
            key,
            tls_facts: None,
            client_auth: ClientAuth::default(),
            heard_over_tls: false,
            offered: OfferedMechanisms::default(),
            sign_in_asked: false,
            spoke: false,
            greetings: 0,
            idle: None,
            first_sign_in: None,
            greeted: false,
            turned_away: false,
            wrote: false,
            ended_by_server: false,
            deadline: None,
        }
    }

    async fn open_fresh(
        transport: &TransportGrant,
        key: Key,
        security: Security,
        watch: Watcher<'_>,
        ending: Option<&ShutdownToken>,
    ) -> Result<Self, ConnectionError> {
        let connections = &transport.connections;
        if let Some(account) = transport.route.account.as_ref().filter(|_| transport.route.signs_in) {
            connections.tokens.expect(account);
        }
        let dialogue = connections.transcript.as_ref().map(Dialogue::begin);
        let session = Session::new(dialogue, Arc::clone(connections.tokens.secrets()));
        let mut link = Self::over(session, transport, key);
        link.session
            .note(format_args!("opening a connection to {}", transport.route.endpoint()));
        match link.connect(security, watch, ending).await {
            Ok(()) => Ok(link),
            Err(error) => {
                link.session.note(format_args!("{error}"));
                Err(error)
            }
        }
    }

    async fn connect(
        &mut self,
        security: Security,
        watch: Watcher<'_>,
        ending: Option<&ShutdownToken>,
    ) -> Result<(), ConnectionError> {
        let route = Arc::clone(&self.transport.route);
        if let Some(dry_run) = &route.dry_run {
            self.session.socket = Some(BufferedStream::new(Stream::Memory(dry_run.connect())));
            self.session.client_name = route.client_name.clone().unwrap_or_else(|| sign_in::client_name(None));
            // The server inside speaks no TLS; for the dialogue it counts as if it did.
            self.session.tls = (security != Security::None).then_some("TLSv1.3");
            return Ok(());
        }
        let (endpoint, limit) = (route.endpoint(), route.connect_timeout);
        // One limit for both, so that the handshake has what dialling has left.
        let until = Instant::now() + limit;
        let dialling = dial::dial(&route.egress, limit, watch);
        let stream = Awaited::Connection.unless_over(endpoint, ending, dialling).await??;
        self.session.peer = stream.peer_addr().ok();
        if let Some(peer) = self.session.peer {
            self.session.note(format_args!("connected to {peer}"));
        }
        self.session.client_name = route
            .client_name
            .clone()
            .unwrap_or_else(|| sign_in::client_name(stream.local_addr().ok()));
        self.session.socket = Some(BufferedStream::new(Stream::Plain(stream)));
        let account = route.account.as_ref().map(|account| account.label());
        self.session.counted = Some(self.transport.connections.sockets.count(account));
        if security != Security::Tls {
            return Ok(());
        }
        let shaking = tokio::time::timeout_at(until, self.wrap_in_tls());
        let shaken = Awaited::Handshake.unless_over(endpoint, ending, shaking).await?;
        shaken.map_err(|_| Awaited::Handshake.silent(endpoint))?
    }

    /// Returns what the handshake showed; `None` in clear, and for a connection from the pool.
    pub fn tls_facts(&self) -> Option<&TlsFacts> {
        self.tls_facts.as_ref()
    }

    /// Returns the name to say in EHLO.
    pub fn client_name(&self) -> &str {
        &self.session.client_name
    }

    /// Returns what the host knows for certain about the connection.
    pub fn facts(&self) -> Facts {
        Facts {
            tls: self.session.tls,
            signed_in: self.session.signed_in.clone(),
            client_name: self.session.client_name.clone(),
            warm: self.idle.is_some(),
            idle: self.idle.unwrap_or_default(),
        }
    }

    /// Checks whether the server accepted no message on a fresh connection: it replied with 4yz instead of a greeting,
    /// or to the sign-in. Many servers do this when there is one connection too many.
    pub fn was_turned_away(&self) -> bool {
        self.turned_away
    }

    /// Returns the shared count of messages that the server has confirmed on this connection.
    pub fn carried_counter(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.session.carried)
    }

    /// Returns what its sign-in was still waiting for when the wait was given up, as a sentence; none if that was the server.
    pub fn why_held_up(&self) -> Option<String> {
        let route = &self.transport.route;
        let account = route.account.as_ref()?.label();
        Some(match self.session.held_up.hold()? {
            Hold::Turn => format!(
                "The account `{account}` has signed in {SIGN_INS_MAX} times within a minute, and the time was over before it might \
                 sign in again: a server that ends each connection after a few messages is sent to more slowly."
            ),
            Hold::Token => {
                format!("The provider of the account `{account}` gave no access token before the time was over.")
            }
        })
    }

    /// Waits until the deadline is over. It is the server's: while a sign-in waits for somebody else, it moves on.
    pub fn past_deadline(&self) -> impl Future<Output = ()> + use<> {
        let (deadline, held_up) = (self.deadline, self.session.held_up.clone());
        async move {
            let Some(deadline) = deadline else {
                return std::future::pending().await;
            };
            loop {
                let at = deadline + held_up.time();
                if at <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(at).await;
            }
        }
    }

    /// Sets the time by which everything that follows has to be done.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.session.held_up.reset();
        self.deadline = Some(deadline);
    }

    /// Notes that the server has fallen silent.
    pub fn note_silence(&mut self) {
        self.ended_by_server = true;
    }

    /// Notes how a connection ends that is not used any more. A server that ends it in the middle of its work may have
    /// a limit of messages per connection; later batches start with that knowledge.
    pub fn note_end(&self) {
        if self.ended_by_server && self.wrote {
            let carried = self.session.carried.load(Ordering::Relaxed);
            let transport = &self.transport;
            transport
                .connections
                .note_capacity(&transport.route, |capacity| capacity.note_end(carried));
        }
    }

    /// Returns what the last user of a pooled connection left for the next user.
    pub fn memo(&self) -> Vec<u8> {
        self.session.memo.clone()
    }

    /// Returns the route on which the connection was granted.
    pub fn route(&self) -> &Route {
        &self.transport.route
    }

    /// Returns the shared count of messages whose content has left to its end.
    pub fn messages_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.session.messages)
    }

    /// Returns what the replies answer that were read to their ends since this was called last, in their order.
    pub fn take_answers(&mut self) -> Vec<Answers> {
        self.session.replies.take_answers()
    }

    /// Returns the shared count of bytes that left.
    pub fn written_counter(&self) -> Arc<AtomicU64> {
        let socket = self.session.socket.as_ref();
        socket.map(BufferedStream::written_counter).unwrap_or_default()
    }

    /// Reads at least one byte and at most `max`.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Closed`] at the end of the stream, or [`ConnectionError::Io`].
    pub async fn read(&mut self, max: u32) -> Result<Vec<u8>, ConnectionError> {
        let bytes = if self.may_be_a_tls_port() {
            self.read_greeting(max).await?
        } else {
            self.session.read(max as usize).await
        };
        if let Some(least) = self.session.round_trip.take_news() {
            let transport = &self.transport;
            transport.connections.note_round_trip(&transport.route, least);
        }
        self.ended_by_server |= match &bytes {
            Ok(bytes) => bytes.is_empty() || says_goodbye(bytes),
            Err(error) => error.is_closed(),
        };
        let bytes = bytes.map_err(|error| self.explained(error))?;
        self.heard_over_tls |= self.session.tls.is_some() && !bytes.is_empty();
        if self.session.signed_in.is_none() && self.transport.route.may_sign_in {
            self.offered.heard(&bytes);
            if let Some(error) = self.sign_in_not_offered() {
                return Err(error);
            }
        }
        if !std::mem::replace(&mut self.greeted, true) && self.idle.is_none() {
            self.turned_away |= bytes.first() == Some(&b'4');
        }
        if bytes.is_empty() {
            let endpoint = self.transport.route.endpoint();
            let said = (!self.heard_over_tls).then(|| self.client_auth.explain_end(true, endpoint));
            if let Some(said) = said.flatten() {
                return Err(ConnectionError::Tls(said));
            }
            self.session.note(format_args!("the server closed the connection"));
            return Err(ConnectionError::Closed);
        }
        Ok(bytes)
    }

    /// Whether nothing was said yet in clear, at a port where TLS may begin with the first byte.
    fn may_be_a_tls_port(&self) -> bool {
        let route = &self.transport.route;
        let is_fresh = !self.greeted && self.idle.is_none() && self.session.tls.is_none();
        is_fresh && !route.is_dry_run() && route.endpoint().port != 25
    }

    /// Reads the greeting. A server that keeps silent is asked whether TLS begins at its port: it may be waiting for us.
    async fn read_greeting(&mut self, max: u32) -> Result<Result<Vec<u8>, ConnectionError>, ConnectionError> {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let shy = left.map_or(SHY, |left| SHY.min(left / 2));
        if let Ok(bytes) = tokio::time::timeout(shy, self.session.read(max as usize)).await {
            return Ok(bytes);
        }
        if self.speaks_tls().await {
            let endpoint = self.transport.route.endpoint().clone();
            self.session.note(format_args!("{endpoint} answers a TLS handshake"));
            return Err(ConnectionError::TlsPort(endpoint));
        }
        Ok(self.session.read(max as usize).await)
    }

    /// Whether the same port answers a TLS handshake. Nothing but that is sent there.
    async fn speaks_tls(&self) -> bool {
        let mut unwatched = |_| ();
        let opened = Box::pin(Self::open_watched(&self.transport, Security::Tls, &mut unwatched));
        match tokio::time::timeout(TLS_ANSWER, opened).await {
            // A certificate that is not trusted is TLS as well.
            Ok(Ok(_)) => true,
            Ok(Err(ConnectionError::Tls(error))) => error.is_about_the_certificate(),
            _ => false,
        }
    }

    /// Writes all bytes, if they may leave now and no more than `messages_max` messages end in them.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Denied`] for bytes that may not leave before the sign-in, and, after which the connection
    /// is closed, for the end of a message too many and for what a server could read in another way than the host. Returns
    /// [`ConnectionError::Closed`] also where a reply came that nothing had asked for, and [`ConnectionError::Io`].
    pub async fn write(&mut self, bytes: &[u8], messages_max: u64) -> Result<(), ConnectionError> {
        let greetings = || preauth_filter::check(bytes, &self.session.client_name);
        if self.is_gated() {
            let denied = |reason: String| ConnectionError::Denied(format!("These bytes may not leave yet: {reason}."));
            let lines = greetings().map_err(denied)?;
            self.greetings = self.greetings.saturating_add(lines);
            if self.greetings > GREETINGS_MAX {
                return Err(denied(format!("{GREETINGS_MAX} lines before the sign-in are enough")));
            }
        } else if !self.spoke {
            // Where a sign-in is free to come, it comes after greetings only, as everywhere.
            self.spoke = !self.transport.route.may_sign_in || greetings().is_err();
        }
        self.wrote = true;
        if !self.spoke {
            self.offered.said(bytes);
        }
        let written = self.session.write(bytes, messages_max).await;
        let Err(error) = written else { return Ok(()) };
        self.ended_by_server |= error.is_closed();
        // The server may have said why before it went.
        if error.is_closed() && self.client_auth.was_asked() && !self.heard_over_tls {
            let last = match tokio::time::timeout(LAST_WORD_WAIT_MAX, self.session.read(1)).await {
                Ok(Err(last)) => last,
                _ => error,
            };
            return Err(self.explained(last));
        }
        Err(error)
    }

    /// What an error means: in TLS 1.3 a server that wants another client certificate, or any, says so only after the
    /// client's handshake is over (RFC 8446, section 4.4.2.4), in the place of its first words.
    fn explained(&self, error: ConnectionError) -> ConnectionError {
        if self.heard_over_tls {
            return error;
        }
        self.about_the_client_certificate(&error).unwrap_or(error)
    }

    fn about_the_client_certificate(&self, error: &ConnectionError) -> Option<ConnectionError> {
        let ConnectionError::Io(error) = error else { return None };
        let said = self.client_auth.explain(error, self.transport.route.endpoint())?;
        Some(ConnectionError::Tls(said))
    }

    /// Returns why an account that has to sign in by EXTERNAL, and by nothing else, cannot: the server does not offer it.
    /// It is an error of the reply to EHLO, since a connector goes on without a sign-in there.
    pub fn sign_in_not_offered(&self) -> Option<ConnectionError> {
        let account = self.transport.route.account.as_ref()?;
        let is_due = self.transport.route.signs_in && account.mechanisms() == [Mechanism::External];
        let is_missing = self.session.tls.is_some()
            && self.session.signed_in.is_none()
            && self.offered.is_complete()
            && !self.offered.mechanisms().contains(&Mechanism::External);
        (is_due && is_missing).then(|| {
            ConnectionError::Denied(format!(
                "The server `{}` does not offer EXTERNAL, and the account `{}` signs in by nothing else. Leave `auth` out where the client certificate is proof enough, or give the account a user name and a password.",
                self.transport.route.endpoint(),
                account.label()
            ))
        })
    }

    /// Returns whether only greetings may leave: before a sign-in that is due, and before a TLS that is demanded.
    fn is_gated(&self) -> bool {
        let sign_in_due = self.transport.route.signs_in && self.session.signed_in.is_none();
        let tls_due = self.transport.route.min_security != Security::None && self.session.tls.is_none();
        sign_in_due || tls_due
    }

    /// Starts TLS on the connection, after a `220` reply to STARTTLS (RFC 3207).
    ///
    /// # Errors
    /// Returns [`ConnectionError::Denied`] when TLS has already begun, or [`ConnectionError::Tls`].
    pub async fn start_tls(&mut self) -> Result<(), ConnectionError> {
        if self.session.tls.is_some() {
            return Err(ConnectionError::Denied(
                "TLS has begun on this connection already.".to_owned(),
            ));
        }
        self.session.socket()?;
        self.offered.forget();
        if self.session.has_unread_input().await {
            let endpoint = self.transport.route.endpoint();
            // The news may be that there will be none.
            let is_over = !self.session.redactor.has_unread_input()
                && match self.session.socket.take() {
                    Some(mut socket) => socket.read(1).await.map_or(true, |bytes| bytes.is_empty()),
                    None => true,
                };
            self.session.socket = None;
            return Err(ConnectionError::Tls(if is_over {
                TlsError::Lost(format!("{endpoint} closed the connection during the TLS handshake."))
            } else {
                TlsError::Handshake(format!(
                    "{endpoint} sent bytes between its reply to STARTTLS and the handshake: somebody may be injecting them, so the connection was closed."
                ))
            }));
        }
        self.wrap_in_tls().await
    }

    async fn wrap_in_tls(&mut self) -> Result<(), ConnectionError> {
        let Some(Stream::Plain(stream)) = self.session.socket.take().map(BufferedStream::into_stream) else {
            return Err(ConnectionError::Denied(
                "TLS cannot begin on this connection.".to_owned(),
            ));
        };
        let (route, tls) = (&self.transport.route, &self.transport.connections.tls);
        let identity = match &route.account {
            Some(account) => account
                .client_identity()
                .map_err(|error| ConnectionError::Denied(format!("{error}.")))?,
            None => None,
        };
        let redactor = &self.session.redactor;
        let handshake = tls
            .handshake(stream, route.endpoint(), &route.tls, identity)
            .await
            // A certificate says whatever the server likes.
            .map_err(|error| error.with_text(|text| redactor.redacted_text(text)));
        if let Err(error) = &handshake {
            self.session.note(format_args!("{error}"));
        }
        let (wrapped, client_auth) = handshake?;
        self.client_auth = client_auth;
        let version = match wrapped.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        self.session.tls = Some(version);
        self.tls_facts = Some(TlsFacts::of(wrapped.get_ref().1));
        self.session.note(format_args!("{version} began"));
        self.session.socket = Some(BufferedStream::new(Stream::Tls(Box::new(wrapped))));
        Ok(())
    }

    /// Performs the whole SASL exchange with the account's secret, by this mechanism or, where the server refuses the mechanism
    /// by itself, by the next one that server and account share.
    ///
    /// # Errors
    /// Returns [`ConnectionError::Denied`] where no sign-in is due or allowed, [`ConnectionError::Credentials`] and
    /// [`ConnectionError::TokenUnavailable`] where there is nothing to sign in with, [`ConnectionError::Closed`], or
    /// [`ConnectionError::Io`]. A server that refuses the credentials is not an error: its reply says so. An exchange
    /// that does not finish, because of an error or because this call is cancelled, closes the connection.
    pub async fn sign_in(&mut self, mechanism: &str) -> Result<SignInReply, ConnectionError> {
        let denied = |message: String| Err(ConnectionError::Denied(message));
        let route = Arc::clone(&self.transport.route);
        let Some(account) = route.account.as_ref().filter(|_| route.may_sign_in) else {
            return denied("This step has no account to sign in with.".to_owned());
        };
        if std::mem::replace(&mut self.sign_in_asked, true) {
            return denied("A connection signs in once.".to_owned());
        }
        if self.spoke {
            return denied("A sign-in may not follow what was written on this connection.".to_owned());
        }
        let session = &mut self.session;
        let plain_loopback = session.peer.is_some_and(|peer| account.may_sign_in_clear(peer.ip()));
        if session.tls.is_none() && !plain_loopback {
            return denied(format!(
                "No sign-in in clear: the account `{}` signs in over TLS, or, with `allow_plaintext_auth`, at a loopback address.",
                account.label()
            ));
        }
        if route.dry_run.is_some() {
            session.signed_in = Some(mechanism.to_owned());
            return Ok(SignInReply {
                text: b"235 2.7.0 Accepted\r\n".to_vec(),
                mechanism: session.signed_in.clone(),
            });
        }
        if session.redactor.has_unread_input() {
            return denied("A sign-in begins where everything that the server said was read.".to_owned());
        }
        let connections = &self.transport.connections;
        let (gate, first) = (&connections.sign_in_gate, self.first_sign_in.take());
        let known = gate.accepted(&self.key, first.as_ref()).await;
        let request = SignInRequest {
            account,
            connections,
            owner: &route.owner(),
            address: route.endpoint(),
            mechanisms: sign_in::order(account, mechanism, known, &self.offered.mechanisms())?,
        };
        let observer = connections.observer.as_deref();
        let ended = |result: SignInResult| {
            if let Some(observer) = observer {
                observer.signed_in(account.label(), result);
            }
        };
        let reply = sign_in::run(session, request)
            .await
            .inspect_err(|_| ended(SignInResult::Failed))?;
        ended(match reply.verdict {
            Verdict::Accepted(_) => SignInResult::Accepted,
            Verdict::Refused(_) => SignInResult::Refused,
            Verdict::Open => SignInResult::Postponed,
        });
        session.expires = reply.expires;
        if let Verdict::Accepted(mechanism) = reply.verdict {
            session.signed_in = Some(mechanism.as_str().to_owned());
        }
        let signed_in = session.signed_in.clone();
        self.turned_away |= signed_in.is_none() && reply.text.first() == Some(&b'4');
        gate.note(&self.key, first, reply.verdict).await;
        Ok(SignInReply {
            text: reply.text,
            mechanism: signed_in,
        })
    }

    /// Returns the connection to the pool, or closes it when something about it is unfinished. `settled` means that no
    /// part of a message is unconfirmed.
    pub async fn release(mut self, memo: Vec<u8>, farewell: Vec<u8>, settled: bool) {
        if self.session.socket.is_none() {
            return;
        }
        let route = &self.transport.route;
        let carried = self.session.carried.load(Ordering::Relaxed);
        self.transport
            .connections
            .note_capacity(route, |capacity| capacity.note_alive(carried));
        let signed_in = !route.signs_in || self.session.signed_in.is_some();
        let harmless =
            farewell.len() <= FAREWELL_BYTES_MAX && preauth_filter::check(&farewell, &self.session.client_name).is_ok();
        let quiet = self.session.replies.is_even() && !self.session.has_unread_input().await;
        let is_good = settled
            && signed_in
            && harmless
            && quiet
            && memo.len() <= MEMO_BYTES_MAX
            && !self.session.is_expired(SystemTime::now())
            && !route.is_dry_run();
        self.session.memo = memo;
        self.session.run = Some(self.transport.run);
        self.session.pipeline = Some(Arc::clone(&self.transport.pipeline));
        let parked = IdleConnection::new(self.session, if harmless { farewell } else { Vec::new() });
        if is_good {
            self.transport.connections.park(self.key, parked);
        } else {
            parked.close().await;
        }
    }
}

/// Whether the last reply of these bytes says that the server closes the connection (RFC 5321, section 3.8).
fn says_goodbye(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    line.is_some_and(|line| line.starts_with(b"421"))
}

fn check_grant(route: &Route, wanted: &Endpoint, security: Security) -> Result<(), ConnectionError> {
    let endpoint = route.endpoint();
    if !wanted.host.eq_ignore_ascii_case(&endpoint.host) || wanted.port != endpoint.port {
        return Err(ConnectionError::Denied(format!(
            "This step may talk to {} and to no other server; it asked for {wanted}.",
            endpoint
        )));
    }
    let fits = match route.min_security {
        Security::Tls => security == Security::Tls,
        Security::StartTls => security != Security::None,
        Security::None => true,
    };
    if fits {
        Ok(())
    } else {
        Err(ConnectionError::Denied(format!(
            "The account demands the security `{}` at {}; the connector asked for `{}`.",
            route.min_security.as_str(),
            endpoint,
            security.as_str()
        )))
    }
}
