//! The reference of the script format: what `pipepost help inbox` prints, and docs/reference/inbox.md.

use std::fmt::Write as _;

/// The places of the dialogue where a rule may apply.
const PLACES: &[(&str, &str)] = &[
    ("greeting", "The connection has begun."),
    ("ehlo", "EHLO or HELO."),
    ("starttls", "STARTTLS, before the handshake."),
    ("auth", "The AUTH command itself, with or without an initial response."),
    ("auth-response", "A line of the client within an AUTH exchange."),
    (
        "sign-in",
        "The verdict on the credentials, on the line that completes them; after `auth` and `auth-response`, where no rule of theirs applied.",
    ),
    ("mail", "MAIL FROM."),
    ("rcpt", "RCPT TO."),
    ("data", "DATA, where `354` is due."),
    ("bdat", "A chunk of BDAT that is not the last, once its octets are in."),
    (
        "content",
        "The message is complete: the final dot, or the last chunk of BDAT.",
    ),
    ("rset", "RSET."),
    ("noop", "NOOP."),
    ("vrfy", "VRFY, EXPN and HELP."),
    ("quit", "QUIT."),
    ("unknown", "A command that the server does not know."),
    (
        "any",
        "Each of the above except `sign-in`; with `nth`, the n-th reply of a connection.",
    ),
];

/// The members of a rule.
const RULE: &[(&str, &str)] = &[
    ("at", "Where: one of the places. Needed."),
    (
        "contains",
        "Only when the command line (for `content`, the message) contains this text, in any ASCII case.",
    ),
    (
        "nth",
        "Only the n-th time on one connection, from 1, that the other conditions hold.",
    ),
    ("connection", "Only on the n-th connection of the server, from 1."),
    ("tls", "Only with (`true`) or without (`false`) TLS."),
    ("times", "At most so many times, all connections taken together."),
    (
        "obey",
        "Whether the command is obeyed. Without it: it is, when the regular reply or one that begins with 2 or 3 is the first thing sent.",
    ),
    ("do", "What happens: a list of actions, in order. Needed."),
];

/// The actions, each as it is written.
const ACTIONS: &[(&str, &str, &str)] = &[
    (
        "regular",
        r#""regular""#,
        "Sends the reply that the server would have given.",
    ),
    (
        "reply",
        r#"{"reply": "451 4.3.0 Later"}"#,
        "Sends these lines, separated by `\\n`, each with CRLF. Nothing is checked.",
    ),
    (
        "raw",
        r#"{"raw": "250 ok\r\n"}"#,
        "Sends these bytes exactly; each character from U+0000 to U+00FF is a byte.",
    ),
    (
        "flood",
        r#"{"flood": {"pattern": "250-x\r\n", "bytes": 1048576}}"#,
        "Sends a pattern again and again, `bytes` bytes in all, or for ever without a number.",
    ),
    (
        "echo",
        r#"{"echo": {"code": "535 5.7.8", "decoded": true}}"#,
        "Sends back each line of the client, as one reply of this code; with `decoded`, its words that are base64 decoded as well.",
    ),
    ("silence", r#""silence""#, "Sends nothing. The connection stays open."),
    ("close", r#""close""#, "Closes the connection in good order."),
    (
        "abort",
        r#""abort""#,
        "Drops the connection without a farewell, in TLS without `close_notify`.",
    ),
    ("delay_ms", r#"{"delay_ms": 50}"#, "Waits so many milliseconds."),
    (
        "hold",
        r#"{"hold": "gate"}"#,
        "Waits until told to go on under this name, which only a test can do.",
    ),
    (
        "strip",
        r#"{"strip": "STARTTLS"}"#,
        "Takes a capability out of the regular reply to EHLO; `AUTH X` takes out one mechanism.",
    ),
    (
        "offer",
        r#"{"offer": "SMTPUTF8"}"#,
        "Adds a line to the regular reply to EHLO.",
    ),
    (
        "pace",
        r#"{"pace": {"bytes": 1, "pause_ms": 5}}"#,
        "What the actions after it send goes out in pieces of so many bytes, with a pause after each.",
    ),
    (
        "cut_after",
        r#"{"cut_after": 12}"#,
        "What the actions after it send ends after so many bytes, and the connection is dropped there.",
    ),
];

/// The members of a cut.
const CUT: &[(&str, &str)] = &[
    ("connection", "Only the n-th connection, from 1; each one without it."),
    (
        "received",
        "After so many bytes from the client. What they caused is carried out and replied first.",
    ),
    ("sent", "After so many bytes to the client."),
];

/// Whole scripts, each with what it does.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "One recipient does not exist, and the second message of each connection is stored while its reply is lost.",
        r#"{"rules": [
  {"at": "rcpt", "contains": "<nobody@", "do": [{"reply": "550 5.1.1 No such user"}]},
  {"at": "content", "nth": 2, "obey": true, "do": ["close"]}
]}"#,
    ),
    (
        "The server is busy for the first three connections, and offers no pipelining.",
        r#"{"rules": [
  {"at": "greeting", "times": 3, "do": [{"reply": "421 4.7.0 Try again later"}]},
  {"at": "ehlo", "do": [{"strip": "PIPELINING"}]}
]}"#,
    ),
    (
        "The third connection ends after 120 bytes to the client.",
        r#"{"cuts": [{"connection": 3, "sent": 120}]}"#,
    ),
];

