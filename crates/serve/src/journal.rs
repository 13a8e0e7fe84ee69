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

/// How many bytes of memory all kept steps and lines have together.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// How many bytes one step or line has as JSON; a larger one is kept without its messages.
const ENTRY_MAX: usize = 64 * 1024;

/// What a member of an object takes of memory beside its texts: its hash, its place, its name and its value. A small object has
/// several times as much of it as of letters.
const MEMBER_WEIGHT: usize = size_of::<(u64, usize, String, Value)>();

/// What an entry costs beside its texts, in bytes.
const FIXED_WEIGHT: usize = 128;

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
    steps: Vec<Arc<StepEntry>>,
    log: Vec<Arc<Line>>,
    bytes: usize,
}

/// A step that a run performed. Secrets and sensitive fields in it are `***`.
#[derive(Debug, Clone)]
pub struct StepEntry {
    /// The execution's key.
    pub execution: String,
    /// Its position in loops and tracks, with its branch and id.
    pub path: String,
    /// Its branch.
    pub branch: String,
    /// Its place in the branch, from 1.
    pub number: usize,
    /// The name by which people know it.
    pub step: String,
    /// Its type.
    pub kind: String,
    /// The message that it received. Shared: it is not copied.
    pub input: Arc<Value>,
    /// The message that it left; none after an error.
    pub output: Option<Arc<Value>>,
    /// The error object.
    pub error: Option<Arc<Value>>,
    /// The time that it took, in milliseconds.
    pub milliseconds: u64,
    /// Its messages were too large to be kept.
    pub is_cut: bool,
}

impl StepEntry {
    fn shown(&self) -> Value {
        let mut shown = json!({
            "execution": self.execution,
            "path": self.path,
            "branch": self.branch,
            "number": self.number,
            "step": self.step,
            "type": self.kind,
            "input": *self.input,
        });
        if let Value::Object(members) = &mut shown {
            for (name, value) in [("output", &self.output), ("error", &self.error)] {
                if let Some(value) = value {
                    members.insert(name.to_owned(), Value::clone(value));
                }
            }
            members.insert("milliseconds".to_owned(), self.milliseconds.into());
            if self.is_cut {
                members.insert("truncated".to_owned(), true.into());
            }
        }
        shown
    }
}

/// The level of a line of a run's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLevel {
    /// `trace`
    Trace,
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
}

impl LineLevel {
    /// Returns the name that is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

#[derive(Debug)]
struct Line {
    time: Timestamp,
    level: LineLevel,
    /// The step or the connector that logged it.
    source: Option<String>,
    text: String,
}

impl Line {
    fn shown(&self) -> Value {
        let mut shown = json!({ "time": self.time.to_string(), "level": self.level.as_str(), "text": self.text });
        if let (Some(source), Value::Object(members)) = (&self.source, &mut shown) {
            members.insert("source".to_owned(), source.clone().into());
        }
        shown
    }
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

    /// Keeps a step that a run performed.
    pub fn step(&self, run: &RunId, mut step: StepEntry) {
        // What one step leaves is what the next one gets: it is kept once, and counts once.
        let before = self.kept().last_output(run);
        let is_shared = before.is_some_and(|before| Arc::ptr_eq(&before, &step.input));
        let mut of_messages = Weight::default();
        if !is_shared {
            of_messages.add(&step.input);
        }
        for message in [&step.output, &step.error].into_iter().flatten() {
            of_messages.add(message);
        }
        if of_messages.text > ENTRY_MAX {
            step.input = Arc::default();
            step.output = step.output.map(|_| Arc::default());
            step.error = step.error.map(|_| Arc::default());
            step.is_cut = true;
        }
        let of_names = step.execution.len() + step.path.len() + step.branch.len() + step.step.len() + step.kind.len();
        let bytes = FIXED_WEIGHT + of_names + if step.is_cut { 0 } else { of_messages.memory };
        self.kept().add(run, bytes, |kept| &mut kept.steps, step);
    }

    /// Keeps a line of a run's log that the service writes.
    pub fn log(&self, run: &RunId, level: LineLevel, text: impl Into<String>) {
        self.add_line(run, level, None, text.into());
    }

    /// Keeps a line that a step or a connector of a run logged.
    pub fn line(&self, run: &RunId, level: LineLevel, source: &str, text: &str) {
        self.add_line(run, level, Some(source.to_owned()), text.to_owned());
    }

