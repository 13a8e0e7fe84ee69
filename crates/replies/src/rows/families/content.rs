//! What is in the message: its form, its attachments, its text.

use pipepost_core::FailureKind;

use super::{BEFORE_RCPT, REFUSED};
use crate::meaning::Class;
use crate::rows::Row;

/// What breaks the rules of a message's form.
const INVALID: Row = Row {
    classes: &[Class::Configure],
    kind: FailureKind::Invalid,
    by_class: false,
    ..REFUSED
};

pub(super) const MALFORMED: &[Row] = &[
    Row {
        id: "message-malformed",
        words: &[&[
            "rfc 5322",
            "rfc5322",
            "rfc 2822",
            "rfc2822",
            "rfc 822",
            "rfc822",
            "malformed",
            "duplicate header*",
            "invalid header*",
            "bad header*",
            "header syntax",
            "headers fail",
            "missing from",
            "missing a valid from",
            "valid from header",
            "no from header",
            "multiple from",
            "line length",
            "lines too long",
            "line too long",
            "bare lf",
            "bare cr",
            "bare linefeed*",
            "bare newline*",
            "invalid from field",
            "illegal character*",
            "address needs to follow",
            "header line",
            "not rfc compliant",
        ]],
        unless: &["helo", "ehlo"],
        never_at: BEFORE_RCPT,
        cause: "The server takes the message's headers or lines for malformed.",
        cure: "Check what the step adds by itself, such as own headers and ready-made content, and give exactly one From with \
               one valid address.",
        ..INVALID
    },
    Row {
        id: "address-malformed",
        words: &[
            &[
                "address",
                "missing final",
                "domain name required",
                "recipient",
                "sender",
                "mailbox",
            ],
            &[
                "syntax",
                "malformed",
                "must contain",
                "cannot decode",
                "missing final",
                "domain name required",
                "bad address",
                "invalid characters",
                "not rfc",
            ],
        ],
        never_at: BEFORE_RCPT,
        cause: "The server cannot read an address: it is not written as an address must be.",
        cure: "Write sender and recipients as bare addresses, such as ann@example.com, and separate them by commas or in a list.",
        ..INVALID
    },
];

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "harmful-content",
        words: &[&[
            "virus*",
            "infected",
            "malware",
            "trojan",
            "eicar*",
            "banned",
            "attachment*",
            "executable*",
            "file type*",
            "clamav",
            "dangerous",
        ]],
        by_class: false,
        never_at: BEFORE_RCPT,
        cause: "The server takes the message or an attachment for harmful.",
        cure: "Take the attachment or the link out, and send a link to a file that the recipient may fetch.",
        ..REFUSED
    },
    Row {
        id: "refused-by-rule",
        words: &[&[
            "policy",
            "spoof*",
            "spoofed",
            "policies",
            "content",
            "suspicious",
            "message blocked",
            "filter*",
            "message refused",
        ]],
        never_at: BEFORE_RCPT,
        cause: "The server refused the message by a rule of its own.",
        cure: "Read the reply's own text, take out what the rule may mean, such as links and attachments, and ask the \
               server's administrator which rule it is.",
        ..REFUSED
    },
];

/// What is taken for spam, whoever the sender is.
pub(super) const SPAM: &[Row] = &[Row {
    id: "taken-for-spam",
    words: &[&[
        "spam*",
        "junk*",
        "bulk",
        "unsolicited",
        "gtube",
        "suspicion",
        "phishing",
        "score",
        "scored",
    ]],
    never_at: BEFORE_RCPT,
    cause: "The server takes the content of this message for spam.",
    cure: "Change subject, text and links so that a recipient recognises who writes and why, and do not send the message \
           unchanged again.",
    ..REFUSED
}];
