//! Limits how deep a value may nest.
//!
//! Values are copied, masked, written and dropped by functions that call themselves once per level. JSON that is read
//! has at most 128 levels, and one expression adds at most 64; over a loop these would add up without limit.

use pipepost_core::{Failure, FailureKind};
use serde_json::Value;

/// Arrays and objects within each other, the value itself counted.
pub(super) const DEPTH_MAX: usize = 256;

/// Refuses a value that nests too deeply; `what` names it, as a sentence begins.
///
/// # Errors
/// Fails with the kind `limit`.
pub(super) fn check(value: &Value, what: &str) -> Result<(), Failure> {
    if is_deeper(value, DEPTH_MAX) {
        let message = format!("{what} nests deeper than {DEPTH_MAX} arrays and objects.");
        return Err(Failure::new(FailureKind::Limit, message)
            .advise("Most often a step wraps its own last output: take from it only what is needed."));
    }
    Ok(())
}

/// Goes down without recursion: the value may be the one that must not be recursed into.
fn is_deeper(value: &Value, most: usize) -> bool {
    let mut waiting = vec![(value, 1)];
    while let Some((value, depth)) = waiting.pop() {
        let is_nest = |value: &&Value| matches!(value, Value::Array(_) | Value::Object(_));
        if depth > most && is_nest(&value) {
            return true;
        }
        match value {
            Value::Array(elements) => waiting.extend(elements.iter().filter(is_nest).map(|below| (below, depth + 1))),
            Value::Object(members) => waiting.extend(members.values().filter(is_nest).map(|below| (below, depth + 1))),
            _ => {}
        }
    }
    false
}

/// Drops a value that may nest deeper than the stack is long.
pub(super) fn dismantle(value: Value) {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(members) => waiting.extend(members.into_iter().map(|(_, below)| below)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> Value {
        (1..depth).fold(json!([]), |below, _| json!([below]))
    }

    #[test]
    fn the_bound_is_obeyed_and_violated() {
        assert!(check(&nested(DEPTH_MAX), "It").is_ok());
        assert!(check(&json!({ "a": [1, { "b": "c" }] }), "It").is_ok());
        let failure = check(&nested(DEPTH_MAX + 1), "It").expect_err("too deep");
        assert_eq!(failure.kind, FailureKind::Limit);
    }

    #[test]
    fn any_depth_is_measured_and_dismantled() {
        let mut deep = Value::Null;
        for _ in 0..1_000_000 {
            deep = Value::Array(vec![deep]);
        }
        assert!(check(&deep, "It").is_err());
        dismantle(deep);
    }
}
