//! Runs as rows.

use pipepost_state::StateError;
use pipepost_state::runs::{Run, RunCounts, RunFailure, RunFilter, RunId, RunOrigin, RunState, TraceContext};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

/// The first column after those of a run.
pub(super) const AFTER: usize = 30;

/// The database's numbers have a sign, and what is counted has none.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn whole(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}

fn small(row: &Row, column: usize) -> u32 {
    u32::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}

/// A name that this version does not know stands for a database that something else has written.
fn unknown(name: &str) -> StateError {
    StateError::unusable("the table of runs", format!("`{name}` is not known here"))
}

/// Reads the columns of [`crate::statements::RUN`].
pub(super) fn read(row: &Row) -> Result<Run, StateError> {
    let (id, origin, state): (&str, &str, &str) = (row.get(0), row.get(5), row.get(9));
    let (kind, object): (Option<String>, Option<String>) = (row.get(23), row.get(24));
    let (trace_parent, trace_state): (Option<&str>, Option<&str>) = (row.get(28), row.get(29));
    Ok(Run {
        id: RunId::parse(id).ok_or_else(|| unknown(id))?,
        pipeline: row.get(1),
        document: row.get(2),
        key: row.get(3),
        digest: row.get(4),
        origin: RunOrigin::from_name(origin).ok_or_else(|| unknown(origin))?,
        message: row.get(6),
        shown: row.get(7),
        globals: row.get(8),
        trace: trace_parent.and_then(|parent| TraceContext::new(parent, trace_state)),
        state: RunState::from_name(state).ok_or_else(|| unknown(state))?,
        due: row.get(10),
        expires: row.get(11),
        retries: small(row, 12),
        attempt: small(row, 13),
        deaths: small(row, 14),
        allow_redelivery: row.get(15),
        redelivery: row.get(16),
        owner: row.get(17),
        epoch: row.get(18),
        accepted: row.get(19),
        begun: row.get(20),
        ended: row.get(21),
        output: row.get(22),
        failure: kind.zip(object).map(|(kind, object)| RunFailure { kind, object }),
        counts: RunCounts {
            sent: whole(row, 25),
            failed: whole(row, 26),
            uncertain: whole(row, 27),
        },
    })
}

type Value = (Box<dyn ToSql + Sync>, Type);

/// Makes the statement with only the conditions that are asked for, so that an index can serve them.
pub(super) fn list(select: &str, filter: &RunFilter) -> (String, Vec<Value>) {
    let mut statement = format!("{select} WHERE true");
    let mut values: Vec<Value> = Vec::new();
    let mut when = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            let parameter = format!("${}", values.len());
            statement.push_str(" AND ");
            statement.push_str(&condition.replace('?', &parameter));
        }
    };
    let text =
        |value: Option<&str>| value.map(|value| (Box::new(value.to_owned()) as Box<dyn ToSql + Sync>, Type::TEXT));
    let moment = |value: Option<i64>| value.map(|value| (Box::new(value) as Box<dyn ToSql + Sync>, Type::INT8));
    when("pipeline = ?::text", text(filter.pipeline.as_deref()));
    when("state = ?::text", text(filter.state.map(RunState::as_str)));
    when("kind = ?::text", text(filter.kind.as_deref()));
    when("accepted >= ?::int8", moment(filter.since));
    when("accepted < ?::int8", moment(filter.until));
    when("id < ?::text", text(filter.after.as_ref().map(RunId::as_str)));
    when(
        "position(?::text IN key || chr(10) || coalesce(shown, message, '')) > 0",
        text(filter.text.as_deref()),
    );
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    values.push((Box::new(limit), Type::INT8));
    statement.push_str(&format!(" ORDER BY id DESC LIMIT ${}::int8", values.len()));
    (statement, values)
}
