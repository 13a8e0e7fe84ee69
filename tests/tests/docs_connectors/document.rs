//! A document as something that can be done: its files written, its commands run, their output compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use pipepost_tests::{binary, root};

/// The part of a document under this heading, up to the next one of its level.
pub(crate) fn section(document: &str, heading: &str) -> String {
    let text = fs::read_to_string(root().join(document)).expect("the document is there");
    let (_, after) = text
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("{document} has no section `{heading}`"));
    after.split("\n## ").next().unwrap_or(after).to_owned()
}

/// A fenced block that is to be done.
enum Block {
    File { name: String, content: String },
    Console(Vec<Shown>),
}

/// A command with the output that the document shows.
struct Shown {
    command: String,
    output: Vec<String>,
}

/// Does what a section says, in order, in a folder.
pub(crate) fn follow(section: &str, folder: &Path, surroundings: &[(&str, String)]) {
    let mut commands = 0;
    for block in blocks(section) {
        match block {
            Block::File { name, content } => fs::write(folder.join(name), content).expect("the file is written"),
            Block::Console(shown) => {
                for shown in shown {
                    shown.run(folder, surroundings);
                    commands += 1;
                }
            }
        }
    }
    assert!(commands > 0, "the section shows no command");
}

/// Blocks `console` hold commands after `$ `, and what follows is their output; blocks `json NAME` are files.
fn blocks(section: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = section.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match kind.split_once(' ') {
            Some(("json", name)) => blocks.push(Block::File {
                name: name.to_owned(),
                content: content.join("\n") + "\n",
            }),
            None if kind == "console" => blocks.push(Block::Console(commands(&content))),
            None if kind == "rust" => {}
            _ => panic!("the document has a block `{kind}`, of which nobody knows what to do with it"),
        }
    }
    blocks
}

fn commands(lines: &[&str]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), shown.last_mut()) {
            (Some(command), _) => shown.push(Shown {
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (None, Some(last)) => last.output.push((*line).to_owned()),
            (None, None) => panic!("a console block begins with a command, not with `{line}`"),
        }
    }
    shown
}

impl Shown {
    fn run(&self, folder: &Path, surroundings: &[(&str, String)]) {
        let what = &self.command;
        let out = run(what, folder, surroundings);
        let actual: Vec<&str> = out.lines().collect();
        assert!(
            fits(&self.output, &actual),
            "`{what}` shows something else than the document.\n--- document\n{}\n--- output\n{out}",
            self.output.join("\n"),
        );
    }
}

/// Runs a shell's command, which has to end well, and gives its standard output.
pub(crate) fn run(what: &str, folder: &Path, surroundings: &[(&str, String)]) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", what]).current_dir(folder).stdin(Stdio::null());
    command.envs(surroundings.iter().map(|(name, value)| (name, value)));
    // What cargo tells the test about its own package is none of the commands' business.
    command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_MANIFEST_DIR");
    let ended = command.output().expect("a shell");
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "`{what}`: {}\n{out}\n{err}", ended.status);
    out
}

/// A line `...` stands for any lines, and `...` at the end of a line for the rest of it.
fn fits(shown: &[String], actual: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return actual.is_empty();
    };
    if first.trim() == "..." {
        return (0..=actual.len()).any(|skipped| fits(rest, &actual[skipped..]));
    }
    let Some((line, others)) = actual.split_first() else {
        return false;
    };
    let same = match first.strip_suffix("...") {
        Some(beginning) => line.starts_with(beginning),
        None => first == line,
    };
    same && fits(rest, others)
}

#[test]
fn output_fits_what_is_shown_or_not() {
    let shown = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(fits(&shown(&["a", "...", "c ..."]), &["a", "b", "b", "c d"]));
    assert!(fits(&shown(&["..."]), &[]));
    assert!(!fits(&shown(&["a"]), &["a", "b"]));
    assert!(!fits(&shown(&["a", "...", "c"]), &["a", "b"]));
    assert!(!fits(&shown(&[]), &["a"]));
}

/// The environment in which `pipepost` is the binary that is tested.
pub(crate) fn surroundings() -> Vec<(&'static str, String)> {
    let binary = binary();
    let folder = binary.parent().expect("a program is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    vec![
        ("PATH", format!("{}:{path}", folder.display())),
        ("XDG_CACHE_HOME", cache.display().to_string()),
    ]
}
