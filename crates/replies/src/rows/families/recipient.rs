//! The recipient: whether there is one, and whom it takes mail from.

use super::{BEFORE_RCPT, REFUSED};
use crate::meaning::Scope;
use crate::rows::Row;

const RECIPIENT: Row = Row {
    never_at: BEFORE_RCPT,
    scope: Scope::Recipient,
    ..REFUSED
};

/// Recipients that choose their senders.
pub(super) const RESTRICTED: &[Row] = &[Row {
    id: "recipient-restricted",
    words: &[&[
        "resolver.rst*",
        "allowed senders list",
        "delivery restriction*",
        "rejected by recipient",
        "to send to this group",
        "blocked senders",
        "restricted to internal",
        "blocked by the recipient",
        "blocked by recipient",
        "to this recipient",
        "to this mailbox",
        "to this list",
    ]],
    cause: "This recipient takes no mail from this sender.",
    cure: "Ask the recipient, or its administrator, to let the sender's address in.",
    ..RECIPIENT
}];

pub(super) const ROWS: &[Row] = &[Row {
    id: "recipient-unknown",
    words: &[&[
        "user unknown",
        "unknown user",
        "no such user",
        "no such recipient",
        "no such mailbox",
        "no mailbox",
        "mailbox not found",
        "mailbox unavailable",
        "mailbox unknown",
        "unknown mailbox",
        "invalid recipient",
        "invalid mailbox",
        "invalid user",
        "recipient not found",
        "recipient unknown",
        "unknown recipient",
        "recipient rejected",
        "recipient address rejected",
        "user not found",
        "address rejected",
        "address unknown",
        "unknown address",
        "unrouteable",
        "unroutable",
        "does not exist",
        "doesnt exist",
        "not exist",
        "doesnt have a",
        "no longer on server",
        "no longer valid",
        "address blacklisted",
        "one or more recipients",
        "tried to reach",
    ]],
    unless: &["#5.1*", "#5.2*", "#4.1*", "#4.2*"],
    cause: "The server has no mailbox for this recipient, or none that takes this mail.",
    cure: "Correct the recipient's address, or take it off your list.",
    ..RECIPIENT
}];
