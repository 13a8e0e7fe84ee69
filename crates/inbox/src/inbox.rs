//! The server on its sockets.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::connection;
use crate::event::{Direction, Event};
use crate::message::Message;
use crate::script::Script;
use crate::service::Service;
use crate::settings::{Credentials, Security, Settings};
use crate::store::{Store, StoreError};
use crate::tls::{Authority, Flaw, Identity, TlsError};

/// How many lines of dialogue are kept: the first ones.
const TRANSCRIPT_LINES: usize = 100_000;

/// How long the server pauses after it could not accept a connection, which lasts until another one ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Observer = dyn Fn(&Event) + Send + Sync;

/// The local SMTP server. [`Inbox::builder`] begins.
#[derive(Debug)]
pub struct Inbox(());

impl Inbox {
    /// A server to be set up.
    pub fn builder() -> Builder {
        Builder {
            faces: Vec::new(),
            settings: Settings::default(),
            script: Script::default(),
            directory: None,
            keep: usize::MAX,
            names: Vec::new(),
            flaw: Flaw::None,
            identity: None,
            versions: Vec::new(),
            observer: None,
        }
    }
}

/// Sets up an [`Inbox`].
pub struct Builder {
    faces: Vec<(Security, String)>,
    settings: Settings,
    script: Script,
    directory: Option<PathBuf>,
    keep: usize,
    names: Vec<String>,
    flaw: Flaw,
    identity: Option<(String, Identity)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    observer: Option<Box<Observer>>,
}

impl Builder {
    /// Adds a face: an address (`127.0.0.1:0` for a port that the system chooses) and how TLS begins there. Without any, the
    /// server listens for STARTTLS at `127.0.0.1:0`.
    #[must_use]
    pub fn listen(mut self, security: Security, address: impl Into<String>) -> Self {
        self.faces.push((security, address.into()));
        self
    }

    /// Lets these users in by password; mail is then refused without sign-in.
    #[must_use]
    pub fn users<U: Into<String>, P: Into<String>>(self, users: impl IntoIterator<Item = (U, P)>) -> Self {
        for (user, password) in users {
            self.settings.credentials.set_password(user, password);
        }
        self
    }

    /// Lets these users in by OAuth access token; mail is then refused without sign-in.
    #[must_use]
    pub fn tokens<U: Into<String>, T: Into<String>>(self, tokens: impl IntoIterator<Item = (U, T)>) -> Self {
        for (user, token) in tokens {
            self.settings.credentials.add_token(user, token);
        }
        self
    }

    /// Lets in everybody who names a user and gives any secret.
    #[must_use]
    pub fn anybody(self) -> Self {
        self.settings.credentials.allow_anybody();
        self
    }

