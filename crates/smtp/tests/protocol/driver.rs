//! The shell around the client, with a server in place of a network, and a network that can break.

use std::collections::{BTreeMap, BTreeSet};

use pipepost_smtp::{
    Action, Address, Client, ClientName, Config, Id, Outcome, Security, Settled, Transaction, Verdict,
};

use crate::server::Server;

/// A message of a test.
#[derive(Clone, Debug)]
pub struct Message {
    pub transaction: Transaction,
    pub content: Vec<u8>,
}

/// `recipients` separated by blanks; the content says which message it is.
pub fn message(id: u32, sender: &str, recipients: &str, body: &str) -> Message {
    let content = format!("Message-ID: <{id}@test>\r\n\r\n{body}\r\n").into_bytes();
    let address = |text: &str| Address::parse(text).expect("an address");
    Message {
        transaction: Transaction {
            id: Id(id),
            sender: (!sender.is_empty()).then(|| address(sender)),
            recipients: recipients.split_whitespace().map(address).collect(),
            size: content.len() as u64,
            eight_bit: !content.is_ascii(),
            utf8: false,
            dsn: pipepost_smtp::DsnRequest::default(),
        },
        content,
    }
}

pub fn config(security: Security) -> Config {
    Config::new(ClientName::parse("client.test").expect("a name"), security)
}

/// Where the network breaks, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Never,
    /// The write that would pass this point fails, and nothing more is read.
    ToServer(usize),
    /// The bytes beyond this point vanish, and that is noticed once everything that the server said is read.
    ToServerUnnoticed(usize),
    /// The server's words end here.
    ToClient(usize),
}

/// How to run a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Ride {
    pub cut: Cut,
    /// The largest piece that a read gives and that a supply takes.
    pub piece: usize,
    /// Pieces of every size up to that, in an order that this decides.
    pub seed: Option<u64>,
    /// The content of this message cannot be had from this octet on.
    pub fail: Option<(Id, usize)>,
    /// The number of the announcement that is refused.
    pub withhold: Option<usize>,
    /// Submit when the client asks for more, and not all at once.
    pub late: bool,
    /// What a write to a server that has closed the connection comes to.
    pub reset: Reset,
}

/// How the client learns that the server has closed the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Writes vanish, and what the server said is read to its end.
    No,
    /// The server had not read everything: writes fail, and what it said can still be read.
    Write,
    /// The same, and what it said and nobody has read is lost.
    Words,
}

impl Default for Ride {
    fn default() -> Self {
        Self {
            cut: Cut::Never,
            piece: usize::MAX,
            seed: None,
            fail: None,
            withhold: None,
            late: false,
            reset: Reset::No,
        }
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Log {
    pub settled: Vec<Settled>,
    /// What the client wrote, write by write, as far as it arrived.
    pub writes: Vec<String>,
    pub to_server: usize,
    pub to_client: usize,
    pub announcements: usize,
    pub ending: String,
    pub memo: Option<Vec<u8>>,
}

pub fn ride(mut client: Client, server: &mut Server, messages: &[Message], options: Ride) -> Log {
    let mut log = Log::default();
    let mut supplied: BTreeMap<Id, usize> = BTreeMap::new();
    let mut announced: BTreeSet<Id> = BTreeSet::new();
    let mut waiting = messages.iter();
    if !options.late {
        waiting
            .by_ref()
            .for_each(|message| client.submit(message.transaction.clone()));
    }
    let mut pending = Vec::new();
    let mut server_gone = false;
    let mut random = options.seed.unwrap_or(0);
    let mut piece = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let size = usize::try_from(random >> 33).expect("31 bits") % options.piece.max(1) + 1;
        options.seed.map_or(options.piece, |_| size)
    };
    for turn in 0.. {
        assert!(turn < 1_000_000, "no end");
        while let Some(settled) = client.poll_settled() {
            log.settled.push(settled);
        }
        while client.wants_more() {
            match waiting.next() {
                Some(message) => client.submit(message.transaction.clone()),
                None => break,
            }
        }
        match client.poll() {
            Action::Write { bytes, commits, .. } => {
                assert!(!bytes.is_empty());
                if !commits.is_empty() {
                    log.announcements += 1;
                    if options.withhold == Some(log.announcements - 1) {
                        client.withhold();
                        continue;
                    }
                    announced.extend(commits);
                }
                if server.is_closed() && options.reset != Reset::No {
                    client.write_failed("broken pipe");
                    continue;
                }
                let whole = bytes.len();
                let room = match options.cut {
                    Cut::ToServer(limit) | Cut::ToServerUnnoticed(limit) => limit - log.to_server,
                    _ => usize::MAX,
                };
                let arrives = &bytes[..whole.min(room)];
                log.writes.push(String::from_utf8_lossy(arrives).into_owned());
                log.to_server += arrives.len();
                server.receive(arrives);
                for stored in &server.stored {
                    assert!(announced.contains(&id_of(&stored.content)), "taken and not announced");
                }
                if arrives.len() < whole && matches!(options.cut, Cut::ToServer(_)) {
                    client.connection_lost("broken pipe");
                } else {
                    server_gone |= arrives.len() < whole;
                    client.written();
                }
            }
            Action::Content { id, left, .. } => {
                let message = messages
                    .iter()
                    .find(|message| message.transaction.id == id)
                    .expect("a known message");
                let from = supplied.entry(id).or_default();
                assert_eq!(
                    message.transaction.size - *from as u64,
                    left,
                    "content is asked for in order"
                );
                let to = message.content.len().min(from.saturating_add(piece()));
                if *from == to || options.fail.is_some_and(|(failing, at)| failing == id && to > at) {
                    client.fail_content("the file changed");
                } else {
                    client.supply(&message.content[*from..to]);
                }
                *from = to;
            }
            Action::Read { .. } => {
                pending.extend(server.take_output());
                if server.is_closed() && options.reset == Reset::Words {
                    pending.clear();
                }
                let room = match options.cut {
                    Cut::ToClient(limit) => limit - log.to_client,
                    _ => usize::MAX,
                };
                let length = pending.len().min(piece()).min(room);
                if length == 0 {
                    client.connection_lost(if server_gone { "reset by peer" } else { "timed out" });
                } else {
                    log.to_client += length;
                    client.handle_bytes(&pending[..length]);
                    pending.drain(..length);
                }
            }
            Action::StartTls { .. } => {
                pending.clear();
                if server.start_tls() {
                    client.tls_started()
                } else {
                    client.connection_lost("handshake failed")
                }
            }
            Action::SignIn { mechanism, .. } => {
                let (reply, success) = server.sign_in(mechanism);
                client.signed_in(&reply, success);
            }
            Action::Ready => match waiting.next() {
                Some(message) => client.submit(message.transaction.clone()),
                None => {
                    log.memo = client.memo();
                    assert!(log.memo.is_some(), "what is ready can be released");
                    client.quit();
                }
            },
            Action::Close(ending) => {
                log.ending = ending.to_string();
                break;
            }
        }
    }
    // What was never submitted has no outcome to be checked.
    waiting.for_each(|message| client.submit(message.transaction.clone()));
    while let Some(settled) = client.poll_settled() {
        log.settled.push(settled);
    }
    log
}

pub fn id_of(content: &[u8]) -> Id {
    let text = String::from_utf8_lossy(content);
    let number = text
        .strip_prefix("Message-ID: <")
        .and_then(|rest| rest.split('@').next());
    Id(number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("a foreign message: {text}")))
}

