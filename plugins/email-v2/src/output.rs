//! The output of the step: Digibee's keys exactly, and our own keys besides them.

use crate::failure::{Failure, FailureKind};
use crate::parameters::{Charset, Parameters, plain_length};

/// How many characters of the content the output shows.
const SHOWN_CONTENT: usize = 256;
const TRUNCATED: &str = " ...TRUNCATED";

/// How the message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one recipient was accepted, and none is uncertain.
    Sent,
    /// No recipient receives the message.
    Failed,
    /// The message may or may not have been delivered, and this cannot be found out.
    Uncertain,
}

impl Outcome {
    /// Returns the name as the output spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
        }
    }
}

/// A recipient that the server refused, and the refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The address, as in the envelope.
    pub recipient: String,
    /// The reply's code, e.g. 550; none if no reply came.
    pub code: Option<u16>,
    /// The enhanced status code, e.g. `5.1.1` (RFC 3463).
    pub enhanced: Option<String>,
    /// The reply's text.
    pub text: String,
    /// The kind of failure that the reply means.
    pub kind: FailureKind,
}

/// The results that are known once the conversation is over.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// How the message ended. `success` is true only for `sent`.
    pub outcome: Outcome,
    /// The recipients that the server accepted.
    pub accepted: &'a [String],
    /// The recipients that the server refused.
    pub rejected: &'a [Rejection],
    /// The recipients for whom the result cannot be known.
    pub uncertain: &'a [String],
    /// The server's last reply about the message.
    pub response: Option<&'a str>,
    /// The reason why the message was not sent.
    pub failure: Option<&'a Failure>,
}

impl Report<'_> {
    /// Creates a report with only the outcome.
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            accepted: &[],
            rejected: &[],
            uncertain: &[],
            response: None,
            failure: None,
        }
    }
}

/// The part of the output that is known before sending: the values as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPrefix {
    /// JSON members from `from` to `charset`, without braces.
    head: String,
    /// The JSON member `attachments`.
    attachments: String,
    /// The JSON member `messageId`.
    message_id: String,
}

impl OutputPrefix {
    /// Creates the output of a message that could not be made: [`crate::message::prepare`] failed.
    pub fn of_parameters(parameters: &Parameters, message_id: &str) -> Self {
        Self::new(parameters, &parameters.charset, message_id)
    }

    /// Creates the output for parameters that could not be read: it has every key, and no values.
    pub fn unknown() -> Self {
        Self {
            head: head([""; 7]),
            attachments: "\"attachments\":[]".to_owned(),
            message_id: "\"messageId\":\"\"".to_owned(),
        }
    }

    /// `charset` is the one that the texts were sent in.
    pub(crate) fn new(parameters: &Parameters, charset: &Charset, message_id: &str) -> Self {
        let written = &parameters.written;
        let head = head([
            &written.from,
            &written.to,
            &written.cc,
            &written.bcc,
            &parameters.subject,
            &shortened(parameters.sent_text()),
            &charset.name,
        ]);

        let mut attachments = String::from("\"attachments\":[");
        for (i, attachment) in parameters.attachments.iter().enumerate() {
            attachments.push_str(if i > 0 { ",{" } else { "{" });
            let mut members = String::new();
            push_member(&mut members, "type", attachment.disposition.as_str());
            push_member(&mut members, "attachment", &attachment.name);
            attachments.push_str(&members);
            attachments.push('}');
        }
        attachments.push(']');

        let mut id = String::new();
        push_member(&mut id, "messageId", message_id);
        Self {
            head,
            attachments,
            message_id: id,
        }
    }

    /// Returns the step's output as JSON text.
    pub fn render(&self, report: &Report<'_>) -> String {
        let mut out = String::with_capacity(self.head.len() + self.attachments.len() + 512);
        out.push('{');
        out.push_str(&self.head);
        out.push_str(if report.outcome == Outcome::Sent {
            ",\"success\":true,"
        } else {
            ",\"success\":false,"
        });
        out.push_str(&self.attachments);
        out.push(',');
        out.push_str(&self.message_id);
        push_member(&mut out, "outcome", report.outcome.as_str());
        push_list(&mut out, "accepted", report.accepted);
        out.push_str(",\"rejected\":[");
        for (i, rejection) in report.rejected.iter().enumerate() {
            out.push_str(if i > 0 { ",{" } else { "{" });
            push_rejection(&mut out, rejection);
            out.push('}');
        }
        out.push(']');
        push_list(&mut out, "uncertain", report.uncertain);
        push_optional(&mut out, "response", report.response);
        out.push_str(",\"failure\":");
        match report.failure {
            None => out.push_str("null"),
            Some(failure) => push_failure(&mut out, failure),
        }
        out.push('}');
        out
    }
}

/// Digibee's keys with their texts, less `success` and `attachments`.
fn head(texts: [&str; 7]) -> String {
    const KEYS: [&str; 7] = ["from", "to", "cc", "bcc", "subject", "content", "charset"];
    let mut head = String::with_capacity(512);
    for (key, text) in KEYS.into_iter().zip(texts) {
        push_member(&mut head, key, text);
    }
    head
}

fn push_rejection(out: &mut String, rejection: &Rejection) {
    push_member(out, "recipient", &rejection.recipient);
    out.push_str(",\"code\":");
    match rejection.code {
        None => out.push_str("null"),
        Some(code) => out.push_str(&code.to_string()),
    }
    push_optional(out, "enhanced", rejection.enhanced.as_deref());
    push_member(out, "text", &rejection.text);
    push_member(out, "kind", rejection.kind.as_str());
}

fn push_failure(out: &mut String, failure: &Failure) {
    out.push('{');
    push_member(out, "kind", failure.kind.as_str());
    push_member(out, "message", &failure.message);
    push_optional(out, "advice", failure.advice.as_deref());
    push_optional(out, "link", failure.link.as_deref());
    out.push('}');
}

