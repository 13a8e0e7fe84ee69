//! Servers that mean harm, and people between, through the real binary: how it ends, what it says, and what it never told them.
//!
//! The same attacks on the library, with time simulated where one takes minutes, are in `host/tests/sandbox/servers.rs`;
//! both play them with the inbox's scripts.

mod hostile_servers {
    // One attack: a server, a relay that listens, one run.
    mod attack;
    // Servers with a certificate that proves nothing.
    mod certificates;
    // Fewer descriptors than connections.
    #[cfg(unix)]
    mod descriptors;
    // Servers and names that send a client to another place.
    mod elsewhere;
    // Replies, lines and capabilities without end.
    mod floods;
    // Bytes added, left out or sent early before TLS.
    mod injection;
    // Names and addresses that change, with a resolver of the tests' own.
    #[cfg(target_os = "linux")]
    mod names;
    // Servers that ask for a weaker proof, or for the same one again.
    mod sign_in;
    // Servers that are slow, or gone.
    mod timing;
}
