//! What the expressions of a step can see.

use std::collections::HashMap;
use std::sync::Arc;

use pipepost_double_braces::{Context, Scope};
use serde_json::{Map, Value};

/// What is the same for every step of a run.
#[derive(Debug)]
pub(super) struct RunScopes {
    pub(super) globals: Value,
    pub(super) metadata: Value,
    pub(super) trigger: Value,
    pub(super) replica: Value,
    /// By label, only what expressions may read.
    pub(super) accounts: HashMap<String, Value>,
    pub(super) sensitive: Vec<String>,
}

/// What changes from step to step, and belongs to one branch of the run.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) message: Value,
    /// Outputs by `doubleBracesAlias`.
    pub(super) steps: Arc<Value>,
    pub(super) session: Arc<Value>,
    pub(super) iterators: Arc<Value>,
    /// Where this frame stands in loops and tracks: part of every message key made in it.
    pub(super) path: String,
}

impl Frame {
    pub(super) fn new(message: Value) -> Self {
        let empty = || Arc::new(Value::Object(Map::new()));
        Self {
            message,
            steps: empty(),
            session: empty(),
            iterators: empty(),
            path: String::new(),
        }
    }

    /// Keeps a step's output under its alias.
    pub(super) fn keep(&mut self, alias: &str) {
        if let Value::Object(steps) = Arc::make_mut(&mut self.steps) {
            steps.insert(alias.to_owned(), self.message.clone());
        }
    }
}

/// The scopes of one evaluation.
pub(super) struct Scopes<'a> {
    pub(super) run: &'a RunScopes,
    pub(super) frame: &'a Frame,
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

    fn random(&self) -> u64 {
        getrandom::u64().unwrap_or_default()
    }

    fn sensitive_fields(&self) -> &[String] {
        &[]
    }
}
