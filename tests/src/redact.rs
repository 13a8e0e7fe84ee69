//! What differs from run to run, taken out of a text, so that the rest can be compared with a snapshot.

use std::path::Path;

/// Replaces the folder of a test, ports of this machine, long numbers, Message-IDs, digests, boundaries and dates.
pub fn redact(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "[folder]");
    let mut redacted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match line.find("Date: ") {
            Some(at) if line[..at].trim_matches([' ', '|']).is_empty() => {
                redacted.push_str(&line[..at]);
                redacted.push_str("Date: [date]\n");
            }
            _ => redact_words(line, &mut redacted),
        }
    }
    redacted
}

/// The words of a line: runs of letters and digits, and what is between them.
fn redact_words(line: &str, redacted: &mut String) {
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_ascii_alphanumeric();
        let end = rest
            .find(|c: char| c.is_ascii_alphanumeric() != is_word)
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        redacted.push_str(match word.len() {
            _ if is_number && (redacted.ends_with("127.0.0.1:") || redacted.ends_with("port ")) && word.len() > 3 => {
                "[port]"
            }
            9.. if is_number => "[number]",
            32 if is_hexadecimal => "[id]",
            64 if is_hexadecimal => "[digest]",
            // An account's file holds a path and a port, whose lengths differ.
            _ if is_number && redacted.ends_with("column ") && line.contains("accounts.json: line") => "[column]",
            _ if is_word && redacted.ends_with("=_") => "[boundary]",
            _ => word,
        });
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_goes_and_what_is_said_stays() {
        let text = "at 127.0.0.1:40123 of /tmp/x/a.json: 250 2.0.0 OK 1795892900 pipepost-1-1\n     | Date: Sat, 28 Nov\n\
                    <586921d4aab2156bcc7d9e0c3d2dbe29@gmail.example>, line 12, port 587, port 40123, \"=_CIM7ML\"\n";
        let expected = "at 127.0.0.1:[port] of [folder]/a.json: 250 2.0.0 OK [number] pipepost-1-1\n     | Date: [date]\n\
                        <[id]@gmail.example>, line 12, port 587, port [port], \"=_[boundary]\"\n";
        assert_eq!(redact(text, Path::new("/tmp/x")), expected);
    }
}
