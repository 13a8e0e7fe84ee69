//! The sandbox from outside: what reaches a connector's memory, connectors that mean harm, and servers that do.
//!
//! Everything here goes through the library as an embedding program uses it, against the inbox in this process.
#![forbid(unsafe_code)]

mod alone;
mod batches;
mod caller;
mod claims;
mod common;
mod loading;
mod memory;
mod servers;
