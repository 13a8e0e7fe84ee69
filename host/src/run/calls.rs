//! The calls of a connector: made of a step's parameters, and put into batches.

use std::sync::Arc;

use pipepost_accounts::{Account, Pipelining, PublicView, Security};
use pipepost_core::{Failure, FailureKind};
use pipepost_double_braces::Context;
use pipepost_engine::connector::{Connector as Loaded, Digest};
use pipepost_engine::{Batch, Call, Component, LineLevel, LogSink};
use pipepost_flowspec::parameters::{ParameterProblem, check_resolved};
use pipepost_flowspec::{CompiledConnector, LogLevel, Step};
use pipepost_net::{Route, ServerCapacity, TransportGrant};
use pipepost_state::ledger::Message;
use serde_json::{Map, Value, json};

use super::dispatch::{Sender, text_of};
use super::execute::Execution;
use super::json_text;
use super::observe::LogLine;
use super::quotas::limits_of;
use super::retry::{Attempt, HOST_PARAMETERS, Retry};
use super::route::RequestedEndpoint;
use super::scopes::Frame;

/// A call that is ready to go.
#[derive(Debug)]
pub(super) struct PreparedCall {
    pub(super) key: String,
    digest: String,
    /// JSON.
    parameters: String,
    pub(super) retry: Retry,
    /// What it says of its endpoint; none for a connector without connections.
    pub(super) endpoint: Option<RequestedEndpoint>,
}

impl PreparedCall {
    /// How long its parameters are as JSON, in octets.
    pub(super) fn parameters_len(&self) -> usize {
        self.parameters.len()
    }

    /// As the ledger knows it.
    pub(super) fn message(&self, resend: bool) -> Message {
        Message {
            key: self.key.clone(),
            digest: self.digest.clone(),
            resend,
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// What there is of the output.
    pub(super) output: Option<Value>,
    /// Something of it may have left.
    pub(super) attempted: bool,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// JSON: what is left to do.
    pub(super) remainder: Option<String>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            output: None,
            attempted: false,
            attempts: 0,
            remainder: None,
        }
    }
}

impl Failed {
    /// The output of a step that failed so: the connector's, with what every failure has.
    pub(super) fn output(&self) -> Value {
        let mut fields = match &self.output {
            Some(Value::Object(fields)) => fields.clone(),
            _ => Map::new(),
        };
        let outcome = if self.failure.kind == FailureKind::Uncertain {
            "uncertain"
        } else {
            "failed"
        };
        fields.insert("success".to_owned(), Value::Bool(false));
        fields.insert("outcome".to_owned(), outcome.into());
        fields.insert("message".to_owned(), self.failure.message.clone().into());
        fields.insert("exception".to_owned(), self.failure.kind.as_str().into());
        fields.insert("attempted".to_owned(), self.attempted.into());
        if self.attempts > 0 {
            fields.insert("attempts".to_owned(), self.attempts.into());
        }
        fields.insert("failure".to_owned(), json!(self.failure));
        Value::Object(fields)
    }

    /// What became of a message of which something was confirmed: what failed in the end was the rest of it. A connector
    /// whose output says otherwise is not believed, because the message would be sent again.
    pub(super) fn or_sent(mut self) -> Outcome {
        if self.failure.kind == FailureKind::Uncertain {
            return Err(self);
        }
        match &mut self.output {
            Some(Value::Object(output)) if output.get("success") == Some(&Value::Bool(true)) => {
                output.insert("attempts".to_owned(), self.attempts.into());
                Ok(self.output.unwrap_or_default())
            }
            _ => {
                let said = &self.failure.message;
                let message = format!("The server took at least a part of the message, and the connector says: {said}");
                self.failure = Failure::new(FailureKind::Uncertain, message)
                    .advise("Look for it in the sender's Sent folder or the server's log before sending it again.");
                Err(self)
            }
        }
    }
}

/// How a call ended: with its output, or without success.
pub(super) type Outcome = Result<Value, Failed>;

/// A connector step, with all that its calls have in common.
pub(super) struct Target<'e> {
    pub(super) step: &'e Step,
    pub(super) connector: &'e CompiledConnector,
    pub(super) loaded: &'e Loaded,
    pub(super) component: &'e Component,
    pub(super) account: Option<&'e Arc<Account>>,
    /// How many batches of the step are sent side by side, each over a connection of its own.
    pub(super) lanes: usize,
    /// For a merge by groups, what stands in their messages' keys in the place of a number.
    pub(super) groups: Option<&'e [String]>,
    /// The member of an output that lists who was refused.
    pub(super) refused: Option<&'e str>,
}

