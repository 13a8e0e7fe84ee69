//! The message itself: DATA's lines and BDAT's chunks (RFC 5321 section 4.1.1.4, RFC 3030).

use super::dots::Decoder;
use super::{Answer, Effect, Mode, Pending, Reply, Session};
use crate::event::Direction;
use crate::message::{Envelope, Message, Transfer};
use crate::script::At;

/// Content on its way in.
#[derive(Debug)]
pub(super) enum Incoming {
    Data(Decoder),
    Chunk {
        /// The command line, which the script's rules look at.
        command: String,
        left: u64,
        last: bool,
        octets: Vec<u8>,
        /// Why the chunk is read and forgotten.
        refused: Option<Refusal>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no transaction.
    NoMail,
    /// No recipient was accepted.
    NoRecipient,
    /// An earlier chunk was refused.
    Broken,
    TooLarge,
}

impl Incoming {
    pub(super) fn data(limit: u64) -> Self {
        Self::Data(Decoder::new(usize::try_from(limit).unwrap_or(usize::MAX)))
    }
}

impl Session {
    /// BDAT: the octets follow whatever the reply will be, so they are read in any case.
    pub(super) fn begin_chunk(&mut self, line: &str, size: u64, last: bool) {
        let refused = match &self.transaction {
            None => Some(Refusal::NoMail),
            Some(transaction) if transaction.broken => Some(Refusal::Broken),
            Some(transaction) if transaction.recipients.is_empty() => Some(Refusal::NoRecipient),
            Some(transaction) => {
                let before = transaction.chunks.as_ref().map_or(0, |(octets, _)| octets.len() as u64);
                (before.saturating_add(size) > self.settings.size_limit).then_some(Refusal::TooLarge)
            }
        };
        self.mode = Mode::Content(Incoming::Chunk {
            command: line.to_owned(),
            left: size,
            last,
            octets: Vec::new(),
            refused,
        });
        if size == 0 {
            self.read_content();
        }
    }

    /// Takes as much of the content as has come.
    pub(super) fn read_content(&mut self) {
        let Mode::Content(mut incoming) = std::mem::replace(&mut self.mode, Mode::Command) else {
            return;
        };
        let rest = &self.input[self.taken..];
        let complete = match &mut incoming {
            Incoming::Data(decoder) => {
                let (used, ended) = decoder.feed(rest);
                self.taken += used;
                ended
            }
            Incoming::Chunk {
                left, octets, refused, ..
            } => {
                let count = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                if refused.is_none() {
                    octets.extend_from_slice(&rest[..count]);
                }
                self.taken += count;
                *left -= count as u64;
                *left == 0
            }
        };
        if complete {
            self.content_is_in(incoming)
        } else {
            self.mode = Mode::Content(incoming)
        }
    }

    fn content_is_in(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Data(decoder) => match decoder.finish() {
                Some(content) => self.message_is_in(content, Transfer::Data),
                None => self.content_refused(Refusal::TooLarge),
            },
            Incoming::Chunk {
                last: true,
                octets,
                refused: None,
                ..
            } => {
                let (mut content, count) = match &mut self.transaction {
                    Some(transaction) => transaction.chunks.take().unwrap_or_default(),
                    None => (Vec::new(), 0),
                };
                content.extend_from_slice(&octets);
                self.message_is_in(content, Transfer::Chunks(count + 1));
            }
            Incoming::Chunk {
                last: true,
                refused: Some(refusal),
                ..
            } => self.content_refused(refusal),
            Incoming::Chunk {
                command,
                octets,
                refused,
                ..
            } => self.chunk_is_in(&command, octets, refused),
        }
    }

    fn chunk_is_in(&mut self, command: &str, octets: Vec<u8>, refused: Option<Refusal>) {
        self.record(Direction::Received, || format!("<{} octets>", octets.len()));
        let answer = match refused {
            None => self.accept("2.0.0 OK", Effect::Nothing),
            Some(refusal) => self.refusal(refusal),
        };
        let rule = self.scene.rule(At::Bdat, command.as_bytes(), self.tls.is_some());
        let obeyed = refused.is_none() && rule.as_ref().is_none_or(|rule| rule.obeys(true));
        if let Some(transaction) = &mut self.transaction {
            if obeyed {
                let (content, count) = transaction.chunks.get_or_insert_default();
                content.extend_from_slice(&octets);
                *count += 1;
            } else {
                transaction.broken = true;
            }
        }
        self.answer_by(rule, answer);
    }

    fn content_refused(&mut self, refusal: Refusal) {
        self.record(Direction::Received, || "<content, refused>".to_owned());
        let answer = self.refusal(refusal);
        match (&mut self.transaction, refusal) {
            // RFC 3030 section 2: after a chunk that failed, the transaction waits for RSET.
            (Some(transaction), Refusal::Broken | Refusal::NoRecipient) => transaction.broken = true,
            (transaction, _) => *transaction = None,
        }
        self.answer(At::Content, b"", answer);
    }

    fn refusal(&self, refusal: Refusal) -> Answer {
        match refusal {
            Refusal::NoMail => self.no_transaction(),
            Refusal::NoRecipient => self.refuse(503, "5.5.1 RCPT first."),
            Refusal::Broken => self.refuse(503, "5.5.1 BDAT after a refused chunk, RSET first."),
            Refusal::TooLarge => self.too_large(),
        }
    }

    /// A whole message: the script decides first, then it is stored, then the reply goes out.
    fn message_is_in(&mut self, content: Vec<u8>, transfer: Transfer) {
        self.record(Direction::Received, || format!("<{} octets>", content.len()));
        let id = self.id();
        let Some(transaction) = self
            .transaction
            .take()
            .filter(|transaction| !transaction.recipients.is_empty())
        else {
            let answer = self.refuse(554, "5.5.1 No valid recipients.");
            return self.answer(At::Content, &content, answer);
        };
        let rule = self.scene.rule(At::Content, &content, self.tls.is_some());
        if rule.as_ref().is_some_and(|rule| !rule.obeys(true)) {
            let reply = Reply::signed(250, format!("2.0.0 OK {}", self.now), &id);
            return self.answer_by(
                rule,
                Answer {
                    reply,
                    effect: Effect::Nothing,
                },
            );
        }
        let message = Message {
            sequence: 0,
            connection: self.connection,
            transaction: self.messages + 1,
            id: id.clone(),
            received_at: self.now,
            envelope: Envelope {
                from: transaction.from,
                to: transaction.recipients,
            },
            parameters: transaction.parameters,
            transfer,
            user: self.user.clone(),
            tls: self.tls.clone(),
            helo: self.helo.clone().unwrap_or_default(),
            content,
        };
        self.pending = Some(Pending {
            message: Some(message),
            rule,
            id,
        });
    }
}
