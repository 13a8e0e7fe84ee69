//! The statements.

use std::collections::BTreeSet;
use std::sync::Arc;

use pipepost_state::clock::Moment;
use pipepost_state::runs::{
    Accepted, AccountWait, Lease, NewRun, PinnedDocument, QueueLength, Room, Run, RunCounts, RunFailure, RunFilter,
    RunId, RunOrigin, RunState, ScheduleEntry, ScheduleNote, TraceContext,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::owner::is_alive;
use crate::writer::Writing;

/// In the order of [`read`].
const COLUMNS: &str =
    "id, pipeline, document, key, digest, origin, message, shown, globals, state, due, expires, retries,
    attempt, deaths, allow_redelivery, redelivery, owner, epoch, accepted, begun, ended, output, kind, failure, sent,
    failed, uncertain, trace_parent, trace_state";

/// A name that this version does not know stands for a file that something else has written.
fn unknown(column: usize, name: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, format!("`{name}` is not known here").into())
}

/// SQLite's numbers have a sign, and what is counted has none.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column)
        .map(|count: i64| u64::try_from(count).unwrap_or_default())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let (id, origin, state): (String, String, String) = (row.get(0)?, row.get(5)?, row.get(9)?);
    let (kind, object): (Option<String>, Option<String>) = (row.get(23)?, row.get(24)?);
    let (trace_parent, trace_state): (Option<String>, Option<String>) = (row.get(28)?, row.get(29)?);
    Ok(Run {
        id: RunId::parse(&id).ok_or_else(|| unknown(0, &id))?,
        pipeline: row.get(1)?,
        document: row.get(2)?,
        key: row.get(3)?,
        digest: row.get(4)?,
        origin: RunOrigin::from_name(&origin).ok_or_else(|| unknown(5, &origin))?,
        message: row.get(6)?,
        shown: row.get(7)?,
        globals: row.get(8)?,
        trace: trace_parent.and_then(|parent| TraceContext::new(&parent, trace_state.as_deref())),
        state: RunState::from_name(&state).ok_or_else(|| unknown(9, &state))?,
        due: row.get(10)?,
        expires: row.get(11)?,
        retries: row.get(12)?,
        attempt: row.get(13)?,
        deaths: row.get(14)?,
        allow_redelivery: row.get(15)?,
        redelivery: row.get(16)?,
        owner: row.get(17)?,
        epoch: row.get(18)?,
        accepted: row.get(19)?,
        begun: row.get(20)?,
        ended: row.get(21)?,
        output: row.get(22)?,
        failure: kind.zip(object).map(|(kind, object)| RunFailure { kind, object }),
        counts: RunCounts {
            sent: whole(row, 25)?,
            failed: whole(row, 26)?,
            uncertain: whole(row, 27)?,
        },
    })
}

pub(super) fn run(connection: &Connection, id: &RunId) -> rusqlite::Result<Option<Run>> {
    one(connection, "id = ?1", id.as_str())
}

pub(super) fn with_key(connection: &Connection, key: &str) -> rusqlite::Result<Option<Run>> {
    one(connection, "key = ?1", key)
}

fn one(connection: &Connection, which: &str, value: &str) -> rusqlite::Result<Option<Run>> {
    let mut select = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE {which}"))?;
    select.query_row([value], read).optional()
}

fn insert(connection: &Connection, run: &Run) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO runs ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
           ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)"
    ))?;
    insert
        .execute(params![
            run.id.as_str(),
            run.pipeline,
            run.document,
            run.key,
            run.digest,
            run.origin.as_str(),
            run.message,
            run.shown,
            run.globals,
            run.state.as_str(),
            run.due,
            run.expires,
            run.retries,
            run.attempt,
            run.deaths,
            run.allow_redelivery,
            run.redelivery,
            run.owner,
            run.epoch,
            run.accepted,
            run.begun,
            run.ended,
            run.output,
            run.failure.as_ref().map(|failure| &failure.kind),
            run.failure.as_ref().map(|failure| &failure.object),
            signed(run.counts.sent),
            signed(run.counts.failed),
            signed(run.counts.uncertain),
            run.trace.as_ref().map(TraceContext::parent),
            run.trace.as_ref().and_then(TraceContext::state),
        ])
        .map(drop)
}

