//! Standard error: sentences for the person, and the log.

use std::io::{BufWriter, IsTerminal as _, Write as _};

use serde_json::Value;
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
    to_reader(out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n")))
}

/// A value on standard output, laid out for people. It is written as it is made: a run's output may be large.
pub(super) fn answer_json(value: &Value) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    to_reader(written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

fn to_reader(written: std::io::Result<()>) -> std::io::Result<()> {
    match written {
        // Whoever reads, such as `head`, has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
