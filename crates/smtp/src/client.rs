//! The state machine: what to write, when to read, and how each transaction ended.

mod alignment;
mod dialogue;
mod flight;
mod pipeline;
mod session;

use std::collections::VecDeque;
use std::time::Duration;

use alignment::Alignment;
use flight::{Commit, Flight};
use pipeline::{Expect, Pipeline};
use session::{Memo, Phase};

use crate::capabilities::Capabilities;
use crate::config::{Config, Security};
use crate::content::{ContentError, ContentWriter};
use crate::outcome::{CloseReason, Id, NotSent, OutOfStep, Outcome, Settled, Stage, Transaction, Verdict};
use crate::reply::{Reply, ReplyParser};

/// The conversation over one connection.
///
/// The order of calls: first [`new`](Self::new) or [`resume`](Self::resume). Call [`submit`](Self::submit) whenever
/// there is something to send. Then alternate: call [`poll_settled`](Self::poll_settled) until it returns none, then
/// call [`poll`](Self::poll), and make the one call that the returned [`Action`] names. A second poll before that call
/// returns the same action again. Call [`connection_lost`](Self::connection_lost) for every action that the transport
/// could not perform. A call that does not respond to the current action has no effect.
#[derive(Debug)]
pub struct Client {
    config: Config,
    phase: Phase,
    parser: ReplyParser,
    capabilities: Capabilities,
    /// TLS is there, or was never wanted.
    secured: bool,
    signed_in: bool,
    quitting: bool,
    /// The server may hold the remains of a transaction: RSET comes before the next MAIL.
    dirty: bool,
    pipeline: Pipeline,
    queue: VecDeque<Transaction>,
    /// Transactions that were begun and not settled, in the order of their commands, which is that of their replies. So
    /// every reply to a transaction belongs to the first of them.
    flights: VecDeque<Flight>,
    /// The sum of their weights.
    in_flight: u64,
    /// The window fills until it is full, then drains to its half, so that writes and announcements stay few.
    filling: bool,
    settled: VecDeque<Settled>,
    /// Outcomes that the replies behind them may still put in doubt.
    held: Vec<Held>,
    alignment: Alignment,
    /// Transactions begun on this connection, by this client and those before it.
    begun: u32,
    /// Those of them that the server has answered to their end.
    answered: u32,
    /// Why nothing more can be written. What the server said before that is still read.
    broken: Option<String>,
}

/// An outcome that waits for a sign that no reply was lost or doubled before it.
#[derive(Debug)]
struct Held {
    settled: Settled,
    /// The last byte of the transaction was written, so the server may have taken it.
    sent: bool,
}

/// What the owner of the connection does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Announce `commits` if there are any, write `bytes` within `deadline`, then call [`Client::written`]. If the
    /// announcement is refused, write nothing and call [`Client::withhold`].
    Write {
        /// The bytes to write, all of them.
        bytes: &'a [u8],
        /// The transactions that end with these bytes. Once the bytes are written, the server may take those messages.
        commits: &'a [Id],
        /// The maximum time that this write may take.
        deadline: Duration,
    },
    /// Call [`Client::supply`] with the next octets of this transaction's content, or [`Client::fail_content`].
    Content {
        /// The transaction whose content is wanted.
        id: Id,
        /// The number of octets that are still to come.
        left: u64,
        /// The recommended number of octets for one piece. A larger piece is accepted and copied into memory whole;
        /// smaller pieces need more calls.
        room: usize,
    },
    /// Read at least one byte and call [`Client::handle_bytes`].
    Read {
        /// The new deadline, counted from now. None: the deadline of the last read continues, however many bytes
        /// arrived slowly.
        deadline: Option<Duration>,
    },
    /// Start TLS (RFC 3207), then call [`Client::tls_started`].
    StartTls {
        /// The maximum time that the handshake may take.
        deadline: Duration,
    },
    /// Sign in with this mechanism, then call [`Client::signed_in`].
    SignIn {
        /// The name of the mechanism: the server offers it and the configuration allows it.
        mechanism: &'a str,
        /// The maximum time that the exchange may take.
        deadline: Duration,
    },
    /// Nothing is outstanding: submit more, or release the connection with [`Client::memo`], or call [`Client::quit`].
    Ready,
    /// Close the connection and drop the client. Every transaction is settled.
    Close(&'a CloseReason),
}

