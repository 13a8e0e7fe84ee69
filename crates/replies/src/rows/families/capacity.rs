//! How much, how often and how large: of a connection, a message and a mailbox. The account's own limits are quotas.

use pipepost_core::FailureKind;

use super::{BEFORE_MAIL, BEFORE_RCPT, PASSING, REFUSED};
use crate::meaning::{Class, Retry, Scope};
use crate::rows::{MINUTE, Row};

/// Words of a limit that holds for a time, which is an account's.
const TIMES: &[&str] = &[
    "hour",
    "hourly",
    "day",
    "daily",
    "minute",
    "month",
    "monthly",
    "today",
    "24h",
    "1h",
    "not allowed to send",
    "too many recipients from",
    "sending",
    "external",
];

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "greylisted",
        words: &[
            &["#4*"],
            &[
                "greylist*",
                "graylist*",
                "grey list*",
                "gray list*",
                "not known here yet",
                "first contact",
            ],
        ],
        scope: Scope::Recipient,
        retry: Retry::After(5 * MINUTE),
        cause: "The server lets unknown senders wait before it takes their first message (greylisting).",
        cure: "Send it again in five minutes or more; nothing needs to be changed.",
        ..PASSING
    },
    Row {
        id: "messages-per-connection",
        words: &[
            &["too many", "limit*", "max*"],
            &["message", "messages", "mails", "emails", "transactions"],
            &["session", "connection"],
        ],
        unless: &["hour", "hourly", "day", "daily", "minute"],
        retry: Retry::NewConnection,
        cause: "The server takes no more messages on this connection.",
        cure: "Send it again on a new connection; set the account's limits.messages_per_connection to what the server takes.",
        ..PASSING
    },
    Row {
        id: "too-many-connections",
        words: &[
            &[
                "too many",
                "maximum number",
                "max*",
                "limit*",
                "exceed*",
                "concurrent",
                "simultaneous",
                "rate",
                "frequency",
            ],
            &["connection", "connections", "sessions"],
        ],
        unless: &["timeout", "timed out", "reputation"],
        cause: "The server has more connections open, or opened in a short time, than it allows.",
        cure: "Set the account's limits.max_connections lower and try again in a minute.",
        ..PASSING
    },
    Row {
        id: "message-too-large",
        words: &[
            &[
                "size",
                "sizes",
                "large",
                "big",
                "databytes",
                "kb",
                "mb",
                "message length",
            ],
            &["exceed*", "too large", "too big", "limit*", "maximum", "larger", "over"],
        ],
        unless: &["mailbox size", "mailbox full", "mailbox is full", "line"],
        never_at: BEFORE_MAIL,
        by_class: false,
        cause: "The message is larger than the server takes.",
        cure: "Make the attachments smaller, send them in several messages, or send a link in place of the file.",
        ..REFUSED
    },
    Row {
        id: "recipient-rate",
        words: &[
            &["recipient", "user", "mailbox"],
            &[
                "receiving mail",
                "recipient has exceeded",
                "recipient @ has exceeded",
                "receiving too",
                "receiving email*",
            ],
        ],
        never_at: BEFORE_RCPT,
        scope: Scope::Recipient,
        retry: Retry::After(15 * MINUTE),
        cause: "This recipient gets more mail at the moment than its server delivers to one mailbox.",
        cure: "Send to this recipient again in a quarter of an hour or more; the other recipients are not affected.",
        ..PASSING
    },
    Row {
        id: "mailbox-full",
        words: &[&[
            "mailbox full",
            "mailbox is full",
            "mailbox size limit",
            "mailbox limit",
            "mailbox quota",
            "inbox full",
            "inbox is full",
            "over quota",
            "overquota",
            "over its quota",
            "out of storage",
            "storage space",
            "exceeded storage",
            "storage limit",
            "mailbox has exceeded",
            "quota exceeded mailbox",
            "not enough space",
            "user quota exceeded",
        ]],
        unless: &[
            "sender*", "sending", "outgoing", "outbound", "hour", "hourly", "day", "daily", "monthly", "relay",
        ],
        never_at: BEFORE_RCPT,
        scope: Scope::Recipient,
        cause: "This recipient's mailbox has no room for the message.",
        cure: "Ask the recipient by another way to make room, or use another address.",
        ..REFUSED
    },
    Row {
        id: "too-many-recipients",
        words: &[&[
            "too many recipients",
            "too many rcpt*",
            "recipient count",
            "recipients limit",
            "recipient limit",
            "maximum recipients",
            "maximum number of recipients",
            "max recipients",
            "number of recipients",
            "multiple regions",
            "recipient addresses exceed*",
            "maximum of recipients",
        ]],
        unless: TIMES,
        never_at: BEFORE_RCPT,
        classes: &[Class::Split],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::SplitRecipients,
        by_class: false,
        cause: "The message has more recipients than the server takes in one transaction.",
        cure: "Send to the remaining recipients in further transactions; the account's limits.recipients_per_message does \
               that beforehand.",
        ..REFUSED
    },
];

/// A refusal for good whose words promise more than its code.
pub(super) const LATER: &[Row] = &[Row {
    id: "later",
    words: &[
        &["#5*"],
        &[
            "try again later",
            "retry later",
            "please try later",
            "temporarily unavailable",
            "temporarily deferred",
        ],
    ],
    retry: Retry::After(5 * MINUTE),
    cause: "The server turned this away for the moment, despite the code of a refusal for good.",
    cure: "Send it again in five minutes or more, and ask the server's administrator if it comes back.",
    ..PASSING
}];
