//! Text. Positions and lengths count UTF-16 units, as in Java. A function whose text is null gives null.

use std::borrow::Cow;

use pipepost_jsonpath::java_regex::{Replacement, TooMuchWork};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::{Answer, Arguments, Function, MAX_TEXT, Outcome, PatternKind};
use crate::error::Failure;
use crate::text::push_text;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("CAPITALIZE", "value", 1, 1, |arguments| {
        with_text(&arguments, capitalize)
    }),
    Function::new("CONCAT", "*values", 1, 0, |arguments| {
        let mut text = String::new();
        for index in 0..arguments.count() {
            push_bounded(&mut text, arguments.get(index))?;
        }
        text.answer()
    })
    .any_number(),
    Function::new("CONTAINS", "main_string, sub_string", 2, 2, |arguments| {
        match (arguments.text(0), arguments.text(1)) {
            (Some(text), Some(part)) => text.contains(&*part).answer(),
            _ => false.answer(),
        }
    }),
    Function::new("DEFAULT", "value, defaultValue", 2, 2, |mut arguments| {
        let index = usize::from(arguments.is_null(0));
        Ok(arguments.take(index))
    }),
    Function::new("INDEXOF", "main_string, sub_string, fromIndex?", 2, 3, |arguments| {
        position(&arguments, |text, part, from| {
            let from = byte_of(text, usize::try_from(from.unwrap_or(0)).unwrap_or(0));
            text[from..].find(part).map(|at| from + at)
        })
    }),
    Function::new("JOIN", "separator, *values", 1, 0, join).any_number(),
    Function::new(
        "LASTINDEXOF",
        "main_string, sub_string, fromIndex?",
        2,
        3,
        |arguments| {
            position(&arguments, |text, part, from| {
                let last = byte_of(text, usize::try_from(from.unwrap_or(i64::MAX)).ok()?);
                // What begins at `last` or before ends here or before.
                let end = text.floor_char_boundary(last.saturating_add(part.len()));
                text[..end].rfind(part)
            })
        },
    ),
    Function::new("LEFTPAD", "value, length, character?", 2, 3, |arguments| {
        pad(&arguments, |text, padding| format!("{padding}{text}"))
    }),
    Function::new("RIGHTPAD", "value, length, character?", 2, 3, |arguments| {
        pad(&arguments, |text, padding| format!("{text}{padding}"))
    }),
    Function::new("LOWERCASE", "value", 1, 1, |arguments| {
        with_text(&arguments, str::to_lowercase)
    }),
    Function::new("UPPERCASE", "value", 1, 1, |arguments| {
        with_text(&arguments, str::to_uppercase)
    }),
    Function::new("MATCHES", "value, pattern", 2, 2, |arguments| {
        let regex = arguments.regex(1)?;
        match arguments.text(0) {
            Some(text) => regex.is_match(&text).map_err(too_much)?.answer(),
            None => false.answer(),
        }
    })
    .patterns(&[(1, PatternKind::WholeRegex)]),
    Function::new("NORMALIZE", "value", 1, 1, |arguments| {
        with_text(&arguments, strip_accents)
    }),
    Function::new("RANDOMSTRINGS", "charset, length", 2, 2, random_strings),
    Function::new("REPLACE", "value, pattern, replacement", 3, 3, |arguments| {
        let regex = arguments.regex(1)?;
        let Some(text) = arguments.text(0) else {
            return Value::Null.answer();
        };
        let replacement = arguments.text(2).unwrap_or_default();
        let replacement = Replacement::parse(&replacement, &regex).map_err(|_| {
            Failure::argument(format!(
                "{} must be a replacement: $1 and ${{name}} are groups of the pattern, \\$ is a dollar",
                arguments.describe(2)
            ))
        })?;
        regex
            .replace_all(&text, &replacement, MAX_TEXT, &go_on(&arguments))
            .map_err(too_much)?
            .answer()
    })
    .patterns(&[(1, PatternKind::Regex)]),
    Function::new("SPLIT", "value, pattern", 2, 2, |arguments| {
        let regex = arguments.regex(1)?;
        match arguments.text(0) {
            Some(text) => regex.split(&text, &go_on(&arguments)).map_err(too_much)?.answer(),
            None => Value::Null.answer(),
        }
    })
    .patterns(&[(1, PatternKind::Regex)]),
    Function::new("STRINGMATCHES", "value, pattern, patternFlag?", 2, 3, |arguments| {
        let regex = arguments.regex(1)?;
        match arguments.text(0) {
            Some(text) => regex.find_all(&text, &go_on(&arguments)).map_err(too_much)?.answer(),
            None => Value::Null.answer(),
        }
    })
    .patterns(&[(1, PatternKind::FlaggedRegex)]),
    Function::new(
        "SUBSTRING",
        "value, start, end?, throwIndexOutOfBoundError?",
        2,
        4,
        substring,
    ),
    Function::new("TOSTRING", "object", 1, 1, |arguments| {
        with_text(&arguments, str::to_owned)
    }),
    Function::new("TRIM", "value", 1, 1, |arguments| {
        // Java's `trim` takes away everything up to the blank.
        with_text(&arguments, |text| text.trim_matches(|c| c <= ' ').to_owned())
    }),
];

/// Matches of one search, and parts of one text: each takes memory of its own.
const MATCHES_MAX: usize = 1_000_000;

/// Whether a search that has found so many may look for another.
fn go_on(arguments: &Arguments<'_>) -> impl Fn(usize) -> bool {
    |found| found < MATCHES_MAX && (found % 64 != 63 || arguments.context.may_go_on())
}

