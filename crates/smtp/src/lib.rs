//! The client side of SMTP (RFC 5321) as a state machine: no sockets, no clock, no randomness.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
pub mod capabilities;
mod client;
mod config;
mod content;
mod outcome;
pub mod reply;

pub use address::{Address, AddressError, AddressErrorKind, ClientName};
pub use capabilities::Capabilities;
pub use client::{Action, Client};
pub use config::{Config, Pipelining, Security, Timeouts, Window};
pub use content::ContentError;
pub use outcome::{Ending, Id, NotSent, OutOfStep, Outcome, Settled, Stage, Transaction, Verdict};
pub use reply::{Class, EnhancedCode, Reply, ReplyError, ReplyErrorKind, ReplyParser, parse_reply};
