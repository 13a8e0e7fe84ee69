//! aiosmtpd, a server in Python: <https://aiosmtpd.aio-libs.org>.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::{Authority, Certificate, Flaw};
use crate::lines::Lines;
use crate::{Message, PASSWORD, REFUSED, USER, python, show, skip};

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: Tls::StartTls,
            flaw: Flaw::None,
            mechanisms: vec!["PLAIN", "LOGIN"],
            size: 1 << 25,
            echo: false,
        }
    }
}

/// A running server. It ends when this is dropped, or the test's process is gone.
pub struct Aiosmtpd {
    child: Child,
    events: Lines,
    errors: Lines,
    folder: TempDir,
    certificate: Certificate,
    port: u16,
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
        let Some(python) = python::with("aiosmtpd.smtp") else {
            skip("no Python here has aiosmtpd (`python3 -m pip install -r tests/peers/requirements.txt`)");
            return None;
        };
        let folder = TempDir::new().expect("a folder for temporary files");
        let certificate = Authority::new().issue(options.flaw, folder.path());
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
        });
        let mut child = Command::new(python)
            .arg(python::script("smtp_server.py"))
            .arg(argument.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let events = Lines::of(child.stdout.take().expect("a pipe"));
        let errors = Lines::of(child.stderr.take().expect("a pipe"));
        let mut server = Self {
            child,
            events,
            errors,
            folder,
            certificate,
            port: 0,
        };
        let listening = server.event().unwrap_or_else(|| server.died());
        let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        server.port = port.unwrap_or_else(|| server.died());
        Some(server)
    }

    /// The host and port of it. `localhost` is the same host.
    pub fn at(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }

    /// What a client has to trust.
    pub fn authority(&self) -> &Path {
        &self.certificate.authority
    }

    /// The next message, waited for.
    ///
    /// # Panics
    /// When none comes.
    pub fn next(&self) -> Message {
        loop {
            let event = self.event().unwrap_or_else(|| self.died());
            if event["event"] == "message" {
                return self.message(&event);
            }
        }
    }

    /// Ends the server, and tells what it has seen.
    pub fn finish(mut self) -> Seen {
        // It ends with its input.
        drop(self.child.stdin.take());
        let mut seen = Seen {
            messages: Vec::new(),
            commands: Vec::new(),
        };
        while let Some(event) = self.event() {
            if event["event"] == "message" {
                seen.messages.push(self.message(&event));
            }
        }
        for line in self.events.seen().lines() {
            seen.commands.extend(read(line)["line"].as_str().map(str::to_owned));
        }
        seen
    }

    fn event(&self) -> Option<Value> {
        self.events.next().map(|line| read(&line))
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

    fn died(&self) -> ! {
        // Its last words come after its events.
        while self.errors.next().is_some() {}
        panic!("aiosmtpd ended:\n{}\n{}", self.events.seen(), self.errors.seen());
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A connection that a client left open would keep it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            show(&format!(
                "aiosmtpd's side:\n{}{}",
                self.events.seen(),
                self.errors.seen()
            ));
        }
    }
}

fn read(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("aiosmtpd said `{line}`: {error}"))
}
