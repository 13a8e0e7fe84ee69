//! Sealed refresh tokens, replaced by revision.

use std::sync::Arc;

use deadpool_postgres::Object as Connection;
use pipepost_state::grants::{Grant, GrantStore};
use pipepost_state::{Answer, StateError};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::book::Book;
use crate::statements::now_seconds;

const LIST: &str = "SELECT name, revision, sealed FROM pipepost.grants";

const LOOK: &str = "SELECT revision, sealed FROM pipepost.grants WHERE name = $1::text";

/// $1 the name, $2 the revision that was seen, $3 the token, $4 seconds.
const REPLACE: &str = concat!(
    "WITH replaced AS (
      INSERT INTO pipepost.grants AS g (name, revision, sealed, changed)
      VALUES ($1::text, $2::int8 + 1, $3::bytea, ",
    now_seconds!("$4"),
    ") ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, sealed = excluded.sealed, changed = excluded.changed
      WHERE g.revision = $2::int8
      RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM replaced), set_config('synchronous_commit', 'on', true)"
);

/// The grants of a database.
#[derive(Debug)]
pub(crate) struct PostgresGrants {
    book: Arc<Book>,
}

impl PostgresGrants {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }
}

impl GrantStore for PostgresGrants {
    fn look<'s>(&'s self, name: &'s str) -> Answer<'s, Result<Option<Grant>, StateError>> {
        let name = name.to_owned();
        self.book.act(async move |desk| {
            let look = async |client: &mut Connection| {
                let row = client.query_typed_opt(LOOK, &[(&name, Type::TEXT)]).await?;
                Ok(row.map(|row| Grant {
                    revision: row.get(0),
                    sealed: row.get(1),
                }))
            };
            desk.database.soon(look).await
        })
    }

    fn list(&self) -> Answer<'_, Result<Vec<(String, Grant)>, StateError>> {
        self.book.act(async move |desk| {
            let list = async |client: &mut Connection| {
                let rows = client.query_typed(LIST, &[]).await?;
                let grant = |row: &Row| Grant {
                    revision: row.get(1),
                    sealed: row.get(2),
                };
                Ok(rows.iter().map(|row| (row.get(0), grant(row))).collect())
            };
            desk.database.soon(list).await
        })
    }

    fn replace<'s>(&'s self, name: &'s str, seen: i64, sealed: Vec<u8>) -> Answer<'s, Result<bool, StateError>> {
        let name = name.to_owned();
        self.book.act(async move |desk| {
            let second = desk.second();
            let replace = async |client: &mut Connection| {
                let values: [(&(dyn ToSql + Sync), Type); 4] = [
                    (&name, Type::TEXT),
                    (&seen, Type::INT8),
                    (&sealed, Type::BYTEA),
                    (&second, Type::INT8),
                ];
                Ok(client.query_typed_one(REPLACE, &values).await?.get(0))
            };
            desk.database.soon(replace).await
        })
    }
}