fn push_list(out: &mut String, key: &str, elements: &[String]) {
    push_key(out, key);
    out.push('[');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(out, element);
    }
    out.push(']');
}

fn push_optional(out: &mut String, key: &str, text: Option<&str>) {
    match text {
        Some(text) => push_member(out, key, text),
        None => {
            push_key(out, key);
            out.push_str("null");
        }
    }
}

fn push_member(out: &mut String, key: &str, text: &str) {
    push_key(out, key);
    push_text(out, text);
}

/// The keys are ours and need no escapes.
fn push_key(out: &mut String, key: &str) {
    if !matches!(out.as_bytes().last(), None | Some(b'{')) {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
}

/// A text with its quotes, escaped as JSON has it (RFC 8259, section 7).
fn push_text(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_length(rest.as_bytes()));
        out.push_str(plain);
        let Some(octet) = special.bytes().next() else { break };
        match octet {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            0x08 => out.push_str("\\b"),
            0x0C => out.push_str("\\f"),
            control => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(control >> 4)]));
                out.push(char::from(HEX[usize::from(control & 15)]));
            }
        }
        rest = &special[1..];
    }
    out.push('"');
}

fn shortened(content: &str) -> std::borrow::Cow<'_, str> {
    // No character is shorter than an octet.
    if content.len() <= SHOWN_CONTENT {
        return content.into();
    }
    match content.char_indices().nth(SHOWN_CONTENT) {
        None => content.into(),
        Some((end, _)) => [&content[..end], TRUNCATED].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn prefix(parameters: Value) -> OutputPrefix {
        let parameters = Parameters::from_value(parameters, None).expect("the parameters are right");
        OutputPrefix::of_parameters(&parameters, "<k@x.example>")
    }

    fn rendered(prefix: &OutputPrefix, report: &Report<'_>) -> Value {
        serde_json::from_str(&prefix.render(report)).expect("the output is JSON")
    }

    #[test]
    fn the_values_stand_as_they_were_sent() {
        let prefix = prefix(json!({
            "from": "Ana \"A\" <a@x.example>", "to": "b@y.example, c@y.example", "subject": "line\ttab \\ é",
            "body": "<p>\"Hi\"\n</p>", "charset": "iso-8859-1",
            "attachments": [{"attachment": "d/f.csv"}, {"attachment": "g.png", "type": "INLINE"}],
        }));
        let accepted = ["b@y.example".to_owned()];
        let rejected = [Rejection {
            recipient: "c@y.example".into(),
            code: Some(550),
            enhanced: Some("5.1.1".into()),
            text: "no such \"user\"\n".into(),
            kind: FailureKind::Refused,
        }];
        let report = Report {
            accepted: &accepted,
            rejected: &rejected,
            response: Some("250 2.0.0 OK"),
            ..Report::new(Outcome::Sent)
        };
        assert_eq!(
            rendered(&prefix, &report),
            json!({
                "from": "Ana \"A\" <a@x.example>", "to": "b@y.example, c@y.example", "cc": "", "bcc": "",
                "subject": "line\ttab \\ é", "content": "<p>\"Hi\"\n</p>", "charset": "iso-8859-1", "success": true,
                "attachments": [{"type": "ATTACHMENT", "attachment": "d/f.csv"}, {"type": "INLINE", "attachment": "g.png"}],
                "messageId": "<k@x.example>", "outcome": "sent", "accepted": ["b@y.example"],
                "rejected": [{
                    "recipient": "c@y.example", "code": 550, "enhanced": "5.1.1", "text": "no such \"user\"\n", "kind": "refused",
                }],
                "uncertain": [], "response": "250 2.0.0 OK", "failure": null,
            })
        );
    }

    #[test]
    fn a_failure_is_told_whole_and_is_no_success() {
        let failure = Failure::new(FailureKind::Quota, "the day's limit is reached").with_advice("wait");
        let report = Report {
            failure: Some(&failure),
            ..Report::new(Outcome::Failed)
        };
        for prefix in [
            prefix(json!({"from": "a@x.example", "to": "b@y.example"})),
            OutputPrefix::unknown(),
        ] {
            let output = rendered(&prefix, &report);
            assert_eq!(output["success"], false);
            assert_eq!(
                output["failure"],
                json!({"kind": "quota", "message": "the day's limit is reached", "advice": "wait", "link": null})
            );
        }
        let output = rendered(&OutputPrefix::unknown(), &Report::new(Outcome::Uncertain));
        assert_eq!(
            (&output["success"], &output["outcome"]),
            (&json!(false), &json!("uncertain"))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(text in "([\\PC]|[\u{0}-\u{7f}]){0,40}") {
            let mut out = String::new();
            push_text(&mut out, &text);
            prop_assert_eq!(out, Value::from(text).to_string());
        }
    }

    #[test]
    fn long_content_is_cut_between_characters_and_marked() {
        let content = |length: usize| {
            let prefix = prefix(json!({"from": "a@x.example", "to": "b@y.example", "body": "é".repeat(length)}));
            rendered(&prefix, &Report::new(Outcome::Sent))["content"]
                .as_str()
                .map(str::to_owned)
        };
        assert_eq!(content(256), Some("é".repeat(256)));
        assert_eq!(content(257), Some(format!("{} ...TRUNCATED", "é".repeat(256))));
    }

    #[test]
    fn a_message_of_text_alone_shows_its_text() {
        let prefix = prefix(json!({"from": "a@x.example", "to": "b@y.example", "text": "Hi"}));
        assert_eq!(rendered(&prefix, &Report::new(Outcome::Sent))["content"], "Hi");
    }
}
