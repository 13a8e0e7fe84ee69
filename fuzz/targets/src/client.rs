//! The whole conversation with a server that says anything.

use std::collections::{BTreeMap, BTreeSet};

use pipepost_smtp::{
    Action, Address, Client, ClientName, CloseReason, Config, Id, NotSent, Outcome, Pipelining, ReplyParser, Security,
    Settled, Transaction,
};

const MESSAGES: u32 = 4;

/// The client neither panics nor hangs; every message has one outcome, which agrees with what was announced and
/// written; nothing but commands and our content is written, and before TLS nothing but what belongs there; and no byte
/// that came with the answer to STARTTLS outlives the handshake.
///
/// Input: a line of words that choose (`starttls`, `tls`, `warm`, `off`, `transaction`, `data`, `all`, `sign-in`,
/// `refuse`), then what the server says. A `~` ends what one read gives.
pub fn client(data: &[u8]) {
    let (words, speech) = super::first_line(data);
    let chosen = |word: &str| words.split(' ').any(|other| other == word);
    let config = config(&chosen);
    let is_secured = config.security != Security::StartTls || chosen("warm");
    let mut client = if chosen("warm") {
        // What it remembers is the server's own first words, for a hostile memo.
        Client::resume(
            config,
            speech.split(|&byte| byte == b'~').next().unwrap_or_default(),
            true,
        )
    } else {
        Client::new(config)
    };
    let contents: BTreeMap<Id, Vec<u8>> = (0..MESSAGES)
        .map(|id| (Id(id), format!("Message-ID: <{id}@test>\r\n\r\n.x\r\n").into_bytes()))
        .collect();
    let transactions: Vec<_> = contents.iter().map(|(id, content)| transaction(*id, content)).collect();
    transactions
        .iter()
        .cloned()
        .for_each(|transaction| client.submit(transaction));

    let mut seen = Seen {
        is_secured,
        ..Seen::default()
    };
    let mut reads = speech.split(|&byte| byte == b'~').filter(|read| !read.is_empty());
    for turn in 0.. {
        assert!(turn < 100_000, "no end");
        match client.poll() {
            Action::Write { bytes, commits, .. } => {
                assert!(!bytes.is_empty());
                if !commits.is_empty() && chosen("refuse") && seen.committed.len() < 2 {
                    client.withhold();
                    continue;
                }
                seen.write(bytes, commits);
                client.written();
            }
            Action::Content { id, .. } => client.supply(&contents[&id]),
            Action::Read { .. } => match reads.next() {
                Some(bytes) => {
                    seen.since_write.extend_from_slice(bytes);
                    client.handle_bytes(bytes);
                }
                None => client.connection_lost("closed"),
            },
            Action::StartTls { .. } => {
                seen.handshake();
                client.tls_started();
            }
            Action::SignIn { .. } => {
                let reply = reads.next().unwrap_or_default();
                client.signed_in(reply, reply.starts_with(b"2"));
            }
            Action::Ready => client.quit(),
            Action::Close(_) => break,
        }
    }
    let settled: Vec<_> = std::iter::from_fn(|| client.poll_settled()).collect();
    seen.judge(&settled, &transactions);
}

fn config(chosen: &dyn Fn(&str) -> bool) -> Config {
    let security = match (chosen("starttls"), chosen("tls")) {
        (true, _) => Security::StartTls,
        (_, true) => Security::Tls,
        _ => Security::None,
    };
    let name = ClientName::parse("client.test").unwrap_or_else(|error| panic!("{error}"));
    let mut config = Config::new(name, security);
    config.pipelining = match (chosen("off"), chosen("transaction")) {
        (true, _) => Pipelining::Off,
        (_, true) => Pipelining::Transaction,
        _ => Pipelining::Full,
    };
    config.chunking = !chosen("data");
    config.send_partial = !chosen("all");
    if chosen("sign-in") {
        config.mechanisms.push("PLAIN".to_owned());
    }
    config
}

fn transaction(id: Id, content: &[u8]) -> Transaction {
    let names: &[&str] = if id.0.is_multiple_of(2) {
        &["b@y.test"]
    } else {
        &["b@y.test", "c@y.test"]
    };
    Transaction {
        id,
        sender: Address::parse("a@x.test").ok(),
        recipients: names.iter().filter_map(|name| Address::parse(name).ok()).collect(),
        size: content.len() as u64,
        eight_bit: false,
        utf8: false,
        dsn: pipepost_smtp::DsnRequest::default(),
    }
}

/// What went over the wire, as far as it decides.
#[derive(Default)]
struct Seen {
    is_secured: bool,
    /// Announced, and the write was done.
    committed: BTreeSet<Id>,
    /// What the server said since the client last wrote.
    since_write: Vec<u8>,
}

impl Seen {
    fn write(&mut self, bytes: &[u8], commits: &[Id]) {
        let known = [
            "EHLO client.test",
            "HELO client.test",
            "STARTTLS",
            "RSET",
            "DATA",
            "QUIT",
            "",
            ".",
            ".x",
            "..x",
        ];
        let starts = ["MAIL FROM:<a@x.test>", "RCPT TO:<", "BDAT ", "Message-ID: <"];
        let text = String::from_utf8_lossy(bytes);
        assert!(text.ends_with('\n'), "half a line: {text:?}");
        for line in text.split_terminator("\r\n") {
            let is_ours = known.contains(&line) || starts.iter().any(|start| line.starts_with(start));
            assert!(is_ours && !line.contains(['\r', '\n']), "{line:?}");
            let may_be_clear = ["EHLO client.test", "STARTTLS", "QUIT"].contains(&line);
            assert!(self.is_secured || may_be_clear, "{line:?} in clear");
        }
        self.committed.extend(commits);
        self.since_write.clear();
    }

    /// TLS begins after one reply, and after nothing else.
    fn handshake(&mut self) {
        let mut parser = ReplyParser::new();
        parser.push(&self.since_write);
        assert!(matches!(parser.next_reply(), Ok(Some(reply)) if reply.is_positive()));
        assert!(
            parser.is_empty(),
            "bytes from before TLS are kept: {:?}",
            String::from_utf8_lossy(&self.since_write)
        );
        self.is_secured = true;
    }

    fn judge(&self, settled: &[Settled], transactions: &[Transaction]) {
        assert_eq!(settled.len(), transactions.len(), "{settled:?}");
        for transaction in transactions {
            let mut ends = settled.iter().filter(|end| end.id == transaction.id);
            let (Some(end), None) = (ends.next(), ends.next()) else {
                panic!("{:?} has not one outcome", transaction.id)
            };
            assert_eq!(end.recipients.len(), transaction.recipients.len());
            let is_committed = self.committed.contains(&end.id);
            match &end.outcome {
                Outcome::Accepted { reply } => assert!(is_committed && reply.is_positive(), "{end:?}"),
                Outcome::Uncertain(_) => assert!(is_committed, "{end:?}"),
                // Once its last byte has left the server may have it, and only a reply can deny that: a 421 speaks for
                // all that it leaves unanswered (RFC 5321, section 3.8).
                Outcome::NotSent(NotSent::Connection(CloseReason::Closing { .. })) => {}
                Outcome::NotSent(_) => assert!(!is_committed, "{end:?}"),
                Outcome::Refused { reply, .. } => assert!(!reply.is_positive(), "{end:?}"),
            }
        }
    }
}
