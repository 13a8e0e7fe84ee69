//! The runs of one process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Accepted, AccountWait, Decided, Lease, NewRun, PinnedDocument, QueueAgain, QueueLength, Room, Run, RunEnd,
    RunFailure, RunFilter, RunId, RunState, RunStore, ScheduleEntry, ScheduleNote,
};
use crate::Answer;
use crate::clock::{Clock, Moment};
use crate::error::StateError;

/// The only performer.
const OWNER: &str = "memory";

/// Runs that live as long as their process.
#[derive(Debug)]
pub(crate) struct MemoryRuns {
    clock: Arc<dyn Clock>,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    runs: BTreeMap<RunId, Run>,
    by_key: HashMap<String, RunId>,
    documents: HashMap<String, Arc<PinnedDocument>>,
    schedules: BTreeMap<String, ScheduleEntry>,
}

impl MemoryRuns {
    pub(crate) fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, lease: &Lease, act: impl FnOnce(&mut Run, Moment)) -> bool {
        let now = self.clock.now();
        let mut rows = self.rows();
        match rows.runs.get_mut(&lease.run.id).filter(|run| run.is_held_by(lease)) {
            Some(run) => {
                act(run, now);
                true
            }
            None => false,
        }
    }

    fn decide(&self, id: &RunId, act: impl FnOnce(&mut Run, Moment) -> bool) -> Decided {
        let now = self.clock.now();
        match self.rows().runs.get_mut(id) {
            None => Decided::Unknown,
            Some(run) => {
                if act(run, now) {
                    Decided::Done(run.clone())
                } else {
                    Decided::NotNow(run.clone())
                }
            }
        }
    }
}

impl Rows {
    fn accept(&mut self, order: NewRun, begin: bool, now: Moment) -> Accepted {
        if let Some(known) = self.by_key.get(&order.key).and_then(|id| self.runs.get(id)) {
            return if known.digest == order.digest {
                Accepted::Known(known.clone())
            } else {
                Accepted::OtherContent(known.id.clone())
            };
        }
        let waits = |run: &Run| run.state == RunState::Queued && run.pipeline == order.document.pipeline;
        if order.unless_waiting && self.runs.values().any(waits) {
            return Accepted::Skipped;
        }
        let document = Arc::clone(&order.document);
        self.documents.entry(document.digest.clone()).or_insert(document);
        let running_max = order.running_max;
        let mut run = Run::new(order, now);
        let has_room = running_max.is_none_or(|most| self.running(&run.pipeline) < most);
        let begin = begin && has_room && !self.is_paused(&run.pipeline);
        if begin {
            run.begin(OWNER, now);
        }
        self.by_key.insert(run.key.clone(), run.id.clone());
        self.runs.insert(run.id.clone(), run.clone());
        if begin {
            Accepted::Begun(Lease { run })
        } else {
            Accepted::Queued(run)
        }
    }

    fn is_paused(&self, pipeline: &str) -> bool {
        self.schedules.get(pipeline).is_some_and(|schedule| schedule.paused)
    }

    fn running(&self, pipeline: &str) -> usize {
        let runs = self.runs.values();
        runs.filter(|run| run.state == RunState::Running && run.pipeline == pipeline)
            .count()
    }

    fn take(&mut self, room: &Room, now: Moment) -> Vec<Lease> {
        let mut due: BTreeMap<&str, Vec<(Moment, &RunId)>> = BTreeMap::new();
        let waiting = self.runs.values().filter(|run| run.state == RunState::Queued);
        for run in waiting.filter(|run| run.due <= now && !self.is_paused(&run.pipeline)) {
            due.entry(&run.pipeline).or_default().push((run.due, &run.id));
        }
        let mut queues: Vec<_> = due
            .into_iter()
            .map(|(pipeline, mut runs)| {
                runs.sort();
                runs.truncate(room.of_shared(pipeline, self.running(pipeline)));
                runs.into_iter()
                    .map(|(_, id)| id.clone())
                    .collect::<Vec<_>>()
                    .into_iter()
            })
            .collect();
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
        let begin = |id: RunId| {
            let run = self.runs.get_mut(&id)?;
            run.begin(OWNER, now);
            Some(Lease { run: run.clone() })
        };
        taken.into_iter().filter_map(begin).collect()
    }

    fn list(&self, filter: &RunFilter) -> Vec<Run> {
        let fits = |run: &&Run| {
            let text = |text: &String| run.key.contains(text) || run.shown().is_some_and(|shown| shown.contains(text));
            filter.pipeline.as_ref().is_none_or(|name| *name == run.pipeline)
                && filter.state.is_none_or(|state| state == run.state)
                && filter.kind.as_ref().is_none_or(|kind| {
                    let found = run.failure.as_ref().map(|failure| &failure.kind);
                    found == Some(kind)
                })
                && filter.since.is_none_or(|since| run.accepted >= since)
                && filter.until.is_none_or(|until| run.accepted < until)
                && filter.text.as_ref().is_none_or(text)
                && filter.after.as_ref().is_none_or(|after| run.id < *after)
        };
        let newest_first = self.runs.values().rev();
        newest_first.filter(fits).take(filter.limit).cloned().collect()
    }

    fn length(&self, now: Moment) -> QueueLength {
        let in_state = |state| self.runs.values().filter(move |run| run.state == state);
        QueueLength {
            queued: in_state(RunState::Queued).count() as u64,
            running: in_state(RunState::Running).count() as u64,
            next_due: in_state(RunState::Queued)
                .filter(|run| !self.is_paused(&run.pipeline))
                .map(|run| run.due)
                .min(),
            now,
        }
    }

