//! A server in Python, as a child process: it takes its options as JSON, and tells in lines of JSON what happens to it.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::lines::Lines;
use crate::{python, show, skip};

/// What has to be known of a server to start it.
pub(crate) struct Program {
    /// As panics call it.
    pub(crate) name: &'static str,
    /// Its script in the peers' folder.
    pub(crate) script: &'static str,
    /// What the script imports.
    pub(crate) module: &'static str,
    /// The packages that have the module.
    pub(crate) packages: &'static str,
}

/// A running server. It ends when this is dropped, or the test's process is gone.
pub(crate) struct Peer {
    name: &'static str,
    child: Child,
    events: Lines,
    errors: Lines,
    port: u16,
}

impl Peer {
    /// Starts a server on a port of the system's choice; none, in plain sight, where Python lacks its module.
    pub(crate) fn start(program: &Program, options: &Value) -> Option<Self> {
        let Some(python) = python::with(program.module) else {
            let install = "python3 -m pip install -r tests/peers/requirements.txt";
            skip(&format!("no Python here has {} (`{install}`)", program.packages));
            return None;
        };
        let mut child = Command::new(python)
            .arg(python::script(program.script))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let events = Lines::of(child.stdout.take().expect("a pipe"));
        let errors = Lines::of(child.stderr.take().expect("a pipe"));
        let mut peer = Self {
            name: program.name,
            child,
            events,
            errors,
            port: 0,
        };
        let listening = peer.event().unwrap_or_else(|| peer.died());
        let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        peer.port = port.unwrap_or_else(|| peer.died());
        Some(peer)
    }

    /// Where it listens, on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What happens next, waited for; none when it has ended.
    pub(crate) fn event(&self) -> Option<Value> {
        self.events.next().map(|line| self.read(&line))
    }

    /// Everything that has happened.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.events.seen().lines().map(|line| self.read(line)).collect()
    }

    /// Asks it to end, which it does with its input.
    pub(crate) fn end(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Fails the test with all that it said.
    pub(crate) fn died(&self) -> ! {
        // Its last words come after its events.
        while self.errors.next().is_some() {}
        panic!("{} ended:\n{}\n{}", self.name, self.events.seen(), self.errors.seen());
    }

    fn read(&self, line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{} said `{line}`: {error}", self.name))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
        // A connection that a client left open would keep it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let (events, errors) = (self.events.seen(), self.errors.seen());
            show(&format!("the side of {}:\n{events}{errors}", self.name));
        }
    }
}
