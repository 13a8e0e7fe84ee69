//! The conversation of an account's test. It asks a submission server for its greeting and capabilities, signs in, and
//! sends a letter if one is given.
//!
//! The commands are those of `pipepost-smtp`. The caller owns the connection, its TLS and the secret ([`Connection`]),
//! and receives each result as soon as it is known ([`Event`]). Messages are not sent this way: pipelines send through
//! a connector in a sandbox. This crate speaks only to the account's own server, with a text of our own.
//!
//! The order of calls: [`converse`], once per connection.
#![forbid(unsafe_code)]

use std::fmt;

use pipepost_smtp::{Action, Client, DsnRequest, Id, Outcome, ReplyParser, Settled, Transaction};
pub use pipepost_smtp::{Address, AddressError, Capabilities, ClientName, CloseReason, Config, Reply, Security, Stage};

/// A connection that the caller has opened.
pub trait Connection: Send {
    /// The reason why an operation failed.
    type Error: fmt::Display + Send;

    /// Reads at least one byte.
    fn read(&mut self) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
    /// Writes all bytes.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// Starts TLS on the connection.
    fn start_tls(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// Performs the whole sign-in, by this mechanism or by another that server and account share. Returns the server's last
    /// reply, and by which mechanism the sign-in succeeded, if it did.
    fn sign_in(
        &mut self,
        mechanism: &str,
    ) -> impl Future<Output = Result<(Vec<u8>, Option<String>), Self::Error>> + Send;
}

/// A message of our own, which shows that a message arrives.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The reverse path.
    pub sender: Address,
    /// The forward path.
    pub recipient: Address,
    /// Headers and text, in ASCII, with CRLF line ends.
    pub content: String,
}

/// A result of the conversation, reported as soon as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server has greeted.
    Greeting(Reply),
    /// The server's capabilities. Reported again after STARTTLS; the last report is the one that counts.
    Capabilities {
        /// The reply to EHLO.
        reply: Reply,
        /// The capabilities that the reply states.
        capabilities: Capabilities,
    },
    /// TLS began after STARTTLS.
    Secured,
    /// The server has taken the credentials.
    SignedIn {
        /// The mechanism that was used.
        mechanism: String,
    },
    /// The server has taken the letter.
    Taken(Reply),
}

/// The reason why a conversation did not end well.
#[derive(Debug)]
pub enum ProbeError<E> {
    /// An operation of the connection failed.
    Connection {
        /// The error.
        error: E,
        /// What the server was to answer next; none while nothing was owed.
        awaited: Option<Stage>,
    },
    /// The dialogue ended early.
    Dialogue(CloseReason),
    /// The letter was refused.
    Refused {
        /// The reply that refuses it.
        reply: Reply,
        /// The command that was refused.
        stage: Stage,
    },
    /// The letter was not sent, or nobody knows whether it was. The text is a clause.
    Unsent(String),
}

