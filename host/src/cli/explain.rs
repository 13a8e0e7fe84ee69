//! `pipepost explain`.

use std::io::Read as _;

use pipepost::FailureKind;
use pipepost_replies::{Class, Explanation, PastedReply, Provider, Retry};
use serde_json::{Value, json};

use super::arguments::ExplainOptions;
use super::error::CliError;
use super::logging::{answer, answer_json};

/// A reply is a few lines; what is beyond this is not looked at.
const LONGEST: u64 = 64 * 1024;

pub(super) fn execute(options: &ExplainOptions) -> Result<u8, CliError> {
    let text = match options.reply.as_slice() {
        [only] if only == "-" => standard_input()?,
        words => words.join("\n"),
    };
    let reply = PastedReply::parse(&text).map_err(|error| CliError::new(FailureKind::Invalid, error.to_string()))?;
    let explanation = reply.explain(None);
    if options.json {
        answer_json(&machine(&reply, &explanation)).map_err(|error| CliError::io("standard output", &error))?;
    } else if reply.is_failure() {
        person(&reply, &explanation)?;
    } else {
        out(&format!(
            "{} is no failure: the server did what it was asked.",
            codes(&reply)
        ))?;
    }
    Ok(0)
}

fn standard_input() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .take(LONGEST)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::io("standard input", &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn out(line: &str) -> Result<(), CliError> {
    answer(line).map_err(|error| CliError::io("standard output", &error))
}

/// The codes as the server writes them.
fn codes(reply: &PastedReply) -> String {
    let code = reply.code().map(|code| code.to_string());
    let enhanced = reply.enhanced().map(enhanced);
    code.into_iter().chain(enhanced).collect::<Vec<_>>().join(" ")
}

fn enhanced((class, subject, detail): pipepost_replies::EnhancedCode) -> String {
    format!("{class}.{subject}.{detail}")
}

fn person(reply: &PastedReply, explanation: &Explanation) -> Result<(), CliError> {
    let provider = match provider(reply, explanation) {
        Provider::Other => String::new(),
        known => format!(" ({})", known.name()),
    };
    out(&format!("{}{provider}: {}", codes(reply), explanation.cause))?;
    let line = |name: &str, what: &str| out(&format!("  {name:<9} {what}"));
    if !explanation.cure.is_empty() {
        line("do now", &explanation.cure)?;
    }
    if let Some(link) = &explanation.link {
        line("open", link)?;
    }
    line("retry", retry(explanation.retry).as_str())?;
    line("kind", &format!("{}, of the {}", explanation.kind, explanation.scope))
}

/// Whose words these are; a row that fits many servers leaves it to the reply.
fn provider(reply: &PastedReply, explanation: &Explanation) -> Provider {
    match explanation.row.map(|row| row.provider) {
        None | Some(Provider::Other) => reply.provider(),
        Some(known) => known,
    }
}

/// Whether another try is worth it, in words.
fn retry(retry: Retry) -> String {
    match retry {
        Retry::No => "it does not help: something has to be changed first".to_owned(),
        Retry::SameConnection => "at once, on the same connection".to_owned(),
        Retry::NewConnection => "at once, on a new connection".to_owned(),
        Retry::Soon => "soon, and then after growing pauses".to_owned(),
        Retry::After(seconds) => format!("after {}", duration(seconds)),
        Retry::SplitRecipients => "at once, with the other recipients in a further transaction".to_owned(),
        Retry::SplitDomains => "at once, with the recipients of each domain in a transaction of their own".to_owned(),
    }
}

fn duration(seconds: u32) -> String {
    let (number, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        _ => (seconds / 3600, "hour"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn machine(reply: &PastedReply, explanation: &Explanation) -> Value {
    let classes: Vec<String> = explanation
        .classes
        .iter()
        .copied()
        .map(Class::letter)
        .map(String::from)
        .collect();
    let failure = reply.is_failure();
    let provider = provider(reply, explanation);
    json!({
        "code": reply.code(),
        "enhanced": reply.enhanced().map(enhanced),
        "text": reply.text(),
        "failure": failure,
        "provider": provider.name(),
        "row": explanation.row.map(|row| row.id),
        "kind": failure.then(|| explanation.kind.as_str()),
        "scope": failure.then(|| explanation.scope.as_str()),
        "retry": failure.then(|| explanation.retry.to_string()),
        "wait": explanation.retry.wait(),
        "classes": classes,
        "cause": failure.then_some(&explanation.cause),
        "cure": failure.then_some(&explanation.cure),
        "link": explanation.link,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_own_unit() {
        for (seconds, said) in [
            (30, "30 seconds"),
            (60, "60 seconds"),
            (300, "5 minutes"),
            (86_400, "24 hours"),
        ] {
            assert_eq!(duration(seconds), said);
        }
    }
}
