//! What the end-to-end tests stand on: the real binary, and servers that somebody else wrote.
//!
//! [`Scratch`] runs `pipepost` in a folder of its own with a clean environment. [`Postfix`], [`Exim`] and [`Aiosmtpd`] are servers
//! that keep what they receive; [`python::parse`] reads a message as Python's `email` package does, so that what arrived
//! is judged by neither side's own code. [`connector`] makes small components that a host must refuse.
//!
//! It is not a mail server of our own: that is `pipepost-inbox`, which the tests of sending do not use. [`Catcher`] runs
//! one for the tests of accounts, where a server has to take access tokens and to answer as Gmail does; [`Provider`] is
//! the OAuth provider, Authlib's, that gives the tokens. [`Relay`] is whoever stands between: it overhears, and breaks a
//! connection at any of its lines and TLS records.
//!
//! [`Scripted`] says what a test wrote down, for dialogues as providers have them. [`Sink`] takes everything and counts it.
//!
//! [`Postgres`] is a cluster of a test's own, with standbys, and [`PgBouncer`] a pool before it. [`Partition`] is a way to any
//! server that a test can cut, and [`Namespace`] a network of its own, behind a cable that it can pull.
//!
//! The order of calls: start a peer, which gives none where this machine does not have it; make a [`Scratch`], write
//! the pipeline and the account into it, run; then take what arrived from the peer.
//!
//! A missing peer is skipped in plain sight; with `PIPEPOST_REQUIRE_PEERS=1` it is a failure.
#![forbid(unsafe_code)]

mod account;
mod aiosmtpd;
mod arrivals;
mod certificates;
mod collector;
pub mod connector;
mod document;
mod exim;
pub mod http;
mod inbox;
mod lines;
mod message;
mod namespace;
mod oauth;
mod partition;
mod peer;
mod ports;
mod postfix;
pub mod postgres;
pub mod python;
mod random;
mod redact;
mod relay;
mod scratch;
mod scripted;
mod served;
mod sink;
mod source;
mod terminal;

use std::io::Write as _;

pub use account::AccountFile;
pub use aiosmtpd::{Aiosmtpd, Options, Seen, Tls};
pub use certificates::{Authority, Certificate, Flaw};
pub use collector::Collector;
pub use document::{choice, document, email, step};
pub use exim::{Exim, EximOptions};
pub use inbox::Catcher;
pub use lines::PATIENCE;
pub use message::Message;
pub use namespace::Namespace;
pub use oauth::{Provider, ProviderOptions, browse, redirect_of};
pub use partition::Partition;
pub use postfix::{Postfix, PostfixOptions};
pub use postgres::{PgBouncer, Postgres, PostgresOptions, Replication};
pub use random::{Random, seed};
pub use redact::redact;
pub use relay::{Fault, Point, Relay, Side};
pub use scratch::{Ending, Memory, Running, Scratch, binary};
pub use scripted::{Account as ServerAccount, CLOSE, Dialogue, SILENCE, Scripted, numbered};
pub use served::Served;
pub use sink::Sink;
pub use source::{lines_of_code, root};
pub use terminal::{Answer, Shown};

/// The user that every peer knows.
pub const USER: &str = "tester@example.test";

/// The password of [`USER`]. Recognisable: no output may hold it, in any form.
pub const PASSWORD: &str = "pA55-of.the~tester";

/// The recipient that every peer refuses, with `550 5.1.1`.
pub const REFUSED: &str = "nobody@example.test";

/// Skips the rest of a test in plain sight, or fails it where peers are required.
///
/// # Panics
/// With `PIPEPOST_REQUIRE_PEERS=1`.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("PIPEPOST_REQUIRE_PEERS").is_none_or(|value| value != "1"),
        "a peer is required and missing: {why}"
    );
    cannot(why);
}

/// Skips the rest of a test in plain sight, for want of what a machine need not allow.
fn cannot(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// For whoever looks at a test that failed; the runner shows it then, and only then.
#[expect(clippy::print_stderr, reason = "the test runner collects what is printed so")]
fn show(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests;
