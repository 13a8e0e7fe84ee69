//! One instance: the state that its imports use, its limits, and the run of one batch in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use pipepost_accounts::PublicView;
use pipepost_core::shutdown::ShutdownToken;
use pipepost_core::{Failure, FailureKind, Limits};
use pipepost_net::{ConnectionPermit, TransportGrant};
use pipepost_state::ledger::Ledger;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline, WasmCoreDump};

use super::commit_tracker::{CallEnd, CommitTracker};
use super::config::{MemoryDumps, StopReason, TICK};
use super::contract::latest::outcomes::Stop;
use super::contract::{Call, ConnectorInstance, Manifest};
use super::kept::{KeptBudget, values};
use super::permit::{Permit, PermitInUse, SendPermit};
use super::{Component, Engine, LoadError, connections, cpu_budget};
use crate::files::RunFiles;

/// What the imports of one instance work on.
pub(crate) struct StoreData {
    pub(super) limits: Limits,
    pub(super) table: ResourceTable,
    memory: MemoryLimit,
    cpu: CpuMeter,
    /// None while the instance only describes itself: then every import refuses.
    pub(super) batch: Option<BatchState>,
}

/// What an instance was granted for its batch.
pub(super) struct BatchState {
    pub(super) tracker: CommitTracker,
    /// What the connector may still have kept.
    pub(super) kept: KeptBudget,
    pub(super) transport: Option<TransportGrant>,
    pub(super) files: Arc<RunFiles>,
    pub(super) ending: ShutdownToken,
    /// What its account may send; none where no account sends.
    pub(super) permit: Option<PermitInUse>,
    /// The server's reply to a sign-in that it refused.
    pub(super) refused_sign_in: Option<Vec<u8>>,
    pub(super) connector: Arc<str>,
    pub(super) log_lines: u32,
    pub(super) log: Option<LogSink>,
    pub(super) new_file_bytes: u64,
    /// Its right to a connection; none for a connector without connections.
    pub(super) seat: Option<ConnectionPermit>,
    /// Held while it has a place in the engine and no right to a connection yet.
    pub(super) ahead: Option<OwnedSemaphorePermit>,
    /// One live connection at a time.
    pub(super) has_connection: bool,
    /// Messages that the server has confirmed on the connection that was opened last.
    pub(super) carried: Option<Arc<AtomicU32>>,
    /// Connections that may still be opened.
    pub(super) connections_left: u32,
    /// How many messages a crash may make uncertain.
    pub(super) uncertain_max: usize,
    /// Told of each call as it settles.
    pub(super) on_settled: Option<Box<dyn FnMut(u32) + Send>>,
}

impl BatchState {
    /// Whether a connection can be opened without waiting for another batch to end.
    pub(super) fn is_seated(&mut self) -> bool {
        if self.is_ahead()
            && let Some(seat) = self.transport.as_ref().and_then(TransportGrant::try_acquire)
        {
            self.take(seat);
        }
        !self.is_ahead()
    }

    fn is_ahead(&self) -> bool {
        self.seat.as_ref().is_some_and(|seat| seat.is_prefetch)
    }

    pub(super) fn take(&mut self, seat: ConnectionPermit) {
        self.seat = Some(seat);
        self.ahead = None;
    }

    /// The server refused this connection: where others of the account live, the messages wait for one of them.
    pub(super) fn turned_away(&mut self) {
        if let (Some(transport), Some(seat)) = (&self.transport, &mut self.seat)
            && !seat.is_prefetch
            && transport.lower()
        {
            seat.give_up();
        }
    }

    /// How many parts may be claimed ahead of their announcement now.
    pub(super) fn room_ahead(&self) -> usize {
        if self.ending.is_requested() {
            return 0;
        }
        self.tracker.room_ahead(self.uncertain_max)
    }

    /// The account's limits are asked first: what must wait or stay is not announced.
    pub(super) async fn committing(&mut self, parts: &[(u32, u32)]) -> Result<Result<(), Stop>, String> {
        if let Some(permit) = &mut self.permit {
            match permit.admit(parts, &self.ending).await {
                Permit::Granted => {}
                Permit::Held => return Ok(Err(Stop::Paused)),
                Permit::Ending => return Ok(Err(Stop::Ending)),
            }
        }
        let answer = self.tracker.committing(parts).await;
        if !matches!(answer, Ok(Ok(()))) {
            parts.iter().for_each(|part| self.ended(*part));
        }
        answer
    }

