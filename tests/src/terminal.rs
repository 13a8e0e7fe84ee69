//! The binary at a terminal of its own, which Python makes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::scratch::Scratch;
use crate::{binary, python, skip};

/// A question that is waited for, and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// How the question begins, or any part of it.
    pub question: &'a str,
    /// Without its line break.
    pub answer: &'a str,
    /// It is given only when the terminal has stopped showing what is typed.
    pub secret: bool,
}

/// What a terminal showed.
#[derive(Debug)]
pub struct Shown {
    /// The exit code.
    pub code: i64,
    /// Everything, also what was typed as far as it was shown.
    pub screen: String,
}

impl Scratch {
    /// Runs the binary at a terminal; `input`: the terminal is its standard input too. None, in plain sight, without Python.
    ///
    /// # Panics
    /// When a question does not come, or a secret would be shown.
    pub fn at_terminal(&self, arguments: &[&str], input: bool, answers: &[Answer<'_>]) -> Option<Shown> {
        let Some(python) = python::with("pty") else {
            skip("there is no Python with a pty");
            return None;
        };
        let binary = binary().display().to_string();
        let command: Vec<&str> = std::iter::once(&*binary).chain(arguments.iter().copied()).collect();
        let answers: Vec<Value> = answers
            .iter()
            .map(|one| json!({ "question": one.question, "answer": one.answer, "secret": one.secret }))
            .collect();
        let task = json!({ "command": command, "answers": answers, "input": input });
        let surroundings = self.command();
        let variables = surroundings.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut child = Command::new(python)
            .arg(python::script("terminal.py"))
            .current_dir(self.folder())
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin
            .write_all(task.to_string().as_bytes())
            .expect("Python reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("Python ends");
        let ended: Value = serde_json::from_slice(&output.stdout).expect("JSON from the terminal");
        let screen = ended["screen"].as_str().unwrap_or_default().to_owned();
        assert!(ended["trouble"].is_null(), "{}: {screen}", ended["trouble"]);
        Some(Shown {
            code: ended["code"].as_i64().expect("a code"),
            screen,
        })
    }
}
