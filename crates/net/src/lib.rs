//! The connections of connectors: the host resolves, dials, speaks TLS, signs in and pools; the connector speaks SMTP.
//!
//! A [`Route`] is the one way that a step was granted: one endpoint, the least security, one account. A [`Transport`] is
//! a route with the [`Connections`] of the process behind it, and [`Link`] is one connection on it, the resource that a
//! connector holds. Nothing that a connector says can widen a route. [`HttpClient`] asks token endpoints over the same
//! resolver, addresses and TLS.
//!
//! Everything that is dialled was admitted by an [`EgressGate`](pipepost_core::EgressGate) first.
//!
//! This crate knows no WebAssembly, keeps nothing on disk and does not know what a server's reply means: what a sign-in was
//! answered with is returned to the caller as data.

#![forbid(unsafe_code)]

mod certificate;
mod certificate_trouble;
mod dial;
mod gate;
mod http_client;
mod link;
mod pool;
mod route;
mod session;
mod sign_in;
mod socket;
mod tls;
mod transcript;
mod trust;
mod veil;

pub use certificate::Certificate;
pub use dial::{DialError, Progress};
pub use http_client::HttpClient;
pub use link::{Facts, Link, LinkError, SignInReply, Watcher};
pub use pool::{Connections, Seat};
pub use route::{DryRun, Route, Transport};
pub use tls::{TlsError, TlsFacts};
pub use transcript::Transcript;