impl Execution<'_> {
    pub(super) fn target<'e>(&'e self, step: &'e Step, connector: &'e CompiledConnector) -> Target<'e> {
        let target = self.prepared.target(connector);
        Target {
            step,
            connector,
            loaded: &target.connector,
            component: &target.component,
            account: target.account.as_ref(),
            lanes: 1,
            groups: None,
            refused: target.refused.as_deref(),
        }
    }

    /// Evaluates the parameters, renders the bodies, and brings all into the types of the connector's schema.
    pub(super) fn resolve(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        item: Option<(usize, &Value)>,
    ) -> Result<PreparedCall, Failure> {
        let connector = target.connector;
        let invalid = |message: String| Failure::new(FailureKind::Invalid, message);
        let element = item.map(|(_, element)| element);
        let scopes = self
            .at(target.step, frame)
            .see(connector.account_label.as_deref(), element);
        let mut parameters = match connector.params.evaluate(&scopes) {
            Ok(Value::Object(parameters)) => parameters,
            Ok(_) => Map::new(),
            Err(error) => {
                let name = error.pointer.trim_start_matches('/');
                return Err(invalid(format!("The parameter `{name}`: {}.", error.error)));
            }
        };
        for (name, text) in &connector.texts {
            parameters.insert(name.clone(), Value::String(text.clone()));
        }
        for (name, body) in &connector.bodies {
            let text = body.render(&scopes, &frame.message, element);
            let text = text.map_err(|reason| invalid(format!("The parameter `{name}`: {reason}.")))?;
            parameters.insert(name.clone(), Value::String(text));
        }
        if let Some((name, media_type)) = &connector.media_type {
            parameters.insert(name.clone(), (*media_type).into());
        }
        self.warn_of_values(target, &parameters);
        let schema = &target.loaded.parameters;
        let parameters = check_resolved(schema, Value::Object(parameters)).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(shown).collect();
            invalid(format!("{}.", all.join("; ")))
        })?;
        let parameters = self.with_segmented(connector, &scopes, parameters)?;
        let endpoint = if target.loaded.has_transport() {
            Some(RequestedEndpoint::read(connector, &parameters)?)
        } else {
            None
        };
        let mut key = format!("{}{}", self.key, frame.key(target.step));
        if let Some((index, _)) = item {
            match target.groups.and_then(|keys| keys.get(index)) {
                Some(group) => key.push_str(&format!("/{group}")),
                None => key.push_str(&format!("/{index}")),
            }
        }
        let retry = Retry::read(&parameters)?;
        let (parameters, digest) = written(connector, &parameters);
        Ok(PreparedCall {
            key,
            digest,
            retry,
            parameters,
            endpoint,
        })
    }

    /// The parameters with the structured texts, which are the connector's to read.
    fn with_segmented(
        &self,
        connector: &CompiledConnector,
        scopes: &dyn Context,
        mut parameters: Value,
    ) -> Result<Value, Failure> {
        let Value::Object(members) = &mut parameters else {
            return Ok(parameters);
        };
        for segmented in &connector.segmented {
            let name = segmented.name();
            let value = segmented.evaluate(scopes).map_err(|error| {
                let message = format!("The parameter `{name}{}`: {}.", error.pointer, error.error);
                Failure::new(FailureKind::Invalid, message)
            })?;
            members.insert(name.to_owned(), value);
        }
        Ok(parameters)
    }

    /// What values did to a text that the document meant otherwise: left it empty, or brought HTML into plain text.
    fn warn_of_values(&self, target: &Target<'_>, parameters: &Map<String, Value>) {
        let step = target.step.label();
        for name in &target.connector.warn_empty {
            let is_empty = match parameters.get(name) {
                None | Some(Value::Null) => true,
                Some(Value::String(text)) => text.trim().is_empty(),
                Some(_) => false,
            };
            if is_empty {
                tracing::warn!(
                    target: "pipepost::pipeline",
                    step,
                    "the parameter `{name}` is empty: its expressions gave nothing"
                );
            }
        }
        let Some((media_type, "text/plain")) = &target.connector.media_type else {
            return;
        };
        for (name, body) in &target.connector.bodies {
            let text = parameters.get(name).and_then(Value::as_str).unwrap_or_default();
            if body.was_brought_html(text) {
                tracing::warn!(
                    target: "pipepost::pipeline",
                    step,
                    "a value brings HTML into the parameter `{name}`, whose own text is plain, so it is sent as plain \
                     text; `{media_type}` says that it is HTML"
                );
            }
        }
    }
}

