//! Transactions: how their commands are grouped, and what the replies mean.
//!
//! With BDAT a whole transaction is one group, `MAIL, RCPT..., BDAT n LAST` and the content, and groups follow each
//! other without waiting (RFC 3030, RFC 2920). A group that starts before the end of another is known begins with RSET:
//! after a chunk that failed the server may still hold the old transaction (RFC 3030, section 2), would refuse the new
//! MAIL, and would send the new content to the old recipients.
//!
//! With DATA the group is `MAIL, RCPT..., DATA`. The content waits for its own 354, since a server that refused DATA
//! obeys content as commands, and then travels with the next group. No RSET is needed between these: the end of the data
//! clears the transaction, whether it is accepted or not (RFC 5321, section 4.1.1.4).
//!
//! With BDAT every good reply is a 250, and what tells one from another are the enhanced codes (see `alignment`). So BDAT
//! is used only where ENHANCEDSTATUSCODES is offered. An outcome is held back until a reply behind it proves the count, or
//! until no reply is owed any more: this costs no time, as those replies are on their way. It is put in doubt by a sign that
//! replies have moved, and by nothing else: a server that answers a message and then closes the connection has answered it.
//! What remains undetected takes two faults at once, or a doubled reply in a message that is last in flight, from a server
//! that sends the one reply too many only after a pause: one to RCPT where the last recipient is refused for a reason that
//! is not its address, or one to a BDAT that is not the last where the message is refused at its end.

use super::flight::{Commit, Flight, Progress, Sender, weight};
use super::pipeline::{Expect, Place};
use super::session::Phase;
use super::{Client, FLUSH, Held, Next};
use crate::capabilities::Capabilities;
use crate::config::{Pipelining, Window};
use crate::content::{ContentError, ContentWriter, Framing};
use crate::dsn;
use crate::outcome::{CloseReason, NotSent, Outcome, Stage, Transaction, Verdict};
use crate::reply::{Class, Reply};

/// How far commands run ahead of replies on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialogue {
    Lockstep,
    Grouped,
    Streaming,
}

impl Client {
    fn dialogue(&self) -> Dialogue {
        match self.config.pipelining {
            Pipelining::Full if self.capabilities.pipelining => Dialogue::Streaming,
            Pipelining::Transaction if self.capabilities.pipelining => Dialogue::Grouped,
            _ => Dialogue::Lockstep,
        }
    }

    /// BDAT is left to servers that take commands in groups, as the plain dialogue is to be as plain as can be, and to
    /// those whose replies say what they speak of.
    pub(super) fn chunking(&self) -> bool {
        self.config.chunking
            && self.capabilities.chunking
            && self.capabilities.enhanced_status_codes
            && self.dialogue() != Dialogue::Lockstep
    }

    /// Puts together as much as may leave now, and says what has to happen next.
    pub(super) fn advance(&mut self) -> Next {
        if self.broken.is_some() {
            return Next::Read;
        }
        while self.phase == Phase::Ready && !self.pipeline.is_handed() && self.pipeline.len() < FLUSH {
            if self.alignment.is_doubted() {
                self.put_fence();
                break;
            }
            if let Some(flight) = self.flights.back() {
                match &flight.stage {
                    Progress::Supplying(writer) => {
                        return Next::Content {
                            id: flight.transaction.id,
                            left: writer.left(),
                        };
                    }
                    Progress::Cleared => {
                        self.begin_content();
                        continue;
                    }
                    Progress::NeedData => {
                        self.put_data();
                        continue;
                    }
                    Progress::NeedDot => {
                        self.put_lone_dot();
                        continue;
                    }
                    Progress::Commands if self.pipeline.owed() == 0 => {
                        self.next_command();
                        continue;
                    }
                    Progress::Commands | Progress::Verdicts | Progress::Data | Progress::Complete => {}
                }
            }
            if self.is_full() || !self.may_begin() {
                break;
            }
            self.begin();
        }
        if self.pipeline.len() > 0 {
            Next::Write
        } else if self.pipeline.is_waiting() {
            Next::Read
        } else if (self.quitting || self.is_full()) && self.phase == Phase::Ready {
            self.phase = Phase::Quitting;
            self.pipeline.put(&["QUIT\r\n"]);
            Next::Write
        } else {
            Next::Ready
        }
    }

