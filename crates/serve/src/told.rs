//! What the log has said of the directory's documents: each thing once, as long as it stays as it is.
//!
//! The directory is read anew on many occasions, also when an account changes, and what is wrong with a document is then what
//! it was before. One new problem of a document is no reason to repeat its others.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pipelines::{Directory, Pipelines};

/// Where the log's lines on warnings come from: whoever wants failures only leaves them out.
pub const WARNINGS_TARGET: &str = "pipepost_serve::documents";

/// What was said. Looks at the directory that overlap say nothing twice.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    lines: BTreeSet<Line>,
    /// Why the directory itself could not be read at the last look.
    unread: Option<String>,
}

/// One thing to say of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    file: String,
    about: About,
    sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    NotServed,
    OlderServed,
    Warning,
}

impl Told {
    /// Says what is new of the directory as it is now.
    pub(crate) fn tell(&self, pipelines: &Pipelines) {
        let mut said = self.said();
        let now = lines(&pipelines.current());
        for line in now.difference(&said.lines) {
            line.tell();
        }
        *said = Said {
            lines: now,
            unread: None,
        };
    }

    /// Says that the directory could not be read, unless the look before found the same.
    pub(crate) fn tell_unread(&self, pipelines: &Pipelines, error: &std::io::Error) {
        let mut said = self.said();
        let error = error.to_string();
        if said.unread.as_ref() != Some(&error) {
            let directory = pipelines.folder().display();
            tracing::warn!(%directory, error, "the directory cannot be read");
            said.unread = Some(error);
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines(directory: &Directory) -> BTreeSet<Line> {
    let problems = directory.problems.iter().flat_map(|problem| {
        let about = if problem.keeps_older {
            About::OlderServed
        } else {
            About::NotServed
        };
        problem
            .problems
            .iter()
            .map(move |sentence| Line::new(&problem.file, about, sentence))
    });
    let warnings = directory.pipelines.values().flat_map(|pipeline| {
        let doubts = pipeline.prepared.doubts().into_iter();
        doubts.map(|sentence| Line::new(&pipeline.file, About::Warning, &sentence))
    });
    problems.chain(warnings).collect()
}

impl Line {
    fn new(file: &str, about: About, sentence: &str) -> Self {
        Self {
            file: file.to_owned(),
            about,
            sentence: sentence.to_owned(),
        }
    }

    fn tell(&self) {
        let Self { file, sentence, .. } = self;
        match self.about {
            About::NotServed => tracing::warn!(file, "`{file}` is not served: {sentence}"),
            About::OlderServed => tracing::warn!(file, "`{file}`: its older text is served on: {sentence}"),
            About::Warning => tracing::warn!(target: WARNINGS_TARGET, file, "`{file}` is served: {sentence}"),
        }
    }
}
