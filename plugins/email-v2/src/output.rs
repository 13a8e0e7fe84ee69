//! What the step leaves behind: Digibee's keys exactly, and ours beside them.

use serde_json::Value;

use crate::{
    failure::{Failure, Kind},
    parameters::{Charset, Parameters},
};

/// How many characters of the content the output shows.
const SHOWN_CONTENT: usize = 256;
const TRUNCATED: &str = " ...TRUNCATED";

/// What became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one recipient was accepted, and none is uncertain.
    Sent,
    /// Nobody gets it.
    Failed,
    /// Nobody can know.
    Uncertain,
}

impl Outcome {
    /// As the output spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
        }
    }
}

/// A recipient that the server refused, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The address, as in the envelope.
    pub recipient: String,
    /// The reply's code, e.g. 550; none where no reply came.
    pub code: Option<u16>,
    /// The enhanced status code, e.g. `5.1.1` (RFC 3463).
    pub enhanced: Option<String>,
    /// The reply's text.
    pub text: String,
    /// What it means.
    pub kind: Kind,
}

/// What is known once the conversation is over.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What became of the message; `success` is true for `sent` alone.
    pub outcome: Outcome,
    /// The recipients that the server accepted.
    pub accepted: &'a [String],
    /// Those that it refused.
    pub rejected: &'a [Rejection],
    /// Those of whom nobody can know.
    pub uncertain: &'a [String],
    /// The server's last word on the message.
    pub response: Option<&'a str>,
    /// Why it was not sent.
    pub failure: Option<&'a Failure>,
}

impl Report<'_> {
    /// A report of nothing but the outcome.
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
pub struct Base {
    /// JSON members from `from` to `charset`, without braces.
    head: String,
    /// The JSON member `attachments`.
    attachments: String,
    /// The JSON member `messageId`.
    message_id: String,
}

impl Base {
    /// `charset` is the one that the texts were sent in.
    pub(crate) fn new(parameters: &Parameters, charset: &Charset, message_id: &str) -> Self {
        let written = &parameters.written;
        let mut head = String::with_capacity(512);
        for (key, text) in [
            ("from", &written.from),
            ("to", &written.to),
            ("cc", &written.cc),
            ("bcc", &written.bcc),
        ] {
            push_member(&mut head, key, text);
        }
        push_member(&mut head, "subject", &parameters.subject);
        push_member(&mut head, "content", &shortened(&parameters.body));
        push_member(&mut head, "charset", &charset.name);

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

    /// The step's output as JSON text.
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

fn push_text(out: &mut String, text: &str) {
    let is_clean = text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\');
    if is_clean {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

fn shortened(content: &str) -> std::borrow::Cow<'_, str> {
    match content.char_indices().nth(SHOWN_CONTENT) {
        None => content.into(),
        Some((end, _)) => format!("{}{TRUNCATED}", &content[..end]).into(),
    }
}
