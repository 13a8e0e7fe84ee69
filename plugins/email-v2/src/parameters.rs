//! The step's parameters: from JSON to types that can no longer be wrong.
//!
//! Every parameter is accepted as text and in native form. The host has already resolved expressions and templates,
//! read the files in `body` and `text`, and refused unknown parameters; this is not done again. This module checks the
//! content: addresses, header values, names. Each refusal names its parameter.

use encoding_rs::Encoding;
use pipepost_smtp::DsnRequest;
use serde_json::Value;

use crate::account::Account;
use crate::address::{Address, AddressList, Mailbox};
use crate::failure::{Failure, FailureKind};

mod attachments;
mod calendar;
mod dsn;
mod fields;
mod headers;
mod json;
mod media_type;
mod message_ids;
#[cfg(test)]
mod tests;
mod unsubscribe;

pub use attachments::{Attachment, Disposition, Source};
pub(crate) use attachments::{data_uri, percent_decoded};
pub(crate) use calendar::MAX_FILE as MAX_CALENDAR_FILE;
pub use calendar::{CalendarEvent, CalendarFile, Invitation};
pub use fields::Memo;
use fields::{Fields, boolean, line, one_address, port, shown};
pub use headers::{CustomHeader, HeaderValue, Priority};
pub(crate) use json::plain_length;
use json::{Member, members};
pub(crate) use media_type::is_token;
pub use unsubscribe::ListUnsubscribe;

/// Parameters that the host reads, or that a document carries without meaning. None of them is ours to judge.
const NOT_OURS: &[&str] = &[
    "accountLabel",
    "accountName",
    "escape",
    "groupBy",
    "items",
    "onUncertain",
    "results",
    "retry",
    "scoped",
    "useDynamicAccount",
];

/// The step's own settings of its server. They are read only to be checked: the account decides the endpoint, and the
/// host decides how TLS begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// `smtpHost`, if written.
    pub host: Option<String>,
    /// `smtpPort`, if written.
    pub port: Option<u16>,
    /// `socketPort`, if written: the port that uses TLS from the first byte.
    pub socket_port: Option<u16>,
    /// `isOverTLS`, if written; the default is true.
    pub over_tls: Option<bool>,
    /// `isOverSSL`, if written; the default is false.
    pub over_ssl: Option<bool>,
    /// `forceTLS1_2`.
    pub force_tls_1_2: bool,
}

/// The type of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `text/html`.
    Html,
    /// `text/plain`.
    Plain,
}

/// A character set that an email can be written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset {
    /// The name, as written.
    pub name: String,
    /// The encoding of that name.
    pub encoding: &'static Encoding,
}

impl Default for Charset {
    fn default() -> Self {
        Self {
            name: "UTF-8".to_owned(),
            encoding: encoding_rs::UTF_8,
        }
    }
}

/// The sender and the recipients as they were written, for the step's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The sender, or the account's sender if the step names none.
    pub from: String,
    /// `to`, or empty.
    pub to: String,
    /// `cc`, or empty.
    pub cc: String,
    /// `bcc`, or empty.
    pub bcc: String,
}

/// The checked parameters of one call.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// `accountType`, if written.
    pub account_type: Option<String>,
    /// What the step says about the server.
    pub server: Server,
    /// `isAuth`: an account is mandatory.
    pub authenticated: bool,
    /// `failOnError`: the run stops with the error.
    pub fail_on_error: bool,
    /// The author, or the first of several authors.
    pub from: Mailbox,
    /// The other authors (RFC 5322, section 3.6.2).
    pub further_authors: Vec<Mailbox>,
    /// The mailbox that sends in the authors' place, if it is not the author's.
    pub sender: Option<Mailbox>,
    /// The recipients that everybody sees.
    pub to: AddressList,
    /// The recipients in copy.
    pub cc: AddressList,
    /// The recipients that nobody sees.
    pub bcc: AddressList,
    /// The addresses to which replies go.
    pub reply_to: AddressList,
    /// The address for MAIL FROM, if it is not the author's: `Some(None)` is the null sender, `<>`.
    pub envelope_from: Option<Option<Address>>,
    /// All of the addresses above, as written.
    pub written: Written,
    /// The subject.
    pub subject: String,
    /// The body; see `body_type`.
    pub body: String,
    /// The type of the body.
    pub body_type: BodyType,
    /// The plain alternative, if one is given.
    pub text: Option<String>,
    /// The character set of body and text.
    pub charset: Charset,
    /// Further headers: names and values, in their order. A name may occur twice.
    pub headers: Vec<CustomHeader>,
    /// How urgent it is.
    pub priority: Priority,
    /// Message-IDs with their angle brackets.
    pub in_reply_to: Vec<String>,
    /// Message-IDs with their angle brackets.
    pub references: Vec<String>,
    /// A Message-ID that the step gives, with its angle brackets.
    pub message_id: Option<String>,
    /// How to unsubscribe (RFC 2369, RFC 8058).
    pub list_unsubscribe: Option<ListUnsubscribe>,
    /// An invitation.
    pub invitation: Option<Invitation>,
    /// The attachments in their order.
    pub attachments: Vec<Attachment>,
    /// True when pictures that the HTML holds as `data:` URIs become inline parts.
    pub inline_data_images: bool,
    /// What the step asks of delivery status notifications; what it leaves out the account may say.
    pub dsn: DsnRequest,
    /// True when texts may be sent in 8 bits, which only a server with 8BITMIME accepts. The account says so.
    pub eight_bit_texts: bool,
    /// Unusual things that are not a reason to refuse the message: one sentence each.
    pub warnings: Vec<String>,
}