    /// True when there is room for another transaction, whatever its size.
    pub(super) fn has_room(&self) -> bool {
        let window = &self.config.window;
        match self.dialogue() {
            Dialogue::Streaming if self.chunking() && self.config.send_partial => {
                (self.filling || self.is_drained())
                    && self.unsettled() < window.messages.max(1)
                    && self.in_flight < window.bytes
                    && self.pipeline.owed() < window.replies
            }
            Dialogue::Streaming => self.flights.len() < 2,
            Dialogue::Lockstep | Dialogue::Grouped => self.flights.is_empty(),
        }
    }

    /// How many messages may have been sent and are not settled: an outcome that is held back still counts, for a crash
    /// loses it.
    fn unsettled(&self) -> usize {
        self.flights.len() + self.held.len()
    }

    /// True when a quarter of the window is free. Less would make a write of every message, and more would leave a distant
    /// server without work.
    fn is_drained(&self) -> bool {
        let Window { messages, bytes, .. } = self.config.window;
        self.flights.len() <= messages - messages.div_ceil(4) && self.in_flight <= bytes - bytes / 4
    }

    fn may_begin(&mut self) -> bool {
        let Some(next) = self.queue.front() else { return false };
        let streams = self.chunking() && self.config.send_partial;
        let weight = weight(next);
        let first = self.flights.is_empty();
        match self.dialogue() {
            Dialogue::Lockstep | Dialogue::Grouped => return first && self.pipeline.owed() == 0,
            // What follows a message is its successor's first group, and no more: that one's replies decide.
            Dialogue::Streaming if !streams => {
                return self.flights.len() < 2
                    && self
                        .flights
                        .back()
                        .is_none_or(|last| matches!(last.stage, Progress::Complete));
            }
            Dialogue::Streaming => {}
        }
        let window = self.config.window;
        let fits = self.unsettled() < window.messages.max(1)
            && self.in_flight.saturating_add(weight) <= window.bytes
            && self.pipeline.owed() + next.recipients.len() + self.chunks_before_the_last(next.size) + 3
                <= window.replies;
        self.filling = (self.filling || self.is_drained()) && (first || fits);
        // A group that does not fit into the write begins the next one, so that what is taken back is always whole.
        let separate = self.pipeline.len() > 0 && self.pipeline.len() as u64 + weight > FLUSH as u64;
        self.filling && !separate
    }

    /// Begins the first transaction of the queue, or settles it when it cannot be sent here.
    fn begin(&mut self) {
        let Some(next) = self.queue.front() else { return };
        let verdict = self.check(next);
        let dialogue = self.dialogue();
        let mark = self.pipeline.mark();
        let overlaps = self.chunking() && !self.flights.is_empty();
        if verdict.is_ok() && (self.dirty || overlaps) {
            self.dirty = false;
            self.pipeline.put(&["RSET\r\n"]);
            self.pipeline.expect(Expect::Reset);
            if dialogue == Dialogue::Lockstep {
                return;
            }
        }
        let Some(transaction) = self.queue.pop_front() else {
            return;
        };
        if let Err(why) = verdict {
            return self.settle_unsent(transaction, why);
        }
        let mut flight = Flight::new(transaction, Progress::Commands, mark);
        self.begun += 1;
        self.in_flight += flight.weight;
        if dialogue != Dialogue::Lockstep {
            self.put_sender(&flight.transaction);
            for index in 0..flight.transaction.recipients.len() {
                self.put_recipient(&flight.transaction, index);
            }
            flight.stage = match (self.config.send_partial, self.chunking()) {
                (false, _) => Progress::Verdicts,
                (true, true) => Progress::Cleared,
                (true, false) => Progress::NeedData,
            };
        }
        self.flights.push_back(flight);
    }

    /// What the server's capabilities rule out is not begun.
    fn check(&self, transaction: &Transaction) -> Result<(), NotSent> {
        if transaction.recipients.is_empty() {
            return Err(NotSent::NoRecipients);
        }
        if let Some(limit) = self.capabilities.size.filter(|&limit| transaction.size > limit) {
            return Err(NotSent::TooLarge {
                size: transaction.size,
                limit,
            });
        }
        let wide = transaction
            .sender
            .iter()
            .chain(&transaction.recipients)
            .find(|address| address.needs_smtputf8());
        if (transaction.utf8 || wide.is_some()) && !self.capabilities.smtputf8 {
            return Err(NotSent::NeedsSmtpUtf8 { address: wide.cloned() });
        }
        if (transaction.utf8 || transaction.eight_bit) && !self.capabilities.eight_bit_mime {
            return Err(NotSent::NeedsEightBitMime);
        }
        Ok(())
    }

