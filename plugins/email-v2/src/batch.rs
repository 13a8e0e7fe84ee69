//! A batch of calls over as few connections as possible.
//!
//! The protocol's state machine says what to do; this loop does it, through the host. When a connection ends, another
//! one follows only where that is safe and useful: after messages went through the first one, when it came from the
//! pool and was dead, or when the server lost step. In the last case the next connection uses the plain dialogue.

use std::collections::VecDeque;

use pipepost_sdk::outcomes::InDoubt;
use pipepost_sdk::{AccountView, Call, FailureKind as ContractKind};
use pipepost_smtp::{
    Action, Class, Client, CloseReason, DsnRequest, Id, NotSent, Outcome as SmtpOutcome, Settled, Stage,
};

use crate::account::Account;
use crate::connection_limit::ConnectionLimit;
use crate::failure::{Failure, FailureKind};
use crate::message::{self, MessageSeed};
use crate::numbers::{NumberMap, NumberSet};
use crate::outbound_message::{OutboundMessage, PartEnd, Transaction};
use crate::parameters::{Memo, Parameters};
use crate::remainder::Remainder;
use crate::replies::{self, Breach, Verdict};
use crate::settings::Settings;
use crate::world::{Connection as _, Facts, HostApi, Part, Stop, TransportError};

/// A warm connection is tried with RSET before a message is trusted to it when it lay longer than this.
const PROBE_AFTER: u64 = 20_000;

/// Transactions that are made while the server works. A server without CHUNKING gets a message at a time, and would wait
/// for each to be made.
const AHEAD: usize = 8;

/// The same where claims are made ahead, too: as many as one lost connection may make uncertain by default.
const AHEAD_WITH_CLAIMS: usize = 16;

/// Octets of messages that are made while earlier batches have the connection.
const MADE_AHEAD: usize = 2 << 20;

/// How often a transaction goes to another connection because a server asks for one.
const MOVES_MAX: u32 = 2;

/// How much one read takes.
const READ: u32 = 64 * 1024;

/// Sends every call's message, and settles each call once.
pub fn send<H: HostApi>(host: &mut H, account: Option<&AccountView>, calls: Vec<Call>) {
    let settings = match Settings::from_view(account) {
        Ok(settings) => settings,
        Err(failure) => {
            let failed = Verdict::from(failure).into_failure(None, None);
            for call in calls {
                host.settled(call.id, Err(&failed));
            }
            return;
        }
    };
    let mut batch = Batch {
        host,
        account: account.map(Account::from_view).unwrap_or_default(),
        limit: ConnectionLimit::stated(settings.messages_per_connection),
        settings,
        calls: calls.into(),
        messages: NumberMap::default(),
        next_message: 0,
        transactions: VecDeque::new(),
        eight_bit: NumberMap::default(),
        has_told_of_dsn: false,
        memo: Memo::default(),
        claims_ahead: false,
    };
    batch.claims_ahead = batch.host.room_ahead() > 0;
    batch.run();
}

struct Batch<'w, H: HostApi> {
    host: &'w mut H,
    account: Account,
    settings: Settings,
    /// How many messages a connection may carry.
    limit: ConnectionLimit,
    /// Not looked at yet: messages are made when they can travel, so that few are in memory at once.
    calls: VecDeque<Call>,
    messages: NumberMap<usize, OutboundMessage>,
    next_message: usize,
    /// Transactions that are ready to travel.
    transactions: VecDeque<Transaction>,
    /// The calls of messages whose texts are in 8 bits, to make them anew for a server that takes 7 alone.
    eight_bit: NumberMap<usize, Call>,
    /// That the server offers no DSN is told once.
    has_told_of_dsn: bool,
    /// What the calls have in common.
    memo: Memo,
    /// The host's ledger waits for a disk: claims are made while the server works.
    claims_ahead: bool,
}

/// What is known when a connection is over.
struct Over {
    ending: CloseReason,
    wire: Option<Breach>,
    /// A transaction was settled over it by the server's word.
    progress: bool,
    warm: bool,
    /// The server wanted another connection for what was left.
    is_worn: bool,
    /// Messages that the server has answered on the connection, those of earlier batches included.
    answered: u32,
}

