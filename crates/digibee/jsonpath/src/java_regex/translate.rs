//! Translates Java's pattern syntax to the engine's.
//!
//! Line breaks, character classes and flags are resolved here. Of Java's flags only `x`, and `i` where it means all of
//! Unicode, reach the engine; the rest of the syntax is the same on both sides and is copied.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::{Flags, MAX_PATTERN, PatternError};

const LINE_BREAKS: &str = r"\n\r\x{85}\x{2028}\x{2029}";
const HORIZONTAL: &str = r" \t\x{a0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}";
const VERTICAL: &str = r"\n\x0B\f\r\x{85}\x{2028}\x{2029}";

pub(super) fn translate(pattern: &str, flags: Flags, whole: bool) -> Result<String, PatternError> {
    if pattern.len() > MAX_PATTERN {
        return Err(PatternError::new(format!("it is longer than {MAX_PATTERN} bytes")));
    }
    let mut translator = Translator {
        chars: pattern.chars().peekable(),
        result: String::with_capacity(pattern.len() + 16),
        flags,
        outer: Vec::new(),
        whole,
        other_case: Vec::new(),
    };
    if flags.literal {
        pattern.chars().for_each(|c| translator.literal(c, false));
    } else {
        translator.run()?;
    }
    Ok(translator.result)
}

