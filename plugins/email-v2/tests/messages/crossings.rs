//! How often a batch crosses the sandbox's boundary: each crossing, and each write, costs more than a message's words do.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use pipepost_email_v2::batch::send;
use pipepost_email_v2::files::Files;
use pipepost_email_v2::world::{Connection, Facts, HostApi, Part, Security, Stop, TransportError};
use pipepost_sdk::Failure;
use pipepost_sdk::outcomes::InDoubt;

use crate::common::{Memory, account, call, fresh};

const MESSAGES: u32 = 64;

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Crossings {
    announcements: u32,
    /// Claims that waited for the disk while nothing else could be done, and those made ahead.
    waits: u32,
    claims: u32,
    writes: u32,
    reads: u32,
    sent: u32,
    /// Outputs that were handed over.
    outputs: u32,
    /// Messages that were begun, and how many of them before there was a connection.
    made: u32,
    made_before: u32,
}

/// A server that answers everything with yes, and counts.
#[derive(Default)]
struct Server {
    chunking: bool,
    /// How often it is asked for a connection before one is free.
    busy: u32,
    chunk: usize,
    in_data: bool,
    input: Vec<u8>,
    replies: Vec<u8>,
    /// Its ledger is on a disk: how many messages a crash may make uncertain.
    uncertain_max: usize,
    /// Claimed and not announced; announced and not confirmed.
    ahead: HashSet<(u32, u32)>,
    open: usize,
    count: Crossings,
}

impl Server {
    fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            if self.chunk > 0 {
                if self.input.len() < self.chunk {
                    return;
                }
                self.input.drain(..std::mem::take(&mut self.chunk));
                self.replies.extend_from_slice(b"250 2.0.0 taken\r\n");
            }
            let end: &[u8] = if self.in_data { b"\r\n.\r\n" } else { b"\r\n" };
            let Some(at) = self.input.windows(end.len()).position(|window| window == end) else {
                return;
            };
            let line: Vec<u8> = self.input.drain(..at + end.len()).collect();
            let words = String::from_utf8_lossy(&line);
            if std::mem::take(&mut self.in_data) {
                self.replies.extend_from_slice(b"250 2.0.0 taken\r\n");
            } else if words.starts_with("EHLO") {
                let chunking = if self.chunking { "CHUNKING" } else { "HELP" };
                let hello = format!(
                    "250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 {chunking}\r\n"
                );
                self.replies.extend_from_slice(hello.as_bytes());
            } else if words.starts_with("DATA") {
                self.in_data = true;
                self.replies.extend_from_slice(b"354 go\r\n");
            } else if let Some(size) = words.strip_prefix("BDAT ") {
                let size = size.split(' ').next().and_then(|size| size.parse().ok());
                self.chunk = size.expect("a size");
            } else {
                // Each with its own enhanced code: by it a client notices that it lost step.
                let code = match words.split(' ').next() {
                    Some("MAIL") => "2.1.0",
                    Some("RCPT") => "2.1.5",
                    _ => "2.0.0",
                };
                self.replies
                    .extend_from_slice(format!("250 {code} fine\r\n").as_bytes());
            }
        }
    }
}

struct Line(Rc<RefCell<Server>>);

impl Connection for Line {
    fn facts(&self) -> Facts {
        fresh()
    }

    fn resume_state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn set_deadline(&self, _: u32) {}

    fn read(&self, _: u32) -> Result<Vec<u8>, TransportError> {
        let mut server = self.0.borrow_mut();
        server.count.reads += 1;
        assert!(!server.replies.is_empty(), "it waits for what does not come");
        Ok(std::mem::take(&mut server.replies))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), TransportError> {
        let mut server = self.0.borrow_mut();
        server.count.writes += 1;
        server.receive(bytes);
        Ok(())
    }

    fn start_tls(&self) -> Result<(), TransportError> {
        Err(TransportError::Tls("none here".to_owned()))
    }

    fn sign_in(&self, _: &str) -> Result<Vec<u8>, TransportError> {
        Err(TransportError::Credentials("none here".to_owned()))
    }

    fn release(self, _: &[u8], _: &[u8]) {}
}

struct Net(Rc<RefCell<Server>>);

impl HostApi for Net {
    type Connection = Line;

    fn connection_available(&mut self) -> bool {
        let mut server = self.0.borrow_mut();
        let is_free = server.busy == 0;
        server.busy = server.busy.saturating_sub(1);
        is_free
    }

    fn open(&mut self, _: &str, _: u16, _: Security) -> Result<Line, TransportError> {
        let made = self.0.borrow().count.made;
        self.0.borrow_mut().count.made_before = made;
        self.0.borrow_mut().replies.extend_from_slice(b"220 hi\r\n");
        Ok(Line(Rc::clone(&self.0)))
    }