impl Over {
    /// Whether the server took no message over a connection that it had just got, and may take some over another.
    fn is_turned_away(&self) -> bool {
        let (CloseReason::Refused {
            stage: Stage::Greeting,
            reply,
        }
        | CloseReason::Closing {
            stage: Stage::Greeting | Stage::SignIn,
            reply,
        }
        | CloseReason::SignInRefused { reply: Some(reply), .. }) = &self.ending
        else {
            return false;
        };
        !self.warm && !self.progress && reply.class() == Class::Transient
    }

    /// Whether the server closed the connection where a transaction begins, with a 421. It speaks of this connection, so
    /// the message may pass over another.
    fn is_closed_at_a_transaction(&self) -> bool {
        matches!(
            self.ending,
            CloseReason::Closing {
                stage: Stage::Sender | Stage::Recipient | Stage::Data,
                ..
            }
        )
    }

    /// Whether the server closed the connection, in the middle of its work.
    fn is_by_the_server(&self) -> bool {
        let is_closed = match &self.ending {
            CloseReason::Closing { .. } => true,
            CloseReason::Finished => self.is_worn,
            CloseReason::Lost(_) => matches!(
                self.wire.as_ref().map(|breach| &breach.error),
                Some(TransportError::Closed | TransportError::Io(_))
            ),
            _ => false,
        };
        is_closed && self.progress
    }
}