struct Translator<'a> {
    chars: Peekable<Chars<'a>>,
    result: String,
    flags: Flags,
    /// The flags outside each open group, to return to.
    outer: Vec<Flags>,
    /// Whether the whole text must match, so that `$` can only mean the end.
    whole: bool,
    /// For each open character class, its letters in the other case: members as well when case does not count.
    other_case: Vec<String>,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => {
                    self.flags = self.outer.pop().unwrap_or(self.flags);
                    self.result.push(')');
                }
                '.' if self.flags.dotall => self.result.push_str("(?s:.)"),
                '.' if self.flags.unix_lines => self.result.push_str(r"[^\n]"),
                '.' => self.class_of(LINE_BREAKS, true, false),
                '^' if self.flags.multiline => self.result.push_str("(?m:^)"),
                '$' if self.flags.multiline => self.result.push_str("(?m:$)"),
                '$' if self.whole => self.result.push_str(r"\z"),
                '$' => self.last_line_end(),
                '#' if self.flags.comments => while self.chars.next().is_some_and(|c| c != '\n') {},
                c if self.flags.folds_ascii() && c.is_ascii_alphabetic() => self.either_case(c),
                c => self.result.push(c),
            }
        }
        Ok(())
    }

    /// The end, or before the line break that ends the text.
    fn last_line_end(&mut self) {
        self.result.push_str(if self.flags.unix_lines {
            r"(?=\n?\z)"
        } else {
            r"(?=(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z)"
        });
    }

    /// After `(`: plain groups are copied, flags are kept for the translation.
    fn group(&mut self) -> Result<(), PatternError> {
        self.result.push('(');
        if self.chars.next_if_eq(&'?').is_none() {
            self.outer.push(self.flags);
            return Ok(());
        }
        self.result.push('?');
        if !self.chars.peek().is_some_and(|c| c.is_ascii_alphabetic() || *c == '-') {
            self.outer.push(self.flags);
            return Ok(());
        }
        let before = self.flags;
        let mut on = true;
        loop {
            let flag = self
                .chars
                .next()
                .ok_or_else(|| PatternError::new("a group is not closed"))?;
            match flag {
                'i' => self.flags.case_insensitive = on,
                'x' => self.flags.comments = on,
                'm' => self.flags.multiline = on,
                's' => self.flags.dotall = on,
                'd' => self.flags.unix_lines = on,
                'U' => self.flags.unicode = on,
                'u' => self.flags.unicode_case = on,
                '-' if on => on = false,
                ':' | ')' => {
                    let shown = engine_flags(before, self.flags);
                    if flag == ':' {
                        self.outer.push(before);
                        let _ = write!(self.result, "{shown}:");
                    } else if shown.is_empty() {
                        // `(?s)`: nothing is left for the engine; the `(?` is taken back.
                        self.result.truncate(self.result.len() - 2);
                    } else {
                        let _ = write!(self.result, "{shown})");
                    }
                    return Ok(());
                }
                other => return Err(PatternError::new(format!("(?{other} is not known"))),
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> Result<(), PatternError> {
        let c = self
            .chars
            .next()
            .ok_or_else(|| PatternError::new("it ends in a backslash"))?;
        match c {
            'd' | 'w' | 's' | 'D' | 'W' | 'S' if self.flags.unicode => {
                self.result.push('\\');
                self.result.push(c);
            }
            'd' | 'D' => self.class_of("0-9", c == 'D', in_class),
            'w' | 'W' => self.class_of("A-Za-z0-9_", c == 'W', in_class),
            's' | 'S' => self.class_of(r" \t\n\x0B\f\r", c == 'S', in_class),
            'h' | 'H' => self.class_of(HORIZONTAL, c == 'H', in_class),
            'v' | 'V' => self.class_of(VERTICAL, c == 'V', in_class),
            'p' | 'P' => self.property(c == 'P', in_class)?,
            'Q' => self.quotation(in_class),
            // The end of a quotation that was not opened: Java ignores it.
            'E' => {}
            'R' if !in_class => {
                let _ = write!(self.result, r"(?:\r\n|[{VERTICAL}])");
            }
            'Z' if !in_class => self.last_line_end(),
            't' | 'n' | 'r' | 'f' | 'a' => {
                self.result.push('\\');
                self.result.push(c);
            }
            'e' => self.result.push_str(r"\x1B"),
            'u' => self.code_units(in_class)?,
            'x' if self.chars.next_if_eq(&'{').is_some() => {
                let digits = self.digits(6, 16);
                if self.chars.next() != Some('}') {
                    return Err(PatternError::new(r"\x{ is not closed"));
                }
                self.code_point(&digits, 16, in_class)?;
            }
            'x' => {
                let digits = self.digits(2, 16);
                self.code_point(&digits, 16, in_class)?;
            }
            '0' => {
                let digits = self.digits(3, 8);
                self.code_point(&digits, 8, in_class)?;
            }
            'c' => {
                let control = self.chars.next().filter(char::is_ascii);
                let control = control.ok_or_else(|| PatternError::new(r"\c needs a letter"))?;
                let _ = write!(self.result, r"\x{{{:x}}}", u32::from(control) ^ 64);
            }
            '1'..='9' | 'b' | 'B' | 'A' | 'z' | 'G' | 'k' if !in_class => {
                self.result.push('\\');
                self.result.push(c);
            }
            c if c.is_ascii_alphanumeric() => {
                return Err(PatternError::new(format!(r"\{c} is not known or not supported here")));
            }
            c => self.literal(c, in_class),
        }
        Ok(())
    }

    /// An ASCII letter outside a class, where case does not count.
    fn either_case(&mut self, c: char) {
        let _ = write!(self.result, "[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase());
    }

    /// A member of the innermost class: where case does not count, its other case is one as well.
    fn member(&mut self, c: char) {
        self.range(c, c);
    }

    /// The members from `first` to `last` of the innermost class.
    fn range(&mut self, first: char, last: char) {
        let fold = self.flags.folds_ascii();
        let Some(other_case) = self.other_case.last_mut().filter(|_| fold) else {
            return;
        };
        for (low, high) in [('a', 'z'), ('A', 'Z')] {
            let (low, high) = (first.max(low), last.min(high));
            if low <= high {
                let swap = |c: char| {
                    if c.is_ascii_lowercase() {
                        c.to_ascii_uppercase()
                    } else {
                        c.to_ascii_lowercase()
                    }
                };
                let _ = write!(other_case, "{}-{}", swap(low), swap(high));
            }
        }
    }

    /// A character that stands for itself, in a class or outside.
    fn literal(&mut self, c: char, in_class: bool) {
        if in_class {
            self.member(c);
        } else if self.flags.folds_ascii() && c.is_ascii_alphabetic() {
            return self.either_case(c);
        }
        match c {
            // A blank or # could be ignored, were it written plainly.
            c if c.is_whitespace() || c == '#' => {
                let _ = write!(self.result, r"\x{{{:x}}}", c as u32);
            }
            // Of ASCII's signs these would be operators after a backslash.
            '<' | '>' => self.result.push(c),
            c if c.is_ascii_punctuation() && c != '_' => {
                self.result.push('\\');
                self.result.push(c);
            }
            c => self.result.push(c),
        }
    }

    fn quotation(&mut self, in_class: bool) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c, in_class);
        }
    }

    fn class_of(&mut self, members: &str, negated: bool, in_class: bool) {
        let _ = match (negated, in_class) {
            (true, _) => write!(self.result, "[^{members}]"),
            (false, true) => write!(self.result, "{members}"),
            (false, false) => write!(self.result, "[{members}]"),
        };
    }

    fn class(&mut self) -> Result<(), PatternError> {
        let mut depth = 1;
        self.open_class();
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape(true)?,
                '[' => {
                    depth += 1;
                    self.open_class();
                }
                ']' => {
                    self.close_other_case();
                    self.other_case.pop();
                    self.result.push(']');
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                // Operators of the engine that are characters in Java.
                '~' => self.result.push_str(r"\~"),
                '-' if matches!(self.chars.peek(), Some('-' | ']')) => self.result.push_str(r"\-"),
                '&' if self.chars.peek() == Some(&'&') => {
                    self.close_other_case();
                    self.chars.next();
                    self.result.push_str("&&");
                }
                c => {
                    self.result.push(c);
                    self.plain_member(c);
                }
            }
        }
        Err(PatternError::new("a [ is not closed"))
    }

    /// A member that stands for itself, with the range that it may begin.
    fn plain_member(&mut self, c: char) {
        let mut ahead = self.chars.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if !matches!(last, ']' | '[' | '\\' | '-') => last,
            _ => return self.member(c),
        };
        self.range(c, last);
    }

    /// Adds the other case of the letters so far.
    fn close_other_case(&mut self) {
        if let Some(letters) = self.other_case.last_mut() {
            self.result.push_str(letters);
            letters.clear();
        }
    }

    fn open_class(&mut self) {
        self.other_case.push(String::new());
        self.result.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.result.push('^');
        }
        // A bracket right at the start is a member; a colon would begin a POSIX class of the engine.
        if self.chars.next_if_eq(&']').is_some() {
            self.result.push_str(r"\]");
        } else if self.chars.next_if_eq(&':').is_some() {
            self.result.push_str(r"\:");
        }
    }

    fn property(&mut self, negated: bool, in_class: bool) -> Result<(), PatternError> {
        let mut name = String::new();
        if self.chars.next_if_eq(&'{').is_some() {
            loop {
                match self.chars.next() {
                    Some('}') => break,
                    Some(c) => name.push(c),
                    None => return Err(PatternError::new(r"\p{ is not closed")),
                }
            }
        } else {
            name.extend(self.chars.next());
        }
        // Where case does not count, the three cases of letters are one.
        let name = match name.as_str() {
            "Lower" | "Upper" if self.flags.case_insensitive => "Alpha".to_owned(),
            "Lu" | "Ll" | "Lt" | "IsLu" | "IsLl" | "IsLt" if self.flags.case_insensitive => "LC".to_owned(),
            "javaLowerCase" | "javaUpperCase" | "IsLowercase" | "IsUppercase" if self.flags.case_insensitive => {
                "cased".to_owned()
            }
            _ => name,
        };
        let ascii = match name.as_str() {
            "cased" => r"\p{Lowercase}\p{Uppercase}",
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "A-Za-z",
            "Digit" => "0-9",
            "Alnum" => "A-Za-z0-9",
            "Punct" => r"!-/:-@\[-`{-\~",
            "Graph" => r"!-\~",
            "Print" => r"\x20-\~",
            "Blank" => r"\x20\t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9A-Fa-f",
            "Space" => r"\x20\t\n\x0B\f\r",
            "javaLowerCase" => r"\p{Lowercase}",
            "javaUpperCase" => r"\p{Uppercase}",
            "javaLetter" | "javaAlphabetic" => r"\p{Alphabetic}",
            "javaDigit" => r"\p{Nd}",
            "javaLetterOrDigit" => r"\p{Alphabetic}\p{Nd}",
            "javaWhitespace" => r"\p{White_Space}",
            "InCombiningDiacriticalMarks" | "InCOMBINING_DIACRITICAL_MARKS" => r"\x{300}-\x{36f}",
            _ => "",
        };
        if !ascii.is_empty() {
            self.class_of(ascii, negated, in_class);
            return Ok(());
        }
        if name.starts_with("In") || name.starts_with("blk=") || name.starts_with("block=") {
            return Err(PatternError::new(format!(
                r"the block \p{{{name}}} is not supported; a range is"
            )));
        }
        let property = name.strip_prefix("Is").unwrap_or(&name);
        if property.is_empty()
            || !property
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '=' | ' '))
        {
            return Err(PatternError::new(r"\p needs the name of a property"));
        }
        let _ = write!(self.result, r"\{}{{{property}}}", if negated { 'P' } else { 'p' });
        Ok(())
    }

    /// `\uD83D\uDE00` is one character.
    fn code_units(&mut self, in_class: bool) -> Result<(), PatternError> {
        let wrong = || PatternError::new(r"\u needs four hexadecimal digits of a character");
        let unit = |digits: &str| {
            (digits.len() == 4)
                .then(|| u16::from_str_radix(digits, 16).ok())
                .flatten()
        };
        let high = unit(&self.digits(4, 16)).ok_or_else(wrong)?;
        let mut units = vec![high];
        if (0xD800..0xDC00).contains(&high) {
            if self.chars.next() != Some('\\') || self.chars.next() != Some('u') {
                return Err(wrong());
            }
            units.push(unit(&self.digits(4, 16)).ok_or_else(wrong)?);
        }
        for c in char::decode_utf16(units) {
            self.spelled(c.map_err(|_| wrong())?, in_class);
        }
        Ok(())
    }

    /// A character that its number names.
    fn spelled(&mut self, c: char, in_class: bool) {
        if in_class {
            self.member(c);
        } else if self.flags.folds_ascii() && c.is_ascii_alphabetic() {
            return self.either_case(c);
        }
        let _ = write!(self.result, r"\x{{{:x}}}", u32::from(c));
    }

    fn code_point(&mut self, digits: &str, radix: u32, in_class: bool) -> Result<(), PatternError> {
        let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let c = c.ok_or_else(|| PatternError::new("an escape does not name a character"))?;
        self.spelled(c, in_class);
        Ok(())
    }

    fn digits(&mut self, most: usize, radix: u32) -> String {
        let mut digits = String::new();
        while digits.len() < most {
            let Some(c) = self.chars.next_if(|c| c.is_digit(radix)) else {
                break;
            };
            digits.push(c);
        }
        digits
    }
}

/// The flags that the engine is told at a group, from those around it to those inside.
fn engine_flags(before: Flags, after: Flags) -> String {
    let (mut on, mut off) = (String::new(), String::new());
    let folds = |flags: Flags| flags.case_insensitive && flags.folds_unicode();
    let pairs = [
        ('i', folds(before), folds(after)),
        ('x', before.comments, after.comments),
    ];
    for (letter, before, after) in pairs {
        if before != after {
            if after { &mut on } else { &mut off }.push(letter);
        }
    }
    if off.is_empty() { on } else { format!("{on}-{off}") }
}
