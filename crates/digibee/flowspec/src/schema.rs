//! A JSON Schema (2020-12) of the document, for editors: completion, descriptions, and error marks during typing.
//!
//! It accepts the forms that [`parse`](crate::parse) accepts: values as text, arrays as JSON text, expressions
//! anywhere. It cannot check what needs the whole document, such as whether a branch exists; [`check`](crate::check)
//! does that.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use crate::catalogue::{Catalogue, ConnectorDescription};
use crate::steps::{self, Builtin, Inactive, Level};

/// Returns the schema of whole documents, with a definition for each step type.
pub fn document(catalogue: &dyn Catalogue) -> Value {
    let mut definitions = Map::new();
    let mut types = vec!["connector".to_owned()];
    let mut names = Vec::new();
    let mut rules = Vec::new();
    for builtin in steps::builtins() {
        let rule = |keyword: &str| rule(keyword, builtin.name, builtin.name);
        match builtin.level {
            Level::Step => {
                types.push(builtin.name.to_owned());
                rules.push(rule("type"));
            }
            Level::Params => {
                names.push(builtin.name.to_owned());
                rules.push(rule("name"));
            }
        }
        definitions.insert(builtin.name.to_owned(), builtin_step(builtin));
    }
    for connector in catalogue.all() {
        for name in std::iter::once(&connector.name).chain(&connector.aliases) {
            names.push(name.clone());
            rules.push(rule("name", name, &connector.name));
        }
        definitions.insert(connector.name.clone(), connector_step(connector));
    }
    let step = json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"enum": types, "description": step_key("type")},
            "name": {"enum": names, "description": step_key("name")},
        },
        "if": {"properties": {"type": {"const": "connector"}}},
        "then": {"required": ["name"]},
        "allOf": rules,
    });
    definitions.insert("step".to_owned(), step);
    top_level(definitions)
}

/// Returns the schema of one step type's settings, by its name or alias; `None` if there is no such step.
pub fn parameters(catalogue: &dyn Catalogue, name: &str) -> Option<Value> {
    let schema = match steps::builtin(name) {
        Some(builtin) => widened(&(builtin.schema)(), builtin.inactive),
        None => widened(&catalogue.find(name)?.parameters, &[]),
    };
    Some(with_dialect(schema))
}

fn with_dialect(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".to_owned(), json!(DIALECT));
    }
    schema
}

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

fn top_level(definitions: Map<String, Value>) -> Value {
    let branch = json!({"type": "array", "items": {"$ref": "#/$defs/step"}});
    // One of the branches has to be the first; JSON Schema says "some name matches" by denying that none does.
    let no_root = json!({"propertyNames": {"not": {"pattern": "^disconnected-root:"}}});
    json!({
        "$schema": DIALECT,
        "title": "Pipeline",
        "description": "An integration pipeline: branches of steps, beginning at `start` or `disconnected-root:<id>`.",
        "type": "object",
        "required": ["flowSpec"],
        "properties": {
            "$schema": {"type": "string", "description": "This schema, for editors."},
            "name": {"type": "string", "description": "`metadata.pipeline.name` of expressions."},
            "id": {"type": "string", "description": "`metadata.pipeline.id` of expressions."},
            "versionMajor": {"type": ["integer", "string"], "description": "`metadata.pipeline.versionMajor` of expressions."},
            "versionMinor": {"type": ["integer", "string"], "description": "`metadata.pipeline.versionMinor` of expressions."},
            "description": {"type": "string", "description": "`metadata.pipeline.description` of expressions."},
            "meta": {"type": "object", "description": "Where the platform's canvas draws the steps."},
            "triggerSpec": {
                "type": "object",
                "description": "What starts the pipeline on the platform; its `timeout` holds here too.",
                "properties": {"timeout": {
                    "description": "How long a run may take, in milliseconds; 30000 by default, 900000 at most.",
                    "anyOf": [
                        {"type": "integer", "minimum": 1, "maximum": 900_000},
                        {"type": "string", "pattern": "^\\s*\\d*\\s*$"},
                        {"type": "null"}
                    ]
                }}
            },
            "sensitive": {
                "type": "array", "items": {"type": "string"},
                "description": "Fields whose values are shown as *** in logs and traces."
            },
            "flowSpec": {
                "type": "object",
                "description": "The branches, each a list of steps, by their names.",
                "additionalProperties": branch,
                "anyOf": [{"required": ["start"]}, {"not": no_root}]
            }
        },
        "$defs": definitions,
    })
}

