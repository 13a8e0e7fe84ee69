//! Providers by name: where their submission servers are, and what they take as a password.
//!
//! Collected from the providers' own help pages. A preset fills what the account leaves out; it never overrules a port,
//! and a host that differs from it is refused, since one of the two is then not what was meant.

use crate::endpoint::{SUBMISSION, SUBMISSIONS};
use crate::error::{ErrorKind, WarningKind};
use crate::fields::{Fields, Findings};

/// A provider that accounts can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preset {
    Gmail,
    GmailRelay,
    Outlook,
    Yahoo,
    ICloud,
    Zoho,
    Mailgun,
    SendGrid,
    Ses,
    Postmark,
}

/// What a preset says of the server.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(crate) preset: Preset,
    pub(crate) host: String,
    pub(crate) port: u16,
}

const ZOHO: [(&str, &str); 8] = [
    ("us", "smtp.zoho.com"),
    ("eu", "smtp.zoho.eu"),
    ("in", "smtp.zoho.in"),
    ("au", "smtp.zoho.com.au"),
    ("jp", "smtp.zoho.jp"),
    ("ca", "smtp.zohocloud.ca"),
    ("sa", "smtp.zoho.sa"),
    ("cn", "smtp.zoho.com.cn"),
];
const MAILGUN: [(&str, &str); 2] = [("us", "smtp.mailgun.org"), ("eu", "smtp.eu.mailgun.org")];
const SENDGRID: [(&str, &str); 2] = [("us", "smtp.sendgrid.net"), ("eu", "smtp.eu.sendgrid.net")];

impl Preset {
    const ALL: [(&str, Self); 10] = [
        ("gmail", Self::Gmail),
        ("gmail-relay", Self::GmailRelay),
        ("outlook", Self::Outlook),
        ("yahoo", Self::Yahoo),
        ("icloud", Self::ICloud),
        ("zoho", Self::Zoho),
        ("mailgun", Self::Mailgun),
        ("sendgrid", Self::SendGrid),
        ("ses", Self::Ses),
        ("postmark", Self::Postmark),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, preset)| *preset == self)
            .map_or("", |(name, _)| name)
    }

    /// The user name that is the same for everybody.
    pub(crate) fn username(self) -> Option<&'static str> {
        (self == Self::SendGrid).then_some("apikey")
    }

    /// Connections open at once, where the provider publishes a number. Exchange Online takes three, and refuses more with
    /// `432 4.3.2` (Exchange Online limits, "SMTP AUTH client submission").
    pub(crate) fn max_connections(self) -> Option<u32> {
        (self == Self::Outlook).then_some(3)
    }

    /// Whether one token stands for user name and password alike.
    pub(crate) fn username_is_password(self) -> bool {
        self == Self::Postmark
    }

    /// Reads `preset` and `region`.
    pub(crate) fn read(fields: &mut Fields, found: &mut Findings) -> Option<Filled> {
        let names = Self::ALL.map(|(name, _)| name);
        let text = fields.text("preset", found);
        let region = fields.text("region", found).map(|region| region.to_lowercase());
        let Some(text) = text else {
            if region.is_some() {
                let message = "a region belongs to a preset, and there is none; write \"preset\", or leave it out.";
                fields.refuse("region", ErrorKind::Missing, message, found);
            }
            return None;
        };
        let wanted = crate::fields::normal(&text);
        let Some((_, preset)) = Self::ALL
            .into_iter()
            .find(|(name, _)| crate::fields::normal(name) == wanted)
        else {
            let advice = crate::suggest::advice(&wanted, names);
            fields.refuse(
                "preset",
                ErrorKind::Unknown,
                format!("there is no such preset; {advice}"),
                found,
            );
            return None;
        };
        match preset.host(region.as_deref()) {
            Ok(host) => Some(Filled {
                preset,
                host,
                port: preset.port(),
            }),
            Err(message) => {
                fields.refuse("region", ErrorKind::Invalid, message, found);
                None
            }
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Yahoo | Self::Zoho => SUBMISSIONS,
            _ => SUBMISSION,
        }
    }

    fn host(self, region: Option<&str>) -> Result<String, String> {
        let by_region = |table: &[(&str, &str)]| {
            let region = region.unwrap_or("us");
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            let unknown = || format!("{} has no such region; write one of {}.", self.name(), names.join(", "));
            table
                .iter()
                .find(|(name, _)| *name == region)
                .map(|(_, host)| (*host).to_owned())
                .ok_or_else(unknown)
        };
        let fixed = match self {
            Self::Zoho => return by_region(&ZOHO),
            Self::Mailgun => return by_region(&MAILGUN),
            Self::SendGrid => return by_region(&SENDGRID),
            Self::Ses => return ses_host(region),
            Self::Gmail => crate::gmail::HOST,
            Self::GmailRelay => "smtp-relay.gmail.com",
            Self::Outlook => "smtp.office365.com",
            Self::Yahoo => "smtp.mail.yahoo.com",
            Self::ICloud => "smtp.mail.me.com",
            Self::Postmark => "smtp.postmarkapp.com",
        };
        match region {
            Some(_) => Err(format!("{} has no regions; leave it out.", self.name())),
            None => Ok(fixed.to_owned()),
        }
    }
}

/// New regions appear every year, so their form is checked and not their names.
fn ses_host(region: Option<&str>) -> Result<String, String> {
    let example = "write the region of your identities, such as eu-west-1";
    let region = region.ok_or_else(|| format!("it is needed, since each region has its own server; {example}."))?;
    let mut parts = region.split('-');
    let is_area = parts
        .next()
        .is_some_and(|area| area.len() == 2 && area.bytes().all(|byte| byte.is_ascii_lowercase()));
    let rest: Vec<&str> = parts.collect();
    let is_number = rest
        .last()
        .is_some_and(|last| last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_digit()));
    let are_words = rest.len() >= 2
        && rest[..rest.len() - 1]
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
    if is_area && is_number && are_words {
        return Ok(format!("email-smtp.{region}.amazonaws.com"));
    }
    Err(format!("this is not the name of a region; {example}."))
}

/// Warns where the server at `host` takes no password, or only a special one. `literal` is the password when it stands
/// in the file: of a reference nothing can be said before it is read.
pub(crate) fn warn_of_password(host: &str, literal: Option<&str>, fields: &Fields, found: &mut Findings) {
    let message = match host {
        "smtp.office365.com" | "smtp-mail.outlook.com" => {
            "Microsoft no longer takes passwords over SMTP; use an account of the type oauth-2 with the provider microsoft."
        }
        "smtp.gmail.com" if literal.is_some_and(|text| !has_letters(text, 16)) => {
            "Gmail takes app passwords, 16 letters, and this is none; make one at https://myaccount.google.com/apppasswords, or use an account of the type oauth-2."
        }
        "smtp.mail.yahoo.com" if literal.is_some_and(|text| !has_letters(text, 16)) => {
            "Yahoo takes app passwords, 16 letters, and this is none; make one at https://login.yahoo.com/account/security."
        }
        "smtp.mail.me.com" if literal.is_some_and(|text| !has_letters(&text.replace('-', ""), 16)) => {
            "iCloud takes app-specific passwords, four groups of four letters, and this is none; make one at https://account.apple.com."
        }
        _ => return,
    };
    fields.warn("password", WarningKind::Provider, message, found);
}

fn has_letters(text: &str, count: usize) -> bool {
    let letters = || text.chars().filter(|c| !c.is_whitespace());
    letters().count() == count && letters().all(|c| c.is_ascii_alphabetic())
}
