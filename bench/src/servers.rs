//! Where the messages end: servers of others, and two small ones of the bench's own.

mod chunking;
mod delay;
mod postfix;
mod smtp_sink;
mod stunnel;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
pub(crate) use chunking::Chunking;
pub(crate) use delay::Delay;
pub(crate) use postfix::Postfix;
pub(crate) use smtp_sink::SmtpSink;
pub(crate) use stunnel::Stunnel;

/// Every server listens here.
pub(crate) const HOST: &str = "127.0.0.1";

/// A server that stores messages, or says that it does.
pub(crate) trait Server {
    /// How many messages it has taken since it started.
    fn stored(&self) -> u64;
}

/// Waits until the server has taken as many messages as were sent.
///
/// # Errors
/// When it has taken fewer after a while, or more.
pub(crate) fn expect(server: &dyn Server, before: u64, messages: usize) -> Result<()> {
    let wanted = before + messages as u64;
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let stored = server.stored();
        if stored == wanted {
            return Ok(());
        }
        if stored > wanted || Instant::now() > until {
            bail!("{messages} messages were sent, and the server took {}", stored - before);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind((HOST, 0))?.local_addr()?.port())
}

/// Waits until somebody listens there.
pub(crate) fn wait_for(port: u16) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect((HOST, port)).is_err() {
        if Instant::now() > until {
            bail!("nobody listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A child that ends with its owner.
pub(crate) struct Ends(pub(crate) std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