impl<H: HostApi> Batch<'_, H> {
    fn run(&mut self) {
        let mut plain = false;
        let mut has_moved = false;
        while self.fill() {
            self.make_ahead();
            let over = match self.converse(plain) {
                Ok(None) => return,
                Ok(Some(over)) => over,
                Err(failure) => return self.fail_all(&failure),
            };
            if over.is_by_the_server() {
                self.limit.note(over.answered);
            }
            // One connection too many: where others live, the messages wait for one of them.
            if over.is_turned_away() && !self.host.connection_available() {
                continue;
            }
            let ends_run = matches!(&over.wire, Some(breach) if breach.error == TransportError::Ending);
            let lost_step = over.ending.advises_plain_dialogue() && !plain;
            plain |= over.ending.advises_plain_dialogue();
            let verdict = || replies::of_close(&self.settings.server(), &over.ending, over.wire.as_ref());
            // Once, where it may help: a quota is the same over every connection.
            let moves =
                !has_moved && over.is_closed_at_a_transaction() && verdict().failure.kind == FailureKind::Transient;
            has_moved |= moves;
            if ends_run || !(over.progress || over.warm || lost_step || moves) {
                let verdict = verdict();
                return self.fail_all(&verdict);
            }
        }
    }

    /// Makes sure that there is a transaction, if anything is left to do.
    fn fill(&mut self) -> bool {
        while self.transactions.is_empty() {
            let Some(call) = self.calls.pop_front() else {
                return false;
            };
            self.prepare(&call);
        }
        true
    }

    /// Makes one more message while there is nothing to do but wait for the server; two as long as too few are ready to be
    /// claimed together.
    fn work_ahead(&mut self) {
        let (most, count) = match self.claims_ahead {
            true => (AHEAD_WITH_CLAIMS, 2),
            false => (AHEAD, 1),
        };
        for _ in 0..count {
            if self.transactions.len() < most
                && let Some(call) = self.calls.pop_front()
            {
                self.prepare(&call);
            }
        }
    }

    /// Makes messages while there is no connection for them.
    fn make_ahead(&mut self) {
        let mut made: usize = self
            .messages
            .values()
            .map(|message| message.prepared.content.held())
            .sum();
        while made < MADE_AHEAD && !self.calls.is_empty() && !self.host.connection_available() {
            let first = self.next_message;
            if let Some(call) = self.calls.pop_front() {
                self.prepare(&call);
            }
            made += self
                .messages
                .get(&first)
                .map_or(0, |message| message.prepared.content.held());
        }
    }

    /// Makes a call's message, or settles the call when it cannot be made.
    fn prepare(&mut self, call: &Call) {
        let made =
            Parameters::parse_next(&call.parameters, Some(&self.account), &mut self.memo).and_then(|parameters| {
                let seed = MessageSeed {
                    key: &call.key,
                    now: self.host.now(),
                    seed: self.host.random(),
                };
                let prepared = message::prepare(&parameters, &seed, self.host.files(call.id).as_mut())?;
                let is_turned_off = prepared.utf8 && !self.settings.allows_utf8();
                let sender = prepared.envelope.sender.as_ref();
                if is_turned_off && (prepared.utf8_headers || sender.is_some_and(|sender| sender.needs_smtputf8())) {
                    return Err(Failure::new(
                        FailureKind::Invalid,
                        "The message needs SMTPUTF8, which the account turns off (`mail.smtp.allowutf8`).",
                    ));
                }
                let remainder = call.remainder.as_deref().map(Remainder::parse).transpose()?;
                let mut message = OutboundMessage::new(call.id, prepared, remainder);
                let mut transactions = message.transactions(self.next_message, self.settings.recipients)?;
                if is_turned_off {
                    transactions = message.without_beyond_ascii(transactions)?;
                }
                Ok((message, transactions))
            });
        match made {
            Ok((message, transactions)) => {
                for warning in &message.prepared.warnings {
                    self.host.warn(call.id, warning);
                }
                if message.prepared.eight_bit && !message.prepared.utf8_headers {
                    self.eight_bit.insert(self.next_message, call.clone());
                }
                self.messages.insert(self.next_message, message);
                self.next_message += 1;
                self.transactions.extend(transactions);
            }
            Err(failure) => {
                let failed = Verdict::from(failure).into_failure(None, None);
                self.host.settled(call.id, Err(&failed));
            }
        }
    }

    /// Makes a message anew in 7 bits, for a server that does not offer 8BITMIME. Nothing of it was sent. So are those
    /// made that follow. Returns whether that is done.
    fn make_seven_bit(&mut self, number: usize) -> bool {
        let (Some(call), Some(message)) = (self.eight_bit.remove(&number), self.messages.get_mut(&number)) else {
            return false;
        };
        self.account.eight_bit_texts = false;
        let seed = MessageSeed {
            key: &call.key,
            now: message.prepared.date,
            seed: self.host.random(),
        };
        let made = Parameters::parse(&call.parameters, Some(&self.account))
            .and_then(|parameters| message::prepare(&parameters, &seed, self.host.files(call.id).as_mut()));
        match made {
            Ok(prepared) => {
                message.prepared = prepared;
                true
            }
            Err(_) => false,
        }
    }

    /// Says once that no notification was asked for.
    fn tell_of_dsn(&mut self, call: u32, asked: &DsnRequest) {
        if !std::mem::replace(&mut self.has_told_of_dsn, true) {
            let warning = format!(
                "the server `{}` does not offer DSN, so the notifications asked for ({asked}) are not asked of it; \
                 messages go without them",
                self.settings.host
            );
            self.host.warn(call, &warning);
        }
    }

    /// One connection, until there is nothing more to do or it ends.
    fn converse(&mut self, plain: bool) -> Result<Option<Over>, Verdict> {
        let wire = self
            .host
            .open(&self.settings.host, self.settings.port, self.settings.security)
            .map_err(|error| replies::of_wire(&self.settings.server(), &error.into()))?;
        let facts = wire.facts();
        let config = self
            .settings
            .config(&facts.client_name, plain, self.limit)
            .map_err(Verdict::from)?;
        let client = if facts.warm {
            Client::resume(config, &wire.resume_state(), facts.idle_ms > PROBE_AFTER)
        } else {
            Client::new(config)
        };
        Conversation {
            batch: self,
            client,
            travelling: NumberMap::default(),
            announced: NumberSet::default(),
            withheld: NumberMap::default(),
            next_id: 0,
            progress: false,
            is_worn: false,
        }
        .run(wire, &facts)
    }

    fn settle_if_over(&mut self, number: usize) {
        if self.messages.get(&number).is_some_and(OutboundMessage::is_over)
            && let Some(message) = self.messages.remove(&number)
        {
            self.eight_bit.remove(&number);
            let call = message.call;
            settle(self.host, call, &message.outcome());
        }
    }

    /// Everything that is left fails alike.
    fn fail_all(&mut self, failure: &Verdict) {
        for transaction in std::mem::take(&mut self.transactions) {
            if let Some(message) = self.messages.get_mut(&transaction.message) {
                message.fail(&transaction, failure);
            }
            self.settle_if_over(transaction.message);
        }
        while let Some(call) = self.calls.pop_front() {
            // A message that could not have been made is told so all the same.
            self.prepare(&call);
            for transaction in std::mem::take(&mut self.transactions) {
                if let Some(message) = self.messages.get_mut(&transaction.message) {
                    message.fail(&transaction, failure);
                }
                self.settle_if_over(transaction.message);
            }
        }
    }
}

