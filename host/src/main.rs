//! The binary: what was typed, turned into calls of the library, and their reports into text and an exit code.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