/// Writes what can change in a run.
pub(super) fn update(connection: &Connection, run: &Run) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE runs SET message = ?2, shown = ?3, globals = ?4, state = ?5, due = ?6, expires = ?7, retries = ?8,
           attempt = ?9, deaths = ?10, redelivery = ?11, owner = ?12, epoch = ?13, begun = ?14, ended = ?15,
           output = ?16, kind = ?17, failure = ?18, sent = ?19, failed = ?20, uncertain = ?21
         WHERE id = ?1",
    )?;
    update
        .execute(params![
            run.id.as_str(),
            run.message,
            run.shown,
            run.globals,
            run.state.as_str(),
            run.due,
            run.expires,
            run.retries,
            run.attempt,
            run.deaths,
            run.redelivery,
            run.owner,
            run.epoch,
            run.begun,
            run.ended,
            run.output,
            run.failure.as_ref().map(|failure| &failure.kind),
            run.failure.as_ref().map(|failure| &failure.object),
            signed(run.counts.sent),
            signed(run.counts.failed),
            signed(run.counts.uncertain),
        ])
        .map(drop)
}

pub(super) fn accept(writing: &Writing<'_>, order: &NewRun, begin: bool) -> rusqlite::Result<Accepted> {
    let change = writing.change;
    if let Some(known) = with_key(change, &order.key)? {
        return Ok(if known.digest == order.digest {
            Accepted::Known(known)
        } else {
            Accepted::OtherContent(known.id)
        });
    }
    let document = &order.document;
    if order.unless_waiting {
        let mut waits = change.prepare_cached(WAITS)?;
        if waits.query_row([&document.pipeline], |row| row.get(0))? {
            return Ok(Accepted::Skipped);
        }
    }
    change
        .prepare_cached(
            "INSERT INTO documents (digest, pipeline, text, files) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            document.digest,
            document.pipeline,
            document.text,
            document.files
        ])?;
    let mut run = Run::new(order.clone(), writing.now);
    let has_room = match order.running_max {
        Some(most) => running(change, &document.pipeline)? < most,
        None => true,
    };
    let begin = begin && has_room && !is_paused(change, &document.pipeline)?;
    if begin {
        run.begin(writing.owner, writing.now);
    }
    insert(change, &run)?;
    Ok(if begin {
        Accepted::Begun(Lease { run })
    } else {
        Accepted::Queued(run)
    })
}

fn is_paused(change: &Connection, pipeline: &str) -> rusqlite::Result<bool> {
    change
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM schedules WHERE pipeline = ?1 AND paused)")?
        .query_row([pipeline], |row| row.get(0))
}

/// Whether a run of a pipeline waits. Without its name the index of all runs of the pipeline would be taken, and read whole.
const WAITS: &str =
    "SELECT EXISTS (SELECT 1 FROM runs INDEXED BY runs_queued WHERE state = 'queued' AND pipeline = ?1)";

/// What is due of a pipeline.
const DUE: &str = "SELECT id FROM runs INDEXED BY runs_queued
    WHERE state = 'queued' AND pipeline = ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3";

/// When something of a pipeline is due.
const FIRST_DUE: &str = "SELECT min(due) FROM runs INDEXED BY runs_queued WHERE state = 'queued' AND pipeline = ?1";

/// How many runs of a pipeline are under way.
const RUNNING: &str = "SELECT count(*) FROM runs INDEXED BY runs_running WHERE state = 'running' AND pipeline = ?1";