/// One connection's part of a batch.
struct Conversation<'b, 'w, H: HostApi> {
    batch: &'b mut Batch<'w, H>,
    client: Client,
    travelling: NumberMap<Id, Transaction>,
    /// Transactions that the host knows to be committing.
    announced: NumberSet<Id>,
    /// Why the host refused the announcement of these.
    withheld: NumberMap<Id, Stop>,
    next_id: u32,
    progress: bool,
    /// The server wants another connection.
    is_worn: bool,
}

impl<H: HostApi> Conversation<'_, '_, H> {
    fn run(mut self, wire: H::Connection, facts: &Facts) -> Result<Option<Over>, Verdict> {
        let mut failed: Option<Breach> = None;
        let mut scratch = Vec::new();
        loop {
            // Before anything further is announced: what was confirmed and not told yet would be in doubt after a crash, and
            // with it more messages than the window has.
            self.take_settled(failed.as_ref());
            self.submit();
            let done = match self.client.poll() {
                Action::Write {
                    bytes,
                    commits,
                    deadline,
                } => {
                    let ids: Vec<Id> = commits.to_vec();
                    match announce(self.batch.host, &mut self.batch.messages, &self.travelling, &ids) {
                        Err(stop) => {
                            self.withheld.extend(ids.into_iter().map(|id| (id, stop)));
                            self.client.withhold();
                            Ok(())
                        }
                        Ok(()) => {
                            wire.set_deadline(milliseconds(deadline));
                            let result = wire.write(bytes);
                            self.announced.extend(ids);
                            match result {
                                Ok(()) => {
                                    self.client.written();
                                    Ok(())
                                }
                                // What the server said before it went is still to be read.
                                Err(error @ (TransportError::Closed | TransportError::Io(_))) => {
                                    let awaited = self.client.waits_for();
                                    self.client.write_failed(&error.to_string());
                                    failed = Some(Breach { error, awaited });
                                    Ok(())
                                }
                                Err(error) => Err(error),
                            }
                        }
                    }
                }
                Action::Content { id, room, .. } => {
                    self.supply(id, room, &mut scratch);
                    Ok(())
                }
                Action::Read { deadline } => {
                    // The server is at work, and so is this: what was settled is told, and a message made.
                    self.take_settled(failed.as_ref());
                    self.claim_ahead();
                    self.batch.work_ahead();
                    if let Some(deadline) = deadline {
                        wire.set_deadline(milliseconds(deadline));
                    }
                    wire.read(READ).map(|bytes| self.client.handle_bytes(&bytes))
                }
                Action::StartTls { deadline } => {
                    wire.set_deadline(milliseconds(deadline));
                    wire.start_tls().map(|()| self.client.tls_started())
                }
                Action::SignIn { mechanism, deadline } => {
                    wire.set_deadline(milliseconds(deadline));
                    let mechanism = mechanism.to_owned();
                    wire.sign_in(&mechanism)
                        .map(|reply| self.client.signed_in(&reply, wire.facts().signed_in.is_some()))
                }
                Action::Ready => {
                    // What the server's limits forbid is settled without a word to it.
                    self.take_settled(None);
                    if self.batch.fill() {
                        continue;
                    }
                    if let Some(memo) = self.client.memo() {
                        wire.release(&memo, b"QUIT\r\n");
                    }
                    return Ok(None);
                }
                Action::Close(ending) => {
                    let ending = ending.clone();
                    // Told while it lives: the host counts what a connection carried.
                    self.take_settled(failed.as_ref());
                    drop(wire);
                    debug_assert!(
                        self.travelling.is_empty(),
                        "a closed connection has settled all that it was given"
                    );
                    let over = Over {
                        answered: self.client.answered(),
                        ending,
                        wire: failed,
                        progress: self.progress || self.is_worn,
                        is_worn: self.is_worn,
                        warm: facts.warm,
                    };
                    return if self.batch.fill() { Ok(Some(over)) } else { Ok(None) };
                }
            };
            if let Err(error) = done {
                let awaited = self.client.waits_for();
                self.client.connection_lost(&error.to_string());
                // How it broke first says more than how the rest of it did.
                failed.get_or_insert(Breach { error, awaited });
            }
        }
    }

