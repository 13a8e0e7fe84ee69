//! What an object store step asks for and changes: the part of the platform's query operators that needs no database.
//!
//! Queries, changes and orders are JSON objects, so there is nothing to parse but their names. An operator that is not in
//! the lists here is refused by its name, never ignored: an ignored condition would select too much.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// The member under which an object's id is read and queried.
pub const OBJECT_ID: &str = "_oId";

/// The operators that queries may use, for messages.
const QUERY_OPERATORS: &str = "`$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$in`, `$nin`, `$exists`, `$and` and `$or`";

/// The operators that documents of an update may use, for messages.
const UPDATE_OPERATORS: &str = "`$set`, `$setOnInsert`, `$unset`, `$inc` and `$push`";

/// A condition that an object meets or not, such as `{"product.price": {"$gt": 2000}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectQuery {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// A member, by its path, and the test for it.
    Member(String, Test),
    All(Vec<ObjectQuery>),
    Any(Vec<ObjectQuery>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equal(Value),
    Unequal(Value),
    /// The orderings of the member to the value that pass.
    Ordered(&'static [Ordering], Value),
    OneOf(Vec<Value>),
    NoneOf(Vec<Value>),
    Exists(bool),
}

impl ObjectQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Returns a clause that says what is not understood.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err(format!(
                "a query is an object, such as `{{}}` for all, and this is {}",
                kind(value)
            ));
        };
        let mut conditions = Vec::new();
        for (name, value) in members {
            match name.as_str() {
                "$and" => conditions.push(Condition::All(several(name, value)?)),
                "$or" => conditions.push(Condition::Any(several(name, value)?)),
                _ if name.starts_with('$') => return Err(unknown(name, QUERY_OPERATORS)),
                _ => tests(name, value, &mut conditions)?,
            }
        }
        Ok(Self { conditions })
    }

    /// Returns whether an object meets the query.
    pub fn matches(&self, object: &Value) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Member(path, test) => test.passes(at(object, path)),
            Condition::All(queries) => queries.iter().all(|query| query.matches(object)),
            Condition::Any(queries) => queries.iter().any(|query| query.matches(object)),
        })
    }

    /// Returns the object that an insertion begins with when nothing met the query: its equalities.
    pub fn equalities(&self) -> Value {
        let mut object = Value::Object(Map::new());
        for condition in &self.conditions {
            if let Condition::Member(path, Test::Equal(value)) = condition {
                // A new object holds nothing that could be in the way.
                put(&mut object, path, value.clone()).ok();
            }
        }
        object
    }
}

fn several(name: &str, value: &Value) -> Result<Vec<ObjectQuery>, String> {
    match value.as_array() {
        Some(queries) if !queries.is_empty() => queries.iter().map(ObjectQuery::parse).collect(),
        _ => Err(format!("`{name}` takes an array of queries")),
    }
}

fn tests(path: &str, value: &Value, conditions: &mut Vec<Condition>) -> Result<(), String> {
    let operators = value
        .as_object()
        .filter(|members| members.keys().any(|name| name.starts_with('$')));
    let Some(operators) = operators else {
        conditions.push(Condition::Member(path.to_owned(), Test::Equal(value.clone())));
        return Ok(());
    };
    for (name, value) in operators {
        let list = || match value {
            Value::Array(values) => Ok(values.clone()),
            _ => Err(format!("`{name}` of `{path}` takes an array")),
        };
        let test = match name.as_str() {
            "$eq" => Test::Equal(value.clone()),
            "$ne" => Test::Unequal(value.clone()),
            "$gt" => Test::Ordered(&[Ordering::Greater], value.clone()),
            "$gte" => Test::Ordered(&[Ordering::Greater, Ordering::Equal], value.clone()),
            "$lt" => Test::Ordered(&[Ordering::Less], value.clone()),
            "$lte" => Test::Ordered(&[Ordering::Less, Ordering::Equal], value.clone()),
            "$in" => Test::OneOf(list()?),
            "$nin" => Test::NoneOf(list()?),
            "$exists" => Test::Exists(
                value
                    .as_bool()
                    .ok_or_else(|| format!("`$exists` of `{path}` takes true or false"))?,
            ),
            _ => return Err(unknown(name, QUERY_OPERATORS)),
        };
        conditions.push(Condition::Member(path.to_owned(), test));
    }
    Ok(())
}

impl Test {
    fn passes(&self, found: Option<&Value>) -> bool {
        match self {
            Self::Equal(wanted) => holds(found, wanted),
            Self::Unequal(wanted) => !holds(found, wanted),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| holds(found, wanted)),
            Self::NoneOf(wanted) => !wanted.iter().any(|wanted| holds(found, wanted)),
            Self::Exists(wanted) => found.is_some() == *wanted,
            Self::Ordered(passing, wanted) => each(found)
                .filter_map(|value| compare(value, wanted))
                .any(|ordering| passing.contains(&ordering)),
        }
    }
}