impl Parameters {
    /// Reads one call's parameters from their JSON text.
    ///
    /// # Errors
    /// [`FailureKind::Invalid`] with the parameter's name when a value cannot be used, [`FailureKind::Configuration`]
    /// when the account does not supply what the step leaves out.
    pub fn parse(json: &str, account: Option<&Account>) -> Result<Self, Failure> {
        Self::parse_next(json, account, &mut Memo::default())
    }

    /// Reads the parameters of one call of a batch, like [`Parameters::parse`]. `memo` is the batch's own: it holds what
    /// the calls before have in common with this one.
    ///
    /// # Errors
    /// The errors of [`Parameters::parse`].
    pub fn parse_next(json: &str, account: Option<&Account>, memo: &mut Memo) -> Result<Self, Failure> {
        if let Some(members) = members(json) {
            return Self::from_fields(Fields::new(members), account, memo);
        }
        match serde_json::from_str(json) {
            Ok(value) => Self::from_value(value, account),
            Err(error) => Err(Failure::new(
                FailureKind::Invalid,
                format!("the step's parameters are not JSON: {error}"),
            )),
        }
    }

    /// Reads one call's parameters.
    ///
    /// # Errors
    /// The errors of [`Parameters::parse`].
    pub fn from_value(value: Value, account: Option<&Account>) -> Result<Self, Failure> {
        match value {
            Value::Object(object) => {
                let members = object.into_iter().map(|(key, value)| (key.into(), Member::Read(value)));
                Self::from_fields(Fields::new(members.collect()), account, &mut Memo::default())
            }
            _ => Err(Failure::new(
                FailureKind::Invalid,
                "the step's parameters are not a JSON object",
            )),
        }
    }