/// An action without what it borrows.
enum Next {
    Write,
    Content { id: Id, left: u64 },
    Read,
    Ready,
}

/// A write is not held back for more once it has this many bytes.
const FLUSH: usize = 64 * 1024;

impl Client {
    /// Creates a client for a fresh connection, on which the server speaks first.
    pub fn new(config: Config) -> Self {
        let mut client = Self::with(config, Phase::Greeting);
        client.pipeline.expect_unasked(Expect::Greeting);
        client
    }

    /// Creates a client for a connection that another client released with `memo`, after its greeting, its TLS
    /// handshake and its sign-in.
    ///
    /// The memo is not trusted: if it is not valid it is ignored, and EHLO is sent again. With `probe` the client first
    /// tries the connection with RSET. Use this after a long idle time, so that a message cannot be lost in a dead
    /// connection.
    pub fn resume(config: Config, memo: &[u8], probe: bool) -> Self {
        let mut client = Self::with(config, Phase::Ready);
        (client.secured, client.signed_in) = (true, true);
        match session::read_memo(memo) {
            Some(Memo {
                capabilities,
                dirty,
                carried,
            }) => {
                (client.capabilities, client.dirty) = (capabilities, dirty);
                (client.begun, client.answered) = (carried, carried);
                if probe {
                    client.probe();
                }
            }
            None => client.say_hello(),
        }
        client
    }

    fn with(config: Config, phase: Phase) -> Self {
        let secured = config.security != Security::StartTls;
        Self {
            config,
            phase,
            parser: ReplyParser::new(),
            capabilities: Capabilities::default(),
            secured,
            signed_in: false,
            quitting: false,
            dirty: false,
            pipeline: Pipeline::default(),
            queue: VecDeque::new(),
            flights: VecDeque::new(),
            in_flight: 0,
            filling: true,
            settled: VecDeque::new(),
            held: Vec::new(),
            alignment: Alignment::default(),
            begun: 0,
            answered: 0,
            broken: None,
        }
    }

    /// Queues a transaction. It is settled exactly once, whatever happens.
    pub fn submit(&mut self, transaction: Transaction) {
        match &self.phase {
            Phase::Closed(ending) => {
                let why = NotSent::Connection(ending.clone());
                self.settle_unsent(transaction, why);
            }
            _ => self.queue.push_back(transaction),
        }
    }

    /// Checks whether a transaction submitted now is sent with the next write. Before each [`poll`](Self::poll), submit
    /// until this is false or nothing more is to be sent.
    pub fn wants_more(&self) -> bool {
        let room = match self.phase {
            Phase::Closed(_) | Phase::Quitting => false,
            Phase::Ready => self.has_room(),
            _ => true,
        };
        room && self.queue.is_empty()
            && !self.quitting
            && !self.is_full()
            && self.broken.is_none()
            && !self.alignment.is_doubted()
    }

