//! What a provider says when it refuses: the standard's fields, and those that Google and Microsoft add.

use std::fmt;

use zeroize::Zeroizing;

use crate::document::Node;

/// The longest code, and the longest words, that go into a sentence.
const CODE_MAX: usize = 60;
const SAID_MAX: usize = 200;
/// More numbers than an answer has.
const NUMBERS_MAX: usize = 8;

/// An error response (RFC 6749, sections 4.1.2.1 and 5.2). Nothing else of an answer is ever shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProviderError {
    /// `error`.
    pub(crate) code: String,
    /// `error_subtype` (Google), `suberror` (Microsoft).
    pub(crate) subtype: Option<String>,
    /// `error_codes` (Microsoft), and those in `error_description`.
    pub(crate) numbers: Vec<u32>,
    /// `error_description`, without what repeats the numbers and without ids that only the provider can look up.
    pub(crate) said: Option<String>,
}

impl ProviderError {
    /// Reads the fields of an answer; none where it is no error response. `scrub` takes out of the provider's words what it
    /// was sent.
    pub(crate) fn of_document(document: &[(String, Node)], scrub: impl Fn(&str) -> String) -> Option<Self> {
        let node = |name: &str| document.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let text = |name: &str| match node(name) {
            Some(Node::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let (code, description) = match node("error")? {
            Node::Text(code) => (code.clone(), text("error_description")),
            // How Google's other services write an error.
            Node::Object(error) => {
                let inner = |name: &str| {
                    error.iter().find_map(|(key, value)| match value {
                        Node::Text(text) if key == name => Some(text.clone()),
                        _ => None,
                    })
                };
                let code = inner("status").unwrap_or_else(|| Zeroizing::new("error".to_owned()));
                (code, inner("message"))
            }
            _ => return None,
        };
        let numbers = match node("error_codes") {
            Some(Node::List(items)) => items.iter().filter_map(number).take(NUMBERS_MAX).collect(),
            Some(one) => number(one).into_iter().collect(),
            None => Vec::new(),
        };
        let subtype = text("error_subtype").or_else(|| text("suberror"));
        let subtype = subtype.map(|subtype| subtype.to_string());
        let description = description.map(|text| scrub(&text));
        Some(Self::new(&code, subtype.as_deref(), numbers, description.as_deref()))
    }

    /// Reads what an address says at which a browser ended.
    pub(crate) fn of_address(code: &str, subtype: Option<&str>, description: Option<&str>) -> Self {
        Self::new(code, subtype, Vec::new(), description)
    }

    fn new(code: &str, subtype: Option<&str>, numbers: Vec<u32>, description: Option<&str>) -> Self {
        let short = |text: &str| -> String { text.chars().filter(char::is_ascii_graphic).take(CODE_MAX).collect() };
        let description = description.unwrap_or_default();
        let mut numbers = numbers;
        for number in numbers_in(description) {
            if numbers.len() < NUMBERS_MAX && !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        Self {
            code: short(code),
            subtype: subtype.map(short).filter(|subtype| !subtype.is_empty()),
            said: Some(said(description)).filter(|said| !said.is_empty()),
            numbers,
        }
    }
}

/// The codes, and then the provider's words: `invalid_client, AADSTS7000215 ("...")`.
impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if let Some(subtype) = self.subtype.as_deref().filter(|subtype| *subtype != self.code) {
            write!(f, ", {subtype}")?;
        }
        for number in &self.numbers {
            write!(f, ", AADSTS{number}")?;
        }
        if let Some(said) = &self.said {
            write!(f, " (\"{}\")", said.trim_end_matches('.'))?;
        }
        Ok(())
    }
}

fn number(value: &Node) -> Option<u32> {
    match value {
        Node::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Node::Text(text) => text.trim_start_matches("AADSTS").parse().ok(),
        _ => None,
    }
}

/// The numbers behind `AADSTS` in a description.
fn numbers_in(description: &str) -> impl Iterator<Item = u32> {
    description.split("AADSTS").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })
}

/// A description on one line: without the number at its beginning, which is shown by itself, and without what follows
/// `Trace ID:`.
fn said(description: &str) -> String {
    let line = description
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let end = ["Trace ID:", "Correlation ID:", "Timestamp:"]
        .iter()
        .filter_map(|id| line.find(id))
        .min()
        .unwrap_or(line.len());
    let line = line[..end].trim();
    let rest = line.strip_prefix("AADSTS").map_or(line, |rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
            .trim_start()
    });
    rest.replace('"', "'").chars().take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<ProviderError> {
        let Ok(Node::Object(document)) = Node::parse(json) else {
            panic!("not an object: {json}")
        };
        ProviderError::of_document(&document, |text| text.replace("PLANTED", "***"))
    }

    #[test]
    fn microsofts_answer_is_read_whole() {
        let error = read(
            r#"{"error": "invalid_client", "error_codes": [7000215], "suberror": "bad_token", "error_uri": "https://x",
                "error_description": "AADSTS7000215: Invalid client secret provided for PLANTED.\r\nTrace ID: 0\r\nTimestamp: 1"}"#,
        )
        .expect("an error");
        assert_eq!(
            error.to_string(),
            "invalid_client, bad_token, AADSTS7000215 (\"Invalid client secret provided for ***\")"
        );
        assert_eq!(error.numbers, [7_000_215]);
    }

    #[test]
    fn numbers_come_from_the_list_or_from_the_words() {
        for (json, numbers) in [
            (
                r#"{"error": "x", "error_codes": ["50076", 65001]}"#,
                &[50_076, 65_001][..],
            ),
            (
                r#"{"error": "x", "error_description": "AADSTS53003: a. Inner AADSTS50076: b"}"#,
                &[53_003, 50_076],
            ),
            (
                r#"{"error": "x", "error_codes": [50076], "error_description": "AADSTS50076: a"}"#,
                &[50_076],
            ),
            (
                r#"{"error": "x", "error_codes": {"a": 1}, "error_description": "AADSTS, AADSTS99999999999"}"#,
                &[],
            ),
        ] {
            assert_eq!(read(json).expect("an error").numbers, numbers, "{json}");
        }
    }

    #[test]
    fn what_is_no_error_is_none_and_what_is_one_is_cut() {
        assert_eq!(read(r#"{"access_token": "x"}"#), None);
        assert_eq!(read(r#"{"error": 4}"#), None);
        let long = format!(
            r#"{{"error": "{}", "error_description": "{}\u001b[0m"}}"#,
            "a\\u0000".repeat(99),
            "b ".repeat(999)
        );
        let error = read(&long).expect("an error");
        assert!(
            error.to_string().len() < 300 && !error.to_string().chars().any(char::is_control),
            "{error}"
        );
        let google = read(r#"{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}"#);
        assert_eq!(google.expect("an error").to_string(), "INVALID_ARGUMENT (\"no\")");
    }
}