impl Sender<'_> {
    /// Receives what the connector logs, for whoever watches the run.
    fn lines(&self, target: &Target<'_>) -> Option<LogSink> {
        let observer = Arc::clone(self.observer.as_ref().filter(|observer| observer.wants_lines())?);
        let mask = Arc::clone(&self.mask);
        let connector = target.loaded.name.clone();
        Some(Arc::new(move |level, text: &str| {
            observer.line(&LogLine {
                level: match level {
                    LineLevel::Debug => LogLevel::Debug,
                    LineLevel::Info => LogLevel::Info,
                    LineLevel::Warn => LogLevel::Warn,
                    LineLevel::Error => LogLevel::Error,
                },
                source: &connector,
                text: &mask.text(text),
            });
        }))
    }

    /// Calls as the connector takes them, in one batch; their numbers are their places.
    pub(super) fn batch<'c>(
        &self,
        target: &Target<'_>,
        route: Option<Arc<Route>>,
        calls: impl Iterator<Item = (&'c PreparedCall, &'c Attempt)>,
    ) -> Batch {
        let calls = calls.zip(0..).map(|((ready, which), id)| Call {
            id,
            key: ready.key.clone(),
            attempt: which.attempt,
            parameters: ready.parameters.clone(),
            remainder: which.share.remainder().map(str::to_owned),
        });
        let mut account = public_view(target.account, route.as_deref(), target.lanes);
        if let (Some(view), Some(route)) = (&mut account, &route) {
            apply_capacity(view, self.host.connections.capacity(route));
        }
        Batch {
            connector: target.loaded.name.as_str().into(),
            account,
            calls: calls.collect(),
            transport: route.map(|route| TransportGrant {
                route,
                connections: Arc::clone(&self.host.connections),
                component: Arc::clone(&target.loaded.digest),
                pipeline: Arc::clone(&self.pipeline),
                run: self.run,
            }),
            permit: None,
            files: Arc::clone(&self.files),
            ledger: Arc::clone(&self.ledger),
            ending: self.clock.token().clone(),
            log: self.lines(target),
        }
    }
}

/// The parameters as JSON, and the digest of what makes a message the same: not how often it is tried, nor what is done
/// about its failure. Every value is written once: a message has kilobytes of them.
fn written(connector: &CompiledConnector, parameters: &Value) -> (String, String) {
    let label = connector.account_label.as_deref().unwrap_or_default();
    let mut content = Digest::default();
    content.add(connector.name.as_bytes());
    content.add(label.as_bytes());
    let mut text = String::from("{");
    for (name, value) in parameters.as_object().into_iter().flatten() {
        if text.len() > 1 {
            text.push(',');
        }
        let start = text.len();
        json_text::write(&mut text, name);
        text.push(':');
        match value {
            Value::String(value) => json_text::write(&mut text, value),
            other => text.push_str(&text_of(other)),
        }
        if !HOST_PARAMETERS.contains(&name.as_str()) {
            content.add(&text.as_bytes()[start..]);
        }
    }
    text.push('}');
    (text, content.finish())
}

/// One problem of a parameter's value, in words.
fn shown(problem: &ParameterProblem) -> String {
    let name = problem.pointer.trim_start_matches('/');
    let advice = problem
        .advice
        .as_ref()
        .map(|advice| format!("; {advice}"))
        .unwrap_or_default();
    if name.is_empty() {
        format!("{}{advice}", problem.message)
    } else {
        format!("The parameter `{name}`: {}{advice}", problem.message)
    }
}

/// Messages in flight over all connections of a step, where the account states no number for each: what they could make
/// uncertain together, should a server end them all after as many messages.
const WINDOW_MESSAGES: usize = 16;

/// Has a batch begin with what earlier ones have learned of the server. As long as its limit is not known, one message is in
/// flight, and its content leaves only once the server has taken its envelope: an end costs nothing then.
fn apply_capacity(view: &mut PublicView, capacity: ServerCapacity) {
    match capacity {
        ServerCapacity::Unlimited => {}
        ServerCapacity::Suspected(_) => {
            view.pipelining = Pipelining::Off;
            view.max_uncertain = Some(1);
        }
        ServerCapacity::Known(most) => {
            let stated = view.messages_per_connection.unwrap_or(most);
            view.messages_per_connection = Some(stated.min(most));
        }
    }
}

/// The account as the connector sees it, with the endpoint that the host decided. `lanes`: how many batches are sent side
/// by side.
fn public_view(account: Option<&Arc<Account>>, route: Option<&Route>, lanes: usize) -> Option<PublicView> {
    let view = account.map(|account| account.public_view());
    let Some(route) = route else {
        return view;
    };
    let mut view = view.unwrap_or_default();
    if !account.is_some_and(|account| account.hides_host()) {
        view.host = Some(route.endpoint().host.clone());
    }
    view.port = Some(route.endpoint().port);
    // The server of a dry run is inside this process, and a connection to it counts as secured from its first byte.
    view.security = if route.is_dry_run() {
        Security::Tls
    } else {
        route.min_security()
    };
    let states_a_window = |account: &Arc<Account>| {
        let limits = account.limits();
        limits.max_uncertain.is_some() || limits.messages_per_connection.is_some()
    };
    if lanes > 1 && !account.is_some_and(states_a_window) {
        view.max_uncertain = u32::try_from((WINDOW_MESSAGES / lanes).max(1)).ok();
    }
    // What waits for its turn must not keep from ending what was sent before it.
    if account.is_some_and(|account| limits_of(account).is_some()) {
        view.max_uncertain = Some(1);
    }
    if !route.may_sign_in() {
        view.mechanisms.clear();
    }
    Some(view)
}