    /// Lets as many transactions travel as the protocol has room for.
    fn submit(&mut self) {
        while self.client.wants_more() && self.batch.fill() {
            let Some(transaction) = self.batch.transactions.pop_front() else {
                return;
            };
            let Some(message) = self.batch.messages.get_mut(&transaction.message) else {
                continue;
            };
            message.prepared.content.rewind();
            let id = Id(self.next_id);
            self.next_id += 1;
            self.client
                .submit(message.as_smtp(id, &transaction, &self.batch.settings.dsn));
            self.travelling.insert(id, transaction);
        }
    }

    /// Claims the transactions that are announced next, in their order and several together, while the server works on an
    /// earlier one: so the host's disk works at the same time, and seldom.
    ///
    /// With CHUNKING one claim serves a group of messages as it is, and a group that waited for the claim of its last one would
    /// leave later.
    fn claim_ahead(&mut self) {
        if !self.batch.claims_ahead || self.client.may_end_several_at_once() {
            return;
        }
        let Batch {
            host,
            transactions,
            messages,
            settings,
            calls,
            ..
        } = &mut *self.batch;
        // One at most travels and is not announced yet: the next.
        let travelling = self.travelling.iter_mut();
        let next = travelling.filter(|(id, _)| !self.announced.contains(id));
        let mut ahead: Vec<&mut Transaction> = next.map(|(_, transaction)| transaction).collect();
        ahead.extend(transactions);
        let claimed = ahead.iter().filter(|transaction| transaction.is_claimed).count();
        let new = ahead.len() - claimed;
        let most = settings.uncertain_most();
        if new == 0 || claimed > most / 2 {
            return;
        }
        let room = host.room_ahead() as usize;
        // As long as something is claimed, more is waited for, unless there is no more.
        let is_too_few = room.min(new) < (most / 4).max(2) && !calls.is_empty();
        if room == 0 || (claimed > 0 && is_too_few) {
            return;
        }
        let (mut parts, mut in_doubt) = (Vec::new(), Vec::new());
        let unclaimed = ahead.into_iter().filter(|transaction| !transaction.is_claimed);
        for transaction in unclaimed.take(room) {
            let Some(message) = messages.get_mut(&transaction.message) else {
                continue;
            };
            transaction.is_claimed = true;
            parts.push(message.part(transaction));
            if let Some(output) = message.take_in_doubt() {
                let call = message.call;
                in_doubt.push(InDoubt { call, output });
            }
        }
        if !parts.is_empty() {
            host.claim_ahead(&parts, &in_doubt);
        }
    }

    fn supply(&mut self, id: Id, room: usize, scratch: &mut Vec<u8>) {
        let message = self
            .travelling
            .get(&id)
            .and_then(|transaction| self.batch.messages.get_mut(&transaction.message));
        let Some(message) = message else {
            return self.client.fail_content("its message is gone");
        };
        if let Some(bytes) = message.prepared.content.as_bytes() {
            return self.client.supply(bytes);
        }
        scratch.clear();
        match message.prepared.content.read_next(scratch, room) {
            Ok(_) => self.client.supply(scratch),
            Err(error) => self.client.fail_content(error.reason()),
        }
    }

    fn take_settled(&mut self, wire: Option<&Breach>) {
        while let Some(settled) = self.client.poll_settled() {
            let Some(mut transaction) = self.travelling.remove(&settled.id) else {
                debug_assert!(false, "{:?} was settled before", settled.id);
                continue;
            };
            let announced = self.announced.remove(&settled.id);
            // A claim ahead was for that announcement.
            transaction.is_claimed &= !announced;
            self.handle(transaction, settled, announced, wire);
        }
    }

