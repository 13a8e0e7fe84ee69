//! `pipepost run --dry-run`: everything but the sending. The server is the inbox, inside this process, without a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pipepost::Kind;
use pipepost::transport::Rehearsal;
use pipepost_inbox::{Security, Service, Session, Settings, Signal, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::complaint::Complaint;
use super::logging::say;

/// How much may be under way in a connection that is none.
const BUFFER: usize = 256 * 1024;

/// Catches what would have been sent.
pub(super) struct Catcher {
    service: Arc<Service>,
    store: Store,
    written: bool,
}

impl Catcher {
    /// Messages go to files of this directory; without one they are kept to be printed.
    pub(super) fn new(out: Option<&Path>) -> Result<Self, Complaint> {
        let store = match out {
            Some(directory) => Store::in_directory(directory, 0).map_err(|error| {
                Complaint::new(Kind::Configuration, format!("The messages cannot be written: {error}."))
            })?,
            None => Store::new(),
        };
        let settings = Settings {
            require_auth: Some(false),
            ..Settings::default()
        };
        Ok(Self {
            service: Arc::new(Service::new(settings)),
            store,
            written: out.is_some(),
        })
    }

    /// Where the run's connections lead.
    pub(super) fn rehearsal(&self) -> Rehearsal {
        let (service, store) = (Arc::clone(&self.service), self.store.clone());
        Arc::new(move || {
            let (client, server) = tokio::io::duplex(BUFFER);
            let session = service.session(Security::Plain);
            tokio::spawn(serve(session, server, store.clone()));
            client
        })
    }

    /// Tells what was caught, and prints it where it was not written.
    pub(super) fn tell(&self, out: Option<&Path>) {
        let count = self.store.count();
        for message in self.store.messages().iter().filter(|_| !self.written) {
            say(&format!(
                "-- envelope: from <{}> to {}",
                message.envelope.from,
                message.envelope.to.join(", ")
            ));
            say(&String::from_utf8_lossy(&message.content).replace("\r\n", "\n"));
        }
        let place = out.map_or_else(String::new, |out| format!(" They are in {}.", out.display()));
        say(&match count {
            0 => "pipepost: dry run: no message would have been sent.".to_owned(),
            1 => format!(
                "pipepost: dry run: 1 message would have been sent.{}",
                place.replace("They are", "It is")
            ),
            _ => format!("pipepost: dry run: {count} messages would have been sent.{place}"),
        });
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
            say(&format!("pipepost: a message could not be written: {error}."));
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
