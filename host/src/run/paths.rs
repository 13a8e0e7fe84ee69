//! Places in a message, written with dots: `order.items.0.name`.

use serde_json::Value;

/// The names of a path; none for the whole message, which `$` or nothing stands for.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim();
    let path = path.strip_prefix('$').unwrap_or(path);
    path.split('.').filter(|name| !name.is_empty())
}

/// What stands at a place.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    names(path).try_fold(value, |value, name| match value {
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

/// The same, to be changed.
pub(super) fn at_mut<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    names(path).try_fold(value, |value, name| match value {
        Value::Array(elements) => elements.get_mut(name.parse::<usize>().ok()?),
        other => other.get_mut(name),
    })
}

/// The path of what holds the place, and the place's own name in it; none for the whole message.
pub(super) fn split(path: &str) -> Option<(String, &str)> {
    let names: Vec<&str> = names(path).collect();
    let (last, before) = names.split_last()?;
    Some((before.join("."), last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_numbers_lead_to_a_place() {
        let message = json!({"a": [{"b": 1}], "c": null});
        assert_eq!(at(&message, "a.0.b"), Some(&json!(1)));
        assert_eq!(at(&message, "$.a.0"), Some(&json!({"b": 1})));
        assert_eq!(at(&message, "$"), Some(&message));
        assert_eq!(at(&message, "a.1"), None);
        assert_eq!(at(&message, "c.d"), None);
        assert_eq!(split("a.b.c"), Some(("a.b".to_owned(), "c")));
        assert_eq!(split("$"), None);
    }
}
