//! The host: connectors, accounts and policy, ready to check and run pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use pipepost_accounts::oauth::{RefreshTokenSink, Tokens};
use pipepost_accounts::{Account, Accounts, FieldAccess};
use pipepost_core::{EgressGate, Failure, Limits, Policy};
use pipepost_engine::{CodeMemory, Component, Engine, EngineOptions, FuelMeter, MemoryDumps, StopObserver};
use pipepost_flowspec::{
    self as flowspec, CheckContext, CompiledConnector, Pipeline, Problem, Problems, Report, Requirements,
};
use pipepost_net::{Connections, DryRun, HttpClient, SignInObserver, Transcript};
use pipepost_state::StateStore;
#[cfg(feature = "cli")]
use pipepost_state::object::RehearsalObjects;
use pipepost_state::object::{MemoryObjects, ObjectStore};
use serde_json::Value;

use crate::connectors::{self, Connector, Connectors, ConnectorsError};
use crate::run::{self, Quotas, RunOptions, RunReport, ServerMemory};
use crate::token_sink::TokenSink;

/// Everything that the pipelines of one operator share. Make one per process, and run any number of pipelines on it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use pipepost::{Host, RunOptions};
/// use pipepost_accounts::{Accounts, Environment};
/// use serde_json::json;
///
/// let accounts = Accounts::load(["accounts.json"], &Environment::process())?;
/// let host = Host::builder().accounts(accounts).build().await?;
/// let pipeline = host.prepare(&std::fs::read_to_string("welcome.json")?)?;
/// let report = host.run(&pipeline, RunOptions::new(json!({"name": "Ada", "email": "ada@example.com"}))).await;
/// println!("{}", report.result?);
/// host.close().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Host {
    pub(crate) engine: Engine,
    pub(crate) connectors: Connectors,
    pub(crate) accounts: Accounts,
    /// What may be dialled, with the operator's policy in it.
    pub(crate) gate: EgressGate,
    pub(crate) connections: Arc<Connections>,
    /// The name of the environment whose account values are used; expressions see it.
    pub(crate) environment: Option<String>,
    pub(crate) dry_run: Option<DryRun>,
    /// Where named executions, limits and pauses are written down.
    pub(crate) state: Option<Arc<dyn StateStore>>,
    /// What accounts may send.
    pub(crate) quotas: Quotas,
    /// The objects that pipelines keep.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// What servers have taught of their limits.
    pub(crate) server_memory: Arc<ServerMemory>,
}

/// The reason why a host could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A connector does not load.
    #[error(transparent)]
    Connectors(#[from] ConnectorsError),
}

