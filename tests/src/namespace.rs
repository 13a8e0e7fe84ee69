//! A network of a test's own, joined to the machine's by a cable that can be pulled: what is sent then is lost, and
//! nobody is told.

use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use crate::arrivals::{find, is_root};
use crate::cannot;
use crate::random::{Random, any_seed};

/// Ends what runs in the namespace and removes it, when the test's end of the pipe is gone.
const GUARD: &str = r#"
trap '' INT HUP TERM
read -r never
for id in $(ip netns pids "$1"); do kill -KILL "$id"; done
ip netns delete "$1"
"#;

/// A network namespace of Linux. It ends when this is dropped, or the test's process is gone.
#[derive(Debug)]
pub struct Namespace {
    guard: Child,
    name: String,
    address: Ipv4Addr,
}

impl Namespace {
    /// Makes one; none, in plain sight, where the machine does not let us.
    pub fn make() -> Option<Self> {
        if !is_root() || find("ip").is_none() || find("setpriv").is_none() {
            cannot("network namespaces are made by root, with `ip` (Debian: iproute2)");
            return None;
        }
        let mut random = Random::new(any_seed());
        let name = format!("pp{:x}", random.below(1 << 40));
        if !ip(&["netns", "add", &name]) {
            cannot("this machine lets nobody make network namespaces");
            return None;
        }
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard", &name])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        // A network of two addresses, out of those that are nobody's (RFC 1918).
        let [high, middle] = [200 + random.below(50), random.below(256)].map(|part| u8::try_from(part).unwrap_or(1));
        let low = u8::try_from(4 * random.below(64)).unwrap_or(4);
        let (ours, theirs) = (
            Ipv4Addr::new(10, high, middle, low + 1),
            Ipv4Addr::new(10, high, middle, low + 2),
        );
        let namespace = Self {
            guard,
            address: theirs,
            name,
        };
        let (name, [ours, theirs]) = (&namespace.name, [ours, theirs].map(|address| format!("{address}/30")));
        let laid = [
            &[
                "link", "add", name, "type", "veth", "peer", "name", "cable", "netns", name,
            ][..],
            &["address", "add", &ours, "dev", name],
            &["link", "set", name, "up"],
            &["-netns", name, "address", "add", &theirs, "dev", "cable"],
            &["-netns", name, "link", "set", "cable", "up"],
            &["-netns", name, "link", "set", "lo", "up"],
        ];
        if !laid.iter().all(|arguments| ip(arguments)) {
            cannot("this machine lets nobody join network namespaces");
            return None;
        }
        Some(namespace)
    }

    /// Where others find what listens in it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Pulls the cable.
    pub fn pull(&self) {
        assert!(
            ip(&["-netns", &self.name, "link", "set", "cable", "down"]),
            "it is ours"
        );
    }

    /// Plugs it in again.
    pub fn plug(&self) {
        assert!(ip(&["-netns", &self.name, "link", "set", "cable", "up"]), "it is ours");
    }

    /// What a program within it is started by, as this user.
    pub(crate) fn command(&self, user: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "setpriv", "--init-groups"]);
        command.args([format!("--reuid={user}"), format!("--regid={}", group_of(user))]);
        command
    }
}

fn group_of(user: &str) -> String {
    let output = Command::new("id").args(["-g", user]).output();
    let group = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    group.unwrap_or_default()
}

fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