/// The value, and the elements where it is an array: an array meets what one of its elements meets.
fn each(found: Option<&Value>) -> impl Iterator<Item = &Value> {
    let elements = found.and_then(Value::as_array).into_iter().flatten();
    found.into_iter().chain(elements)
}

/// What is not there equals null.
fn holds(found: Option<&Value>, wanted: &Value) -> bool {
    match found {
        None => wanted.is_null(),
        Some(_) => each(found).any(|value| equal(value, wanted)),
    }
}

/// Numbers are equal by their values, however they are written.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(_), Value::Number(_)) => compare(one, other) == Some(Ordering::Equal),
        _ => one == other,
    }
}

/// Only values of one kind have an order: numbers, and texts by their characters.
fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// How an update changes an object.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectUpdate {
    /// The object becomes this document.
    Replace(Value),
    /// Members of the object are changed one after the other.
    Change(Vec<MemberChange>),
}

/// The change of one member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberChange {
    path: String,
    operation: Operation,
}

#[derive(Debug, Clone, PartialEq)]
enum Operation {
    Set(Value),
    /// Only where the object is inserted by this update.
    SetOnInsert(Value),
    Unset,
    Add(f64, Value),
    Push(Vec<Value>),
}

impl ObjectUpdate {
    /// Reads the document of an update: an object with operators such as `{"$set": {"price": 605}}`, or the new document
    /// itself.
    ///
    /// # Errors
    /// Returns a clause that says what is not understood.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err(format!(
                "the document of an update is an object, and this is {}",
                kind(value)
            ));
        };
        let operators = members.keys().filter(|name| name.starts_with('$')).count();
        if operators == 0 {
            return Ok(Self::Replace(value.clone()));
        }
        if operators < members.len() {
            return Err(format!(
                "the document has operators ({UPDATE_OPERATORS}) and other members; put the others under `$set`"
            ));
        }
        let mut changes = Vec::new();
        for (name, members) in members {
            let Value::Object(members) = members else {
                return Err(format!("`{name}` takes an object of members"));
            };
            for (path, value) in members {
                changes.push(MemberChange {
                    operation: operation(name, path, value)?,
                    path: path.clone(),
                });
            }
        }
        Ok(Self::Change(changes))
    }

    /// Changes an object; `inserted` says that it is new.
    ///
    /// # Errors
    /// Returns a clause that names the member that cannot be changed so.
    pub fn apply(&self, object: &mut Value, inserted: bool) -> Result<(), String> {
        let changes = match self {
            Self::Replace(document) => {
                *object = document.clone();
                return Ok(());
            }
            Self::Change(changes) => changes,
        };
        for MemberChange { path, operation } in changes {
            match operation {
                Operation::Set(value) => put(object, path, value.clone())?,
                Operation::SetOnInsert(value) if inserted => put(object, path, value.clone())?,
                Operation::SetOnInsert(_) => {}
                Operation::Unset => unset(object, path),
                Operation::Add(addend, written) => {
                    let sum = match at(object, path) {
                        None => written.clone(),
                        Some(found) => sum(found, written, *addend)
                            .ok_or_else(|| format!("`$inc`: `{path}` is {}, and no number", kind(found)))?,
                    };
                    put(object, path, sum)?;
                }
                Operation::Push(values) => {
                    let mut elements = match at(object, path) {
                        None => Vec::new(),
                        Some(Value::Array(elements)) => elements.clone(),
                        Some(found) => return Err(format!("`$push`: `{path}` is {}, and no array", kind(found))),
                    };
                    elements.extend(values.iter().cloned());
                    put(object, path, Value::Array(elements))?;
                }
            }
        }
        Ok(())
    }
}

fn operation(name: &str, path: &str, value: &Value) -> Result<Operation, String> {
    Ok(match name {
        "$set" => Operation::Set(value.clone()),
        "$setOnInsert" => Operation::SetOnInsert(value.clone()),
        "$unset" => Operation::Unset,
        "$inc" => match value.as_f64() {
            Some(addend) => Operation::Add(addend, value.clone()),
            None => return Err(format!("`$inc` of `{path}` takes a number")),
        },
        "$push" => match value.get("$each") {
            None => Operation::Push(vec![value.clone()]),
            Some(Value::Array(values)) => Operation::Push(values.clone()),
            Some(_) => return Err(format!("`$each` of `{path}` takes an array")),
        },
        _ => return Err(unknown(name, UPDATE_OPERATORS)),
    })
}

