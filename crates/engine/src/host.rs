//! What the host does when a connector calls it: one module per interface of the contract.
//!
//! Every function here serves one instance, whose state it is given. A violation of the contract ends the instance: a
//! handle that does not belong to the connector, a call of another batch, a flood of log lines. Conditions from which a
//! connector can recover are returned to it.

mod ahead;
mod clock;
mod files;
mod log;
mod outcomes;
mod random;
mod transport;

use super::contract::latest::types;
use super::instance::{BatchState, ContractViolation, StoreData};

impl types::Host for StoreData {}

impl StoreData {
    /// Returns the batch's grants; an instance that only describes itself has none.
    fn batch(&mut self) -> wasmtime::Result<&mut BatchState> {
        self.batch
            .as_mut()
            .ok_or_else(|| violation("it called its host while it described itself, which gives it nothing"))
    }
}

fn violation(what: impl Into<String>) -> wasmtime::Error {
    ContractViolation(what.into()).into()
}

fn bad_handle(error: wasmtime::component::ResourceTableError) -> wasmtime::Error {
    match error {
        wasmtime::component::ResourceTableError::Full => violation("it holds more connections and files than it may"),
        error => violation(format!("it used a handle that is not its own ({error})")),
    }
}

fn unknown_call(call: u32) -> wasmtime::Error {
    violation(format!("it named call {call}, which is not of this batch"))
}

/// A connector's words for a log or a terminal: cut to `bytes_max` bytes, and nothing in them that a terminal would obey.
pub(super) fn printable(message: &str, bytes_max: usize) -> String {
    let cut = message.floor_char_boundary(bytes_max);
    let mut text = String::with_capacity(cut);
    for c in message[..cut].chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    if cut < message.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_connectors_words_are_cut_and_disarmed() {
        assert_eq!(printable("plain — text", 100), "plain — text");
        assert_eq!(printable("a\u{1b}[2Jb\r\nc", 100), "a\\u{1b}[2Jb\\r\\nc");
        assert_eq!(printable("äöü", 3), "ä…");
    }
}
