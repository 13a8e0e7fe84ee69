//! Pipeline documents.

use serde_json::{Value, json};

/// A platform document whose first branch has these steps.
pub fn document(steps: &[Value]) -> Value {
    json!({
        "name": "a test",
        "versionMajor": 1,
        "versionMinor": 0,
        "flowSpec": { "start": steps },
    })
}

/// A connector step.
pub fn step(name: &str, params: Value) -> Value {
    json!({ "type": "connector", "name": name, "stepName": name, "params": params })
}

/// An `email-connector-v2` step that signs in with the account `mail`, and stops the run when it fails.
///
/// `params` are laid over a message from the tester to `ann@example.test`.
pub fn email(params: Value) -> Value {
    let mut all = json!({
        "from": crate::USER,
        "to": "ann@example.test",
        "subject": "A test",
        "body": "Hello",
        "failOnError": true,
    });
    let Value::Object(params) = params else {
        panic!("parameters are an object")
    };
    for (name, value) in params {
        match value {
            Value::Null => drop(all.as_object_mut().expect("an object").shift_remove(&name)),
            value => all[&name] = value,
        }
    }
    let mut step = step("email-connector-v2", all);
    step["stepName"] = json!("Send");
    step["accountLabel"] = json!("mail");
    step
}

/// A choice between branches: condition and target each, then the branch of no match.
pub fn choice(when: &[(&str, &str)], otherwise: &str) -> Value {
    let when: Vec<Value> = when
        .iter()
        .map(|(path, target)| json!({ "jsonPath": path, "target": target }))
        .collect();
    json!({ "type": "choice", "when": when, "otherwise": otherwise })
}
