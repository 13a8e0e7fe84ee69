//! The whole dialogue against a server that obeys what it receives.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

mod dialogues;
mod driver;
mod faults;
mod hostile;
mod limits;
mod server;
mod sessions;
mod talk;