    fn forget(&mut self, payloads: Moment, runs: Moment) -> u64 {
        let before = self.runs.len();
        let ended = |run: &Run, moment: Moment| {
            run.state != RunState::Uncertain && run.ended.is_some_and(|ended| ended < moment)
        };
        self.runs.retain(|_, run| !ended(run, runs));
        for run in self.runs.values_mut().filter(|run| ended(run, payloads)) {
            run.forget_payloads();
        }
        let kept = &self.runs;
        self.by_key.retain(|_, id| kept.contains_key(id));
        let used: BTreeSet<&String> = self.runs.values().map(|run| &run.document).collect();
        self.documents.retain(|digest, _| used.contains(digest));
        (before - self.runs.len()) as u64
    }

    fn schedule(&mut self, pipeline: &str) -> &mut ScheduleEntry {
        let new = || ScheduleEntry {
            pipeline: pipeline.to_owned(),
            ..ScheduleEntry::default()
        };
        self.schedules.entry(pipeline.to_owned()).or_insert_with(new)
    }
}

/// Nothing in memory has to wait.
fn at_once<'a, T: Send + 'a>(value: T) -> Answer<'a, Result<T, StateError>> {
    Box::pin(ready(Ok(value)))
}

impl RunStore for MemoryRuns {
    fn serve(&self) -> Answer<'_, Result<(), StateError>> {
        at_once(())
    }

    fn accept(&self, run: NewRun, begin: bool) -> Answer<'_, Result<Accepted, StateError>> {
        at_once(self.rows().accept(run, begin, self.clock.now()))
    }

    fn take(&self, room: Room) -> Answer<'_, Result<Vec<Lease>, StateError>> {
        at_once(self.rows().take(&room, self.clock.now()))
    }

    fn finish<'s>(&'s self, lease: &'s Lease, end: RunEnd) -> Answer<'s, Result<bool, StateError>> {
        at_once(self.ended(lease, |run, now| run.finish(end, now)))
    }

    fn queue_again<'s>(&'s self, lease: &'s Lease, again: QueueAgain) -> Answer<'s, Result<bool, StateError>> {
        at_once(self.ended(lease, |run, now| run.queue_again(again, now)))
    }

    fn recover(&self) -> Answer<'_, Result<Vec<Run>, StateError>> {
        let now = self.clock.now();
        for run in self.rows().runs.values_mut() {
            run.follow_clock(now);
        }
        // The only performer is here.
        at_once(Vec::new())
    }

    fn cancel<'s>(&'s self, id: &'s RunId, failure: Option<RunFailure>) -> Answer<'s, Result<Decided, StateError>> {
        at_once(self.decide(id, |run, now| run.cancel(failure, now)))
    }

    fn hasten<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        at_once(self.decide(id, Run::hasten))
    }

    fn account_goes_on<'s>(&'s self, label: &'s str, wait: AccountWait) -> Answer<'s, Result<u64, StateError>> {
        let now = self.clock.now();
        let mut rows = self.rows();
        let runs = rows.runs.values_mut();
        at_once(runs.map(|run| u64::from(run.account_goes_on(label, wait, now))).sum())
    }

    fn resume<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Decided, StateError>> {
        at_once(self.decide(id, Run::resume))
    }

    fn run<'s>(&'s self, id: &'s RunId) -> Answer<'s, Result<Option<Run>, StateError>> {
        at_once(self.rows().runs.get(id).cloned())
    }

    fn with_key<'s>(&'s self, key: &'s str) -> Answer<'s, Result<Option<Run>, StateError>> {
        let rows = self.rows();
        let found = rows.by_key.get(key).and_then(|id| rows.runs.get(id)).cloned();
        at_once(found)
    }

    fn list(&self, filter: RunFilter) -> Answer<'_, Result<Vec<Run>, StateError>> {
        at_once(self.rows().list(&filter))
    }

    fn document<'s>(&'s self, digest: &'s str) -> Answer<'s, Result<Option<Arc<PinnedDocument>>, StateError>> {
        at_once(self.rows().documents.get(digest).cloned())
    }

    fn length(&self) -> Answer<'_, Result<QueueLength, StateError>> {
        at_once(self.rows().length(self.clock.now()))
    }

    fn forget(&self, payloads: Moment, runs: Moment) -> Answer<'_, Result<u64, StateError>> {
        at_once(self.rows().forget(payloads, runs))
    }

    fn schedules(&self) -> Answer<'_, Result<Vec<ScheduleEntry>, StateError>> {
        at_once(self.rows().schedules.values().cloned().collect())
    }

    fn note_schedule<'s>(&'s self, pipeline: &'s str, note: ScheduleNote) -> Answer<'s, Result<(), StateError>> {
        let mut rows = self.rows();
        let entry = rows.schedule(pipeline);
        entry.last = Some(entry.last.map_or(note.last, |last| last.max(note.last)));
        entry.missed += note.missed;
        entry.skipped += note.skipped;
        at_once(())
    }

    fn pause_pipeline<'s>(&'s self, pipeline: &'s str, paused: bool) -> Answer<'s, Result<(), StateError>> {
        self.rows().schedule(pipeline).paused = paused;
        at_once(())
    }
}
