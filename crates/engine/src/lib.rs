//! The sandbox: an engine that compiles components, reads what they import, and runs them with what they were granted.
//!
//! Make one [`Engine`] per process. [`Engine::load`] checks that every import in a component's bytes is among the
//! grants, and then compiles the component (or takes the compiled code from the cache). A built-in connector comes with
//! its machine code and is loaded when it is first needed. A loaded [`Component`] is instantiated anew for each batch: an
//! instance remembers nothing of an earlier one.
#![forbid(unsafe_code)]

mod cache;
mod commit_tracker;
mod config;
pub mod connector;
mod contract;
pub mod files;
mod host;
pub mod inspect;
mod instance;
mod kept;
mod permit;
pub mod precompile;
mod wire_log;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

pub use commit_tracker::{CallEnd, CallFailure};
pub use config::{CodeMemory, EngineOptions, FuelMeter, MemoryDumps, StopObserver, StopReason};
use contract::ConnectorPre;
pub use contract::{Call, ContractVersion, Manifest, grantable};
use instance::StoreData;
pub use instance::{Batch, BatchEnd, LineLevel, LogSink, run_batch};
pub use permit::{Permit, SendPermit};
use pipepost_core::Limits;
use tokio::sync::Semaphore;
use wasmtime::component::Linker;

/// An engine that compiles and runs components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    options: EngineOptions,
    /// Compiles. Made when the first component is compiled, which a command with the built-in connectors never needs: it
    /// brings a cache along, and the cache a thread.
    compiling: Start,
    /// Loads what was compiled before, when nothing was compiled in this process.
    mapping: Start,
    limits: Limits,
    /// A permit is taken before an instance is made, so that the pool never refuses one.
    places: Arc<Semaphore>,
    /// Of the places, those that instances without a connection may have: half of them, so that whoever has a connection
    /// finds a place.
    ahead: Arc<Semaphore>,
    memory_dumps: Option<MemoryDumps>,
    fuel_meter: Option<FuelMeter>,
    observer: Option<Arc<dyn StopObserver>>,
}

/// What is shared by all components.
struct Started {
    wasmtime: wasmtime::Engine,
    linker: Linker<StoreData>,
}

/// What is started when it is first needed.
#[derive(Default)]
struct Start {
    started: OnceLock<Started>,
    starting: Mutex<()>,
}

impl Start {
    /// Returns what is started, with these options if it is not yet.
    fn get(&self, options: impl FnOnce() -> EngineOptions) -> Result<&Started, LoadError> {
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        match self.started.get() {
            Some(started) => Ok(started),
            None => {
                let started = Started::new(&options())?;
                Ok(self.started.get_or_init(|| started))
            }
        }
    }
}

impl Started {
    fn new(options: &EngineOptions) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Engine(format!("{error:#}"));
        let wasmtime = config::engine(options).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        contract::add_to_linker(&mut linker).map_err(failed)?;
        start_ticking(&wasmtime);
        Ok(Self { wasmtime, linker })
    }

    fn link(
        &self,
        compiled: &wasmtime::component::Component,
        contract: ContractVersion,
        interfaces: inspect::Interfaces,
    ) -> Result<Component, LoadError> {
        let pre = self.linker.instantiate_pre(compiled).map_err(|error| unfit(&error))?;
        Ok(Component {
            wasmtime: self.wasmtime.clone(),
            pre: Arc::new(ConnectorPre::new(contract, pre).map_err(|error| unfit(&error))?),
            contract,
            interfaces,
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// A compiled component whose every import was granted.
#[derive(Clone)]
pub struct Component {
    wasmtime: wasmtime::Engine,
    pre: Arc<ConnectorPre>,
    /// The version of the contract that it was built against.
    pub contract: ContractVersion,
    /// Its imports and exports, read from its bytes.
    pub interfaces: inspect::Interfaces,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component")
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}

/// The reason why a component was not loaded, or did not describe itself. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not a component.
    #[error(transparent)]
    NotAComponent(#[from] inspect::NotAComponent),
    /// The component imports something that was not granted.
    #[error(
        "it imports {}, which is not granted to connectors; it may import {} and nothing else",
        one_or_more(.imports), one_or_more(.granted)
    )]
    NotGranted {
        /// The imports that were not granted.
        imports: Vec<String>,
        /// What may be imported.
        granted: Vec<String>,
    },
    /// The component does not export a step.
    #[error("it is not a connector: it does not export `pipepost:connector/step`")]
    NoConnector,
    /// The component was built against a contract that this host does not know.
    #[error(
        "it exports `{step}`, and this host knows the contract in the versions {}; build it against one of these",
        known_versions()
    )]
    UnknownContract {
        /// The name of the step that it exports.
        step: String,
    },
    /// The code does not compile, or does not match the contract.
    #[error("it does not fit this host: {0}")]
    Unfit(String),
    /// `describe` did not return a manifest.
    #[error("it did not describe itself: {0}")]
    Describe(String),
    /// The engine cannot be made on this machine.
    #[error("the WebAssembly engine does not start on this machine: {0}")]
    Engine(String),
}