    pub(super) fn ended(&mut self, part: (u32, u32)) {
        if let Some(permit) = &mut self.permit {
            permit.ended(part);
        }
    }
}

impl StoreData {
    fn new(limits: &Limits, cpu: Duration, batch: Option<BatchState>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Self {
            limits: limits.clone(),
            table,
            memory: MemoryLimit {
                bytes: limits.memory,
                hit: false,
            },
            cpu: CpuMeter::new(cpu),
            batch,
        }
    }

    /// The host has worked for the instance since `began`: that time is not the instance's.
    pub(super) fn host_worked(&mut self, began: Instant) {
        self.cpu.host += began.elapsed();
    }
}

/// Charges to the instance the time that passes while it runs, less what the host takes to answer it.
///
/// It is the time of the answers that is left out, and not the ticks in which there were any: an instance that calls its
/// host for nothing again and again, and works between the calls, pays for its work.
#[derive(Debug)]
struct CpuMeter {
    used: Duration,
    budget: Duration,
    /// The last tick that was charged.
    since: Instant,
    /// What the host took of the time since.
    host: Duration,
}

impl CpuMeter {
    fn new(budget: Duration) -> Self {
        Self {
            used: Duration::ZERO,
            budget: budget.max(TICK),
            since: Instant::now(),
            host: Duration::ZERO,
        }
    }

    /// Called as the epoch advances. Answers whether the instance may go on.
    fn tick(&mut self) -> bool {
        self.charge(Instant::now());
        self.used <= self.budget
    }

    fn charge(&mut self, now: Instant) {
        let ran = now.duration_since(self.since).saturating_sub(self.host);
        // What is beyond a tick went to other instances, or to whatever else the machine does.
        self.used += ran.min(TICK);
        self.since = now;
        self.host = Duration::ZERO;
    }
}

/// Bounds the linear memory and remembers that it did.
#[derive(Debug)]
struct MemoryLimit {
    bytes: usize,
    hit: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= self.bytes;
        self.hit |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }
}

/// The instance used up its CPU time.
#[derive(Debug, thiserror::Error)]
#[error("it used more CPU time than it may")]
struct CpuExhausted;

/// The connector broke the contract in a way that only a fault or malice explains.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ContractViolation(pub(super) String);

fn store(engine: &Engine, component: &Component, cpu: Duration, batch: Option<BatchState>) -> Store<StoreData> {
    let mut store = Store::new(&component.wasmtime, StoreData::new(&engine.inner.limits, cpu, batch));
    store.limiter(|data| &mut data.memory);
    // What one call may carry over: its greatest text, and the small things beside it.
    store.set_hostcall_fuel(engine.inner.limits.json.saturating_add(SMALL_THINGS_BYTES));
    store.set_epoch_deadline(1);
    if engine.inner.fuel_meter.is_some() && store.set_fuel(u64::MAX).is_err() {
        tracing::warn!("this engine counts no fuel");
    }
    store.epoch_deadline_callback(|mut context| {
        if context.data_mut().cpu.tick() {
            Ok(UpdateDeadline::Yield(1))
        } else {
            Err(CpuExhausted.into())
        }
    });
    store
}

/// How many messages may become uncertain together where the account states no number: the window of a connection.
const UNCERTAIN_MAX: usize = 16;

/// Bytes that one call to the host may carry besides its greatest text: lists of parts, names, sentences.
const SMALL_THINGS_BYTES: usize = 4 << 20;

pub(super) async fn describe(engine: &Engine, component: &Component) -> Result<Manifest, LoadError> {
    let _place = place(engine).await;
    let mut store = store(engine, component, engine.inner.limits.cpu, None);
    let limits = &engine.inner.limits;
    store.set_hostcall_fuel(limits.manifest);
    let failed = |error: wasmtime::Error| LoadError::Describe(error.root_cause().to_string());
    let instance = component.pre.instantiate(&mut store).await.map_err(failed)?;
    let manifest = instance.describe(&mut store).await.map_err(failed)?;
    check_manifest(&manifest, limits).map_err(LoadError::Describe)?;
    Ok(instance.complete(manifest))
}