    fn handle(&mut self, transaction: Transaction, settled: Settled, announced: bool, wire: Option<&Breach>) {
        // It may travel over another connection; whether there is one is not decided here.
        if let SmtpOutcome::NotSent(NotSent::Connection(ending)) = &settled.outcome {
            match (announced, ending.reply()) {
                (false, _) => return self.batch.transactions.push_front(transaction),
                // A 421 speaks for everything that it found unanswered: the server has done none of it.
                (true, Some(reply)) => {
                    if let Some(message) = self.batch.messages.get_mut(&transaction.message) {
                        message.forget_in_doubt();
                        self.batch.host.refused(message.part(&transaction), &reply.verbatim());
                    }
                    return self.batch.transactions.push_front(transaction);
                }
                (true, None) => {}
            }
        }
        if matches!(settled.outcome, SmtpOutcome::NotSent(NotSent::NeedsEightBitMime))
            && self.batch.make_seven_bit(transaction.message)
        {
            return self.batch.transactions.push_front(transaction);
        }
        if let SmtpOutcome::Refused { reply, stage } = &settled.outcome
            && transaction.moves < MOVES_MAX
            && replies::asks_for_another_connection(&self.batch.settings.server(), reply, *stage)
        {
            if let Some(message) = self.batch.messages.get_mut(&transaction.message)
                && announced
            {
                message.forget_in_doubt();
                self.batch.host.refused(message.part(&transaction), &reply.verbatim());
            }
            let mut moved = transaction;
            moved.moves += 1;
            self.is_worn = true;
            self.batch.transactions.push_front(moved);
            return self.client.quit();
        }
        let number = transaction.message;
        let Some(message) = self.batch.messages.get_mut(&number) else {
            return;
        };
        self.progress |= matches!(
            settled.outcome,
            SmtpOutcome::Accepted { .. } | SmtpOutcome::Refused { .. }
        );
        let part = message.part(&transaction);
        let asked = message.dsn(&self.batch.settings.dsn);
        if matches!(settled.outcome, SmtpOutcome::Accepted { .. })
            && !asked.is_empty()
            && !self.client.capabilities().dsn
        {
            self.batch.tell_of_dsn(part.call, &asked);
        }
        let Some(message) = self.batch.messages.get_mut(&number) else {
            return;
        };
        let stop = self.withheld.remove(&settled.id);
        let consequence = message.note(&self.batch.settings.server(), &transaction, settled, stop, wire);
        match consequence.part {
            // Once the whole message is over, the host is told with the output what it has to remember of it.
            PartEnd::Confirmed if message.is_over() => {
                self.batch.eight_bit.remove(&number);
                if let Some(message) = self.batch.messages.remove(&number) {
                    let (output, outcome) = said_once(message.outcome());
                    self.batch.host.confirmed(part, output.as_deref());
                    settle(self.batch.host, part.call, &outcome);
                }
            }
            PartEnd::Confirmed => self.batch.host.confirmed(part, None),
            PartEnd::Refused(evidence) if announced => self.batch.host.refused(part, &evidence),
            PartEnd::Refused(_) | PartEnd::Open => {}
        }
        if let Some(further) = consequence.further {
            self.batch.transactions.push_back(further);
        }
        self.batch.settle_if_over(number);
    }
}

/// How a message ended, as the contract says it.
type Outcome = Result<Option<String>, pipepost_sdk::Failure>;

/// Takes the output of a message that somebody gets, and of which nothing is uncertain, out of its outcome: it is said with
/// the confirmation, and need not be said again.
fn said_once(outcome: Outcome) -> (Option<String>, Outcome) {
    match outcome {
        Ok(output) => (output, Ok(None)),
        Err(mut failed) if failed.kind != ContractKind::Uncertain => (failed.output.take(), Err(failed)),
        Err(failed) => (None, Err(failed)),
    }
}

fn settle<H: HostApi>(host: &mut H, call: u32, outcome: &Outcome) {
    host.settled(call, outcome.as_ref().map(Option::as_deref));
}

/// Announces what the next write commits. With the first announcement of a message, and the first after a refusal, goes what
/// is to be told of it should nobody learn how it ends.
fn announce<H: HostApi>(
    host: &mut H,
    messages: &mut NumberMap<usize, OutboundMessage>,
    travelling: &NumberMap<Id, Transaction>,
    commits: &[Id],
) -> Result<(), Stop> {
    let mut parts: Vec<Part> = Vec::with_capacity(commits.len());
    let mut in_doubt = Vec::new();
    let mut told = Vec::new();
    for transaction in commits.iter().filter_map(|id| travelling.get(id)) {
        let Some(message) = messages.get_mut(&transaction.message) else {
            continue;
        };
        parts.push(message.part(transaction));
        if let Some(output) = message.take_in_doubt() {
            let call = message.call;
            in_doubt.push(InDoubt { call, output });
            told.push(transaction.message);
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    let answer = host.committing(&parts, &in_doubt);
    if answer.is_err() {
        for number in told {
            if let Some(message) = messages.get_mut(&number) {
                message.forget_in_doubt();
            }
        }
    }
    answer
}

fn milliseconds(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
