//! The whole dialogue against a server that obeys what it receives.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

// Transactions in each mode, byte for byte.
mod dialogues;
// The shell around the client, with a network that can break.
mod driver;
// Every fault at every point.
mod faults;
// Servers that say anything.
mod hostile;
// Bounds, deadlines, and content that is refused.
mod limits;
// A small server that obeys the bytes that it receives.
mod server;
// From the greeting to the first transaction, and from one client on a connection to the next.
mod sessions;
// A conversation, line by line.
mod talk;
