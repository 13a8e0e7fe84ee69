//! The binary: turns what was typed into calls of the library, and their reports into text and an exit code.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

/// A message is many small values for a short time, on several threads: a third of a mail merge's time went into the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
