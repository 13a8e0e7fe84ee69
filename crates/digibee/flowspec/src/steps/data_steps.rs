//! Steps that keep data, and that check it.

use serde_json::{Value, json};

use super::{Builtin, Inactive, Level, fail_on_error, object};
use crate::object_query::{ObjectOrder, ObjectQuery, ObjectUpdate, with_quoted_operators};
use crate::parameters::is_dynamic;
use crate::problem::Problem;
use crate::reader::{Reader, Reported};
use crate::step::{
    CompiledSchema, JsonSource, ObjectOperation, ObjectStore, SchemaDraft, SchemaSource, StepKind, Validator,
};

pub(super) static STEPS: &[Builtin] = &[
    Builtin {
        name: "object-store-connector",
        level: Level::Params,
        summary: "Keeps objects in named collections, from one run to the next.",
        schema: || {
            object(
                &["operation", "objectStore"],
                json!({
                    "operation": {
                        "enum": [
                            "FIND_BY_ID", "FIND_BY_QUERY", "INSERT", "UPDATE", "UPDATE_BY_QUERY", "DELETE", "DELETE_BY_QUERY",
                            "FIND", "FIND_BY_OBJECT_ID", "UPDATE_BY_ID", "UPDATE_BY_OBJECT_ID", "DELETE_BY_ID",
                            "DELETE_BY_OBJECT_ID", "AGGREGATE", "CREATE_INDEX", "LIST_INDEXES", "DROP_INDEX",
                        ],
                        "description": "What the step does: FIND_BY_ID, UPDATE and DELETE work on the objects with `objectId` (also written with BY_ID or BY_OBJECT_ID), those BY_QUERY on the objects that meet `query`. AGGREGATE and the operations on indexes are not supported.",
                    },
                    "objectStore": {"type": "string", "minLength": 1, "description": "The name of the collection. The first object makes it.", "x-pipepost-alias": ["objectStoreName"]},
                    "objectId": {"description": "The object's id, which it is found by and returned with as `_oId`."},
                    "query": {"description": "The condition that objects meet, such as {\"price\": {\"$gt\": 2000}}; {} means all."},
                    "document": {"description": "INSERT: the object, or an array of objects. UPDATE: {\"$set\": {...}} and the like, or the new object."},
                    "limit": {"type": "integer", "minimum": 0, "default": 0, "description": "How many objects are returned at most; 0 for all."},
                    "skip": {"type": "integer", "minimum": 0, "default": 0, "description": "How many objects are left out before the first one that is returned."},
                    "sort": {"description": "The order of what is returned, such as {\"price\": -1}; without it, the order in which objects were added."},
                    "unique": {"type": "boolean", "default": true, "description": "Whether INSERT refuses an id that is there already.", "x-pipepost-alias": ["uniqueIndex"]},
                    "upsert": {"type": "boolean", "default": false, "description": "Whether UPDATE adds an object where it finds none."},
                    "failOnError": fail_on_error(false),
                }),
            )
        },
        inactive: &[
            // The platform has one account for it, and writes it here.
            Inactive::Always("accountLabel"),
            Inactive::WhenOff("isolated"),
            Inactive::WhenOff("expireAfterSeconds"),
        ],
        read: read_object_store,
    },
    Builtin {
        name: "validator",
        level: Level::Step,
        summary: "Checks a value against a JSON Schema.",
        schema: validator,
        inactive: &[],
        read: read_validator,
    },
    Builtin {
        name: "validator-connector-v2",
        level: Level::Params,
        summary: "Checks a value against a JSON Schema.",
        schema: validator,
        inactive: &[],
        read: read_validator,
    },
];

fn validator() -> Value {
    object(
        &["jsonSchema"],
        json!({
            "jsonSchema": {"description": "The JSON Schema, as JSON or as JSON text.", "x-pipepost-alias": ["schema"]},
            "payload": {"description": "The value that is checked; without it, the message.", "x-pipepost-alias": ["jsonPayload", "json"]},
            "schemaDraftVersion": {"enum": ["v4", "v6", "v7", "v2019-09", "v2020-12"], "default": "v4", "description": "The version of JSON Schema.", "x-pipepost-alias": ["draftVersion"]},
            "detectDraftVersion": {"type": "boolean", "default": false, "description": "Whether the schema's own `$schema` says the version."},
            "simplifyValidationResults": {"type": "boolean", "default": false, "description": "Whether each error in the output is its message only."},
            "failOnError": fail_on_error(false),
        }),
    )
}

const OPERATIONS: &[(&str, ObjectOperation)] = &[
    ("FIND", ObjectOperation::FindById),
    ("FIND_BY_ID", ObjectOperation::FindById),
    ("FIND_BY_OBJECT_ID", ObjectOperation::FindById),
    ("FIND_BY_QUERY", ObjectOperation::FindByQuery),
    ("INSERT", ObjectOperation::Insert),
    ("UPDATE", ObjectOperation::UpdateById),
    ("UPDATE_BY_ID", ObjectOperation::UpdateById),
    ("UPDATE_BY_OBJECT_ID", ObjectOperation::UpdateById),
    ("UPDATE_BY_QUERY", ObjectOperation::UpdateByQuery),
    ("DELETE", ObjectOperation::DeleteById),
    ("DELETE_BY_ID", ObjectOperation::DeleteById),
    ("DELETE_BY_OBJECT_ID", ObjectOperation::DeleteById),
    ("DELETE_BY_QUERY", ObjectOperation::DeleteByQuery),
];

