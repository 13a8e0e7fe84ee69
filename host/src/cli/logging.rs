//! Standard error: sentences for the person, and the log.

use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use super::arguments::{LogFormat, Logging};

/// Starts the log. `PIPEPOST_LOG` overrides what the flags say, in `tracing`'s filter language.
pub(super) fn start(options: &Logging) {
    let default = match (options.quiet, options.verbose) {
        (true, _) => "error",
        (false, 0) => "warn,pipepost::pipeline=info",
        (false, 1) => "info,pipepost=debug,pipepost_inbox=info",
        (false, _) => "debug,pipepost=trace",
    };
    let filter = EnvFilter::try_from_env("PIPEPOST_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.without_time().with_target(false).init(),
    }
}

/// A sentence on standard error.
pub(super) fn say(sentence: &str) {
    // Nowhere to complain when standard error itself is gone.
    let _ = writeln!(std::io::stderr(), "{sentence}");
}

/// A line on standard output.
pub(super) fn answer(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")) {
        // Whoever reads, such as `head`, has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