    fn from_fields(mut fields: Fields<'_>, account: Option<&Account>, memo: &mut Memo) -> Result<Self, Failure> {
        let mut warnings = Vec::new();

        let server = server(&mut fields)?;
        let authenticated = boolean("isAuth", fields.take_aliased("isAuth", "authenticated"))?.unwrap_or(true);
        let fail_on_error = boolean("failOnError", fields.take("failOnError"))?.unwrap_or(false);
        boolean("attachmentRawMode", fields.take("attachmentRawMode"))?;
        let account_type = fields.some_text("accountType")?;

        let (from, further_authors, written_from) = authors(&mut fields, account, memo, &mut warnings)?;
        let sender = one_address("sender", fields.take("sender"), &mut warnings)?;
        if sender.is_none() && !further_authors.is_empty() {
            return Err(Failure::invalid(
                "from",
                "it holds more than one address, and then `sender` has to say which one sends",
            ));
        }
        // RFC 5322, section 3.6.2: the same mailbox does not stand twice.
        let sender = sender.filter(|sender| !further_authors.is_empty() || *sender != from);
        let (to, written_to) = recipients("to", &mut fields, memo, &mut warnings)?;
        let (cc, written_cc) = recipients("cc", &mut fields, memo, &mut warnings)?;
        let (bcc, written_bcc) = recipients("bcc", &mut fields, memo, &mut warnings)?;
        if [&to, &cc, &bcc].iter().all(|list| list.mailboxes().next().is_none()) {
            return Err(Failure::invalid(
                "to",
                "the message has no recipient in `to`, `cc` or `bcc`",
            ));
        }
        let (reply_to, _) = fields.addresses("replyTo", memo, &mut warnings)?;
        let envelope_from = envelope_from(&mut fields, account, &mut warnings)?;

        let subject = line("subject", "the subject", &fields.text("subject")?)?;
        let body = without_mark(fields.text("body")?);
        let text = fields.some_text("text")?.map(without_mark);
        let body_type = body_type(fields.some_text("contentType")?, &body, text.is_some())?;
        if body_type == BodyType::Plain && text.is_some() && !body.is_empty() {
            warnings.push("parameter `text` was ignored: the body is plain text itself".to_owned());
        }
        let charset = charset(fields.some_text("charset")?)?;
        let headers = headers::custom(fields.take("headers"), &mut warnings)?;
        let priority = headers::priority(fields.take("priority"))?;
        headers::compare_urgency(priority, &headers, &mut warnings);

        let parameters = Self {
            account_type,
            server,
            authenticated,
            fail_on_error,
            from,
            further_authors,
            sender,
            to,
            cc,
            bcc,
            reply_to,
            envelope_from,
            written: Written {
                from: written_from,
                to: written_to,
                cc: written_cc,
                bcc: written_bcc,
            },
            subject,
            body,
            body_type,
            text,
            charset,
            headers,
            priority,
            in_reply_to: message_ids::foreign("inReplyTo", fields.take("inReplyTo"), &mut warnings)?,
            references: message_ids::foreign("references", fields.take("references"), &mut warnings)?,
            message_id: message_ids::own(fields.take("messageId"))?,
            list_unsubscribe: unsubscribe::list_unsubscribe(fields.take("listUnsubscribe"))?,
            invitation: calendar::invitation(fields.take("icalEvent"), &mut warnings)?,
            attachments: attachments::parse(fields.take("attachments"), &mut warnings)?,
            inline_data_images: boolean("inlineDataImages", fields.take("inlineDataImages"))?.unwrap_or(false),
            dsn: dsn::request(fields.take("dsn"))?,
            eight_bit_texts: account.is_some_and(|account| account.eight_bit_texts),
            warnings,
        };
        parameters.with_warnings_of_unknown(fields)
    }

    /// The body; the plain text of a message that has nothing else.
    pub(crate) fn sent_text(&self) -> &str {
        match &self.text {
            Some(text) if self.body.is_empty() => text,
            _ => &self.body,
        }
    }

    fn with_warnings_of_unknown(mut self, fields: Fields<'_>) -> Result<Self, Failure> {
        for key in fields.left().filter(|key| !NOT_OURS.contains(&key.as_str())) {
            self.warnings.push(format!(
                "`{}` is no parameter of the email step and was ignored",
                shown(&key)
            ));
        }
        Ok(self)
    }
}

fn server(fields: &mut Fields<'_>) -> Result<Server, Failure> {
    let host = fields.some_text("smtpHost")?.map(|host| host.trim().to_owned());
    if let Some(host) = &host {
        line("smtpHost", "the name", host)?;
    }
    Ok(Server {
        host,
        port: port("smtpPort", fields.take("smtpPort"))?,
        socket_port: port("socketPort", fields.take("socketPort"))?,
        over_tls: boolean("isOverTLS", fields.take_aliased("isOverTLS", "isOverTls"))?,
        over_ssl: boolean("isOverSSL", fields.take_aliased("isOverSSL", "isOverSsl"))?,
        force_tls_1_2: boolean("forceTLS1_2", fields.take_aliased("forceTLS1_2", "forceTlsv12"))?.unwrap_or(false),
    })
}

/// A mark of the byte order that came along with a file's text (RFC 3629, section 6).
fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// The step's author, and the others where there are several; else the account's; else who signs in, when that is an
/// address. And how they were written.
fn authors(
    fields: &mut Fields<'_>,
    account: Option<&Account>,
    memo: &mut Memo,
    warnings: &mut Vec<String>,
) -> Result<(Mailbox, Vec<Mailbox>, String), Failure> {
    let (list, written) = fields.addresses("from", memo, warnings)?;
    let mut mailboxes = list.into_mailboxes();
    match mailboxes.next() {
        Some(first) => Ok((first, mailboxes.collect(), written)),
        None => {
            let mailbox = account.map_or(Ok(None), accounts_sender)?.ok_or_else(|| {
                Failure::new(
                    FailureKind::Configuration,
                    "parameter `from`: the message has no sender",
                )
                .with_advice("write `from` in the step, or in the account as the default of its steps")
            })?;
            let shown = mailbox.to_string();
            Ok((mailbox, Vec::new(), shown))
        }
    }
}