/// Performs the conversation, up to QUIT, and reports each result through `tell`.
///
/// # Errors
/// The first [`ProbeError`].
pub async fn converse<C: Connection>(
    wire: &mut C,
    config: Config,
    letter: Option<Letter>,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<(), ProbeError<C::Error>> {
    let mut conversation = Conversation {
        client: Client::new(config),
        parser: ReplyParser::new(),
        last: None,
        greeted: false,
        secured: false,
        letter,
        submitted: false,
        refused: None,
    };
    conversation.run(wire, tell).await
}

struct Conversation {
    client: Client,
    /// Reads the same bytes as the client, for what they say.
    parser: ReplyParser,
    last: Option<Reply>,
    greeted: bool,
    secured: bool,
    letter: Option<Letter>,
    submitted: bool,
    refused: Option<(Reply, Stage)>,
}

impl Conversation {
    async fn run<C: Connection>(
        &mut self,
        wire: &mut C,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<(), ProbeError<C::Error>> {
        loop {
            while let Some(settled) = self.client.poll_settled() {
                self.settle(settled, tell)?;
            }
            match self.client.poll() {
                Action::Write { bytes, .. } => {
                    let bytes = bytes.to_vec();
                    let written = wire.write(&bytes).await;
                    written.map_err(|error| self.broken(error))?;
                    self.client.written();
                }
                Action::Read { .. } => {
                    let bytes = wire.read().await.map_err(|error| self.broken(error))?;
                    self.note(&bytes, tell);
                    self.client.handle_bytes(&bytes);
                }
                Action::StartTls { .. } => {
                    wire.start_tls().await.map_err(|error| self.broken(error))?;
                    self.secured = true;
                    tell(Event::Secured);
                    self.client.tls_started();
                }
                Action::SignIn { mechanism, .. } => {
                    let mechanism = mechanism.to_owned();
                    self.offer(tell);
                    let signed_in = wire.sign_in(&mechanism).await;
                    let (reply, signed_in_by) = signed_in.map_err(|error| self.broken(error))?;
                    self.client.signed_in(&reply, signed_in_by.is_some());
                    if let Some(mechanism) = signed_in_by {
                        tell(Event::SignedIn { mechanism });
                    }
                }
                Action::Content { .. } => match &self.letter {
                    Some(letter) => self.client.supply(letter.content.as_bytes()),
                    None => self.client.fail_content("there is none"),
                },
                Action::Ready => {
                    self.offer(tell);
                    self.submit_or_quit();
                }
                Action::Close(ending) => {
                    let ending = ending.clone();
                    return self.end(ending, tell);
                }
            }
        }
    }

    fn broken<E>(&self, error: E) -> ProbeError<E> {
        ProbeError::Connection {
            error,
            awaited: self.client.waits_for(),
        }
    }

    /// Tells of the greeting as soon as it is whole, and keeps the last reply, which may be the one to EHLO.
    fn note(&mut self, bytes: &[u8], tell: &mut (dyn FnMut(Event) + Send)) {
        self.parser.push(bytes);
        while let Ok(Some(reply)) = self.parser.next_reply() {
            if !self.greeted {
                self.greeted = true;
                tell(Event::Greeting(reply.clone()));
            }
            self.last = Some(reply);
        }
    }

    /// Tells what the server offers, once it is what counts.
    fn offer(&mut self, tell: &mut (dyn FnMut(Event) + Send)) {
        if !self.submitted
            && let Some(reply) = self.last.take()
        {
            let capabilities = self.client.capabilities().clone();
            tell(Event::Capabilities { reply, capabilities });
        }
    }

    fn submit_or_quit(&mut self) {
        match &self.letter {
            Some(letter) if !self.submitted => {
                self.submitted = true;
                self.client.submit(Transaction {
                    id: Id(0),
                    sender: Some(letter.sender.clone()),
                    recipients: vec![letter.recipient.clone()],
                    size: letter.content.len() as u64,
                    eight_bit: false,
                    utf8: false,
                    dsn: DsnRequest::default(),
                });
            }
            _ => self.client.quit(),
        }
    }

    fn settle<E>(&mut self, settled: Settled, tell: &mut (dyn FnMut(Event) + Send)) -> Result<(), ProbeError<E>> {
        match settled.outcome {
            Outcome::Accepted { reply } => tell(Event::Taken(reply)),
            // The farewell is said all the same.
            Outcome::Refused { reply, stage } => self.refused = Some((reply, stage)),
            Outcome::NotSent(pipepost_smtp::NotSent::Connection(ending)) => return Err(ProbeError::Dialogue(ending)),
            Outcome::NotSent(reason) => return Err(ProbeError::Unsent(reason.to_string())),
            Outcome::Uncertain(ending) => {
                return Err(ProbeError::Unsent(format!(
                    "the message may have been taken and may not: {ending}"
                )));
            }
        }
        Ok(())
    }

    fn end<E>(&mut self, ending: CloseReason, tell: &mut (dyn FnMut(Event) + Send)) -> Result<(), ProbeError<E>> {
        while let Some(settled) = self.client.poll_settled() {
            self.settle(settled, tell)?;
        }
        match (self.refused.take(), ending) {
            (Some((reply, stage)), _) => Err(ProbeError::Refused { reply, stage }),
            (None, CloseReason::Finished) => Ok(()),
            (None, ending) => Err(ProbeError::Dialogue(ending)),
        }
    }
}

#[cfg(test)]
mod tests;