/// Nothing of a manifest is longer than people read or a checker walks in no time.
fn check_manifest(manifest: &Manifest, limits: &Limits) -> Result<(), String> {
    let names = manifest.aliases.iter().chain(&manifest.account_types);
    if names.clone().count() > limits.manifest_names {
        return Err(format!(
            "it lists more than {} aliases and account types",
            limits.manifest_names
        ));
    }
    let texts = [&manifest.name, &manifest.version, &manifest.summary];
    if let Some(text) = texts
        .into_iter()
        .chain(names)
        .find(|text| text.len() > limits.manifest_text)
    {
        return Err(format!(
            "a name, version or summary has {} bytes, more than {}",
            text.len(),
            limits.manifest_text
        ));
    }
    for (what, schema) in [("parameters", &manifest.parameters), ("output", &manifest.output)] {
        match values(schema) {
            Some(count) if count > limits.schema_values => {
                return Err(format!(
                    "its schema of the {what} holds {count} JSON values, more than {}",
                    limits.schema_values
                ));
            }
            // What is not JSON is said where it is read.
            _ => {}
        }
    }
    Ok(())
}

/// A place among the account's connections, before one in the engine: an instance that waited for a connection would hold
/// a place that another with a connection needs. A few may begin all the same, and make their messages while they wait.
async fn seat(
    engine: &Engine,
    transport: Option<&TransportGrant>,
) -> (Option<ConnectionPermit>, Option<OwnedSemaphorePermit>) {
    let Some(transport) = transport else {
        return (None, None);
    };
    if let Some(seat) = transport.try_acquire() {
        return (Some(seat), None);
    }
    if let Some(seat) = transport.try_acquire_prefetch()
        && let Ok(ahead) = Arc::clone(&engine.inner.ahead).try_acquire_owned()
    {
        return (Some(seat), Some(ahead));
    }
    (transport.acquire().await, None)
}

async fn place(engine: &Engine) -> Option<OwnedSemaphorePermit> {
    // The semaphore is never closed; without a permit the pool itself would refuse.
    Arc::clone(&engine.inner.places).acquire_owned().await.ok()
}

/// The calls for one connector, of one step, one account and one run.
pub struct Batch {
    /// The connector's name, for logs and messages.
    pub connector: Arc<str>,
    /// The account as the connector sees it.
    pub account: Option<PublicView>,
    /// The calls to perform.
    pub calls: Vec<Call>,
    /// The right to a connection; none: the connector gets no connection.
    pub transport: Option<TransportGrant>,
    /// What the account may send; none where nothing is counted.
    pub permit: Option<Arc<dyn SendPermit>>,
    /// The files of the run.
    pub files: Arc<RunFiles>,
    /// The ledger in which each commit is recorded before its bytes leave.
    pub ledger: Arc<dyn Ledger>,
    /// A token that ends when the run does.
    pub ending: ShutdownToken,
    /// Receives the lines that the connector logs, if anybody wants them.
    pub log: Option<LogSink>,
}

/// Receives a line that a connector logs: its level, and its text without control characters.
pub type LogSink = Arc<dyn Fn(LineLevel, &str) + Send + Sync>;

/// The level of a line that a connector logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineLevel {
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
}

/// The result of a batch.
#[derive(Default)]
pub struct BatchEnd {
    /// The end of each call, by the call's number.
    pub calls: HashMap<u32, CallEnd>,
    /// The server's reply to a sign-in that it refused.
    pub refused_sign_in: Option<Vec<u8>>,
    /// The instance was stopped before it was done.
    was_stopped: bool,
}

/// Runs a batch in a new instance. Each call has exactly one end in the result.
///
/// After a trap, the calls of which nothing was announced run again one by one, each in its own instance. So what one
/// message does to the connector does not affect the other messages.
pub async fn run_batch(
    engine: &Engine,
    component: &Component,
    batch: Batch,
    mut on_settled: impl FnMut(u32) + Send + Clone + 'static,
) -> BatchEnd {
    let mut end = perform(engine, component, &batch, &batch.calls, on_settled.clone()).await;
    if end.was_stopped && batch.calls.len() > 1 {
        for call in &batch.calls {
            let untouched = end.calls.get(&call.id).is_none_or(|end| !end.settled && !end.announced);
            if untouched && !batch.ending.is_requested() {
                let alone = std::slice::from_ref(call);
                let solo = perform(engine, component, &batch, alone, on_settled.clone()).await;
                end.calls.extend(solo.calls);
                end.refused_sign_in = solo.refused_sign_in.or(end.refused_sign_in);
                on_settled(call.id);
            }
        }
    }
    end
}

