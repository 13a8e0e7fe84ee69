//! Regular expressions as `java.util.regex` reads them, on the engine of `fancy-regex`.
//!
//! The pattern is translated, because the two differ in what `\d`, `.`, `$`, `\h` or `\p{Alpha}` mean. What Java has and
//! the engine does not is refused when the pattern is parsed. Matching is bounded: a pattern with back references or
//! lookaround that goes back and forth too often ends in [`TooMuchWork`]; all others take time linear in the text.

mod replacement;
mod translate;

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};
pub use replacement::Replacement;

/// How often the search for one match may go back.
const BACKTRACK_LIMIT: usize = 100_000;
/// The size of a compiled pattern, in bytes: bounds nested repetitions.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;
/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 64 * 1024;

/// The flags of `java.util.regex.Pattern` that are supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `CASE_INSENSITIVE`. Of ASCII's letters alone, unless [`unicode_case`](Self::unicode_case) is set as well.
    pub case_insensitive: bool,
    /// `UNICODE_CASE`: with `CASE_INSENSITIVE`, letters beyond ASCII have no case either.
    pub unicode_case: bool,
    /// `MULTILINE`: `^` and `$` match at every line.
    pub multiline: bool,
    /// `DOTALL`: `.` matches line breaks.
    pub dotall: bool,
    /// `COMMENTS`: blanks and `#` comments are ignored.
    pub comments: bool,
    /// `UNIX_LINES`: only `\n` ends a line.
    pub unix_lines: bool,
    /// `UNICODE_CHARACTER_CLASS`: `\d`, `\w`, `\s` go beyond ASCII.
    pub unicode: bool,
    /// `LITERAL`: the pattern stands for itself.
    pub literal: bool,
}

impl Flags {
    /// `UNICODE_CHARACTER_CLASS` brings `UNICODE_CASE` along.
    fn folds_unicode(self) -> bool {
        self.unicode_case || self.unicode
    }

    /// Whether letters of ASCII are written in both cases, because the engine's own way would fold more.
    fn folds_ascii(self) -> bool {
        self.case_insensitive && !self.folds_unicode()
    }

