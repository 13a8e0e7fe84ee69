//! The meaning of a reply code by itself (RFC 5321, section 4.2.3; RFC 4954, section 6; RFC 7504), when nothing else
//! says more.

use pipepost_core::FailureKind;

use crate::Stage;
use crate::meaning::Scope;

/// An enhanced status code (RFC 3463): class, subject and detail.
pub type EnhancedCode = (u8, u16, u16);

/// A reply code and its meaning.
pub(crate) struct CodeMeaning {
    pub(crate) code: u16,
    pub(crate) kind: FailureKind,
    pub(crate) scope: Scope,
    pub(crate) cause: &'static str,
    pub(crate) cure: &'static str,
}

const fn code(code: u16, kind: FailureKind, scope: Scope, cause: &'static str, cure: &'static str) -> CodeMeaning {
    CodeMeaning {
        code,
        kind,
        scope,
        cause,
        cure,
    }
}

use FailureKind::{Authentication, Configuration, Invalid, Refused, Transient};
use Scope::{Account, Connection, Recipient, Transaction};

#[rustfmt::skip]
pub(crate) const CODES: &[CodeMeaning] = &[
    code(421, Transient, Connection, "The server is not available at the moment and closed the connection.",
        "Try again in some minutes, with fewer connections at once."),
    code(432, Transient, Account, "The server wants this account's password to be renewed before it takes this mechanism.",
        "Sign in once over TLS with the mechanism PLAIN, or set a new password."),
    code(450, Transient, Recipient, "The mailbox is not available at the moment.",
        "Send it again later."),
    code(451, Transient, Transaction, "The server had a problem of its own and gave the message up.",
        "Send it again later."),
    code(452, Transient, Transaction, "The server lacks storage at the moment, or has had its number of recipients.",
        "Send it again later, with fewer recipients at once."),
    code(454, Transient, Account, "The server cannot do this at the moment, such as to check a sign-in or to begin TLS.",
        "Leave the credentials as they are and try again later."),
    code(455, Transient, Transaction, "The server cannot take the parameters of this command at the moment.",
        "Send it again later."),
    code(500, Refused, Transaction, "The server did not understand a command.",
        "Check that host and port are those of a mail submission server, and report it with a transcript if they are."),
    code(501, Refused, Transaction, "The server did not understand the parameters of a command.",
        "Check the addresses and the EHLO name for stray characters."),
    code(502, Refused, Transaction, "The server does not offer a command that was sent.",
        "Check that host and port are those of a mail submission server."),
    code(503, Refused, Transaction, "The server and this client disagree on the order of commands.",
        "Check that the account signs in if the server asks for it, and report it with a transcript if it does."),
    code(504, Configuration, Transaction, "The server does not offer a parameter of the command.",
        "Set the account's auth to true, so that each mechanism on offer is tried; if it is true already, ask the server's operator how this account may sign in."),
    code(521, Refused, Connection, "This server takes no mail at all.",
        "Correct the account's host and port."),
    code(530, Authentication, Account, "The server takes mail only after a sign-in.",
        "Give the account username and password, and do not set its auth to false."),
    code(534, Authentication, Account, "The server takes this sign-in mechanism for too weak for this account.",
        "Set the account's auth to a stronger mechanism, or use an app password or OAuth."),
    code(535, Authentication, Account, "The server did not accept the credentials.",
        "Check username and password; many providers want the full address, and an app password in place of the usual one."),
    code(538, Configuration, Account, "The server takes this sign-in mechanism over TLS only.",
        "Set starttls_enable to true, or use port 465."),
    code(550, Refused, Recipient, "The server refused: the mailbox does not exist, or a rule forbids it.",
        "Check the recipient's address, then ask the server's administrator which rule it is."),
    code(551, Refused, Recipient, "This recipient is not at this server.",
        "Ask the recipient for the present address."),
    code(552, Refused, Transaction, "The message is larger than the server or the mailbox has room for.",
        "Make the attachments smaller, or send a link to the file."),
    code(553, Refused, Recipient, "The server does not allow this address.",
        "Check how sender and recipient are written; some servers allow only the account's own address as sender."),
    code(554, Refused, Transaction, "The server refused the message, or the whole connection, without a usable reason.",
        "Read the reply's own text, and ask the server's administrator."),
    code(555, Refused, Transaction, "The server does not know a parameter of MAIL or RCPT.",
        "Check that sender and recipients are bare addresses, and report it with a transcript if they are."),
    code(556, Refused, Recipient, "The recipient's domain takes no mail.",
        "Correct the domain of the address."),
];