/// A builder that sets up a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    accounts: Accounts,
    policy: Policy,
    directories: Vec<PathBuf>,
    cache: Option<PathBuf>,
    environment: Option<String>,
    dry_run: Option<DryRun>,
    state: Option<Arc<dyn StateStore>>,
    objects: Option<Arc<dyn ObjectStore>>,
    limits: Option<Limits>,
    memory_dumps: Option<MemoryDumps>,
    fuel_meter: Option<FuelMeter>,
    sink: Option<Arc<dyn RefreshTokenSink>>,
    transcript: Option<Arc<Transcript>>,
    sign_in_observer: Option<Arc<dyn SignInObserver>>,
    stop_observer: Option<Arc<dyn StopObserver>>,
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBuilder")
            .field("accounts", &self.accounts)
            .field("policy", &self.policy)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl HostBuilder {
    /// Sets the accounts that steps may name.
    #[must_use]
    pub fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = accounts;
        self
    }

    /// Returns the accounts that are set so far.
    pub fn named_accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Sets the operator's policy. Without one, only the accounts decide.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Loads the connectors (`*.wasm`) of this directory, in addition to the built-in ones. May be called again.
    #[must_use]
    pub fn connectors_from(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directories.push(directory.into());
        self
    }

    /// Keeps compiled code in this directory, so that the next process does not compile it again.
    #[must_use]
    pub fn cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Keeps in this store, for all processes that share it: what is sent under an execution's key, so that nothing is
    /// sent twice; what accounts with limits have sent; and which accounts pause. Without a store, limits and pauses
    /// are known only within this host, and what was sent only for the duration of one run. What is sent without an
    /// execution key is always known only that long. The objects that pipelines keep are in the store, too.
    #[must_use]
    pub fn state(mut self, store: Arc<dyn StateStore>) -> Self {
        self.state = Some(store);
        self
    }

    /// Keeps the objects of pipelines in these collections, instead of those of the state.
    #[must_use]
    pub fn objects(mut self, objects: Arc<dyn ObjectStore>) -> Self {
        self.objects = Some(objects);
        self
    }

    /// Names the environment that the accounts were loaded for: `{{ metadata.runtime.environment }}`.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// Directs every connection to a server inside the process: nothing is dialled and no secret is read.
    #[must_use]
    pub fn dry_run(mut self, dry_run: DryRun) -> Self {
        self.dry_run = Some(dry_run);
        self
    }

    /// Sets the limits of every instance, instead of those of the policy and the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Passes the whole memory of every instance that has performed to `dumps`. It contains all that a connector has
    /// seen.
    #[must_use]
    pub fn memory_dumps(mut self, dumps: MemoryDumps) -> Self {
        self.memory_dumps = Some(dumps);
        self
    }

    /// Measures how much work every instance does. Instances are slower with it.
    #[must_use]
    pub fn fuel_meter(mut self, meter: FuelMeter) -> Self {
        self.fuel_meter = Some(meter);
        self
    }

    /// Keeps the refresh tokens with which a provider replaces old ones. Without a sink, they are lost with the host, and
    /// the log says so.
    #[must_use]
    pub fn refresh_token_sink(mut self, sink: Arc<dyn RefreshTokenSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Records every dialogue with a server.
    #[must_use]
    pub fn transcript(mut self, transcript: Transcript) -> Self {
        self.transcript = Some(Arc::new(transcript));
        self
    }

    /// Tells this observer of each sign-in.
    #[must_use]
    pub fn sign_in_observer(mut self, observer: Arc<dyn SignInObserver>) -> Self {
        self.sign_in_observer = Some(observer);
        self
    }

    /// Tells this observer of each connector that is stopped.
    #[must_use]
    pub fn stop_observer(mut self, observer: Arc<dyn StopObserver>) -> Self {
        self.stop_observer = Some(observer);
        self
    }

    /// Takes the connectors. What was compiled with the binary is loaded when a document needs it.
    ///
    /// # Errors
    /// Fails when a connector does not load.
    pub async fn build(self) -> Result<Host, HostError> {
        let options = EngineOptions {
            limits: self.limits.unwrap_or_else(|| self.policy.limits()),
            cache: self.cache,
            memory_dumps: self.memory_dumps,
            fuel_meter: self.fuel_meter,
            observer: self.stop_observer,
            code_memory: pipepost_embedded_connectors::code_memory().map(CodeMemory),
        };
        let engine = Engine::new(&options);
        let connectors = Connectors::load(&engine, &self.policy, &self.directories).await?;
        let gate = EgressGate::new(self.policy);
        let sink = self.sink.unwrap_or_else(|| Arc::new(TokenSink::new()));
        let tokens = Tokens::new(Arc::new(HttpClient::new(gate.clone()))).with_sink(sink);
        let quotas = match &self.state {
            Some(store) => Quotas::in_store(store.quotas()),
            None => Quotas::default(),
        };
        let objects = self
            .objects
            .or_else(|| self.state.as_ref().map(|store| store.objects()));
        let server_memory = match &self.state {
            Some(store) => ServerMemory::in_store(store.server_limits()),
            None => ServerMemory::default(),
        };
        let mut connections = Connections::new(tokens, self.transcript);
        if let Some(observer) = self.sign_in_observer {
            connections = connections.observed_by(observer);
        }
        Ok(Host {
            engine,
            connectors,
            accounts: self.accounts,
            gate,
            connections: Arc::new(connections),
            environment: self.environment,
            dry_run: self.dry_run,
            state: self.state,
            quotas,
            objects: objects.unwrap_or_else(|| Arc::new(MemoryObjects::default())),
            server_memory: Arc::new(server_memory),
        })
    }
}

