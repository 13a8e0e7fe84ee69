//! The client side of SMTP (RFC 5321) as a state machine: bytes in, bytes out.
//!
//! It performs the dialogue from the greeting to QUIT: EHLO, STARTTLS, the choice of a sign-in mechanism, and
//! transactions with DATA or BDAT, pipelined as far as the server allows. It takes the bytes that arrived and returns
//! what to write next. It accounts for each message: every transaction ends in exactly one [`Outcome`], whatever fails.
//!
//! It is not a transport: it has no sockets, no TLS, no clock, no randomness and no dependencies. It does not perform
//! AUTH, because it never holds a secret. It does not build messages, look up servers, retry, or judge what a refusal
//! means to a person.
//!
//! # The loop
//!
//! Make a [`Client`] with [`Client::new`] on a fresh connection or [`Client::resume`] on a warm one, submit transactions,
//! and do what [`Client::poll`] says until it says [`Action::Ready`] with nothing more to send, or [`Action::Close`]:
//!
//! | action | what to do | the answer |
//! | --- | --- | --- |
//! | [`Write`](Action::Write) | announce `commits` if there are any, set the deadline, write all bytes | [`written`](Client::written), or [`withhold`](Client::withhold) if the announcement was refused |
//! | [`Content`](Action::Content) | have the next octets of that message | [`supply`](Client::supply), or [`fail_content`](Client::fail_content) |
//! | [`Read`](Action::Read) | set the deadline if there is one, read at least one byte | [`handle_bytes`](Client::handle_bytes) |
//! | [`StartTls`](Action::StartTls) | do the handshake | [`tls_started`](Client::tls_started) |
//! | [`SignIn`](Action::SignIn) | do the whole AUTH exchange | [`signed_in`](Client::signed_in) |
//! | [`Ready`](Action::Ready) | nothing is outstanding | [`submit`](Client::submit), or [`memo`](Client::memo) and release, or [`quit`](Client::quit) |
//! | [`Close`](Action::Close) | close the connection | none |
//!
//! When the transport fails, at any action, call [`connection_lost`](Client::connection_lost). Before each poll, take
//! the transactions that have ended from [`poll_settled`](Client::poll_settled), and submit while
//! [`wants_more`](Client::wants_more) is true. A transaction that is submitted before a write is sent with it; a later
//! one waits for the next write.
//!
//! ```
//! use std::collections::VecDeque;
//!
//! use pipepost_smtp::{
//!     Action, Address, Client, ClientName, Config, DsnRequest, Id, Outcome, Security, Settled, Transaction,
//! };
//!
//! /// A connection in memory: it answers each command at once, and keeps the messages it is given.
//! #[derive(Default)]
//! struct Connection {
//!     received: Vec<u8>,
//!     replies: VecDeque<u8>,
//!     chunk: Option<usize>,
//!     kept: Vec<String>,
//! }
//!
//! impl Connection {
//!     fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
//!         self.received.extend_from_slice(bytes);
//!         loop {
//!             if let Some(length) = self.chunk {
//!                 if self.received.len() < length {
//!                     return Ok(());
//!                 }
//!                 self.kept.push(String::from_utf8(self.received.drain(..length).collect()).unwrap());
//!                 self.chunk = None;
//!                 self.replies.extend(b"250 2.0.0 Taken\r\n");
//!             }
//!             let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") else { return Ok(()) };
//!             let line = String::from_utf8(self.received.drain(..end + 2).collect()).unwrap();
//!             match line.split_whitespace().collect::<Vec<_>>().as_slice() {
//!                 ["EHLO", _] => self.replies.extend(
//!                     b"250-mx.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n",
//!                 ),
//!                 ["BDAT", length, "LAST"] => self.chunk = Some(length.parse().unwrap()),
//!                 ["MAIL", ..] => self.replies.extend(b"250 2.1.0 Sender\r\n"),
//!                 ["RCPT", ..] => self.replies.extend(b"250 2.1.5 Recipient\r\n"),
//!                 _ => self.replies.extend(b"250 2.0.0 Fine\r\n"),
//!             }
//!         }
//!     }
//!
//!     /// At least one byte; the end of the stream is an error.
//!     fn read(&mut self) -> Result<Vec<u8>, String> {
//!         if self.replies.is_empty() { Err("closed".into()) } else { Ok(self.replies.drain(..).collect()) }
//!     }
//! }
//!
//! /// One message and its envelope.
//! struct Message { to: Address, text: String }
//!
//! fn transaction(index: usize, message: &Message) -> Transaction {
//!     Transaction {
//!         id: Id(index as u32),
//!         sender: Address::parse("me@example.com").ok(),
//!         recipients: vec![message.to.clone()],
//!         size: message.text.len() as u64,
//!         eight_bit: !message.text.is_ascii(),
//!         utf8: false,
//!         dsn: DsnRequest::default(),
//!     }
//! }
//!
//! /// Sends all messages over one connection, and gives what became of each.
//! fn send(connection: &mut Connection, mut client: Client, messages: &[Message]) -> Vec<Settled> {
//!     let mut settled = Vec::new();
//!     let mut waiting = messages.iter().enumerate();
//!     loop {
//!         while let Some(end) = client.poll_settled() {
//!             settled.push(end);
//!         }
//!         while client.wants_more() {
//!             let Some((index, message)) = waiting.next() else { break };
//!             client.submit(transaction(index, message));
//!         }
//!         match client.poll() {
//!             Action::Write { bytes, commits, deadline: _ } => {
//!                 // The place to enter `commits` in a ledger, and to set the deadline.
//!                 let announced = commits.len() <= 16;
//!                 if !announced {
//!                     client.withhold();
//!                 } else if let Err(error) = connection.write(bytes) {
//!                     client.connection_lost(&error);
//!                 } else {
//!                     client.written();
//!                 }
//!             }
//!             // A large message is read from its file here, `room` octets at a time.
//!             Action::Content { id, left: _, room: _ } => client.supply(messages[id.0 as usize].text.as_bytes()),
//!             Action::Read { deadline: _ } => match connection.read() {
//!                 Ok(bytes) => client.handle_bytes(&bytes),
//!                 Err(error) => client.connection_lost(&error),
//!             },
//!             Action::StartTls { .. } => client.connection_lost("no TLS in memory"),
//!             Action::SignIn { .. } => client.signed_in(b"535 5.7.8 No", false),
//!             // Everything is sent: here the connection could be released with `client.memo()`.
//!             Action::Ready => client.quit(),
//!             Action::Close(_) => break,
//!         }
//!     }
//!     // `Close` settles everything that was submitted; what was not is submitted now and comes back as not sent.
//!     waiting.for_each(|(index, message)| client.submit(transaction(index, message)));
//!     settled.extend(std::iter::from_fn(|| client.poll_settled()));
//!     settled
//! }
//!
//! let config = Config::new(ClientName::parse("client.example.com")?, Security::None);
//! let mut connection = Connection::default();
//! connection.replies.extend(b"220 mx.test\r\n");
//! let messages: Vec<_> = ["one", "two", "three"]
//!     .map(|text| Message { to: Address::parse("you@example.com").unwrap(), text: format!("\r\n{text}\r\n") })
//!     .into();
//! let settled = send(&mut connection, Client::new(config), &messages);
//! assert!(settled.iter().all(|end| matches!(end.outcome, Outcome::Accepted { .. })));
//! assert_eq!(connection.kept, ["\r\none\r\n", "\r\ntwo\r\n", "\r\nthree\r\n"]);
//! # Ok::<(), pipepost_smtp::AddressError>(())
//! ```
//!
//! # Never twice, never lost
//!
//! A server takes a message when it has the message's last byte, so that byte decides. Before it has been handed out in
//! a `Write`, with the transaction among its `commits`, the end of the connection makes the transaction
//! [`Outcome::NotSent`], and the message may be sent again on another connection. After that, only a reply says how the
//! transaction ended; without a reply it is [`Outcome::Uncertain`]. The bytes of a large message before its last piece
//! commit nothing, and are written before the message is announced.
//!
//! When a transport knows that no byte of a `Write` was sent, because the announcement or the write itself was
//! forbidden, it calls [`Client::withhold`].
//!
//! # Speed
//!
//! With PIPELINING, CHUNKING and ENHANCEDSTATUSCODES the transactions of a batch stream without waiting, within the
//! [`Window`]. With only PIPELINING each message costs one round trip: its content is sent together with the next
//! message's commands. Without PIPELINING, or with [`Pipelining::Off`], the client waits for the reply to each command.
//! After [`CloseReason::OutOfStep`] use `Pipelining::Off` on the next connection
//! ([`CloseReason::advises_plain_dialogue`]).
//!
//! # Time
//!
//! This crate reads no clock. Actions carry the maximum time that they may take. A `Read` without a deadline continues
//! under the last one, so a server cannot extend it by sending one byte per minute.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod address;
pub mod capabilities;
mod client;
mod config;
mod content;
mod dsn;
mod outcome;
pub mod reply;

pub use address::{Address, AddressError, AddressErrorKind, ClientName};
pub use capabilities::Capabilities;
pub use client::{Action, Client};
pub use config::{Config, Pipelining, Security, Timeouts, Window};
pub use content::ContentError;
pub use dsn::{DsnError, DsnRequest, EnvelopeId, Notify, Return};
pub use outcome::{CloseReason, Id, NotSent, OutOfStep, Outcome, Settled, Stage, Transaction, Verdict};
pub use reply::{Class, EnhancedCode, Reply, ReplyError, ReplyErrorKind, ReplyParser, parse_reply};
