//! What this process saw of its runs: their steps and their log, and the stream of events. It is kept in memory, for the
//! newest runs, within bounds; what must outlive the process is in the state.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use pipepost_core::FailureKind;
use pipepost_state::runs::{Run, RunId};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::metrics::Metrics;

/// How many runs have their steps and log kept.
const RUNS_MAX: usize = 1000;

/// How many bytes all kept steps and lines have together.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes one step or line has; a larger one is kept without its messages.
const ENTRY_MAX: usize = 64 * 1024;

/// How many entries a run has of each kind: the first ones.
const ENTRIES_MAX: usize = 500;

/// How many events a slow reader of the stream may lag behind.
const EVENTS_MAX: usize = 1024;

/// The journal of a process.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Kept>,
    events: broadcast::Sender<Event>,
}

/// Something that happened, for whoever watches.
#[derive(Debug, Clone)]
pub struct Event {
    /// What it is about: `run`, `pipelines`, `accounts`, `messages`.
    pub kind: &'static str,
    /// What happened, as JSON.
    pub data: Value,
}

#[derive(Debug, Default)]
struct Kept {
    runs: HashMap<RunId, OfRun>,
    /// The oldest first.
    order: VecDeque<RunId>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct OfRun {
    steps: Vec<Value>,
    log: Vec<Value>,
    bytes: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
        }
    }
}

impl Journal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a step that a run performed. `record` is as people may see it.
    pub fn step(&self, run: &RunId, mut record: Value) {
        let mut bytes = record.to_string().len();
        if bytes > ENTRY_MAX
            && let Value::Object(members) = &mut record
        {
            for large in ["input", "output", "error"] {
                if members.get(large).is_some_and(|value| !value.is_null()) {
                    members.insert(large.to_owned(), Value::Null);
                }
            }
            members.insert("truncated".to_owned(), true.into());
            bytes = record.to_string().len();
        }
        self.kept().add(run, bytes, |kept| &mut kept.steps, record);
    }

    /// Keeps a line of a run's log. `level` is `info`, `warn` or `error`.
    pub fn log(&self, run: &RunId, level: &str, text: impl AsRef<str>) {
        self.add_line(run, level, None, text.as_ref());
    }

    /// Keeps a line that a step or a connector of a run logged. `level` is `trace`, `debug`, `info`, `warn` or `error`.
    pub fn line(&self, run: &RunId, level: &str, source: &str, text: &str) {
        self.add_line(run, level, Some(source), text);
    }

    fn add_line(&self, run: &RunId, level: &str, source: Option<&str>, text: &str) {
        let text = &text[..text.floor_char_boundary(ENTRY_MAX)];
        let mut line = json!({ "time": Timestamp::now().to_string(), "level": level, "text": text });
        if let (Some(source), Value::Object(members)) = (source, &mut line) {
            members.insert("source".to_owned(), source.into());
        }
        self.kept().add(run, text.len(), |kept| &mut kept.log, line);
    }

    /// Returns the steps of a run; `None` if this process knows nothing of it any more.
    pub fn steps(&self, run: &RunId) -> Option<Vec<Value>> {
        self.kept().runs.get(run).map(|kept| kept.steps.clone())
    }

    /// Returns the lines of a run's log; `None` if this process knows nothing of it any more.
    pub fn lines(&self, run: &RunId) -> Option<Vec<Value>> {
        self.kept().runs.get(run).map(|kept| kept.log.clone())
    }

    /// Tells those who watch that a run reached a state.
    pub fn tell_run(&self, run: &Run) {
        self.tell(
            "run",
            json!({ "id": run.id.as_str(), "pipeline": run.pipeline, "state": run.state.as_str() }),
        );
    }

    /// Tells those who watch that something happened.
    pub fn tell(&self, kind: &'static str, data: Value) {
        // Nobody need be watching.
        let _ = self.events.send(Event { kind, data });
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}

/// Takes the steps of one run, and the ends of its messages.
#[derive(Debug, Clone)]
pub struct StepSink {
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    run: RunId,
}

