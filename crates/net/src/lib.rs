//! The connections of connectors: the host resolves, dials, speaks TLS, signs in and pools; the connector speaks SMTP.
//!
//! A [`Route`] is what a step was granted: one endpoint, the least security, one account. A [`TransportGrant`] is a
//! route together with the [`Connections`] of the process. A [`Connection`] is one connection on a route, the resource
//! that a connector holds. Nothing that a connector says can widen a route. [`HttpClient`] asks token endpoints, with
//! the same resolver, address checks and TLS.
//!
//! An [`EgressGate`](pipepost_core::EgressGate) admits everything before it is dialled.
//!
//! This crate knows nothing about WebAssembly and keeps nothing on disk. It does not know what a server's reply means:
//! the reply to a sign-in is returned to the caller as data.

#![forbid(unsafe_code)]

mod buffered_stream;
mod certificate;
mod certificate_trouble;
mod client_auth;
mod connection;
mod dial;
mod handshake_trouble;
mod held_up;
mod http_client;
mod offered_mechanisms;
mod plain_io;
mod pool;
mod preauth_filter;
mod reply_count;
mod round_trip;
mod route;
mod secret_redactor;
mod server_capacity;
mod session;
mod sign_in;
mod sign_in_gate;
mod silence;
mod tls;
mod transcript;
mod trust;
mod watching;

pub use certificate::Certificate;
pub use connection::{Connection, ConnectionError, Facts, SignInReply, Watcher};
pub use dial::{DialError, Progress};
pub use http_client::HttpClient;
pub use pool::{ConnectionPermit, Connections};
pub use reply_count::{Answers, OutOfOrder, ReplyCount};
pub use route::{DryRun, Route, RunId, TransportGrant};
pub use server_capacity::ServerCapacity;
pub use silence::{Awaited, SILENCE, is_silence};
pub use tls::{TlsError, TlsFacts, tls_to_a_database};
pub use transcript::Transcript;
pub use watching::{ConnectionCount, SignInObserver, SignInResult};
