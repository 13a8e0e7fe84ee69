//! What a run tells whoever watches it: every step with its input and output, and how far long work has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::Value;

/// Watches a run. It is called on the run's own tasks, so it should be quick.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Whether [`Observer::step`] is to be called: records are copies of messages, so they are made only for those who
    /// want them.
    fn wants_steps(&self) -> bool {
        false
    }

    /// A step is over. Steps with tracks are told after the steps within them.
    fn step(&self, record: &StepRecord<'_>) {
        let _ = record;
    }

    /// A step that works through many elements has come so far.
    fn progress(&self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

/// One step of a run, as it went. Secrets and sensitive fields are `***`.
#[derive(Debug, Clone, Serialize)]
pub struct StepRecord<'a> {
    /// The execution's key.
    pub execution: &'a str,
    /// Where it stands in loops and tracks, with its branch and id: the same in each attempt.
    pub path: &'a str,
    /// Its branch.
    pub branch: &'a str,
    /// Its place in the branch, from 1.
    pub number: usize,
    /// What people call it.
    pub step: &'a str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The message that it got.
    pub input: Value,
    /// The message that it left; none after an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The error's object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// How long it took.
    pub milliseconds: u64,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Branch and step.
    pub place: &'a str,
    /// How many elements there are.
    pub total: u64,
    /// How many are over, failed ones among them.
    pub done: u64,
    /// How many of these failed.
    pub failed: u64,
}

/// Counts the elements of one step for an observer.
#[derive(Debug)]
pub(super) struct Counter {
    observer: Option<Arc<dyn Observer>>,
    place: String,
    total: u64,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Counter {
    pub(super) fn new(observer: Option<Arc<dyn Observer>>, place: String, total: usize) -> Arc<Self> {
        Arc::new(Self {
            observer,
            place,
            total: total as u64,
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
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
            observer.progress(&Progress {
                place: &self.place,
                total: self.total,
                // What a connector was stopped in is settled twice.
                done: self.done.load(Ordering::Relaxed).min(self.total),
                failed: self.failed.load(Ordering::Relaxed),
            });
        }
    }
}
