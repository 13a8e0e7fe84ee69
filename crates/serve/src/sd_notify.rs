//! Tells a service manager what state the process is in, as sd_notify(3) of systemd describes it.
//!
//! The protocol is datagrams of `NAME=VALUE` lines to the socket that `NOTIFY_SOCKET` names. Without that variable nobody
//! asked, and nothing is sent.

use std::ffi::OsStr;
use std::time::Duration;
use std::{env, io};

/// Sends the states of this process to its service manager. Whoever made it without one may call everything: nothing
/// happens then.
#[derive(Debug)]
pub struct ServiceManager {
    #[cfg(unix)]
    socket: Option<std::os::unix::net::UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Connects to the service manager that `NOTIFY_SOCKET` names, if one does.
    ///
    /// # Errors
    ///
    /// Fails if the variable names a socket that cannot be reached. The service manager would wait for a word in vain, so
    /// this deserves a warning; the service itself can go on.
    pub fn from_environment() -> io::Result<Self> {
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let watchdog = watchdog(number("WATCHDOG_USEC"), number("WATCHDOG_PID"), std::process::id());
        match env::var_os("NOTIFY_SOCKET") {
            Some(address) if !address.is_empty() => Self::connect(&address, watchdog),
            _ => Ok(Self::absent()),
        }
    }

    /// Makes one that sends nothing.
    pub fn absent() -> Self {
        Self {
            #[cfg(unix)]
            socket: None,
            watchdog: None,
        }
    }

    #[cfg(unix)]
    fn connect(address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::net::UnixDatagram;

        let socket = UnixDatagram::unbound()?;
        match address.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => {
                use std::os::linux::net::SocketAddrExt as _;
                socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?;
            }
            _ => socket.connect(address)?,
        }
        // A service manager that does not read must not stop the service.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Some(socket),
            watchdog,
        })
    }

    #[cfg(not(unix))]
    fn connect(_address: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        Ok(Self { watchdog })
    }

    /// Says that the service is up, or that a reload has ended.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\n{}", status_line(status)));
    }

    /// Says that the configuration is being read again. [`Self::ready`] follows it.
    pub fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// Says that the service is about to end.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\n{}", status_line(status)));
    }

    /// Says what the service does now, in one line for people.
    pub fn status(&self, status: &str) {
        self.send(&status_line(status));
    }

    /// Says that the process still turns. Due each [`Self::watchdog_interval`].
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Returns how often the service manager wants to hear that the process turns: half of its limit, as sd_watchdog_enabled(3)
    /// advises. None if it does not ask.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    #[cfg(unix)]
    fn send(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::warn!("The service manager did not take a notice: {error}.");
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _state: &str) {}
}

/// A limit that is meant for another process, the one that started this one, is not ours.
fn watchdog(usec: Option<u64>, pid: Option<u64>, own: u32) -> Option<Duration> {
    let usec = usec.filter(|usec| *usec > 0)?;
    match pid {
        Some(pid) if pid != u64::from(own) => None,
        _ => Some(Duration::from_micros(usec)),
    }
}

/// One line is one assignment, so a line break within the text would begin another.
fn status_line(status: &str) -> String {
    let one_line: String = status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("STATUS={one_line}")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..length].to_vec()).expect("text")
    }

    #[test]
    fn each_state_is_a_datagram() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let service = ServiceManager::connect(path.as_os_str(), None).expect("a connection");

        service.ready("3 pipelines\nREADY=0");
        assert_eq!(received(&manager), "READY=1\nSTATUS=3 pipelines READY=0");
        service.reloading();
        assert_eq!(received(&manager), "RELOADING=1");
        service.alive();
        assert_eq!(received(&manager), "WATCHDOG=1");
        service.stopping("draining");
        assert_eq!(received(&manager), "STOPPING=1\nSTATUS=draining");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_at_sign_begins_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;

        let name = format!("pipepost-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("an address");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        let service = ServiceManager::connect(OsStr::new(&format!("@{name}")), None).expect("a connection");
        service.status("waiting");
        assert_eq!(received(&manager), "STATUS=waiting");
    }

    #[test]
    fn whoever_does_not_read_stops_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        let service = ServiceManager::connect(path.as_os_str(), None).expect("a connection");
        for _ in 0..10_000 {
            service.alive();
        }
        drop(manager);
        service.alive();
        ServiceManager::absent().ready("");
    }

    #[test]
    fn the_watchdog_is_asked_for_in_microseconds_by_the_process_that_is_meant() {
        assert_eq!(watchdog(Some(30_000_000), None, 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some(30_000_000), Some(7), 7), Some(Duration::from_secs(30)));
        assert_eq!(watchdog(Some(30_000_000), Some(8), 7), None);
        assert_eq!(watchdog(Some(0), Some(7), 7), None);
        assert_eq!(watchdog(None, Some(7), 7), None);
    }
}
