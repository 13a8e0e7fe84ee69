//! The whole file, as it is copied to another state, or from one.

use std::path::Path;

use pipepost_state::StateError;
use pipepost_state::copy::{Copied, PIECE_ROWS, Piece, Pieces, TABLES, Table, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, Transaction, TransactionBehavior, params_from_iter};
use tokio::sync::mpsc;

use crate::{file, owner};

/// The columns that have no meaning elsewhere, and what they are where a book is copied in.
const OWN: [(&str, &str, &str); 3] = [
    ("executions", "process", "0"),
    ("parts", "changed", "0"),
    // Nobody: whoever looks finds that this one is gone.
    ("admissions", "owner", "''"),
];

/// How the rows are read that have no column for their order.
fn order(table: &Table) -> &'static str {
    match table.name {
        "messages" => "execution, rowid",
        _ => table.order,
    }
}

/// Only while nobody works with the state, and nobody begins to.
fn alone<'c>(connection: &'c mut Connection, directory: &Path) -> Result<Transaction<'c>, StateError> {
    let unusable = |error: rusqlite::Error| StateError::unusable(directory.display(), error);
    let change = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unusable)?;
    let others = owner::alive(directory);
    if others > 0 {
        let by = match others {
            1 => "another process".to_owned(),
            others => format!("{others} other processes"),
        };
        return Err(StateError::InUse {
            place: directory.display().to_string(),
            by,
        });
    }
    Ok(change)
}

/// Reads everything.
pub(crate) fn out(directory: &Path, into: &mpsc::Sender<Piece>) -> Result<(), StateError> {
    let unusable = |error: rusqlite::Error| StateError::unusable(directory.display(), error);
    let give = |piece| into.blocking_send(piece).is_ok();
    let mut connection = file::open(directory)?;
    let change = alone(&mut connection, directory)?;
    for (place, table) in TABLES.iter().enumerate() {
        let statement = format!(
            "SELECT {} FROM {} ORDER BY {}",
            columns(table),
            table.name,
            order(table)
        );
        let mut select = change.prepare(&statement).map_err(unusable)?;
        let mut rows = select.query([]).map_err(unusable)?;
        let mut piece = Vec::new();
        while let Some(row) = rows.next().map_err(unusable)? {
            piece.push(read(row, table).map_err(unusable)?);
            if piece.len() == PIECE_ROWS && !give(Piece::Rows(place, std::mem::take(&mut piece))) {
                return Ok(());
            }
        }
        if !give(Piece::Rows(place, piece)) {
            return Ok(());
        }
    }
    let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'objects'";
    let last_object = change.query_row(last, [], |row| row.get(0)).map_err(unusable)?;
    give(Piece::End { last_object });
    Ok(())
}

/// Writes everything, or nothing.
pub(crate) fn in_from(directory: &Path, mut from: Pieces) -> Result<Option<Copied>, StateError> {
    let unusable = |error: rusqlite::Error| StateError::unusable(directory.display(), error);
    // Without anything to write, nothing is made.
    let mut next = from.blocking_recv();
    if next.is_none() {
        return Ok(None);
    }
    let mut connection = file::open(directory)?;
    let change = alone(&mut connection, directory)?;
    for table in TABLES {
        let any = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
        if change.query_row(&any, [], |row| row.get(0)).map_err(unusable)? {
            return Err(StateError::NotEmpty {
                place: directory.display().to_string(),
            });
        }
    }
    let mut copied = Copied::default();
    loop {
        match next {
            None => return Ok(None),
            Some(Piece::Rows(place, rows)) => {
                let mut insert = change.prepare_cached(&insert(&TABLES[place])).map_err(unusable)?;
                copied[place] += rows.len() as u64;
                for row in rows {
                    insert
                        .execute(params_from_iter(row.iter().map(Written)))
                        .map_err(unusable)?;
                }
            }
            Some(Piece::End { last_object }) => {
                change
                    .execute("DELETE FROM sqlite_sequence WHERE name = 'objects'", [])
                    .and_then(|_| {
                        change.execute(
                            "INSERT INTO sqlite_sequence (name, seq) VALUES ('objects', ?1)",
                            [last_object],
                        )
                    })
                    .map_err(unusable)?;
                change.commit().map_err(unusable)?;
                return Ok(Some(copied));
            }
        }
        next = from.blocking_recv();
    }
}

fn columns(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn insert(table: &Table) -> String {
    let own: Vec<&(&str, &str, &str)> = OWN.iter().filter(|(name, ..)| *name == table.name).collect();
    let names: String = own.iter().map(|(_, column, _)| format!(", {column}")).collect();
    let values: String = own.iter().map(|(.., value)| format!(", {value}")).collect();
    let places: Vec<String> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
    format!(
        "INSERT INTO {} ({}{names}) VALUES ({}{values})",
        table.name,
        columns(table),
        places.join(", ")
    )
}

fn read(row: &Row<'_>, table: &Table) -> rusqlite::Result<Vec<Value>> {
    let read = |column: usize| {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            // The tables are strict: there is nothing else.
            other => Value::Text(other.as_str()?.to_owned()),
        })
    };
    (0..table.columns.len()).map(read).collect()
}

/// A value, as it is written.
struct Written<'v>(&'v Value);

impl ToSql for Written<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_column_is_copied_or_known_to_mean_nothing_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let connection = file::open(folder.path()).expect("a new state");
        let mut select = connection
            .prepare(
                "SELECT t.name || '.' || c.name FROM pragma_table_list t, pragma_table_info(t.name) c
                 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'",
            )
            .expect("a statement");
        let there: BTreeSet<String> = select
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .expect("a state");
        let copied = TABLES.iter().flat_map(|table| {
            table
                .columns
                .iter()
                .map(|(column, _)| format!("{}.{column}", table.name))
        });
        let own = OWN.iter().map(|(table, column, _)| format!("{table}.{column}"));
        // Who owns what, the number of an admission, and when it was tidied up.
        let left = [
            "executions.owner",
            "runs.owner",
            "admissions.id",
            "upkeep.name",
            "upkeep.at",
        ];
        let known: BTreeSet<String> = copied.chain(own).chain(left.map(str::to_owned)).collect();
        assert_eq!(there, known);
    }
}
