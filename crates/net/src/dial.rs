//! Resolving a name and connecting to it. All its addresses are tried, the address families in turn and shortly after
//! one another ("happy eyeballs", RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pipepost_core::Endpoint;
use pipepost_core::egress::{AdmittedEndpoint, ForbiddenAddress};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::plain_io;

/// How long an attempt has before the next one begins in parallel (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How many addresses of a name are tried at most.
const ADDRESSES_MAX: usize = 16;

/// The reason why no connection could be opened. Each is a whole sentence.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name is unknown, or the resolver does not respond.
    #[error("The name `{host}` does not resolve: {}.", plain_io::cause(source))]
    Unresolved {
        /// The host, as it was named.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The name resolves, but not to an address that may be dialled.
    #[error("`{host}` resolves to {address}, which is not dialled, because it is {reason}.")]
    Forbidden {
        /// The host, as it was named.
        host: String,
        /// The first address that was refused.
        address: std::net::IpAddr,
        /// The reason why it was refused.
        reason: ForbiddenAddress,
    },
    /// No address accepted the connection.
    #[error("No connection to {endpoint}: {}.", plain_io::cause(source))]
    Refused {
        /// The endpoint that was dialled.
        endpoint: Endpoint,
        /// The error of the last attempt.
        source: io::Error,
    },
    /// The time for connecting ran out.
    #[error(
        "No connection to {endpoint}: the server does not answer, or a firewall before it drops what is sent to it."
    )]
    TimedOut {
        /// The endpoint that was dialled.
        endpoint: Endpoint,
    },
}

/// A step in opening a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The name was resolved to these addresses, which may be dialled.
    Resolved(Vec<SocketAddr>),
    /// This address accepted the connection.
    Connected(SocketAddr),
}

/// Resolves the name, checks each address and connects, all within `limit`; `watch` receives the progress.
///
/// # Errors
/// Returns a [`DialError`].
pub(crate) async fn dial(
    to: &AdmittedEndpoint,
    limit: Duration,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<TcpStream, DialError> {
    let found = lookup(to.endpoint());
    match tokio::time::timeout(limit, resolve_and_connect(to, found, watch)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::TimedOut {
            endpoint: to.endpoint().clone(),
        }),
    }
}

/// Asks the operating system for the addresses of a name.
async fn lookup(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let bare = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    Ok(tokio::net::lookup_host((bare, endpoint.port)).await?.collect())
}

/// `found` is the one answer that counts: what is checked is dialled, and the name is not asked for again.
async fn resolve_and_connect(
    to: &AdmittedEndpoint,
    found: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    watch: &mut (dyn FnMut(Progress) + Send),
) -> Result<TcpStream, DialError> {
    let addresses = resolve(to, found).await?;
    watch(Progress::Resolved(addresses.clone()));
    let stream = connect_any(addresses, TcpStream::connect)
        .await
        .map_err(|source| DialError::Refused {
            endpoint: to.endpoint().clone(),
            source: with_remedy(source),
        })?;
    if let Ok(peer) = stream.peer_addr() {
        watch(Progress::Connected(peer));
    }
    // Our writes are whole groups already: waiting to fill a segment would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    Ok(stream)
}

/// Says what to do about a connection that this process could not make.
fn with_remedy(error: io::Error) -> io::Error {
    /// `ENFILE` and `EMFILE`, which have these numbers on every Unix.
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    if cfg!(unix)
        && error
            .raw_os_error()
            .is_some_and(|number| TOO_MANY_FILES.contains(&number))
    {
        let words = "this process has as many files open as it may; raise that limit (`ulimit -n`), or lower the account's `max_connections`";
        return io::Error::new(error.kind(), words);
    }
    error
}

/// The addresses of the name that may be dialled, in the order to try them.
async fn resolve(
    to: &AdmittedEndpoint,
    found: impl Future<Output = io::Result<Vec<SocketAddr>>>,
) -> Result<Vec<SocketAddr>, DialError> {
    let host = to.endpoint().host.as_str();
    let unresolved = |source| DialError::Unresolved {
        host: host.to_owned(),
        source,
    };
    let mut allowed = Vec::new();
    let mut refused = None;
    for candidate in found.await.map_err(unresolved)? {
        match to.check(candidate.ip()) {
            Ok(()) if !allowed.contains(&candidate) => allowed.push(candidate),
            Ok(()) => {}
            Err(reason) => {
                refused.get_or_insert((candidate.ip(), reason));
            }
        }
    }
    match refused {
        Some((address, reason)) if allowed.is_empty() => Err(DialError::Forbidden {
            host: host.to_owned(),
            address,
            reason,
        }),
        _ if allowed.is_empty() => Err(unresolved(io::Error::new(io::ErrorKind::NotFound, "it has no address"))),
        _ => Ok(interleave(allowed)),
    }
}

