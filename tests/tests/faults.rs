//! The dialogue broken at every record and line, through the real binary: nothing lost, nothing doubled, nothing left out.
//!
//! Before every byte, and with every wrong reply, the dialogue is broken in the protocol's own tests, without sockets and
//! without time (`crates/smtp/tests/protocol/faults.rs`). Here it is broken where a network can break it: before each
//! record of TLS, and in clear before each line, of the client and of the server, from the greeting to the farewell. The
//! matrix is whole for a lost connection: three ways of TLS, DATA and BDAT, one message and a batch (of six; in clear,
//! where the lines of the messages count too, of three). A killed process is tried under TLS alone, since its ledger knows
//! nothing of records, and in the four ways of [`kills`](faults::kills).

mod faults {
    // The connection is lost before each unit.
    mod cuts;
    // The invariants: what was reported, against what the server stored.
    mod judge;
    // The process is killed before each unit.
    mod kills;
    // What is sent in one series of faults.
    mod shape;
    // How many points were covered, and how each ended.
    mod tally;
}
