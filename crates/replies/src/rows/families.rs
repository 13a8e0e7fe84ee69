//! Families of replies: what every server says, each in words of its own.
//!
//! A submission server's refusal is mostly about the account: its sender, its plan, its rights. The codes do not tell,
//! because the enhanced codes were registered for a recipient's server (RFC 3463, section 1): `5.1.1` at MAIL is not
//! about a recipient, and `5.7.1` is about anything. So the words are read before the codes.
//!
//! The order carries the meaning. What limits the connection comes before what limits the account, because both say
//! `limit exceeded`; so do the size of a message and the room of a mailbox. What condemns this machine's address comes
//! before the senders that it names, and an account that is blocked before the address that it may not send from.

mod account;
mod capacity;
mod content;
mod network;
mod recipient;
mod sender;
mod sign_in;

use pipepost_core::FailureKind;

use super::{GMAIL, Row};
use crate::Stage;
use crate::meaning::{Class, Retry, Scope};
use crate::provider::Provider;

/// What a family has unless it says otherwise: something that the owner of the account has to change.
const ACCOUNT: Row = Row {
    provider: Provider::Other,
    classes: &[Class::Configure],
    kind: FailureKind::Configuration,
    scope: Scope::Account,
    ..GMAIL
};

/// A refusal of the message, for now or for good.
const REFUSED: Row = Row {
    provider: Provider::Other,
    never_at: BEFORE_MAIL,
    by_class: true,
    ..GMAIL
};

/// Something that passes.
const PASSING: Row = Row {
    classes: &[Class::Transient],
    kind: FailureKind::Transient,
    scope: Scope::Connection,
    retry: Retry::Soon,
    ..ACCOUNT
};

/// Where no message has been spoken of.
const BEFORE_MAIL: &[Stage] = &[Stage::Greeting, Stage::Ehlo, Stage::StartTls, Stage::Auth];

/// Where no recipient has been spoken of.
const BEFORE_RCPT: &[Stage] = &[Stage::Greeting, Stage::Ehlo, Stage::StartTls, Stage::Auth, Stage::Mail];

/// Returns the families in the order in which they are tried.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [
        sign_in::CONNECTION,
        sign_in::BUSY,
        capacity::ROWS,
        sender::UNVERIFIABLE,
        network::ROWS,
        account::QUOTAS,
        account::ROWS,
        sign_in::RELAY,
        recipient::RESTRICTED,
        sign_in::ROWS,
        content::MALFORMED,
        content::SPAM,
        sender::ROWS,
        content::ROWS,
        capacity::LATER,
        recipient::ROWS,
    ]
    .into_iter()
    .flatten()
}