    fn put_sender(&mut self, transaction: &Transaction) {
        let path = transaction.sender.as_ref().map_or("", |sender| sender.as_str());
        self.pipeline.put(&["MAIL FROM:<", path, ">"]);
        if self.capabilities.size.is_some() {
            self.pipeline.put(&[" SIZE=", &transaction.size.to_string()]);
        }
        if transaction.eight_bit || transaction.utf8 {
            self.pipeline.put(&[" BODY=8BITMIME"]);
        }
        let mut addresses = transaction.sender.iter().chain(&transaction.recipients);
        if transaction.utf8 || addresses.any(|address| address.needs_smtputf8()) {
            self.pipeline.put(&[" SMTPUTF8"]);
        }
        if self.capabilities.dsn {
            if let Some(ret) = transaction.dsn.ret {
                self.pipeline.put(&[" RET=", ret.as_str()]);
            }
            if let Some(id) = &transaction.dsn.envelope_id {
                self.pipeline.put(&[" ENVID=", &id.as_xtext()]);
            }
        }
        self.pipeline.put(&["\r\n"]);
        self.pipeline.expect(Expect::Sender);
    }

    fn put_recipient(&mut self, transaction: &Transaction, index: usize) {
        let recipient = &transaction.recipients[index];
        self.pipeline.put(&["RCPT TO:<", recipient.as_str(), ">"]);
        if self.capabilities.dsn && !transaction.dsn.is_empty() {
            self.pipeline
                .put(&[&dsn::recipient_parameters(&transaction.dsn, recipient)]);
        }
        self.pipeline.put(&["\r\n"]);
        self.pipeline.expect(Expect::Recipient);
    }

    fn put_data(&mut self) {
        if let Some(flight) = self.flights.back_mut() {
            flight.stage = Progress::Data;
            self.pipeline.put(&["DATA\r\n"]);
            self.pipeline.expect(Expect::Data);
        }
    }

    fn put_lone_dot(&mut self) {
        if let Some(flight) = self.flights.back_mut() {
            flight.stage = Progress::Complete;
            self.pipeline.put(&[".\r\n"]);
            self.pipeline.expect(Expect::Lone);
        }
    }

    /// The next command of the plain dialogue.
    fn next_command(&mut self) {
        // Taken out and put back, so that the commands can be made from it.
        let Some(flight) = self.flights.pop_back() else { return };
        let answered = flight.verdicts.len();
        let data = match flight.sender {
            Sender::Unanswered => {
                self.put_sender(&flight.transaction);
                false
            }
            _ if answered < flight.transaction.recipients.len() => {
                self.put_recipient(&flight.transaction, answered);
                false
            }
            _ => true,
        };
        self.flights.push_back(flight);
        if data {
            self.put_data();
        }
    }

    fn begin_content(&mut self) {
        let framing = if self.chunking() { Framing::Chunk } else { Framing::Dots };
        let Some(flight) = self.flights.back_mut() else { return };
        let size = flight.transaction.size;
        if flight.begun {
            flight.mark = self.pipeline.mark();
        }
        let eight_bit = flight.transaction.eight_bit || flight.transaction.utf8;
        let writer = ContentWriter::new(framing, size, eight_bit);
        if size == 0 {
            if framing == Framing::Chunk {
                self.pipeline.put(&["BDAT 0 LAST\r\n"]);
            }
            writer.finish(self.pipeline.buffer());
            self.pipeline.commit(flight.transaction.id);
            self.content_complete();
            return;
        }
        flight.stage = Progress::Supplying(writer);
        match framing {
            Framing::Chunk => self.begin_chunk(size),
            Framing::Dots => flight.chunk_left = size,
        }
    }

    /// Begins the next BDAT of the message, of which `left` octets are still to come.
    pub(super) fn begin_chunk(&mut self, left: u64) {
        let octets = self.chunk_octets().min(left);
        let last = if octets == left { " LAST\r\n" } else { "\r\n" };
        self.pipeline.put(&["BDAT ", &octets.to_string(), last]);
        if let Some(flight) = self.flights.back_mut() {
            flight.chunk_left = octets;
        }
    }

    fn chunk_octets(&self) -> u64 {
        self.config.chunk_octets.map_or(u64::MAX, |octets| octets.max(1))
    }

    /// How many BDAT come before the last one of a message.
    fn chunks_before_the_last(&self, size: u64) -> usize {
        let further = size.saturating_sub(1) / self.chunk_octets();
        usize::try_from(further).unwrap_or(usize::MAX / 2)
    }

