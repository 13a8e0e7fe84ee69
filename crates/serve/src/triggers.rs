//! Requests that start pipelines.
//!
//! A caller that waits owns the retry: it gets 503 or 429 and asks again with the same key. A caller that does not wait
//! (`Prefer: respond-async`), or that waits so long and no longer (`Prefer: wait=5`), leaves it to the service: it may have
//! gone when the run fails.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use pipepost_core::{Failure, FailureKind};
use pipepost_state::runs::{Decided, NewRun, Run, RunFailure, RunId, RunOrigin, RunState};
use pipepost_suggest::shortened;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::dispatcher::{EndWaiter, Submitted};
use crate::encoded::{content_type, percent_decoded};
use crate::idempotency::{ContentDigest, IdempotencyKey};
use crate::message::{BodyError, HttpTrigger, PlatformPath, Received, read_body, too_large};
use crate::outcome::{location, named, of_run, of_state, replayed};
use crate::pipelines::{ServedPipeline, hexadecimal};
use crate::prefer::Prefer;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;
use crate::trace;
use crate::trigger::{HttpStart, Start};

/// A pipeline that a request is for, and what its path says.
struct Target {
    pipeline: Arc<ServedPipeline>,
    parameters: Vec<(String, String)>,
}

/// `/pipeline/{name}` and `/pipeline/{realm}/v{major}/{name}`.
pub(crate) async fn by_path(State(service): State<Arc<Service>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let target = target_of_path(&service, &path);
    answered(&service, target, request).await
}

/// The routes that documents name.
pub(crate) async fn by_route(State(service): State<Arc<Service>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let nothing = || {
        Problem::new(
            ProblemKind::NotFound,
            format!("There is nothing at `{}`.", shortened(&path)),
        )
    };
    let target = target_of_route(&service, &path).ok_or_else(nothing);
    answered(&service, target, request).await
}

fn target_of_path(service: &Service, path: &str) -> Result<Target, Problem> {
    let platform = PlatformPath::of(path);
    let below = platform.map_or_else(|| path.strip_prefix("/pipeline"), |platform| Some(platform.below));
    let name = below.and_then(|below| below.strip_prefix('/'));
    let Some(name) = name.filter(|name| !name.contains('/')) else {
        return target_of_route(service, path).ok_or_else(|| unknown_pipeline(path));
    };
    let name = percent_decoded(name).unwrap_or_else(|| name.to_owned());
    let pipeline = service
        .pipelines
        .get(&name)
        .filter(|pipeline| platform.is_none_or(|platform| pipeline.has_major(platform.major)))
        // The name of one that no request starts hides no route.
        .filter(|pipeline| matches!(pipeline.trigger.start, Start::Http(_)));
    match pipeline {
        Some(pipeline) => Ok(Target {
            pipeline,
            parameters: Vec::new(),
        }),
        None => target_of_route(service, path).ok_or_else(|| unknown_pipeline(&name)),
    }
}

fn unknown_pipeline(name: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("There is no pipeline `{}` that a request starts.", shortened(name)),
    )
}

