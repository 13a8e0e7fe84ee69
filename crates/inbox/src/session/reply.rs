//! Gmail's replies.

/// A reply, before it becomes bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    /// A reply of one or several lines, separated by `\n`.
    pub(super) fn new(code: u16, text: impl AsRef<str>) -> Self {
        Self {
            code,
            lines: text.as_ref().split('\n').map(str::to_owned).collect(),
        }
    }

    /// A reply whose text ends in the identifier of the transaction, as all but a few of Gmail's do.
    pub(super) fn signed(code: u16, text: impl AsRef<str>, id: &str) -> Self {
        Self::new(code, format!("{} {id} - gsmtp", text.as_ref()))
    }

    pub(super) fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Takes capabilities out of the reply to EHLO and adds others.
    pub(super) fn change_capabilities<'a>(
        &mut self,
        strip: impl Iterator<Item = &'a str>,
        offer: impl Iterator<Item = &'a str>,
    ) {
        for word in strip {
            if let Some(mechanism) = word.strip_prefix("AUTH ") {
                for line in self.lines.iter_mut().skip(1).filter(|line| line.starts_with("AUTH ")) {
                    let kept: Vec<&str> = line
                        .split(' ')
                        .filter(|word| !word.eq_ignore_ascii_case(mechanism))
                        .collect();
                    *line = kept.join(" ");
                }
            } else {
                let name = |line: &str| {
                    line.split(' ')
                        .next()
                        .is_some_and(|name| name.eq_ignore_ascii_case(word))
                };
                let mut first = true;
                self.lines.retain(|line| std::mem::take(&mut first) || !name(line));
            }
        }
        self.lines.extend(offer.map(str::to_owned));
    }

    /// The lines as they are sent, without CRLF.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let last = self.lines.len() - 1;
        let sign = move |index| if index == last { ' ' } else { '-' };
        self.lines
            .iter()
            .enumerate()
            .map(move |(index, line)| format!("{}{}{line}", self.code, sign(index)))
    }
}