    pub(super) fn content_complete(&mut self) {
        if let Some(flight) = self.flights.back_mut() {
            flight.stage = Progress::Complete;
            flight.commit = Commit::Buffered;
        }
    }

    /// The content that is being supplied cannot be sent. While nothing of it has left, its group is taken back and the
    /// others go on; else only closing the connection keeps the server from taking half of it.
    pub(super) fn drop_content(&mut self, error: ContentError) {
        let chunking = self.chunking();
        let Some(flight) = self.flights.pop_back() else { return };
        self.in_flight -= flight.weight;
        let whole = chunking && !flight.content_written;
        if whole {
            self.pipeline.rewind(flight.mark);
            self.dirty = true;
        }
        self.settled
            .push_back(flight.settle(Outcome::NotSent(NotSent::Content(error.clone()))));
        if !whole {
            self.end(CloseReason::Content(error));
        }
    }

    pub(super) fn handle_transaction_reply(&mut self, place: Place, reply: Reply) {
        let Place { expect, .. } = place;
        // Of a message that nobody gets, a refusal at its end says nothing new.
        let is_doomed = matches!(expect, Expect::Chunk | Expect::Content)
            && self.flights.front().is_some_and(|flight| flight.doom().is_some());
        let doubts = self.chunking() && (reply.is_positive() || !is_doomed);
        let is_proof = self.alignment.weigh(place, &reply, doubts);
        // A 354, or a refusal where it could be, has its own place too.
        if is_proof || expect == Expect::Data && !reply.is_positive() {
            self.release();
        }
        match expect {
            Expect::Sender => self.handle_sender_reply(reply),
            Expect::Recipient => self.handle_recipient_reply(reply),
            Expect::Data => self.handle_data_reply(reply),
            Expect::Reset => self.handle_reset_reply(reply),
            Expect::Chunk => self.handle_chunk_reply(reply),
            _ => self.handle_content_reply(expect, reply),
        }
    }

    /// Once everything is answered that was written, asks what no other reply can answer. The server clears a transaction
    /// then as at RSET (RFC 5321, section 4.1.4).
    fn put_fence(&mut self) {
        if self.pipeline.owed() > 0 || self.pipeline.len() > 0 {
            return;
        }
        // It waits for what its recipients were answered, which is doubtful too. Nothing of its content was written.
        while let Some(flight) = self.flights.pop_back() {
            debug_assert!(flight.commit == Commit::No, "what was sent to its end is answered");
            self.in_flight -= flight.weight;
            self.queue.push_front(flight.transaction);
        }
        self.pipeline.put(&["EHLO ", self.config.client_name.as_str(), "\r\n"]);
        self.pipeline.expect(Expect::Fence);
    }

    /// Decides whether the hints were the server's choice of words.
    pub(super) fn handle_fence_reply(&mut self, reply: &Reply) {
        let Some((sign, is_vague)) = self.alignment.decide() else {
            return;
        };
        let again = Capabilities::from_ehlo(reply);
        if !reply.is_positive() || !again.pipelining || !again.chunking {
            return self.end(CloseReason::OutOfStep(sign));
        }
        self.dirty = false;
        // Codes that do not tell commands apart are none to rely on: from here on a 354 has to.
        self.capabilities.enhanced_status_codes &= !is_vague;
        self.release();
    }

    fn handle_reset_reply(&mut self, reply: Reply) {
        match reply.class() {
            Class::Positive => {}
            Class::Intermediate => self.misplaced(Stage::Reset, reply),
            Class::Transient | Class::Permanent => self.end(CloseReason::Refused {
                stage: Stage::Reset,
                reply,
            }),
        }
    }

    fn handle_sender_reply(&mut self, reply: Reply) {
        let Some(flight) = self.flights.front_mut() else { return };
        match reply.class() {
            Class::Intermediate => return self.misplaced(Stage::Sender, reply),
            Class::Positive => flight.sender = Sender::Accepted,
            Class::Transient | Class::Permanent => flight.sender = Sender::Refused(reply),
        }
        self.settle_if_decided();
    }

