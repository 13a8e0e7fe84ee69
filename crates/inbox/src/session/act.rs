//! Carrying out a rule of the script.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::output::{Signal, Wait};
use super::{Reply, Session};
use crate::event::Direction;
use crate::script::{Action, Rule};

/// The longest line of an echo, without its code.
const ECHO_LINE: usize = 400;

/// How what a rule sends leaves.
#[derive(Default)]
struct Manner {
    pace: Option<(usize, Duration)>,
    /// How many bytes may still leave before the connection is dropped.
    left: Option<usize>,
}

impl Session {
    pub(super) fn act(&mut self, rule: &Rule, mut regular: Reply) {
        let strip = rule.actions.iter().filter_map(|action| match action {
            Action::Strip(word) => Some(word.as_str()),
            _ => None,
        });
        let offer = rule.actions.iter().filter_map(|action| match action {
            Action::Offer(line) => Some(line.as_str()),
            _ => None,
        });
        regular.change_capabilities(strip, offer);

        let mut manner = Manner::default();
        for action in &rule.actions {
            self.take_action(action, &regular, &mut manner);
        }
        if !rule.actions.iter().any(Action::decides_what_is_sent) {
            self.take_action(&Action::Regular, &regular, &mut manner);
        }
    }

    fn take_action(&mut self, action: &Action, regular: &Reply, manner: &mut Manner) {
        match action {
            Action::Regular => {
                let lines: Vec<String> = regular.lines().collect();
                self.send_lines(&lines, manner);
            }
            Action::Reply(text) => {
                let lines: Vec<String> = text
                    .split('\n')
                    .map(|line| line.trim_end_matches('\r').to_owned())
                    .collect();
                self.send_lines(&lines, manner);
            }
            Action::Raw(raw) => {
                self.record(Direction::Sent, || format!("<{} raw bytes>", raw.0.len()));
                self.emit(raw.0.clone(), manner);
            }
            Action::Echo { code, decoded } => {
                let bytes = self.echo(code, *decoded);
                self.record(Direction::Sent, || format!("<echo of {} bytes>", bytes.len()));
                self.emit(bytes, manner);
            }
            Action::Flood { pattern, bytes } => {
                self.record(Direction::Sent, || "<flood>".to_owned());
                self.outgoing.flood(pattern.0.clone(), *bytes);
            }
            Action::Silence | Action::Strip(_) | Action::Offer(_) => {}
            Action::Close => self.outgoing.signal(Signal::Close { abrupt: false }),
            Action::Abort => self.outgoing.signal(Signal::Close { abrupt: true }),
            Action::Delay(duration) => self.outgoing.signal(Signal::Wait(Wait::For(*duration))),
            Action::Hold(name) => self.outgoing.signal(Signal::Wait(Wait::Until(name.clone()))),
            Action::Pace { bytes, pause_ms } => {
                manner.pace = Some(((*bytes).max(1), Duration::from_millis(*pause_ms)));
            }
            Action::CutAfter(bytes) => manner.left = Some(*bytes),
        }
    }

    fn send_lines(&mut self, lines: &[String], manner: &mut Manner) {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
            self.record(Direction::Sent, || line.clone());
        }
        self.emit(bytes, manner);
    }

    fn emit(&mut self, mut bytes: Vec<u8>, manner: &mut Manner) {
        let cut = manner.left.is_some_and(|left| left <= bytes.len());
        if let Some(left) = &mut manner.left {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        match manner.pace {
            None => self.outgoing.bytes(bytes),
            Some((size, pause)) => {
                for piece in bytes.chunks(size) {
                    self.outgoing.bytes(piece.to_vec());
                    self.outgoing.separate();
                    if !pause.is_zero() {
                        self.outgoing.signal(Signal::Wait(Wait::For(pause)));
                    }
                }
            }
        }
        if cut {
            self.outgoing.signal(Signal::Close { abrupt: true });
        }
    }

    /// Everything that the client has sent, as lines of one reply.
    fn echo(&self, code: &str, decoded: bool) -> Vec<u8> {
        let received: Vec<u8> = self.echo.iter().flatten().copied().collect();
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for line in received.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines.extend(line.chunks(ECHO_LINE).map(<[u8]>::to_vec));
            if decoded {
                let words = line.split(|&byte| byte == b' ').filter(|word| word.len() >= 4);
                let plain = words.filter_map(|word| STANDARD.decode(word).ok());
                lines.extend(plain.flat_map(|text| text.chunks(ECHO_LINE).map(printable).collect::<Vec<_>>()));
            }
        }
        let (number, enhanced) = code.split_once(' ').unwrap_or((code, ""));
        let last = lines.len().saturating_sub(1);
        let mut bytes = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let sign = if index == last { ' ' } else { '-' };
            bytes.extend_from_slice(format!("{number}{sign}{enhanced} ").as_bytes());
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

/// Decoded bytes within a line: what would end the line, or is no character of one, becomes a blank.
fn printable(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .map(|&byte| if byte < b' ' { b' ' } else { byte })
        .collect()
}
