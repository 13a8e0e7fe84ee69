//! A transaction that was begun, and what its end means.

use super::pipeline::Mark;
use crate::content::ContentWriter;
use crate::outcome::{CloseReason, NotSent, Outcome, Settled, Stage, Transaction, Verdict};
use crate::reply::Reply;

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) transaction: Transaction,
    pub(super) stage: Progress,
    pub(super) commit: Commit,
    /// Where its first byte stands in what is not written, or that of its BDAT.
    pub(super) mark: Mark,
    /// Some of its bytes were written.
    pub(super) begun: bool,
    /// Some bytes of its BDAT command or of its content were written.
    pub(super) content_written: bool,
    pub(super) sender: Sender,
    /// One for each reply to RCPT.
    pub(super) verdicts: Vec<Verdict>,
    pub(super) accepted: usize,
    /// The octets of the BDAT that is being supplied that are still to come.
    pub(super) chunk_left: u64,
    /// The first refusal of a BDAT that is not the last. The server discards the whole then (RFC 3030, section 2).
    pub(super) chunk_refused: Option<Reply>,
    /// Its octets, about.
    pub(super) weight: u64,
}

/// What comes next on our side.
#[derive(Debug)]
pub(super) enum Progress {
    /// The next command, once the reply to the last is here.
    Commands,
    /// The replies to all RCPT decide how it goes on.
    Verdicts,
    /// DATA is to be written.
    NeedData,
    /// The reply to DATA decides.
    Data,
    /// A lone dot is to be written.
    NeedDot,
    /// The content may be written.
    Cleared,
    /// It is being supplied.
    Supplying(ContentWriter),
    /// Nothing: only the server's word is missing.
    Complete,
}

/// Where the last of its bytes is, the one that makes the server take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    No,
    /// In what is not written.
    Buffered,
    Written,
}

#[derive(Debug)]
pub(super) enum Sender {
    Unanswered,
    Accepted,
    Refused(Reply),
}

impl Flight {
    pub(super) fn new(transaction: Transaction, stage: Progress, mark: Mark) -> Self {
        let weight = weight(&transaction);
        Self {
            verdicts: Vec::with_capacity(transaction.recipients.len()),
            transaction,
            stage,
            commit: Commit::No,
            mark,
            begun: false,
            content_written: false,
            sender: Sender::Unanswered,
            accepted: 0,
            chunk_left: 0,
            chunk_refused: None,
            weight,
        }
    }

    /// Everything that was put together was written.
    pub(super) fn written(&mut self) {
        self.begun = true;
        self.content_written = matches!(self.stage, Progress::Supplying(_) | Progress::Complete);
        if self.commit == Commit::Buffered {
            self.commit = Commit::Written;
        }
    }

    /// True when the server has answered all RCPT.
    pub(super) fn is_answered(&self) -> bool {
        self.verdicts.len() == self.transaction.recipients.len()
    }

    pub(super) fn first_rejection(&self) -> Option<&Reply> {
        self.verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Rejected(reply) | Verdict::Deferred(reply) => Some(reply),
            Verdict::Accepted | Verdict::Unanswered => None,
        })
    }

    /// The refusal because of which nobody can get the message, where there is one.
    pub(super) fn doom(&self) -> Option<Outcome> {
        if let Sender::Refused(reply) = &self.sender {
            return Some(Outcome::Refused {
                reply: reply.clone(),
                stage: Stage::Sender,
            });
        }
        let nobody = self
            .first_rejection()
            .filter(|_| self.is_answered() && self.accepted == 0);
        if let Some(reply) = nobody {
            return Some(Outcome::Refused {
                reply: reply.clone(),
                stage: Stage::Recipient,
            });
        }
        Some(Outcome::Refused {
            reply: self.chunk_refused.clone()?,
            stage: Stage::Content,
        })
    }

    /// What the end of the connection makes of it; `handed` when what is buffered may have been written.
    pub(super) fn outcome_of(&self, ending: &CloseReason, handed: bool) -> Outcome {
        let sent = self.commit == Commit::Written || self.commit == Commit::Buffered && handed;
        match (ending, self.doom()) {
            // Replies that cannot be told apart prove nothing.
            (CloseReason::OutOfStep(_), _) if sent => Outcome::Uncertain(ending.clone()),
            (CloseReason::OutOfStep(_), _) | (_, None) if !sent => {
                Outcome::NotSent(NotSent::Connection(ending.clone()))
            }
            (_, Some(refused)) => refused,
            // Replies come in order, and after a 421 the server does nothing more (RFC 5321, section 3.8).
            (CloseReason::Closing { .. }, None) => Outcome::NotSent(NotSent::Connection(ending.clone())),
            (_, None) => Outcome::Uncertain(ending.clone()),
        }
    }

    pub(super) fn settle(mut self, outcome: Outcome) -> Settled {
        self.verdicts
            .resize(self.transaction.recipients.len(), Verdict::Unanswered);
        Settled {
            id: self.transaction.id,
            outcome,
            recipients: self.verdicts,
        }
    }
}

/// The octets that a transaction puts on the wire, about: enough for a bound.
pub(super) fn weight(transaction: &Transaction) -> u64 {
    let commands: usize = transaction
        .recipients
        .iter()
        .map(|recipient| recipient.as_str().len() + 16)
        .sum();
    // The original recipient is said once more.
    let commands = if transaction.dsn.is_empty() {
        commands
    } else {
        3 * commands
    };
    transaction.size.saturating_add(commands as u64 + 400)
}
