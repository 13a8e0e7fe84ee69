//! Collections for a rehearsal: they begin as the state's own, and keep every change to themselves.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Decide, MemoryObjects, Object, ObjectStore, Selection};
use crate::{Answer, StateError};

/// Collections that read from another store and never write to it. What is changed lives as long as this store.
#[derive(Debug)]
pub struct RehearsalObjects {
    real: Arc<dyn ObjectStore>,
    own: MemoryObjects,
    begun: Mutex<HashSet<String>>,
}

impl RehearsalObjects {
    /// Makes collections that begin as those of this store. Each is read at its first use.
    pub fn of(real: Arc<dyn ObjectStore>) -> Self {
        Self {
            real,
            own: MemoryObjects::default(),
            begun: Mutex::default(),
        }
    }

    async fn begin(&self, collection: &str) -> Result<(), StateError> {
        let mut begun = self.begun.lock().await;
        if !begun.contains(collection) {
            self.own
                .begin(collection, self.real.find(collection, Selection::All).await?);
            begun.insert(collection.to_owned());
        }
        Ok(())
    }
}

impl ObjectStore for RehearsalObjects {
    fn find<'s>(&'s self, collection: &'s str, selection: Selection) -> Answer<'s, Result<Vec<Object>, StateError>> {
        Box::pin(async move {
            self.begin(collection).await?;
            self.own.find(collection, selection).await
        })
    }

    fn change<'s>(
        &'s self,
        collection: &'s str,
        selection: Selection,
        decide: Decide,
    ) -> Answer<'s, Result<(), StateError>> {
        Box::pin(async move {
            self.begin(collection).await?;
            self.own.change(collection, selection, decide).await
        })
    }
}
