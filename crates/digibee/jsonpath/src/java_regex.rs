//! Regular expressions as `java.util.regex` reads them, on the engine of `fancy-regex`.
//!
//! The pattern is translated, because the two differ in the meaning of `\d`, `.`, `$`, `\h` or `\p{Alpha}`. A feature
//! of Java that the engine does not have is refused when the pattern is parsed. Matching is bounded: a pattern with
//! back references or lookaround that backtracks too often ends in [`TooMuchWork`]; all other patterns take time linear
//! in the text.

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
    /// `CASE_INSENSITIVE`, for ASCII letters only, unless [`unicode_case`](Self::unicode_case) is set as well.
    pub case_insensitive: bool,
    /// `UNICODE_CASE`: with `CASE_INSENSITIVE`, the case of letters beyond ASCII is ignored too.
    pub unicode_case: bool,
    /// `MULTILINE`: `^` and `$` match at every line.
    pub multiline: bool,
    /// `DOTALL`: `.` matches line breaks.
    pub dotall: bool,
    /// `COMMENTS`: blanks and `#` comments are ignored.
    pub comments: bool,
    /// `UNIX_LINES`: only `\n` ends a line.
    pub unix_lines: bool,
    /// `UNICODE_CHARACTER_CLASS`: `\d`, `\w`, `\s` also match characters beyond ASCII.
    pub unicode: bool,
    /// `LITERAL`: the pattern is literal text.
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

    /// Sets the flag that has this name in Java. Returns false if there is no flag of this name.
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
    /// Compiles a pattern that is searched for anywhere in a text.
    ///
    /// # Errors
    /// Fails if the text is not a pattern, is too large, or uses a feature that the engine does not have.
    pub fn new(pattern: &str, flags: Flags) -> Result<Self, PatternError> {
        compile(&translate::translate(pattern, flags, false)?, flags)
    }

    /// Compiles a pattern that must match the whole text, as with Java's `matches`.
    ///
    /// # Errors
    /// Fails in the same cases as [`new`](Self::new).
    pub fn whole(pattern: &str, flags: Flags) -> Result<Self, PatternError> {
        compile(
            &format!(r"\A(?:{})\z", translate::translate(pattern, flags, true)?),
            flags,
        )
    }

    /// Returns whether the text matches.
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work.
    pub fn is_match(&self, text: &str) -> Result<bool, TooMuchWork> {
        self.regex.is_match(text).map_err(|_| TooMuchWork)
    }

    /// Returns the start and the end of the first match that begins at byte `from` or after it. This byte must be the
    /// start of a character.
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work.
    pub fn find_from(&self, text: &str, from: usize) -> Result<Option<(usize, usize)>, TooMuchWork> {
        let found = self.regex.find_from_pos(text, from).map_err(|_| TooMuchWork)?;
        Ok(found.map(|found| (found.start(), found.end())))
    }

    /// Returns every match, from left to right. `go_on` is called before each match with the number of matches before
    /// it: one search takes at most time linear in the text, and all searches together may take time quadratic in it.
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work, or if `go_on` returns false.
    pub fn find_all<'t>(&self, text: &'t str, go_on: &dyn Fn(usize) -> bool) -> Result<Vec<&'t str>, TooMuchWork> {
        let spans = self.spans(text, go_on)?;
        Ok(spans
            .into_iter()
            .filter_map(|(start, end)| text.get(start..end))
            .collect())
    }

    /// Returns the text between the matches, as Java's `String.split` gives it: empty texts at the end are left out,
    /// and so is an empty text before an empty match at the start. `go_on` is called as in
    /// [`find_all`](Self::find_all).
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work, or if `go_on` returns false.
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

    /// Returns the text with every match replaced. `longest` limits the result, in bytes. `go_on` is called as in
    /// [`find_all`](Self::find_all).
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work, if the result would be too long, or if `go_on` returns
    /// false.
    pub fn replace_all(
        &self,
        text: &str,
        replacement: &Replacement,
        longest: usize,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<String, TooMuchWork> {
        self.replace(text, replacement, usize::MAX, longest, go_on)
    }

    /// Returns the text with its first match replaced. `longest` limits the result, in bytes.
    ///
    /// # Errors
    /// Returns [`TooMuchWork`] if matching takes too much work, or if the result would be too long.
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

/// An error: a text is not a pattern, or not one that is supported.
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

/// An error: matching was stopped because it backtracked too often or its result became too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuchWork;

impl fmt::Display for TooMuchWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the regular expression takes too much work on this text: make it simpler")
    }
}

impl std::error::Error for TooMuchWork {}
