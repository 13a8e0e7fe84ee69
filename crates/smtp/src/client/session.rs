//! From the greeting to the first transaction: EHLO, STARTTLS, the choice of a mechanism; and what a warm connection
//! remembers.

use super::Client;
use super::pipeline::Expect;
use crate::capabilities::Capabilities;
use crate::config::Security;
use crate::outcome::{CloseReason, Stage};
use crate::reply::{Class, Reply, parse_reply};

/// Where a connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Greeting,
    Hello,
    StartTls,
    /// The owner starts TLS.
    Handshake,
    /// The owner signs in by this mechanism.
    SignIn(String),
    Probe,
    Ready,
    Quitting,
    Closed(CloseReason),
}

impl Client {
    pub(super) fn say_hello(&mut self) {
        self.phase = Phase::Hello;
        self.pipeline.put(&["EHLO ", self.config.client_name.as_str(), "\r\n"]);
        self.pipeline.expect(Expect::Ehlo);
    }

    pub(super) fn probe(&mut self) {
        self.phase = Phase::Probe;
        self.pipeline.put(&["RSET\r\n"]);
        self.pipeline.expect(Expect::Probe);
    }

    pub(super) fn handle_session_reply(&mut self, expect: Expect, reply: Reply) {
        let stage = expect.stage();
        if reply.class() == Class::Intermediate {
            return self.misplaced(stage, reply);
        }
        match (expect, reply.is_positive()) {
            (Expect::Greeting, true) => self.say_hello(),
            (Expect::Ehlo, true) => {
                self.capabilities = Capabilities::from_ehlo(&reply);
                self.after_hello();
            }
            (Expect::Ehlo, false) if reply.class() == Class::Permanent && self.can_do_without_extensions() => {
                self.pipeline.put(&["HELO ", self.config.client_name.as_str(), "\r\n"]);
                self.pipeline.expect(Expect::Helo);
            }
            (Expect::Helo, true) => {
                self.capabilities = Capabilities::default();
                self.after_hello();
            }
            (Expect::StartTls, true) => self.phase = Phase::Handshake,
            (Expect::StartTls, false) => self.end(CloseReason::StartTlsRefused(reply)),
            (Expect::Probe, true) => {
                self.dirty = false;
                self.phase = Phase::Ready;
            }
            (_, true) => {}
            (_, false) => self.end(CloseReason::Refused { stage, reply }),
        }
    }

    pub(super) fn handle_sign_in(&mut self, text: &str, success: bool) {
        let Phase::SignIn(mechanism) = &self.phase else { return };
        if success {
            self.signed_in = true;
            self.phase = Phase::Ready;
            return;
        }
        let ending = match parse_reply(text).ok() {
            Some(reply) if reply.code() == 421 => CloseReason::Closing {
                stage: Stage::SignIn,
                reply,
            },
            reply => CloseReason::SignInRefused {
                mechanism: self.last_tried_after(mechanism),
                reply,
            },
        };
        self.end(ending);
    }

    /// The mechanism that a refusal is about. Where EXTERNAL is refused, the one that the configuration names next is tried
    /// behind it, with another secret.
    fn last_tried_after(&self, mechanism: &str) -> String {
        let mut others = self
            .config
            .mechanisms
            .iter()
            .filter(|other| self.capabilities.offers(other));
        let next = others.find(|other| !other.eq_ignore_ascii_case("EXTERNAL"));
        match next {
            Some(next) if mechanism == "EXTERNAL" => next.to_ascii_uppercase(),
            _ => mechanism.to_owned(),
        }
    }

    /// HELO is for servers from which nothing is wanted that only EHLO can offer.
    fn can_do_without_extensions(&self) -> bool {
        self.config.security == Security::None && self.config.mechanisms.is_empty()
    }

    fn signs_in_by_certificate_alone(&self) -> bool {
        matches!(self.config.mechanisms.as_slice(), [only] if only.eq_ignore_ascii_case("EXTERNAL"))
    }

    fn after_hello(&mut self) {
        if !self.secured {
            if !self.capabilities.starttls {
                return self.end(CloseReason::StartTlsMissing);
            }
            self.phase = Phase::StartTls;
            self.pipeline.put(&["STARTTLS\r\n"]);
            self.pipeline.expect(Expect::StartTls);
        } else if !self.signed_in && !self.config.mechanisms.is_empty() {
            let chosen = self
                .config
                .mechanisms
                .iter()
                .find(|mechanism| self.capabilities.offers(mechanism));
            match chosen {
                Some(mechanism) => self.phase = Phase::SignIn(mechanism.to_ascii_uppercase()),
                // TLS has shown the client's certificate, and a server that offers no EXTERNAL may ask for nothing more.
                None if self.signs_in_by_certificate_alone() => self.phase = Phase::Ready,
                None => self.end(CloseReason::NoMechanism {
                    offered: self.capabilities.mechanisms.clone(),
                    wanted: self.config.mechanisms.clone(),
                }),
            }
        } else {
            self.phase = Phase::Ready;
        }
    }
}

/// The first line of a memo, for the two states in which a connection can be released.
const CLEAN: &str = "pipepost-smtp 1 clean\n";
const DIRTY: &str = "pipepost-smtp 1 dirty\n";

/// Before the number of transactions that the connection has carried.
const CARRIED: &str = "carried ";

/// What a client leaves to the next one on its connection.
pub(super) struct Memo {
    pub(super) capabilities: Capabilities,
    pub(super) dirty: bool,
    pub(super) carried: u32,
}

pub(super) fn write_memo(capabilities: &Capabilities, dirty: bool, carried: u32) -> Vec<u8> {
    let mut memo = String::from(if dirty { DIRTY } else { CLEAN });
    if carried > 0 {
        memo.push_str(&format!("{CARRIED}{carried}\n"));
    }
    memo.push_str(&capabilities.to_memo());
    memo.into_bytes()
}

/// What [`write_memo`] wrote, and nothing else.
pub(super) fn read_memo(memo: &[u8]) -> Option<Memo> {
    let memo = std::str::from_utf8(memo).ok()?;
    let (dirty, rest) = match memo.strip_prefix(CLEAN) {
        Some(rest) => (false, rest),
        None => (true, memo.strip_prefix(DIRTY)?),
    };
    let (carried, rest) = match rest.strip_prefix(CARRIED) {
        Some(rest) => rest.split_once('\n')?,
        None => ("0", rest),
    };
    Some(Memo {
        capabilities: Capabilities::from_memo(rest)?,
        dirty,
        carried: carried.parse().ok()?,
    })
}
