//! TLS, EHLO, signing in, and what a server does for nobody that has not signed in.

use pipepost_core::FailureKind;

use super::{ACCOUNT, PASSING};
use crate::Stage;
use crate::meaning::{Retry, Scope};
use crate::rows::{HOUR, MINUTE, Row};

/// TLS and EHLO.
pub(super) const CONNECTION: &[Row] = &[
    Row {
        id: "tls-version",
        words: &[
            &["tls", "ssl"],
            &["1.0", "1.1", "1.2", "1.3", "version*", "protocol*"],
            &[
                "not supported",
                "upgrade*",
                "deprecated",
                "no longer",
                "at least",
                "minimum",
                "disabled",
            ],
        ],
        scope: Scope::Connection,
        cause: "The server does not take the version of TLS that this connection uses.",
        cure: "Take settings that limit the version of TLS, such as mail.smtp.ssl.protocols, out of the account, and look \
               for a proxy or a virus scanner on the way if there are none.",
        ..ACCOUNT
    },
    Row {
        id: "client-certificate",
        words: &[
            &["client certificate", "client cert"],
            &[
                "no",
                "not",
                "must",
                "require*",
                "need*",
                "untrusted",
                "invalid",
                "unknown",
            ],
        ],
        scope: Scope::Connection,
        cause: "The server takes mail only from clients that show a certificate that it trusts.",
        cure: "Write client_certificate and client_key into the account, as the server's operator issued them.",
        ..ACCOUNT
    },
    Row {
        id: "starttls-first",
        words: &[
            &[
                "starttls",
                "tls",
                "ssl",
                "encrypt*",
                "encryption",
                "unencrypted",
                "secure connection",
            ],
            &[
                "must",
                "require*",
                "need*",
                "only",
                "first",
                "without",
                "not allowed",
                "not permitted",
                "not accepted",
                "use",
            ],
        ],
        unless: &[
            "temporary*",
            "not available",
            "local problem",
            "handshake",
            "certificate",
            "spf",
            "dkim",
            "dmarc",
            "repeated",
        ],
        cause: "The server takes neither sign-in nor mail before TLS, and this account does not turn TLS on.",
        cure: "Set starttls_enable to true with port 587, or use port 465, where TLS begins by itself.",
        ..ACCOUNT
    },
    Row {
        id: "sign-in-not-offered",
        words: &[&[
            "auth command used when not advertised",
            "authentication not enabled",
            "authentication is not enabled",
            "authentication not supported",
            "authentication is not supported",
            "auth not available",
            "auth not supported",
            "auth is not supported",
        ]],
        cause: "The server offers no sign-in on this connection.",
        cure: "Set starttls_enable to true with port 587, or use port 465, because many servers offer it over TLS only; if \
               this server wants no sign-in, set the account's auth to false.",
        ..ACCOUNT
    },
    Row {
        id: "ehlo-name-rejected",
        words: &[
            &["helo", "ehlo"],
            &[
                "rejected",
                "invalid",
                "bad",
                "syntactically",
                "must",
                "should",
                "need*",
                "denied",
                "does not match",
                "doesnt match",
                "mismatch",
                "not accepted",
                "not acceptable",
                "not found",
                "not resolve*",
                "refused",
                "not valid",
                "requires",
                "forged",
                "spoofed",
                "not allowed",
                "illegal",
                "blocked",
                "argument*",
            ],
        ],
        unless: &["first", "required", "again", "sequence", "before", "duplicate"],
        scope: Scope::Connection,
        cause: "The server does not accept the name that this machine gives in EHLO, or does not find it in the DNS.",
        cure: "Set mail.smtp.localhost to a full public name of this machine that resolves in the DNS.",
        ..ACCOUNT
    },
    Row {
        id: "ehlo-name-syntax",
        codes: &[501],
        words: &[&[
            "invalid domain name",
            "domain address",
            "invalid hostname",
            "invalid host name",
        ]],
        scope: Scope::Connection,
        cause: "The server does not take the name that this machine gives in EHLO for the name of a machine.",
        cure: "Set mail.smtp.localhost to a full public name of this machine, with a dot and without underscores.",
        ..ACCOUNT
    },
];

