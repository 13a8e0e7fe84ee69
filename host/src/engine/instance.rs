//! One instance: the state that its imports work on, its limits, and the run of one batch in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline, WasmCoreDump};

use super::config::{MemoryDumps, TICK};
use super::watch::{CallEnd, Watch};
use super::{Component, Engine, Limits, LoadError, cpu_budget};
use crate::bindings::{Call, Everything, Manifest};
use crate::ending::Ending;
use crate::failure::{Failure, Kind};
use crate::files::RunFiles;
use crate::ledger::Ledger;
use crate::transport::Transport;

/// What the imports of one instance work on.
pub(crate) struct Guest {
    pub(super) limits: Limits,
    pub(super) table: ResourceTable,
    memory: MemoryLimit,
    cpu: CpuMeter,
    /// None while the instance only describes itself: then every import refuses.
    pub(super) work: Option<Work>,
}

/// What an instance was granted for its batch.
pub(super) struct Work {
    pub(super) watch: Watch,
    pub(super) transport: Option<Transport>,
    pub(super) files: Arc<RunFiles>,
    pub(super) ending: Ending,
    pub(super) connector: Arc<str>,
    pub(super) log_lines: u32,
    pub(super) new_file_bytes: u64,
    /// One live connection at a time.
    pub(super) has_connection: bool,
    /// Told of each call as it settles.
    pub(super) on_settled: Option<Box<dyn FnMut(u32) + Send>>,
}

impl Guest {
    fn new(limits: &Limits, cpu: Duration, work: Option<Work>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Self {
            limits: limits.clone(),
            table,
            memory: MemoryLimit {
                bytes: limits.memory,
                hit: false,
            },
            cpu: CpuMeter {
                ticks: 0,
                budget: ticks(cpu),
                waited: false,
            },
            work,
        }
    }

    /// The host works for the instance: the time until it is done is not the instance's.
    pub(super) fn host_waits(&mut self) {
        self.cpu.waited = true;
    }
}