fn sum(found: &Value, written: &Value, addend: f64) -> Option<Value> {
    match (found.as_i64(), written.as_i64()) {
        (Some(one), Some(other)) => one.checked_add(other).map(Value::from),
        _ => Some(Value::from(found.as_f64()? + addend)),
    }
}

/// The order in which found objects are returned, such as `{"price": -1}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOrder {
    /// Members by their paths, and whether each goes down.
    members: Vec<(String, bool)>,
}

impl ObjectOrder {
    /// Reads an order: each member is 1 to go up or -1 to go down, the first one first.
    ///
    /// # Errors
    /// Returns a clause that says what is not understood.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err(format!(
                "a `sort` is an object such as `{{\"name\": 1}}`, and this is {}",
                kind(value)
            ));
        };
        let members = members.iter().map(|(path, way)| match way.as_f64() {
            Some(1.0) => Ok((path.clone(), false)),
            Some(-1.0) => Ok((path.clone(), true)),
            _ => Err(format!("`sort` of `{path}` is 1 (up) or -1 (down)")),
        });
        Ok(Self {
            members: members.collect::<Result<_, _>>()?,
        })
    }

    /// Compares two objects: what has no order stays as it is, and what is not there comes first.
    pub fn compare(&self, one: &Value, other: &Value) -> Ordering {
        for (path, down) in &self.members {
            let ordering = match (at(one, path), at(other, path)) {
                (Some(one), Some(other)) => compare(one, other).unwrap_or(Ordering::Equal),
                (one, other) => one.is_some().cmp(&other.is_some()),
            };
            if ordering.is_ne() {
                return if *down { ordering.reverse() } else { ordering };
            }
        }
        Ordering::Equal
    }
}

