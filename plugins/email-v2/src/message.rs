//! The message and its envelope, made from checked parameters.
//!
//! The frame (headers, boundaries, parts) is written by the module `frame`, every octet where it will stand. A value that looks like
//! an encoded word must not be read as one, a long word must be folded, and texts may be in another character set. Files
//! are not read here at all: a random token takes the place of each file, the frame is split there, and [`Content`]
//! encodes the files while they are sent.

use std::collections::HashSet;

use pipepost_smtp::{Address, DsnRequest};
use sha2::{Digest, Sha256};

use crate::address::{AddressList, Mailbox};
use crate::failure::Failure;
use crate::files::Files;
use crate::output;
use crate::parameters::{HeaderValue, Parameters};

mod content;
mod frame;
mod headers;
mod inline;
mod media;
mod part_headers;
mod structure;
mod text;

pub use content::Content;
pub(crate) use headers::LONGEST_WORD;
pub(crate) use inline::is_id as is_content_id;

/// The inputs of a message apart from its parameters.
#[derive(Clone, Copy, Debug)]
pub struct MessageSeed<'a> {
    /// The call's key, the same in every attempt. The Message-ID is made from it.
    pub key: &'a str,
    /// The time of the Date header, in seconds since 1970-01-01 UTC.
    pub now: u64,
    /// The seed of the boundaries. It must differ for each message, and the writer of the message's texts must not be
    /// able to guess it.
    pub seed: u64,
}

/// The sender and the recipients that the SMTP commands name (RFC 5321, section 2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The address for MAIL FROM; none is the null sender, `<>`.
    pub sender: Option<Address>,
    /// The addresses for RCPT TO: each once, in the order of to, cc, bcc.
    pub recipients: Vec<Address>,
}

impl Envelope {
    /// Returns the addresses that only a server with SMTPUTF8 accepts (RFC 6531): those with characters beyond ASCII
    /// before the `@`.
    pub fn beyond_ascii(&self) -> impl Iterator<Item = &Address> {
        let all = self.sender.iter().chain(&self.recipients);
        all.filter(|address| address.needs_smtputf8())
    }
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub struct Prepared {
    /// The envelope.
    pub envelope: Envelope,
    /// The octets of the content.
    pub content: Content,
    /// The Message-ID, with angle brackets.
    pub message_id: String,
    /// The date, in seconds since 1970-01-01 UTC.
    pub date: u64,
    /// True when the content holds octets beyond ASCII, and so needs `BODY=8BITMIME`.
    pub eight_bit: bool,
    /// True when the headers hold UTF-8. Such a message needs SMTPUTF8, and 8BITMIME with it.
    pub utf8_headers: bool,
    /// True when the envelope or the headers hold an address that needs SMTPUTF8.
    pub utf8: bool,
    /// What the step asks of delivery status notifications.
    pub dsn: DsnRequest,
    /// Unusual things that are not a reason to refuse the message: one sentence each.
    pub warnings: Vec<String>,
    /// The step's output, as far as it is known before sending.
    pub output: output::OutputPrefix,
}

/// Makes the message. It opens and measures files; they are read only when the content is read.
///
/// # Errors
/// When a file of the run is not available. The failure names the attachment.
pub fn prepare(parameters: &Parameters, seed: &MessageSeed<'_>, files: &mut dyn Files) -> Result<Prepared, Failure> {
    let envelope = envelope(parameters);
    let message_id = message_id(parameters, seed.key);
    let utf8_in_headers = header_mailboxes(parameters).any(|mailbox| mailbox.address.needs_utf8());
    let utf8 = utf8_in_headers || envelope.beyond_ascii().next().is_some();

    let mut warnings = parameters.warnings.clone();
    let date = seed.now.min(headers::LAST_DATE);
    let head = headers::head(parameters, &message_id, date);
    let mut parts = structure::Parts::new(seed.seed, &message_id, &mut warnings);
    let built = parts.build(&head, parameters, files)?;

    Ok(Prepared {
        output: output::OutputPrefix::new(parameters, &built.charset, &message_id),
        envelope,
        content: built.content,
        message_id,
        date,
        eight_bit: utf8_in_headers || built.eight_bit,
        utf8_headers: utf8_in_headers,
        utf8,
        dsn: parameters.dsn.clone(),
        warnings,
    })
}

fn envelope(parameters: &Parameters) -> Envelope {
    let sender = match &parameters.envelope_from {
        Some(written) => written.as_ref(),
        // Who sends in the authors' place gets what comes back.
        None => Some(&parameters.sender.as_ref().unwrap_or(&parameters.from).address),
    };
    let mailboxes = || {
        let lists = [&parameters.to, &parameters.cc, &parameters.bcc];
        lists.into_iter().flat_map(AddressList::mailboxes)
    };
    let recipients = match mailboxes().count() {
        0 | 1 => mailboxes().map(|mailbox| mailbox.address.path().clone()).collect(),
        _ => {
            let mut seen = HashSet::new();
            let new = mailboxes().filter(|mailbox| seen.insert(mailbox.address.as_str()));
            new.map(|mailbox| mailbox.address.path().clone()).collect()
        }
    };
    Envelope {
        sender: sender.map(|address| address.path().clone()),
        recipients,
    }
}

/// Every mailbox that stands in a header; `bcc` stands in none.
fn header_mailboxes(parameters: &Parameters) -> impl Iterator<Item = &Mailbox> {
    let custom = parameters.headers.iter().filter_map(|header| match &header.value {
        HeaderValue::Addresses(list) => Some(list),
        HeaderValue::Text(_) => None,
    });
    let lists = [&parameters.to, &parameters.cc, &parameters.reply_to]
        .into_iter()
        .chain(custom);
    let authors = std::iter::once(&parameters.from).chain(&parameters.further_authors);
    authors
        .chain(&parameters.sender)
        .chain(lists.flat_map(AddressList::mailboxes))
}

/// Returns the Message-ID of a call, with angle brackets: the step's own, else one made from the key. It is the same
/// for every attempt and different for every other call, and the key cannot be read from it.
pub fn message_id(parameters: &Parameters, key: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if let Some(written) = &parameters.message_id {
        return written.clone();
    }
    // An address literal may stand there as it is (RFC 5322, section 3.6.4: no-fold-literal).
    let domain = parameters.from.address.domain();
    let digest = Sha256::digest(key.as_bytes());
    let mut id = String::with_capacity(35 + domain.len());
    id.push('<');
    for byte in &digest[..16] {
        id.push(char::from(HEX[usize::from(byte >> 4)]));
        id.push(char::from(HEX[usize::from(byte & 15)]));
    }
    id.push('@');
    id.push_str(domain);
    id.push('>');
    id
}
