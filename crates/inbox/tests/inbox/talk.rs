//! A client's side of a session without I/O.

use std::sync::Arc;

use pipepost_inbox::session::Wait;
use pipepost_inbox::{Event, Message, Script, Security, Service, Session, Settings, Signal, Store, TlsInfo};

pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) store: Store,
    pub(crate) signals: Vec<Signal>,
    pub(crate) writes: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

impl Talk {
    /// A connection to a fresh server; the greeting is taken.
    pub(crate) fn new(settings: Settings, script: Script, security: Security) -> Self {
        let mut talk = Self::with(&Service::with_script(settings, script), security);
        talk.say("");
        talk.writes.clear();
        talk
    }

    /// A connection to this server, whose greeting is not yet taken.
    pub(crate) fn with(service: &Service, security: Security) -> Self {
        let mut session = service.session(security);
        session.set_unix_time(1_700_000_000);
        Self {
            session,
            store: Store::new(),
            signals: Vec::new(),
            writes: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(crate) fn plain() -> Self {
        Self::new(Settings::default(), Script::new(), Security::Plain)
    }

    /// A plain connection that misbehaves.
    pub(crate) fn scripted(script: Script) -> Self {
        Self::new(Settings::default(), script, Security::Plain)
    }

    /// Sends bytes and gives all that the server sends up to its next wait or handshake.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.session.handle_bytes(bytes.as_ref());
        self.drain()
    }

    pub(crate) fn drain(&mut self) -> String {
        let mut said = Vec::new();
        loop {
            self.store.collect(&mut self.session).unwrap();
            if let Some(bytes) = self.session.poll_transmit() {
                said.extend_from_slice(&bytes);
                self.writes.push(bytes);
            } else if let Some(signal) = self.session.poll_signal() {
                self.signals.push(signal);
            } else {
                break;
            }
        }
        self.events.extend(std::iter::from_fn(|| self.session.poll_event()));
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The wait is over.
    pub(crate) fn go_on(&mut self) -> String {
        assert!(matches!(
            self.signals.last(),
            Some(Signal::Wait(Wait::For(_) | Wait::Until(_)))
        ));
        self.session.handle_wait_over();
        self.drain()
    }

    pub(crate) fn handshake(&mut self) -> String {
        self.session.handle_tls(TlsInfo {
            version: "TLSv1.3".into(),
            ..TlsInfo::default()
        });
        self.drain()
    }

    /// Sends each line and asserts that its reply begins so.
    #[track_caller]
    pub(crate) fn expect(&mut self, lines: &[(&str, &str)]) {
        for (line, reply) in lines {
            let said = self.say(format!("{line}\r\n"));
            assert!(said.starts_with(reply), "{line}: {said}");
        }
    }

    /// EHLO, MAIL and RCPT, all accepted.
    #[track_caller]
    pub(crate) fn envelope(&mut self) {
        self.expect(&[
            ("EHLO client.example", "250-"),
            ("MAIL FROM:<a@example.com>", "250 2.1.0 OK"),
            ("RCPT TO:<b@example.com>", "250 2.1.5 OK"),
        ]);
    }

    pub(crate) fn messages(&self) -> Vec<Arc<Message>> {
        self.store.messages()
    }

    pub(crate) fn closed(&self) -> Option<bool> {
        self.signals.iter().find_map(|signal| match signal {
            Signal::Close { abrupt } => Some(*abrupt),
            _ => None,
        })
    }
}
