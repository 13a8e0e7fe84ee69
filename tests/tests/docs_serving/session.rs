//! A document as one session of a shell.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use pipepost_tests::{Random, Scratch, binary, root, seed};

/// The ports that the documents name. Nothing else of what they show is replaced.
const PORTS: [&str; 4] = ["8725", "8726", "2525", "9090"];

/// What a document says, in order.
pub(crate) struct Session {
    document: String,
    blocks: Vec<Block>,
}

struct Block {
    /// The second word of a fence: a file's name, or what the commands need.
    label: String,
    content: Content,
}

enum Content {
    File(String),
    Commands(Vec<Shown>),
}

/// A command with the output that the document shows.
struct Shown {
    command: String,
    output: Vec<String>,
}

impl Session {
    /// Reads a document; after a `#` one of its sections, of any level.
    pub(crate) fn of(document: &str) -> Self {
        let (file, section) = document.split_once('#').unwrap_or((document, ""));
        let text = fs::read_to_string(root().join(file)).expect("the document is there");
        let text = match section {
            "" => text,
            heading => {
                let mark = format!("# {heading}\n");
                let (_, after) = text
                    .split_once(&mark)
                    .unwrap_or_else(|| panic!("{file} has no `{heading}`"));
                after.split("\n#").next().unwrap_or(after).to_owned()
            }
        };
        let blocks = blocks(&text);
        let has_commands = |block: &Block| matches!(block.content, Content::Commands(_));
        assert!(blocks.iter().any(has_commands), "{document} shows no command");
        Self {
            document: document.to_owned(),
            blocks,
        }
    }

    /// Leaves out the commands that need something which is not there, in plain sight.
    pub(crate) fn leave_out(&mut self, label: &str) {
        pipepost_tests::skip(label);
        self.blocks
            .retain(|block| block.label != label || matches!(block.content, Content::File(_)));
    }

    /// Runs these commands first.
    pub(crate) fn begin_with(&mut self, commands: &[&str]) {
        let shown = commands.iter().map(|command| Shown {
            command: (*command).to_owned(),
            output: Vec::new(),
        });
        let block = Block {
            label: String::new(),
            content: Content::Commands(shown.collect()),
        };
        self.blocks.insert(0, block);
    }

    /// Does what it says, in this folder.
    pub(crate) fn follow(&self, scratch: &Scratch) {
        let ports = free_ports();
        let replaced = |text: &str| {
            let pairs = PORTS.iter().zip(&ports);
            pairs.fold(text.to_owned(), |text, (shown, port)| {
                text.replace(shown, &port.to_string())
            })
        };
        let folder = scratch.folder();
        let home = folder.join("home");
        #[cfg(unix)]
        std::os::unix::fs::symlink(root(), home.join("pipepost")).expect("a writable folder");
        let mut script = String::from("trap 'kill $(jobs -p) 2> /dev/null' EXIT\n");
        let mut all = Vec::new();
        for block in &self.blocks {
            match &block.content {
                Content::File(text) => {
                    let path = folder.join(&block.label);
                    fs::create_dir_all(path.parent().expect("a folder above")).expect("a writable folder");
                    // Nothing of the document reads it before its place.
                    fs::write(path, replaced(text)).expect("a writable folder");
                }
                Content::Commands(commands) => {
                    for shown in commands {
                        let command = replaced(&shown.command);
                        script.push_str(&format!("printf '\\001%s\\n' {}\n{command}\n", all.len()));
                        script.push_str("printf '\\002%s\\n' $?\n");
                        all.push((command, shown));
                    }
                }
            }
        }
        fs::write(folder.join("session.sh"), script).expect("a writable folder");
        let (out, err) = run(folder, &home, &ports);
        for (number, (command, shown)) in all.iter().enumerate() {
            let told = || {
                format!(
                    "{}: `{command}`\n--- everything\n{out}\n--- stderr\n{err}",
                    self.document
                )
            };
            let begun = format!("\u{1}{number}\n");
            let (_, after) = out
                .split_once(&begun)
                .unwrap_or_else(|| panic!("it never began: {}", told()));
            let (output, rest) = after
                .split_once('\u{2}')
                .unwrap_or_else(|| panic!("it hangs: {}", told()));
            let code = rest.lines().next().unwrap_or_default();
            assert!(code == "0", "it ends with {code}: {}", told());
            let expected: Vec<String> = shown.output.iter().map(|line| replaced(line)).collect();
            let actual: Vec<&str> = output.lines().collect();
            assert!(
                fits(&expected, &actual),
                "it shows something else than the document.\n--- document\n{}\n--- output\n{output}\n{}",
                expected.join("\n"),
                told()
            );
        }
    }
}

/// Runs the session to its end; a hang has one too.
fn run(folder: &Path, home: &Path, ports: &[u16]) -> (String, String) {
    let programs = binary()
        .parent()
        .expect("a program is in a folder")
        .display()
        .to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let at = |number: usize| format!("127.0.0.1:{}", ports[number]);
    let errors = fs::File::create(folder.join("session.err")).expect("a writable folder");
    let ended = Command::new("timeout")
        .args(["--kill-after=10", "240", "bash", "session.sh"])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{programs}:{path}"))
        .env("HOME", home)
        .env("XDG_CACHE_HOME", cache)
        .env("NO_COLOR", "1")
        .env("PIPEPOST_LISTEN", at(0))
        .env("PIPEPOST_ADMIN", at(1))
        .env("PIPEPOST_INBOX_LISTEN", at(2))
        .stdin(Stdio::null())
        .stderr(errors)
        .output()
        .expect("a shell");
    let logs = ["session.err", "serve.log", "inbox.log", "prometheus.log"];
    let read = |name: &&str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let told: Vec<String> = logs.iter().map(|name| format!("[{name}]\n{}", read(name))).collect();
    (String::from_utf8_lossy(&ended.stdout).into_owned(), told.join("\n"))
}

/// Ports below those that the system gives to others.
fn free_ports() -> Vec<u16> {
    let mut random = Random::new(seed() ^ u64::from(std::process::id()));
    let mut ports = Vec::new();
    while ports.len() < PORTS.len() {
        let port = u16::try_from(20_000 + random.below(10_000)).expect("a port");
        if !ports.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            ports.push(port);
        }
    }
    ports
}

/// Whether the shell finds this program.
pub(crate) fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    found.is_ok()
}

/// Blocks `console` hold commands after `$ `, and what follows is their output; a block with a name is a file.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```") else {
            continue;
        };
        let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let (kind, label) = fence.split_once(' ').unwrap_or((fence, ""));
        let content = match (kind, label) {
            ("console", _) => Content::Commands(commands(&content)),
            ("sh" | "", _) => panic!("a block of commands is `console`: {}", content.join("\n")),
            (_, "") => continue,
            _ => Content::File(content.join("\n") + "\n"),
        };
        blocks.push(Block {
            label: label.to_owned(),
            content,
        });
    }
    blocks
}

fn commands(lines: &[&str]) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for line in lines {
        match (line.strip_prefix("$ "), line.strip_prefix("> "), shown.last_mut()) {
            (Some(command), _, _) => shown.push(Shown {
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (_, Some(more), Some(last)) => last.command = format!("{}\n{more}", last.command),
            (_, _, Some(last)) => last.output.push((*line).to_owned()),
            (_, _, None) => panic!("a console block begins with a command, not with `{line}`"),
        }
    }
    shown
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
    assert!(!fits(&shown(&["a"]), &["a", "b"]));
    assert!(!fits(&shown(&[]), &["a"]));
}
