//! The step that keeps objects from one run to the next.

use pipepost_double_braces::{Template, ValueTemplate};

use super::{JsonSource, Setting};

/// What an object store step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectOperation {
    /// Returns the objects with an id.
    FindById,
    /// Returns the objects that meet a query.
    FindByQuery,
    /// Adds an object, or each element of an array.
    Insert,
    /// Changes the objects with an id.
    UpdateById,
    /// Changes the objects that meet a query.
    UpdateByQuery,
    /// Removes the objects with an id.
    DeleteById,
    /// Removes the objects that meet a query.
    DeleteByQuery,
}

/// A step that reads or changes a collection of objects.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    /// The operation.
    pub operation: ObjectOperation,
    /// The collection's name.
    pub collection: Template,
    /// The id of the objects.
    pub object_id: Option<ValueTemplate>,
    /// The query: see [`ObjectQuery`](crate::ObjectQuery).
    pub query: Option<JsonSource>,
    /// The document to add, or the change: see [`ObjectUpdate`](crate::ObjectUpdate).
    pub document: Option<JsonSource>,
    /// The largest number of objects to return; 0 for all.
    pub limit: Setting<u64>,
    /// The number of objects to leave out before the first one that is returned.
    pub skip: Setting<u64>,
    /// The order of what is returned: see [`ObjectOrder`](crate::ObjectOrder).
    pub sort: Option<JsonSource>,
    /// Whether an id that is there already is refused when an object is added.
    pub unique: bool,
    /// Whether an update that finds nothing adds an object.
    pub upsert: bool,
    /// Whether a failure ends the run.
    pub fail_on_error: bool,
}
