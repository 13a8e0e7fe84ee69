//! What the fuzzers try: one function a target, over bytes of any kind.
//!
//! Each function reads its input as something that comes from outside (a server's words, a step's parameters, a
//! template), hands it to the crate that reads such things, and checks what must hold whatever the input is. It panics
//! when it does not hold, and returns otherwise. None reads a clock, a socket or a file.
//!
//! It is no test of its own: the test beside it runs every target over the corpus in `fuzz/corpus`, and `cargo xtask
//! fuzz` hands the same functions to libFuzzer.
//!
//! Inputs are text where that is possible, so that a person can write one: the form is said at each function.
#![forbid(unsafe_code)]

mod accounts;
mod client;
mod documents;
mod email;
mod languages;
mod smtp;
mod wire;

pub use accounts::accounts;
pub use client::client;
pub use documents::documents;
pub use email::{headers, parameters};
pub use languages::{expressions, jsonpath, templates};
pub use smtp::{addresses, capabilities, replies};
pub use wire::{dialogue, redactor};

/// A target by its name, which is also that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("accounts", accounts),
    ("addresses", addresses),
    ("capabilities", capabilities),
    ("client", client),
    ("dialogue", dialogue),
    ("documents", documents),
    ("expressions", expressions),
    ("headers", headers),
    ("jsonpath", jsonpath),
    ("parameters", parameters),
    ("redactor", redactor),
    ("replies", replies),
    ("templates", templates),
];

/// The first line, and what follows it.
fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let line = String::from_utf8_lossy(&data[..end]).trim_end_matches('\r').to_owned();
    (line, data.get(end + 1..).unwrap_or_default())
}

/// Fails when a sentence for a person could write a line of its own into a log.
fn assert_one_line(sentence: &str) {
    assert!(!sentence.contains(['\r', '\n', '\0']), "more than a line: {sentence:?}");
}
