//! An error of the operating system as a clause in plain words, without the text and the number that the system gives.

use std::borrow::Cow;
use std::io;

/// Checks whether a connection was ended by its other side, or on the way.
pub(crate) fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

/// Returns what happened, as a clause without a full stop.
pub(crate) fn cause(error: &io::Error) -> Cow<'static, str> {
    use io::ErrorKind as Kind;
    if let Some(words) = resolution(error) {
        return Cow::Borrowed(words);
    }
    Cow::Borrowed(match error.kind() {
        Kind::ConnectionRefused => "it was refused; nothing listens on this port there, or a firewall turns it away",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            "the other side, or something on the way, cut the connection"
        }
        Kind::TimedOut => "the server, or a firewall before it, does not answer",
        Kind::HostUnreachable | Kind::NetworkUnreachable => "this machine has no way to that address",
        Kind::NetworkDown => "this machine's network is down",
        Kind::AddrNotAvailable => "this machine has no address of its own left to connect from",
        Kind::PermissionDenied => "this machine does not allow connections there",
        _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            "what came is not the TLS that was agreed on, or the server ended it with an alert"
        }
        // Words of our own are in an error without a number.
        _ if error.raw_os_error().is_none() && error.get_ref().is_some() => return Cow::Owned(error.to_string()),
        _ => match error.raw_os_error() {
            Some(number) => return Cow::Owned(format!("the operating system reports error {number}")),
            None => "the operating system reports an error",
        },
    })
}

/// What a resolver said. Rust gives its words alone, and each C library has its own.
fn resolution(error: &io::Error) -> Option<&'static str> {
    let said = error.to_string();
    let words = said.strip_prefix("failed to lookup address information: ")?;
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    Some(
        if has(&[
            "not known",
            "No address",
            "does not resolve",
            "No such host",
            "nodename",
        ]) {
            "the DNS knows no such name; check how the host is written"
        } else if has(&["Temporary failure", "Try again", "temporarily"]) {
            "the DNS does not answer at the moment; check this machine's network and its resolver"
        } else {
            "the DNS gave no address; check this machine's resolver"
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_said_in_plain_words() {
        for (number, words) in [
            (
                libc_number(io::ErrorKind::ConnectionRefused),
                "refused; nothing listens",
            ),
            (libc_number(io::ErrorKind::TimedOut), "does not answer"),
        ] {
            let said = cause(&io::Error::from_raw_os_error(number));
            assert!(said.contains(words), "{said}");
        }
        let strange = cause(&io::Error::from_raw_os_error(71));
        assert!(!strange.contains("os error"), "{strange}");
    }

    #[test]
    fn what_a_resolver_says_is_told_by_its_meaning() {
        for (said, words) in [
            ("Name or service not known", "knows no such name"),
            ("nodename nor servname provided, or not known", "knows no such name"),
            ("No address associated with hostname", "knows no such name"),
            ("Name does not resolve", "knows no such name"),
            ("Temporary failure in name resolution", "does not answer"),
            ("Try again", "does not answer"),
            ("Non-recoverable failure in name resolution", "gave no address"),
        ] {
            let error = io::Error::other(format!("failed to lookup address information: {said}"));
            let told = cause(&error);
            assert!(told.contains(words) && !told.contains(said), "{said}: {told}");
        }
        assert_eq!(cause(&io::Error::other("it has no address")), "it has no address");
    }

    /// The numbers of Linux, which the tests run on.
    fn libc_number(kind: io::ErrorKind) -> i32 {
        match kind {
            io::ErrorKind::ConnectionRefused => 111,
            _ => 110,
        }
    }
}
