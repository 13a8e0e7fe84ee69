//! A message to show that one arrives.

use pipepost_accounts::Account;
use pipepost_probe::{Address as Mailbox, Letter};

/// The address in `Name <address>`.
pub(super) fn bare(from: &str) -> &str {
    match (from.rfind('<'), from.rfind('>')) {
        (Some(open), Some(close)) if open < close => from[open + 1..close].trim(),
        _ => from.trim(),
    }
}

/// A message from the account to an address, most often its own.
pub(super) fn to_oneself(account: &Account, recipient: &str) -> Result<Letter, String> {
    let parse = |text: &str| {
        Mailbox::parse(text.trim())
            .map_err(|error| format!("`{}` is no address to send to or from: {error}.", text.escape_debug()))
    };
    let sender = account
        .delivery()
        .envelope_from
        .as_deref()
        .or_else(|| account.from().map(bare))
        .or(account.username())
        .ok_or("The account has no address to send from; write \"from\" into it.")?;
    let from = account.from().map(bare).unwrap_or(sender);
    let (sender, from, recipient) = (parse(sender)?, parse(from)?, parse(recipient)?);
    let label: String = account
        .label()
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(60)
        .collect();
    let date = jiff::fmt::rfc2822::to_string(&jiff::Zoned::now())
        .map_err(|error| format!("The date cannot be written: {error}."))?;
    let id = format!(
        "{:016x}{:016x}",
        getrandom::u64().unwrap_or_default(),
        getrandom::u64().unwrap_or_default()
    );
    let domain = from.to_string();
    let domain = domain.rsplit('@').next().unwrap_or("localhost");
    let content = format!(
        "From: <{from}>\r\nTo: <{recipient}>\r\nSubject: A test of the account {label}\r\nDate: {date}\r\n\
         Message-ID: <{id}@{domain}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
         This message shows that the account \"{label}\" can send.\r\n"
    );
    Ok(Letter {
        sender,
        recipient,
        content,
    })
}