/// Counts the runs of a pipeline that are under way.
fn running(change: &Connection, pipeline: &str) -> rusqlite::Result<usize> {
    let count: i64 = change
        .prepare_cached(RUNNING)?
        .query_row([pipeline], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// The pipelines of which something waits, each found by one look into the index.
const WAITING: &str = "WITH RECURSIVE waiting (pipeline) AS (
      SELECT min(pipeline) FROM runs WHERE state = 'queued'
      UNION ALL
      SELECT (SELECT min(pipeline) FROM runs WHERE state = 'queued' AND pipeline > waiting.pipeline)
      FROM waiting WHERE waiting.pipeline IS NOT NULL
    )
    SELECT pipeline FROM waiting
    WHERE pipeline IS NOT NULL AND pipeline NOT IN (SELECT pipeline FROM schedules WHERE paused)";

fn waiting(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare_cached(WAITING)?;
    select.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn take(writing: &Writing<'_>, room: &Room) -> rusqlite::Result<Vec<Lease>> {
    let change = writing.change;
    let mut select = change.prepare_cached(DUE)?;
    let mut queues = Vec::new();
    for pipeline in waiting(change)? {
        let running = match room.shared.contains_key(&pipeline) {
            true => running(change, &pipeline)?,
            false => 0,
        };
        let most = i64::try_from(room.of_shared(&pipeline, running)).unwrap_or(i64::MAX);
        let due: Vec<String> = select
            .query_map(params![pipeline, writing.now, most], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        queues.push(due.into_iter());
    }
    let mut taken = Vec::new();
    while taken.len() < room.runs {
        let before = taken.len();
        for queue in &mut queues {
            if taken.len() < room.runs {
                taken.extend(queue.next());
            }
        }
        if taken.len() == before {
            break;
        }
    }
    let mut leases = Vec::with_capacity(taken.len());
    for id in taken {
        let Some(mut run) = one(change, "id = ?1", &id)? else {
            continue;
        };
        run.begin(writing.owner, writing.now);
        update(change, &run)?;
        leases.push(Lease { run });
    }
    Ok(leases)
}

/// As [`Run::account_goes_on`] says, without reading the messages.
pub(super) fn account_goes_on(writing: &Writing<'_>, label: &str, wait: AccountWait) -> rusqlite::Result<u64> {
    let mut update = writing.change.prepare_cached(
        "UPDATE runs INDEXED BY runs_queued SET due = ?1, retries = retries + 1
         WHERE state = 'queued' AND due > ?1 AND json_valid(failure)
           AND json_extract(failure, '$.remedy.kind') = ?2 AND json_extract(failure, '$.remedy.account') = ?3",
    )?;
    let count = update.execute(params![writing.now, wait.remedy(), label])?;
    Ok(count as u64)
}

/// Brings back the times of what waits and was written down while the clock was ahead.
fn follow_clock(writing: &Writing<'_>) -> rusqlite::Result<()> {
    let mut select = writing.change.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE state = 'queued' AND (accepted > ?1 OR begun > ?1)"
    ))?;
    let ahead: Vec<Run> = select
        .query_map([writing.now], read)?
        .collect::<rusqlite::Result<_>>()?;
    for mut run in ahead {
        if run.follow_clock(writing.now) {
            let mut accepted = writing
                .change
                .prepare_cached("UPDATE runs SET accepted = ?2 WHERE id = ?1")?;
            accepted.execute(params![run.id.as_str(), run.accepted])?;
            update(writing.change, &run)?;
        }
    }
    Ok(())
}

pub(super) fn recover(writing: &Writing<'_>) -> rusqlite::Result<Vec<Run>> {
    let change = writing.change;
    let mut select = change.prepare_cached("SELECT DISTINCT owner FROM runs WHERE state = 'running'")?;
    let owners: BTreeSet<Option<String>> = select
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let is_gone = |owner: &Option<String>| {
        owner
            .as_ref()
            .is_none_or(|owner| owner != writing.owner && !is_alive(writing.directory, owner))
    };
    follow_clock(writing)?;
    let mut recovered = Vec::new();
    for owner in owners.into_iter().filter(is_gone) {
        let mut select = change.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM runs WHERE state = 'running' AND owner IS ?1 ORDER BY id"
        ))?;
        let runs: Vec<Run> = select.query_map([owner], read)?.collect::<rusqlite::Result<_>>()?;
        for mut run in runs {
            run.recover(writing.now);
            update(change, &run)?;
            recovered.push(run);
        }
    }
    Ok(recovered)
}

pub(super) fn list(connection: &Connection, filter: &RunFilter) -> rusqlite::Result<Vec<Run>> {
    // Only the conditions that are asked for, so that an index can serve them.
    let mut conditions = vec!["1"];
    let mut values: Vec<Box<dyn rusqlite::ToSql>> = Vec::new();
    let mut when = |condition: &'static str, value: Option<Box<dyn rusqlite::ToSql>>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(|value| Box::new(value) as Box<dyn rusqlite::ToSql>);
    let moment = |value: Option<Moment>| value.map(|value| Box::new(value) as Box<dyn rusqlite::ToSql>);
    when("pipeline = ?", text(&filter.pipeline));
    when("state = ?", text(&filter.state.map(|state| state.as_str().to_owned())));
    when("kind = ?", text(&filter.kind));
    when("accepted >= ?", moment(filter.since));
    when("accepted < ?", moment(filter.until));
    when("id < ?", text(&filter.after.as_ref().map(|id| id.as_str().to_owned())));
    when(
        "instr(key || char(10) || coalesce(shown, message, ''), ?)",
        text(&filter.text),
    );
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    values.push(Box::new(limit));
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs WHERE {} ORDER BY id DESC LIMIT ?",
        conditions.join(" AND ")
    ))?;
    let values: Vec<&dyn rusqlite::ToSql> = values.iter().map(|value| &**value).collect();
    select.query_map(&*values, read)?.collect()
}

