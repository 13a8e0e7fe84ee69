//! What the expressions of a step can see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::{Context, Scope};
use pipepost_engine::files::{FileError, RunFiles};
use pipepost_flowspec::Step;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::batch_coalescer::BatchCoalescer;
use super::clock::RunClock;
use super::{RunOptions, timestamp};
use crate::host::{Host, Prepared};

/// Fields of an account that are secrets, where it exposes them at all.
const SECRET_FIELDS: [&str; 4] = ["password", "client_secret", "refresh_token", "key"];

/// What is the same for every step of a run.
#[derive(Debug)]
pub(super) struct RunScopes {
    pub(super) globals: Value,
    pub(super) metadata: Value,
    pub(super) trigger: Arc<Value>,
    pub(super) replica: Value,
    /// By label, only what expressions may read.
    pub(super) accounts: HashMap<String, Value>,
}

impl RunScopes {
    pub(super) fn new(
        host: &Host,
        prepared: &Prepared,
        options: &mut RunOptions,
        key: &str,
        time_limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        let about = prepared.pipeline.metadata();
        let metadata = json!({
            "pipeline": {
                "name": about.name,
                "id": about.id,
                "versionMajor": about.version_major,
                "versionMinor": about.version_minor,
                "description": about.description,
                "realm": about.realm,
                "project": about.project,
            },
            "runtime": { "consumers": 1, "actualConsumers": 1, "environment": host.environment },
            "execution": {
                "key": key,
                "timeout": time_limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
                "startTimestamp": timestamp(),
                "redelivery": options.redelivery,
            },
        });
        let accounts = accounts(prepared)?;
        Ok(Self {
            globals: Value::Object(std::mem::take(&mut options.globals)),
            metadata,
            trigger: Arc::new(std::mem::take(&mut options.message)),
            replica: json!({}),
            accounts,
        })
    }

    /// See [`secrets`].
    pub(super) fn secrets(&self) -> Vec<String> {
        secrets(&self.accounts)
    }
}

/// What expressions may read of each account, by label.
pub(super) fn accounts(prepared: &Prepared) -> Result<HashMap<String, Value>, Failure> {
    let mut accounts = HashMap::new();
    for (label, account) in &prepared.accounts {
        let view = account.expression_view();
        let view = view.map_err(|error| Failure::new(FailureKind::Configuration, format!("{error}.")))?;
        accounts.insert(label.clone(), view);
    }
    Ok(accounts)
}