fn rule(keyword: &str, name: &str, definition: &str) -> Value {
    json!({
        "if": {"required": [keyword], "properties": {keyword: {"const": name}}},
        "then": {"$ref": format!("#/$defs/{}", definition.replace('~', "~0").replace('/', "~1"))},
    })
}

fn builtin_step(builtin: &Builtin) -> Value {
    let settings = widened(&(builtin.schema)(), builtin.inactive);
    match builtin.level {
        Level::Params => step_with(builtin.summary, settings, builtin.inactive),
        Level::Step => {
            let mut step = settings;
            if let Some(properties) = step.get_mut("properties").and_then(Value::as_object_mut) {
                let known: Vec<String> = properties.keys().cloned().collect();
                properties.extend(
                    common(builtin.inactive)
                        .into_iter()
                        .filter(|(name, _)| !known.contains(name)),
                );
            }
            described(step, builtin.summary)
        }
    }
}

fn connector_step(connector: &ConnectorDescription) -> Value {
    step_with(&connector.name, widened(&connector.parameters, &[]), &[])
}

fn step_with(summary: &str, params: Value, inactive: &[Inactive]) -> Value {
    let is_needed = params
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|required| !required.is_empty());
    let mut properties = common(inactive);
    let mut params = nullable(params);
    params["description"] = json!("The step's parameters.");
    properties.insert("params".to_owned(), params);
    let required: &[&str] = if is_needed { &["params"] } else { &[] };
    let step = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    described(step, summary)
}

fn described(mut step: Value, summary: &str) -> Value {
    if let Some(members) = step.as_object_mut() {
        members.insert("description".to_owned(), json!(summary));
    }
    step
}

/// What may stand on any step.
fn common(inactive: &[Inactive]) -> Map<String, Value> {
    let mut properties = Map::new();
    for name in steps::STEP_KEYS {
        let property = match *name {
            "key" | "position" | "__documentation__" => {
                json!({"description": "Written by the platform's canvas; without effect."})
            }
            "accountLabel" => json!({"type": ["string", "null"], "description": "The label of the step's account."}),
            "doubleBracesAlias" => json!({
                "type": ["string", "null"], "description": "Expressions read the step's output as {{ step.<alias> }}."
            }),
            name => json!({"type": ["string", "null"], "description": step_key(name)}),
        };
        properties.insert((*name).to_owned(), property);
    }
    let failure = any_form(&steps::fail_on_error(false), &Value::Null, 0, &Room::default());
    properties.insert("failOnError".to_owned(), failure);
    add_inactive(&mut properties, inactive);
    properties
}

fn step_key(name: &str) -> &'static str {
    match name {
        "type" => "The type of the step; `connector` for those that have a `name`.",
        "name" => "The connector's name.",
        "id" => "The step's id; part of the keys of its messages.",
        "stepName" => "The step's name for people.",
        _ => "A note for people.",
    }
}

fn add_inactive(properties: &mut Map<String, Value>, inactive: &[Inactive]) {
    for rule in inactive.iter().chain(steps::INACTIVE_ANYWHERE) {
        let (name, allowed) = match rule {
            Inactive::Always(name) => (name, json!({"description": "Has no effect."})),
            Inactive::WhenOff(name) => (
                name,
                json!({"enum": [false, "", "false", null, 0, [], {}], "description": "Has no effect."}),
            ),
        };
        properties.entry((*name).to_owned()).or_insert(allowed);
    }
}

/// A schema of settings in all the forms in which a document may hold them.
fn widened(schema: &Value, inactive: &[Inactive]) -> Value {
    let mut wide = closed(schema, schema, 0, &Room::default());
    if let Some(properties) = wide.get_mut("properties").and_then(Value::as_object_mut) {
        add_inactive(properties, inactive);
    }
    wide
}

/// References are replaced by what they refer to, and a schema that contains itself ends here.
const DEPTH: usize = 8;

/// JSON values of a connector's schema that are copied into the widened one. With a hundred references to itself at each
/// level a schema would have 10^16.
const VALUES_MAX: usize = 200_000;

/// What may still be copied.
struct Room(Cell<usize>);

impl Default for Room {
    fn default() -> Self {
        Self(Cell::new(VALUES_MAX))
    }
}

