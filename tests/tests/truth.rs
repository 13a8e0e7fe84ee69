//! What is reported, against what servers took: dialogues as providers have them, through the real binary.
//!
//! Each server here says what a test wrote down. Faults at every byte, and every wrong reply, are tried in the protocol's
//! own tests, without sockets (`crates/smtp/tests/protocol/faults.rs`).

mod truth {
    // A refusal is a refusal, whatever code it has; and an acceptance.
    mod finality;
    // Servers that take some messages a connection, or some connections.
    mod limits;
    // What a refusal means at EHLO and at MAIL.
    mod places;
    // Elements that a merge does not come to, and rows that are not what they seem.
    mod merges;
    // What each message came to, as the run reports it.
    mod report;
    // What is tried again, and what is not.
    mod retries;
    // A sign-in that was refused, and a connection.
    mod sign_in;
}
