//! The client's lines, one after the other, and which command goes where.

use super::command::Command;
use super::output::Signal;
use super::{Answer, Effect, Mode, Session};
use crate::event::Direction;
use crate::script::At;

/// The unknown commands after which Gmail hangs up.
const UNKNOWN_COMMANDS: u32 = 10;
impl Session {
    /// Takes one line or one piece of content. `false` if more bytes are needed for that.
    pub(super) fn read_on(&mut self) -> bool {
        if matches!(self.mode, Mode::Content(_)) {
            self.read_content();
            return true;
        }
        let rest = &self.input[self.taken..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            if rest.len() >= self.settings.line_limit {
                self.line_too_long();
            }
            return false;
        };
        if end >= self.settings.line_limit {
            self.line_too_long();
            return false;
        }
        let line = rest[..end].to_vec();
        self.taken += end + 1;
        match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::Auth(exchange) => self.auth_line(exchange, &line),
            _ => self.command_line(&line),
        }
        true
    }

    fn line_too_long(&mut self) {
        self.record(Direction::Received, || "*** (a line without end)".to_owned());
        self.send(&self.signed(500, "5.5.2 Line too long, closing connection."));
        self.outgoing.signal(Signal::Close { abrupt: false });
    }

    fn command_line(&mut self, line: &[u8]) {
        let text = match line.strip_suffix(b"\r") {
            // Only CRLF ends a line (RFC 5321 section 2.3.8), and none of these characters stands in one.
            Some(text) if !text.iter().any(|byte| matches!(byte, b'\r' | 0)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        let Some(text) = text else {
            self.record(Direction::Received, || "*** (not a command line)".to_owned());
            let answer = self.refuse(555, "5.5.2 Syntax error, cannot decode the line.");
            return self.answer(At::Unknown, line, answer);
        };
        let command = Command::parse(text);
        self.record(Direction::Received, || redacted(&command, text));
        if let Command::Bdat { size, last } = command
            && self.settings.offers("CHUNKING")
        {
            return self.begin_chunk(text, size, last);
        }
        let (at, answer) = match command {
            Command::Ehlo(name) => (At::Ehlo, self.hello(name, true)),
            Command::Helo(name) => (At::Ehlo, self.hello(name, false)),
            Command::StartTls => (At::Starttls, self.starttls()),
            Command::Auth { mechanism, initial } => return self.auth(text, mechanism, initial),
            Command::Mail(argument) => (At::Mail, self.mail(argument)),
            Command::Rcpt(argument) => (At::Rcpt, self.rcpt(argument)),
            Command::Data => (At::Data, self.data()),
            Command::BadBdat if self.settings.offers("CHUNKING") => {
                (At::Bdat, self.fatal(501, "5.5.4 Bad chunk size, closing connection."))
            }
            Command::Rset => (At::Rset, self.accept("2.1.5 Flushed", Effect::Reset)),
            Command::Noop => (At::Noop, self.accept("2.0.0 OK", Effect::Nothing)),
            Command::Vrfy => {
                let reply = self.signed(252, "2.1.5 Send some mail, I'll try my best");
                (
                    At::Vrfy,
                    Answer {
                        reply,
                        effect: Effect::Nothing,
                    },
                )
            }
            Command::Help => {
                let reply = self.signed(214, "2.0.0 https://www.rfc-editor.org/rfc/rfc5321");
                (
                    At::Vrfy,
                    Answer {
                        reply,
                        effect: Effect::Nothing,
                    },
                )
            }
            Command::Expn => (At::Vrfy, self.refuse(502, "5.5.1 Unimplemented command.")),
            Command::Quit => {
                let reply = self.signed(221, "2.0.0 closing connection");
                (
                    At::Quit,
                    Answer {
                        reply,
                        effect: Effect::Close,
                    },
                )
            }
            Command::Malformed => (At::Unknown, self.refuse(555, "5.5.2 Syntax error.")),
            Command::Unknown | Command::Bdat { .. } | Command::BadBdat => (At::Unknown, self.unknown()),
        };
        self.answer(at, line, answer);
    }

    fn unknown(&mut self) -> Answer {
        self.unknown_commands += 1;
        if self.unknown_commands >= UNKNOWN_COMMANDS {
            return self.fatal(502, "5.5.1 Too many unrecognized commands, goodbye.");
        }
        self.refuse(502, "5.5.1 Unrecognized command.")
    }
}

/// A command line as it may be shown: what may hold a secret is left out, and so is what is no command, since a client that goes
/// on with its sign-in after a refusal sends its password as one.
fn redacted(command: &Command<'_>, line: &str) -> String {
    match command {
        Command::Auth {
            mechanism,
            initial: Some(_),
        } => format!("AUTH {mechanism} ***"),
        Command::Auth {
            mechanism,
            initial: None,
        } => format!("AUTH {mechanism}"),
        Command::Unknown | Command::Malformed => "*** (unknown command)".to_owned(),
        _ => line.to_owned(),
    }
}
