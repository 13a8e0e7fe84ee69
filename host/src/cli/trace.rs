//! `--trace FILE`: each step as one JSON object a line.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use pipepost::{FailureKind, Observer, Progress, Start, StepRecord};

use super::error::CliError;
use super::logging::say;
use super::progress::Shown;

/// What the command line watches a run with.
#[derive(Debug)]
pub(super) struct Watcher {
    trace: Option<Mutex<Trace>>,
    progress: Shown,
}

#[derive(Debug)]
struct Trace {
    file: BufWriter<File>,
    failed: Option<std::io::Error>,
}

impl Watcher {
    /// Writes a trace where one is wanted, and shows the progress of long work.
    pub(super) fn new(trace: Option<&Path>, progress: Shown) -> Result<Self, CliError> {
        let open = |path: &Path| -> Result<_, CliError> {
            let file = private_file(path).map_err(|error| {
                CliError::new(
                    FailureKind::Configuration,
                    format!("The trace `{}` cannot be written: {error}.", path.display()),
                )
            })?;
            Ok(Mutex::new(Trace {
                file: BufWriter::new(file),
                failed: None,
            }))
        };
        Ok(Self {
            trace: trace.map(open).transpose()?,
            progress,
        })
    }

    /// Nothing more comes: writes what is left, and says whether all could be written.
    pub(super) fn finish(&self) -> Result<(), CliError> {
        self.progress.finish();
        let Some(trace) = &self.trace else { return Ok(()) };
        let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = trace.file.flush();
        match trace.failed.take().map_or(flushed, Err) {
            Ok(()) => Ok(()),
            Err(error) => Err(CliError::io("the trace", &error)),
        }
    }
}

/// Makes the file empty and its owner's alone, also where it exists: a trace holds messages.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = options.mode(0o600).open(path)?;
        // A device, such as /dev/stderr, keeps its mode.
        if file.metadata()?.is_file() {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}

impl Observer for Watcher {
    fn wants_steps(&self) -> bool {
        self.trace.is_some()
    }

    fn step(&self, record: &StepRecord<'_>) {
        let Some(trace) = &self.trace else { return };
        let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
        // A record is JSON throughout, so only the writing can fail; the run goes on, and it is told at the end.
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        if let Err(error) = trace.file.write_all(&line) {
            trace.failed.get_or_insert(error);
        }
    }

    fn would_start(&self, start: &Start<'_>) {
        let what = match (start.pipeline, start.event) {
            (Some(pipeline), _) => format!("run the pipeline `{pipeline}`"),
            (None, event) => format!("publish the event `{}`", event.unwrap_or_default()),
        };
        say(&format!("-- {}: would {what} with {}", start.place, start.message));
    }

    fn progress(&self, progress: &Progress<'_>) {
        self.progress.show(progress);
    }
}