fn accounts_sender(account: &Account) -> Result<Option<Mailbox>, Failure> {
    let fault = |error| {
        Failure::new(
            FailureKind::Configuration,
            format!("the account's field `from`: {error}"),
        )
    };
    let mut mailbox = match (&account.from, &account.username) {
        (Some(from), _) => Mailbox::parse(from).map_err(fault)?,
        (None, Some(username)) => match Address::parse(username) {
            Ok(address) => Mailbox { name: None, address },
            Err(_) => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    if let Some(name) = &account.from_name {
        mailbox = Mailbox::new(name, mailbox.address.as_str()).map_err(fault)?;
    }
    Ok(Some(mailbox))
}

fn recipients(
    key: &'static str,
    fields: &mut Fields<'_>,
    memo: &mut Memo,
    warnings: &mut Vec<String>,
) -> Result<(AddressList, String), Failure> {
    let (list, written) = fields.addresses(key, memo, warnings)?;
    Ok(match written.is_empty() {
        true => (AddressList::default(), written),
        false => (list, written),
    })
}

/// The step's word, else the account's. `<>` is the null sender, which bounces go nowhere from (RFC 5321, section 4.5.5).
fn envelope_from(
    fields: &mut Fields<'_>,
    account: Option<&Account>,
    warnings: &mut Vec<String>,
) -> Result<Option<Option<Address>>, Failure> {
    const KEY: &str = "envelopeFrom";
    let value = fields.take(KEY);
    if value.as_str().is_some_and(|text| text.trim() == "<>") {
        return Ok(Some(None));
    }
    if let Some(mailbox) = one_address(KEY, value, warnings)? {
        return match mailbox.name {
            None => Ok(Some(Some(mailbox.address))),
            Some(_) => Err(Failure::invalid(KEY, "it holds a name where only an address belongs")),
        };
    }
    let parse = |text: &str, fault: &dyn Fn(&dyn std::fmt::Display) -> Failure| match text.trim() {
        "<>" => Ok(Some(None)),
        text => Address::parse(text)
            .map(|address| Some(Some(address)))
            .map_err(|error| fault(&error)),
    };
    match account.and_then(|account| account.envelope_from.as_deref()) {
        None => Ok(None),
        Some(text) => parse(text, &|error| {
            Failure::new(
                FailureKind::Configuration,
                format!("the account's property `mail.smtp.from`: {error}"),
            )
        }),
    }
}

/// `contentType` decides; else a plain alternative makes the body HTML, and so does a tag in it.
fn body_type(written: Option<String>, body: &str, has_text: bool) -> Result<BodyType, Failure> {
    let Some(written) = written else {
        let is_html = has_text && !body.is_empty() || crate::html::holds_a_tag(body);
        return Ok(if is_html { BodyType::Html } else { BodyType::Plain });
    };
    match written
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
        .as_str()
    {
        "text/html" | "html" => Ok(BodyType::Html),
        "text/plain" | "plain" | "text" => Ok(BodyType::Plain),
        other => Err(Failure::invalid(
            "contentType",
            format_args!("`{}` is neither `text/html` nor `text/plain`", shown(other)),
        )),
    }
}

fn charset(written: Option<String>) -> Result<Charset, Failure> {
    let Some(written) = written else {
        return Ok(Charset::default());
    };
    let name = written.trim();
    match Encoding::for_label(name.as_bytes()) {
        // What has no encoder of its own (UTF-16, `replacement`) is not for mail either: text parts are octets in
        // which CR LF ends a line (RFC 2046, section 4.1.1).
        Some(encoding) if encoding.output_encoding() == encoding => Ok(Charset {
            name: name.to_owned(),
            encoding,
        }),
        _ => Err(Failure::invalid(
            "charset",
            format_args!("`{}` is no character set that mail can be written in", shown(name)),
        )
        .with_advice("leave it out, or write `UTF-8`: every mail client reads it")),
    }
}