/// Sign-ins that may succeed later.
pub(super) const BUSY: &[Row] = &[
    Row {
        id: "too-many-sign-ins",
        words: &[
            &["#4*"],
            &["too many", "too often"],
            &["auth*", "login*", "logins", "sign in*", "signin*", "password*"],
        ],
        unless: &["unauthenticated"],
        scope: Scope::Account,
        retry: Retry::After(HOUR),
        cause: "The server takes no sign-in for a while, because too many have failed.",
        cure: "Check username and password once, then wait an hour before the next try, because each failed one prolongs the \
               time.",
        ..PASSING
    },
    Row {
        id: "sign-in-unavailable",
        words: &[
            &["#4*"],
            &["authentication", "auth", "sign in", "login", "credentials"],
            &[
                "temporary",
                "temporarily",
                "internal",
                "connection lost",
                "backend",
                "unavailable",
                "try again",
                "later",
                "system problem",
            ],
        ],
        unless: &["limit*", "quota*", "exceed*", "credits"],
        scope: Scope::Account,
        retry: Retry::After(5 * MINUTE),
        cause: "The server cannot check sign-ins at the moment.",
        cure: "Leave the credentials as they are and try again in five minutes or more.",
        ..PASSING
    },
];

/// Mail that a server passes on for its own users alone.
pub(super) const RELAY: &[Row] = &[Row {
    id: "relay-denied",
    words: &[
        &[
            "relay",
            "relaying",
            "relayed",
            "relays",
            "rcpthosts",
            "non accepted domain",
            "direct send",
            "delivery is not allowed to this address",
            "client host rejected access denied",
        ],
        &[
            "denied",
            "deny",
            "not permitted",
            "not allowed",
            "disallow*",
            "refused",
            "reject*",
            "unable",
            "cannot",
            "cant",
            "prohibited",
            "not in my",
            "isnt in my",
            "no",
            "required",
            "without",
            "forbidden",
            "denies",
            "not been configured",
            "not relay",
            "dont relay",
        ],
    ],
    unless: &["relay recipient table"],
    scope: Scope::Recipient,
    cause: "The server does not pass mail on to other domains, mostly because nobody has signed in.",
    cure: "Give the account username and password and do not set its auth to false, or name the server that is meant \
               for outgoing mail.",
    ..ACCOUNT
}];

/// Credentials, and that they are missing.
pub(super) const ROWS: &[Row] = &[
    Row {
        id: "mechanism-not-offered",
        codes: &[504],
        words: &[&["authentication", "auth", "mechanism"]],
        kind: FailureKind::Authentication,
        cause: "The server does not know the sign-in mechanism that was used.",
        cure: "Set the account's auth to true, so that each mechanism on offer is tried; if that changes nothing, ask the \
               server's operator how this account may sign in.",
        ..ACCOUNT
    },
    Row {
        id: "credentials-refused",
        words: &[&[
            "authentication failed",
            "authentication fail*",
            "authentication unsuccessful",
            "authentication error",
            "authentication rejected",
            "authentication credentials",
            "authentication denied",
            "credentials",
            "username",
            "user name",
            "password",
            "login fail*",
            "invalid login",
            "bad login",
            "login incorrect",
            "incorrect login",
            "could not authenticate",
            "unable to authenticate",
            "cannot authenticate",
            "api key",
            "api token",
            "access token",
            "key not found",
            "authorization code",
            "user has no permission",
        ]],
        // RFC 4954, section 6: these say that the sign-in cannot be checked now. At AUTH every refusal is one of these.
        unless: &["#421", "#432", "#454", "attachment*", "protected"],
        never_at: &[Stage::Auth],
        kind: FailureKind::Authentication,
        cause: "The server did not accept the credentials of the account.",
        cure: "Check the account's username and password, or its API key or token; many providers want the full address, and \
               an app password in place of the usual one.",
        ..ACCOUNT
    },
    Row {
        id: "authentication-required",
        words: &[&[
            "authentication required",
            "authentication is required",
            "authentication needed",
            "auth required",
            "requires authentication",
            "require authentication",
            "need to authenticate",
            "must authenticate",
            "must be authenticated",
            "please authenticate",
            "authenticate first",
            "authenticate before",
            "authenticate yourself",
            "not authenticated",
            "must issue an auth",
            "auth first",
            "auth command first",
            "log in first",
            "login first",
            "must log in",
            "must login",
            "please log in",
            "please login",
            "unauthenticated senders",
            "sign in first",
            "must sign in",
            "please sign in",
        ]],
        unless: &["sender address rejected"],
        never_at: &[Stage::Auth],
        kind: FailureKind::Authentication,
        cause: "The server takes mail only after a sign-in, and this connection is not signed in.",
        cure: "Give the account username and password, and do not set its auth to false.",
        ..ACCOUNT
    },
];
