//! Standard error: sentences for the person, and the log.

use std::io::{BufWriter, Write as _};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::arguments::{LogFormat, Logging};
use super::disarm::{DisarmingWriter, Form, LogWriter, disarmed, sentence};
use super::otel::Traces;

/// Starts the log, and the traces if there is somebody to receive them. `PIPEPOST_LOG` overrides what the flags say, in
/// `tracing`'s filter language.
pub(super) fn start(options: &Logging, traces: Option<&Traces>) {
    let default = match (options.quiet, options.verbose) {
        // A service says of failures, of its own and of runs, as warnings, and goes on.
        (true, _) => format!("error,pipepost_serve=warn,{}=error", pipepost_serve::WARNINGS_TARGET),
        (false, 0) => "warn,pipepost::pipeline=info,pipepost_serve=info".to_owned(),
        (false, 1) => "info,pipepost=debug,pipepost_inbox=info".to_owned(),
        (false, _) => "debug,pipepost=trace".to_owned(),
    };
    // A line for a machine says to which run and step it belongs; a person who watches one run knows.
    let spans = match options.log_format {
        LogFormat::Json => "info",
        LogFormat::Text => "off",
    };
    let filter = EnvFilter::try_from_env("PIPEPOST_LOG")
        .unwrap_or_else(|_| EnvFilter::new(format!("{default},{}={spans}", pipepost::spans::TARGET)));
    // An event holds what others wrote: no escape sequence in it reaches a terminal, so there is none of ours either.
    let layer = tracing_subscriber::fmt::layer().with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match options.log_format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(|| LogWriter(Form::Json))
            .with_filter(filter)
            .boxed(),
        LogFormat::Text => layer
            .without_time()
            .with_target(false)
            .with_writer(|| LogWriter(Form::Text))
            .with_filter(filter)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    #[cfg(feature = "otel")]
    let subscriber = subscriber.with(traces.map(Traces::layer));
    #[cfg(not(feature = "otel"))]
    let _: Option<&Traces> = traces;
    subscriber.init();
}

/// Writes a sentence to standard error. What follows a line break in it is set in.
pub(super) fn say(text: &str) {
    // Nowhere to complain when standard error itself is gone.
    let _ = writeln!(std::io::stderr(), "{}", sentence(text));
}

/// Writes a text of several lines to standard error.
pub(super) fn say_text(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", disarmed(text, Form::Text));
}

/// Writes a line to standard output. What follows a line break in it is set in.
pub(super) fn answer(text: &str) -> std::io::Result<()> {
    line(&sentence(text))
}

/// Writes a text, of several lines perhaps, to standard output.
pub(super) fn answer_text(text: &str) -> std::io::Result<()> {
    line(&disarmed(text, Form::Text))
}

/// Writes JSON that is text already to standard output.
pub(super) fn answer_json_text(json: &str) -> std::io::Result<()> {
    line(&disarmed(json, Form::Json))
}

fn line(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    to_reader(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")))
}

/// A value on standard output, laid out for people. It is written as it is made: a run's output may be large.
pub(super) fn answer_json(value: &impl serde::Serialize) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, DisarmingWriter::new(std::io::stdout().lock(), Form::Json));
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
