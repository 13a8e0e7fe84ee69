//! Gmail: its requirements for the sending domain's DNS. The 421 form slows down, the 550 form refuses.
//!
//! Gmail gives several of these enhanced codes a meaning that differs from the registered one.

use pipepost_core::FailureKind;

use super::{GMAIL, HOUR, Row};
use crate::meaning::{Class, Retry, Scope};

/// The rows of the 421 form.
const SLOWED: Row = Row {
    codes: &[421],
    marked: true,
    by_code: true,
    classes: &[Class::Transient, Class::Configure],
    kind: FailureKind::Transient,
    scope: Scope::Account,
    retry: Retry::After(HOUR),
    ..GMAIL
};

/// The rows of the 550 form: permanent until the DNS is right.
const REFUSED: Row = Row {
    codes: &[550],
    marked: true,
    by_code: true,
    scope: Scope::Account,
    ..GMAIL
};

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "gmail-unauthenticated-slowed",
        enhanced: &[(4, 7, 26)],
        texts: &["unauthenticated", "either spf or dkim"],
        cause: "Gmail slows this mail down because the sender's domain passes neither SPF nor DKIM.",
        cure: "Add an SPF record that names the sending server to the domain's DNS, or have its provider sign with DKIM, \
               and send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-spf-slowed",
        enhanced: &[(4, 7, 27)],
        texts: &["spf"],
        cause: "Gmail slows this mail down because the sender's domain does not pass SPF.",
        cure: "Add the sending server to the SPF record in the domain's DNS, and send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-duplicate-message-id-slowed",
        enhanced: &[(4, 7, 28)],
        texts: &["message-id", "message id"],
        cause: "Gmail slows this mail down because many messages carry one and the same Message-ID.",
        cure: "Give every message a Message-ID of its own: take out a Message-ID header that the step sets, and send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-no-tls-slowed",
        enhanced: &[(4, 7, 29)],
        texts: &["tls"],
        cause: "Gmail slows this mail down because it did not come over TLS.",
        cure: "Set starttls_enable to true with port 587, or use port 465, and send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-dkim-slowed",
        enhanced: &[(4, 7, 30)],
        texts: &["dkim"],
        cause: "Gmail slows this mail down because its DKIM signature is missing or wrong.",
        cure: "Turn DKIM signing on at the sender's provider and publish its key in the domain's DNS, then send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-alignment-slowed",
        enhanced: &[(4, 7, 31), (4, 7, 32)],
        texts: &["align"],
        cause: "Gmail slows this mail down because the domain in From is neither the one that passes SPF nor the one that \
                signs with DKIM.",
        cure: "Send from an address of the domain that the sending provider signs for, or have it sign for the domain in \
               From.",
        ..SLOWED
    },
    Row {
        id: "gmail-dmarc-slowed",
        enhanced: &[(4, 7, 40)],
        texts: &["dmarc"],
        cause: "Gmail slows this mail down because the sender's domain has no DMARC record, or one without a policy.",
        cure: "Publish a DMARC record with a policy, p=none at least, in the domain's DNS, and send later.",
        ..SLOWED
    },
    Row {
        id: "gmail-spf-suspicious",
        enhanced: &[(5, 7, 24)],
        texts: &["suspicious entries", "spf record"],
        cause: "Gmail refuses mail of the sender's domain because its SPF record holds suspicious entries.",
        cure: "Take entries that let everybody send, such as +all or very large networks, out of the SPF record in the \
               domain's DNS.",
        ..REFUSED
    },
    Row {
        id: "gmail-ptr",
        enhanced: &[(5, 7, 25)],
        texts: &["ptr record", "ptr dns record", "guidelines regarding ptr"],
        cause: "Gmail refuses mail from this address because the address has no PTR record that leads back to it.",
        cure: "Send through the provider of the sender's domain, or have the owner of the address set a PTR record whose \
               name resolves to that address.",
        ..REFUSED
    },
    Row {
        id: "gmail-unauthenticated",
        enhanced: &[(5, 7, 26)],
        texts: &[
            "unauthenticated",
            "either spf or dkim",
            "dmarc policy",
            "not authenticated",
        ],
        cause: "Gmail refuses this mail because it is not authenticated as coming from the sender's domain: it passes \
                neither SPF nor DKIM, or its domain's DMARC policy forbids it.",
        cure: "Send through the provider of the domain in From, or add that domain's SPF and DKIM records for the server \
               that you use.",
        ..REFUSED
    },
    Row {
        id: "gmail-spf",
        enhanced: &[(5, 7, 27)],
        texts: &["spf"],
        cause: "Gmail refuses this mail because the sender's domain does not pass SPF.",
        cure: "Add the sending server to the SPF record in the domain's DNS, or send through the domain's own provider.",
        ..REFUSED
    },
    Row {
        id: "gmail-duplicate-message-id",
        enhanced: &[(5, 7, 28)],
        texts: &["message-id", "message id"],
        by_code: false,
        cause: "Gmail refuses this mail because many messages carry one and the same Message-ID.",
        cure: "Take out a Message-ID header that the step sets, so that every message gets one of its own.",
        ..REFUSED
    },
    Row {
        id: "gmail-no-tls",
        enhanced: &[(5, 7, 29)],
        texts: &["tls"],
        cause: "Gmail refuses this mail because it did not come over TLS.",
        cure: "Turn TLS on in the account: starttls_enable with port 587, or port 465, where TLS begins by itself.",
        ..REFUSED
    },
    Row {
        id: "gmail-dkim",
        enhanced: &[(5, 7, 30)],
        texts: &["dkim"],
        cause: "Gmail refuses this mail because its DKIM signature is missing or wrong.",
        cure: "Turn DKIM signing on at the sender's provider and publish its key in the domain's DNS, or send through the \
               domain's own provider.",
        ..REFUSED
    },
    Row {
        id: "gmail-dmarc",
        enhanced: &[(5, 7, 40)],
        texts: &["dmarc"],
        cause: "Gmail refuses this mail because the sender's domain has no DMARC record, or one without a policy.",
        cure: "Publish a DMARC record with a policy, p=none at least, in the domain's DNS, or send through the domain's own \
               provider.",
        ..REFUSED
    },
];
