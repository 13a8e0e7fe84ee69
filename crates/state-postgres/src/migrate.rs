//! Brings the database to this version's format, beside workers that run with an earlier one.
//!
//! Each migration only adds, and says which version can still work with what it leaves. So one worker after the other is
//! brought to a new version, and one of the version before may even start again meanwhile.

use deadpool_postgres::Object;
use pipepost_state::StateError;
use tokio_postgres::types::Type;

use crate::address::Address;
use crate::database::{Fault, is_without_schema};

/// A step from the version before.
struct Migration {
    /// The oldest version of the program that works with the format after it.
    oldest: i32,
    text: &'static str,
}

/// In their order. Never edited once released.
const MIGRATIONS: [Migration; 2] = [
    Migration {
        oldest: 1,
        text: include_str!("migrations/1.sql"),
    },
    Migration {
        oldest: 1,
        text: include_str!("migrations/2.sql"),
    },
];

/// Held by whoever migrates. A number that nothing else of this database is likely to use.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7164920331880112485)";

pub(crate) async fn migrate(client: &mut Object, address: &Address) -> Result<(), Fault> {
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if let Some((found, oldest)) = version(client).await?
        && is_enough(found, oldest, known, address)?
    {
        return Ok(());
    }
    let change = client.transaction().await?;
    // It takes as long as it takes, and stays.
    let settings = "SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0";
    change.batch_execute(settings).await?;
    // Two workers may come upon an old database at once: the second one waits, and finds the work done.
    change.batch_execute(LOCK).await?;
    change
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS pipepost;
             CREATE TABLE IF NOT EXISTS pipepost.migrations (
               version int4 PRIMARY KEY,
               -- The oldest version of the program that works with this format.
               oldest int4 NOT NULL,
               at timestamptz NOT NULL DEFAULT clock_timestamp()
             )",
        )
        .await?;
    const LAST: &str = "SELECT version, oldest FROM pipepost.migrations ORDER BY version DESC LIMIT 1";
    let found = match change.query_typed_opt(LAST, &[]).await? {
        Some(row) => {
            if is_enough(row.get(0), row.get(1), known, address)? {
                return Ok(());
            }
            row.get(0)
        }
        None => 0,
    };
    for (migration, version) in MIGRATIONS.iter().zip(1_i32..).skip(usize::try_from(found).unwrap_or(0)) {
        change.batch_execute(migration.text).await?;
        let note = "INSERT INTO pipepost.migrations (version, oldest) VALUES ($1::int4, $2::int4)";
        change
            .execute_typed(note, &[(&version, Type::INT4), (&migration.oldest, Type::INT4)])
            .await?;
    }
    change.commit().await?;
    Ok(())
}

/// The last migration, and the oldest version that works with it; none where there is no state yet.
async fn version(client: &Object) -> Result<Option<(i32, i32)>, Fault> {
    let last = "SELECT version, oldest FROM pipepost.migrations ORDER BY version DESC LIMIT 1";
    match client.query_typed_opt(last, &[]).await {
        Ok(row) => Ok(row.map(|row| (row.get(0), row.get(1)))),
        Err(error) if error.code().is_some_and(is_without_schema) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether nothing is left to do, and refuses a format that this version would break.
fn is_enough(found: i32, oldest: i32, known: i32, address: &Address) -> Result<bool, Fault> {
    if oldest > known {
        return Err(Fault::Not(StateError::Newer {
            place: address.place().to_owned(),
            found: found.into(),
            known: known.into(),
        }));
    }
    Ok(found >= known)
}