/// Returns the reference of the script format, as Markdown.
pub fn script_markdown() -> String {
    let mut text = String::from(
        "# The inbox's scripts\n\n\
         A script makes the inbox misbehave: `pipepost inbox --script script.json`. It is one JSON object with `rules` and `cuts`,\n\
         both optional. At each place of the dialogue the first rule whose conditions hold decides. Unless its actions say what is\n\
         sent, the regular reply follows at their end. A command that a rule answers with a refusal, with silence or by a close is not\n\
         obeyed: the recipient is not recorded, the message not stored; `obey` says otherwise. A reply that begins with 421 closes\n\
         the connection.\n\n\
         ## A rule\n\n| member | meaning |\n| --- | --- |\n",
    );
    let row = |text: &mut String, name: &str, meaning: &str| {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    };
    for (name, meaning) in RULE {
        row(&mut text, name, meaning);
    }
    text.push_str("\n## Places\n\n| `at` | when |\n| --- | --- |\n");
    for (name, meaning) in PLACES {
        row(&mut text, name, meaning);
    }
    text.push_str("\n## Actions\n\n| action | what it does |\n| --- | --- |\n");
    for (_, written, meaning) in ACTIONS {
        row(&mut text, written, meaning);
    }
    text.push_str(
        "\n## Cuts\n\nA cut drops the connection without a farewell after a number of bytes, counted over the whole connection (under TLS: of\n\
         plaintext).\n\n| member | meaning |\n| --- | --- |\n",
    );
    for (name, meaning) in CUT {
        row(&mut text, name, meaning);
    }
    text.push_str("\n## Examples\n");
    for (meaning, script) in EXAMPLES {
        let _ = write!(text, "\n{meaning}\n\n```json\n{script}\n```\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::Script;
    use crate::script::Action;

    /// The names that the reader of the format itself says that it knows.
    fn known(script: &str) -> BTreeSet<String> {
        let error = Script::from_json(script)
            .expect_err("a name that nobody knows")
            .to_string();
        let list = error
            .split("expected one of ")
            .nth(1)
            .unwrap_or_else(|| panic!("{error}"));
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn names<'n>(rows: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
        rows.map(str::to_owned).collect()
    }

    #[test]
    fn the_reference_names_what_the_format_has() {
        let at = known(r#"{"rules": [{"at": "?", "do": []}]}"#);
        assert_eq!(names(PLACES.iter().map(|row| row.0)), at);
        let rule = known(r#"{"rules": [{"?": 1}]}"#);
        assert_eq!(names(RULE.iter().map(|row| row.0)), rule);
        let action = known(r#"{"rules": [{"at": "any", "do": ["?"]}]}"#);
        assert_eq!(names(ACTIONS.iter().map(|row| row.0)), action);
        let cut = known(r#"{"cuts": [{"?": 1}]}"#);
        assert_eq!(names(CUT.iter().map(|row| row.0)), cut);
    }

    #[test]
    fn what_is_written_in_the_reference_is_read() {
        for (name, written, _) in ACTIONS {
            let action: Action = serde_json::from_str(written).unwrap_or_else(|error| panic!("{written}: {error}"));
            assert!(serde_json::to_string(&action).expect("JSON").contains(name), "{name}");
        }
        for (_, script) in EXAMPLES {
            Script::from_json(script).unwrap_or_else(|error| panic!("{script}: {error}"));
        }
    }

    #[test]
    fn the_document_is_what_the_program_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/inbox.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, script_markdown()).expect("written");
        }
        let written = std::fs::read_to_string(&path).expect("the document");
        assert!(
            written == script_markdown(),
            "docs/reference/inbox.md is out of date: run this test with BLESS=1"
        );
    }
}