/// The families in turn, beginning with the one that the resolver put first (RFC 8305, section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(first.next());
        ordered.extend(second.next());
        if ordered.len() == before || ordered.len() >= ADDRESSES_MAX {
            return ordered;
        }
    }
}

async fn connect_any<T, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "there is no address to try");
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(connect(address));
        }
        let more = waiting.len() > 0;
        let ended = if more {
            tokio::time::timeout(ATTEMPT_DELAY, attempts.join_next())
                .await
                .ok()
                .flatten()
        } else {
            match attempts.join_next().await {
                Some(ended) => Some(ended),
                None => return Err(last_error),
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => last_error = error,
            Some(Err(join)) => last_error = io::Error::other(join),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use pipepost_core::{EgressGate, EgressRule};

    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses: Vec<SocketAddr> = ["[::1]:1", "[::2]:1", "127.0.0.1:1", "[::3]:1", "127.0.0.2:1"]
            .map(|a| a.parse().expect("an address"))
            .into();
        let order: Vec<String> = interleave(addresses).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"]);
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_stop_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("its address");
        let closed = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            gone.local_addr().expect("its address")
        };
        assert!(connect_any(vec![closed, open], TcpStream::connect).await.is_ok());
        assert!(connect_any(vec![closed], TcpStream::connect).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_holds_the_next_back_for_a_quarter_of_a_second() {
        let addresses: Vec<SocketAddr> = ["[::1]:1", "127.0.0.1:1", "[::2]:1"]
            .map(|a| a.parse().expect("an address"))
            .into();
        let last = addresses[2];
        let began = tokio::time::Instant::now();
        let connect = move |address: SocketAddr| async move {
            if address == last {
                return Ok(address);
            }
            std::future::pending().await
        };
        assert_eq!(connect_any(addresses, connect).await.expect("the last answers"), last);
        assert_eq!(began.elapsed(), 2 * ATTEMPT_DELAY);
    }

    /// A resolver that answers otherwise each time: first with what may be dialled beside what may not.
    #[tokio::test]
    async fn a_name_is_asked_for_once_and_only_what_was_checked_is_dialled() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("its address");
        let inner = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), open.port());
        let asked = std::cell::Cell::new(0);
        let resolver = async || {
            asked.set(asked.get() + 1);
            Ok(if asked.get() == 1 {
                vec![inner("169.254.169.254"), inner("10.0.0.1"), inner("::1"), open]
            } else {
                vec![inner("127.0.0.2")]
            })
        };
        let rule = EgressRule::Step(vec!["127.0.0.1/32".parse().expect("a network")]);
        let to = EgressGate::default()
            .admit(Endpoint::new("rebinding.test", open.port()), rule)
            .expect("no policy");
        let mut seen = Vec::new();
        let stream = resolve_and_connect(&to, resolver(), &mut |progress| seen.push(progress))
            .await
            .expect("it listens");
        assert_eq!(stream.peer_addr().expect("a peer"), open);
        assert_eq!(seen, [Progress::Resolved(vec![open]), Progress::Connected(open)]);
        assert_eq!(asked.get(), 1);
        let error = resolve_and_connect(&to, resolver(), &mut |_| ())
            .await
            .expect_err("it is inside");
        assert!(error.to_string().contains("127.0.0.2"), "{error}");
    }

    #[tokio::test]
    async fn a_forbidden_address_is_named_with_its_reason() {
        let to = EgressGate::default()
            .admit(Endpoint::new("169.254.169.254", 587), EgressRule::Operator)
            .expect("no policy");
        let error = dial(&to, Duration::from_secs(5), &mut |_| ()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`169.254.169.254` resolves to 169.254.169.254, which is not dialled, because it is link-local."
        );
    }
}