fn unknown(name: &str, known: &str) -> String {
    format!("the operator `{name}` is not supported; there are {known}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| match value {
        Value::Array(elements) => elements.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

/// Sets the member at a path. Objects on the way are made.
fn put(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let mut place = object;
    for name in path.split('.') {
        let missing = || format!("`{path}` leads through a value that is no object");
        place = match place {
            Value::Object(members) => members.entry(name).or_insert_with(|| Value::Object(Map::new())),
            Value::Array(elements) => name
                .parse::<usize>()
                .ok()
                .and_then(|index| elements.get_mut(index))
                .ok_or_else(missing)?,
            _ => return Err(missing()),
        };
    }
    *place = value;
    Ok(())
}

fn unset(object: &mut Value, path: &str) {
    let (holder, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut names = holder.split('.').filter(|name| !name.is_empty());
    let holder = names.try_fold(object, |place, name| place.get_mut(name));
    if let Some(Value::Object(members)) = holder {
        members.shift_remove(name);
    }
}

/// Puts quotes around operators that a text has as bare names, `{ $set: ... }`: the platform's own documentation writes
/// them so, and no JSON parser reads it.
pub(crate) fn with_quoted_operators(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    let mut rest = text;
    let mut is_text = false;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '\\' if is_text => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            '"' => {
                is_text = !is_text;
                1
            }
            '$' if !is_text => {
                let name = 1 + rest[1..].bytes().take_while(u8::is_ascii_alphanumeric).count();
                if rest[name..].trim_start().starts_with(':') {
                    quoted.push('"');
                    quoted.push_str(&rest[..name]);
                    quoted.push('"');
                    rest = &rest[name..];
                    continue;
                }
                1
            }
            other => other.len_utf8(),
        };
        quoted.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matching(query: Value) -> Vec<u64> {
        let objects = [
            json!({"n": 1, "product": {"price": 5000, "tags": ["new", "red"]}, "at": "2026-11-20"}),
            json!({"n": 2, "product": {"price": 699.5}, "at": "2026-11-27", "done": null}),
            json!({"n": 3, "at": 7, "done": true}),
        ];
        let query = ObjectQuery::parse(&query).unwrap();
        let met = objects.iter().filter(|object| query.matches(object));
        met.map(|object| object["n"].as_u64().unwrap()).collect()
    }

    #[test]
    fn queries_select_what_their_operators_say() {
        assert_eq!(matching(json!({})), [1, 2, 3]);
        assert_eq!(matching(json!({"product.price": {"$gt": 2000}})), [1]);
        assert_eq!(matching(json!({"product.price": 5000.0})), [1]);
        assert_eq!(matching(json!({"product.price": {"$gte": 699.5, "$lt": 5000}})), [2]);
        assert_eq!(matching(json!({"product.tags": "red"})), [1]);
        assert_eq!(matching(json!({"product.tags.1": "red"})), [1]);
        assert_eq!(matching(json!({"at": {"$lte": "2026-11-27"}})), [1, 2]);
        assert_eq!(matching(json!({"n": {"$in": [1, 3, 9]}})), [1, 3]);
        assert_eq!(matching(json!({"n": {"$nin": [1, 3]}})), [2]);
        assert_eq!(matching(json!({"done": null})), [1, 2]);
        assert_eq!(matching(json!({"done": {"$exists": true}})), [2, 3]);
        assert_eq!(matching(json!({"done": {"$ne": true}})), [1, 2]);
        assert_eq!(matching(json!({"$or": [{"n": 1}, {"done": true}]})), [1, 3]);
        assert_eq!(matching(json!({"$and": [{"n": {"$gt": 1}}, {"n": {"$lt": 3}}]})), [2]);
        assert_eq!(matching(json!({"product": {"price": 699.5}})), [2]);
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        let refused = |query: Value| ObjectQuery::parse(&query).unwrap_err();
        assert!(refused(json!({"a": {"$regex": "x"}})).contains("`$regex`"));
        assert!(refused(json!({"$where": "x"})).contains("`$where`"));
        assert!(refused(json!([])).contains("an array"));
        assert!(refused(json!({"a": {"$in": 1}})).contains("`$in` of `a`"));
        assert!(refused(json!({"$or": []})).contains("`$or`"));
        let refused = |document: Value| ObjectUpdate::parse(&document).unwrap_err();
        assert!(refused(json!({"$rename": {"a": "b"}})).contains("`$rename`"));
        assert!(refused(json!({"$set": {"a": 1}, "b": 2})).contains("under `$set`"));
        assert!(refused(json!({"$inc": {"a": "1"}})).contains("`$inc` of `a`"));
        assert!(ObjectOrder::parse(&json!({"a": 2})).unwrap_err().contains("`a`"));
    }

    #[test]
    fn updates_change_what_they_name() {
        let changed = |document: Value, object: Value, inserted: bool| {
            let mut object = object;
            ObjectUpdate::parse(&document)
                .unwrap()
                .apply(&mut object, inserted)
                .map(|()| object)
        };
        let set = json!({"$set": {"a.b": 1}, "$setOnInsert": {"c": 2}, "$unset": {"d": ""}});
        assert_eq!(
            changed(set.clone(), json!({"a": {"x": 0}, "d": 4}), false),
            Ok(json!({"a": {"x": 0, "b": 1}}))
        );
        assert_eq!(changed(set, json!({}), true), Ok(json!({"a": {"b": 1}, "c": 2})));
        let push = json!({"$push": {"rows": {"$each": [1, 2]}}, "$inc": {"count": 2}});
        assert_eq!(
            changed(push, json!({"rows": [0], "count": 1}), false),
            Ok(json!({"rows": [0, 1, 2], "count": 3}))
        );
        assert_eq!(
            changed(
                json!({"$push": {"rows": {"a": 1}}, "$inc": {"n": 0.5}}),
                json!({}),
                false
            ),
            Ok(json!({"rows": [{"a": 1}], "n": 0.5}))
        );
        assert_eq!(changed(json!({"a": 1}), json!({"b": 2}), false), Ok(json!({"a": 1})));
        let reason = changed(json!({"$inc": {"a": 1}}), json!({"a": "x"}), false).unwrap_err();
        assert!(reason.contains("`a` is a text"), "{reason}");
        let reason = changed(json!({"$set": {"a.b": 1}}), json!({"a": 5}), false).unwrap_err();
        assert!(reason.contains("`a.b`"), "{reason}");
    }

    #[test]
    fn an_order_sorts_by_its_members() {
        let order = ObjectOrder::parse(&json!({"a": -1, "b": 1})).unwrap();
        let mut objects = [json!({"a": 1}), json!({"a": 2, "b": "y"}), json!({"a": 2, "b": "x"})];
        objects.sort_by(|one, other| order.compare(one, other));
        assert_eq!(
            objects,
            [json!({"a": 2, "b": "x"}), json!({"a": 2, "b": "y"}), json!({"a": 1})]
        );
    }

    #[test]
    fn what_an_insertion_begins_with_are_the_equalities() {
        let query = ObjectQuery::parse(&json!({"a.b": 1, "c": {"$gt": 2}, "d": {"$eq": "x"}})).unwrap();
        assert_eq!(query.equalities(), json!({"a": {"b": 1}, "d": "x"}));
    }

    #[test]
    fn bare_operators_get_their_quotes() {
        for (written, quoted) in [
            (r#"{ $set : {"a": "$b: c"} }"#, r#"{ "$set" : {"a": "$b: c"} }"#),
            (r#"{"a": {$gt:1,"$lt": 2}}"#, r#"{"a": {"$gt":1,"$lt": 2}}"#),
            (r#"{"a": "\" $x: é"}"#, r#"{"a": "\" $x: é"}"#),
            ("$", "$"),
        ] {
            assert_eq!(with_quoted_operators(written), quoted);
        }
    }
}