fn target_of_route(service: &Service, path: &str) -> Option<Target> {
    let directory = service.pipelines.current();
    let platform = PlatformPath::of(path);
    let mut found = Vec::new();
    for pipeline in directory.pipelines.values() {
        if platform.is_some_and(|platform| !pipeline.has_major(platform.major)) {
            continue;
        }
        if let Start::Http(http) = &pipeline.trigger.start {
            for route in &http.routes {
                if let Some(parameters) = route.parameters(&pipeline.name, path) {
                    found.push((route.rank(), Arc::clone(pipeline), parameters));
                }
            }
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let (_, pipeline, parameters) = found.into_iter().next()?;
    Some(Target { pipeline, parameters })
}

async fn answered(service: &Arc<Service>, target: Result<Target, Problem>, request: Request) -> Response {
    let admitted = admitted(service, target, request.headers());
    let answer = match admitted {
        Ok(target) => respond(service, target, request).await,
        Err(problem) => Err(refused(problem)),
    };
    match answer {
        Ok(response) => response,
        Err(response) => *response,
    }
}

type Answer = Result<Response, Box<Response>>;

fn refused(problem: Problem) -> Box<Response> {
    Box::new(problem.into_response())
}

/// Lets pass who may start the pipeline. Who has no token learns nothing else: neither which pipelines there are, nor their
/// methods, unless anybody may call one.
fn admitted(service: &Service, target: Result<Target, Problem>, headers: &HeaderMap) -> Result<Target, Problem> {
    if target.as_ref().is_ok_and(|target| service.is_public(&target.pipeline)) {
        return target;
    }
    let caller = service.any_caller(headers)?;
    let target = target?;
    caller.require(Need::Run(&target.pipeline.name))?;
    Ok(target)
}

async fn respond(service: &Arc<Service>, target: Target, request: Request) -> Answer {
    let pipeline = &target.pipeline;
    let Start::Http(http) = &pipeline.trigger.start else {
        return Err(refused(unknown_pipeline(&pipeline.name)));
    };
    let (head, body) = request.into_parts();
    if !http.methods.contains(&head.method) {
        let allowed: Vec<&str> = http.methods.iter().map(Method::as_str).collect();
        return Err(refused(Problem::method_not_allowed(head.method.as_str(), &allowed)));
    }
    if !service.is_ready() {
        return Err(refused(draining()));
    }
    let key = IdempotencyKey::of(&head.headers).map_err(refused)?;
    let prefer = Prefer::of(&head.headers);
    let body = whole(body, http).await?;
    // A body that arrives slowly takes nothing from the run's time: the caller waits from here on.
    let received = Instant::now();
    let path_and_query = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let digest = ContentDigest::of_request(&head.method, path_and_query, &content_type(&head.headers), &body);
    let message = http
        .trigger
        .message(Received {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body: &body,
            route_parameters: &target.parameters,
        })
        .map_err(refused)?;
    let order = NewRun {
        trace: trace::of_headers(&head.headers),
        ..order(
            pipeline,
            key.map(|key| key.as_str().to_owned()),
            &digest,
            match http.trigger {
                HttpTrigger::Http => RunOrigin::Http,
                HttpTrigger::Rest { .. } => RunOrigin::Rest,
            },
            &message,
            prefer.leaves_the_run(),
        )
    };
    let caller = Waiting {
        service,
        pipeline,
        trigger: http.trigger,
        prefer,
        until: received + pipeline.trigger.timeout,
    };
    caller.answer(order).await
}

async fn whole(body: Body, http: &HttpStart) -> Result<axum::body::Bytes, Box<Response>> {
    match read_body(body, http.body_limit).await {
        Ok(body) => Ok(body),
        Err(BodyError::TooLarge { .. }) => Err(Box::new(too_large())),
        Err(error) => Err(refused(error.into())),
    }
}

/// An order for a run of this pipeline.
pub(crate) fn order(
    pipeline: &ServedPipeline,
    key: Option<String>,
    digest: &ContentDigest,
    origin: RunOrigin,
    message: &Value,
    retried_here: bool,
) -> NewRun {
    let id = RunId::next();
    let shown = pipeline.prepared.shown(message);
    NewRun {
        key: match key {
            // Two pipelines may be given the same key.
            Some(key) => format!("key/{}/{key}", pipeline.name),
            None => id.to_string(),
        },
        id,
        document: Arc::clone(&pipeline.document),
        digest: hexadecimal(digest.as_bytes()),
        origin,
        shown: (shown != *message).then(|| shown.to_string()),
        message: message.to_string(),
        globals: None,
        trace: None,
        due: None,
        expiration: retried_here.then_some(pipeline.trigger.expiration),
        retries: if retried_here {
            pipeline.trigger.retries_of_queued()
        } else {
            0
        },
        allow_redelivery: pipeline.trigger.allow_redelivery,
        unless_waiting: false,
        running_max: pipeline.trigger.running_max(),
    }
}

fn draining() -> Problem {
    Problem::new(
        ProblemKind::Draining,
        "The service is about to end and takes nothing new.",
    )
    .wait(5)
}

/// Gives an order for a caller that waits, unless it prefers not to, and returns its answer.
pub(crate) async fn answer_of_order(
    service: &Arc<Service>,
    pipeline: &ServedPipeline,
    trigger: HttpTrigger,
    prefer: Prefer,
    order: NewRun,
) -> Response {
    let waiting = Waiting {
        service,
        pipeline,
        trigger,
        prefer,
        until: Instant::now() + pipeline.trigger.timeout,
    };
    match waiting.answer(order).await {
        Ok(response) => response,
        Err(response) => *response,
    }
}

/// A caller that waits for its answer.
struct Waiting<'s> {
    service: &'s Arc<Service>,
    pipeline: &'s ServedPipeline,
    trigger: HttpTrigger,
    prefer: Prefer,
    until: Instant,
}

impl Waiting<'_> {
    async fn answer(&self, order: NewRun) -> Answer {
        check_queue(self.service, &order.key).await.map_err(refused)?;
        let submitted = self.service.dispatcher.submit(order).await;
        match submitted.map_err(|error| refused(of_state(&error)))? {
            Submitted::New(run, ended) => self.ended(run, ended).await,
            Submitted::Known(run) => self.known(run).await,
            Submitted::OtherContent(id) => Err(refused(key_reused(&id))),
            Submitted::Skipped => Err(refused(Problem::new(
                ProblemKind::Conflict,
                "Another run of the pipeline waits already.",
            ))),
        }
    }

    async fn ended(&self, run: Run, ended: EndWaiter) -> Answer {
        let leaves_the_run = self.prefer.leaves_the_run();
        let until = match self.prefer.wait {
            Some(wait) => Instant::now() + wait,
            None if leaves_the_run => return Ok(accepted(&run, self.prefer)),
            None => self.until,
        };
        match tokio::time::timeout_at(until, ended).await {
            Ok(Ok(ended)) => Ok(of_run(self.trigger, &ended.run, ended.output.as_ref())),
            // It waits for another attempt, or the caller wished to wait so long and no longer (RFC 7240, section 4.3).
            Ok(Err(_)) | Err(_) if leaves_the_run => Ok(accepted(&self.as_it_is(run).await, self.prefer)),
            Ok(Err(_)) => Err(Box::new(named(
                self.put_off().about(location(&run)).into_response(),
                &run,
            ))),
            Err(_) => self.overdue(&run).await,
        }
    }

    /// The run as it is now, if the state can be read.
    async fn as_it_is(&self, run: Run) -> Run {
        let now = self.service.runs.run(&run.id).await;
        now.ok().flatten().unwrap_or(run)
    }

    /// The run waits for another attempt that is not the caller's.
    fn put_off(&self) -> Problem {
        if !self.service.is_ready() {
            return draining();
        }
        Problem::new(ProblemKind::InProgress, "The run waits for another attempt.").wait(5)
    }

    /// The run is under way, and the caller's time is over.
    fn timed_out(&self, run: &Run) -> Answer {
        let detail = format!(
            "The run is still under way after {} s; it goes on to its end.",
            self.pipeline.trigger.timeout.as_secs_f64()
        );
        let problem = Problem::new(ProblemKind::TimedOut, detail)
            .advise("Ask again with the same key, or look at the run.")
            .about(location(run));
        Err(Box::new(named(problem.into_response(), run)))
    }

    /// The caller's time is over.
    async fn overdue(&self, run: &Run) -> Answer {
        if run.attempt > 0 {
            // It began, so it cannot be said that it never did.
            return self.timed_out(run);
        }
        let failure = Failure::new(
            FailureKind::Transient,
            "The run did not begin within its time, and was cancelled.",
        );
        let failure = RunFailure {
            kind: failure.kind.as_str().to_owned(),
            object: json!(failure).to_string(),
        };
        let decided = self.service.dispatcher.cancel(&run.id, Some(failure)).await;
        // Written down it is, so it begins when the state can be used.
        let Ok(decided) = decided else {
            return self.timed_out(run);
        };
        match decided {
            Decided::Done(run) => Ok(of_run(self.trigger, &run, None)),
            Decided::NotNow(run) if run.state.is_end() => Ok(of_run(self.trigger, &run, None)),
            Decided::NotNow(_) | Decided::Unknown => self.timed_out(run),
        }
    }

    /// The same order was given before.
    async fn known(&self, run: Run) -> Answer {
        if !run.state.is_end() {
            if self.prefer.leaves_the_run() {
                return Ok(accepted(&run, self.prefer));
            }
            let problem = Problem::new(ProblemKind::InProgress, "The run with this key has not ended.")
                .wait(1)
                .about(location(&run));
            return Err(Box::new(named(problem.into_response(), &run)));
        }
        if is_to_be_tried_again(&run) {
            // It waits again, as a new one would.
            if self.service.dispatcher.is_full() {
                return Err(refused(busy(self.service)));
            }
            let resumed = self.service.dispatcher.resume(&run.id).await;
            if let (Decided::Done(run), Some(ended)) = resumed.map_err(|error| refused(of_state(&error)))? {
                return self.ended(run, ended).await;
            }
        }
        let response = if self.prefer.leaves_the_run() && self.prefer.wait.is_none() {
            accepted(&run, self.prefer)
        } else {
            of_run(self.trigger, &run, None)
        };
        Ok(replayed(response))
    }
}

