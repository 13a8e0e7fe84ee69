//! Single things of the protocol: replies, capabilities, addresses.

use pipepost_smtp::{Address, Capabilities, ClientName, Reply, ReplyError, ReplyParser, parse_reply};

/// What a server says, read whole, byte by byte and in pieces, gives the same replies and the same end.
///
/// Input: the bytes of a server.
pub fn replies(data: &[u8]) {
    let whole = read(data, usize::MAX);
    for size in [1, 2, 3, 7] {
        let pieces = read(data, size);
        assert_eq!(whole, pieces, "pieces of {size} bytes make a difference");
    }
    for reply in &whole.0 {
        assert!((200..600).contains(&reply.code()), "{reply:?}");
        for line in reply.lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        // A pasted reply loses the blanks around its lines.
        let again = parse_reply(&reply.verbatim());
        let is_same = again
            .as_ref()
            .is_ok_and(|again| (again.code(), again.text()) == (reply.code(), reply.text()));
        assert!(is_same, "{:?} comes back as {again:?}", reply.verbatim());
    }
    if let Err(error) = parse_reply(&String::from_utf8_lossy(data)) {
        super::assert_one_line(&error.to_string());
    }
}

fn read(data: &[u8], size: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    for piece in data.chunks(size.min(data.len()).max(1)) {
        parser.push(piece);
        loop {
            match parser.next_reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

/// What a server offers is kept in bounds, and comes back from a connection's memo as it was. A memo is hostile too.
///
/// Input: a reply to EHLO, or a memo.
pub fn capabilities(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(reply) = parse_reply(&text) {
        let offered = Capabilities::from_ehlo(&reply);
        assert!(offered.mechanisms.len() <= Capabilities::MAX_MECHANISMS);
        let memo = offered.to_memo();
        assert!(memo.len() <= Capabilities::MAX_MEMO);
        assert_eq!(Capabilities::from_memo(&memo), Some(offered));
    }
    if let Some(remembered) = Capabilities::from_memo(&text) {
        assert_eq!(remembered.to_memo(), text, "a memo has one form");
    }
}

/// What is taken as an address or a name is safe within a command, and is not changed by being taken.
///
/// Input: an address, or a client's name.
pub fn addresses(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Address::parse(&text) {
        Ok(address) => {
            assert_eq!(address.as_str(), text, "it refuses and never repairs");
            assert!(text.len() <= Address::MAX);
            assert_eq!(format!("{}@{}", address.local_part(), address.domain()), text);
            assert!(stays_in_brackets(&text), "{text:?} leaves its brackets");
        }
        Err(error) => super::assert_one_line(&error.to_string()),
    }
    if let Ok(name) = ClientName::parse(&text) {
        assert_eq!(name.as_str(), text);
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    }
    // The message's own reading takes more forms, and writes one of them, which it reads as the same.
    if let Ok(address) = pipepost_email_v2::address::Address::parse(&text) {
        let again = pipepost_email_v2::address::Address::parse(address.as_str());
        assert!(
            again.as_ref() == Ok(&address),
            "{text:?}, written as {address:?}, is {again:?}"
        );
    }
    match pipepost_email_v2::address::AddressList::parse(&text) {
        Ok(list) => {
            for mailbox in list.mailboxes() {
                let address = mailbox.address.as_str();
                assert!(
                    Address::parse(address).is_ok(),
                    "{address:?} cannot be said to a server"
                );
            }
            let written = list.to_string();
            super::assert_one_line(&written);
            let again = pipepost_email_v2::address::AddressList::parse(&written);
            let again: Vec<_> = again
                .iter()
                .flat_map(|list| list.mailboxes())
                .map(|m| &m.address)
                .collect();
            assert!(
                again.into_iter().eq(list.mailboxes().map(|m| &m.address)),
                "{text:?}, written as {written:?}"
            );
        }
        Err(error) => super::assert_one_line(&error.to_string()),
    }
}

/// A server that reads a path between angle brackets sees one word: no control, and no blank or bracket but in quotes.
pub(crate) fn stays_in_brackets(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if c.is_control() => return false,
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' | '>' | ' ' if !quoted => return false,
            _ => {}
        }
    }
    !quoted
}
