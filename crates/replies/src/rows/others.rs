//! The well-known replies of other providers.

use pipepost_core::FailureKind;

use super::{DAY, GMAIL, Row};
use crate::meaning::{Class, Retry, Scope};
use crate::provider::Provider;

/// A sign-in that the server did not take.
const SIGN_IN: Row = Row {
    codes: &[535],
    classes: &[Class::Configure],
    kind: FailureKind::Authentication,
    scope: Scope::Account,
    ..GMAIL
};

const OUTLOOK: Row = Row {
    provider: Provider::Outlook,
    enhanced: &[(5, 7, 139)],
    ..SIGN_IN
};
const YAHOO: Row = Row {
    provider: Provider::Yahoo,
    enhanced: &[(5, 7, 0)],
    ..SIGN_IN
};
const SES: Row = Row {
    provider: Provider::Ses,
    ..SIGN_IN
};
const SENDGRID: Row = Row {
    provider: Provider::SendGrid,
    ..SIGN_IN
};
const MAILGUN: Row = Row {
    provider: Provider::Mailgun,
    ..SIGN_IN
};
const POSTMARK: Row = Row {
    provider: Provider::Postmark,
    ..SIGN_IN
};
const ZOHO: Row = Row {
    provider: Provider::Zoho,
    ..SIGN_IN
};
pub(super) const ROWS: &[Row] = &[
    // Outlook.com and Microsoft 365.
    Row {
        id: "outlook-smtp-auth-off-tenant",
        texts: &["smtpclientauthentication is disabled for the tenant"],
        cause: "Signing in over SMTP is turned off for your whole Microsoft 365 organisation.",
        cure: "Ask the Exchange administrator to allow authenticated SMTP for this mailbox, which overrides the \
               organisation's setting.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-smtp-auth-off-mailbox",
        texts: &["smtpclientauthentication is disabled for the mailbox"],
        cause: "Signing in over SMTP is turned off for this mailbox.",
        cure: "Ask the Exchange administrator to tick Authenticated SMTP for this mailbox, in the Microsoft 365 admin center \
               under Active users, Mail, Manage email apps.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-security-defaults",
        texts: &["security defaults policy"],
        cause: "Your organisation's security defaults forbid signing in with a password over SMTP.",
        cure: "Use an oauth-2 account with the provider microsoft, or ask the administrator to replace the security defaults \
               by conditional access.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-basic-auth-off",
        texts: &["basic authentication is disabled"],
        cause: "Microsoft no longer takes passwords over SMTP for this account.",
        cure: "Use an oauth-2 account with the provider microsoft; no password, app password included, will do.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-conditional-access",
        texts: &["did not meet the criteria"],
        cause: "A conditional access rule of your organisation does not let this sign-in through.",
        cure: "Ask the administrator to look at this sign-in in the Microsoft Entra sign-in log and to let it through.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-bad-credentials",
        enhanced: &[(5, 7, 139), (5, 7, 3)],
        texts: &["user credentials were incorrect", "authentication unsuccessful"],
        by_code: true,
        cause: "Microsoft did not accept the user name and the password, or the token, or does not let this mailbox sign in \
                over SMTP.",
        cure: "Check that username is the mailbox's full address, make an app password if the account has two-step \
               verification, and ask the administrator whether Authenticated SMTP is on for it.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-not-authenticated",
        codes: &[530],
        enhanced: &[(5, 7, 57)],
        texts: &["client was not authenticated", "client not authenticated", "5.7.57"],
        by_code: true,
        cause: "Microsoft takes mail only after a sign-in, and this connection is not signed in.",
        cure: "Give the account username and password or OAuth, do not set its auth to false, and check that Authenticated \
               SMTP is on for the mailbox.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-send-as",
        codes: &[550, 554],
        enhanced: &[(5, 7, 60), (5, 2, 252), (5, 2, 0)],
        texts: &["send as this sender", "sendasdenied"],
        kind: FailureKind::Configuration,
        cause: "The mailbox that signed in may not send as the address in From.",
        cure: "Send from the mailbox's own address, or ask the Exchange administrator for the Send As permission.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-no-such-recipient",
        codes: &[550],
        enhanced: &[(5, 4, 1)],
        texts: &["recipient address rejected: access denied"],
        classes: &[Class::Permanent],
        kind: FailureKind::Refused,
        scope: Scope::Recipient,
        cause: "The recipient's organisation, on Microsoft 365, knows no such address.",
        cure: "Correct the address; where it is right, the recipient's administrator has to open it for mail from outside.",
        ..OUTLOOK
    },
    Row {
        id: "outlook-connections",
        codes: &[421, 432],
        enhanced: &[(4, 3, 2)],
        texts: &["concurrent connections limit exceeded"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Connection,
        retry: Retry::Soon,
        cause: "This mailbox has more connections open than Microsoft allows, which are three.",
        cure: "Set the account's max_connections to 3 or less and try again in a minute.",
        ..OUTLOOK
    },
    // Yahoo and AOL.
    Row {
        id: "yahoo-too-many-attempts",
        texts: &["#auth005"],
        cause: "Yahoo counts too many failed sign-ins, which is also what it says to an ordinary password.",
        cure: "Make an app password in Yahoo's account security settings, put it into the account, and wait some minutes \
               before the next try.",
        ..YAHOO
    },
    Row {
        id: "yahoo-bad-credentials",
        texts: &["#mbr1212", "#auth012"],
        by_code: true,
        cause: "Yahoo did not accept the user name and the password; the ordinary password does not work here.",
        cure: "Use the full address as username and an app password from Yahoo's account security settings as password.",
        ..YAHOO
    },
    // iCloud.
    Row {
        id: "icloud-app-password",
        provider: Provider::ICloud,
        enhanced: &[(5, 7, 8), (5, 7, 0)],
        texts: &["app-specific password", "app specific password"],
        by_code: true,
        cause: "iCloud did not accept the user name and the password; the password of the Apple Account does not work here.",
        cure: "Make an app-specific password in the Apple Account's settings under Sign-In and Security, and use the full \
               iCloud address as username.",
        ..SIGN_IN
    },
    // Amazon SES.
    Row {
        id: "ses-bad-credentials",
        texts: &["authentication credentials invalid"],
        marked: true,
        cause: "The server does not know these credentials; Amazon SES makes its SMTP credentials for one region, and they \
                are not the AWS access keys.",
        cure: "Create SMTP credentials in the console of Amazon SES, in the region of the account's host, and use those.",
        ..SES
    },
    Row {
        id: "ses-unverified",
        codes: &[554],
        texts: &[
            "email address is not verified",
            "email addresses are not verified",
            "identities failed the check",
        ],
        kind: FailureKind::Configuration,
        cause: "Amazon SES takes mail from verified addresses only and, while the account is in the sandbox, to verified \
                addresses only.",
        cure: "Verify the sender's address or domain in the console of Amazon SES, in the region of the account's host, or \
               ask there for production access.",
        ..SES
    },
    Row {
        id: "ses-rate",
        codes: &[454],
        texts: &["maximum sending rate exceeded"],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        retry: Retry::After(1),
        cause: "More messages went to Amazon SES in one second than the account's sending rate allows.",
        cure: "Set the account's messages_per_second to the rate that the console of Amazon SES shows.",
        ..SES
    },
    Row {
        id: "ses-daily-quota",
        codes: &[454],
        texts: &["daily message quota exceeded"],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        retry: Retry::After(DAY),
        cause: "The account has sent as much in 24 hours as its quota at Amazon SES allows.",
        cure: "Wait up to 24 hours, or ask for a higher quota in the console of Amazon SES.",
        ..SES
    },
    Row {
        id: "ses-paused",
        codes: &[554],
        texts: &["sending paused for this account"],
        kind: FailureKind::Configuration,
        cause: "Amazon has paused sending for this account, mostly for bounces or complaints.",
        cure: "Read the notice in the console of Amazon SES, under reputation, and answer it.",
        ..SES
    },
    // SendGrid, Mailgun, Postmark.
    Row {
        id: "sendgrid-bad-key",
        texts: &["authorization grant is invalid", "bad username / password"],
        cause: "SendGrid did not accept the API key.",
        cure: "Use the word apikey as username and an API key with the Mail Send permission as password.",
        ..SENDGRID
    },
    Row {
        id: "sendgrid-credits",
        codes: &[451, 535],
        texts: &["maximum credits exceeded"],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        retry: Retry::After(DAY),
        cause: "The messages of your SendGrid plan are used up; it is not a wrong key, though it comes at the sign-in.",
        cure: "Wait for the plan's next period, or raise the plan in SendGrid's billing settings.",
        ..SENDGRID
    },
    Row {
        id: "sendgrid-sender",
        codes: &[550],
        texts: &["verified sender identity"],
        kind: FailureKind::Configuration,
        cause: "SendGrid takes mail only from senders that you have verified, and the address in From is not one.",
        cure: "Verify the address or its domain in SendGrid's settings under Sender Authentication.",
        ..SENDGRID
    },
    Row {
        id: "sendgrid-unauthenticated",
        codes: &[550],
        texts: &["unauthenticated senders not allowed"],
        cause: "SendGrid takes mail only after a sign-in, and this connection is not signed in.",
        cure: "Give the account the username apikey and an API key as password, and do not set its auth to false.",
        ..SENDGRID
    },
    Row {
        id: "mailgun-bad-credentials",
        texts: &["mailgun is not loving your login or password"],
        cause: "Mailgun did not accept the user name and the password.",
        cure: "Use the SMTP credentials of the sending domain, as its Domain settings in Mailgun show them, and the host of \
               the domain's region.",
        ..MAILGUN
    },
    Row {
        id: "mailgun-sandbox",
        codes: &[421, 550],
        texts: &["authorized recipients", "sandbox subdomains are for test purposes"],
        kind: FailureKind::Configuration,
        scope: Scope::Recipient,
        cause: "The sending domain is a Mailgun sandbox, which sends to authorized recipients only.",
        cure: "Add the recipient to the authorized recipients in Mailgun, or send from a domain of your own.",
        ..MAILGUN
    },
    Row {
        id: "postmark-sender",
        codes: &[550],
        texts: &["not a sender signature on your account"],
        kind: FailureKind::Configuration,
        cause: "Postmark takes mail only from senders with a signature, and the address in From has none.",
        cure: "Add the address or its domain in Postmark under Sender Signatures and confirm it.",
        ..POSTMARK
    },
    Row {
        id: "postmark-inactive-recipient",
        codes: &[550],
        texts: &["recipient(s) that have been marked as inactive"],
        classes: &[Class::Permanent],
        kind: FailureKind::Refused,
        scope: Scope::Recipient,
        cause: "Postmark no longer sends to this recipient after a bounce or a complaint.",
        cure: "Reactivate the address in Postmark's suppressions if it is right and wants the mail.",
        ..POSTMARK
    },
    // Zoho Mail.
    Row {
        id: "zoho-bad-credentials",
        texts: &["authentication failed"],
        marked: true,
        cause: "Zoho did not accept the user name and the password of this account.",
        cure: "Use the full address as username, an application-specific password if the account has two-factor \
               authentication, and the host of the account's own region, such as smtp.zoho.eu, or smtppro.zoho.com for an \
               organisation's domain.",
        ..ZOHO
    },
    Row {
        id: "zoho-sender",
        codes: &[552, 553],
        texts: &["relaying disallowed as"],
        kind: FailureKind::Configuration,
        scope: Scope::Transaction,
        cause: "Zoho sends only from the addresses and aliases of the account that signed in.",
        cure: "Use one of them as from, or add the address as an alias of the account.",
        ..ZOHO
    },
];
