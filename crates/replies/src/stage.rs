//! The point of the dialogue at which a reply came.

/// The command, or the moment, that a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The greeting, before any command.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH, and the lines that follow it.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO: the reply is about that recipient.
    Rcpt,
    /// DATA, before the content.
    Data,
    /// The end of the content: the final dot, or BDAT.
    Content,
    /// RSET, NOOP, QUIT and the like.
    Other,
}

/// How logs name the command that was answered, in lower case. Longer phrases stand before those they contain.
const PHRASES: &[(&str, Stage)] = &[
    ("(ehlo)", Stage::Ehlo),
    ("(helo)", Stage::Ehlo),
    ("in reply to ehlo", Stage::Ehlo),
    ("in reply to helo", Stage::Ehlo),
    ("in reply to starttls", Stage::StartTls),
    ("in reply to auth", Stage::Auth),
    ("in reply to mail from", Stage::Mail),
    ("in reply to rcpt to", Stage::Rcpt),
    ("in reply to end of data", Stage::Content),
    ("in reply to data", Stage::Data),
    ("during mail from", Stage::Mail),
];

impl Stage {
    /// What the reply itself tells: Gmail writes `(EHLO)` into some, Postfix logs `(in reply to RCPT TO command)`, and
    /// 334, 534, 535 and 538 answer AUTH alone (RFC 4954).
    pub(crate) fn guess(code: Option<u16>, normal_text: &str) -> Option<Self> {
        let named = PHRASES
            .iter()
            .find(|(phrase, _)| normal_text.contains(phrase))
            .map(|(_, stage)| *stage);
        named.or(match code {
            Some(334 | 534 | 535 | 538) => Some(Self::Auth),
            _ => None,
        })
    }
}
