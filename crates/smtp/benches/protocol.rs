//! The protocol alone, without a socket: reading replies, and planning and matching a batch of messages.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use pipepost_smtp::{Action, Address, Client, ClientName, Config, Id, ReplyParser, Security, Transaction};

fn main() {
    divan::main();
}

/// Messages of one batch.
const BATCH: u32 = 32;

/// A message's content: CRLF lines, 2 KB.
fn content() -> Vec<u8> {
    b"A line of a message, as long as most lines are: 64 octets now.\r\n".repeat(32)
}

#[divan::bench]
fn parse_the_replies_of_16_messages(bencher: Bencher) {
    let replies =
        b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: queued as 4XyZ\r\n"
            .repeat(16);
    bencher.counter(ItemsCount::new(16_usize)).bench(|| {
        let mut parser = ReplyParser::new();
        parser.push(black_box(&replies));
        let mut count = 0;
        while let Ok(Some(_)) = parser.next_reply() {
            count += 1;
        }
        assert_eq!(count, 64);
    });
}

/// What a server answers to everything that a client writes: one reply a command or content.
#[derive(Default)]
struct Server {
    chunking: bool,
    chunk: usize,
    data: bool,
}

impl Server {
    fn answer(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        while !bytes.is_empty() {
            if self.chunk > 0 {
                let count = self.chunk.min(bytes.len());
                (self.chunk, bytes) = (self.chunk - count, &bytes[count..]);
                if self.chunk == 0 {
                    replies.extend_from_slice(b"250 2.0.0 Ok\r\n");
                }
                continue;
            }
            let end: &[u8] = if self.data { b"\r\n.\r\n" } else { b"\r\n" };
            let at = bytes
                .windows(end.len())
                .position(|window| window == end)
                .expect("writes are whole");
            let line = &bytes[..at];
            bytes = &bytes[at + end.len()..];
            if std::mem::take(&mut self.data) {
                replies.extend_from_slice(b"250 2.0.0 Ok\r\n");
            } else if line.starts_with(b"EHLO") {
                replies
                    .extend_from_slice(b"250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n");
                replies.extend_from_slice(if self.chunking {
                    b"250 CHUNKING\r\n"
                } else {
                    b"250 DSN\r\n"
                });
            } else if line.starts_with(b"DATA") {
                self.data = true;
                replies.extend_from_slice(b"354 go on\r\n");
            } else if let Some(size) = line.strip_prefix(b"BDAT ") {
                let size = size.split(|byte| *byte == b' ').next().unwrap_or_default();
                self.chunk = std::str::from_utf8(size)
                    .ok()
                    .and_then(|size| size.parse().ok())
                    .expect("a size");
            } else {
                replies.extend_from_slice(b"250 2.1.0 Ok\r\n");
            }
        }
        replies
    }
}

#[divan::bench(args = [false, true])]
fn plan_and_match_32_messages(bencher: Bencher, chunking: bool) {
    let content = content();
    let sender = Address::parse("billing@example.com").expect("an address");
    let recipient = Address::parse("jose@example.org").expect("an address");
    bencher.counter(ItemsCount::new(BATCH)).bench(|| {
        let name = ClientName::parse("client.example.com").expect("a name");
        let mut client = Client::new(Config::new(name, Security::None));
        let mut server = Server {
            chunking,
            ..Server::default()
        };
        let mut replies = b"220 mx.test\r\n".to_vec();
        let (mut next, mut settled) = (0, 0);
        loop {
            while client.poll_settled().is_some() {
                settled += 1;
            }
            while client.wants_more() && next < BATCH {
                client.submit(Transaction {
                    id: Id(next),
                    sender: Some(sender.clone()),
                    recipients: vec![recipient.clone()],
                    size: content.len() as u64,
                    eight_bit: true,
                    utf8: false,
                    dsn: pipepost_smtp::DsnRequest::default(),
                });
                next += 1;
            }
            match client.poll() {
                Action::Write { bytes, .. } => {
                    replies.extend(server.answer(bytes));
                    client.written();
                }
                Action::Content { .. } => client.supply(&content),
                Action::Read { .. } => client.handle_bytes(&std::mem::take(&mut replies)),
                Action::Ready => break,
                action => panic!("{action:?}"),
            }
        }
        assert_eq!(settled, BATCH);
    });
}