/// What is used to prepare a document, in addition to the host.
#[derive(Debug, Clone, Default)]
pub struct Preparation {
    /// The document's folder, where `{"file": "..."}` in a parameter is looked up.
    pub document_dir: Option<PathBuf>,
    /// Outputs of steps that are not run, by `id`, `stepName` or `doubleBracesAlias`. The steps may be of any type.
    pub pins: BTreeMap<String, Value>,
}

/// A pipeline that was checked against a host and can run on it.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) pipeline: Pipeline,
    /// The digest of its document.
    pub(crate) digest: Arc<str>,
    pub(crate) requirements: Requirements,
    /// The files beside the document that it names, with their texts.
    pub(crate) files: BTreeMap<String, String>,
    /// By the ids of the pipeline's connectors.
    targets: Vec<Target>,
    /// The accounts that expressions and steps name, by label.
    pub(crate) accounts: BTreeMap<String, Arc<Account>>,
    pub(crate) pins: BTreeMap<String, Value>,
}

/// What performs a connector step.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) connector: Arc<Connector>,
    /// The connector's code, ready to run.
    pub(crate) component: Component,
    pub(crate) account: Option<Arc<Account>>,
    /// The member of the connector's output that lists who was refused.
    pub(crate) refused: Option<String>,
}

impl Prepared {
    /// The labels of the accounts that its steps use.
    #[cfg(feature = "cli")]
    pub(crate) fn step_accounts(&self) -> impl Iterator<Item = &str> {
        let accounts = self.targets.iter().filter_map(|target| target.account.as_ref());
        accounts.map(|account| account.label())
    }

    /// What performs this step of the pipeline.
    pub(crate) fn target(&self, connector: &CompiledConnector) -> &Target {
        // There is one for each of the pipeline's connectors.
        &self.targets[connector.id.index()]
    }

    /// Returns warnings about the document. They do not keep it from running.
    pub fn warnings(&self) -> &Problems {
        self.pipeline.warnings()
    }

    /// Returns the files beside the document that it names, with the texts that were read.
    pub fn files(&self) -> &BTreeMap<String, String> {
        &self.files
    }

    /// Returns a message as people may see it: without secrets, and without the fields that the document calls sensitive.
    ///
    /// # Errors
    /// Fails when a secret of an account cannot be read.
    pub fn shown(&self, message: &Value) -> Result<Value, Failure> {
        run::shown(self, message)
    }

    /// The member of the message that a run need not have in memory: see [`RunOptions::read_message`].
    pub(crate) fn merged_member(&self) -> Option<&str> {
        self.pipeline.merged_member(&self.requirements)
    }

    /// Returns what the document requires from outside.
    pub fn requirements(&self) -> &Requirements {
        &self.requirements
    }
}

impl Host {
    /// Returns a builder with the defaults.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Returns the connectors.
    pub fn connectors(&self) -> &Connectors {
        &self.connectors
    }