    /// Whether a STARTTLS face insists on TLS before AUTH and MAIL; it does by default.
    #[must_use]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.settings.require_tls = require;
        self
    }

    /// Whether mail is refused without sign-in; by default it is when there are users.
    #[must_use]
    pub fn require_auth(mut self, require: bool) -> Self {
        self.settings.require_auth = Some(require);
        self
    }

    /// Changes the settings that have no method here.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Neither offers nor obeys this capability.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        self.settings = self.settings.without(capability);
        self
    }

    /// Writes each message to this directory as well, as [`Store::in_directory`] says.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Keeps only the latest `count` messages in memory; all by default.
    #[must_use]
    pub fn keep(mut self, count: usize) -> Self {
        self.keep = count;
        self
    }

    /// Misbehaves as the script says.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Issues the certificate for these names and addresses too, beside `localhost`, `127.0.0.1` and `::1`.
    #[must_use]
    pub fn certificate_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names.extend(names.into_iter().map(Into::into));
        self
    }

    /// Presents a certificate with this flaw.
    #[must_use]
    pub fn certificate_flaw(mut self, flaw: Flaw) -> Self {
        self.flaw = flaw;
        self
    }

    /// Presents this certificate; `ca_pem` is what [`Running::ca_pem`] will say.
    #[must_use]
    pub fn identity(mut self, ca_pem: impl Into<String>, identity: Identity) -> Self {
        self.identity = Some((ca_pem.into(), identity));
        self
    }

    /// Speaks these versions of TLS alone.
    #[must_use]
    pub fn tls_versions(mut self, versions: &[&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions.to_vec();
        self
    }

    /// Keeps the dialogue's lines for [`Running::transcript`], and tells the observer of each.
    #[must_use]
    pub fn record_dialogue(mut self) -> Self {
        self.settings.record_dialogue = true;
        self
    }

    /// Calls `observer` for each event, on the server's tasks: it should be quick.
    #[must_use]
    pub fn observer(mut self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Binds the addresses and starts to serve, on the current tokio runtime.
    pub async fn start(self) -> Result<Running, StartError> {
        let (ca_pem, identity) = match self.identity {
            Some(given) => given,
            None => {
                let authority = Authority::new()?;
                (authority.pem().to_owned(), authority.issue(&self.names, self.flaw)?)
            }
        };
        let tls = identity.server_config(&self.versions)?;
        let store = match self.directory {
            Some(directory) => Store::in_directory(directory, self.keep)?,
            None => Store::keeping(self.keep),
        };
        let mut faces = self.faces;
        if faces.is_empty() {
            faces.push((Security::StartTls, "127.0.0.1:0".to_owned()));
        }
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for (security, address) in faces {
            let bound = TcpListener::bind(&address)
                .await
                .and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) = bound.map_err(|source| StartError::listen(address, source))?;
            addresses.push((security, local));
            listeners.push((security, listener));
        }
        let shared = Arc::new(Shared {
            service: Service::with_script(self.settings, self.script),
            store,
            observer: self.observer,
            sign_ins: AtomicU64::new(0),
            transcript: Mutex::default(),
            released: watch::Sender::default(),
            held: watch::Sender::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(run(shared.clone(), listeners, tls, stopped));
        Ok(Running {
            shared,
            addresses,
            ca_pem,
            identity,
            stop,
            server: Some(server),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("faces", &self.faces)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A server at work. Dropping it ends it at once; [`shutdown`](Running::shutdown) also waits for that.
pub struct Running {
    shared: Arc<Shared>,
    addresses: Vec<(Security, SocketAddr)>,
    ca_pem: String,
    identity: Identity,
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

impl Running {
    /// The address of the first face.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0].1
    }

    /// The address of the first face of this kind.
    pub fn address_of(&self, security: Security) -> Option<SocketAddr> {
        self.addresses
            .iter()
            .find(|(kind, _)| *kind == security)
            .map(|(_, address)| *address)
    }

    /// All faces.
    pub fn addresses(&self) -> &[(Security, SocketAddr)] {
        &self.addresses
    }

    /// The certificate in PEM that a client must trust: what an account's `ca_file` holds.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The certificate that the server presents.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who may sign in; changes count at once.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.service.settings().credentials
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The messages that are kept, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.shared.store.messages()
    }

    /// Waits until `count` messages have arrived in all, and gives those that are kept.
    pub async fn wait_for(&self, count: u64) -> Vec<Arc<Message>> {
        self.shared.store.wait_for(count).await
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.shared.service.connections()
    }

    /// How many sign-ins have succeeded.
    pub fn sign_ins(&self) -> u64 {
        self.shared.sign_ins.load(Ordering::Relaxed)
    }

    /// Another script, for the connections that are still to come.
    pub fn set_script(&self, script: Script) {
        self.shared.service.set_script(script);
    }

    /// Lets go on whatever holds, or ever will hold, under this name.
    pub fn release(&self, name: &str) {
        self.shared.released.send_modify(|names| {
            names.insert(name.to_owned());
        });
    }

    /// Waits until `count` connections in all have come to a hold of this name.
    pub async fn wait_until_held(&self, name: &str, count: u64) {
        let mut held = self.shared.held.subscribe();
        // An error would mean that the sender is gone, and it lives in `self`.
        let _ = held
            .wait_for(|held| held.get(name).is_some_and(|&arrived| arrived >= count))
            .await;
    }

    /// The lines of the dialogue so far, in their order: connection, direction, line. Empty without
    /// [`Builder::record_dialogue`]; what may hold a secret is left out.
    pub fn transcript(&self) -> Vec<(u64, Direction, String)> {
        self.shared
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stops listening, drops every connection, and waits until all of that is done.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        if let Some(server) = self.server.take() {
            // It fails only when the server's task was aborted, and then it has ended too.
            let _ = server.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// What the connections of a running server share.
pub(crate) struct Shared {
    pub(crate) service: Service,
    store: Store,
    observer: Option<Box<Observer>>,
    sign_ins: AtomicU64,
    transcript: Mutex<Vec<(u64, Direction, String)>>,
    released: watch::Sender<HashSet<String>>,
    held: watch::Sender<HashMap<String, u64>>,
}

impl Shared {
    pub(crate) fn observe(&self, event: Event) {
        match &event {
            Event::SignedIn { .. } => {
                self.sign_ins.fetch_add(1, Ordering::Relaxed);
            }
            Event::Line {
                connection,
                direction,
                text,
            } => {
                let mut transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner);
                if transcript.len() < TRANSCRIPT_LINES {
                    transcript.push((*connection, *direction, text.clone()));
                }
            }
            _ => {}
        }
        if let Some(observer) = &self.observer {
            observer(&event);
        }
    }

    pub(crate) async fn store(&self, message: Message) -> Result<Arc<Message>, StoreError> {
        if !self.store.writes_files() {
            return self.store.add(message);
        }
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || store.add(message)).await {
            Ok(outcome) => outcome,
            Err(error) => Err(StoreError::unfinished(io::Error::other(error))),
        }
    }

    /// Waits until the name is released.
    pub(crate) async fn hold(&self, name: &str) {
        self.held
            .send_modify(|held| *held.entry(name.to_owned()).or_default() += 1);
        let mut released = self.released.subscribe();
        let _ = released.wait_for(|names| names.contains(name)).await;
    }
}

/// Accepts until told to stop. When this ends, or is aborted, the connections end with it.
async fn run(
    shared: Arc<Shared>,
    listeners: Vec<(Security, TcpListener)>,
    tls: Arc<ServerConfig>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    for (security, listener) in listeners {
        tasks.spawn(accept(shared.clone(), listener, security, tls.clone()));
    }
    let _ = stopped.wait_for(|&stopped| stopped).await;
    tasks.shutdown().await;
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, security: Security, tls: Arc<ServerConfig>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    clients.spawn(connection::serve(shared.clone(), stream, peer, security, tls.clone()));
                }
                // Out of descriptors, or the client has gone already: neither is a reason to stop.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
        }
    }
}

/// The server could not start.
#[derive(Debug)]
pub struct StartError {
    kind: StartErrorKind,
}

#[derive(Debug)]
enum StartErrorKind {
    Listen { address: String, source: io::Error },
    Store(StoreError),
    Tls(TlsError),
}

impl StartError {
    fn listen(address: String, source: io::Error) -> Self {
        StartError {
            kind: StartErrorKind::Listen { address, source },
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            StartErrorKind::Listen { address, source } => write!(
                f,
                "the inbox cannot listen at {address} ({source}): give an address of this machine and a free port, such as \
                 127.0.0.1:2525"
            ),
            StartErrorKind::Store(error) => write!(f, "{error}"),
            StartErrorKind::Tls(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            StartErrorKind::Listen { source, .. } => Some(source),
            StartErrorKind::Store(error) => Some(error),
            StartErrorKind::Tls(error) => Some(error),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        StartError {
            kind: StartErrorKind::Store(error),
        }
    }
}

impl From<TlsError> for StartError {
    fn from(error: TlsError) -> Self {
        StartError {
            kind: StartErrorKind::Tls(error),
        }
    }
}