impl Component {
    /// Returns whether the component can hold connections, judged by its imports.
    pub fn holds_connections(&self) -> bool {
        contract::holds_connections(&self.interfaces)
    }
}

impl Engine {
    /// Makes an engine. It starts when it loads its first component.
    pub fn new(options: &EngineOptions) -> Self {
        let places = Arc::new(Semaphore::new(options.limits.instances as usize));
        let ahead = Arc::new(Semaphore::new(options.limits.instances as usize / 2));
        Self {
            inner: Arc::new(Inner {
                options: options.clone(),
                compiling: Start::default(),
                mapping: Start::default(),
                limits: options.limits.clone(),
                places,
                ahead,
                memory_dumps: options.memory_dumps.clone(),
                fuel_meter: options.fuel_meter.clone(),
                observer: options.observer.clone(),
            }),
        }
    }

    /// What compiles.
    fn compiling(&self) -> Result<&Started, LoadError> {
        self.inner.compiling.get(|| EngineOptions {
            code_memory: None,
            ..self.inner.options.clone()
        })
    }

    /// What loads machine code that was compiled before: what compiles, if that was needed already.
    fn mapping(&self) -> Result<&Started, LoadError> {
        if let Some(compiling) = self.inner.compiling.started.get() {
            return Ok(compiling);
        }
        self.inner.mapping.get(|| EngineOptions {
            cache: None,
            ..self.inner.options.clone()
        })
    }

    /// Returns the limits of every instance.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Checks the component's imports against `granted` (none: everything that its version of the contract has), and
    /// compiles it.
    ///
    /// # Errors
    /// Fails when the component imports more than it was granted (the error names each such import), is not a
    /// connector, or does not compile.
    pub fn load(&self, bytes: &[u8], granted: Option<&[&str]>) -> Result<Component, LoadError> {
        let interfaces = inspect::interfaces(bytes)?;
        let contract = granted_contract(&interfaces, granted)?;
        self.compile(bytes, contract, interfaces)
    }

    /// Loads the machine code of a built-in connector whose imports were granted. Where there is none, or none that fits,
    /// the component is compiled.
    fn load_built_in(
        &self,
        built_in: &connector::BuiltIn,
        contract: ContractVersion,
        interfaces: &inspect::Interfaces,
    ) -> Result<Component, LoadError> {
        if let Some(precompiled) = &built_in.precompiled {
            let started = self.mapping()?;
            match (precompiled.load)(&started.wasmtime) {
                Ok(compiled) if imports_are(&started.wasmtime, &compiled, interfaces) => {
                    return started.link(&compiled, contract, interfaces.clone());
                }
                Ok(_) => tracing::warn!(
                    connector = built_in.name,
                    "its machine code imports something else than the connector: it is not used"
                ),
                Err(error) => tracing::debug!(
                    connector = built_in.name,
                    "its machine code does not fit ({error:#}); compiling it"
                ),
            }
        }
        self.compile(built_in.bytes, contract, interfaces.clone())
    }

    /// Compiles a component whose imports were granted.
    fn compile(
        &self,
        bytes: &[u8],
        contract: ContractVersion,
        interfaces: inspect::Interfaces,
    ) -> Result<Component, LoadError> {
        let started = self.compiling()?;
        let compiled = wasmtime::component::Component::from_binary(&started.wasmtime, bytes);
        started.link(&compiled.map_err(|error| unfit(&error))?, contract, interfaces)
    }

    /// Asks a component for its manifest, in an instance in which every import refuses.
    ///
    /// # Errors
    /// Fails when the component does not return a manifest within its limits.
    pub async fn describe(&self, component: &Component) -> Result<Manifest, LoadError> {
        instance::describe(self, component).await
    }
}