fn read_object_store(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let operation = operation(reader);
    let collection = reader.needed_template("objectStore");
    let object_id = reader.value_template("objectId");
    let query = json_part(reader, "query", |value| ObjectQuery::parse(value).map(drop));
    let updates = matches!(
        operation,
        Ok(ObjectOperation::UpdateById | ObjectOperation::UpdateByQuery)
    );
    let document = json_part(reader, "document", |value| match updates {
        true => ObjectUpdate::parse(value).map(drop),
        false => Ok(()),
    });
    let sort = json_part(reader, "sort", |value| ObjectOrder::parse(value).map(drop));
    let (limit, skip) = (reader.setting("limit", 0), reader.setting("skip", 0));
    let (unique, upsert) = (reader.bool("unique", true), reader.bool("upsert", false));
    let fail_on_error = reader.bool("failOnError", false);
    let (operation, object_id, query, document) = (operation?, object_id?, query?, document?);
    use ObjectOperation as Op;
    let missing = match operation {
        Op::FindById | Op::UpdateById | Op::DeleteById if object_id.is_none() => Some("objectId"),
        Op::UpdateByQuery | Op::DeleteByQuery if query.is_none() => Some("query"),
        // The platform also takes what is inserted from there.
        Op::Insert if document.is_none() && query.is_none() => Some("document"),
        Op::UpdateById | Op::UpdateByQuery if document.is_none() => Some("document"),
        _ => None,
    };
    if let Some(name) = missing {
        let problem = Problem::invalid(format!("`{name}` is missing, and the operation needs it"));
        return Err(reader.report(reader.base, problem));
    }
    Ok(StepKind::ObjectStore(Box::new(ObjectStore {
        operation,
        collection: collection?,
        object_id,
        query,
        document,
        limit: limit?,
        skip: skip?,
        sort: sort?,
        unique: unique?,
        upsert: upsert?,
        fail_on_error: fail_on_error?,
    })))
}

/// The operation is needed before the run: it says which of the other parameters are.
fn operation(reader: &mut Reader<'_>) -> Result<ObjectOperation, Reported> {
    let written = reader.need_text("operation")?;
    if is_dynamic(&written) {
        return Err(reader.no_expression("operation"));
    }
    let found = OPERATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&written));
    found.map(|(_, operation)| *operation).ok_or_else(|| {
        let problem = Problem::invalid(format!("the operation `{written}` is not supported"))
            .advise("find what it works on by a query, or pin the step to an output to try the rest");
        reader.report(&reader.parameter("operation"), problem)
    })
}

/// JSON whose operators may stand without quotes. Where no expression stands in it, it is checked now.
fn json_part(
    reader: &mut Reader<'_>,
    name: &str,
    check: impl Fn(&Value) -> Result<(), String>,
) -> Result<Option<JsonSource>, Reported> {
    if let Some(Value::String(text)) = reader.settings.get_mut(name) {
        if text.trim().is_empty() {
            reader.settings.shift_remove(name);
            return Ok(None);
        }
        *text = with_quoted_operators(text);
    }
    let literal = match reader.settings.get(name) {
        Some(Value::String(text)) if is_dynamic(text) => None,
        Some(Value::String(text)) => serde_json::from_str(text).ok(),
        Some(other) if other.to_string().contains("{{") => None,
        other => other.cloned(),
    };
    let source = reader.json(name)?;
    if let Some(value) = literal
        && let Err(reason) = check(&value)
    {
        return Err(reader.report(&reader.parameter(name), Problem::invalid(reason)));
    }
    Ok(source)
}

fn read_validator(reader: &mut Reader<'_>) -> Result<StepKind, Reported> {
    let drafts = [
        ("v4", SchemaDraft::V4),
        ("v6", SchemaDraft::V6),
        ("v7", SchemaDraft::V7),
        ("v2019-09", SchemaDraft::V2019),
        ("v2020-12", SchemaDraft::V2020),
    ];
    let draft = reader.choice("schemaDraftVersion", &drafts, SchemaDraft::V4);
    let detect = reader.bool("detectDraftVersion", false);
    let simple = reader.bool("simplifyValidationResults", false);
    let fail_on_error = reader.bool("failOnError", false);
    let payload = match reader.settings.get("payload") {
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        _ => reader.json("payload"),
    };
    let draft = if detect? { None } else { Some(draft?) };
    let schema = schema(reader, draft);
    Ok(StepKind::Validator(Box::new(Validator {
        payload: payload?,
        schema: schema?,
        draft,
        simple: simple?,
        fail_on_error: fail_on_error?,
    })))
}

fn schema(reader: &mut Reader<'_>, draft: Option<SchemaDraft>) -> Result<SchemaSource, Reported> {
    let written = reader.settings.get("jsonSchema").cloned().unwrap_or_default();
    let source = reader.needed_json("jsonSchema")?;
    let literal = match &written {
        Value::String(text) if is_dynamic(text) => return Ok(SchemaSource::Expressions(source)),
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other if other.to_string().contains("{{") => return Ok(SchemaSource::Expressions(source)),
        other => other.clone(),
    };
    CompiledSchema::new(&literal, draft)
        .map(SchemaSource::Compiled)
        .map_err(|reason| {
            let problem = Problem::invalid(format!("the JSON Schema is not understood: {reason}"));
            reader.report(&reader.parameter("jsonSchema"), problem)
        })
}
