//! The unsent rest of a message that was sent in part. It is given to the host, and given back for the next attempt.

use serde_json::{Value, json};

use crate::failure::{Failure, FailureKind};
use crate::output::Rejection;

/// Who is still to get a message, and what is known of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remainder {
    /// As in the envelope.
    pub(crate) recipients: Vec<String>,
    pub(crate) accepted: Vec<String>,
    /// Those who were refused for good.
    pub(crate) rejected: Vec<Rejection>,
    /// The number of the next transaction: those before may have been committed.
    pub(crate) part: u32,
}

impl Remainder {
    /// As JSON.
    pub(crate) fn render(&self) -> String {
        let rejected: Vec<Value> = self
            .rejected
            .iter()
            .map(|rejection| {
                json!({
                    "recipient": rejection.recipient,
                    "code": rejection.code,
                    "enhanced": rejection.enhanced,
                    "text": rejection.text,
                    "kind": rejection.kind.as_str(),
                })
            })
            .collect();
        json!({
            "recipients": self.recipients,
            "accepted": self.accepted,
            "rejected": rejected,
            "part": self.part,
        })
        .to_string()
    }

    /// What [`Remainder::render`] made.
    ///
    /// # Errors
    /// When it is anything else: then nobody knows who has the message, and it is not sent.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let read = || {
            let value: Value = serde_json::from_str(text).ok()?;
            let names = |name: &str| -> Option<Vec<String>> {
                let texts = value.get(name)?.as_array()?.iter();
                texts.map(|text| text.as_str().map(str::to_owned)).collect()
            };
            let rejected = value.get("rejected")?.as_array()?.iter().map(rejection);
            Some(Self {
                recipients: names("recipients").filter(|recipients| !recipients.is_empty())?,
                accepted: names("accepted")?,
                rejected: rejected.collect::<Option<_>>()?,
                part: u32::try_from(value.get("part")?.as_u64()?).ok()?,
            })
        };
        read().ok_or_else(|| {
            Failure::new(
                FailureKind::Limit,
                "What an earlier attempt left of the message cannot be read, so nobody knows who has it already; it was not sent.",
            )
        })
    }
}

fn rejection(value: &Value) -> Option<Rejection> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(Rejection {
        recipient: text("recipient")?,
        code: value.get("code")?.as_u64().and_then(|code| u16::try_from(code).ok()),
        enhanced: text("enhanced"),
        text: text("text")?,
        kind: FailureKind::from_name(&text("kind")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_refused() {
        let left = Remainder {
            recipients: vec!["a@x.example".to_owned()],
            accepted: vec!["b@x.example".to_owned()],
            rejected: vec![Rejection {
                recipient: "c@x.example".to_owned(),
                code: Some(550),
                enhanced: Some("5.1.1".to_owned()),
                text: "No such user\n\"here\"".to_owned(),
                kind: FailureKind::Refused,
            }],
            part: 3,
        };
        assert_eq!(Remainder::parse(&left.render()), Ok(left));
        for text in [
            "",
            "null",
            "[]",
            r#"{"recipients":[]}"#,
            r#"{"recipients":[],"accepted":[],"rejected":[],"part":0}"#,
            r#"{"recipients":["a@x.example"],"accepted":[],"rejected":[],"part":-1}"#,
            r#"{"recipients":[1],"accepted":[],"rejected":[],"part":1}"#,
        ] {
            assert!(Remainder::parse(text).is_err(), "{text}");
        }
    }
}
