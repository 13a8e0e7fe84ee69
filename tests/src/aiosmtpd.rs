//! aiosmtpd, a server in Python: <https://aiosmtpd.aio-libs.org>.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::{Authority, Certificate, Flaw};
use crate::peer::{Peer, Program};
use crate::{Message, PASSWORD, REFUSED, USER};

const PROGRAM: Program = Program {
    name: "aiosmtpd",
    script: "smtp_server.py",
    module: "aiosmtpd.smtp",
    packages: "aiosmtpd",
};

/// How TLS begins at a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// With STARTTLS.
    #[default]
    StartTls,
    /// With the first byte.
    Implicit,
    /// Never.
    None,
}

/// What is unusual about a server; the default is one that works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How TLS begins.
    pub tls: Tls,
    /// What is wrong with the certificate.
    pub flaw: Flaw,
    /// The mechanisms offered; none: no AUTH.
    pub mechanisms: Vec<&'static str>,
    /// The limit announced as SIZE, in bytes.
    pub size: usize,
    /// Final replies repeat what the client has just said.
    pub echo: bool,
    /// Clients have to show a certificate of the server's own authority.
    pub client_certificates: bool,
    /// The only TLS version that is spoken, as `1.2` or `1.3`.
    pub tls_version: Option<&'static str>,
    /// The iterations that SCRAM-SHA-256 asks for.
    pub iterations: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::StartTls,
            flaw: Flaw::None,
            mechanisms: vec!["PLAIN", "LOGIN"],
            size: 1 << 25,
            echo: false,
            client_certificates: false,
            tls_version: None,
            iterations: 4096,
        }
    }
}

/// A running server. It ends when this is dropped, or the test's process is gone.
pub struct Aiosmtpd {
    peer: Peer,
    folder: TempDir,
    certificate: Certificate,
    client: Certificate,
}

/// What a server has seen, after it ended.
#[derive(Debug)]
pub struct Seen {
    /// The messages it took that [`Aiosmtpd::next`] has not given out.
    pub messages: Vec<Message>,
    /// All the command lines it got, secrets removed.
    pub commands: Vec<String>,
}

impl Aiosmtpd {
    /// Starts a server on a port of the system's choice; none, in plain sight, where Python has no aiosmtpd.
    pub fn start(options: &Options) -> Option<Self> {
        let folder = TempDir::new().expect("a folder for temporary files");
        let authority = Authority::new();
        let certificate = authority.issue(options.flaw, folder.path());
        let client = authority.issue_client(USER, folder.path());
        let users = (!options.mechanisms.is_empty()).then(|| json!({ USER: PASSWORD }));
        let argument = json!({
            "directory": folder.path(),
            "tls": match options.tls {
                Tls::StartTls => "starttls",
                Tls::Implicit => "implicit",
                Tls::None => "none",
            },
            "certificate": certificate.certificate,
            "key": certificate.key,
            "users": users,
            "mechanisms": options.mechanisms,
            "refuse": [REFUSED],
            "size": options.size,
            "echo": options.echo,
            "client_authority": options.client_certificates.then_some(&client.authority),
            "tls_version": options.tls_version,
            "iterations": options.iterations,
        });
        Some(Self {
            peer: Peer::start(&PROGRAM, &argument)?,
            folder,
            certificate,
            client,
        })
    }

    /// The host and port of it. `localhost` is the same host.
    pub fn at(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.peer.port())
    }

    /// What a client has to trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// A certificate of [`USER`] that the server's own authority has issued.
    pub fn client(&self) -> &Certificate {
        &self.client
    }

    /// The next message, waited for.
    ///
    /// # Panics
    /// When none comes.
    pub fn next(&self) -> Message {
        loop {
            let event = self.peer.event().unwrap_or_else(|| self.peer.died());
            if event["event"] == "message" {
                return self.message(&event);
            }
        }
    }

    /// Ends the server, and tells what it has seen.
    pub fn finish(mut self) -> Seen {
        self.peer.end();
        let mut seen = Seen {
            messages: Vec::new(),
            commands: Vec::new(),
        };
        while let Some(event) = self.peer.event() {
            if event["event"] == "message" {
                seen.messages.push(self.message(&event));
            }
        }
        for event in self.peer.history() {
            seen.commands.extend(event["line"].as_str().map(str::to_owned));
        }
        seen
    }

    fn message(&self, event: &Value) -> Message {
        let number = event["number"].as_u64().unwrap_or_default();
        let facts = Message::read(&self.folder.path().join(format!("{number}.json")));
        let facts: Value = serde_json::from_slice(&facts).expect("the script writes JSON");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Message {
            sender: text(&facts["sender"]).unwrap_or_default(),
            recipients: facts["recipients"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(text)
                .collect(),
            user: text(&facts["user"]),
            eml: Message::read(&self.folder.path().join(format!("{number}.eml"))),
        }
    }
}
