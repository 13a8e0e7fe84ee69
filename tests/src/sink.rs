//! smtp-sink, Postfix's own server for tests: it takes every message and keeps each in a file, and knows nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::arrivals::{find, is_root, run};
use crate::lines::Lines;
use crate::ports::free_port;
use crate::{Namespace, USER, skip};

/// A running server without TLS and without a sign-in. It ends when this is dropped, or the test's process is gone.
pub struct Sink {
    child: Child,
    errors: Lines,
    folder: TempDir,
    at: SocketAddr,
}

/// Runs the server until the test's end of the pipe is gone, however the test ends.
const GUARD: &str = r#"
"$@" </dev/null &
read -r never
kill "$!"
wait
"#;

impl Sink {
    /// Starts one; none, in plain sight, where Postfix is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Option<Self> {
        Self::start_in(None)
    }

    /// The same in a network of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_in(namespace: Option<&Namespace>) -> Option<Self> {
        let address = namespace.map_or(Ipv4Addr::LOCALHOST, Namespace::address);
        let Some(program) = find("smtp-sink") else {
            skip("smtp-sink is not installed (Debian: postfix)");
            return None;
        };
        let folder = TempDir::new().expect("a folder for temporary files");
        let mail = folder.path().join("mail");
        fs::create_dir(&mail).expect("a writable folder");
        if is_root() {
            run(Command::new("chmod").arg("a+x").arg(folder.path()));
            run(Command::new("chown").arg("nobody").arg(&mail));
        }
        for _ in 0..8 {
            let port = free_port();
            let mut command = match namespace {
                Some(namespace) => {
                    let mut command = namespace.command("root");
                    command.arg("/bin/sh");
                    command
                }
                None => Command::new("/bin/sh"),
            };
            command.args(["-c", GUARD, "guard"]).arg(&program);
            if is_root() {
                // It refuses to go on as root.
                command.args(["-u", "nobody"]);
            }
            let mut child = command
                .arg("-d")
                .arg(mail.join("%H."))
                .args(["-m", "1000", &format!("{address}:{port}"), "1000"])
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a shell starts");
            let errors = Lines::of(child.stderr.take().expect("a pipe"));
            let at = SocketAddr::from((address, port));
            loop {
                if TcpStream::connect(at).is_ok() {
                    return Some(Self {
                        child,
                        errors,
                        folder,
                        at,
                    });
                }
                if errors.seen().contains("fatal") {
                    break;
                }
                std::thread::yield_now();
            }
            drop(child.stdin.take());
            let _ = child.wait();
            let seen = errors.seen();
            assert!(seen.contains("already in use"), "smtp-sink does not start:\n{seen}");
        }
        panic!("smtp-sink finds no free port")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// The account `mail` at this port of 127.0.0.1, which leads to it.
    pub fn account(port: u16) -> Value {
        json!({
            "label": "mail",
            "type": "smtp-auth-and-properties",
            "host": "127.0.0.1",
            "port": port,
            "username": USER,
            "auth": "false",
            "starttls_enable": "false",
        })
    }

    /// How many messages are whole so far, or in the middle of being taken.
    pub fn count(&self) -> usize {
        fs::read_dir(self.folder.path().join("mail")).map_or(0, Iterator::count)
    }

    /// Ends it, and gives how often each subject arrived. Nobody may be in the middle of a message.
    ///
    /// # Panics
    /// When a message has no end.
    pub fn finish(mut self) -> BTreeMap<String, usize> {
        // It answers in the order in which things happen to it, so the ends of connections are known to it now.
        let mut last = BufReader::new(TcpStream::connect(self.at).expect("it listens"));
        let _ = last.get_mut().write_all(b"QUIT\r\n");
        let _ = last.read_to_string(&mut String::new());
        self.end();
        let mut arrived = BTreeMap::new();
        for file in fs::read_dir(self.folder.path().join("mail"))
            .expect("it was made")
            .flatten()
        {
            let text = fs::read(file.path()).expect("a readable file");
            let text = String::from_utf8_lossy(&text);
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            let subject = subject.unwrap_or_else(|| panic!("no subject: {text}"));
            *arrived.entry(subject.trim().to_owned()).or_default() += 1;
        }
        arrived
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        while self.errors.next().is_some() {}
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.end();
    }
}
