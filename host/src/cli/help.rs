//! `pipepost help functions|template|steps|inbox`: the reference documentation, as docs/reference/ has it.

use super::error::CliError;
use super::logging::answer_text;

/// What there is to read about, beside the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Functions,
    Template,
    Steps,
    Inbox,
}

impl Topic {
    /// The topic that `pipepost help TOPIC` asks for; `None` for anything else, which is the argument parser's.
    pub(super) fn asked_for(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (command, topic, rest) = (arguments.nth(1)?, arguments.next()?, arguments.next());
        match (command.as_str(), topic.as_str(), rest) {
            ("help", "functions", None) => Some(Self::Functions),
            ("help", "template" | "templates", None) => Some(Self::Template),
            ("help", "steps", None) => Some(Self::Steps),
            ("help", "inbox", None) => Some(Self::Inbox),
            _ => None,
        }
    }
}

pub(super) fn print(topic: Topic) -> Result<u8, CliError> {
    let text = match topic {
        Topic::Functions => pipepost_double_braces::functions_markdown(),
        Topic::Template => pipepost_flowspec::template_markdown(),
        Topic::Steps => pipepost_flowspec::steps_markdown(),
        Topic::Inbox => pipepost_inbox::script_markdown(),
    };
    answer_text(text.trim_end()).map_err(|error| CliError::io("standard output", &error))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_topics_are_taken_from_the_argument_parser() {
        let asked = |text: &str| Topic::asked_for(text.split(' ').map(str::to_owned));
        assert_eq!(asked("pipepost help functions"), Some(Topic::Functions));
        assert_eq!(asked("pipepost help template"), Some(Topic::Template));
        assert_eq!(asked("pipepost help steps"), Some(Topic::Steps));
        assert_eq!(asked("pipepost help inbox"), Some(Topic::Inbox));
        for text in [
            "pipepost help",
            "pipepost help run",
            "pipepost functions",
            "pipepost help steps more",
            "pipepost",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }
}
