//! A context in which nothing moves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;

use pipepost_double_braces::{Context, Expression, Scope};
use serde_json::Value;

#[derive(Default)]
pub(crate) struct Fixed {
    pub(crate) roots: BTreeMap<Scope, Value>,
    pub(crate) accounts: BTreeMap<String, Value>,
    pub(crate) own_account: Option<Value>,
    pub(crate) files: BTreeMap<String, u64>,
    pub(crate) randomness: Cell<u64>,
}

#[allow(dead_code, reason = "each test binary uses its part")]
impl Fixed {
    pub(crate) fn message(message: Value) -> Self {
        Self::default().with(Scope::Message, message)
    }

    pub(crate) fn with(mut self, scope: Scope, root: Value) -> Self {
        self.roots.insert(scope, root);
        self
    }

    pub(crate) fn eval(&self, expression: &str) -> Value {
        let parsed = Expression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        parsed
            .evaluate(self)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The sentence with which the expression fails, when parsed or when evaluated.
    pub(crate) fn fails(&self, expression: &str) -> String {
        match Expression::parse(expression) {
            Err(error) => error.to_string(),
            Ok(parsed) => match parsed.evaluate(self) {
                Err(error) => error.to_string(),
                Ok(value) => panic!("{expression} gives {value}"),
            },
        }
    }
}

impl Context for Fixed {
    fn root(&self, scope: Scope) -> Option<&Value> {
        self.roots.get(&scope)
    }

    fn account(&self, label: Option<&str>) -> Option<&Value> {
        match label {
            Some(label) => self.accounts.get(label),
            None => self.own_account.as_ref(),
        }
    }

    /// Saturday, 8 May 2021, 12:13:14.005 UTC.
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(1_620_475_994_005).unwrap()
    }

    /// SplitMix64, from the seed 0.
    fn random(&self) -> u64 {
        let state = self.randomness.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.randomness.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn file_size(&self, name: &str) -> Result<Option<u64>, String> {
        if name.starts_with('/') {
            return Err("the name leads out of the run's directory".to_owned());
        }
        Ok(self.files.get(name).copied())
    }
}
