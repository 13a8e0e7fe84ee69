//! A server inside this process that catches what a dry run would send. No socket is opened.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pipepost_inbox::{Message, Security, Service, Session, Settings, Signal, Store};
use pipepost_net::DryRun;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// How much may be under way in a connection that is none.
const BUFFER: usize = 256 * 1024;

/// Catches messages. By default they are kept in memory.
#[derive(Debug)]
pub struct Catcher {
    service: Arc<Service>,
    store: Store,
}

impl Default for Catcher {
    fn default() -> Self {
        Self::with_store(Store::new())
    }
}

impl Catcher {
    /// Makes one that keeps the messages in this store.
    pub fn with_store(store: Store) -> Self {
        let settings = Settings {
            require_auth: Some(false),
            ..Settings::default()
        };
        Self {
            service: Arc::new(Service::new(settings)),
            store,
        }
    }

    /// Returns the settings of a host whose connections lead here.
    pub fn dry_run(&self) -> DryRun {
        let (service, store) = (Arc::clone(&self.service), self.store.clone());
        DryRun::new(move || {
            let (client, server) = tokio::io::duplex(BUFFER);
            let session = service.session(Security::Plain);
            tokio::spawn(serve(session, server, store.clone()));
            client
        })
    }

    /// Returns how many messages were caught.
    pub fn count(&self) -> u64 {
        self.store.count()
    }

    /// Returns the messages that are kept, the oldest first.
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.store.messages()
    }
}

/// The server's end of one connection.
async fn serve(mut session: Session, mut stream: DuplexStream, store: Store) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    session.set_unix_time(now.map_or(0, |elapsed| elapsed.as_secs()));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // The session has answered the client with a 452 when its message could not be kept.
        if let Err(error) = store.collect(&mut session) {
            tracing::warn!(%error, "a message could not be written");
        }
        while let Some(bytes) = session.poll_transmit() {
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
        if let Some(Signal::Close { .. }) = session.poll_signal() {
            return;
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => session.handle_bytes(&buffer[..count]),
            _ => return,
        }
    }
}