    /// Sets the flag that Java calls so; false when there is none of this name.
    #[must_use]
    pub fn set(&mut self, name: &str) -> bool {
        match name {
            "CASE_INSENSITIVE" => self.case_insensitive = true,
            "MULTILINE" => self.multiline = true,
            "DOTALL" => self.dotall = true,
            "COMMENTS" => self.comments = true,
            "UNIX_LINES" => self.unix_lines = true,
            "UNICODE_CHARACTER_CLASS" => self.unicode = true,
            "LITERAL" => self.literal = true,
            "UNICODE_CASE" => self.unicode_case = true,
            _ => return false,
        }
        true
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct JavaRegex {
    regex: Regex,
}

impl JavaRegex {
    /// A pattern that is looked for anywhere in a text.
    ///
    /// # Errors
    ///
    /// When it is no pattern, is too large, or uses what the engine does not have.
    pub fn new(pattern: &str, flags: Flags) -> Result<Self, PatternError> {
        compile(&translate::translate(pattern, flags, false)?, flags)
    }

    /// A pattern that the whole text must match, as with Java's `matches`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn whole(pattern: &str, flags: Flags) -> Result<Self, PatternError> {
        compile(
            &format!(r"\A(?:{})\z", translate::translate(pattern, flags, true)?),
            flags,
        )
    }

    /// Whether the text matches.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`].
    pub fn is_match(&self, text: &str) -> Result<bool, TooMuchWork> {
        self.regex.is_match(text).map_err(|_| TooMuchWork)
    }

    /// The first match that begins at a byte of the text, which must be the start of a character, or after it: where it
    /// begins and where it ends.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`].
    pub fn find_from(&self, text: &str, from: usize) -> Result<Option<(usize, usize)>, TooMuchWork> {
        let found = self.regex.find_from_pos(text, from).map_err(|_| TooMuchWork)?;
        Ok(found.map(|found| (found.start(), found.end())))
    }

    /// Every match, from left to right. `go_on` is asked before each, with the number of those before it: one search takes
    /// time linear in the text at most, and all together may take the square of it.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`], also when `go_on` says no.
    pub fn find_all<'t>(&self, text: &'t str, go_on: &dyn Fn(usize) -> bool) -> Result<Vec<&'t str>, TooMuchWork> {
        let spans = self.spans(text, go_on)?;
        Ok(spans
            .into_iter()
            .filter_map(|(start, end)| text.get(start..end))
            .collect())
    }

    /// The text between the matches, as `String.split` of Java gives it: empty texts at the end are left out, and so is
    /// one before a match of nothing at the start. `go_on` is asked as in [`find_all`](Self::find_all).
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`], also when `go_on` says no.
    pub fn split<'t>(&self, text: &'t str, go_on: &dyn Fn(usize) -> bool) -> Result<Vec<&'t str>, TooMuchWork> {
        let mut parts = Vec::new();
        let mut from = 0;
        for (start, end) in self.spans(text, go_on)? {
            if end > 0 && !(start == end && start == text.len()) {
                parts.extend(text.get(from..start));
                from = end;
            }
        }
        if from == 0 {
            // Nothing matched: the text as it is, also when it is empty.
            return Ok(vec![text]);
        }
        parts.extend(text.get(from..));
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        Ok(parts)
    }

    /// The text with every match replaced. `longest` bounds the result, in bytes; `go_on` is asked as in
    /// [`find_all`](Self::find_all).
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`], also when the result would be too long or `go_on` says no.
    pub fn replace_all(
        &self,
        text: &str,
        replacement: &Replacement,
        longest: usize,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<String, TooMuchWork> {
        self.replace(text, replacement, usize::MAX, longest, go_on)
    }

    /// The text with its first match replaced. `longest` bounds the result, in bytes.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`], also when the result would be too long.
    pub fn replace_first(&self, text: &str, replacement: &Replacement, longest: usize) -> Result<String, TooMuchWork> {
        self.replace(text, replacement, 1, longest, &|_| true)
    }

    fn replace(
        &self,
        text: &str,
        replacement: &Replacement,
        most: usize,
        longest: usize,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<String, TooMuchWork> {
        let mut count = 0;
        let mut result = String::new();
        let mut from = 0;
        let mut search = Some(0);
        while let Some(at) = search {
            if !go_on(count) {
                return Err(TooMuchWork);
            }
            count += 1;
            let Some(captures) = self.regex.captures_from_pos(text, at).map_err(|_| TooMuchWork)? else {
                break;
            };
            let Some(all) = captures.get(0) else { break };
            result.push_str(text.get(from..all.start()).unwrap_or_default());
            replacement.expand(&captures, &mut result);
            if result.len() > longest {
                return Err(TooMuchWork);
            }
            from = all.end();
            search = next_search(text, all.start(), all.end()).filter(|_| count < most);
        }
        result.push_str(text.get(from..).unwrap_or_default());
        Ok(result)
    }

    fn spans(&self, text: &str, go_on: &dyn Fn(usize) -> bool) -> Result<Vec<(usize, usize)>, TooMuchWork> {
        let mut spans = Vec::new();
        let mut search = Some(0);
        while let Some(at) = search {
            if !go_on(spans.len()) {
                return Err(TooMuchWork);
            }
            let Some(found) = self.regex.find_from_pos(text, at).map_err(|_| TooMuchWork)? else {
                break;
            };
            spans.push((found.start(), found.end()));
            search = next_search(text, found.start(), found.end());
        }
        Ok(spans)
    }

    /// How many groups the pattern has, the whole match not counted.
    pub(crate) fn groups(&self) -> usize {
        self.regex.captures_len().saturating_sub(1)
    }

    /// The number of the group with this name.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|group| group == Some(name))
    }
}

/// Where Java looks for the next match: at the end of the last one, or a character after a match of nothing. The engine
/// on its own would leave out an empty match right after another.
fn next_search(text: &str, start: usize, end: usize) -> Option<usize> {
    if end > start {
        return Some(end);
    }
    text.get(end..)?.chars().next().map(|c| end + c.len_utf8())
}

fn compile(translated: &str, flags: Flags) -> Result<JavaRegex, PatternError> {
    let regex = RegexBuilder::new(translated)
        .case_insensitive(flags.case_insensitive && flags.folds_unicode())
        .ignore_whitespace(flags.comments && !flags.literal)
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|_| PatternError::new("it is malformed, too large, or uses what is not supported here"))?;
    Ok(JavaRegex { regex })
}

/// A text that is not a pattern, or not one that is supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    reason: String,
}

impl PatternError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "this is not a Java regular expression that can be used: {}",
            self.reason
        )
    }
}

impl std::error::Error for PatternError {}

/// A match that was given up, because it went back and forth too often or its result grew too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuchWork;

impl fmt::Display for TooMuchWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the regular expression takes too much work on this text: make it simpler")
    }
}

impl std::error::Error for TooMuchWork {}