    /// Returns the accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Returns this host with other accounts; engine and connectors stay as they are.
    #[must_use]
    pub fn with_accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = accounts;
        self
    }

    /// Returns a host with other accounts that shares everything else with this one.
    #[cfg(feature = "cli")]
    pub(crate) fn having(&self, accounts: Accounts) -> Self {
        Self {
            engine: self.engine.clone(),
            connectors: self.connectors.clone(),
            accounts,
            gate: self.gate.clone(),
            connections: Arc::clone(&self.connections),
            environment: self.environment.clone(),
            dry_run: self.dry_run.clone(),
            state: self.state.clone(),
            quotas: self.quotas.clone(),
            objects: Arc::clone(&self.objects),
            server_memory: Arc::clone(&self.server_memory),
        }
    }

    /// Returns a host for one dry run: it sends nothing, counts nothing, keeps nothing, and shares no connection.
    #[cfg(feature = "cli")]
    pub(crate) fn rehearsal(&self, dry_run: DryRun) -> Self {
        let tokens = Tokens::new(Arc::new(HttpClient::new(self.gate.clone())));
        Self {
            connections: Arc::new(Connections::new(tokens, None)),
            dry_run: Some(dry_run),
            state: None,
            quotas: Quotas::default(),
            server_memory: Arc::default(),
            objects: Arc::new(RehearsalObjects::of(Arc::clone(&self.objects))),
            ..self.having(self.accounts.clone())
        }
    }

    /// Returns every problem of a document, and what it requires from outside. Runs nothing.
    pub fn check(&self, document: &str) -> Report {
        self.check_with(document, &Preparation::default())
    }

    /// Does the same as [`Host::check`], with files in the document's folder and pinned steps.
    pub fn check_with(&self, document: &str, preparation: &Preparation) -> Report {
        let pins: BTreeSet<String> = preparation.pins.keys().cloned().collect();
        let accounts = KnownAccounts(&self.accounts);
        flowspec::check(
            document,
            &CheckContext {
                catalogue: &self.connectors,
                accounts: Some(&accounts),
                pins: &pins,
                document_dir: preparation.document_dir.as_deref(),
            },
        )
    }

    /// Looks up what a checked document names, so that a run need not.
    fn resolve(
        &self,
        pipeline: Pipeline,
        digest: Arc<str>,
        requirements: Requirements,
        files: BTreeMap<String, String>,
        pins: BTreeMap<String, Value>,
    ) -> Result<Prepared, Problem> {
        let account = |label: &str| {
            let account = self.accounts.get(label).cloned();
            account.map_err(|error| Problem::configuration(error.to_string()))
        };
        let mut accounts = BTreeMap::new();
        for label in requirements.accounts.keys() {
            accounts.insert(label.clone(), account(label)?);
        }
        let mut targets = Vec::new();
        for (_, connector) in pipeline.connectors() {
            let name = &connector.name;
            let loaded = self.connectors.shared(name);
            let loaded = loaded.ok_or_else(|| Problem::configuration(format!("there is no connector `{name}`")))?;
            let component = loaded.component(&self.engine).cloned();
            targets.push(Target {
                component: component.map_err(|error| Problem::configuration(error.to_string()))?,
                refused: loaded.refused_member().map(str::to_owned),
                connector: Arc::clone(loaded),
                account: connector.account_label.as_deref().map(account).transpose()?,
            });
        }
        Ok(Prepared {
            pipeline,
            digest,
            requirements,
            files,
            targets,
            accounts,
            pins,
        })
    }

    /// Checks a document, and prepares it for runs on this host.
    ///
    /// # Errors
    /// Returns every problem that keeps the document from running.
    pub fn prepare(&self, document: &str) -> Result<Prepared, Problems> {
        self.prepare_with(document, Preparation::default())
    }

    /// Does the same as [`Host::prepare`], with files in the document's folder and pinned steps.
    ///
    /// # Errors
    /// Returns every problem that keeps the document from running.
    pub fn prepare_with(&self, document: &str, preparation: Preparation) -> Result<Prepared, Problems> {
        let report = self.check_with(document, &preparation);
        let Some(pipeline) = report.pipeline else {
            return Err(report.problems);
        };
        let digest = connectors::digest(document.as_bytes()).into();
        let prepared = self.resolve(pipeline, digest, report.requirements, report.files, preparation.pins);
        prepared.map_err(|problem| Problems::from_iter([problem]))
    }

    /// Runs a pipeline to its end.
    pub async fn run(&self, pipeline: &Prepared, options: RunOptions) -> RunReport {
        run::run(self, pipeline, options).await
    }

    /// Closes the connections that are kept between runs.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

/// The accounts as the document's checker asks for them.
pub(crate) struct KnownAccounts<'a>(pub(crate) &'a Accounts);

impl flowspec::Accounts for KnownAccounts<'_> {
    fn account_type(&self, label: &str) -> Option<&str> {
        self.0.get(label).ok().map(|account| account.kind().as_str())
    }

    fn field(&self, label: &str, field: &str) -> flowspec::FieldAccess {
        match self.0.get(label).map(|account| account.field_access(field)) {
            Ok(FieldAccess::Allowed(_)) => flowspec::FieldAccess::Readable,
            Ok(FieldAccess::Refused(_)) => flowspec::FieldAccess::Secret,
            _ => flowspec::FieldAccess::Unknown,
        }
    }

    fn labels(&self) -> Vec<&str> {
        self.0.iter().map(|account| account.label()).collect()
    }
}
