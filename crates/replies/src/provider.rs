//! The provider whose server sent a reply.

/// A provider whose replies have their own rows in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Gmail and Google Workspace, including the relay.
    Gmail,
    /// Outlook.com and Microsoft 365.
    Outlook,
    /// Yahoo Mail and AOL.
    Yahoo,
    /// Apple's iCloud Mail.
    ICloud,
    /// Amazon SES.
    Ses,
    /// Twilio SendGrid.
    SendGrid,
    /// Mailgun.
    Mailgun,
    /// Postmark.
    Postmark,
    /// Zoho Mail, and ZeptoMail of the same company.
    Zoho,
    /// Any other server.
    Other,
}

/// The submission hosts: a host is a provider's when it is one of these names or lies beneath it.
const HOSTS: &[(&str, Provider)] = &[
    ("gmail.com", Provider::Gmail),
    ("google.com", Provider::Gmail),
    ("googlemail.com", Provider::Gmail),
    ("office365.com", Provider::Outlook),
    ("outlook.com", Provider::Outlook),
    ("hotmail.com", Provider::Outlook),
    ("mail.yahoo.com", Provider::Yahoo),
    ("smtp.aol.com", Provider::Yahoo),
    ("mail.me.com", Provider::ICloud),
    ("mail.icloud.com", Provider::ICloud),
    ("amazonaws.com", Provider::Ses),
    ("sendgrid.net", Provider::SendGrid),
    ("mailgun.org", Provider::Mailgun),
    ("postmarkapp.com", Provider::Postmark),
    // One a region.
    ("zoho.com", Provider::Zoho),
    ("zoho.eu", Provider::Zoho),
    ("zoho.in", Provider::Zoho),
    ("zoho.com.au", Provider::Zoho),
    ("zoho.jp", Provider::Zoho),
    ("zeptomail.com", Provider::Zoho),
];

/// What only one provider writes into its replies, in lower case.
const MARKS: &[(&str, Provider)] = &[
    ("- gsmtp", Provider::Gmail),
    ("support.google.com", Provider::Gmail),
    ("accounts.google.com", Provider::Gmail),
    (".prod.outlook.com", Provider::Outlook),
    ("aka.ms/smtp_auth_disabled", Provider::Outlook),
    ("(#auth0", Provider::Yahoo),
    ("(#mbr", Provider::Yahoo),
    ("amazon ses", Provider::Ses),
    ("throttling failure:", Provider::Ses),
    ("sendgrid.com", Provider::SendGrid),
    ("mailgun", Provider::Mailgun),
    ("postmark", Provider::Postmark),
    ("relaying disallowed as", Provider::Zoho),
    ("zoho", Provider::Zoho),
];

impl Provider {
    /// Returns the provider of a submission host such as `smtp.gmail.com`, or [`Provider::Other`] if the table has no
    /// rows for it.
    pub fn of_host(host: &str) -> Self {
        let host = host.trim_end_matches('.');
        let found = HOSTS.iter().find(|(name, _)| is_beneath(host, name));
        found.map_or(Self::Other, |(_, provider)| *provider)
    }

    /// Returns the provider that the reply's own text reveals, or [`Provider::Other`] if it reveals none.
    pub fn of_reply(text: &str) -> Self {
        Self::of_normal_text(&crate::normal::normal_text(text))
    }

    pub(crate) fn of_normal_text(normal_text: &str) -> Self {
        let found = MARKS.iter().find(|(mark, _)| normal_text.contains(mark));
        found.map_or(Self::Other, |(_, provider)| *provider)
    }

    /// Returns the name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gmail => "Gmail",
            Self::Outlook => "Outlook",
            Self::Yahoo => "Yahoo",
            Self::ICloud => "iCloud",
            Self::Ses => "Amazon SES",
            Self::SendGrid => "SendGrid",
            Self::Mailgun => "Mailgun",
            Self::Postmark => "Postmark",
            Self::Zoho => "Zoho",
            Self::Other => "other",
        }
    }
}

/// Whether `host` is `name` or a name beneath it, in any case.
pub(crate) fn is_beneath(host: &str, name: &str) -> bool {
    let (host, name) = (host.as_bytes(), name.as_bytes());
    let Some(start) = host.len().checked_sub(name.len()) else {
        return false;
    };
    host[start..].eq_ignore_ascii_case(name) && (start == 0 || host[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_belongs_to_its_provider_and_a_look_alike_does_not() {
        assert_eq!(Provider::of_host("smtp.gmail.com"), Provider::Gmail);
        assert_eq!(Provider::of_host("SMTP-Relay.Gmail.com."), Provider::Gmail);
        assert_eq!(Provider::of_host("smtp.office365.com"), Provider::Outlook);
        assert_eq!(Provider::of_host("email-smtp.eu-west-1.amazonaws.com"), Provider::Ses);
        assert_eq!(Provider::of_host("smtp.mail.me.com"), Provider::ICloud);
        assert_eq!(Provider::of_host("notgmail.com"), Provider::Other);
        assert_eq!(Provider::of_host("gmail.com.example.org"), Provider::Other);
        assert_eq!(Provider::of_host("é.com"), Provider::Other);
        assert_eq!(Provider::of_host(""), Provider::Other);
    }

    #[test]
    fn a_reply_gives_its_provider_away() {
        assert_eq!(
            Provider::of_reply("2.0.0 closing connection k9-2 -\n gsmtp"),
            Provider::Gmail
        );
        assert_eq!(
            Provider::of_reply("(#AUTH005) Too many bad auth attempts."),
            Provider::Yahoo
        );
        assert_eq!(Provider::of_reply("Error: authentication failed"), Provider::Other);
    }
}