/// Secrets that accounts expose to expressions: they may be sent, and are still not shown.
pub(super) fn secrets(accounts: &HashMap<String, Value>) -> Vec<String> {
    let fields = |account: &Value| {
        SECRET_FIELDS
            .iter()
            .filter_map(|name| Some(account.get(name)?.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    accounts.values().flat_map(fields).collect()
}

/// What changes from step to step, and belongs to one branch of the run.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Shared, because it may be large and is read far more often than changed.
    pub(super) message: Arc<Value>,
    /// Outputs by `doubleBracesAlias`.
    pub(super) steps: Arc<Value>,
    pub(super) session: Arc<Value>,
    pub(super) iterators: Arc<Value>,
    /// Where this frame stands in loops and tracks: part of every message key made in it, and never of an attempt.
    pub(super) path: String,
    /// No step starts after this moment.
    pub(super) deadline: Option<Instant>,
    /// Where the iterations of a parallel loop meet, to hand their messages over together.
    pub(super) coalescer: Option<Arc<BatchCoalescer>>,
    /// The executions side by side that began within the outermost step of theirs around this frame; none outside of one.
    pub(super) fan_out: Option<Arc<AtomicUsize>>,
    /// A step around this one may run it again under the same keys.
    pub(super) repeats: bool,
    /// Recipients whom messages of this frame went out without.
    pub(super) refused: Arc<AtomicU64>,
    /// It is the run's own, and within no step.
    pub(super) is_outermost: bool,
    /// The step under way is the run's last: its output is the run's.
    pub(super) ends_run: bool,
}

impl Frame {
    pub(super) fn new(message: Arc<Value>) -> Self {
        let empty = || Arc::new(Value::Object(Map::new()));
        Self {
            message,
            steps: empty(),
            session: empty(),
            iterators: empty(),
            path: String::new(),
            deadline: None,
            coalescer: None,
            fan_out: None,
            repeats: false,
            refused: Arc::default(),
            is_outermost: false,
            ends_run: false,
        }
    }

    /// A frame for work of its own within this one.
    pub(super) fn child(&self, message: Arc<Value>, path: String) -> Self {
        Self {
            message,
            steps: Arc::clone(&self.steps),
            session: Arc::clone(&self.session),
            iterators: Arc::clone(&self.iterators),
            path,
            deadline: self.deadline,
            coalescer: self.coalescer.clone(),
            fan_out: self.fan_out.clone(),
            repeats: self.repeats,
            refused: Arc::clone(&self.refused),
            is_outermost: false,
            ends_run: false,
        }
    }

    /// A frame for one turn of a loop. Nothing of its message outlasts it, so its executions side by side count anew.
    pub(super) fn iteration(&self, element: Value) -> Self {
        Self {
            fan_out: None,
            ..self.child(Arc::new(element), String::new())
        }
    }

    /// Keeps a step's output under its alias.
    pub(super) fn keep(&mut self, alias: &str) {
        if let Value::Object(steps) = Arc::make_mut(&mut self.steps) {
            steps.insert(alias.to_owned(), Value::clone(&self.message));
        }
    }

    /// Lets expressions see how far a loop has come, as `iterators.index` and by the loop's own name, by which a loop within it
    /// sees its element too.
    pub(super) fn count(&mut self, step: &Step, index: usize, total: usize) {
        let current = step.alias.as_ref().map(|_| Value::clone(&self.message));
        if let Value::Object(iterators) = Arc::make_mut(&mut self.iterators) {
            iterators.insert("index".to_owned(), index.into());
            iterators.insert("total".to_owned(), total.into());
            if let Some(alias) = &step.alias {
                let state = json!({ "index": index, "total": total, "current": current });
                iterators.insert(alias.clone(), state);
            }
        }
    }

    /// The key of what a step does here.
    pub(super) fn key(&self, step: &Step) -> String {
        format!("{}{}", self.path, step.key())
    }
}

/// The scopes of one evaluation.
pub(super) struct Scopes<'a> {
    pub(super) run: &'a RunScopes,
    pub(super) frame: &'a Frame,
    pub(super) files: &'a RunFiles,
    /// Ends an evaluation with the run.
    pub(super) clock: &'a RunClock,
    /// The label of the step's own account.
    pub(super) own_account: Option<&'a str>,
    /// The element of a mail merge.
    pub(super) item: Option<&'a Value>,
}

impl Context for Scopes<'_> {
    fn root(&self, scope: Scope) -> Option<&Value> {
        match scope {
            Scope::Message => Some(&self.frame.message),
            Scope::Global => Some(&self.run.globals),
            Scope::Step => Some(&self.frame.steps),
            Scope::Metadata => Some(&self.run.metadata),
            Scope::Trigger => Some(&self.run.trigger),
            Scope::Session => Some(&self.frame.session),
            Scope::Iterators => Some(&self.frame.iterators),
            Scope::Replica => Some(&self.run.replica),
            Scope::Item => self.item,
            _ => None,
        }
    }

    fn account(&self, label: Option<&str>) -> Option<&Value> {
        self.run.accounts.get(label.or(self.own_account)?)
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn may_go_on(&self) -> bool {
        !self.clock.is_over()
    }

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }

    fn file_size(&self, name: &str) -> Result<Option<u64>, String> {
        match self.files.open(name) {
            Ok(file) => Ok(Some(file.size())),
            Err(FileError::NotFound) => Ok(None),
            Err(FileError::NotAllowed) => Err(format!("the file name `{name}` leads out of the run's directory")),
            Err(FileError::NotAFile) => Err(format!("`{name}` is not a regular file")),
            Err(_) => Err(format!("the file `{name}` cannot be read")),
        }
    }
}
