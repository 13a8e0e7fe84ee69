//! The sandbox from outside: what reaches a connector's memory, connectors that mean harm, and servers that do.
//!
//! Everything here goes through the library as an embedding program uses it, against the inbox in this process.
#![forbid(unsafe_code)]

// Hostile connectors without a connection: every limit of an instance.
mod alone;
// A connector that is stopped inside a batch: what happens to the other calls.
mod batches;
// Built-in connectors: their machine code, and when it is loaded.
mod built_in;
// Hostile connectors with a connection: what they are refused.
mod caller;
// Connectors that report what is not true: the host decides by the bytes.
mod claims;
// An inbox, an account for it, and runs of one step.
mod common;
// Connectors whose words a server could read otherwise than the host.
mod dialogue;
// Servers that repeat secrets, to a connector that repeats what it reads.
mod echoes;
// What one run leaves on a connection for the next.
mod hand_over;
// Connectors that do not load, and the message.
mod loading;
// A connector's memory after a send: the secret is not in it.
mod memory;
// Hostile servers against the email step.
mod servers;
mod versions;
