//! What servers have taught, in the database.

use std::sync::Arc;

use deadpool_postgres::Object as Connection;
use pipepost_state::server_limits::{
    KeptLimits, MessagesLimit, ServerKey, ServerLimitStore, ServerLimits, ServerLimitsEntry,
};
use pipepost_state::{Answer, StateError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Transaction};

use crate::book::Book;
use crate::database::Fault;
use crate::statements::now;

/// In the order of [`kept_of`]; the moment of the look comes first.
macro_rules! select {
    ($now:literal, $which:literal) => {
        concat!(
            "SELECT ",
            now!($now),
            ", messages, suspected, messages_learned, connections, connections_learned, label, server
             FROM pipepost.server_limits ",
            $which
        )
    };
}

const OF_SERVER: &str = select!("$3", "WHERE account = $1::text AND server = $2::text");
const OF_LABEL: &str = select!("$2", "WHERE label = $1::text ORDER BY label, server, account");
const ALL: &str = select!("$1", "ORDER BY label, server, account");

/// What servers have taught, in a database.
#[derive(Debug)]
pub(crate) struct PostgresServerLimits {
    book: Arc<Book>,
}

impl PostgresServerLimits {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { book }
    }
}

impl ServerLimitStore for PostgresServerLimits {
    fn recall<'s>(&'s self, key: &'s ServerKey) -> Answer<'s, Result<ServerLimits, StateError>> {
        let key = key.clone();
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let recall = async |client: &mut Connection| {
                let values: [(&(dyn ToSql + Sync), Type); 3] = [
                    (&key.account.account, Type::TEXT),
                    (&key.server, Type::TEXT),
                    (&moment, Type::INT8),
                ];
                let row = client.query_typed_opt(OF_SERVER, &values).await?;
                Ok(row.map_or_else(ServerLimits::default, |row| kept_of(&row).fresh(row.get(0)).limits()))
            };
            desk.database.soon(recall).await
        })
    }

    fn learn<'s>(&'s self, key: &'s ServerKey, limits: ServerLimits) -> Answer<'s, Result<(), StateError>> {
        let key = key.clone();
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let learn = async |client: &mut Connection| {
                let change = client.transaction().await?;
                learn(&change, &key, limits, moment).await?;
                change.commit().await?;
                Ok(())
            };
            desk.database.soon(learn).await
        })
    }

    fn list<'s>(&'s self, label: Option<&'s str>) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        let label = label.map(str::to_owned);
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let list = async |client: &mut Connection| {
                let rows = match &label {
                    None => client.query_typed(ALL, &[(&moment, Type::INT8)]).await?,
                    Some(label) => {
                        let values: [(&(dyn ToSql + Sync), Type); 2] = [(label, Type::TEXT), (&moment, Type::INT8)];
                        client.query_typed(OF_LABEL, &values).await?
                    }
                };
                Ok(shown(&rows))
            };
            desk.database.soon(list).await
        })
    }

    fn forget<'s>(&'s self, label: &'s str) -> Answer<'s, Result<Vec<ServerLimitsEntry>, StateError>> {
        let label = label.to_owned();
        self.book.act(async move |desk| {
            let moment = desk.moment();
            let forget = async |client: &mut Connection| {
                let change = client.transaction().await?;
                change.batch_execute("SET LOCAL synchronous_commit = on").await?;
                let values: [(&(dyn ToSql + Sync), Type); 2] = [(&label, Type::TEXT), (&moment, Type::INT8)];
                let known = shown(&change.query_typed(OF_LABEL, &values).await?);
                let delete = "DELETE FROM pipepost.server_limits WHERE label = $1::text";
                change.execute_typed(delete, &[(&label, Type::TEXT)]).await?;
                change.commit().await?;
                Ok(known)
            };
            desk.database.soon(forget).await
        })
    }
}

async fn learn(
    change: &Transaction<'_>,
    key: &ServerKey,
    limits: ServerLimits,
    moment: Option<i64>,
) -> Result<(), Fault> {
    // Makes the row where there is none, so that two who learn lock the same one.
    let lock = "INSERT INTO pipepost.server_limits AS s (account, label, server)
        VALUES ($1::text, $2::text, $3::text) ON CONFLICT (account, server) DO UPDATE SET label = excluded.label";
    let whose: [(&(dyn ToSql + Sync), Type); 3] = [
        (&key.account.account, Type::TEXT),
        (&key.account.label, Type::TEXT),
        (&key.server, Type::TEXT),
    ];
    change.execute_typed(lock, &whose).await?;
    let values: [(&(dyn ToSql + Sync), Type); 3] = [
        (&key.account.account, Type::TEXT),
        (&key.server, Type::TEXT),
        (&moment, Type::INT8),
    ];
    let row = change.query_typed_one(OF_SERVER, &values).await?;
    let kept = kept_of(&row).learn(limits, row.get(0));
    if kept.is_empty() {
        let delete = "DELETE FROM pipepost.server_limits WHERE account = $1::text AND server = $2::text";
        let which: [(&(dyn ToSql + Sync), Type); 2] = [(&key.account.account, Type::TEXT), (&key.server, Type::TEXT)];
        change.execute_typed(delete, &which).await?;
        return Ok(());
    }
    let update =
        "UPDATE pipepost.server_limits SET messages = $3::int8, suspected = $4::bool, messages_learned = $5::int8,
        connections = $6::int8, connections_learned = $7::int8 WHERE account = $1::text AND server = $2::text";
    let messages = kept.messages.map(|(limit, _)| i64::from(limit.most));
    let suspected = kept.messages.map(|(limit, _)| limit.is_suspected);
    let messages_learned = kept.messages.map(|(_, learned)| learned);
    let connections = kept.connections.map(|(most, _)| i64::from(most));
    let connections_learned = kept.connections.map(|(_, learned)| learned);
    let values: [(&(dyn ToSql + Sync), Type); 7] = [
        (&key.account.account, Type::TEXT),
        (&key.server, Type::TEXT),
        (&messages, Type::INT8),
        (&suspected, Type::BOOL),
        (&messages_learned, Type::INT8),
        (&connections, Type::INT8),
        (&connections_learned, Type::INT8),
    ];
    change.execute_typed(update, &values).await?;
    Ok(())
}

fn kept_of(row: &Row) -> KeptLimits {
    let number = |column: usize| {
        let count: Option<i64> = row.get(column);
        count.and_then(|count| u32::try_from(count).ok())
    };
    let suspected: Option<bool> = row.get(2);
    let limit = number(1)
        .zip(suspected)
        .map(|(most, is_suspected)| MessagesLimit { most, is_suspected });
    KeptLimits {
        messages: limit.zip(row.get(3)),
        connections: number(4).zip(row.get(5)),
    }
}

/// The rows that are not too old.
fn shown(rows: &[Row]) -> Vec<ServerLimitsEntry> {
    let shown = |row: &Row| {
        let kept = kept_of(row).fresh(row.get(0));
        (!kept.is_empty()).then(|| kept.shown(row.get(6), row.get(7)))
    };
    rows.iter().filter_map(shown).collect()
}