/// Of a conversation in which no reply was wrong: what the server answered and the client read is final.
pub fn check_answers(log: &Log, server: &Server) -> Result<(), String> {
    for (content, said) in &server.answered {
        let id = id_of(content);
        let settled = log.settled.iter().find(|settled| settled.id == id);
        let is_accepted = settled.is_some_and(|settled| matches!(settled.outcome, Outcome::Accepted { .. }));
        if *said <= log.to_client && !is_accepted {
            return Err(format!("the server took it and said so: {settled:?}"));
        }
    }
    Ok(())
}

/// Of a conversation that nothing interrupts: nobody is left to guess.
pub fn check_certainty(log: &Log) -> Result<(), String> {
    let unsure = log.settled.iter().find(|settled| {
        matches!(
            settled.outcome,
            Outcome::Uncertain(_) | Outcome::NotSent(pipepost_smtp::NotSent::Connection(_))
        )
    });
    unsure.map_or(Ok(()), |settled| Err(format!("no reply was wrong: {settled:?}")))
}

/// The invariants, checked against what the server really took.
pub fn check(log: &Log, server: &Server, messages: &[Message]) -> Result<(), String> {
    for stored in &server.stored {
        let id = id_of(&stored.content);
        let message = messages
            .iter()
            .find(|message| message.transaction.id == id)
            .ok_or("a foreign message")?;
        let sender = message.transaction.sender.as_ref().map_or("", |sender| sender.as_str());
        let known = |name: &String| {
            message
                .transaction
                .recipients
                .iter()
                .any(|address| address.as_str() == name)
        };
        if stored.content != message.content || stored.sender != sender || !stored.recipients.iter().all(known) {
            return Err(format!("message {id:?} was taken as another: {stored:?}"));
        }
    }
    if log.settled.len() != messages.len() {
        return Err(format!(
            "{} outcomes for {} messages",
            log.settled.len(),
            messages.len()
        ));
    }
    for message in messages {
        let id = message.transaction.id;
        let mut outcomes = log.settled.iter().filter(|settled| settled.id == id);
        let (Some(settled), None) = (outcomes.next(), outcomes.next()) else {
            return Err(format!("{id:?} has not one outcome"));
        };
        let taken: Vec<_> = server
            .stored
            .iter()
            .filter(|stored| id_of(&stored.content) == id)
            .collect();
        let fine = match (&settled.outcome, taken.as_slice()) {
            (Outcome::Accepted { .. }, [stored]) => {
                let verdicts = message.transaction.recipients.iter().zip(&settled.recipients);
                let accepted = verdicts.filter(|(_, verdict)| **verdict == Verdict::Accepted);
                accepted
                    .map(|(address, _)| address.as_str())
                    .eq(stored.recipients.iter().map(String::as_str))
            }
            (Outcome::Accepted { .. }, _) => false,
            (Outcome::Uncertain(_), taken) => taken.len() <= 1,
            (_, taken) => taken.is_empty(),
        };
        if !fine || settled.recipients.len() != message.transaction.recipients.len() {
            return Err(format!("{settled:?}, but the server took {taken:?}"));
        }
    }
    Ok(())
}