/// Performs some of a batch's calls in one instance.
async fn perform(
    engine: &Engine,
    component: &Component,
    batch: &Batch,
    calls: &[Call],
    on_settled: impl FnMut(u32) + Send + 'static,
) -> BatchEnd {
    let keys = calls.iter().map(|call| (call.id, call.key.clone()));
    let tracker = CommitTracker::new(Arc::clone(&batch.ledger), keys, component.holds_connections());
    let parameters = calls.iter().map(|call| call.parameters.len()).sum();
    let kept = KeptBudget::new(&engine.inner.limits, parameters);
    let cpu = cpu_budget(&engine.inner.limits, calls.len());
    let (seat, ahead) = seat(engine, batch.transport.as_ref()).await;
    let _place = place(engine).await;
    let state = BatchState {
        tracker,
        kept,
        permit: batch.permit.clone().map(PermitInUse::new),
        refused_sign_in: None,
        transport: batch.transport.clone(),
        files: Arc::clone(&batch.files),
        ending: batch.ending.clone(),
        connector: Arc::clone(&batch.connector),
        log_lines: 0,
        log: batch.log.clone(),
        new_file_bytes: 0,
        seat,
        ahead,
        has_connection: false,
        carried: None,
        connections_left: connections(&engine.inner.limits, calls.len()),
        uncertain_max: batch
            .account
            .as_ref()
            .and_then(|account| account.max_uncertain)
            .map_or(UNCERTAIN_MAX, |most| most as usize),
        on_settled: Some(Box::new(on_settled)),
    };
    let mut store = store(engine, component, cpu, Some(state));
    let performing = async {
        let made = component.pre.instantiate(&mut store).await;
        let instance = made.map_err(|error| {
            let is_its_own = error.is::<wasmtime::Trap>() || store.data().memory.hit;
            if is_its_own { error } else { error.context(NoRoom) }
        })?;
        instance.perform(&mut store, batch.account.as_ref(), calls).await?;
        Ok(instance)
    };
    // Past the grace nothing is waited for: the store goes, and its connection with it.
    let result = tokio::select! {
        result = performing => Some(result),
        () = batch.ending.grace_over() => None,
    };
    let stopped = match &result {
        Some(Ok(_)) => Failure::new(
            FailureKind::Limit,
            format!(
                "The connector `{}` ended without saying how this went.",
                batch.connector
            ),
        ),
        Some(Err(error)) => {
            let (reason, failure) = explain_stop(&batch.connector, error, &store);
            if let Some(observer) = &engine.inner.observer {
                observer.stopped(&batch.connector, reason);
            }
            failure
        }
        None => Failure::new(FailureKind::Limit, "The run ended before this was done."),
    };
    if let (Some(meter), Ok(left)) = (&engine.inner.fuel_meter, store.get_fuel()) {
        meter.tell(&batch.connector, u64::MAX - left);
    }
    let was_stopped = !matches!(result, Some(Ok(_)));
    if was_stopped {
        tracing::warn!(connector = %batch.connector, "{stopped}");
    }
    if let (Some(dumps), Some(result)) = (&engine.inner.memory_dumps, result) {
        let stopped = match result {
            Ok(instance) => enter_and_stop(&mut store, &instance).await,
            Err(error) => Some(error),
        };
        show_memory(dumps, &batch.connector, stopped.as_ref(), &store);
    }
    let Some(batch) = store.into_data().batch else {
        return BatchEnd::default();
    };
    BatchEnd {
        calls: batch.tracker.close(&stopped),
        refused_sign_in: batch.refused_sign_in,
        was_stopped,
    }
}

/// Enters an instance that is done once more, and stops it before its first instruction: only a trap leaves a core dump.
async fn enter_and_stop(store: &mut Store<StoreData>, instance: &ConnectorInstance) -> Option<wasmtime::Error> {
    store.epoch_deadline_trap();
    store.set_epoch_deadline(0);
    instance.describe(store).await.err()
}

