//! The server's side of one connection, without I/O and without a clock.
//!
//! The shell around a [`Session`] does, again and again:
//!
//! 1. [`handle_bytes`](Session::handle_bytes) with what the client sent;
//! 2. until nothing comes any more: [`poll_message`](Session::poll_message), store the message and say so with
//!    [`handle_stored`](Session::handle_stored) (the reply waits for that); [`poll_event`](Session::poll_event), for whoever
//!    watches; [`poll_transmit`](Session::poll_transmit), and write it; [`poll_signal`](Session::poll_signal), and do it.
//!
//! A session that begins with TLS from the first byte says nothing before [`handle_tls`](Session::handle_tls).

mod act;
mod command;
mod content;
mod dots;
mod identify;
mod lines;
mod output;
mod reply;
mod sasl;
mod transaction;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

pub use output::{Signal, Wait};

use self::content::Incoming;
use self::output::Queue;
use self::reply::Reply;
use self::sasl::Exchange;
use self::transaction::Transaction;
use crate::event::{Direction, Event};
use crate::message::{Message, Parameters, TlsInfo};
use crate::script::{At, Scene};
use crate::settings::{Security, Settings};

/// How much of what the client sent is kept for a script that echoes, in bytes.
const ECHO_LIMIT: usize = 256 * 1024;

/// A message could not be stored; the client is told `452 4.3.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStored;

/// One connection. Made by [`Service::session`](crate::Service::session).
pub struct Session {
    settings: Arc<Settings>,
    scene: Scene,
    connection: u64,
    security: Security,
    now: u64,
    input: Vec<u8>,
    /// How much of `input` has been taken.
    taken: usize,
    received: u64,
    received_cut: Option<u64>,
    /// What the client sent, when the script may echo it.
    echo: Option<VecDeque<u8>>,
    mode: Mode,
    tls: Option<TlsInfo>,
    /// Between the reply to STARTTLS (or the start, for TLS from the first byte) and the handshake's end.
    awaits_tls: bool,
    greeted: bool,
    helo: Option<String>,
    user: Option<String>,
    transaction: Option<Transaction>,
    transactions: u64,
    messages: u64,
    unknown_commands: u32,
    /// A complete message that is to be stored before its reply goes out, and what is then done.
    pending: Option<Pending>,
    outgoing: Queue,
    events: VecDeque<Event>,
}

/// How the next bytes are read.
#[derive(Debug)]
enum Mode {
    Command,
    Auth(Exchange),
    Content(Incoming),
}

struct Pending {
    /// Taken by `poll_message`.
    message: Option<Message>,
    rule: Option<crate::script::Rule>,
    id: String,
}

/// What a command does if it is obeyed.
#[derive(Debug)]
enum Effect {
    Nothing,
    Hello(String),
    StartTls,
    Exchange(Exchange),
    SignIn { user: String, mechanism: &'static str },
    Mail(String, Parameters),
    Recipient(String),
    Data,
    Reset,
    Close,
}

/// The regular reply to a line, and what goes with it.
struct Answer {
    reply: Reply,
    effect: Effect,
}

impl Session {
    pub(crate) fn new(settings: Arc<Settings>, scene: Scene, connection: u64, security: Security) -> Self {
        let mut session = Self {
            connection,
            security,
            now: 0,
            input: Vec::new(),
            taken: 0,
            received: 0,
            received_cut: scene.received_cut(),
            echo: scene.echoes().then(VecDeque::new),
            mode: Mode::Command,
            tls: None,
            awaits_tls: security == Security::Implicit,
            greeted: false,
            helo: None,
            user: None,
            transaction: None,
            transactions: 0,
            messages: 0,
            unknown_commands: 0,
            pending: None,
            outgoing: Queue::new(scene.sent_cut()),
            events: VecDeque::new(),
            settings,
            scene,
        };
        session.advance();
        session
    }

    /// The number of this connection, from 1.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The user who has signed in.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Tells the session the time, in seconds since 1970-01-01T00:00:00Z: it stands in replies and messages, and decides nothing.
    pub fn set_unix_time(&mut self, seconds: u64) {
        self.now = seconds;
    }