    fn add_line(&self, run: &RunId, level: LineLevel, source: Option<String>, mut text: String) {
        text.truncate(text.floor_char_boundary(ENTRY_MAX));
        let bytes = FIXED_WEIGHT + text.len() + source.as_ref().map_or(0, String::len);
        let line = Line {
            time: Timestamp::now(),
            level,
            source,
            text,
        };
        self.kept().add(run, bytes, |kept| &mut kept.log, line);
    }

    /// Returns the steps of a run; `None` if this process knows nothing of it any more.
    pub fn steps(&self, run: &RunId) -> Option<Vec<Value>> {
        // Shown after the lock is given back: messages may be large.
        let steps = self.kept().runs.get(run).map(|kept| kept.steps.clone())?;
        Some(steps.iter().map(|step| step.shown()).collect())
    }

    /// Returns the lines of a run's log; `None` if this process knows nothing of it any more.
    pub fn lines(&self, run: &RunId) -> Option<Vec<Value>> {
        let lines = self.kept().runs.get(run).map(|kept| kept.log.clone())?;
        Some(lines.iter().map(|line| line.shown()).collect())
    }

    /// Tells those who watch that a run reached a state.
    pub fn tell_run(&self, run: &Run) {
        self.tell(
            "run",
            json!({ "id": run.id.as_str(), "pipeline": run.pipeline, "state": run.state.as_str() }),
        );
    }

    /// Tells those who watch that a run left messages in doubt.
    pub fn tell_doubt(&self, run: &Run) {
        let data = json!({ "run": run.id.as_str(), "uncertain": run.counts.uncertain });
        self.tell("messages", data);
    }

    /// Tells those who watch that something happened.
    pub fn tell(&self, kind: &'static str, data: Value) {
        // Nobody need be watching.
        let _ = self.events.send(Event { kind, data });
    }

    /// Returns whether somebody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0
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

    /// Keeps a step.
    pub fn step(&self, step: StepEntry) {
        self.journal.step(&self.run, step);
    }