/// For a code that no RFC names: what its first digit says (RFC 5321, section 4.2.1).
pub(crate) const UNKNOWN_TEMPORARY: CodeMeaning = code(
    400,
    Transient,
    Transaction,
    "The server refused for the moment, with a code that no standard names.",
    "Send it again later.",
);
/// See [`UNKNOWN_TEMPORARY`].
pub(crate) const UNKNOWN_PERMANENT: CodeMeaning = code(
    500,
    Refused,
    Transaction,
    "The server refused for good, with a code that no standard names.",
    "Read the reply's own text, and ask the server's administrator.",
);
/// A positive reply where a negative one was explained.
pub(crate) const POSITIVE: CodeMeaning = code(
    200,
    FailureKind::Uncertain,
    Transaction,
    "The server agreed: this is not a failure.",
    "Nothing needs to be done, unless it came where another reply was due; then look at a transcript.",
);
/// Not a code of SMTP at all.
pub(crate) const NO_CODE: CodeMeaning = code(
    0,
    FailureKind::Uncertain,
    Connection,
    "This is not a reply of a mail server.",
    "Check that host and port are those of a mail submission server, and that TLS begins there as the account says.",
);

/// A refusal of EHLO.
const EHLO_REFUSED: CodeMeaning = code(
    550,
    Configuration,
    Connection,
    "The server refused EHLO, mostly because it does not accept the name that this machine gives there.",
    "Set mail.smtp.localhost to this machine's full public name, and check that host and port are those of a mail \
     submission server.",
);
/// A refusal of STARTTLS.
const TLS_REFUSED: CodeMeaning = code(
    554,
    Configuration,
    Connection,
    "The server refused to begin TLS.",
    "Use the server's TLS port (465), where TLS begins by itself.",
);
/// A refusal before any command.
const GREETING_REFUSED: CodeMeaning = code(
    554,
    Refused,
    Connection,
    "The server takes no mail from this machine's address, or no mail at all.",
    "Check that host and port are those of a mail submission server, and ask its administrator about this machine's public \
     address if they are.",
);
/// A refusal of MAIL, which speaks of the sender: no recipient has been named yet.
const SENDER_REFUSED: CodeMeaning = code(
    550,
    Configuration,
    Transaction,
    "The server does not take mail from this sender.",
    "Set from and envelopeFrom to an address that the account may send from, and look in the provider's console for a \
     notice about the account.",
);
/// A MAIL command that the server could not read.
const SENDER_UNREADABLE: CodeMeaning = code(
    501,
    Invalid,
    Transaction,
    "The server cannot read the sender's address, or a parameter of it.",
    "Give from and envelopeFrom as bare addresses, such as ann@example.com.",
);
/// A message that is announced as larger than the server takes.
const SIZE_REFUSED: CodeMeaning = code(
    552,
    Refused,
    Transaction,
    "The message is larger than the server takes.",
    "Make the attachments smaller, spread them over several messages, or send a link to the file.",
);

/// What a refusal for good means at a place of the dialogue, where the place tells more than the codes. Enhanced codes
/// are registered for a recipient's server: what they say of recipients cannot be meant before RCPT.
pub(crate) fn meaning_at(stage: Stage, code: u16, enhanced: Option<EnhancedCode>) -> Option<&'static CodeMeaning> {
    let of_address = |(_, subject, detail): EnhancedCode| match subject {
        0 | 2 | 4 => true,
        1 => detail != 7 && detail != 8,
        7 => matches!(detail, 0..=2 | 17..=19),
        // No subject that is registered.
        other => other > 7,
    };
    match (stage, code) {
        (_, 530 | 538) => None,
        (Stage::Greeting, 500..=599) => Some(&GREETING_REFUSED),
        (Stage::Ehlo, 500..=599) => Some(&EHLO_REFUSED),
        (Stage::StartTls, 500..=599) => Some(&TLS_REFUSED),
        (Stage::Mail, 552) if enhanced.is_none() => Some(&SIZE_REFUSED),
        (Stage::Mail, _) if matches!(enhanced, Some((_, 1, 3 | 7))) => Some(&SENDER_UNREADABLE),
        (Stage::Mail, 501 | 555) if enhanced.is_none_or(|(_, subject, _)| subject == 5) => Some(&SENDER_UNREADABLE),
        (Stage::Mail, 550..=599) if enhanced.is_none_or(of_address) => Some(&SENDER_REFUSED),
        (Stage::Mail, 500..=599) if enhanced.is_some_and(of_address) => Some(&SENDER_REFUSED),
        _ => None,
    }
}

/// The meaning of a code, at least by its first digit.
pub(crate) fn meaning_of(reply: u16) -> &'static CodeMeaning {
    let known = CODES.iter().find(|meaning| meaning.code == reply);
    known.unwrap_or(match reply {
        200..=399 => &POSITIVE,
        400..=499 => &UNKNOWN_TEMPORARY,
        500..=599 => &UNKNOWN_PERMANENT,
        _ => &NO_CODE,
    })
}
