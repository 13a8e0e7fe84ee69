//! The inbox, seen from outside: its dialogue without I/O, its scripts, and the server on its sockets.

#![allow(clippy::unwrap_used)]

mod cuts;
mod network;
mod python;
mod script;
mod session;
mod talk;