    fn committing(&mut self, parts: &[Part], _: &[InDoubt]) -> Result<(), Stop> {
        let mut server = self.0.borrow_mut();
        server.count.announcements += 1;
        server.open += parts.len();
        let claimed = parts
            .iter()
            .filter(|part| server.ahead.remove(&(part.call, part.number)));
        let is_claimed = claimed.count() == parts.len();
        server.count.waits += u32::from(!is_claimed);
        Ok(())
    }

    fn room_ahead(&mut self) -> u32 {
        let server = self.0.borrow();
        server.uncertain_max.saturating_sub(server.open + server.ahead.len()) as u32
    }

    fn claim_ahead(&mut self, parts: &[Part], in_doubt: &[InDoubt]) {
        assert_eq!(
            parts.len(),
            in_doubt.len(),
            "a crash leaves something to look for each by"
        );
        assert!(
            parts.len() as u32 <= self.room_ahead(),
            "no more than a crash may make uncertain"
        );
        let mut server = self.0.borrow_mut();
        server.count.claims += 1;
        for part in parts {
            assert!(
                server.ahead.insert((part.call, part.number)),
                "{part:?} is claimed once"
            );
        }
    }

    fn confirmed(&mut self, _: Part, output: Option<&str>) {
        self.0.borrow_mut().open -= 1;
        self.0.borrow_mut().count.outputs += u32::from(output.is_some());
    }

    fn refused(&mut self, _: Part, _: &str) {}

    fn settled(&mut self, _: u32, outcome: Result<Option<&str>, &Failure>) {
        let mut server = self.0.borrow_mut();
        server.count.sent += u32::from(outcome.is_ok());
        server.count.outputs += u32::from(matches!(outcome, Ok(Some(_))));
    }

    fn files(&self, _: u32) -> Box<dyn Files> {
        Box::new(Memory::default())
    }

    fn warn(&mut self, _: u32, _: &str) {}

    fn now(&self) -> u64 {
        1_790_000_000
    }

    fn random(&mut self) -> u64 {
        // Asked once for each message.
        self.0.borrow_mut().count.made += 1;
        42
    }
}

fn crossings(chunking: bool) -> Crossings {
    let server = Server {
        chunking,
        ..Server::default()
    };
    counted(server, MESSAGES, "Hello")
}

fn counted(server: Server, messages: u32, text: &str) -> Crossings {
    let server = Rc::new(RefCell::new(server));
    let parameters = format!(r#"{{"from": "a@x.example", "to": "b@y.example", "text": "{text}"}}"#);
    let calls = (0..messages).map(|id| call(id, &format!("run/{id}"), &parameters));
    send(&mut Net(Rc::clone(&server)), Some(&account()), calls.collect());
    let count = server.borrow().count;
    assert_eq!(count.sent, messages);
    // With the confirmation, and not once more at the end.
    assert_eq!(count.outputs, messages);
    count
}

#[test]
fn with_data_a_message_is_one_write_and_one_read() {
    let count = crossings(false);
    // EHLO, the first commands, and the last content.
    assert!(count.writes <= MESSAGES + 3, "{count:?}");
    assert!(count.reads <= MESSAGES + 4, "{count:?}");
    assert!(count.announcements <= MESSAGES, "{count:?}");
}

#[test]
fn with_chunking_four_messages_and_more_share_them() {
    let count = crossings(true);
    assert!(count.writes <= MESSAGES / 4 + 2, "{count:?}");
    assert!(count.reads <= MESSAGES / 4 + 3, "{count:?}");
    assert!(count.announcements <= MESSAGES / 4 + 1, "{count:?}");
}

#[test]
fn with_a_ledger_on_a_disk_several_messages_are_claimed_at_once_while_the_server_works() {
    let claimed = |uncertain_max, messages| {
        let server = Server {
            uncertain_max,
            ..Server::default()
        };
        counted(server, messages, "Hello")
    };
    let count = claimed(16, 4 * MESSAGES);
    assert!(count.waits <= 2, "{count:?}");
    assert!(count.claims <= 4 * MESSAGES / 4 + 4, "{count:?}");
    // As many as one that is lost may make uncertain, and no more.
    let count = claimed(4, MESSAGES);
    assert!(count.claims <= MESSAGES * 2 / 3, "{count:?}");
    let count = claimed(1, MESSAGES);
    assert!(count.claims <= 1 && count.waits >= MESSAGES - 1, "{count:?}");
    // In memory nothing is won by it.
    assert_eq!(crossings(false).claims, 0);
}

#[test]
fn messages_are_made_while_another_batch_has_the_connection() {
    let before = |busy, messages, text: &str| {
        let server = Server {
            busy,
            ..Server::default()
        };
        counted(server, messages, text).made_before
    };
    // One has to be there in any case, to know that a connection is wanted.
    assert_eq!(before(0, MESSAGES, "Hello"), 1);
    assert_eq!(before(10, MESSAGES, "Hello"), 11);
    assert_eq!(before(u32::MAX, MESSAGES, "Hello"), MESSAGES);
    // No more than two megabytes of them, and the one that goes beyond.
    assert_eq!(before(u32::MAX, 5, &"Hello. ".repeat(100_000)), 3);
}