fn with_text<'a>(arguments: &Arguments<'a>, convert: impl FnOnce(&str) -> String) -> Outcome<'a> {
    match arguments.text(0) {
        Some(text) => convert(&text).answer(),
        None => Value::Null.answer(),
    }
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Without accents: what decomposes into a letter and marks keeps the letter.
fn strip_accents(text: &str) -> String {
    text.nfd()
        .filter(|c| !('\u{300}'..='\u{36f}').contains(c))
        .map(|c| match c {
            // The two letters with a stroke that Java's usual library also treats as accented.
            'ł' => 'l',
            'Ł' => 'L',
            c => c,
        })
        .nfc()
        .collect()
}

fn position<'a>(arguments: &Arguments<'a>, find: impl FnOnce(&str, &str, Option<i64>) -> Option<usize>) -> Outcome<'a> {
    let from = if arguments.is_null(2) {
        None
    } else {
        Some(arguments.integer(2)?)
    };
    let (Some(text), Some(part)) = (arguments.text(0), arguments.text(1)) else {
        return (-1).answer();
    };
    match find(&text, &part, from) {
        Some(byte) => text[..byte].encode_utf16().count().answer(),
        None => (-1).answer(),
    }
}

/// The byte at which the UTF-16 unit with this index begins, or the character that it is the second half of ends; the
/// end beyond it.
fn byte_of(text: &str, unit: usize) -> usize {
    let mut units = 0;
    for (byte, c) in text.char_indices() {
        if units >= unit {
            return byte;
        }
        units += c.len_utf16();
    }
    text.len()
}

/// Appends a value's text form, unless the whole would be too long.
fn push_bounded(text: &mut String, value: &Value) -> Result<(), Failure> {
    if let Value::String(part) = value
        && text.len() + part.len() > MAX_TEXT
    {
        return Err(too_long());
    }
    push_text(text, value);
    if text.len() > MAX_TEXT { Err(too_long()) } else { Ok(()) }
}

/// What is null is left out, as by CONCAT; of an array its elements are joined.
fn join(arguments: Arguments<'_>) -> Outcome<'_> {
    let separator = arguments.text(0).unwrap_or_default().into_owned();
    let mut joined = String::new();
    let mut first = true;
    for index in 1..arguments.count() {
        let parts = match arguments.get(index) {
            Value::Array(elements) => elements.as_slice(),
            one => std::slice::from_ref(one),
        };
        for part in parts.iter().filter(|part| !part.is_null()) {
            if !std::mem::take(&mut first) {
                joined.push_str(&separator);
            }
            push_bounded(&mut joined, part)?;
        }
    }
    joined.answer()
}

fn pad<'a>(arguments: &Arguments<'a>, put: impl FnOnce(&str, &str) -> String) -> Outcome<'a> {
    let length = usize::try_from(arguments.integer(1)?).unwrap_or(0);
    let Some(text) = arguments.text(0) else {
        return Value::Null.answer();
    };
    let filler = arguments
        .text(2)
        .filter(|filler| !filler.is_empty())
        .unwrap_or(Cow::Borrowed(" "));
    let missing = length.saturating_sub(text.encode_utf16().count());
    // A unit takes three bytes at most.
    if missing > MAX_TEXT / 3 {
        return Err(too_long());
    }
    let filler: Vec<u16> = filler.encode_utf16().cycle().take(missing).collect();
    put(&text, &String::from_utf16_lossy(&filler)).answer()
}

fn random_strings(arguments: Arguments<'_>) -> Outcome<'_> {
    let charset = arguments.required_text(0)?.to_ascii_uppercase();
    let letters: Vec<char> = match charset.as_str() {
        "ALPHANUMERIC" => ('A'..='Z').chain('a'..='z').chain('0'..='9').collect(),
        "ALPHABETIC" => ('A'..='Z').chain('a'..='z').collect(),
        "ASCII" => (' '..='~').collect(),
        "NUMERIC" => ('0'..='9').collect(),
        _ => {
            let wanted = "must be ALPHANUMERIC, ALPHABETIC, ASCII or NUMERIC";
            return Err(Failure::argument(format!("{} {wanted}", arguments.describe(0))));
        }
    };
    let length = usize::try_from(arguments.integer(1)?).map_err(|_| arguments.not(1, "zero or more"))?;
    if length > MAX_TEXT / 32 {
        return Err(too_long());
    }
    let pick = |_| {
        let index = (u128::from(arguments.context.random()) * letters.len() as u128) >> 64;
        usize::try_from(index)
            .ok()
            .and_then(|index| letters.get(index))
            .copied()
            .unwrap_or('0')
    };
    (0..length).map(pick).collect::<String>().answer()
}

fn substring(mut arguments: Arguments<'_>) -> Outcome<'_> {
    let strict = arguments.is_null(3) || arguments.truth(3)?;
    let start = arguments.integer(1)?;
    let end = if arguments.is_null(2) {
        None
    } else {
        Some(arguments.integer(2)?)
    };
    let Some(text) = arguments.text(0) else {
        return Value::Null.answer();
    };
    let units: Vec<u16> = text.encode_utf16().collect();
    let range = usize::try_from(start).ok().zip(match end {
        Some(end) => usize::try_from(end).ok(),
        None => Some(units.len()),
    });
    match range.and_then(|(start, end)| units.get(start..end)) {
        Some(part) => String::from_utf16_lossy(part).answer(),
        None if strict => {
            let end = end.map_or_else(|| "the end".to_owned(), |end| end.to_string());
            let length = units.len();
            Err(Failure::argument(format!(
                "from {start} to {end} is out of a text of {length} characters"
            )))
        }
        None => Ok(arguments.take(0)),
    }
}

fn too_long() -> Failure {
    Failure::limit(format!("the result would be longer than {MAX_TEXT} bytes"))
}

fn too_much(error: TooMuchWork) -> Failure {
    Failure::limit(error.to_string())
}
