//! The object store: what a pipeline keeps in the state for its next run.

use std::sync::{Arc, Mutex, PoisonError};

use pipepost_core::json::read_back;
use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::to_text;
use pipepost_flowspec::{
    JsonSource, OBJECT_ID, ObjectOperation, ObjectOrder, ObjectQuery, ObjectStore, ObjectUpdate, Step,
};
use pipepost_state::StateError;
use pipepost_state::object::{Object, ObjectChange, Selection};
use serde_json::{Value, json};

use super::RunError;
use super::execute::Execution;
use super::scopes::Frame;
use super::step_context::StepContext;

/// The longest document, in bytes of JSON: what the platform lets a message have.
const DOCUMENT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// A step's request, with its parameters evaluated.
struct Request {
    operation: ObjectOperation,
    collection: String,
    id: Option<String>,
    query: ObjectQuery,
    documents: Vec<Value>,
    update: Option<ObjectUpdate>,
    unique: bool,
    upsert: bool,
}

impl Execution<'_> {
    pub(super) async fn object_store(
        &self,
        step: &Step,
        store: &ObjectStore,
        frame: &Frame,
    ) -> Result<Value, RunError> {
        let context = self.at(step, frame);
        match self.perform(&context, store).await {
            Ok(output) => Ok(output),
            Err(error) => context.end_in(store.fail_on_error, error),
        }
    }

    async fn perform(&self, context: &StepContext<'_>, store: &ObjectStore) -> Result<Value, RunError> {
        let request = context.request(store)?;
        let objects = &self.sender.host.objects;
        let selection = request.selection();
        let collection = request.collection.clone();
        let unusable = |error: StateError| {
            self.sender.state.note();
            context.error(
                Failure::new(FailureKind::Configuration, error.to_string())
                    .advise("Mend the state, or use another state directory."),
            )
        };
        if matches!(
            request.operation,
            ObjectOperation::FindById | ObjectOperation::FindByQuery
        ) {
            let (order, skip, limit) = context.window(store)?;
            let found = objects.find(&collection, selection).await.map_err(unusable)?;
            let mut data: Vec<Value> = found.iter().map(shown).collect();
            data.retain(|object| request.query.matches(object));
            if let Some(order) = order {
                data.sort_by(|one, other| order.compare(one, other));
            }
            let data: Vec<Value> = data.into_iter().skip(skip).take(limit).collect();
            return Ok(json!({ "rowCount": data.len(), "data": data }));
        }
        // A store may call this again; the last time counts.
        let outcome = Arc::new(Mutex::new(Ok(0)));
        let told = Arc::clone(&outcome);
        let decide = Box::new(move |found: &[Object]| {
            let (changes, result) = match request.changes(found) {
                Ok((changes, count)) => (changes, Ok(count)),
                Err(reason) => (Vec::new(), Err(reason)),
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = result;
            changes
        });
        objects.change(&collection, selection, decide).await.map_err(unusable)?;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = outcome.map_err(|failure| context.error(failure))?;
        Ok(json!({ "data": [], "updateCount": count }))
    }
}

impl StepContext<'_> {
    fn request(&self, store: &ObjectStore) -> Result<Request, RunError> {
        let invalid = |name: &str, reason: String| {
            let message = format!("The parameter `{name}`: {reason}.");
            self.error(Failure::new(FailureKind::Invalid, message))
        };
        let id = match &store.object_id {
            Some(template) => match self.value("objectId", template)? {
                Value::Null => {
                    return Err(invalid(
                        "objectId",
                        "it is null, and an id is a text or a number".to_owned(),
                    ));
                }
                value @ (Value::Array(_) | Value::Object(_)) => {
                    let kind = if value.is_array() { "an array" } else { "an object" };
                    return Err(invalid(
                        "objectId",
                        format!("it is {kind}, and an id is a text or a number"),
                    ));
                }
                value => Some(to_text(&value)),
            },
            None => None,
        };
        let query = self.json_part("query", store.query.as_ref())?;
        let document = self.json_part("document", store.document.as_ref())?;
        let (query, document) = match (store.operation, query, document) {
            // The platform takes what is inserted from either.
            (ObjectOperation::Insert, query, None) => (None, query),
            (_, query, document) => (query, document),
        };
        let query = query.unwrap_or_else(|| json!({}));
        let query = ObjectQuery::parse(&query).map_err(|reason| invalid("query", reason))?;
        let update = match (store.operation, &document) {
            (ObjectOperation::UpdateById | ObjectOperation::UpdateByQuery, document) => {
                let document = document.as_ref().unwrap_or(&Value::Null);
                Some(ObjectUpdate::parse(document).map_err(|reason| invalid("document", reason))?)
            }
            _ => None,
        };
        let documents = match (store.operation, document) {
            (ObjectOperation::Insert, Some(Value::Array(documents))) => documents,
            (ObjectOperation::Insert, Some(document)) => vec![document],
            _ => Vec::new(),
        };
        if documents.iter().any(|document| !document.is_object()) {
            return Err(invalid(
                "document",
                "what is inserted is an object, or an array of objects".to_owned(),
            ));
        }
        Ok(Request {
            operation: store.operation,
            collection: self.text("objectStore", &store.collection)?,
            id,
            query,
            documents,
            update,
            unique: store.unique,
            upsert: store.upsert,
        })
    }

    /// A parameter that is JSON, or text that holds it.
    fn json_part(&self, name: &str, source: Option<&JsonSource>) -> Result<Option<Value>, RunError> {
        let Some(source) = source else { return Ok(None) };
        Ok(match self.json(name, source)? {
            Value::Null => None,
            Value::String(text) => Some(serde_json::from_str(&text).unwrap_or(Value::String(text))),
            value => Some(value),
        })
    }

    /// What of the found objects is returned, and in which order.
    fn window(&self, store: &ObjectStore) -> Result<(Option<ObjectOrder>, usize, usize), RunError> {
        let order = match self.json_part("sort", store.sort.as_ref())? {
            None => None,
            Some(value) => Some(ObjectOrder::parse(&value).map_err(|reason| {
                let message = format!("The parameter `sort`: {reason}.");
                self.error(Failure::new(FailureKind::Invalid, message))
            })?),
        };
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let skip = whole(self.setting("skip", &store.skip)?);
        let limit = match self.setting("limit", &store.limit)? {
            0 => usize::MAX,
            limit => whole(limit),
        };
        Ok((order, skip, limit))
    }
}

