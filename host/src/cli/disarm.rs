//! Makes text that others wrote harmless for a terminal, a log and whoever reads them.
//!
//! A message's value, a server's reply, a connector's manifest or a step's name can hold control characters that a
//! terminal obeys (ESC and OSC, or the C1 range in one character), and direction marks that show a text in another order
//! than it has (Unicode Technical Report 36, section 2.9). This is done where the bytes leave the process, so that no
//! caller can forget it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// How a harmful character is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As `\u{1b}`, for people.
    Text,
    /// As `\u001b`, which means the same to whoever parses JSON.
    Json,
}

/// Returns whether a terminal could obey the character, or a reader could be misled by it. Line breaks and tabs are not.
fn is_harmful(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        // Marks, embeddings, overrides and isolates of direction; line and paragraph separators; invisible operators;
        // the byte order mark; interlinear annotations; tags.
        '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

/// Where the first harmful character is. Whole blocks of plain ASCII are passed over together: nearly all that is written is.
fn first_harmful(text: &str) -> Option<usize> {
    const BLOCK: usize = 32;
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    let mut at = 0;
    while at < text.len() {
        if let Some(block) = text.as_bytes()[at..].first_chunk::<BLOCK>()
            // Without a way out in the middle, so that it is done in few instructions.
            && block.iter().fold(true, |all, byte| all & is_plain(*byte))
        {
            at += BLOCK;
            continue;
        }
        let end = at + BLOCK;
        for character in text[at..].chars() {
            if is_harmful(character) {
                return Some(at);
            }
            at += character.len_utf8();
            if at >= end {
                break;
            }
        }
    }
    None
}

/// Returns the text with every harmful character shown and not obeyed.
pub(super) fn disarmed(text: &str, form: Form) -> Cow<'_, str> {
    let Some(harmful) = first_harmful(text) else {
        return Cow::Borrowed(text);
    };
    let (before, rest) = text.split_at(harmful);
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(before);
    for character in rest.chars() {
        match (is_harmful(character), form) {
            (false, _) => shown.push(character),
            (true, Form::Text) => shown.extend(character.escape_unicode()),
            (true, Form::Json) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing into a string does not fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    Cow::Owned(shown)
}

/// Returns a sentence for a terminal or a log: disarmed, and with what follows a line break set in, so that a value with a
/// line break cannot pass for a line of ours.
pub(super) fn sentence(text: &str) -> String {
    disarmed(text.trim_end_matches('\n'), Form::Text).replace('\n', "\n    ")
}

/// Disarms what is written through it. What is no UTF-8 is replaced by U+FFFD.
#[derive(Debug)]
pub(super) struct DisarmingWriter<W> {
    to: W,
    form: Form,
    /// The beginning of a character whose rest has not come yet.
    cut: Vec<u8>,
}

impl<W: Write> DisarmingWriter<W> {
    pub(super) fn new(to: W, form: Form) -> Self {
        Self {
            to,
            form,
            cut: Vec::new(),
        }
    }

    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(text) => return self.to.write_all(disarmed(text, self.form).as_bytes()),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            let valid = String::from_utf8_lossy(valid);
            self.to.write_all(disarmed(&valid, self.form).as_bytes())?;
            let Some(invalid) = error.error_len() else {
                self.cut = rest.to_vec();
                return Ok(());
            };
            self.to.write_all("\u{fffd}".as_bytes())?;
            bytes = &rest[invalid..];
        }
    }
}

impl<W: Write> Write for DisarmingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cut.is_empty() {
            self.pass(bytes)?;
        } else {
            let mut joined = std::mem::take(&mut self.cut);
            joined.extend_from_slice(bytes);
            self.pass(&joined)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the log's events to standard error, one write an event, each as [`sentence`] has it or as disarmed JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogWriter(pub(super) Form);

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = match self.0 {
            Form::Text => sentence(&text),
            Form::Json => disarmed(text.trim_end_matches('\n'), Form::Json).into_owned(),
        };
        line.push('\n');
        io::stderr().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (text, shown) in [
            ("plain, Olá ✓ 日本 👩‍👩‍👧", "plain, Olá ✓ 日本 👩‍👩‍👧"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m\u{9d}", "\\u{9b}31m\\u{9d}"),
            ("a\rb\x08\x7f", "a\\u{d}b\\u{8}\\u{7f}"),
            ("user\u{202e}txt.exe\u{2066}", "user\\u{202e}txt.exe\\u{2066}"),
            ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ] {
            assert_eq!(disarmed(text, Form::Text), shown);
        }
    }

    #[test]
    fn it_is_found_wherever_it_stands() {
        for filler in ["x", "é", "日"] {
            for before in 0..100 {
                let text = format!("{}\u{1b}{}", filler.repeat(before), filler.repeat(50));
                assert_eq!(first_harmful(&text), Some(before * filler.len()));
                assert_eq!(first_harmful(&filler.repeat(before)), None);
            }
        }
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}\u{1b}\u{e0041}é", "b": ["\u{2028}"]});
        let text = disarmed(&value.to_string(), Form::Json).into_owned();
        assert!(!text.contains(is_harmful), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).expect("still JSON"),
            value
        );
    }

    #[test]
    fn characters_that_are_cut_anywhere_come_out_whole() {
        let text = "é\u{9b}日\u{202e}👩z".as_bytes();
        for cut in 0..=text.len() {
            let mut writer = DisarmingWriter::new(Vec::new(), Form::Text);
            writer.write_all(&text[..cut]).expect("memory takes it");
            writer.write_all(&text[cut..]).expect("memory takes it");
            assert_eq!(
                String::from_utf8(writer.to).expect("still UTF-8"),
                "é\\u{9b}日\\u{202e}👩z"
            );
        }
        let mut writer = DisarmingWriter::new(Vec::new(), Form::Text);
        writer.write_all(b"a\xffb\x1b").expect("memory takes it");
        assert_eq!(writer.to, "a\u{fffd}b\\u{1b}".as_bytes());
    }

    #[test]
    fn a_value_with_a_line_break_passes_for_no_line_of_ours() {
        assert_eq!(
            sentence("to `a\npipepost: all sent` is no address\n"),
            "to `a\n    pipepost: all sent` is no address"
        );
    }
}
