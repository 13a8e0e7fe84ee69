//! Groups of a mail merge: one message for all elements that an expression gives the same value.

use std::collections::HashMap;

use serde_json::{Value, json};

/// The groups, in the order of their first elements.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: HashMap<String, usize>,
    keys: Vec<String>,
    items: Vec<Value>,
}

impl Groups {
    /// Adds an element to the group of its value.
    pub(super) fn add(&mut self, value: Value, element: &Value) {
        let key = key(&value);
        let place = *self.places.entry(key.clone()).or_insert_with(|| {
            self.keys.push(key);
            self.items.push(json!({ "key": value, "rows": [] }));
            self.items.len() - 1
        });
        if let Some(Value::Array(rows)) = self.items[place].get_mut("rows") {
            rows.push(element.clone());
        }
    }

    /// What tells each group from the others in a message's key, whatever their order; and each group as `{key, rows}`.
    pub(super) fn into_parts(self) -> (Vec<String>, Vec<Value>) {
        (self.keys, self.items)
    }
}

/// Texts stand for themselves; other values as JSON. A `/` is written as in a JSON pointer (RFC 6901).
fn key(value: &Value) -> String {
    let (mark, text) = match value {
        Value::String(text) => ("=", text.clone()),
        other => ("#", other.to_string()),
    };
    format!("{mark}{}", text.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stand_in_the_order_of_their_first_elements() {
        let rows = [
            json!({ "n": 1, "owner": "b" }),
            json!({ "n": 2, "owner": "a/1" }),
            json!({ "n": 3, "owner": "b" }),
            json!({ "n": 4, "owner": 1 }),
            json!({ "n": 5, "owner": "1" }),
            json!({ "n": 6 }),
        ];
        let mut groups = Groups::default();
        for row in &rows {
            groups.add(row["owner"].clone(), row);
        }
        let (keys, items) = groups.into_parts();
        assert_eq!(keys, ["=b", "=a~11", "#1", "=1", "#null"]);
        assert_eq!(items[0], json!({ "key": "b", "rows": [rows[0], rows[2]] }));
        assert_eq!(items[4], json!({ "key": null, "rows": [rows[5]] }));
    }
}