impl Request {
    fn selection(&self) -> Selection {
        match (self.operation, &self.id) {
            (
                ObjectOperation::FindById
                | ObjectOperation::UpdateById
                | ObjectOperation::DeleteById
                | ObjectOperation::Insert,
                Some(id),
            ) => Selection::Id(id.clone()),
            // An object without an id of its own is in nobody's way.
            (ObjectOperation::Insert, None) => Selection::Id(String::new()),
            _ => Selection::All,
        }
    }

    /// The changes, and how many objects they change.
    fn changes(&self, found: &[Object]) -> Result<(Vec<ObjectChange>, usize), Failure> {
        match (self.operation, &self.update) {
            (ObjectOperation::Insert, _) => self.added(found),
            (ObjectOperation::DeleteById | ObjectOperation::DeleteByQuery, _) => {
                let met = self.met(found);
                let removed: Vec<ObjectChange> = met
                    .map(|(object, _)| ObjectChange::Remove { number: object.number })
                    .collect();
                let count = removed.len();
                Ok((removed, count))
            }
            (_, Some(update)) => self.updated(found, update),
            _ => Ok((Vec::new(), 0)),
        }
    }

    fn met<'f>(&'f self, found: &'f [Object]) -> impl Iterator<Item = (&'f Object, Value)> {
        let shown = found.iter().map(|object| (object, shown(object)));
        shown.filter(|(_, value)| self.query.matches(value))
    }

    fn added(&self, found: &[Object]) -> Result<(Vec<ObjectChange>, usize), Failure> {
        if let (true, Some(id)) = (self.unique, &self.id) {
            let message = if !found.is_empty() {
                Some(format!(
                    "The collection `{}` has an object with the id `{id}`.",
                    self.collection
                ))
            } else if self.documents.len() > 1 {
                Some("Several objects cannot have one id while `unique` is true.".to_owned())
            } else {
                None
            };
            if let Some(message) = message {
                let failure = Failure::new(FailureKind::Invalid, message);
                return Err(failure.advise("Update the object, or set `unique` to false."));
            }
        }
        let mut changes = Vec::with_capacity(self.documents.len());
        for document in &self.documents {
            changes.push(ObjectChange::Add {
                id: self.id.clone().unwrap_or_else(super::random_key),
                document: written(document.clone())?,
            });
        }
        let count = changes.len();
        Ok((changes, count))
    }

    fn updated(&self, found: &[Object], update: &ObjectUpdate) -> Result<(Vec<ObjectChange>, usize), Failure> {
        let invalid =
            |reason: String| Failure::new(FailureKind::Invalid, format!("The parameter `document`: {reason}."));
        let mut changes = Vec::new();
        let mut count = 0;
        let mut is_found = false;
        for (object, before) in self.met(found) {
            is_found = true;
            let mut after = before.clone();
            update.apply(&mut after, false).map_err(invalid)?;
            let document = written(after)?;
            // What stays as it was is no change, as on the platform.
            if document != written(before)? {
                count += 1;
                changes.push(ObjectChange::Replace {
                    number: object.number,
                    document,
                });
            }
        }
        if !is_found && self.upsert {
            let mut object = self.query.equalities();
            update.apply(&mut object, true).map_err(invalid)?;
            let named = object.get(OBJECT_ID).map(to_text);
            let id = self.id.clone().or(named).unwrap_or_else(super::random_key);
            count = 1;
            changes.push(ObjectChange::Add {
                id,
                document: written(object)?,
            });
        }
        Ok((changes, count))
    }
}

/// An object as pipelines see it: its document with its id.
fn shown(object: &Object) -> Value {
    let mut value = read_back(&object.document).unwrap_or_default();
    if let Value::Object(members) = &mut value {
        members.insert(OBJECT_ID.to_owned(), object.id.clone().into());
    }
    value
}

/// A document as it is kept: the id stands beside it.
fn written(mut document: Value) -> Result<String, Failure> {
    if let Value::Object(members) = &mut document {
        members.shift_remove(OBJECT_ID);
    }
    let text = document.to_string();
    if text.len() > DOCUMENT_BYTES_MAX {
        let message = format!(
            "A document of the object store is longer than {DOCUMENT_BYTES_MAX} bytes; it has {}.",
            text.len()
        );
        return Err(Failure::new(FailureKind::Limit, message).advise("Keep it in several objects."));
    }
    Ok(text)
}
