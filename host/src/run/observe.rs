//! What a run reports to an observer: every step with its input and output, and the progress of long work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use pipepost_core::FailureKind;
use pipepost_flowspec::LogLevel;
use serde::Serialize;
use serde_json::Value;

/// An observer of a run. It is called on the run's own tasks, so it should be quick.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Returns whether [`Observer::step`] is to be called. Where something of a message is hidden, a record holds a copy, so
    /// records are made only for observers that want them.
    fn wants_steps(&self) -> bool {
        false
    }

    /// Receives a step that is over. A step with tracks is reported after the steps within them.
    fn step(&self, record: &StepRecord<'_>) {
        let _ = record;
    }

    /// Receives how a message ended.
    fn settled(&self, settled: &Settled<'_>) {
        let _ = settled;
    }

    /// Returns whether [`Observer::line`] is to be called with what connectors log.
    fn wants_lines(&self) -> bool {
        false
    }

    /// Receives a line of the run's log: of a log step, or of a connector.
    fn line(&self, line: &LogLine<'_>) {
        let _ = line;
    }

    /// Receives what a step of a dry run would start.
    fn would_start(&self, start: &Start<'_>) {
        let _ = start;
    }

    /// Receives how far a step that works through many elements has come.
    fn progress(&self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

/// One step of a run, as it was performed. Secrets and sensitive fields are `***`.
#[derive(Debug, Clone, Serialize)]
pub struct StepRecord<'a> {
    /// The execution's key.
    pub execution: &'a str,
    /// Its position in loops and tracks, with its branch and id. It is the same in each attempt.
    pub path: &'a str,
    /// Its branch.
    pub branch: &'a str,
    /// Its place in the branch, from 1.
    pub number: usize,
    /// The name by which people know it.
    pub step: &'a str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The message that it received. Where nothing of it is hidden, it is the run's own, and no copy.
    #[serde(serialize_with = "shared")]
    pub input: Arc<Value>,
    /// The message that it returned; none after an error.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared_option")]
    pub output: Option<Arc<Value>>,
    /// The error object.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared_option")]
    pub error: Option<Arc<Value>>,
    /// The time that it took, in milliseconds.
    pub milliseconds: u64,
}

fn shared<S: serde::Serializer>(value: &Arc<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.serialize(serializer)
}

fn shared_option<S: serde::Serializer>(value: &Option<Arc<Value>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

/// The end of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled<'a> {
    /// The connector's name.
    pub connector: &'a str,
    /// The account's label; none for a step without an account.
    pub account: Option<&'a str>,
    /// The kind of the failure; none for a message that was sent.
    pub failure: Option<FailureKind>,
}

/// A line of a run's log. Secrets and sensitive fields in it are `***`.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// The level.
    pub level: LogLevel,
    /// The step's name, or the connector's.
    pub source: &'a str,
    /// The text, without line breaks.
    pub text: &'a str,
}

/// What a step of a dry run would start: a pipeline, or those that wait for an event.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The branch and the step.
    pub place: &'a str,
    /// The pipeline's name.
    pub pipeline: Option<&'a str>,
    /// The event's name.
    pub event: Option<&'a str>,
    /// The message that it would begin with, as people may see it.
    pub message: &'a Value,
}

/// The progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The branch and the step.
    pub place: &'a str,
    /// The number of elements; none while a file's rows are read and not yet counted.
    pub total: Option<u64>,
    /// How much of the file that has the elements was read, and its length, in octets. None for a list, and for standard
    /// input.
    pub read: Option<(u64, u64)>,
    /// The number of elements that are done, including those that failed.
    pub done: u64,
    /// The number of elements that failed.
    pub failed: u64,
}

/// Counts the elements of one step for an observer.
#[derive(Debug)]
pub(super) struct Counter {
    observer: Option<Arc<dyn Observer>>,
    place: String,
    total: OnceLock<u64>,
    read: Option<(Arc<AtomicU64>, u64)>,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Counter {
    pub(super) fn new(
        observer: Option<Arc<dyn Observer>>,
        place: String,
        read: Option<(Arc<AtomicU64>, u64)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            observer,
            place,
            total: OnceLock::new(),
            read,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// There are so many in all.
    pub(super) fn set_total(&self, total: usize) {
        // It does not change once it is known.
        let _ = self.total.set(total as u64);
    }

    /// One more is over.
    pub(super) fn one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.tell();
    }

    /// So many of those that are over have failed.
    pub(super) fn failed(&self, count: u64) {
        if count > 0 {
            self.failed.fetch_add(count, Ordering::Relaxed);
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(observer) = &self.observer {
            let total = self.total.get().copied();
            let read = self.read.as_ref();
            observer.progress(&Progress {
                place: &self.place,
                total,
                read: read.map(|(read, size)| (read.load(Ordering::Relaxed), *size)),
                // What a connector was stopped in is settled twice.
                done: self.done.load(Ordering::Relaxed).min(total.unwrap_or(u64::MAX)),
                failed: self.failed.load(Ordering::Relaxed),
            });
        }
    }
}