/// Charges the epoch's ticks to the instance, less those during which the host worked for it.
#[derive(Debug)]
struct CpuMeter {
    ticks: u64,
    budget: u64,
    /// A host call has waited since the last tick: the epoch passed without the instance.
    waited: bool,
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
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
pub(super) struct Breach(pub(super) String);

fn store(engine: &Engine, cpu: Duration, work: Option<Work>) -> Store<Guest> {
    let mut store = Store::new(&engine.inner.wasmtime, Guest::new(&engine.inner.limits, cpu, work));
    store.limiter(|guest| &mut guest.memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut context| {
        let meter = &mut context.data_mut().cpu;
        if std::mem::take(&mut meter.waited) {
            return Ok(UpdateDeadline::Yield(1));
        }
        meter.ticks += 1;
        if meter.ticks > meter.budget {
            return Err(CpuExhausted.into());
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

pub(super) async fn describe(engine: &Engine, component: &Component) -> Result<Manifest, LoadError> {
    let _place = place(engine).await;
    let mut store = store(engine, engine.inner.limits.cpu, None);
    let failed = |error: &wasmtime::Error| LoadError::Describe(format!("{error:#}"));
    let instance = component
        .pre
        .instantiate_async(&mut store)
        .await
        .map_err(|error| failed(&error))?;
    instance
        .pipepost_connector_step()
        .call_describe(&mut store)
        .await
        .map_err(|error| failed(&error))
}

async fn place(engine: &Engine) -> Option<tokio::sync::OwnedSemaphorePermit> {
    // The semaphore is never closed; without a permit the pool itself would refuse.
    Arc::clone(&engine.inner.places).acquire_owned().await.ok()
}

/// Calls for one connector, of one step, account and run.
pub(crate) struct Batch {
    /// The connector's name, for logs and sentences.
    pub(crate) connector: Arc<str>,
    /// The public view of the account, as JSON.
    pub(crate) account: Option<String>,
    pub(crate) calls: Vec<Call>,
    /// None: the connector gets no connection.
    pub(crate) transport: Option<Transport>,
    pub(crate) files: Arc<RunFiles>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) ending: Ending,
}

/// Runs a batch in a fresh instance. Each call has exactly one end in the answer.
///
/// After a trap the calls of which nothing was announced run again one by one, each in an instance of its own: what one
/// message does to the connector does not touch its neighbours.
pub(crate) async fn run_batch(
    engine: &Engine,
    component: &Component,
    batch: Batch,
    mut on_settled: impl FnMut(u32) + Send + Clone + 'static,
) -> HashMap<u32, CallEnd> {
    let Batch {
        connector,
        account,
        calls,
        transport,
        files,
        ledger,
        ending,
    } = batch;
    let again = |calls: Vec<Call>| Batch {
        connector: Arc::clone(&connector),
        account: account.clone(),
        calls,
        transport: transport.clone(),
        files: Arc::clone(&files),
        ledger: Arc::clone(&ledger),
        ending: ending.clone(),
    };
    let (mut ends, stopped) = perform(engine, component, again(calls.clone()), on_settled.clone()).await;
    if stopped && calls.len() > 1 {
        for call in calls {
            let untouched = ends.get(&call.id).is_none_or(|end| !end.settled && !end.announced);
            if untouched && !ending.is_ending() {
                let id = call.id;
                let (solo, _) = perform(engine, component, again(vec![call]), on_settled.clone()).await;
                ends.extend(solo);
                on_settled(id);
            }
        }
    }
    ends
}

/// One instance, one `perform`. Answers also whether the instance was stopped before it was done.
async fn perform(
    engine: &Engine,
    component: &Component,
    batch: Batch,
    on_settled: impl FnMut(u32) + Send + 'static,
) -> (HashMap<u32, CallEnd>, bool) {
    let must_commit = component
        .interfaces
        .imports
        .iter()
        .any(|import| import.starts_with("pipepost:mail/transport@"));
    let keys = batch.calls.iter().map(|call| (call.id, call.key.clone()));
    let watch = Watch::new(Arc::clone(&batch.ledger), keys, must_commit);
    let cpu = cpu_budget(&engine.inner.limits, batch.calls.len());
    let _connection = match &batch.transport {
        Some(transport) => transport.place().await,
        None => None,
    };
    let _place = place(engine).await;
    let work = Work {
        watch,
        transport: batch.transport,
        files: batch.files,
        ending: batch.ending.clone(),
        connector: Arc::clone(&batch.connector),
        log_lines: 0,
        new_file_bytes: 0,
        has_connection: false,
        on_settled: Some(Box::new(on_settled)),
    };
    let mut store = store(engine, cpu, Some(work));
    let performing = async {
        let instance = component.pre.instantiate_async(&mut store).await?;
        instance
            .pipepost_connector_step()
            .call_perform(&mut store, batch.account.as_ref(), &batch.calls)
            .await?;
        Ok(instance)
    };
    // Past the grace nothing is waited for: the store goes, and its connection with it.
    let result = tokio::select! {
        result = performing => Some(result),
        () = batch.ending.over() => None,
    };
    let stopped = match &result {
        Some(Ok(_)) => Failure::new(
            Kind::Limit,
            format!(
                "The connector `{}` ended without saying how this went.",
                batch.connector
            ),
        ),
        Some(Err(error)) => explain_stop(&batch.connector, error, &store),
        None => Failure::new(Kind::Limit, "The run ended before this was done."),
    };
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
    let guest = store.into_data();
    let ends = guest.work.map(|work| work.watch.close(&stopped)).unwrap_or_default();
    (ends, was_stopped)
}

/// Enters an instance that is done once more, and stops it before its first instruction: only a trap leaves a core dump.
async fn enter_and_stop(store: &mut Store<Guest>, instance: &Everything) -> Option<wasmtime::Error> {
    store.epoch_deadline_trap();
    store.set_epoch_deadline(0);
    instance.pipepost_connector_step().call_describe(store).await.err()
}

fn show_memory(dumps: &MemoryDumps, connector: &str, stopped: Option<&wasmtime::Error>, store: &Store<Guest>) {
    let Some(dump) = stopped.and_then(|error| error.downcast_ref::<WasmCoreDump>()) else {
        tracing::warn!(connector, "there is no core dump to show the memory of");
        return;
    };
    for memory in dump.memories() {
        dumps.show(connector, memory.data(store));
    }
}

/// Why an instance was stopped, as a sentence.
fn explain_stop(connector: &str, error: &wasmtime::Error, store: &Store<Guest>) -> Failure {
    let guest = store.data();
    let limit = |message: String| {
        Failure::new(Kind::Limit, message)
            .advise("The run and the other connectors go on; the connector's author has to mend this.")
    };
    if error.is::<CpuExhausted>() {
        return limit(format!(
            "The connector `{connector}` was stopped: it used more CPU time than it may."
        ));
    }
    if let Some(Breach(what)) = error.downcast_ref::<Breach>() {
        return limit(format!("The connector `{connector}` was stopped: {what}."));
    }
    if guest.memory.hit {
        let mebibytes = guest.limits.memory >> 20;
        return limit(format!(
            "The connector `{connector}` was stopped: it wanted more than its {mebibytes} MiB of memory."
        ));
    }
    let what = match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::StackOverflow) => "its calls nest too deeply".to_owned(),
        Some(wasmtime::Trap::UnreachableCodeReached) => "it gave up (a panic or an abort)".to_owned(),
        Some(trap) => trap.to_string(),
        None => format!("{error:#}"),
    };
    limit(format!("The connector `{connector}` was stopped: {what}."))
}
