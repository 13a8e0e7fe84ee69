//! The service as a whole: what its two listeners share, and their routes.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::routing::{any, get, post};
use pipepost_core::policy::PublicPipelines;
use pipepost_state::StateError;
use pipepost_state::clock::{Clock as _, SystemClock, length};
use pipepost_state::ledger::LedgerReader;
use pipepost_state::runs::{AccountWait, Run, RunStore};
use tokio::sync::watch;

use crate::dispatcher::{Dispatcher, Most, Watching};
use crate::host::PipelineHost;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::operator::Operator;
use crate::pauses::Pauses;
use crate::pipelines::{Pipelines, ServedPipeline};
use crate::problem::{Problem, ProblemKind};
use crate::tokens::{Caller, Need, Tokens};
use crate::told::Told;
use crate::{api, events, health, schedules, triggers};

/// How often the directory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is looked how runs ended that another server performs, while somebody waits for them here.
const OTHERS_INTERVAL: Duration = Duration::from_millis(500);

/// How often old runs are forgotten.
const FORGET_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// The settings of a service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory of pipelines.
    pub directory: PathBuf,
    /// How many runs are under way at once.
    pub concurrency: usize,
    /// How many runs wait at once.
    pub queue_max: u64,
    /// How long a run is kept after its end.
    pub keep: Duration,
    /// How long a run's message and output are kept after its end.
    pub keep_payloads: Duration,
    /// The address to which OAuth providers send people back, if it is known.
    pub callback: Option<String>,
    /// The pipelines that may be called without a token, where their documents ask for that.
    pub public_pipelines: PublicPipelines,
}

/// What the API for operators works with, beside the runs.
#[derive(Debug)]
pub struct Operating {
    /// Accounts, connectors, checks and previews.
    pub operator: Arc<dyn Operator>,
    /// What was sent, by message.
    pub ledger: Arc<dyn LedgerReader>,
    /// What a monitoring system sees.
    pub metrics: Arc<Metrics>,
}

/// What the listeners share.
#[derive(Debug)]
pub struct Service {
    pub(crate) settings: Settings,
    pub(crate) runs: Arc<dyn RunStore>,
    pub(crate) pipelines: Arc<Pipelines>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) ledger: Arc<dyn LedgerReader>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) pauses: Arc<Pauses>,
    told: Told,
    tokens: RwLock<Arc<Tokens>>,
    is_ready: watch::Sender<bool>,
}

/// The reason why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The directory cannot be read.
    #[error("The directory `{}` cannot be read: {source}.", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

