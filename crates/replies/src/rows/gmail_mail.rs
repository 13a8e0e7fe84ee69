//! Gmail: quotas, recipients, content, policy.

use pipepost_core::FailureKind;

use super::{DAY, GMAIL, HOUR, MINUTE, Row};
use crate::meaning::{Class, Retry, Scope};

pub(super) const ROWS: &[Row] = &[
    // Quotas. Some of them wear a 5 though time alone cures them.
    Row {
        id: "gmail-relay-limit-user",
        codes: &[550],
        enhanced: &[(5, 4, 5), (5, 7, 1)],
        texts: &[
            "daily smtp relay limit exceeded for user",
            "daily smtp relay sending limit exceeded for this user",
        ],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        scope: Scope::Account,
        retry: Retry::After(DAY),
        cause: "This user has sent the 10 000 messages that the Workspace relay takes from one user in 24 hours.",
        cure: "Wait up to 24 hours, or spread the mail over several users of the domain.",
        ..GMAIL
    },
    Row {
        id: "gmail-relay-limit-customer",
        codes: &[550],
        enhanced: &[(5, 4, 5), (5, 7, 1)],
        texts: &[
            "daily smtp relay limit exceeded for customer",
            "daily smtp relay sending limit exceeded for this customer",
        ],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        scope: Scope::Account,
        retry: Retry::After(DAY),
        cause: "Your whole organisation has used up what the Workspace relay takes from it in 24 hours.",
        cure: "Wait up to 24 hours, and ask the Workspace administrator who else sends through the relay.",
        ..GMAIL
    },
    Row {
        id: "gmail-daily-limit",
        codes: &[550],
        enhanced: &[(5, 4, 5)],
        texts: &[
            "daily user sending limit exceeded",
            "daily sending quota exceeded",
            "daily user sending quota exceeded",
        ],
        by_code: true,
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        scope: Scope::Account,
        retry: Retry::After(DAY),
        cause: "This account has sent as many messages as Gmail allows it in 24 hours: 500, or 2 000 in a paid Workspace.",
        cure: "Wait up to 24 hours and send the rest then; set the account's messages_per_day to stay below the limit.",
        ..GMAIL
    },
    Row {
        id: "gmail-email-quota",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &["email quota exceeded"],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        scope: Scope::Account,
        retry: Retry::After(DAY),
        cause: "An email quota of this account or of its organisation is used up, despite the code of a refusal.",
        cure: "Wait up to 24 hours, and ask the Workspace administrator which quota it is if it comes back.",
        ..GMAIL
    },
    Row {
        id: "gmail-relay-peak",
        codes: &[450],
        enhanced: &[(4, 2, 1)],
        texts: &["peak smtp relay limit exceeded"],
        classes: &[Class::Quota],
        kind: FailureKind::Quota,
        scope: Scope::Account,
        retry: Retry::After(10 * MINUTE),
        cause: "Your organisation sends more at once through the Workspace relay than its peak limit allows.",
        cure: "Wait ten minutes and go on more slowly: set the account's messages_per_second.",
        ..GMAIL
    },
    // Recipients.
    Row {
        id: "gmail-recipient-rate",
        codes: &[450],
        enhanced: &[(4, 2, 1)],
        texts: &["receiving mail too quickly", "receiving mail at a rate"],
        by_code: true,
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::After(15 * MINUTE),
        cause: "This recipient gets more mail at the moment than the server delivers to one mailbox.",
        cure: "Send to this recipient later; the other recipients are not affected.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-rate-refused",
        codes: &[550],
        enhanced: &[(5, 2, 1)],
        texts: &["receiving mail at a rate", "receiving mail too quickly"],
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::After(HOUR),
        cause: "This recipient's mailbox is flooded, so the server turns mail to it away for a while, despite the code of a \
                refusal.",
        cure: "Send to this recipient again in an hour or more, and send it fewer messages.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-disabled",
        codes: &[550],
        enhanced: &[(5, 2, 1)],
        texts: &["is disabled", "is inactive"],
        by_code: true,
        scope: Scope::Recipient,
        cause: "This recipient's account is disabled.",
        cure: "Take the address off your list, or ask the person for another one.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-unknown",
        codes: &[550],
        enhanced: &[(5, 1, 1)],
        texts: &["account that you tried to reach does not exist"],
        by_code: true,
        scope: Scope::Recipient,
        cause: "There is no mailbox with this recipient's address.",
        cure: "Correct the address: look for typing errors, blanks, and a wrong domain.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-domain-unknown",
        codes: &[553],
        enhanced: &[(5, 1, 2)],
        texts: &["unable to find the recipient domain"],
        by_code: true,
        scope: Scope::Recipient,
        cause: "The domain after the @ of this recipient's address takes no mail or does not exist.",
        cure: "Correct the domain of the address, such as gmial.com for gmail.com.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-full",
        codes: &[452],
        enhanced: &[(4, 2, 2)],
        texts: &["over quota", "out of storage space"],
        by_code: true,
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::After(HOUR),
        cause: "This recipient's mailbox is full for the moment.",
        cure: "Tell the recipient by another way to free some space, and send it again later.",
        ..GMAIL
    },
    Row {
        id: "gmail-recipient-full-refused",
        codes: &[552],
        enhanced: &[(5, 2, 2)],
        texts: &["over quota", "out of storage space"],
        by_code: true,
        scope: Scope::Recipient,
        cause: "This recipient's mailbox is full, and the server no longer tries to deliver to it.",
        cure: "Ask the recipient by another way to free some space, or use another address.",
        ..GMAIL
    },
    Row {
        id: "gmail-policy-size",
        codes: &[452],
        enhanced: &[(4, 5, 3)],
        texts: &["policy size per transaction exceeded"],
        classes: &[Class::Split],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::SplitRecipients,
        cause: "The recipients' domains have too many rules to be checked in one transaction.",
        cure: "Send to this recipient in a transaction of its own; a lower recipients_per_message does that by itself.",
        ..GMAIL
    },
    Row {
        id: "gmail-too-many-recipients",
        codes: &[452],
        enhanced: &[(4, 5, 3)],
        texts: &["too many recipients"],
        by_code: true,
        classes: &[Class::Split],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::SplitRecipients,
        cause: "The message has more recipients than the server takes in one transaction (Gmail takes 100).",
        cure: "Send to the remaining recipients in further transactions; set the account's recipients_per_message to 100 \
               or less.",
        ..GMAIL
    },
    Row {
        id: "gmail-one-domain",
        codes: &[451],
        enhanced: &[(4, 3, 0)],
        texts: &["multiple destination domains per transaction"],
        classes: &[Class::Split],
        kind: FailureKind::Transient,
        scope: Scope::Recipient,
        retry: Retry::SplitDomains,
        cause: "The recipients belong to several domains, and this server takes one domain in a transaction.",
        cure: "Send one message to the recipients of each domain.",
        ..GMAIL
    },
    Row {
        id: "gmail-message-deferred",
        codes: &[451],
        enhanced: &[(4, 3, 0)],
        texts: &["temporarily rejected message"],
        by_code: true,
        classes: &[Class::Transient],
        kind: FailureKind::Transient,
        retry: Retry::After(5 * MINUTE),
        cause: "The server turned this message away for the moment.",
        cure: "Send it again in some minutes; nothing needs to be changed.",
        ..GMAIL
    },
    // Policy and relay.
    Row {
        id: "gmail-relay-denied",
        codes: &[550],
        enhanced: &[(5, 7, 0)],
        texts: &["mail relay denied"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Account,
        cause: "The Workspace relay does not take mail from this machine's address or for this sender.",
        cure: "In the Google Admin console, under Gmail, Routing, SMTP relay service, add this machine's public address or \
               turn on SMTP authentication, and send from an address of your own domain.",
        ..GMAIL
    },
    Row {
        id: "gmail-sending-denied",
        codes: &[550],
        enhanced: &[(5, 7, 0)],
        texts: &["mail sending denied"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Account,
        cause: "Sending is turned off for this account or for the domain of its sender.",
        cure: "Ask the Workspace administrator to allow sending for this account and to check the SMTP relay settings and \
               the sender's domain.",
        ..GMAIL
    },
    Row {
        id: "gmail-relay-credentials",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &["invalid credentials for relay"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Account,
        cause: "The address that the relay knows belongs to another domain than the sender of this message.",
        cure: "Send from an address of the domain that is registered with the relay, or register this machine's public \
               address in the SMTP relay settings of the Google Admin console.",
        ..GMAIL
    },
    Row {
        id: "gmail-address-not-authorized",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &["not authorized to send email directly"],
        classes: &[Class::Configure],
        kind: FailureKind::Configuration,
        scope: Scope::Connection,
        cause: "This machine's public address may not hand mail directly to Gmail's servers, as is usual for home and \
                office lines.",
        cure: "Send through smtp.gmail.com on port 465 or 587 with a sign-in, or through your provider's own server.",
        ..GMAIL
    },
    Row {
        id: "gmail-unsolicited-rate",
        codes: &[550],
        enhanced: &[(5, 7, 1), (5, 7, 28)],
        texts: &["unusual rate of unsolicited mail", "unusual rate of email"],
        scope: Scope::Account,
        cause: "Gmail sees so much unsolicited mail from here that it blocks the sender.",
        cure: "Stop the run, check what was sent and to whom, and begin again later with fewer messages to people who asked \
               for them.",
        ..GMAIL
    },
    Row {
        id: "gmail-unsolicited",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &[
            "likely unsolicited mail",
            "unsolicited content",
            "message is suspicious",
            "likely suspicious",
        ],
        cause: "The server takes the content of this message for spam and has not delivered it.",
        cure: "Change subject, text and links so that the recipient recognises sender and purpose, and do not send it \
               unchanged again.",
        ..GMAIL
    },
    Row {
        id: "gmail-domain-policy",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &["has a policy that prohibited", "email policy", "- gcdp"],
        cause: "A rule that the sender's or the recipient's organisation has set prohibits this message.",
        cure: "Ask the administrator of that organisation which rule it is; sending again changes nothing.",
        ..GMAIL
    },
    Row {
        id: "gmail-from-header",
        codes: &[550],
        enhanced: &[(5, 7, 1)],
        texts: &[
            "rfc 5322",
            "missing a valid address in from",
            "multiple addresses in from",
            "multiple from: headers",
        ],
        kind: FailureKind::Invalid,
        cause: "The message's headers break RFC 5322, such as a From header that is missing, doubled or without a valid \
                address.",
        cure: "Give the message exactly one From with one valid address, and no header twice.",
        ..GMAIL
    },
    // Content.
    Row {
        id: "gmail-too-large",
        codes: &[552],
        enhanced: &[(5, 2, 3), (5, 3, 4)],
        texts: &["message size limits", "message exceeded"],
        marked: true,
        by_code: true,
        cause: "The message is larger than Gmail takes: 35 882 577 octets as sent, about 25 MB of attachments.",
        cure: "Make the attachments smaller, spread them over several messages, or send a link to the file.",
        ..GMAIL
    },
    Row {
        id: "gmail-blocked-content",
        codes: &[552],
        enhanced: &[(5, 7, 0)],
        texts: &["potential security issue", "blocked because its content"],
        by_code: true,
        cause: "Gmail blocks this message for an attachment that could be harmful, such as a program or a script, zipped or \
                not.",
        cure: "Take the attachment out and send a link to the file instead.",
        ..GMAIL
    },
    Row {
        id: "gmail-hops",
        codes: &[554],
        enhanced: &[(5, 6, 0)],
        texts: &["50 hops"],
        cause: "The message has passed 50 servers, so it is going round in a circle.",
        cure: "Look for forwarding rules of the sender and the recipient that point at each other.",
        ..GMAIL
    },
    Row {
        id: "gmail-malformed",
        codes: &[554],
        enhanced: &[(5, 6, 0)],
        texts: &["malformed"],
        by_code: true,
        kind: FailureKind::Invalid,
        cause: "The server cannot read the message: its headers or its parts are malformed.",
        cure: "Check what the step adds to the message by itself, such as own headers or ready-made content, and report it \
               if there is nothing of that kind.",
        ..GMAIL
    },
    Row {
        id: "gmail-syntax",
        codes: &[555],
        enhanced: &[(5, 5, 2)],
        texts: &["syntax error"],
        by_code: true,
        classes: &[Class::Configure],
        kind: FailureKind::Invalid,
        cause: "The server could not read an address of the envelope: it carries a name, a line break, or lacks its angle brackets.",
        cure: "Give sender and recipients as bare addresses, such as ann@example.com, each in an entry of its own.",
        ..GMAIL
    },
];
