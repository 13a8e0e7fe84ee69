//! Ports for servers that cannot be asked which port the system chose for them.

use std::net::{Ipv4Addr, TcpListener};

use crate::random::{Random, any_seed};

/// A port of 127.0.0.1 that nobody listens at, and that the system gives to no connection: a server can have it again
/// after it was killed. Somebody else may take it first, so a start is worth a second try.
pub(crate) fn free_port() -> u16 {
    const FIRST: u64 = 10_000;
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let given = range.split_whitespace().next().and_then(|first| first.parse().ok());
    let end = given.unwrap_or(32_768).max(FIRST + 1_000);
    let mut random = Random::new(any_seed());
    loop {
        let port = u16::try_from(FIRST + random.below(end - FIRST)).unwrap_or(u16::MAX);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