impl StepSink {
    /// Makes one for this run.
    pub fn new(journal: &Arc<Journal>, metrics: &Arc<Metrics>, run: &RunId) -> Self {
        Self {
            journal: Arc::clone(journal),
            metrics: Arc::clone(metrics),
            run: run.clone(),
        }
    }

    /// Keeps a step. `record` is as people may see it.
    pub fn step(&self, record: Value) {
        self.journal.step(&self.run, record);
    }

    /// Keeps a line that a step or a connector logged, without what may not be shown.
    pub fn line(&self, level: &str, source: &str, text: &str) {
        self.journal.line(&self.run, level, source, text);
    }

    /// Counts how a message ended: by the kind of its failure, if it was not sent.
    pub fn message(&self, connector: &str, account: Option<&str>, failure: Option<FailureKind>) {
        let account = account.unwrap_or_default();
        let outcome = match failure {
            None => "sent",
            Some(FailureKind::Uncertain) => "uncertain",
            Some(_) => "failed",
        };
        self.metrics.count_messages(connector, account, outcome, 1);
        if let Some(kind) = failure {
            self.metrics.count_failure(account, kind.as_str());
        }
    }
}

impl Kept {
    fn add(&mut self, run: &RunId, bytes: usize, list: impl FnOnce(&mut OfRun) -> &mut Vec<Value>, entry: Value) {
        if !self.runs.contains_key(run) {
            self.order.push_back(run.clone());
        }
        let of_run = self.runs.entry(run.clone()).or_default();
        let entries = list(of_run);
        if entries.len() >= ENTRIES_MAX {
            return;
        }
        entries.push(entry);
        of_run.bytes += bytes;
        self.bytes += bytes;
        while self.order.len() > RUNS_MAX || self.bytes > BYTES_MAX && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.runs.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(gone.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_lines_are_kept_in_order() {
        let journal = Journal::default();
        let run = RunId::next();
        assert_eq!(journal.steps(&run), None);
        journal.step(&run, json!({"step": "one"}));
        journal.step(&run, json!({"step": "two"}));
        journal.log(&run, "info", "begins");
        assert_eq!(
            journal.steps(&run),
            Some(vec![json!({"step": "one"}), json!({"step": "two"})])
        );
        let lines = journal.lines(&run).expect("lines");
        assert_eq!(
            (&lines[0]["level"], &lines[0]["text"]),
            (&json!("info"), &json!("begins"))
        );
    }

    #[test]
    fn the_oldest_run_makes_room() {
        let journal = Journal::default();
        let first = RunId::next();
        journal.step(&first, json!({}));
        for _ in 0..RUNS_MAX {
            journal.step(&RunId::next(), json!({}));
        }
        assert_eq!(journal.steps(&first), None);
        assert_eq!(journal.kept().runs.len(), RUNS_MAX);
    }

    #[test]
    fn large_steps_and_many_bytes_are_bounded() {
        let journal = Journal::default();
        let run = RunId::next();
        journal.step(&run, json!({"step": "one", "input": "x".repeat(ENTRY_MAX + 1)}));
        let steps = journal.steps(&run).expect("steps");
        assert_eq!(steps, [json!({"step": "one", "input": null, "truncated": true})]);
        for _ in 0..BYTES_MAX / 50_000 + 10 {
            journal.step(&RunId::next(), json!({"input": "x".repeat(50_000)}));
        }
        let kept = journal.kept();
        assert!(kept.bytes <= BYTES_MAX, "{}", kept.bytes);
        let counted: usize = kept.runs.values().map(|of_run| of_run.bytes).sum();
        assert_eq!(kept.bytes, counted);
    }

    #[tokio::test]
    async fn whoever_watches_is_told() {
        let journal = Journal::default();
        journal.tell("pipelines", json!({"missed": true}));
        let mut watcher = journal.watch();
        journal.tell("pipelines", json!({"loaded": ["digest"]}));
        let event = watcher.recv().await.expect("an event");
        assert_eq!((event.kind, event.data), ("pipelines", json!({"loaded": ["digest"]})));
    }
}