impl Room {
    /// Takes the room that a copy needs, if it is there.
    fn take(&self, schema: &Value) -> bool {
        let left = self.0.get().checked_sub(crate::parameters::weight(schema) as usize);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// An object schema as it stands, its properties widened.
fn closed(schema: &Value, root: &Value, depth: usize, room: &Room) -> Value {
    let mut wide = without_annotations(schema);
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return wide;
    };
    let mut widened_properties = Map::new();
    for (name, property) in properties {
        let property_schema = any_form(property, root, depth + 1, room);
        for alias in crate::parameters::aliases(property) {
            if !room.take(&property_schema) {
                break;
            }
            let mut deprecated = property_schema.clone();
            if let Some(members) = deprecated.as_object_mut() {
                members.insert("deprecated".to_owned(), json!(true));
            }
            widened_properties.insert(alias.to_owned(), deprecated);
        }
        widened_properties.insert(name.clone(), property_schema);
    }
    if let Some(members) = wide.as_object_mut() {
        members.insert("properties".to_owned(), Value::Object(widened_properties));
        members.entry("additionalProperties").or_insert(json!(false));
        members.remove("$defs");
    }
    wide
}

/// A value in its native form or as text, or an expression that gives it, or nothing.
fn any_form(schema: &Value, root: &Value, depth: usize, room: &Room) -> Value {
    // A part that is left out takes everything.
    if depth > DEPTH || !room.take(schema) {
        return json!(true);
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|path| root.pointer(path));
        return target.map_or(json!(true), |target| any_form(target, root, depth + 1, room));
    }
    let types = crate::parameters::types(schema);
    let description = schema.get("description").cloned();
    let mut native = closed(schema, root, depth, room);
    if let (Some(members), Some(items)) = (native.as_object_mut(), schema.get("items")) {
        members.insert("items".to_owned(), any_form(items, root, depth + 1, room));
    }
    for keyword in ["anyOf", "oneOf"] {
        if let Some(options) = schema.get(keyword).and_then(Value::as_array) {
            let options: Vec<Value> = options
                .iter()
                .map(|option| any_form(option, root, depth + 1, room))
                .collect();
            if let Some(members) = native.as_object_mut() {
                members.remove(keyword);
                members.insert("anyOf".to_owned(), Value::Array(options));
            }
        }
    }
    let mut forms = vec![native];
    if let Some(text) = text_form(schema, &types) {
        forms.push(text);
    }
    if schema.get("x-pipepost-file") == Some(&Value::Bool(true)) {
        forms.push(json!({
            "type": "object", "required": ["file"],
            "properties": {"file": {"type": "string", "description": "The file's name, relative to the document's folder."}},
            "additionalProperties": false, "description": "A file beside the document."
        }));
    }
    forms.push(json!({"type": "null"}));
    let mut wide = json!({ "anyOf": forms });
    if let (Some(members), Some(description)) = (wide.as_object_mut(), description) {
        members.insert("description".to_owned(), description);
    }
    wide
}

/// The other form of a value: a text that reads as it, or that holds an expression.
fn text_form(schema: &Value, types: &[&str]) -> Option<Value> {
    if let Some(listed) = schema.get("enum").and_then(Value::as_array) {
        let names: Vec<String> = listed.iter().filter_map(Value::as_str).map(without_case).collect();
        return Some(json!({"type": "string", "pattern": format!("^({})$|\\{{\\{{", names.join("|"))}));
    }
    if types.contains(&"string") {
        return Some(json!({"type": ["number", "boolean"]}));
    }
    let pattern = match *types.first()? {
        "boolean" => r"^\s*([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])?\s*$|\{\{",
        "integer" => r"^\s*([-+]?\d+)?\s*$|\{\{",
        "number" => r"^\s*[-+.\deE]*\s*$|\{\{",
        "array" => r"^\s*(\[|$)|\{\{",
        "object" => r"^\s*(\{|$)|\{\{",
        _ => return None,
    };
    Some(json!({"type": "string", "pattern": pattern}))
}

/// A pattern of a name in any case: patterns of JSON Schema have no switch for it.
fn without_case(name: &str) -> String {
    let mut pattern = String::new();
    for character in name.chars() {
        if character.is_ascii_alphabetic() {
            let (upper, lower) = (character.to_ascii_uppercase(), character.to_ascii_lowercase());
            pattern.push_str(&format!("[{upper}{lower}]"));
        } else if character.is_ascii_digit() || "-_ ".contains(character) {
            pattern.push(character);
        } else {
            pattern.push('.');
        }
    }
    pattern
}

fn without_annotations(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return schema.clone();
    };
    let mut kept = Map::new();
    for (keyword, value) in members {
        match keyword.as_str() {
            "x-pipepost-default" => {
                kept.insert("default".to_owned(), value.clone());
            }
            // A schema within a schema is not a new document.
            "$schema" | "$id" => {}
            keyword if keyword.starts_with("x-pipepost-") => {}
            _ => {
                kept.insert(keyword.clone(), value.clone());
            }
        }
    }
    Value::Object(kept)
}

fn nullable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}
