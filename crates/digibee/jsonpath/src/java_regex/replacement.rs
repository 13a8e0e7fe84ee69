use fancy_regex::Captures;

use super::{JavaRegex, PatternError};

/// The text that replaces matches, as Java's `Matcher.replaceAll` reads it: `$1` and `${name}` are groups, and the
/// character after a backslash is literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// Parses a replacement for the matches of a pattern.
    ///
    /// # Errors
    /// Fails if the text names a group that the pattern does not have, or ends in a single `$` or backslash.
    pub fn parse(text: &str, regex: &JavaRegex) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let group = match c {
                '\\' => {
                    let next = chars
                        .next()
                        .ok_or_else(|| PatternError::new("the replacement ends in a backslash"))?;
                    literal.push(next);
                    continue;
                }
                '$' if chars.next_if_eq(&'{').is_some() => {
                    let mut name = String::new();
                    while let Some(c) = chars.next_if(|c| *c != '}') {
                        name.push(c);
                    }
                    let closed = chars.next().is_some();
                    regex.group(&name).filter(|_| closed).ok_or_else(|| {
                        PatternError::new("the replacement names a group that the pattern does not have")
                    })?
                }
                '$' => {
                    let digit = chars.next().and_then(|c| c.to_digit(10)).ok_or_else(|| {
                        PatternError::new("a $ in the replacement needs a group after it, or a backslash before it")
                    })?;
                    let mut group = digit as usize;
                    if group > regex.groups() {
                        return Err(PatternError::new(format!(
                            "the pattern has no group {group} for the replacement"
                        )));
                    }
                    // Further digits belong to the number as long as there is such a group.
                    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                        let longer = group.saturating_mul(10).saturating_add(digit as usize);
                        if longer > regex.groups() {
                            break;
                        }
                        group = longer;
                        chars.next();
                    }
                    group
                }
                c => {
                    literal.push(c);
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Group(group));
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    pub(super) fn expand(&self, captures: &Captures<'_, str>, target: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => target.push_str(text),
                Part::Group(group) => target.push_str(captures.get(*group).map_or("", |found| found.as_str())),
            }
        }
    }
}
