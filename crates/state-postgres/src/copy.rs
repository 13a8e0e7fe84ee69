//! The whole book, as it is copied to another state, or from one: in one transaction that keeps everybody else out.

use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::{Object, Transaction};
use pipepost_state::StateError;
use pipepost_state::copy::{Copied, Kind, PIECE_ROWS, Piece, Pieces, TABLES, Table, Value};
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::book::Desk;
use crate::database::Fault;
use crate::statements::alive;

/// How long a book may take. A day is more than a thousand million rows take.
const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Waits for what is being written, and lets nobody write meanwhile. Whoever is in between is told so, and not waited for.
const ALONE: &str = "SET LOCAL lock_timeout = '5s';
    LOCK TABLE pipepost.workers, pipepost.executions, pipepost.messages, pipepost.parts, pipepost.documents, pipepost.runs,
      pipepost.schedules, pipepost.quota_accounts, pipepost.admissions, pipepost.server_limits, pipepost.collections,
      pipepost.objects IN EXCLUSIVE MODE";

const WORKER: &str = concat!(
    // By another name than the macro has for its own row.
    "SELECT held.host, held.process FROM pipepost.workers held WHERE ",
    alive!("held.id"),
    " LIMIT 1"
);

/// What becomes of the rows when they are written: what is not in the tables of [`TABLES`].
const AFTER: &str = "INSERT INTO pipepost.collections (name) SELECT DISTINCT collection FROM pipepost.objects";

const LAST_OBJECT: &str = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM pipepost.objects_number_seq";

/// $1 the last number.
const SET_LAST_OBJECT: &str = "SELECT setval('pipepost.objects_number_seq', greatest($1::int8, 1), $1::int8 > 0)";

/// Where the rows of a table are.
fn source(table: &Table) -> String {
    match table.name {
        // A message that was settled late is there without its execution, which was forgotten meanwhile.
        "executions" => "(SELECT key, begun, changed FROM pipepost.executions
            UNION ALL SELECT m.execution, min(m.changed), max(m.changed) FROM pipepost.messages m
            WHERE NOT EXISTS (SELECT 1 FROM pipepost.executions e WHERE e.key = m.execution) GROUP BY m.execution) s"
            .to_owned(),
        "parts" => "(SELECT p.* FROM pipepost.parts p
            WHERE EXISTS (SELECT 1 FROM pipepost.messages m WHERE m.key = p.message)) s"
            .to_owned(),
        "pauses" => "(SELECT * FROM pipepost.quota_accounts WHERE until IS NOT NULL) s".to_owned(),
        name => format!("pipepost.{name} s"),
    }
}

/// Where rows are written, and the columns that mean nothing elsewhere, with what they are here.
fn target(table: &Table) -> (&'static str, &'static str, &'static str) {
    match table.name {
        // Its next owner finds that there were others before.
        "executions" => ("executions", ", epoch", ", 1"),
        // Of an owner before the next one.
        "parts" => ("parts", ", epoch", ", 0"),
        "documents" => (
            "documents",
            ", seen",
            ", (extract(epoch FROM clock_timestamp()) * 1000000)::int8",
        ),
        "pauses" => ("quota_accounts", "", ""),
        // Nobody: whoever looks finds that this one is gone.
        "admissions" => ("admissions", ", owner", ", ''"),
        name => (name, "", ""),
    }
}

async fn alone(desk: &Desk, change: &Transaction<'_>) -> Result<(), Fault> {
    // Whoever takes the pieces, or gives them, may take its time.
    change
        .batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        .await?;
    let place = desk.database.address.place();
    change.batch_execute(ALONE).await?;
    match change.query_typed_opt(WORKER, &[]).await? {
        None => Ok(()),
        Some(row) => {
            let (host, process): (&str, i64) = (row.get(0), row.get(1));
            Err(Fault::Not(StateError::InUse {
                place: place.to_owned(),
                by: format!("the process {process} on {host}"),
            }))
        }
    }
}

