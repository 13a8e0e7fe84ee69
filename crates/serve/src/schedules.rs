//! Fires schedules: a time that comes is an order with a key of its own, so that one run comes of it whoever gives it.
//!
//! What fired last is in the state. After a time without a server, only the last time that passed starts a run, and only
//! if it is young; the others are counted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pipepost_state::StateError;
use pipepost_state::runs::{NewRun, RunOrigin, ScheduleEntry, ScheduleNote};
use serde_json::{Map, Value};

use crate::dispatcher::Submitted;
use crate::idempotency::ContentDigest;
use crate::pipelines::ServedPipeline;
use crate::service::Service;
use crate::trigger::{ScheduleStart, Start};
use crate::triggers::order;

/// How often it is looked whether a time has come, at least: the directory and the clock may change.
const TICK: Duration = Duration::from_secs(1);

/// What is known of a pipeline's schedule.
#[derive(Debug, Clone)]
struct Watched {
    /// Expression and zone.
    schedule: (String, String),
    /// Every time up to this one is dealt with.
    last: Timestamp,
}

/// Fires what is due, until the service ends.
pub(crate) async fn work(service: Arc<Service>) {
    let mut watched: HashMap<String, Watched> = HashMap::new();
    let mut is_waiting = false;
    while !service.dispatcher().is_draining() {
        let ticked = tick(&service, &mut watched, Timestamp::now()).await;
        if let (Err(error), false) = (&ticked, is_waiting) {
            tracing::error!(%error, "schedules wait for the state");
        }
        is_waiting = ticked.is_err();
        tokio::time::sleep(pause(&service, &watched)).await;
    }
}

/// How long nothing is due, and no longer than a tick.
fn pause(service: &Service, watched: &HashMap<String, Watched>) -> Duration {
    let now = Timestamp::now();
    let directory = service.pipelines.current();
    let next = directory.pipelines.values().filter_map(|pipeline| {
        let last = watched.get(&pipeline.name)?.last;
        schedule_of(pipeline)?.schedule.next_after(last)
    });
    let until = match next.min() {
        // A time that has passed since is due at once.
        Some(next) => Duration::try_from(next.duration_since(now)).unwrap_or_default(),
        None => TICK,
    };
    until.clamp(Duration::from_millis(1), TICK)
}

fn schedule_of(pipeline: &ServedPipeline) -> Option<&ScheduleStart> {
    match &pipeline.trigger.start {
        Start::Schedule(schedule) => Some(schedule),
        _ => None,
    }
}

/// Fires what is due now.
async fn tick(
    service: &Arc<Service>,
    watched: &mut HashMap<String, Watched>,
    now: Timestamp,
) -> Result<(), StateError> {
    let directory = service.pipelines.current();
    watched.retain(|name, _| directory.pipelines.contains_key(name));
    let scheduled: Vec<_> = directory
        .pipelines
        .values()
        .filter_map(|pipeline| schedule_of(pipeline).map(|schedule| (pipeline, schedule)))
        .collect();
    if scheduled.is_empty() {
        return Ok(());
    }
    let mut entries: Option<HashMap<String, ScheduleEntry>> = None;
    for (pipeline, start) in scheduled {
        let name = &pipeline.name;
        let schedule = (start.schedule.expression().to_owned(), start.schedule.zone().to_owned());
        let last = match watched.get(name).filter(|known| known.schedule == schedule) {
            // A clock that was set back must not silence it. What fired for a time before has that time's key.
            Some(known) => known.last.min(now),
            None => {
                let is_changed = watched.contains_key(name);
                let known = known_last(service, name).await?;
                // A schedule that is new, or another one now, begins now.
                let last = known.filter(|_| !is_changed).unwrap_or(now).min(now);
                let note = ScheduleNote {
                    last: last.as_microsecond(),
                    missed: 0,
                    skipped: 0,
                };
                service.runs.note_schedule(name, note).await?;
                // An alert can see the first change only from a zero.
                service.metrics.show_pipeline(name, true);
                watched.insert(
                    name.clone(),
                    Watched {
                        schedule: schedule.clone(),
                        last,
                    },
                );
                last
            }
        };
        let due = start.schedule.due(last, now);
        if due.fire.is_none() && due.missed == 0 {
            continue;
        }
        if entries.is_none() {
            let listed = service.runs.schedules().await?;
            entries = Some(
                listed
                    .into_iter()
                    .map(|entry| (entry.pipeline.clone(), entry))
                    .collect(),
            );
        }
        let entry = entries.as_ref().and_then(|entries| entries.get(name));
        // A server that stood still has missed nothing of what another one fired meanwhile. What is to come was written by a
        // clock that was set back since.
        let fired = entry.and_then(|entry| Timestamp::from_microsecond(entry.last?).ok());
        let last = fired
            .filter(|fired| *fired <= now)
            .map_or(last, |fired| fired.max(last));
        let due = start.schedule.due(last, now);
        if due.fire.is_none() && due.missed == 0 {
            watched.insert(name.clone(), Watched { schedule, last });
            continue;
        }
        let is_paused = entry.is_some_and(|entry| entry.paused);
        let mut note = ScheduleNote {
            last: now.as_microsecond(),
            missed: due.missed,
            skipped: 0,
        };
        match due.fire {
            Some(_) if is_paused => {}
            Some(time) => {
                note.last = time.as_microsecond();
                if let Submitted::Skipped = service.dispatcher.submit(order_at(pipeline, start, time)).await? {
                    note.skipped = 1;
                    tracing::warn!(pipeline = name, %time, "an earlier run still waits; this time is skipped");
                }
            }
            None => {}
        }
        service.metrics.count_missed(name, note.missed);
        if note.skipped > 0 {
            service.metrics.count_skipped(name);
        }
        if due.missed > 0 {
            tracing::warn!(pipeline = name, count = due.missed, "times passed while nothing ran");
        }
        service.runs.note_schedule(name, note).await?;
        let last = Timestamp::from_microsecond(note.last).unwrap_or(now);
        watched.insert(name.clone(), Watched { schedule, last });
    }
    Ok(())
}

/// The time for which a schedule fired last, as the state has it.
async fn known_last(service: &Service, name: &str) -> Result<Option<Timestamp>, StateError> {
    let entries = service.runs.schedules().await?;
    let last = entries
        .into_iter()
        .find(|entry| entry.pipeline == name)
        .and_then(|entry| entry.last);
    Ok(last.and_then(|last| Timestamp::from_microsecond(last).ok()))
}

/// The run of a pipeline for a time.
fn order_at(pipeline: &ServedPipeline, start: &ScheduleStart, time: Timestamp) -> NewRun {
    let key = format!("schedule/{}/{time}", pipeline.name);
    let digest = ContentDigest::of_parts(&[key.as_bytes()]);
    NewRun {
        key,
        unless_waiting: !start.concurrent,
        ..order(
            pipeline,
            None,
            &digest,
            RunOrigin::Schedule,
            &Value::Object(Map::new()),
            true,
        )
    }
}