impl Service {
    /// Reads the directory, takes the state, finds what a server that died left, and begins to perform what waits.
    ///
    /// # Errors
    /// Fails when the directory or the state cannot be used.
    pub async fn start(
        settings: Settings,
        host: Arc<dyn PipelineHost>,
        runs: Arc<dyn RunStore>,
        tokens: Tokens,
        operating: Operating,
    ) -> Result<Arc<Self>, StartError> {
        runs.serve().await?;
        let pipelines = Arc::new(Pipelines::new(&settings.directory, host));
        let read = Arc::clone(&pipelines);
        let looked = tokio::task::spawn_blocking(move || read.reload()).await;
        looked
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|source| StartError::Directory {
                directory: settings.directory.clone(),
                source,
            })?;
        let told = Told::default();
        told.tell(&pipelines);
        tell_recovered(&runs.recover().await?);
        let journal = Arc::new(Journal::default());
        let dispatcher = Dispatcher::new(
            Arc::clone(&runs),
            Arc::clone(&pipelines),
            Most {
                concurrency: settings.concurrency,
                queued: settings.queue_max,
            },
            Watching {
                journal: Arc::clone(&journal),
                metrics: Arc::clone(&operating.metrics),
            },
        );
        let pauses = Arc::new(Pauses::new(&operating.operator, &journal));
        let service = Arc::new(Self {
            settings,
            runs,
            pipelines,
            dispatcher,
            told,
            tokens: RwLock::new(Arc::new(tokens)),
            operator: operating.operator,
            ledger: operating.ledger,
            metrics: operating.metrics,
            journal,
            pauses,
            is_ready: watch::Sender::new(true),
        });
        tokio::spawn(Arc::clone(&service.dispatcher).work());
        tokio::spawn(schedules::work(Arc::clone(&service)));
        tokio::spawn(Arc::clone(&service).look());
        tokio::spawn(Arc::clone(&service).forget());
        tokio::spawn(Arc::clone(&service.pauses).work());
        if let Some(interval) = service.runs.recover_interval() {
            tokio::spawn(Arc::clone(&service).recover(interval));
            tokio::spawn(Arc::clone(&service).hear());
            tokio::spawn(Arc::clone(&service).tell_of_others());
        }
        Ok(service)
    }

    /// Returns the routes of the listener for triggers.
    pub fn trigger_routes(self: &Arc<Self>) -> Router {
        let routes = Router::new()
            .route("/pipeline/{*path}", any(triggers::by_path))
            .route("/events", post(events::publish))
            .route("/api/v1/runs/{id}", get(api::runs::show))
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .fallback(triggers::by_route)
            .method_not_allowed_fallback(api::other_method)
            .with_state(Arc::clone(self));
        self.counted(routes)
    }

    /// Returns the routes of the listener for operators.
    pub fn admin_routes(self: &Arc<Self>) -> Router {
        let routes = api::routes()
            .route("/livez", get(health::live))
            .route("/readyz", get(health::ready))
            .fallback(api::unknown)
            .method_not_allowed_fallback(api::other_method)
            .with_state(Arc::clone(self));
        self.counted(routes)
    }

    /// Counts each answer by its route's pattern.
    fn counted(self: &Arc<Self>, routes: Router) -> Router {
        let metrics = Arc::clone(&self.metrics);
        routes.layer(middleware::from_fn(move |request: Request, next: Next| {
            let metrics = Arc::clone(&metrics);
            let pattern = request.extensions().get::<MatchedPath>();
            let route = pattern.map_or_else(|| "other".to_owned(), |pattern| pattern.as_str().to_owned());
            async move {
                let response = next.run(request).await;
                metrics.count_request(&route, response.status().as_u16());
                response
            }
        }))
    }

    /// Returns the pipelines.
    pub fn pipelines(&self) -> &Arc<Pipelines> {
        &self.pipelines
    }

    /// Returns the dispatcher.
    pub fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    /// Takes other tokens from now on.
    pub fn set_tokens(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
    }

    /// Returns who asks, if the token may do this.
    pub(crate) fn caller(&self, headers: &HeaderMap, need: Need<'_>) -> Result<Caller, Problem> {
        let caller = self.any_caller(headers)?;
        caller.require(need)?;
        Ok(caller)
    }

    /// Returns who asks.
    pub(crate) fn any_caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let tokens = Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner));
        tokens.caller(headers)
    }

    /// Returns whether a pipeline may be called without a token: its document and the operator's policy both say so.
    pub(crate) fn is_public(&self, pipeline: &ServedPipeline) -> bool {
        pipeline.trigger.public && self.settings.public_pipelines.has(&pipeline.name)
    }

    /// Returns whether new work is taken.
    pub fn is_ready(&self) -> bool {
        *self.is_ready.borrow()
    }

    /// Waits until the service is about to end.
    pub(crate) async fn until_not_ready(&self) {
        // The sender is here, so there is no error.
        let _ = self.is_ready.subscribe().wait_for(|is_ready| !is_ready).await;
    }

    /// Refuses what is new while the service ends.
    pub(crate) fn check_ready(&self) -> Result<(), Problem> {
        if self.is_ready() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::Draining,
            "The service is about to end and takes nothing new.",
        )
        .wait(5))
    }

    /// Prepares the pipelines anew, with the accounts as they are now.
    pub(crate) async fn accounts_changed(self: &Arc<Self>, label: &str) {
        self.take_over_accounts().await;
        self.journal.tell("accounts", serde_json::json!({ "label": label }));
    }

    /// Lets go on what waits for this of an account.
    pub(crate) fn account_goes_on(&self, label: &str, wait: AccountWait) {
        let (dispatcher, label) = (Arc::clone(&self.dispatcher), label.to_owned());
        // There may be many.
        tokio::spawn(async move { dispatcher.account_goes_on(&label, wait).await });
    }

    /// Says that the service is about to end: it is not ready any more.
    pub fn stop_being_ready(&self) {
        self.is_ready.send_replace(false);
    }

    /// Ends the service in order: it is not ready any more and takes nothing new. For the time of `drain`, what is under
    /// way goes on; then it gets `grace` to be confirmed, and what is left of it waits in the state.
    pub async fn end(&self, drain: Duration, grace: Duration) {
        self.stop_being_ready();
        self.dispatcher.stop_taking();
        // Callers and load balancers learn meanwhile that it ends.
        tokio::time::sleep(drain).await;
        self.dispatcher.drain(grace).await;
    }

    /// Reads the accounts and the directory anew, and says what changed. If an account is wrong now, all stay as they were.
    pub async fn reload(self: &Arc<Self>) {
        if let Err(problem) = self.operator.reload_accounts().await {
            tracing::warn!(problem = problem.detail(), "the accounts stay as they were");
        }
        self.take_over_accounts().await;
    }

    /// Has the accounts as they are now used by all pipelines, and lets go on what waited for a limit that was raised.
    async fn take_over_accounts(self: &Arc<Self>) {
        self.dispatcher.forget_prepared();
        self.look_with(Pipelines::reload).await;
        for label in self.operator.take_raised() {
            self.account_goes_on(&label, AccountWait::Limit);
        }
    }

    async fn look_with(self: &Arc<Self>, look: fn(&Pipelines) -> Result<crate::pipelines::Changes, std::io::Error>) {
        let pipelines = Arc::clone(&self.pipelines);
        let looked = tokio::task::spawn_blocking(move || look(&pipelines)).await;
        match looked.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(changes) => {
                self.told.tell(&self.pipelines);
                if !changes.is_empty() {
                    tracing::info!(
                        loaded = changes.loaded.join(", "),
                        removed = changes.removed.join(", "),
                        "the directory changed"
                    );
                    let data = serde_json::json!({ "loaded": changes.loaded, "removed": changes.removed });
                    self.journal.tell("pipelines", data);
                    self.dispatcher.something_waits();
                }
            }
            Err(error) => self.told.tell_unread(&self.pipelines, &error),
        }
    }

    async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.look_with(Pipelines::look).await;
        }
    }

    /// Finds what other servers had under way that died.
    async fn recover(self: Arc<Self>, interval: Duration) {
        while !self.dispatcher.is_draining() {
            tokio::time::sleep(interval).await;
            match self.runs.recover().await {
                Ok(recovered) if recovered.is_empty() => {}
                Ok(recovered) => {
                    tell_recovered(&recovered);
                    self.dispatcher.something_waits();
                }
                Err(error) => tracing::debug!(%error, "no look for runs whose server ended"),
            }
        }
    }

    /// Looks how runs ended that somebody waits for here and another server performed.
    async fn tell_of_others(self: Arc<Self>) {
        loop {
            tokio::time::sleep(OTHERS_INTERVAL).await;
            self.dispatcher.tell_of_others().await;
        }
    }

    /// Hears of what waits from other servers.
    async fn hear(self: Arc<Self>) {
        loop {
            self.runs.until_another_queues().await;
            self.dispatcher.something_waits();
        }
    }

    async fn forget(self: Arc<Self>) {
        loop {
            let before = |kept: Duration| SystemClock.now().saturating_sub(length(kept));
            let forgotten = self
                .runs
                .forget(before(self.settings.keep_payloads), before(self.settings.keep))
                .await;
            match forgotten {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "forgot old runs"),
                Err(error) => tracing::warn!(%error, "old runs are not forgotten"),
            }
            tokio::time::sleep(FORGET_INTERVAL).await;
        }
    }
}

fn tell_recovered(recovered: &[Run]) {
    for run in recovered {
        tracing::warn!(
            run = %run.id, pipeline = run.pipeline, state = run.state.as_str(), deaths = run.deaths,
            "a run whose server ended"
        );
    }
}
