//! What providers publish about their submission servers, one entry each, with the page that says so.
//!
//! Only values that do not depend on a customer's plan are here: how many connections the servers accept, how many
//! messages per connection, and how many recipients per message. Daily and hourly quotas depend on the plan; an account
//! sets its own (`limits.messages_per_day`), and a server's refusal pauses the account until the quota is free again.

use super::Preset;
use crate::endpoint::{SUBMISSION, SUBMISSIONS};

/// Where a provider's submission servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    /// One name for everybody.
    One(&'static str),
    /// A name for each region; the first is taken where none is named.
    Regions(&'static [(&'static str, &'static str)]),
    /// A name made of an AWS region, which has to be named: these stand before and behind it.
    Aws(&'static str, &'static str),
}

/// A provider that publishes nothing further.
const PLAIN: Preset = Preset {
    name: "",
    hosts: Hosts::One(""),
    port: SUBMISSION,
    username: None,
    username_is_password: false,
    max_connections: None,
    messages_per_connection: None,
    recipients_per_message: None,
    source: "",
};

/// Every provider that an account can name, in the order of the documentation.
pub(super) static PROVIDERS: &[Preset] = &[
    Preset {
        name: "gmail",
        hosts: Hosts::One(crate::gmail::HOST),
        source: "https://developers.google.com/workspace/gmail/imap/imap-smtp",
        ..PLAIN
    },
    Preset {
        name: "gmail-relay",
        hosts: Hosts::One("smtp-relay.gmail.com"),
        source: "https://support.google.com/a/answer/2956491",
        ..PLAIN
    },
    Preset {
        name: "outlook",
        hosts: Hosts::One("smtp.office365.com"),
        // More are refused with `432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded`.
        max_connections: Some(3),
        source: "https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits",
        ..PLAIN
    },
    Preset {
        name: "yahoo",
        hosts: Hosts::One("smtp.mail.yahoo.com"),
        port: SUBMISSIONS,
        source: "https://help.yahoo.com/kb/SLN4724.html",
        ..PLAIN
    },
    Preset {
        name: "aol",
        hosts: Hosts::One("smtp.aol.com"),
        port: SUBMISSIONS,
        source: "https://help.aol.com/articles/how-do-i-use-other-email-applications-to-send-and-receive-my-aol-mail",
        ..PLAIN
    },
    Preset {
        name: "icloud",
        hosts: Hosts::One("smtp.mail.me.com"),
        recipients_per_message: Some(500),
        source: "https://support.apple.com/102198",
        ..PLAIN
    },
    Preset {
        name: "fastmail",
        hosts: Hosts::One("smtp.fastmail.com"),
        port: SUBMISSIONS,
        source: "https://www.fastmail.help/hc/en-us/articles/1500000278342",
        ..PLAIN
    },
    Preset {
        name: "gmx",
        hosts: Hosts::Regions(&[("com", "mail.gmx.com"), ("net", "mail.gmx.net"), ("de", "mail.gmx.net")]),
        source: "https://hilfe.gmx.net/pop-imap/pop3/serverdaten.html",
        ..PLAIN
    },
    Preset {
        name: "web.de",
        hosts: Hosts::One("smtp.web.de"),
        source: "https://hilfe.web.de/pop-imap/pop3/serverdaten.html",
        ..PLAIN
    },
    Preset {
        name: "yandex",
        hosts: Hosts::One("smtp.yandex.com"),
        port: SUBMISSIONS,
        source: "https://yandex.com/support/mail/mail-clients/others.html",
        ..PLAIN
    },
    Preset {
        name: "zoho",
        hosts: Hosts::Regions(&[
            ("us", "smtp.zoho.com"),
            ("eu", "smtp.zoho.eu"),
            ("in", "smtp.zoho.in"),
            ("au", "smtp.zoho.com.au"),
            ("jp", "smtp.zoho.jp"),
            ("ca", "smtp.zohocloud.ca"),
            ("sa", "smtp.zoho.sa"),
            ("cn", "smtp.zoho.com.cn"),
        ]),
        port: SUBMISSIONS,
        source: "https://www.zoho.com/mail/help/zoho-smtp.html",
        ..PLAIN
    },
    Preset {
        name: "proton",
        // SMTP submission with a token for each address, for business plans and custom domains.
        hosts: Hosts::One("smtp.protonmail.ch"),
        source: "https://proton.me/support/smtp-submission",
        ..PLAIN
    },
    Preset {
        name: "proton-bridge",
        // On the same machine. Its certificate is its own: export it and name it as `ca_file`.
        hosts: Hosts::One("127.0.0.1"),
        port: 1025,
        source: "https://proton.me/support/imap-smtp-and-pop3-setup",
        ..PLAIN
    },
    Preset {
        name: "infomaniak",
        hosts: Hosts::One("mail.infomaniak.com"),
        port: SUBMISSIONS,
        source: "https://www.infomaniak.com/en/support/faq/2023",
        ..PLAIN
    },
    Preset {
        name: "ovh",
        hosts: Hosts::Regions(&[
            ("eu", "ssl0.ovh.net"),
            ("ca", "smtp.mail.ovh.ca"),
            ("us", "smtp.mail.ovh.us"),
        ]),
        port: SUBMISSIONS,
        source: "https://help.ovhcloud.com/csm/en-mx-plan-getting-started",
        ..PLAIN
    },
    Preset {
        name: "ionos",
        hosts: Hosts::Regions(&[
            ("com", "smtp.ionos.com"),
            ("de", "smtp.ionos.de"),
            ("co.uk", "smtp.ionos.co.uk"),
            ("es", "smtp.ionos.es"),
            ("fr", "smtp.ionos.fr"),
            ("it", "smtp.ionos.it"),
        ]),
        port: SUBMISSIONS,
        source: "https://www.ionos.com/help/email/general-topics/settings-for-your-email-programs-imap-pop3/",
        ..PLAIN
    },
    Preset {
        name: "strato",
        hosts: Hosts::One("smtp.strato.de"),
        port: SUBMISSIONS,
        source: "https://www.strato.de/faq/mail/serverinformationen/",
        ..PLAIN
    },
    Preset {
        name: "workmail",
        hosts: Hosts::Aws("smtp.mail.", ".awsapps.com"),
        port: SUBMISSIONS,
        source: "https://docs.aws.amazon.com/workmail/latest/userguide/using_IMAP.html",
        ..PLAIN
    },
    Preset {
        name: "ses",
        hosts: Hosts::Aws("email-smtp.", ".amazonaws.com"),
        recipients_per_message: Some(50),
        source: "https://docs.aws.amazon.com/ses/latest/dg/quotas.html",
        ..PLAIN
    },
    Preset {
        name: "mailgun",
        hosts: Hosts::Regions(&[("us", "smtp.mailgun.org"), ("eu", "smtp.eu.mailgun.org")]),
        source: "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp",
        ..PLAIN
    },
    Preset {
        name: "sendgrid",
        hosts: Hosts::Regions(&[("us", "smtp.sendgrid.net"), ("eu", "smtp.eu.sendgrid.net")]),
        username: Some("apikey"),
        messages_per_connection: Some(5000),
        recipients_per_message: Some(1000),
        source: "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api",
        ..PLAIN
    },
    Preset {
        name: "postmark",
        hosts: Hosts::One("smtp.postmarkapp.com"),
        username_is_password: true,
        recipients_per_message: Some(50),
        source: "https://postmarkapp.com/developer/user-guide/send-email-with-smtp",
        ..PLAIN
    },
    Preset {
        name: "brevo",
        hosts: Hosts::One("smtp-relay.brevo.com"),
        source: "https://developers.brevo.com/docs/smtp-integration",
        ..PLAIN
    },
    Preset {
        name: "mailjet",
        hosts: Hosts::One("in-v3.mailjet.com"),
        source: "https://dev.mailjet.com/smtp-relay/configuration/",
        ..PLAIN
    },
    Preset {
        name: "mailersend",
        hosts: Hosts::One("smtp.mailersend.net"),
        // The server closes the connection at the sixth MAIL.
        messages_per_connection: Some(5),
        source: "https://www.mailersend.com/help/smtp-relay",
        ..PLAIN
    },
    Preset {
        name: "resend",
        hosts: Hosts::One("smtp.resend.com"),
        port: SUBMISSIONS,
        username: Some("resend"),
        recipients_per_message: Some(50),
        source: "https://resend.com/docs/send-with-smtp",
        ..PLAIN
    },
    Preset {
        name: "sparkpost",
        hosts: Hosts::Regions(&[("us", "smtp.sparkpostmail.com"), ("eu", "smtp.eu.sparkpostmail.com")]),
        username: Some("SMTP_Injection"),
        messages_per_connection: Some(100),
        source: "https://developers.sparkpost.com/api/smtp/",
        ..PLAIN
    },
];
