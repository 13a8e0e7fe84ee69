//! Whether replies still belong to the commands that they are taken for.
//!
//! Replies carry no name: they are told apart by their order. One that is lost moves all that follow to the command before
//! theirs, and one that is doubled moves them to the command after. What shows it is a reply that can be nothing but
//! somebody else's: a 354 to anything but DATA, a 250 to DATA, a recipient accepted after the sender was refused, a reply
//! too many. Those end the connection ([`OutOfStep`](crate::OutOfStep)).
//!
//! An enhanced code is less than that. `X.1.0` speaks of a sender and `X.1.5` of a recipient (RFC 3463, section 3.2), but
//! many servers say them, or another `X.1.y`, elsewhere too. So a code that names another command is a hint, and only while
//! that command is the one before or the one after, as a lost or doubled reply moves the others by one place. A hint
//! condemns nothing: no further transaction begins until a later code names its own command, or, once all replies are here,
//! until the server has answered a second EHLO, whose reply is unlike every other.
//!
//! The other way round, a code that names its own command, and neither of its neighbours, proves that nothing has moved so
//! far.

use super::pipeline::{Expect, Place};
use crate::outcome::OutOfStep;
use crate::reply::Reply;

/// What is known of the order of replies on one connection.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    doubt: Option<Doubt>,
    /// The commands whose codes came with replies to others, too. On this connection they prove nothing.
    misused: Vec<Expect>,
}

/// Hints that nothing has refuted yet.
#[derive(Debug)]
struct Doubt {
    first: OutOfStep,
    hints: u32,
    /// One of them is a code of success, so that this server's codes do not tell commands apart if nothing has moved.
    vague: bool,
}

impl Alignment {
    /// Weighs a reply to a transaction's command. Returns true when it proves the order of all replies before it.
    ///
    /// `doubts`: hints count, because replies of success all look alike. Behind a 354 they need not.
    pub(super) fn weigh(&mut self, place: Place, reply: &Reply, doubts: bool) -> bool {
        let named = named(reply);
        if let Some(other) = named.filter(|named| *named != place.expect && !self.misused.contains(named)) {
            self.misused.push(other);
        }
        if doubts && is_hint(place, reply) {
            let doubt = self.doubt.get_or_insert_with(|| Doubt {
                first: OutOfStep::Misplaced {
                    stage: place.expect.stage(),
                    reply: reply.clone(),
                },
                hints: 0,
                vague: false,
            });
            doubt.hints += 1;
            doubt.vague |= reply.is_positive();
            return false;
        }
        if !is_proof(place, reply) || named.is_some_and(|named| self.misused.contains(&named)) {
            return false;
        }
        // One code out of place among others in theirs is the server's choice of words. Several are a pattern.
        if self.doubt.as_ref().is_some_and(|doubt| doubt.hints == 1) {
            self.doubt = None;
        }
        self.doubt.is_none()
    }

    /// True while a hint waits to be refuted.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    /// Ends the doubt. Returns the first hint, and whether the server's codes of success name other commands if nothing has
    /// moved.
    pub(super) fn decide(&mut self) -> Option<(OutOfStep, bool)> {
        self.doubt.take().map(|doubt| (doubt.first, doubt.vague))
    }
}

/// The command that a code of success speaks of.
fn named(reply: &Reply) -> Option<Expect> {
    match reply.enhanced().map(|code| (code.class, code.subject, code.detail)) {
        Some((2, 1, 0)) => Some(Expect::Sender),
        Some((2, 1, 5)) => Some(Expect::Recipient),
        _ => None,
    }
}

fn is_hint(place: Place, reply: &Reply) -> bool {
    let Place { expect, before, after } = place;
    // A refusal of the content for a reason of addresses could be the last recipient's.
    let is_about_addresses = !reply.is_positive() && reply.enhanced().is_some_and(|code| code.subject == 1);
    if matches!(expect, Expect::Chunk | Expect::Content) && is_about_addresses {
        return before == Some(Expect::Recipient);
    }
    named(reply).is_some_and(|named| named != expect && (before == Some(named) || after == Some(named)))
}

fn is_proof(place: Place, reply: &Reply) -> bool {
    let Place { expect, before, after } = place;
    named(reply) == Some(expect) && before != Some(expect) && after != Some(expect)
}