    /// Takes bytes from the client; under TLS, plaintext. Bytes after the end of the session are ignored.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        if self.outgoing.is_closing() {
            return;
        }
        let room = self
            .received_cut
            .map_or(u64::MAX, |cut| cut.saturating_sub(self.received));
        let bytes = &bytes[..usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()))];
        self.received += bytes.len() as u64;
        if let Some(echo) = &mut self.echo {
            echo.extend(bytes);
            let excess = echo.len().saturating_sub(ECHO_LIMIT);
            echo.drain(..excess);
        }
        self.input.extend_from_slice(bytes);
        self.advance();
    }

    /// The handshake that [`Signal::StartTls`] asked for, or the one at the start, is done. All that was learnt before is
    /// forgotten (RFC 3207 section 4.2).
    pub fn handle_tls(&mut self, tls: TlsInfo) {
        if !std::mem::take(&mut self.awaits_tls) {
            return;
        }
        self.events.push_back(Event::Secured {
            connection: self.connection,
            tls: tls.clone(),
        });
        self.tls = Some(tls);
        self.helo = None;
        self.transaction = None;
        self.input.clear();
        self.taken = 0;
        self.advance();
    }

    /// The wait that [`Signal::Wait`] asked for is over.
    pub fn handle_wait_over(&mut self) {
        self.outgoing.wait_over();
        self.advance();
    }

    /// The message that [`poll_message`](Self::poll_message) gave is stored, or could not be.
    pub fn handle_stored(&mut self, outcome: Result<(), NotStored>) {
        match self.pending.take() {
            Some(Pending {
                message: None,
                rule,
                id,
            }) => {
                let reply = match outcome {
                    Ok(()) => Reply::signed(250, format!("2.0.0 OK {}", self.now), &id),
                    Err(NotStored) => Reply::signed(452, "4.3.1 Out of storage, the message was not kept.", &id),
                };
                self.messages += u64::from(outcome.is_ok());
                match rule.filter(|_| outcome.is_ok()) {
                    Some(rule) => self.act(&rule, reply),
                    None => self.send(&reply),
                }
                self.advance();
            }
            untaken => self.pending = untaken,
        }
    }

    /// A complete message, to be stored. The session reads no further before [`handle_stored`](Self::handle_stored).
    pub fn poll_message(&mut self) -> Option<Message> {
        self.pending.as_mut()?.message.take()
    }

    /// The next bytes for the client. Each piece is one write: a script that paces its bytes makes small ones.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let bytes = self.outgoing.poll_transmit();
        self.enforce_received_cut();
        bytes
    }

    /// What to do now, once everything before it has been taken by [`poll_transmit`](Self::poll_transmit).
    pub fn poll_signal(&mut self) -> Option<Signal> {
        self.outgoing.poll_signal()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Reads as far as it can.
    fn advance(&mut self) {
        if !self.greeted && !self.awaits_tls && !self.outgoing.is_blocked() {
            self.greeted = true;
            let greeting = Reply::new(220, format!("{} ESMTP {} - gsmtp", self.settings.host_name, self.id()));
            self.answer(
                At::Greeting,
                b"",
                Answer {
                    reply: greeting,
                    effect: Effect::Nothing,
                },
            );
        }
        while !self.is_blocked() && self.taken < self.input.len() && self.read_on() {}
        self.input.drain(..self.taken);
        self.taken = 0;
        self.enforce_received_cut();
    }

    fn is_blocked(&self) -> bool {
        self.outgoing.is_blocked() || self.awaits_tls || self.pending.is_some()
    }

    /// Ends the connection when the client has sent as much as the script lets it, and everything has been answered.
    fn enforce_received_cut(&mut self) {
        if self.received_cut.is_some_and(|cut| self.received >= cut) && !self.is_blocked() {
            self.outgoing.signal(Signal::Close { abrupt: true });
        }
    }

    /// Sends what the script says at this place, or the regular reply, and does what the command says if it is obeyed.
    fn answer(&mut self, at: At, text: &[u8], answer: Answer) {
        let rule = self.scene.rule(at, text, self.tls.is_some());
        self.answer_by(rule, answer);
    }

    fn answer_by(&mut self, rule: Option<crate::script::Rule>, Answer { reply, effect }: Answer) {
        let positive = reply.is_positive();
        let obeyed = match &rule {
            None => positive || matches!(effect, Effect::Close),
            Some(rule) => rule.obeys(positive || matches!(effect, Effect::Close)),
        };
        match rule {
            None => self.send(&reply),
            Some(rule) => self.act(&rule, reply),
        }
        if obeyed {
            self.carry_out(effect);
        } else if let Effect::SignIn { user, mechanism } = effect {
            let user = Some(user).filter(|user| !user.is_empty());
            self.events.push_back(Event::SignInRefused {
                connection: self.connection,
                user,
                mechanism,
            });
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Hello(name) => {
                self.helo = Some(name);
                self.transaction = None;
            }
            Effect::StartTls => {
                if !self.outgoing.is_closing() {
                    self.awaits_tls = true;
                    self.outgoing.signal(Signal::StartTls);
                }
            }
            Effect::Exchange(exchange) => self.mode = Mode::Auth(exchange),
            Effect::SignIn { user, mechanism } => {
                self.user = Some(user.clone());
                self.events.push_back(Event::SignedIn {
                    connection: self.connection,
                    user,
                    mechanism,
                });
            }
            Effect::Mail(from, parameters) => {
                self.transactions += 1;
                self.transaction = Some(Transaction::new(from, parameters));
            }
            Effect::Recipient(address) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(address);
                }
            }
            Effect::Data => self.begin_data(),
            Effect::Reset => self.transaction = None,
            Effect::Close => self.outgoing.signal(Signal::Close { abrupt: false }),
        }
    }

    /// What the replies of the transaction in hand, or of none, end in.
    fn id(&self) -> String {
        format!("pipepost-{}-{}", self.connection, self.transactions)
    }

    fn signed(&self, code: u16, text: &str) -> Reply {
        Reply::signed(code, text, &self.id())
    }

    fn accept(&self, text: &str, effect: Effect) -> Answer {
        Answer {
            reply: self.signed(250, text),
            effect,
        }
    }

    fn refuse(&self, code: u16, text: &str) -> Answer {
        Answer {
            reply: self.signed(code, text),
            effect: Effect::Nothing,
        }
    }

    fn fatal(&self, code: u16, text: &str) -> Answer {
        Answer {
            reply: self.signed(code, text),
            effect: Effect::Close,
        }
    }

    fn send(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        for line in reply.lines() {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            self.record(Direction::Sent, || line);
        }
        self.outgoing.bytes(bytes);
    }

    fn record(&mut self, direction: Direction, text: impl FnOnce() -> String) {
        if self.settings.record_dialogue {
            self.events.push_back(Event::Line {
                connection: self.connection,
                direction,
                text: text(),
            });
        }
    }
}

/// The place in the dialogue alone: the buffers may hold secrets.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("connection", &self.connection)
            .field("security", &self.security)
            .field("tls", &self.tls)
            .field("helo", &self.helo)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