    fn handle_recipient_reply(&mut self, reply: Reply) {
        let Some(flight) = self.flights.front_mut() else { return };
        let refused = matches!(flight.sender, Sender::Refused(_));
        let verdict = match reply.class() {
            Class::Intermediate => return self.misplaced(Stage::Recipient, reply),
            // There is another transaction than ours on the server's side.
            Class::Positive if refused => return self.misplaced(Stage::Recipient, reply),
            Class::Positive => {
                flight.accepted += 1;
                Verdict::Accepted
            }
            // It says nothing about the recipient.
            _ if refused => Verdict::Unanswered,
            _ if flight.accepted > 0 && is_too_many(&reply) => Verdict::Deferred(reply),
            _ => Verdict::Rejected(reply),
        };
        flight.verdicts.push(verdict);
        self.settle_if_decided();
    }

    /// Where the replies to RCPT are waited for: settles the transaction when it is not to go on.
    fn settle_if_decided(&mut self) {
        let send_partial = self.config.send_partial;
        let chunking = self.chunking();
        let Some(flight) = self.flights.front_mut() else { return };
        match flight.stage {
            Progress::Commands => {
                if let (true, Some(Verdict::Deferred(reply))) = (send_partial, flight.verdicts.last()) {
                    let rest = Verdict::Deferred(reply.clone());
                    flight.verdicts.resize(flight.transaction.recipients.len(), rest);
                }
            }
            Progress::Verdicts if flight.is_answered() => {}
            _ => return,
        }
        let refused = match flight.doom() {
            Some(refused) => Some(refused),
            None if send_partial => None,
            None => flight.first_rejection().map(|reply| Outcome::Refused {
                reply: reply.clone(),
                stage: Stage::Recipient,
            }),
        };
        match (refused, &flight.stage) {
            (Some(refused), _) => self.settle_front(refused, true),
            (None, Progress::Verdicts) if chunking => flight.stage = Progress::Cleared,
            (None, Progress::Verdicts) => flight.stage = Progress::NeedData,
            (None, _) => {}
        }
    }

    fn handle_data_reply(&mut self, reply: Reply) {
        let Some(flight) = self.flights.front_mut() else { return };
        match reply.class() {
            Class::Positive => self.misplaced(Stage::Data, reply),
            Class::Intermediate if flight.accepted > 0 => flight.stage = Progress::Cleared,
            Class::Intermediate => flight.stage = Progress::NeedDot,
            Class::Transient | Class::Permanent => {
                let refused = flight.doom().unwrap_or(Outcome::Refused {
                    reply,
                    stage: Stage::Data,
                });
                self.settle_front(refused, true);
            }
        }
    }

    fn handle_chunk_reply(&mut self, reply: Reply) {
        let Some(flight) = self.flights.front_mut() else { return };
        match (reply.class(), flight.doom()) {
            (Class::Intermediate, _) | (Class::Positive, Some(_)) => self.misplaced(Stage::Content, reply),
            (Class::Positive, None) | (_, Some(_)) => {}
            (Class::Transient | Class::Permanent, None) => flight.chunk_refused = Some(reply),
        }
    }

    fn handle_content_reply(&mut self, expect: Expect, reply: Reply) {
        let chunking = self.chunking();
        let Some(flight) = self.flights.front() else { return };
        let doom = flight.doom();
        match (reply.class(), doom) {
            (Class::Intermediate, _) => self.misplaced(Stage::Content, reply),
            (_, Some(refused)) if expect == Expect::Lone => self.settle_front(refused, true),
            (Class::Positive, Some(_)) => self.misplaced(Stage::Content, reply),
            (Class::Positive, None) => self.settle_front(Outcome::Accepted { reply }, false),
            (_, Some(refused)) => self.settle_front(refused, chunking),
            (_, None) => self.settle_front(
                Outcome::Refused {
                    reply,
                    stage: Stage::Content,
                },
                chunking,
            ),
        }
    }

    /// Settles the first transaction; `remains` when the server may still hold something of it. A transaction that was
    /// begun behind it has seen to that itself.
    fn settle_front(&mut self, outcome: Outcome, remains: bool) {
        if let Some(flight) = self.flights.pop_front() {
            self.in_flight -= flight.weight;
            self.dirty |= remains && self.flights.is_empty();
            let sent = flight.commit == Commit::Written;
            self.answered += u32::from(sent);
            self.held.push(Held {
                settled: flight.settle(outcome),
                sent,
            });
        }
    }
}

/// Too many recipients for one transaction: `452`, unless its enhanced code says something else (RFC 5321, section
/// 4.5.3.1.10).
fn is_too_many(reply: &Reply) -> bool {
    reply.code() == 452
        && reply
            .enhanced()
            .is_none_or(|code| (code.subject, code.detail) == (5, 3))
}