/// Whether the caller that owns the retry makes it now: the run failed in a way that may pass, or never began.
pub(crate) fn is_to_be_tried_again(run: &Run) -> bool {
    let may_pass = run
        .failure
        .as_ref()
        .is_some_and(|failure| FailureKind::from_name(&failure.kind).is_some_and(FailureKind::is_temporary));
    matches!(run.state, RunState::Failed | RunState::Cancelled) && may_pass
}

/// Refuses an order that would have to wait behind too many others. One whose key has a run already needs no place.
pub(crate) async fn check_queue(service: &Service, key: &str) -> Result<(), Problem> {
    let has_place = service.dispatcher.has_place_for(key).await;
    if has_place.map_err(|error| of_state(&error))? {
        return Ok(());
    }
    Err(busy(service))
}

fn busy(service: &Service) -> Problem {
    let detail = format!("{} runs wait already.", service.settings.queue_max);
    Problem::new(ProblemKind::Busy, detail).wait(10)
}

pub(crate) fn key_reused(id: &RunId) -> Problem {
    Problem::new(
        ProblemKind::KeyReused,
        "The key was used before, for a request with other content.",
    )
    .advise("Use another key for another request.")
    .about(format!("/api/v1/runs/{id}"))
}

/// The answer to a caller that does not wait, or not any longer (RFC 7240, section 4.1). It names the preferences that were
/// applied.
pub(crate) fn accepted(run: &Run, prefer: Prefer) -> Response {
    let body = json!({ "id": run.id.as_str(), "state": run.state.as_str() });
    let mut response = (StatusCode::ACCEPTED, axum::Json(body)).into_response();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&location(run)) {
        headers.insert(LOCATION, value);
    }
    if let Some(applied) = prefer.applied() {
        headers.insert(HeaderName::from_static("preference-applied"), applied);
    }
    named(response, run)
}