/// The contract that a component was built against, when all that it imports is among `granted`.
fn granted_contract(interfaces: &inspect::Interfaces, granted: Option<&[&str]>) -> Result<ContractVersion, LoadError> {
    let version = match ContractVersion::of(interfaces) {
        Err(Some(step)) => return Err(LoadError::UnknownContract { step }),
        version => version.ok(),
    };
    let granted = granted.unwrap_or(version.unwrap_or(ContractVersion::LATEST).grantable());
    let refused: Vec<String> = interfaces
        .imports
        .iter()
        .filter(|import| !is_granted(import, granted))
        .cloned()
        .collect();
    if !refused.is_empty() {
        let granted = granted.iter().map(ToString::to_string).collect();
        return Err(LoadError::NotGranted {
            imports: refused,
            granted,
        });
    }
    version.ok_or(LoadError::NoConnector)
}

/// Whether compiled code imports exactly what was granted for it. Types that are imported reach nothing.
fn imports_are(
    engine: &wasmtime::Engine,
    compiled: &wasmtime::component::Component,
    interfaces: &inspect::Interfaces,
) -> bool {
    use wasmtime::component::types::ComponentItem;
    let component = compiled.component_type();
    let imports = component.imports(engine);
    imports
        .filter(|(_, import)| !matches!(import.ty, ComponentItem::Type(_)))
        .map(|(name, _)| name)
        .eq(interfaces.imports.iter().map(String::as_str))
}

fn unfit(error: &wasmtime::Error) -> LoadError {
    LoadError::Unfit(format!("{error:#}"))
}

/// Advances the epoch for as long as the engine lives. The thread holds the engine weakly and ends after it.
fn start_ticking(engine: &wasmtime::Engine) {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(config::TICK);
        }
    };
    // Without the ticker nothing would ever be interrupted; a process that cannot start a thread cannot run tokio either.
    if let Err(error) = std::thread::Builder::new().name("pipepost-epoch".into()).spawn(tick) {
        tracing::error!(%error, "the thread that interrupts busy connectors could not be started");
    }
}

/// Whether an import is covered by a grant. Names compare by semver track and not by text: a component built against a
/// later patch of an interface still means the same one.
fn is_granted(import: &str, granted: &[&str]) -> bool {
    granted.iter().any(|grant| same_track(import, grant))
}

fn same_track(one: &str, other: &str) -> bool {
    fn split(name: &str) -> (&str, Option<&str>) {
        name.split_once('@')
            .map_or((name, None), |(name, version)| (name, Some(version)))
    }
    fn track(version: &str) -> Vec<&str> {
        let mut parts = version.split(['-', '+']).next().unwrap_or(version).split('.');
        let major = parts.next().unwrap_or("0");
        let minor = parts.next().unwrap_or("0");
        let patch = parts.next().unwrap_or("0");
        // Semver: the first part that is not zero names the track.
        match (major, minor) {
            ("0", "0") => vec![major, minor, patch],
            ("0", _) => vec![major, minor],
            _ => vec![major],
        }
    }
    let ((one, one_version), (other, other_version)) = (split(one), split(other));
    one == other && one_version.map(track) == other_version.map(track)
}

fn known_versions() -> String {
    ContractVersion::ALL.map(ContractVersion::as_str).join(" and ")
}

fn one_or_more(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The CPU time that a `perform` of `calls` calls may use.
fn cpu_budget(limits: &Limits, calls: usize) -> Duration {
    limits.cpu
        + limits
            .cpu_per_call
            .saturating_mul(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// The connections that a `perform` of `calls` calls may open.
fn connections(limits: &Limits, calls: usize) -> u32 {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    limits.connections.saturating_add(calls.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_covers_its_semver_track_and_nothing_else() {
        for (import, granted) in [
            ("wasi:random/random@0.2.0", true),
            ("wasi:random/random@0.2.6", true),
            ("wasi:random/random@0.3.0", false),
            ("wasi:random/random@1.2.0", false),
            ("wasi:random/random", false),
            ("wasi:random/insecure@0.2.0", false),
        ] {
            assert_eq!(is_granted(import, &["wasi:random/random@0.2.0"]), granted, "{import}");
        }
        assert!(!is_granted("wasi:random/random@0.2.0", &[]));
    }
}
