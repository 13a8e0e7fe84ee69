//! The collections of objects. Whoever changes one locks the collection's row first.

use std::sync::Arc;

use deadpool_postgres::Object as Connection;
use pipepost_state::object::{Decide, Object, ObjectChange, ObjectStore, Selection};
use pipepost_state::{Answer, StateError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use crate::book::Book;
use crate::database::Fault;

/// The collections of a database.
#[derive(Debug)]
pub(crate) struct PostgresObjects {
    book: Arc<Book>,
}

impl PostgresObjects {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }
}

impl ObjectStore for PostgresObjects {
    fn find<'s>(&'s self, collection: &'s str, selection: Selection) -> Answer<'s, Result<Vec<Object>, StateError>> {
        let collection = collection.to_owned();
        self.book.act(async move |desk| {
            let find = async |client: &mut Connection| Ok(selected(&***client, &collection, &selection).await?);
            desk.database.soon(find).await
        })
    }

    fn change<'s>(
        &'s self,
        collection: &'s str,
        selection: Selection,
        mut decide: Decide,
    ) -> Answer<'s, Result<(), StateError>> {
        let collection = collection.to_owned();
        self.book.act(async move |desk| {
            let change = async |client: &mut Connection| change(client, &collection, &selection, &mut decide).await;
            desk.database.soon(change).await
        })
    }
}

async fn change(
    client: &mut Connection,
    collection: &str,
    selection: &Selection,
    decide: &mut Decide,
) -> Result<(), Fault> {
    let change = client.transaction().await?;
    change.batch_execute("SET LOCAL synchronous_commit = on").await?;
    // The row is there for good, so that all who change the collection lock the same one.
    let lock = "INSERT INTO pipepost.collections AS c (name) VALUES ($1::text)
        ON CONFLICT (name) DO UPDATE SET name = c.name";
    change.execute_typed(lock, &[(&collection, Type::TEXT)]).await?;
    let found = selected(&*change, collection, selection).await?;
    for wanted in decide(&found) {
        let (statement, values): (_, Vec<(&(dyn ToSql + Sync), Type)>) = match &wanted {
            ObjectChange::Add { id, document } => (
                "INSERT INTO pipepost.objects (collection, id, document) VALUES ($1::text, $2::text, $3::text)",
                vec![(&collection, Type::TEXT), (id, Type::TEXT), (document, Type::TEXT)],
            ),
            ObjectChange::Replace { number, document } => (
                "UPDATE pipepost.objects SET document = $3::text WHERE collection = $1::text AND number = $2::int8",
                vec![(&collection, Type::TEXT), (number, Type::INT8), (document, Type::TEXT)],
            ),
            ObjectChange::Remove { number } => (
                "DELETE FROM pipepost.objects WHERE collection = $1::text AND number = $2::int8",
                vec![(&collection, Type::TEXT), (number, Type::INT8)],
            ),
        };
        change.execute_typed(statement, &values).await?;
    }
    change.commit().await?;
    Ok(())
}

async fn selected(
    client: &impl GenericClient,
    collection: &str,
    selection: &Selection,
) -> Result<Vec<Object>, tokio_postgres::Error> {
    let rows = match selection {
        Selection::All => {
            let all = "SELECT number, id, document FROM pipepost.objects WHERE collection = $1::text ORDER BY number";
            client.query_typed(all, &[(&collection, Type::TEXT)]).await?
        }
        Selection::Id(id) => {
            let some = "SELECT number, id, document FROM pipepost.objects
                WHERE collection = $1::text AND id = $2::text ORDER BY number";
            let values: [(&(dyn ToSql + Sync), Type); 2] = [(&collection, Type::TEXT), (id, Type::TEXT)];
            client.query_typed(some, &values).await?
        }
    };
    let read = |row: &Row| Object {
        number: row.get(0),
        id: row.get(1),
        document: row.get(2),
    };
    Ok(rows.iter().map(read).collect())
}