/// Reads everything.
pub(crate) async fn out(desk: &Desk, into: mpsc::Sender<Piece>) -> Result<(), Fault> {
    let read = async |client: &mut Object| {
        let change = client.transaction().await?;
        alone(desk, &change).await?;
        let give = async |piece| into.send(piece).await.is_ok();
        for (number, table) in TABLES.iter().enumerate() {
            let columns: Vec<String> = table.columns.iter().map(read_column).collect();
            change
                .batch_execute(&format!(
                    "DECLARE rows NO SCROLL CURSOR FOR SELECT {} FROM {} ORDER BY {}",
                    columns.join(", "),
                    source(table),
                    table.order
                ))
                .await?;
            loop {
                let rows = change
                    .query_typed(&format!("FETCH {PIECE_ROWS} FROM rows"), &[])
                    .await?;
                if rows.is_empty() {
                    break;
                }
                if !give(Piece::Rows(number, rows.iter().map(|row| values(row, table)).collect())).await {
                    return Ok(());
                }
            }
            change.batch_execute("CLOSE rows").await?;
        }
        let last_object = change.query_typed_one(LAST_OBJECT, &[]).await?.get(0);
        give(Piece::End { last_object }).await;
        Ok(())
    };
    desk.database.with(TIME_MAX, read).await
}

/// Writes everything, or nothing.
pub(crate) async fn in_from(desk: &Desk, mut from: Pieces) -> Result<Option<Copied>, Fault> {
    let place = desk.database.address.place();
    let write = async |client: &mut Object| {
        let change = client.transaction().await?;
        alone(desk, &change).await?;
        for table in &TABLES {
            let any = format!("SELECT EXISTS (SELECT 1 FROM {})", source(table));
            if change.query_typed_one(&any, &[]).await?.get(0) {
                return Err(Fault::Not(StateError::NotEmpty {
                    place: place.to_owned(),
                }));
            }
        }
        change.batch_execute("SET LOCAL synchronous_commit = on").await?;
        let mut copied = Copied::default();
        loop {
            match from.recv().await {
                None => return Ok(None),
                Some(Piece::Rows(number, rows)) => {
                    copied[number] += rows.len() as u64;
                    insert(&change, &TABLES[number], rows).await?;
                }
                Some(Piece::End { last_object }) => {
                    change.batch_execute(AFTER).await?;
                    change
                        .query_typed_one(SET_LAST_OBJECT, &[(&last_object, Type::INT8)])
                        .await?;
                    change.commit().await?;
                    return Ok(Some(copied));
                }
            }
        }
    };
    desk.database.with(TIME_MAX, write).await
}

/// A column as it is read: every number is a large one.
fn read_column((name, kind): &(&str, Kind)) -> String {
    match kind {
        Kind::Text => format!("s.{name}"),
        Kind::Integer => format!("s.{name}::int8"),
        Kind::Bool => format!("s.{name}::int4::int8"),
    }
}

fn values(row: &Row, table: &Table) -> Vec<Value> {
    let value = |(place, (_, kind)): (usize, &(&str, Kind))| match kind {
        Kind::Text => row.get::<_, Option<String>>(place).map_or(Value::Null, Value::Text),
        Kind::Integer | Kind::Bool => row.get::<_, Option<i64>>(place).map_or(Value::Null, Value::Integer),
    };
    table.columns.iter().enumerate().map(value).collect()
}

async fn insert(change: &Transaction<'_>, table: &Table, rows: Vec<Vec<Value>>) -> Result<(), Fault> {
    let (name, own, own_values) = target(table);
    let mut columns: Vec<Vec<Given>> = table.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(Given(value));
        }
    }
    let (mut names, mut places, mut given, mut written) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
    for (place, ((column, kind), column_values)) in (1..).zip(table.columns.iter().zip(&columns)) {
        let (kind_name, type_) = match kind {
            Kind::Text => ("text", Type::TEXT_ARRAY),
            Kind::Integer | Kind::Bool => ("int8", Type::INT8_ARRAY),
        };
        names.push(*column);
        places.push(format!("c{place}"));
        given.push(format!("${place}::{kind_name}[]"));
        written.push(match kind {
            Kind::Bool => format!("c{place} <> 0"),
            Kind::Text | Kind::Integer => format!("c{place}"),
        });
        values.push((column_values, type_));
    }
    let statement = format!(
        "INSERT INTO pipepost.{name} ({}{own}) SELECT {}{own_values} FROM unnest({}) WITH ORDINALITY AS given ({}, at) ORDER BY at",
        names.join(", "),
        written.join(", "),
        given.join(", "),
        places.join(", "),
    );
    change.execute_typed(&statement, &values).await?;
    Ok(())
}

/// A value, as it is written.
#[derive(Debug)]
struct Given(Value);

impl ToSql for Given {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::TEXT || *kind == Type::INT8
    }

    to_sql_checked!();
}