    /// Returns what to do next.
    pub fn poll(&mut self) -> Action<'_> {
        self.check_counters();
        let next = match self.phase {
            Phase::Closed(_) | Phase::Handshake | Phase::SignIn(_) => Next::Ready,
            _ => self.advance(),
        };
        match (next, &self.phase) {
            (_, Phase::Closed(ending)) => Action::Close(ending),
            (_, Phase::Handshake) => Action::StartTls {
                deadline: self.config.timeouts.command,
            },
            (_, Phase::SignIn(mechanism)) => Action::SignIn {
                mechanism,
                deadline: self.config.timeouts.command,
            },
            (Next::Write, _) => {
                let (bytes, commits) = self.pipeline.hand_out();
                Action::Write {
                    bytes,
                    commits,
                    deadline: self.config.timeouts.block,
                }
            }
            (Next::Content { id, left }, _) => Action::Content {
                id,
                left,
                room: FLUSH.saturating_sub(self.pipeline.len()).max(FLUSH / 16),
            },
            (Next::Read, _) => Action::Read {
                deadline: self.pipeline.wait(&self.config.timeouts),
            },
            (Next::Ready, _) => Action::Ready,
        }
    }

    /// Returns the next transaction that has ended.
    pub fn poll_settled(&mut self) -> Option<Settled> {
        self.settled.pop_front()
    }

    /// Responds to [`Action::Write`]: all bytes were written.
    pub fn written(&mut self) {
        if !self.pipeline.is_handed() {
            return;
        }
        self.pipeline.written();
        self.flights.iter_mut().for_each(Flight::written);
        if self.phase == Phase::Quitting {
            self.end(CloseReason::Finished);
        }
    }

    /// Responds to [`Action::Write`]: the transport failed with `reason` before all bytes were written. How many bytes
    /// arrived is not known.
    ///
    /// A server that closes a connection often says why, and replies to what it has taken, before the write fails. So
    /// reads follow, until there is nothing more to read ([`connection_lost`](Self::connection_lost)) or every reply
    /// has arrived. Nothing more is written. Where a read could block, as after a time-out, call
    /// [`connection_lost`](Self::connection_lost) at once.
    pub fn write_failed(&mut self, reason: &str) {
        if !self.pipeline.is_handed() || matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.broken = Some(reason.to_owned());
        self.written();
        self.end_if_broken();
    }

    /// Responds to [`Action::Write`] with commits: the announcement was refused, and nothing was written.
    ///
    /// All announced transactions end unsent. The connection stays open unless it is in the middle of a message: after
    /// a 354, or after a part of a chunk, it can only be closed.
    pub fn withhold(&mut self) {
        if !self.pipeline.is_handed() || self.pipeline.commits().is_empty() {
            return;
        }
        let chunking = self.chunking();
        let mut cut = false;
        let mut kept = VecDeque::with_capacity(self.flights.len());
        let mut unbegun = Vec::new();
        let mut taken_back = 0;
        for flight in std::mem::take(&mut self.flights) {
            if !flight.begun {
                taken_back += 1;
            }
            if flight.commit == Commit::Buffered {
                cut |= !chunking || flight.content_written;
                self.in_flight -= flight.weight;
                self.settled
                    .push_back(flight.settle(Outcome::NotSent(NotSent::Withheld)));
            } else if flight.begun {
                kept.push_back(flight);
            } else {
                self.in_flight -= flight.weight;
                unbegun.push(flight.transaction);
            }
        }
        self.begun -= taken_back;
        self.flights = kept;
        unbegun
            .into_iter()
            .rev()
            .for_each(|transaction| self.queue.push_front(transaction));
        self.pipeline.discard();
        self.dirty = true;
        if cut {
            self.end(CloseReason::Withheld);
        }
    }

    /// Responds to [`Action::Content`] with the next octets, at most as many as are left.
    ///
    /// A message that breaks a rule (see [`ContentError`]) ends unsent. If a part of it was already written, its
    /// connection ends too.
    pub fn supply(&mut self, piece: &[u8]) {
        if self.pipeline.is_handed() {
            return;
        }
        let mut rest = piece;
        while let Some(supplying) = supplying(&mut self.flights) {
            // More than is left goes to the writer, which refuses it.
            let most = if rest.len() as u64 > supplying.writer.left() {
                rest.len()
            } else {
                usize::try_from(*supplying.chunk_left).unwrap_or(usize::MAX)
            };
            let (now, later) = rest.split_at(rest.len().min(most));
            if let Err(error) = supplying.writer.write(now, self.pipeline.buffer()) {
                return self.drop_content(error);
            }
            *supplying.chunk_left = supplying.chunk_left.saturating_sub(now.len() as u64);
            let left = supplying.writer.left();
            if left == 0 {
                supplying.writer.finish(self.pipeline.buffer());
                self.pipeline.commit(supplying.id);
                return self.content_complete();
            }
            if *supplying.chunk_left == 0 {
                self.pipeline.expect(Expect::Chunk);
                self.begin_chunk(left);
            }
            if later.is_empty() {
                return;
            }
            rest = later;
        }
    }

    /// Responds to [`Action::Content`]: the rest of the content is not available, for `reason`.
    pub fn fail_content(&mut self, reason: &str) {
        if !self.pipeline.is_handed() && supplying(&mut self.flights).is_some() {
            self.drop_content(ContentError::Unavailable(reason.to_owned()));
        }
    }

    /// Responds to [`Action::Read`] with the bytes that were received.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.parser.push(bytes);
        self.pipeline.received();
        let mut replies = Vec::new();
        let broken = loop {
            match self.parser.next_reply() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break None,
                Err(error) => break Some(CloseReason::OutOfStep(OutOfStep::Unparsable(error))),
            }
        };
        let clear = matches!(self.phase, Phase::StartTls | Phase::Handshake);
        if clear && replies.len() + usize::from(broken.is_some()) > 1 {
            return self.end(CloseReason::Injected);
        }
        if broken.is_none() && self.is_surplus(&replies) {
            return self.end(if clear {
                CloseReason::Injected
            } else {
                CloseReason::OutOfStep(OutOfStep::Unasked)
            });
        }
        replies.into_iter().for_each(|reply| self.handle_reply(reply));
        if let Some(ending) = broken {
            self.end(ending);
        } else if !self.pipeline.is_waiting() {
            if !self.alignment.is_doubted() {
                self.release();
            }
            self.end_if_broken();
        }
    }

    /// Ends the connection once nothing more can be written and nothing more is to be read.
    fn end_if_broken(&mut self) {
        if !self.pipeline.is_waiting()
            && let Some(reason) = self.broken.take()
        {
            self.end(CloseReason::Lost(reason));
        }
    }

    /// True when there is more than is owed. None of it can be relied on then, as nobody knows which reply is the one too
    /// many. An unasked 421 is a server's good right.
    fn is_surplus(&self, replies: &[Reply]) -> bool {
        let owed = self.pipeline.awaited();
        // What follows a 421 is the end of the connection, whatever it says.
        if replies.iter().take(owed).any(|reply| reply.code() == 421) {
            return false;
        }
        match replies.get(owed) {
            Some(reply) => reply.code() != 421,
            None => replies.len() == owed && !self.parser.is_empty(),
        }
    }

    /// Responds to [`Action::StartTls`]: the handshake is done. Everything learnt before it is forgotten.
    pub fn tls_started(&mut self) {
        if self.phase == Phase::Handshake {
            self.secured = true;
            self.capabilities = Capabilities::default();
            self.say_hello();
        }
    }

    /// Responds to [`Action::SignIn`] with the server's last reply, unchanged, and whether the sign-in succeeded.
    pub fn signed_in(&mut self, reply: &[u8], success: bool) {
        self.handle_sign_in(&String::from_utf8_lossy(reply), success);
    }

    /// Responds to any action: the transport failed, for `reason`. This settles every transaction. Transactions whose
    /// last part was handed out to be written are uncertain; the others are not sent.
    pub fn connection_lost(&mut self, reason: &str) {
        self.end(CloseReason::Lost(reason.to_owned()));
    }

    /// Returns what the server is to answer next; none while nothing is owed. When the transport fails because nothing
    /// comes, this says what was waited for, so ask before [`connection_lost`](Self::connection_lost).
    pub fn waits_for(&self) -> Option<Stage> {
        match self.phase {
            Phase::Handshake => Some(Stage::StartTls),
            Phase::SignIn(_) => Some(Stage::SignIn),
            _ => self.pipeline.next_expected().map(Expect::stage),
        }
    }

    /// Returns how many transactions the server has answered completely on this connection, including those before it
    /// was released. If the server then closes the connection, this number is the server's limit.
    pub fn answered(&self) -> u32 {
        self.answered
    }

    /// Checks whether several transactions may end in one write: with CHUNKING, and as long as it is not known whether the
    /// server offers that.
    pub fn may_end_several_at_once(&self) -> bool {
        self.config.send_partial && (self.phase != Phase::Ready || self.chunking())
    }

    /// True when the connection has carried as many transactions as it may.
    fn is_full(&self) -> bool {
        self.config
            .messages_per_connection
            .is_some_and(|most| self.begun >= most.max(1))
    }

    /// Closes the session in order, after everything that was submitted.
    pub fn quit(&mut self) {
        self.quitting = true;
    }

    /// Returns the server's capabilities, as far as they are known. They are empty before the reply to EHLO, and
    /// between STARTTLS and the next EHLO.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns what the next client on this connection needs to know ([`resume`](Self::resume)), at most 4 KiB. Returns
    /// none unless [`poll`](Self::poll) returns [`Action::Ready`], because the connection must not be released at any
    /// other time.
    pub fn memo(&self) -> Option<Vec<u8>> {
        let idle =
            self.phase == Phase::Ready && self.queue.is_empty() && self.flights.is_empty() && self.pipeline.is_idle();
        (idle && self.parser.is_empty()).then(|| session::write_memo(&self.capabilities, self.dirty, self.begun))
    }

    fn handle_reply(&mut self, reply: Reply) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let Some(place) = self.pipeline.answered() else {
            return self.end(match reply.code() {
                421 => CloseReason::Closing {
                    stage: Stage::Idle,
                    reply,
                },
                _ => CloseReason::OutOfStep(OutOfStep::Unasked),
            });
        };
        let expect = place.expect;
        if reply.code() == 421 {
            return self.end(CloseReason::Closing {
                stage: expect.stage(),
                reply,
            });
        }
        match expect {
            Expect::Greeting | Expect::Ehlo | Expect::Helo | Expect::StartTls | Expect::Probe => {
                self.handle_session_reply(expect, reply);
            }
            Expect::Fence => self.handle_fence_reply(&reply),
            Expect::Reset
            | Expect::Sender
            | Expect::Recipient
            | Expect::Data
            | Expect::Lone
            | Expect::Chunk
            | Expect::Content => self.handle_transaction_reply(place, reply),
        }
    }

    fn misplaced(&mut self, stage: Stage, reply: Reply) {
        self.end(CloseReason::OutOfStep(OutOfStep::Misplaced { stage, reply }));
    }

    /// Ends the connection and settles everything.
    fn end(&mut self, ending: CloseReason) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        let moved = self.may_have_moved(&ending);
        for held in std::mem::take(&mut self.held) {
            let mut settled = held.settled;
            if held.sent && moved {
                settled.outcome = Outcome::Uncertain(ending.clone());
            }
            self.settled.push_back(settled);
        }
        let handed = self.pipeline.is_handed();
        for flight in std::mem::take(&mut self.flights) {
            let outcome = flight.outcome_of(&ending, handed);
            self.settled.push_back(flight.settle(outcome));
        }
        for transaction in std::mem::take(&mut self.queue) {
            self.settle_unsent(transaction, NotSent::Connection(ending.clone()));
        }
        self.in_flight = 0;
        self.pipeline = Pipeline::default();
        self.alignment = Alignment::default();
        self.phase = Phase::Closed(ending);
        self.check_counters();
    }

    /// Whether the end of the connection lets the replies to what is held be somebody else's. The loss of a connection does
    /// not undo a reply that was received in its place; a sign that replies have moved does.
    fn may_have_moved(&self, ending: &CloseReason) -> bool {
        match ending {
            CloseReason::OutOfStep(OutOfStep::Misplaced { .. } | OutOfStep::Unasked) => true,
            // No server refuses RSET (RFC 5321, section 4.1.1.5): this may be the reply to the MAIL behind it.
            CloseReason::Refused { stage, .. } => *stage == Stage::Reset,
            // After a 421 nothing is answered, so nothing is missing.
            CloseReason::Closing { .. } => false,
            // A reply that was lost leaves the last command without one, and all others answered. A server that closes
            // with more unanswered than that has answered in order as far as it came.
            _ => self.pipeline.awaited() == 1 && self.pipeline.next_expected() != Some(Expect::Fence),
        }
    }

    /// The count of replies is right so far: what was held is final.
    fn release(&mut self) {
        self.settled.extend(self.held.drain(..).map(|held| held.settled));
    }

    /// The counters on which "never twice, never lost" rests.
    fn check_counters(&self) {
        debug_assert_eq!(
            self.in_flight,
            self.flights.iter().map(|flight| flight.weight).sum::<u64>(),
            "what is in flight is the weight of the flights"
        );
        debug_assert!(
            !matches!(self.phase, Phase::Closed(_))
                || self.flights.is_empty() && self.queue.is_empty() && self.held.is_empty(),
            "a closed connection has settled everything"
        );
    }

    /// Settles a transaction of which nothing was written.
    fn settle_unsent(&mut self, transaction: Transaction, why: NotSent) {
        self.settled.push_back(Settled {
            id: transaction.id,
            outcome: Outcome::NotSent(why),
            recipients: vec![Verdict::Unanswered; transaction.recipients.len()],
        });
    }
}

/// What takes content now.
struct Supplying<'f> {
    id: Id,
    writer: &'f mut ContentWriter,
    /// The octets of its BDAT that are still to come.
    chunk_left: &'f mut u64,
}

/// The transaction that takes content now: always the last one begun.
fn supplying(flights: &mut VecDeque<Flight>) -> Option<Supplying<'_>> {
    let flight = flights.back_mut()?;
    match &mut flight.stage {
        flight::Progress::Supplying(writer) => Some(Supplying {
            id: flight.transaction.id,
            writer,
            chunk_left: &mut flight.chunk_left,
        }),
        _ => None,
    }
}