pub(super) fn document(connection: &Connection, digest: &str) -> rusqlite::Result<Option<Arc<PinnedDocument>>> {
    let mut select =
        connection.prepare_cached("SELECT digest, pipeline, text, files FROM documents WHERE digest = ?1")?;
    let read = |row: &Row<'_>| {
        Ok(Arc::new(PinnedDocument {
            digest: row.get(0)?,
            pipeline: row.get(1)?,
            text: row.get(2)?,
            files: row.get(3)?,
        }))
    };
    select.query_row([digest], read).optional()
}

pub(super) fn length(connection: &Connection, now: Moment) -> rusqlite::Result<QueueLength> {
    let count = |state: &str| -> rusqlite::Result<u64> {
        let mut select = connection.prepare_cached(&format!("SELECT count(*) FROM runs WHERE state = '{state}'"))?;
        select.query_row([], |row| whole(row, 0))
    };
    let mut first = connection.prepare_cached(FIRST_DUE)?;
    let mut next_due: Option<Moment> = None;
    for pipeline in waiting(connection)? {
        let due: Option<Moment> = first.query_row([pipeline], |row| row.get(0))?;
        next_due = next_due.into_iter().chain(due).min();
    }
    Ok(QueueLength {
        queued: count("queued")?,
        running: count("running")?,
        next_due,
        now,
    })
}

pub(super) fn forget(change: &Connection, payloads: Moment, runs: Moment) -> rusqlite::Result<u64> {
    let forgotten = change.execute(
        "DELETE FROM runs WHERE ended IS NOT NULL AND ended < ?1 AND state <> 'uncertain'",
        [runs],
    )?;
    change.execute(
        "UPDATE runs SET message = NULL, shown = NULL, globals = NULL, output = NULL
         WHERE ended IS NOT NULL AND ended < ?1 AND state <> 'uncertain' AND message IS NOT NULL",
        [payloads],
    )?;
    change.execute(
        "DELETE FROM documents WHERE NOT EXISTS (SELECT 1 FROM runs WHERE document = documents.digest)",
        [],
    )?;
    Ok(forgotten as u64)
}

pub(super) fn schedules(connection: &Connection) -> rusqlite::Result<Vec<ScheduleEntry>> {
    let mut select =
        connection.prepare_cached("SELECT pipeline, last, paused, missed, skipped FROM schedules ORDER BY pipeline")?;
    let read = |row: &Row<'_>| {
        Ok(ScheduleEntry {
            pipeline: row.get(0)?,
            last: row.get(1)?,
            paused: row.get(2)?,
            missed: whole(row, 3)?,
            skipped: whole(row, 4)?,
        })
    };
    select.query_map([], read)?.collect()
}

pub(super) fn note_schedule(change: &Connection, pipeline: &str, note: ScheduleNote) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO schedules (pipeline, last, missed, skipped) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pipeline) DO UPDATE SET
               last = max(coalesce(last, excluded.last), excluded.last), missed = missed + excluded.missed,
               skipped = skipped + excluded.skipped",
        )?
        .execute(params![pipeline, note.last, signed(note.missed), signed(note.skipped)])
        .map(drop)
}

pub(super) fn pause_pipeline(change: &Connection, pipeline: &str, paused: bool) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO schedules (pipeline, paused) VALUES (?1, ?2)
             ON CONFLICT (pipeline) DO UPDATE SET paused = excluded.paused",
        )?
        .execute(params![pipeline, paused])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file;

    #[test]
    fn what_is_asked_for_each_run_reads_nothing_of_what_has_ended() {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let connection = file::open(folder.path()).expect("a new state");
        for statement in [WAITS, RUNNING, WAITING, DUE, FIRST_DUE] {
            let mut select = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
                .expect("a statement");
            let nothing = vec![rusqlite::types::Null; select.parameter_count()];
            let plan: Vec<String> = select
                .query_map(rusqlite::params_from_iter(nothing), |row| row.get(3))
                .and_then(Iterator::collect)
                .expect("a plan");
            let of_runs = plan.iter().filter(|step| step.contains(" runs "));
            let all: Vec<&String> = of_runs
                .filter(|step| !["runs_queued", "runs_running"].iter().any(|index| step.contains(index)))
                .collect();
            assert!(all.is_empty(), "{statement}: {all:?}");
        }
    }
}
