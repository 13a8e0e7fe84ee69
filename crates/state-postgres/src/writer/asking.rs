//! The statements of a flight that carry many things at once: each thing is a place in a column.

use pipepost_state::ledger::PartOutcome;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

use super::pending::Pending;
use super::{Claiming, Closing, Look, Open};
use crate::statements::{CLAIM, CLOSE, ENTRIES_NAMED, NOTE, OPEN};

/// What a statement is given, with the types that it is given as.
pub(super) type Values<'v> = Vec<(&'v (dyn ToSql + Sync), Type)>;

/// The server's incarnation, as a statement names it.
pub(super) type Incarnation = Option<String>;

pub(super) async fn note(
    client: &Client,
    pending: &Pending,
    second: Option<i64>,
    synced: &str,
) -> Result<Incarnation, Error> {
    let mut settled = Settled::default();
    let mut uncommitted = (Vec::new(), Vec::new(), Vec::new());
    for (part, (tenure, outcome)) in &pending.settled {
        let number = number(part.number);
        let (state, output) = match outcome {
            // What is recorded of the message tells it.
            PartOutcome::Confirmed(_) if pending.recorded.contains_key(&part.key) => ("confirmed", None),
            PartOutcome::Confirmed(output) => ("confirmed", output.as_deref()),
            PartOutcome::Uncertain => ("uncertain", None),
            PartOutcome::NotCommitted => {
                uncommitted.0.push(part.key.as_str());
                uncommitted.1.push(number);
                uncommitted.2.push(tenure.epoch);
                continue;
            }
        };
        settled.keys.push(&part.key);
        settled.numbers.push(number);
        settled.executions.push(&tenure.execution);
        settled.epochs.push(tenure.epoch);
        settled.states.push(state);
        settled.outputs.push(output);
    }
    let mut ended = Ended::default();
    for (key, (tenure, digest, recorded)) in &pending.recorded {
        ended.keys.push(key);
        ended.executions.push(&tenure.execution);
        ended.epochs.push(tenure.epoch);
        ended.digests.push(digest);
        ended
            .outcomes
            .push(if recorded.uncertain { "uncertain" } else { "sent" });
        ended.outputs.push(&recorded.output);
        ended.remainders.push(recorded.remainder.as_deref());
    }
    let values: Values<'_> = vec![
        (&settled.keys, Type::TEXT_ARRAY),
        (&settled.numbers, Type::INT4_ARRAY),
        (&settled.executions, Type::TEXT_ARRAY),
        (&settled.epochs, Type::INT8_ARRAY),
        (&settled.states, Type::TEXT_ARRAY),
        (&settled.outputs, Type::TEXT_ARRAY),
        (&uncommitted.0, Type::TEXT_ARRAY),
        (&uncommitted.1, Type::INT4_ARRAY),
        (&uncommitted.2, Type::INT8_ARRAY),
        (&ended.keys, Type::TEXT_ARRAY),
        (&ended.executions, Type::TEXT_ARRAY),
        (&ended.epochs, Type::INT8_ARRAY),
        (&ended.digests, Type::TEXT_ARRAY),
        (&ended.outcomes, Type::TEXT_ARRAY),
        (&ended.outputs, Type::TEXT_ARRAY),
        (&ended.remainders, Type::TEXT_ARRAY),
        (&second, Type::INT8),
        (&synced, Type::TEXT),
    ];
    client.query_typed_one(NOTE, &values).await.map(|row| row.get(1))
}

/// Columns of parts that ended.
#[derive(Default)]
struct Settled<'p> {
    keys: Vec<&'p str>,
    numbers: Vec<i32>,
    executions: Vec<&'p str>,
    epochs: Vec<i64>,
    states: Vec<&'p str>,
    outputs: Vec<Option<&'p str>>,
}

/// Columns of messages that ended.
#[derive(Default)]
struct Ended<'p> {
    keys: Vec<&'p str>,
    executions: Vec<&'p str>,
    epochs: Vec<i64>,
    digests: Vec<&'p str>,
    outcomes: Vec<&'p str>,
    outputs: Vec<&'p str>,
    remainders: Vec<Option<&'p str>>,
}

pub(super) async fn close(
    client: &Client,
    closes: &[Closing],
    worker: &str,
    second: Option<i64>,
    synced: &str,
) -> Result<(i64, Incarnation), Error> {
    let keys: Vec<&str> = closes.iter().map(|closing| &*closing.tenure.execution).collect();
    let epochs: Vec<i64> = closes.iter().map(|closing| closing.tenure.epoch).collect();
    let values: Values<'_> = vec![
        (&keys, Type::TEXT_ARRAY),
        (&epochs, Type::INT8_ARRAY),
        (&worker, Type::TEXT),
        (&second, Type::INT8),
        (&synced, Type::TEXT),
    ];
    let row = client.query_typed_one(CLOSE, &values).await?;
    Ok((row.get(1), row.get(2)))
}

pub(super) async fn look(client: &Client, looks: &[Look]) -> Result<Vec<Row>, Error> {
    let keys: Vec<&String> = looks.iter().flat_map(|look| &look.keys).collect();
    let executions: Vec<&str> = looks.iter().map(|look| &*look.execution).collect();
    let values: Values<'_> = vec![(&keys, Type::TEXT_ARRAY), (&executions, Type::TEXT_ARRAY)];
    client.query_typed(ENTRIES_NAMED, &values).await
}

pub(super) async fn open(
    client: &Client,
    opens: &[Open],
    worker: &str,
    second: Option<i64>,
    synced: &str,
) -> Result<Vec<Row>, Error> {
    let keys: Vec<&str> = opens.iter().map(|open| &*open.execution).collect();
    let values: Values<'_> = vec![
        (&keys, Type::TEXT_ARRAY),
        (&worker, Type::TEXT),
        (&second, Type::INT8),
        (&synced, Type::TEXT),
    ];
    client.query_typed(OPEN, &values).await
}

pub(super) async fn claim(
    client: &Client,
    claims: &[Claiming],
    worker: &str,
    second: Option<i64>,
) -> Result<Vec<Row>, Error> {
    let (mut executions, mut epochs, mut numbers_of_claims) = (Vec::new(), Vec::new(), Vec::new());
    let (mut keys, mut numbers, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    let (mut in_doubt, mut reopened) = (Vec::new(), Vec::new());
    for (claiming, of_claim) in claims.iter().zip(0_i32..) {
        let claim = &claiming.claim;
        for ((part, digest), doubt) in claim.parts.iter().zip(&claim.digests).zip(&claim.in_doubt) {
            executions.push(&*claiming.tenure.execution);
            epochs.push(claiming.tenure.epoch);
            numbers_of_claims.push(of_claim);
            keys.push(part.key.as_str());
            numbers.push(number(part.number));
            digests.push(digest.as_str());
            in_doubt.push(doubt.as_deref());
            reopened.push(claim.reopened.contains(&part.key));
        }
    }
    let values: Values<'_> = vec![
        (&executions, Type::TEXT_ARRAY),
        (&epochs, Type::INT8_ARRAY),
        (&numbers_of_claims, Type::INT4_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&numbers, Type::INT4_ARRAY),
        (&digests, Type::TEXT_ARRAY),
        (&in_doubt, Type::TEXT_ARRAY),
        (&reopened, Type::BOOL_ARRAY),
        (&worker, Type::TEXT),
        (&second, Type::INT8),
        (&"on", Type::TEXT),
    ];
    client.query_typed(CLAIM, &values).await
}

/// A part's number. No message has two thousand million parts.
fn number(part: u32) -> i32 {
    i32::try_from(part).unwrap_or(i32::MAX)
}
