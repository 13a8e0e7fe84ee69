//! The collections that live within one process.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Decide, Object, ObjectChange, ObjectStore, Selection};
use crate::{Answer, StateError};

/// Collections that live as long as their store.
#[derive(Debug, Default)]
pub struct MemoryObjects {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    collections: HashMap<String, Vec<Object>>,
    last: i64,
}

impl MemoryObjects {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these objects into a collection that nobody has made yet; one that exists stays as it is.
    pub(super) fn begin(&self, collection: &str, objects: Vec<Object>) {
        let mut kept = self.kept();
        let last = objects.iter().map(|object| object.number).max().unwrap_or(0);
        kept.last = kept.last.max(last);
        kept.collections.entry(collection.to_owned()).or_insert(objects);
    }
}

impl Kept {
    fn selected(&self, collection: &str, selection: &Selection) -> Vec<Object> {
        let objects = self.collections.get(collection).into_iter().flatten();
        objects.filter(|object| selection.holds(&object.id)).cloned().collect()
    }

    fn make(&mut self, collection: &str, changes: Vec<ObjectChange>) {
        let objects = self.collections.entry(collection.to_owned()).or_default();
        for change in changes {
            match change {
                ObjectChange::Add { id, document } => {
                    self.last += 1;
                    objects.push(Object {
                        number: self.last,
                        id,
                        document,
                    });
                }
                ObjectChange::Replace { number, document } => {
                    if let Some(object) = objects.iter_mut().find(|object| object.number == number) {
                        object.document = document;
                    }
                }
                ObjectChange::Remove { number } => objects.retain(|object| object.number != number),
            }
        }
    }
}

impl ObjectStore for MemoryObjects {
    fn find<'s>(&'s self, collection: &'s str, selection: Selection) -> Answer<'s, Result<Vec<Object>, StateError>> {
        Box::pin(ready(Ok(self.kept().selected(collection, &selection))))
    }

    fn change<'s>(
        &'s self,
        collection: &'s str,
        selection: Selection,
        mut decide: Decide,
    ) -> Answer<'s, Result<(), StateError>> {
        let mut kept = self.kept();
        let changes = decide(&kept.selected(collection, &selection));
        kept.make(collection, changes);
        drop(kept);
        Box::pin(ready(Ok(())))
    }
}
