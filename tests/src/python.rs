//! Python, which reads messages and runs aiosmtpd.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::root;

/// A Python that can `import` this module: the one of `target/peers` (which `.ci/run` makes), else the machine's.
pub fn with(module: &str) -> Option<PathBuf> {
    interpreters().into_iter().find(|python| {
        let import = Command::new(python)
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status();
        import.is_ok_and(|status| status.success())
    })
}

fn interpreters() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::env::var_os("PIPEPOST_PEERS_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    all.push(root().join("target/peers/bin/python3"));
    all.push(PathBuf::from("python3"));
    all
}

/// Whether there is a Python at all; [`parse`] needs no more.
pub fn is_here() -> bool {
    parser().is_some()
}

fn parser() -> Option<&'static Path> {
    static PARSER: OnceLock<Option<PathBuf>> = OnceLock::new();
    PARSER.get_or_init(|| with("email.policy")).as_deref()
}

/// A message as Python's `email` package understands it: headers decoded, addresses, text, HTML, attachments with their
/// digests, and what is wrong with it (`defects`).
///
/// # Panics
/// Without Python: peers that call it have one. With the whole message, when Python cannot read it.
pub fn parse(message: &[u8]) -> Value {
    let python = parser().expect("Python was here when the peer was started");
    let mut child = Command::new(python)
        .arg(script("parse_message.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python starts");
    // The script reads everything before it writes anything.
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(message)
        .expect("Python reads its input");
    let output = child.wait_with_output().expect("Python ends");
    let shown = || {
        format!(
            "{}\nthe message:\n{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(message)
        )
    };
    assert!(
        output.status.success(),
        "Python does not understand the message: {}",
        shown()
    );
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown()))
}

/// A script of the peers' folder.
pub(crate) fn script(name: &str) -> PathBuf {
    root().join("tests/peers").join(name)
}
