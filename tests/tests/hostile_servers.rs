//! Servers that mean harm, and people between, through the real binary: how it ends, what it says, and what it never told them.
//!
//! The same attacks on the library, with time simulated where one takes minutes, are in `host/tests/sandbox/servers.rs`;
//! both play them with the inbox's scripts.

mod hostile_servers {
    mod attack;
    mod certificates;
    mod elsewhere;
    mod floods;
    mod injection;
    mod sign_in;
    mod timing;
}
