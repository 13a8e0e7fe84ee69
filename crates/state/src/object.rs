//! Objects: JSON documents in named collections, which pipelines keep from one run to the next.
//!
//! A collection is made by its first object. An object has an id that need not be unique, and a number by which one is
//! told from the other: objects are listed in the order in which they were added. What a collection may hold, and what a
//! query means, is the caller's business; a store keeps texts.
//!
//! [`ObjectStore::change`] is one step: no other process sees, or changes, the collection between its look and its
//! changes. Objects outlive every execution, are never forgotten by themselves, and a change is durable before it is
//! answered.

mod memory;
mod rehearsal;

use std::fmt;

pub use memory::MemoryObjects;
pub use rehearsal::RehearsalObjects;

use crate::{Answer, StateError};

/// An object of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The number that no other object of the store has. Later objects have larger numbers.
    pub number: i64,
    /// The id that the pipeline gave it. Several objects of a collection may have the same one.
    pub id: String,
    /// The document, as JSON.
    pub document: String,
}

/// The objects of a collection that a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every object.
    All,
    /// The objects with this id.
    Id(String),
}

impl Selection {
    /// Returns whether an object with this id is meant.
    pub fn holds(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Id(wanted) => wanted == id,
        }
    }
}

/// One change of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectChange {
    /// Adds an object behind all others.
    Add {
        /// The object's id.
        id: String,
        /// The document, as JSON.
        document: String,
    },
    /// Gives the object with this number another document. It keeps its place.
    Replace {
        /// The object's number.
        number: i64,
        /// The document, as JSON.
        document: String,
    },
    /// Removes the object with this number.
    Remove {
        /// The object's number.
        number: i64,
    },
}

/// Decides about changes: it receives the selected objects in their order. It may be called again when a store has to
/// begin anew.
pub type Decide = Box<dyn FnMut(&[Object]) -> Vec<ObjectChange> + Send>;

/// The collections of a state.
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Returns the selected objects of a collection, in the order in which they were added. A collection that nobody has
    /// made is empty.
    ///
    /// The answer may fail when the state cannot be used.
    fn find<'s>(&'s self, collection: &'s str, selection: Selection) -> Answer<'s, Result<Vec<Object>, StateError>>;

    /// Lets `decide` look at the selected objects, and makes the changes that it returns, all of them or none.
    ///
    /// The answer may fail when the state cannot be used; then nothing is changed.
    fn change<'s>(
        &'s self,
        collection: &'s str,
        selection: Selection,
        decide: Decide,
    ) -> Answer<'s, Result<(), StateError>>;
}
