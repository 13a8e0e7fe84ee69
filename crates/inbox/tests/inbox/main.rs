//! The inbox, seen from outside: its dialogue without I/O, its scripts, and the server on its sockets.

#![allow(clippy::unwrap_used)]

// The dialogue cut before every byte of either direction.
mod cuts;
// The server on its sockets, with tokio and rustls.
mod network;
// The server and Python's smtplib.
mod python;
// Each thing that a script can do.
mod script;
// The dialogue as it should be.
mod session;
// A client's side of a session without I/O.
mod talk;
