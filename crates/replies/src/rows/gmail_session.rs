//! Gmail: the connection, TLS, EHLO, signing in, and the order of commands.

use pipepost_core::FailureKind;

use super::{APP_PASSWORDS, GMAIL, HOUR, MINUTE, Row};
use crate::meaning::{Class, Retry, Scope};
use crate::stage::Stage;

pub(super) const ROWS: &[Row] = &[
    // The connection.
    Row {
        id: "gmail-temporary-problem",
        codes: &[421],
        enhanced: &[(4, 3, 0), (4, 7, 0)],
        texts: &["temporary system problem"],
        classes: &[Class::Reconnect],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::After(30),
        cause: "Gmail has a temporary problem and closed the connection.",
        cure: "Nothing is wrong on your side: try again in a minute, with fewer messages a second if it comes back.",
        ..GMAIL
    },
    Row {
        id: "gmail-busy",
        codes: &[421],
        enhanced: &[(4, 4, 5)],
        texts: &["server busy"],
        by_code: true,
        classes: &[Class::Reconnect],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::After(MINUTE),
        cause: "The server is too busy to take this connection.",
        cure: "Try again in a few minutes, and lower the account's max_connections if it comes back.",
        ..GMAIL
    },
    Row {
        id: "gmail-ehlo-refused",
        codes: &[421],
        enhanced: &[(4, 7, 0)],
        texts: &["try again later, closing connection"],
        stages: &[Stage::Greeting, Stage::Ehlo],
        classes: &[Class::Reconnect, Class::Configure],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::After(MINUTE),
        cause: "Gmail closed the connection at EHLO, which mostly means that it does not accept the EHLO name or that the \
                relay does not know this address.",
        cure: "Set mail.smtp.localhost to this machine's full public name, and for smtp-relay.gmail.com add this \
               machine's public address to the SMTP relay settings of the Google Admin console; if both are right, wait \
               some minutes.",
        ..GMAIL
    },
    Row {
        id: "gmail-try-later",
        codes: &[421],
        enhanced: &[(4, 7, 0)],
        texts: &["try again later, closing connection"],
        classes: &[Class::Reconnect, Class::Configure],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::After(5 * MINUTE),
        cause: "Gmail closed the connection because it sees too many connections or sign-ins from here.",
        cure: "Wait some minutes and lower the account's max_connections; if it comes right after EHLO, set \
               mail.smtp.localhost to this machine's full public name.",
        ..GMAIL
    },
    Row {
        id: "gmail-address-not-allowed-by-domain",
        codes: &[421],
        enhanced: &[(4, 7, 0)],
        texts: &["ip not in whitelist"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Connection,
        cause: "The recipient's domain or the relay takes mail from listed addresses only, and this machine's public \
                address is not on the list.",
        cure: "Ask the Workspace administrator to add this machine's public address in the Admin console, under the \
               SMTP relay or inbound gateway settings.",
        ..GMAIL
    },
    Row {
        id: "gmail-tls-required-by-domain",
        codes: &[421],
        enhanced: &[(4, 7, 0)],
        texts: &["tls required for rcpt domain"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Connection,
        cause: "The recipient's domain takes mail over TLS only, and this connection is in clear.",
        cure: "Set starttls_enable to true with port 587, or use port 465.",
        ..GMAIL
    },
    Row {
        id: "gmail-timeout",
        codes: &[451],
        enhanced: &[(4, 4, 2)],
        texts: &["timeout - closing connection", "timeout – closing connection"],
        by_code: true,
        classes: &[Class::Reconnect],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::NewConnection,
        cause: "The server waited too long for the next command and closed the connection.",
        cure: "Send it again on a new connection; if it comes back, look for a slow network or a proxy that holds data \
               back.",
        ..GMAIL
    },
    // TLS and EHLO.
    Row {
        id: "gmail-bytes-after-starttls",
        codes: &[454],
        enhanced: &[(4, 5, 0)],
        texts: &["no commands allowed to pipeline after starttls"],
        by_code: true,
        classes: &[Class::Bug],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::NewConnection,
        cause: "The server received more than STARTTLS before the TLS handshake, which this client never sends by itself.",
        cure: "Look for a proxy or a virus scanner between this machine and the server that alters the traffic, and report it \
               with a transcript if there is none.",
        ..GMAIL
    },
    Row {
        id: "gmail-starttls-twice",
        codes: &[454],
        enhanced: &[(5, 5, 1)],
        texts: &["starttls may not be repeated"],
        by_code: true,
        classes: &[Class::Bug],
        scope: Scope::Connection,
        cause: "STARTTLS was sent on a connection that is under TLS already.",
        cure: "Use port 465 with TLS from the first byte or port 587 with STARTTLS, not both, and report it with a \
               transcript if the account is so already.",
        ..GMAIL
    },
    Row {
        id: "gmail-ehlo-name",
        codes: &[501],
        enhanced: &[(5, 5, 4)],
        texts: &["helo/ehlo argument"],
        by_code: true,
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Connection,
        cause: "The server does not accept the name that this machine gives in EHLO.",
        cure: "Set mail.smtp.localhost to this machine's full public name, with a dot and without underscores or blanks.",
        ..GMAIL
    },
    // Signing in.
    Row {
        id: "gmail-web-login",
        codes: &[534, 535],
        enhanced: &[(5, 7, 14), (5, 7, 9), (5, 7, 1)],
        texts: &[
            "via your web browser",
            "with your web browser",
            "/signin/continue",
            "p=webloginrequired",
        ],
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "Gmail blocked this sign-in as unusual and wants you to confirm in the browser that it was you.",
        cure: "Open the link in a browser signed in as this account and confirm, then sign in here with an app password \
               or with OAuth.",
        ..GMAIL
    },
    Row {
        id: "gmail-app-password-required",
        codes: &[534, 535],
        enhanced: &[(5, 7, 9), (5, 7, 1)],
        texts: &["application-specific password required", "p=invalidsecondfactor"],
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "The account has 2-Step Verification, so Gmail refuses its ordinary password here.",
        cure: "Make an app password and put its 16 letters into the account's password.",
        link: Some(APP_PASSWORDS),
        ..GMAIL
    },
    Row {
        id: "gmail-bad-credentials",
        codes: &[535],
        enhanced: &[(5, 7, 8), (5, 7, 1)],
        texts: &["username and password not accepted", "p=badcredentials"],
        by_code: true,
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "Gmail did not accept the user name and the password, or the OAuth token, of this account; ordinary \
                Google passwords no longer work here.",
        cure: "Use the full address as username and an app password of that same address, without blanks, as password, \
               or authorize the account again if it uses OAuth.",
        link: Some(APP_PASSWORDS),
        ..GMAIL
    },
    Row {
        id: "gmail-too-many-logins",
        codes: &[454],
        enhanced: &[(4, 7, 0)],
        texts: &["too many login attempts"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Account,
        retry: Retry::After(15 * MINUTE),
        cause: "This account signed in too often in a short time, and the server takes no sign-in for some minutes.",
        cure: "Leave the credentials as they are and wait some minutes; send several messages over one connection, and \
               lower the account's max_connections.",
        ..GMAIL
    },
    Row {
        id: "gmail-cannot-authenticate-now",
        codes: &[454],
        enhanced: &[(4, 7, 0)],
        texts: &["cannot authenticate due to temporary system problem"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Account,
        retry: Retry::After(MINUTE),
        cause: "Gmail cannot check sign-ins at the moment.",
        cure: "Leave the credentials as they are and try again in some minutes.",
        ..GMAIL
    },
    Row {
        id: "gmail-undecodable-credentials",
        codes: &[501],
        enhanced: &[(5, 5, 2)],
        texts: &["cannot decode"],
        by_code: true,
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "The server could not decode the credentials: the user name, password or token holds stray characters.",
        cure: "Paste username and password again, without quotes, line breaks or invisible characters.",
        ..GMAIL
    },
    Row {
        id: "gmail-unknown-mechanism",
        codes: &[504],
        enhanced: &[(5, 7, 4)],
        texts: &["unrecognized authentication type"],
        by_code: true,
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "The server does not offer the sign-in mechanism that the account names.",
        cure: "Set the account's auth to true, so that each mechanism on offer is tried; if it is true already, ask the server's \
               operator how this account may sign in.",
        ..GMAIL
    },
    Row {
        id: "gmail-auth-argument",
        codes: &[535],
        enhanced: &[(5, 5, 4)],
        texts: &["optional argument not permitted"],
        by_code: true,
        classes: &[Class::Bug],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "The sign-in command carried an argument that its mechanism does not take.",
        cure: "Name another mechanism in the account's auth, such as PLAIN or XOAUTH2, and report it with a transcript.",
        ..GMAIL
    },
    Row {
        id: "gmail-authentication-required",
        codes: &[530],
        enhanced: &[(5, 5, 1), (5, 7, 0)],
        texts: &["authentication required"],
        marked: true,
        classes: &[Class::Configure],
        kind: FailureKind::Authentication,
        scope: Scope::Account,
        cause: "Gmail takes mail only after a sign-in, and this connection is not signed in.",
        cure: "Give the account a username and an app password, or OAuth, and do not set its auth to false.",
        link: Some(APP_PASSWORDS),
        ..GMAIL
    },
    Row {
        id: "gmail-second-sign-in",
        codes: &[503],
        enhanced: &[(5, 7, 0)],
        texts: &["no identity changes permitted"],
        by_code: true,
        classes: &[Class::Bug],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::NewConnection,
        cause: "A second sign-in was tried on one connection, and the server takes only one.",
        cure: "Send it again on a new connection, and report it with a transcript.",
        ..GMAIL
    },
    Row {
        id: "gmail-too-many-unauthenticated",
        codes: &[554],
        enhanced: &[(5, 7, 0)],
        texts: &["too many unauthenticated commands"],
        by_code: true,
        classes: &[Class::Reconnect, Class::Bug],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::NewConnection,
        cause: "Too many commands came before the sign-in, and the server gave the connection up.",
        cure: "Send it again on a new connection, and check that the account's auth is not false.",
        ..GMAIL
    },
    // The order of commands.
    Row {
        id: "gmail-protocol-violation",
        codes: &[451],
        enhanced: &[(4, 5, 0)],
        texts: &["smtp protocol violation"],
        by_code: true,
        classes: &[Class::Bug],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::NewConnection,
        cause: "The server read something that breaks the rules of SMTP, such as commands sent ahead of a reply.",
        cure: "Set the account's pipelining to off and try again, and report it with a transcript.",
        ..GMAIL
    },
    Row {
        id: "gmail-too-many-unrecognized",
        codes: &[502],
        enhanced: &[(5, 5, 1)],
        texts: &["too many unrecognized commands"],
        classes: &[Class::Bug],
        scope: Scope::Connection,
        cause: "The server took many lines for unknown commands and closed the connection, as when content is read as commands.",
        cure: "Do not send it again before you have looked at a transcript, and report it with that transcript.",
        ..GMAIL
    },
    Row {
        id: "gmail-unrecognized-command",
        codes: &[502],
        enhanced: &[(5, 5, 1)],
        texts: &["unrecognized command", "unimplemented command"],
        by_code: true,
        classes: &[Class::Bug],
        cause: "The server does not know a command that was sent, or does not take it.",
        cure: "Look for a proxy or a mail filter between this machine and the server that alters commands, and report it with \
               a transcript if there is none.",
        ..GMAIL
    },
    Row {
        id: "gmail-command-order",
        codes: &[503],
        enhanced: &[(5, 5, 1)],
        texts: &["ehlo/helo first", "mail first", "rcpt first"],
        by_code: true,
        classes: &[Class::Bug],
        kind: FailureKind::Transient,
        scope: Scope::Transaction,
        retry: Retry::NewConnection,
        cause: "The server and this client disagree on where the dialogue stands: a command came before the one that must \
                precede it.",
        cure: "Send it again on a new connection, and report it with a transcript if it comes back.",
        ..GMAIL
    },
    // Rates of the whole machine.
    Row {
        id: "gmail-unsolicited-rate-deferred",
        codes: &[421],
        enhanced: &[(4, 7, 0), (4, 7, 28)],
        texts: &["unusual rate of unsolicited mail", "unusual rate of email"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Account,
        retry: Retry::After(2 * HOUR),
        cause: "Gmail sees an unusual amount of unsolicited mail from here and holds it back for some hours.",
        cure: "Stop sending for some hours, set the account's messages_per_second lower, and check the list of recipients \
               for people who did not ask for this mail.",
        ..GMAIL
    },
    Row {
        id: "gmail-suspicious-deferred",
        codes: &[421],
        enhanced: &[(4, 7, 0)],
        texts: &["this message is suspicious", "message is likely unsolicited"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Transaction,
        retry: Retry::After(HOUR),
        cause: "Gmail takes this message for suspicious, by its content, its links or the reputation of the sending domain.",
        cure: "Send it later, and check the links and the sending domain's reputation in Google Postmaster Tools.",
        ..GMAIL
    },
];