fn show_memory(dumps: &MemoryDumps, connector: &str, stopped: Option<&wasmtime::Error>, store: &Store<StoreData>) {
    let Some(dump) = stopped.and_then(|error| error.downcast_ref::<WasmCoreDump>()) else {
        tracing::warn!(connector, "there is no core dump to show the memory of");
        return;
    };
    for memory in dump.memories() {
        dumps.show(connector, memory.data(store));
    }
}

/// The system has no room for an instance, which is not the connector's doing.
#[derive(Debug, thiserror::Error)]
#[error("there is no room for it")]
struct NoRoom;

/// Why an instance was stopped, and the same as a sentence.
fn explain_stop(connector: &str, error: &wasmtime::Error, store: &Store<StoreData>) -> (StopReason, Failure) {
    let data = store.data();
    let limit = |reason: StopReason, message: String| {
        let failure = Failure::new(FailureKind::Limit, message)
            .advise("The run and the other connectors go on; the connector's author has to mend this.");
        (reason, failure)
    };
    if error.is::<CpuExhausted>() {
        let message = format!("The connector `{connector}` was stopped: it used more CPU time than it may.");
        return limit(StopReason::Cpu, message);
    }
    if let Some(ContractViolation(what)) = error.downcast_ref::<ContractViolation>() {
        let message = format!("The connector `{connector}` was stopped: {what}.");
        return limit(StopReason::Contract, message);
    }
    if data.memory.hit && error.is::<wasmtime::Trap>() {
        let mebibytes = data.limits.memory >> 20;
        let message =
            format!("The connector `{connector}` was stopped: it wanted more than its {mebibytes} MiB of memory.");
        return limit(StopReason::Memory, message);
    }
    if error.is::<NoRoom>() {
        let why = error.root_cause();
        let failure = Failure::new(
            FailureKind::Transient,
            format!("There was no room for the connector `{connector}`: {why}."),
        );
        let advice = "Give the process more memory, or more addresses (`ulimit -v`), or let fewer runs begin at once.";
        return (StopReason::Memory, failure.advise(advice));
    }
    let trap = error.downcast_ref::<wasmtime::Trap>();
    let reason = match trap {
        Some(wasmtime::Trap::StackOverflow) => StopReason::Stack,
        _ => StopReason::Trap,
    };
    let what = match trap {
        Some(wasmtime::Trap::StackOverflow) => "its calls nest too deeply".to_owned(),
        Some(wasmtime::Trap::MemoryOutOfBounds) => {
            "it reached outside its memory (most often by calls that nest too deeply)".to_owned()
        }
        Some(wasmtime::Trap::UnreachableCodeReached) => "it gave up (a panic or an abort)".to_owned(),
        Some(trap) => trap.to_string(),
        // The cause alone: what surrounds it is a trace of the component's inside.
        None => error.root_cause().to_string(),
    };
    limit(reason, format!("The connector `{connector}` was stopped: {what}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Ticks of ten milliseconds, in each of which the host took so long.
    fn used(ticks: u32, host: Duration) -> Duration {
        let mut meter = CpuMeter::new(Duration::from_secs(1));
        for _ in 0..ticks {
            meter.host += host;
            meter.charge(meter.since + TICK);
        }
        meter.used
    }

    #[test]
    fn what_the_host_takes_is_not_charged() {
        assert_eq!(used(100, TICK), Duration::ZERO);
        assert_eq!(used(100, 9 * MILLISECOND), 100 * MILLISECOND);
    }

    #[test]
    fn calling_the_host_for_nothing_does_not_stop_the_clock() {
        assert_eq!(used(100, Duration::ZERO), 100 * TICK);
        assert!(used(100, MILLISECOND / 100) > 99 * TICK);
    }

    #[test]
    fn what_others_take_is_charged_as_one_tick_at_most() {
        let mut meter = CpuMeter::new(TICK);
        meter.charge(meter.since + 100 * TICK);
        assert_eq!(meter.used, TICK);
        assert!(meter.used <= meter.budget);
        meter.charge(meter.since + TICK);
        assert!(meter.used > meter.budget);
    }
}
