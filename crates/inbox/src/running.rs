//! The server at work on its sockets.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::connection;
use crate::event::{Direction, Event};
use crate::message::Message;
use crate::script::Script;
use crate::service::Service;
use crate::settings::{Credentials, Security};
use crate::store::{Store, StoreError};
use crate::tls::Identity;

/// How many lines of dialogue are kept: the first ones.
const TRANSCRIPT_LINES: usize = 100_000;

/// How long the server pauses after it could not accept a connection, which lasts until another one ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) type Observer = dyn Fn(&Event) + Send + Sync;

/// A running server. Dropping it ends it at once; [`shutdown`](Running::shutdown) also waits for the end.
pub struct Running {
    shared: Arc<Shared>,
    addresses: Vec<(Security, SocketAddr)>,
    ca_pem: String,
    identity: Identity,
    stop: watch::Sender<bool>,
    server: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(
        shared: Shared,
        listeners: Vec<(Security, TcpListener)>,
        addresses: Vec<(Security, SocketAddr)>,
        ca_pem: String,
        identity: Identity,
        tls: Arc<ServerConfig>,
    ) -> Self {
        let shared = Arc::new(shared);
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(run(shared.clone(), listeners, tls, stopped));
        Self {
            shared,
            addresses,
            ca_pem,
            identity,
            stop,
            server: Some(server),
        }
    }

    /// Returns the address of the first face.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0].1
    }

    /// Returns the address of the first face of this kind.
    pub fn address_of(&self, security: Security) -> Option<SocketAddr> {
        self.addresses
            .iter()
            .find(|(kind, _)| *kind == security)
            .map(|(_, address)| *address)
    }

    /// Returns all faces.
    pub fn addresses(&self) -> &[(Security, SocketAddr)] {
        &self.addresses
    }

    /// Returns the certificate in PEM that a client must trust, for an account's `ca_file`.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns the certificate that the server presents.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns who may sign in; changes apply at once.
    pub fn credentials(&self) -> &Credentials {
        &self.shared.service.settings().credentials
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Returns the messages that are kept, oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.shared.store.messages()
    }

    /// Waits until `count` messages have arrived in all, and returns those that are kept.
    pub async fn wait_for(&self, count: u64) -> Vec<Arc<Message>> {
        self.shared.store.wait_for(count).await
    }

    /// Returns the number of connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.service.connections()
    }

    /// Returns the number of successful sign-ins so far.
    pub fn sign_ins(&self) -> u64 {
        self.shared.sign_ins.load(Ordering::Relaxed)
    }

    /// Another script, for the connections that are still to come.
    pub fn set_script(&self, script: Script) {
        self.shared.service.set_script(script);
    }

    /// Releases every connection that is held, or will be held, under this name.
    pub fn release(&self, name: &str) {
        self.shared.released.send_modify(|names| {
            names.insert(name.to_owned());
        });
    }

    /// Waits until `count` connections in all have reached a hold of this name.
    pub async fn wait_until_held(&self, name: &str, count: u64) {
        let mut held = self.shared.held.subscribe();
        // An error would mean that the sender is gone, and it lives in `self`.
        let _ = held
            .wait_for(|held| held.get(name).is_some_and(|&arrived| arrived >= count))
            .await;
    }

    /// Returns the lines of the dialogue so far, in order: connection, direction, line. Empty without
    /// [`Builder::record_dialogue`](crate::Builder::record_dialogue); what may hold a secret is left out.
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
    pub(crate) fn new(service: Service, store: Store, observer: Option<Box<Observer>>) -> Self {
        Self {
            service,
            store,
            observer,
            sign_ins: AtomicU64::new(0),
            transcript: Mutex::default(),
            released: watch::Sender::default(),
            held: watch::Sender::default(),
        }
    }

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
