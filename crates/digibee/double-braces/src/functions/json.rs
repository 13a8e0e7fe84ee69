//! Objects and arrays.

use std::borrow::Cow;

use pipepost_jsonpath::FindErrorKind;
use serde_json::{Value, json};

use super::escapes::unescape_json;
use super::{Answer, Arguments, Function, Outcome, PatternKind};
use crate::error::Failure;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("JSONPATH", "value, expression:string", 2, 2, json_path).patterns(&[(1, PatternKind::JsonPath)]),
    Function::new("TOJSON", "value", 1, 1, |mut arguments| {
        let parsed = arguments.get(0).as_str().map(serde_json::from_str::<Value>);
        match parsed {
            Some(Ok(value)) => value.answer(),
            // A text that is no JSON stays what it is, as do all other values.
            Some(Err(_)) | None => Ok(arguments.take(0)),
        }
    }),
    Function::new("UNESCAPEJSON", "value:string", 1, 1, |arguments| {
        match arguments.text(0) {
            Some(text) => unescape_json(&text).answer(),
            None => Value::Null.answer(),
        }
    }),
    Function::new("GETELEMENTAT", "array, index", 2, 2, |mut arguments| {
        let index = usize::try_from(arguments.integer(1)?).ok();
        element(&mut arguments, |length| index.filter(|index| *index < length))
    }),
    Function::new("LASTELEMENT", "array", 1, 1, |mut arguments| {
        element(&mut arguments, |length| length.checked_sub(1))
    }),
    Function::new("REMOVEAT", "array, index", 2, 2, |mut arguments| {
        let index = usize::try_from(arguments.integer(1)?).ok();
        let mut elements = array(&mut arguments)?;
        if let Some(index) = index.filter(|index| *index < elements.len()) {
            elements.remove(index);
        }
        elements.answer()
    }),
    Function::new("PUSH", "array, element", 1, 2, |mut arguments| {
        let mut elements = array(&mut arguments)?;
        elements.push(arguments.take(1).into_owned());
        elements.answer()
    }),
    Function::new("POP", "array", 1, 1, |mut arguments| {
        let mut elements = array(&mut arguments)?;
        match elements.pop() {
            Some(element) => json!({"array": elements, "element": element}).answer(),
            None => elements.answer(),
        }
    }),
    Function::new("NEWEMPTYOBJECT", "", 0, 0, |_| json!({}).answer()),
    Function::new("NEWEMPTYARRAY", "", 0, 0, |_| json!([]).answer()),
    Function::new("CARDINALITYONE", "data", 1, 1, |mut arguments| {
        if arguments.get(0).is_array() {
            return element(&mut arguments, |length| (length > 0).then_some(0));
        }
        Ok(arguments.take(0))
    }),
    Function::new("CARDINALITYMANY", "data", 1, 1, |mut arguments| {
        if arguments.get(0).is_array() {
            return Ok(arguments.take(0));
        }
        vec![arguments.take(0).into_owned()].answer()
    }),
];

fn json_path(mut arguments: Arguments<'_>) -> Outcome<'_> {
    let path = arguments.json_path(1)?;
    let value = arguments.take(0);
    path.find(&value)
        .map(|found| Cow::Owned(found.into_value()))
        .map_err(|error| match error.kind() {
            FindErrorKind::TooMuchWork => Failure::limit(error.to_string()),
            _ => Failure::argument(error.to_string()),
        })
}

fn array(arguments: &mut Arguments<'_>) -> Result<Vec<Value>, Failure> {
    if !arguments.get(0).is_array() {
        return Err(arguments.not(0, "an array"));
    }
    match arguments.take(0).into_owned() {
        Value::Array(elements) => Ok(elements),
        _ => Ok(Vec::new()),
    }
}

/// An element of the first argument, chosen by the array's length; null when there is none. It is not copied when the
/// array is not.
fn element<'a>(arguments: &mut Arguments<'a>, choose: impl FnOnce(usize) -> Option<usize>) -> Outcome<'a> {
    if arguments.is_null(0) {
        return Value::Null.answer();
    }
    let not_an_array = arguments.not(0, "an array");
    let chosen = match arguments.take(0) {
        Cow::Borrowed(Value::Array(elements)) => choose(elements.len())
            .and_then(|at| elements.get(at))
            .map(Cow::Borrowed),
        Cow::Owned(Value::Array(mut elements)) => choose(elements.len())
            .filter(|at| *at < elements.len())
            .map(|at| Cow::Owned(elements.swap_remove(at))),
        _ => return Err(not_an_array),
    };
    Ok(chosen.unwrap_or(Cow::Owned(Value::Null)))
}
