//! Listens for HTTP, within bounds: who may listen where, how much a caller may send and how long it may take.
//!
//! Order of the checks of a request: the connection's place (a bounded number), TLS, the headers' size, number and time, the
//! `Host` header, the codings of the body, and then the routes. The body's size and time are the reader's ([`crate::message::read_body`]).
//!
//! Beyond loopback, tokens and messages must not travel in clear. So such an address needs a certificate, or the operator's
//! word that something in front of it speaks TLS.

mod codings;
mod connection;
mod host_names;
mod refusal;
mod tls;
mod unread;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use pipepost_core::FailureKind;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

pub use self::host_names::HostNames;

/// What protects the traffic of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Protection {
    /// Nothing does: only loopback addresses are allowed.
    #[default]
    Loopback,
    /// Something in front of it speaks TLS.
    BehindProxy,
    /// This certificate does.
    Tls {
        /// The file with the certificate and those that sign it, in PEM.
        certificate: PathBuf,
        /// The file with its key, in PEM.
        key: PathBuf,
    },
}

/// What a caller may do at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// How many connections there are at once. Others wait until one ends.
    pub connections: usize,
    /// How many bytes a request's line and headers have together.
    pub header_bytes: usize,
    /// How many headers a request has.
    pub headers: usize,
    /// How long the headers take to arrive, from their first byte, and a TLS handshake.
    pub header_time: Duration,
    /// How long a connection waits for the next request. It is longer than what proxies wait, so that they close it first.
    pub keep_alive: Duration,
    /// How long a caller reads nothing of its answer.
    pub write_time: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            header_bytes: 64 * 1024,
            headers: 100,
            header_time: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            write_time: Duration::from_secs(30),
        }
    }
}

/// The reason why an address is not listened at. Each is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is no address.
    #[error(
        "`{address}` is not an address to listen at: write a host and a port, such as `127.0.0.1:8725` ({reason})."
    )]
    Address {
        /// The text.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// Another program listens there.
    #[error("{0} is taken: another program listens there; end it, or choose another address.")]
    Taken(SocketAddr),
    /// The process may not listen there.
    #[error("{0} cannot be listened at: the system does not permit it; choose a port above 1023.")]
    NotPermitted(SocketAddr),
    /// It is not loopback, and nothing protects the traffic.
    #[error(
        "{0} can be reached from other machines, and nothing protects the traffic there: it needs a certificate, or a proxy \
         in front that speaks TLS."
    )]
    Unprotected(SocketAddr),
    /// The certificate or its key cannot be used.
    #[error("{}: {reason}.", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refuses for another reason.
    #[error("{address} cannot be listened at: {source}.")]
    System {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl ListenError {
    /// Returns the kind of the failure.
    pub fn kind(&self) -> FailureKind {
        match self {
            // Whoever has it may be about to end, so a supervisor starts it again.
            Self::Taken(_) => FailureKind::Transient,
            _ => FailureKind::Configuration,
        }
    }
}

/// An address that is listened at. Callers wait until [`Listener::serve`].
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: HttpLimits,
}

/// Without the certificate.
impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Begins to listen at `address`: a host and a port. Port 0 takes a free one.
    ///
    /// # Errors
    /// A [`ListenError`].
    pub async fn bind(address: &str, protection: &Protection, limits: HttpLimits) -> Result<Self, ListenError> {
        let wrong = |reason: String| ListenError::Address {
            address: address.to_owned(),
            reason,
        };
        let resolved = tokio::net::lookup_host(address).await;
        let resolved: Vec<SocketAddr> = resolved.map_err(|error| wrong(error.to_string()))?.collect();
        let mut tls = None;
        match protection {
            Protection::Loopback => {
                if let Some(open) = resolved
                    .iter()
                    .find(|address| !address.ip().to_canonical().is_loopback())
                {
                    return Err(ListenError::Unprotected(*open));
                }
            }
            Protection::BehindProxy => {}
            Protection::Tls { certificate, key } => tls = Some(tls::acceptor(certificate, key)?),
        }
        let first = *resolved
            .first()
            .ok_or_else(|| wrong("the name has no address".to_owned()))?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken(first),
            io::ErrorKind::PermissionDenied => ListenError::NotPermitted(first),
            _ => ListenError::System { address: first, source },
        };
        let socket = TcpListener::bind(first).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self {
            socket,
            address,
            tls,
            limits,
        })
    }

    /// Returns the address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address as a URL, without a path.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers by `routes` until `stop` is ready. Then nobody is let in any more, requests that are being answered get
    /// `grace` to end, and whoever is left is cut off.
    pub async fn serve(self, routes: Router, names: HostNames, stop: impl Future<Output = ()> + Send, grace: Duration) {
        let served = connection::Served {
            routes: host_names::checked(codings::checked(routes), names),
            tls: self.tls,
            limits: self.limits,
        };
        let places = Arc::new(Semaphore::new(self.limits.connections));
        connection::accept(self.socket, Arc::new(served), places, stop, grace).await;
    }
}

#[cfg(test)]
mod tests;