    /// Keeps a line that a step or a connector logged, without what may not be shown.
    pub fn line(&self, level: LineLevel, source: &str, text: &str) {
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
    /// What the last step of a run left.
    fn last_output(&self, run: &RunId) -> Option<Arc<Value>> {
        self.runs.get(run)?.steps.last()?.output.clone()
    }

    fn add<E>(&mut self, run: &RunId, bytes: usize, list: impl FnOnce(&mut OfRun) -> &mut Vec<Arc<E>>, entry: E) {
        if !self.runs.contains_key(run) {
            self.order.push_back(run.clone());
        }
        let of_run = self.runs.entry(run.clone()).or_default();
        let entries = list(of_run);
        if entries.len() >= ENTRIES_MAX {
            return;
        }
        entries.push(Arc::new(entry));
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

/// About how many bytes values have, in two ways.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    /// As JSON.
    text: usize,
    /// In memory.
    memory: usize,
}

impl Weight {
    /// Adds a value, without writing it. What is too large to be kept is not counted to its end.
    fn add(&mut self, value: &Value) {
        let mut waiting = vec![value];
        while let Some(value) = waiting.pop() {
            let (text, memory) = match value {
                Value::Null | Value::Bool(_) => (4, 0),
                Value::Number(_) => (8, 0),
                Value::String(text) => (text.len() + 2, text.len()),
                Value::Array(elements) => {
                    waiting.extend(elements);
                    (2 + elements.len(), elements.len() * size_of::<Value>())
                }
                Value::Object(members) => {
                    waiting.extend(members.values());
                    let names: usize = members.keys().map(String::len).sum();
                    (2 + members.len() * 4 + names, members.len() * MEMBER_WEIGHT + names)
                }
            };
            self.text += text;
            self.memory += memory;
            if self.text > ENTRY_MAX {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(step: &str, input: &Arc<Value>, output: &Arc<Value>) -> StepEntry {
        StepEntry {
            execution: "key".to_owned(),
            path: format!("/start/{step}"),
            branch: "start".to_owned(),
            number: 1,
            step: step.to_owned(),
            kind: "delayer".to_owned(),
            input: Arc::clone(input),
            output: Some(Arc::clone(output)),
            error: None,
            milliseconds: 0,
            is_cut: false,
        }
    }

    fn text(length: usize) -> Arc<Value> {
        Arc::new("x".repeat(length).into())
    }

    #[test]
    fn steps_and_lines_are_kept_in_order() {
        let journal = Journal::default();
        let run = RunId::next();
        assert_eq!(journal.steps(&run), None);
        journal.step(&run, entry("one", &text(1), &text(2)));
        journal.step(&run, entry("two", &text(2), &text(3)));
        journal.log(&run, LineLevel::Info, "begins");
        journal.line(&run, LineLevel::Warn, "Note", "card ***");
        let steps = journal.steps(&run).expect("steps");
        assert_eq!(
            steps[0],
            json!({
                "execution": "key", "path": "/start/one", "branch": "start", "number": 1, "step": "one", "type": "delayer",
                "input": "x", "output": "xx", "milliseconds": 0,
            })
        );
        assert_eq!(steps[1]["step"], "two");
        let lines = journal.lines(&run).expect("lines");
        assert_eq!(
            (&lines[0]["level"], &lines[0]["text"], lines[0].get("source")),
            (&json!("info"), &json!("begins"), None)
        );
        assert_eq!(
            (&lines[1]["level"], &lines[1]["source"]),
            (&json!("warn"), &json!("Note"))
        );
    }

    #[test]
    fn the_oldest_run_makes_room() {
        let journal = Journal::default();
        let first = RunId::next();
        journal.log(&first, LineLevel::Info, "begins");
        for _ in 0..RUNS_MAX {
            journal.log(&RunId::next(), LineLevel::Info, "begins");
        }
        assert_eq!(journal.lines(&first), None);
        assert_eq!(journal.kept().runs.len(), RUNS_MAX);
    }

    #[test]
    fn large_steps_and_many_bytes_are_bounded() {
        let journal = Journal::default();
        let run = RunId::next();
        journal.step(&run, entry("one", &text(ENTRY_MAX + 1), &text(1)));
        let steps = journal.steps(&run).expect("steps");
        assert_eq!(
            (&steps[0]["input"], &steps[0]["output"], &steps[0]["truncated"]),
            (&Value::Null, &Value::Null, &json!(true))
        );
        for _ in 0..BYTES_MAX / 50_000 + 10 {
            journal.step(&RunId::next(), entry("one", &text(50_000), &text(1)));
        }
        let kept = journal.kept();
        assert!(kept.bytes <= BYTES_MAX, "{}", kept.bytes);
        let counted: usize = kept.runs.values().map(|of_run| of_run.bytes).sum();
        assert_eq!(kept.bytes, counted);
    }

    #[test]
    fn what_one_step_hands_to_the_next_is_kept_and_counted_once() {
        let journal = Journal::default();
        let run = RunId::next();
        let message = text(20_000);
        for step in ["one", "two", "three"] {
            journal.step(&run, entry(step, &message, &message));
        }
        // As the first one's input and as each one's output.
        assert!(journal.kept().bytes < 4 * 20_000 + 3_000, "{}", journal.kept().bytes);
        assert_eq!(Arc::strong_count(&message), 1 + 3 * 2);
    }

    #[test]
    fn the_weight_of_a_value_is_about_its_length_and_what_it_takes() {
        let value = json!({"a": ["text", 1, null, true], "b": {"c": "d"}});
        let mut weight = Weight::default();
        weight.add(&value);
        let length = value.to_string().len();
        assert!(weight.text.abs_diff(length) < 20, "{weight:?}, {length}");
        // Three members, four elements, and their letters.
        let least = 3 * size_of::<(String, Value)>() + 4 * size_of::<Value>() + 8;
        assert!((least..2 * least).contains(&weight.memory), "{weight:?}, {least}");
    }

    #[test]
    fn small_objects_weigh_what_they_take_and_not_what_they_say() {
        let journal = Journal::default();
        let numbers: Vec<Value> = (0..2_000).map(|number| json!({ "n": number })).collect();
        let numbers = Arc::new(Value::Array(numbers));
        for _ in 0..100 {
            let copy = Arc::new(Value::clone(&numbers));
            let other = Arc::new(Value::clone(&numbers));
            journal.step(&RunId::next(), entry("one", &copy, &other));
        }
        let least = 2 * 2_000 * size_of::<(String, Value)>();
        assert!(
            journal.kept().runs.len() * least <= BYTES_MAX,
            "{}",
            journal.kept().runs.len()
        );
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
