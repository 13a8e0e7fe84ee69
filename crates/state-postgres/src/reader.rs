//! The ledger for the person who must decide.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use pipepost_state::ledger::{Decision, Entry, LedgerReader, SettleError, State};
use pipepost_state::{Answer, StateError};
use tokio_postgres::types::{ToSql, Type};

use crate::book::Book;
use crate::database::Fault;
use crate::entries::{self, Found};
use crate::statements::{ENTRIES, ENTRIES_OF, ENTRIES_OPEN, ENTRY, PAGE, PAGE_OF, now_seconds};

/// How long a list may take: it may be a long one, and a person waits for it.
const LIST_MAX: Duration = Duration::from_secs(10 * 60);

/// Keeps an execution as it is while a person decides: nobody takes it meanwhile.
const HOLD: &str = "SELECT e.key FROM pipepost.executions e
    WHERE e.key = (SELECT m.execution FROM pipepost.messages m WHERE m.key = $1::text) FOR SHARE";

/// Writes down that a message was sent. $1 its key, $2 its output, $3 seconds.
const SENT: &str = concat!(
    "UPDATE pipepost.messages SET outcome = 'sent', output = $2::text, remainder = NULL, in_doubt = NULL, decided = true,
       changed = ",
    now_seconds!("$3"),
    " WHERE key = $1::text RETURNING changed"
);

/// Writes down that a message was not sent. $1 its key, $2 seconds.
const NOT_SENT: &str = concat!(
    "WITH freed AS (DELETE FROM pipepost.parts WHERE message = $1::text AND state <> 'confirmed')
     UPDATE pipepost.messages SET outcome = NULL, output = NULL, in_doubt = NULL, decided = true, changed = ",
    now_seconds!("$2"),
    " WHERE key = $1::text RETURNING changed"
);

/// Reads the ledgers of all executions.
#[derive(Debug)]
pub(crate) struct PostgresReader {
    book: Arc<Book>,
}

impl PostgresReader {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }

    fn entries(
        &self,
        statement: &'static str,
        value: Option<String>,
    ) -> Answer<'static, Result<Vec<Entry>, StateError>> {
        self.book.act(async move |desk| {
            let read = async |client: &mut Object| {
                let values: Vec<String> = value.into_iter().collect();
                let rows = match (statement, values.first()) {
                    (ENTRY, Some(key)) => client.query_typed(statement, &[(key, Type::TEXT)]).await?,
                    (_, None) => client.query_typed(statement, &[]).await?,
                    (_, Some(_)) => client.query_typed(statement, &[(&values, Type::TEXT_ARRAY)]).await?,
                };
                Ok(entries::read(&rows).into_iter().map(shown).collect())
            };
            desk.database.with(LIST_MAX, read).await
        })
    }
}

fn shown(found: Found) -> Entry {
    found.entry.shown(&found.key, &found.execution, found.is_running)
}

/// The answer of a decision, within the answer of the state.
type Settled = Result<Entry, SettleError>;

async fn settle(client: &mut Object, key: &str, decision: Decision, second: Option<i64>) -> Result<Settled, Fault> {
    let change = client.transaction().await?;
    change.batch_execute("SET LOCAL synchronous_commit = on").await?;
    change.query_typed(HOLD, &[(&key, Type::TEXT)]).await?;
    let rows = change.query_typed(ENTRY, &[(&key, Type::TEXT)]).await?;
    let Some(Found {
        execution,
        mut entry,
        is_running,
        ..
    }) = entries::read(&rows).pop()
    else {
        return Ok(Err(SettleError::Unknown(key.to_owned())));
    };
    if let Err(error) = entry.decide(key, decision, is_running) {
        return Ok(Err(error));
    }
    let row = match &entry.ended {
        Some(ended) => {
            let values = [
                (&key as _, Type::TEXT),
                (&ended.output as _, Type::TEXT),
                (&second as _, Type::INT8),
            ];
            change.query_typed_one(SENT, &values).await?
        }
        None => {
            let values = [(&key as _, Type::TEXT), (&second as _, Type::INT8)];
            change.query_typed_one(NOT_SENT, &values).await?
        }
    };
    entry.changed = row.get(0);
    change.commit().await?;
    Ok(Ok(entry.shown(key, &execution, false)))
}

impl LedgerReader for PostgresReader {
    fn list<'r>(&'r self, execution: Option<&'r str>) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        match execution {
            None => self.entries(ENTRIES, None),
            Some(execution) => self.entries(ENTRIES_OF, Some(execution.to_owned())),
        }
    }

    fn page<'r>(
        &'r self,
        execution: Option<&'r str>,
        after: Option<&'r str>,
        limit: usize,
    ) -> Answer<'r, Result<Vec<Entry>, StateError>> {
        let (execution, after) = (execution.map(str::to_owned), after.map(str::to_owned));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.book.act(async move |desk| {
            let read = async |client: &mut Object| {
                let mut values: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&after, Type::TEXT), (&limit, Type::INT8)];
                let statement = match &execution {
                    Some(execution) => {
                        values.push((execution, Type::TEXT));
                        PAGE_OF
                    }
                    None => PAGE,
                };
                let rows = client.query_typed(statement, &values).await?;
                Ok(entries::read(&rows).into_iter().map(shown).collect())
            };
            desk.database.with(LIST_MAX, read).await
        })
    }

    fn open(&self) -> Answer<'_, Result<Vec<Entry>, StateError>> {
        let open = self.entries(ENTRIES_OPEN, None);
        Box::pin(async move {
            let mut entries = open.await?;
            entries.retain(|entry| entry.state != State::Sent);
            Ok(entries)
        })
    }

    fn show<'r>(&'r self, key: &'r str) -> Answer<'r, Result<Option<Entry>, StateError>> {
        let entries = self.entries(ENTRY, Some(key.to_owned()));
        Box::pin(async move { Ok(entries.await?.pop()) })
    }

    fn settle<'r>(&'r self, key: &'r str, decision: Decision) -> Answer<'r, Result<Entry, SettleError>> {
        let key = key.to_owned();
        let settled = self.book.act(async move |desk| {
            let second = desk.second();
            let act = async |client: &mut Object| settle(client, &key, decision, second).await;
            desk.database.soon(act).await
        });
        Box::pin(async move { settled.await? })
    }
}
