//! The calls of a connector: made of a step's parameters, handed over in batches, judged, and written down.

use std::sync::Arc;

use pipepost_accounts::Account;
use pipepost_flowspec::parameters::{ParameterProblem, check_resolved};
use pipepost_flowspec::{Connector, Step};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::RunError;
use super::execute::{Execution, place};
use super::gather::Word;
use super::observe::Counter;
use super::route::{Wanted, route};
use super::scopes::Frame;
use crate::bindings::Call;
use crate::body::with_model;
use crate::connectors::{Connector as Loaded, digest};
use crate::engine::{Batch, CallEnd, run_batch};
use crate::failure::{Failure, Kind};
use crate::forms::ConnectorForm;
use crate::ledger::Recorded;
use crate::transport::{Route, Transport};

/// A call that is ready to go.
#[derive(Debug)]
pub(super) struct Ready {
    key: String,
    digest: String,
    /// JSON.
    parameters: String,
    /// What it says of its endpoint; none for a connector without connections.
    wanted: Option<Wanted>,
}

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// What there is of the output.
    output: Option<Value>,
    /// Something of it may have left.
    attempted: bool,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            output: None,
            attempted: false,
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
        let outcome = if self.failure.kind == Kind::Uncertain {
            "uncertain"
        } else {
            "failed"
        };
        fields.insert("success".to_owned(), Value::Bool(false));
        fields.insert("outcome".to_owned(), outcome.into());
        fields.insert("message".to_owned(), self.failure.message.clone().into());
        fields.insert("exception".to_owned(), self.failure.kind.as_str().into());
        fields.insert("attempted".to_owned(), self.attempted.into());
        fields.insert("failure".to_owned(), json!(self.failure));
        Value::Object(fields)
    }
}

/// How a call ended: with its output, or without success.
pub(super) type Outcome = Result<Value, Failed>;

/// A connector step, with all that its calls have in common.
pub(super) struct Target<'e> {
    pub(super) step: &'e Step,
    pub(super) connector: &'e Connector,
    pub(super) form: &'e ConnectorForm,
    pub(super) loaded: &'e Loaded,
    pub(super) account: Option<Arc<Account>>,
}

impl Execution<'_> {
    pub(super) fn target<'e>(&'e self, step: &'e Step, connector: &'e Connector) -> Result<Target<'e>, RunError> {
        let configuration = |message: String| RunError::new(place(step), Failure::new(Kind::Configuration, message));
        let loaded = self.host.connectors.get(&connector.name);
        let form = self.prepared.forms.connector(step);
        let (Some(loaded), Some(form)) = (loaded, form) else {
            return Err(configuration(format!(
                "The connector `{}` is not there.",
                connector.name
            )));
        };
        let account = match &connector.account_label {
            Some(label) => {
                let account = self.host.accounts.get(label);
                Some(Arc::clone(account.map_err(|error| configuration(error.to_string()))?))
            }
            None => None,
        };
        Ok(Target {
            step,
            connector,
            form,
            loaded,
            account,
        })
    }

    /// Evaluates the parameters, renders the bodies, and brings all into the types of the connector's schema.
    pub(super) fn resolve(
        &self,
        target: &Target<'_>,
        frame: &Frame,
        item: Option<(usize, &Value)>,
    ) -> Result<Ready, Failure> {
        let Target { connector, form, .. } = target;
        let invalid = |message: String| Failure::new(Kind::Invalid, message);
        let element = item.map(|(_, element)| element);
        let scopes = self.see(frame, connector.account_label.as_deref(), element);
        let mut parameters = match form.params.as_ref().map(|params| params.evaluate(&scopes)) {
            Some(Ok(Value::Object(parameters))) => parameters,
            Some(Err(error)) => {
                let name = error.pointer.trim_start_matches('/');
                return Err(invalid(format!("The parameter `{name}`: {}.", error.error)));
            }
            _ => Map::new(),
        };
        for (name, text) in &form.texts {
            parameters.insert(name.clone(), Value::String(text.clone()));
        }
        for (name, body) in &form.bodies {
            let text = with_model(&frame.message, element, |model| body.render(&scopes, model));
            let text = text.map_err(|reason| invalid(format!("The parameter `{name}`: {reason}.")))?;
            parameters.insert(name.clone(), Value::String(text));
        }
        if let Some(content_type) = form.content_type {
            parameters.insert("contentType".to_owned(), content_type.into());
        }
        let schema = &target.loaded.description.parameters;
        let parameters = check_resolved(schema, &Value::Object(parameters)).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(shown).collect();
            invalid(format!("{}.", all.join("; ")))
        })?;
        let wanted = if target.loaded.has_transport() {
            Some(Wanted::read(connector, &parameters)?)
        } else {
            None
        };
        let mut key = format!("{}{}", self.key, frame.key(target.step));
        if let Some((index, _)) = item {
            key.push_str(&format!("/{index}"));
        }
        let parameters = parameters.to_string();
        let label = connector.account_label.as_deref().unwrap_or_default();
        let content = format!("{}\n{label}\n{parameters}", connector.name);
        Ok(Ready {
            key,
            digest: digest(content.as_bytes()),
            parameters,
            wanted,
        })
    }

    /// Performs one call; in a parallel loop together with those of the other iterations.
    pub(super) async fn deliver(&self, target: &Target<'_>, frame: &Frame, ready: Ready) -> Outcome {
        let ready = Arc::new(ready);
        let mut others = Vec::new();
        if let Some(gather) = &frame.gather {
            match gather.meet(&target.step.path, &ready).await {
                Word::Done(outcome) => return *outcome,
                Word::Lead(waiting) => others = waiting,
            }
        }
        let mut all = vec![ready];
        all.extend(others.iter().map(|waiting| Arc::clone(&waiting.ready)));
        let mut outcomes = self.hand_over(target, &all, None).await.into_iter();
        let own = outcomes.next();
        for (waiting, outcome) in others.into_iter().zip(outcomes) {
            waiting.tell(outcome);
        }
        own.unwrap_or_else(|| Err(lost(target)))
    }

    /// Hands calls of one step to its connector, those on one route together. The answers stand in the calls' order.
    pub(super) async fn hand_over(
        &self,
        target: &Target<'_>,
        calls: &[Arc<Ready>],
        counter: Option<&Arc<Counter>>,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(|call| self.recorded(call)).collect();
        let mut lots: Vec<(&Option<Wanted>, Vec<usize>)> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            if outcomes[index].is_some() {
                if let Some(counter) = counter {
                    counter.one();
                }
                continue;
            }
            match lots.iter_mut().find(|(wanted, _)| **wanted == call.wanted) {
                Some((_, indices)) => indices.push(index),
                None => lots.push((&call.wanted, vec![index])),
            }
        }
        // Tasks of their own, so that several batches use several cores; they end with this future.
        let mut under_way = JoinSet::new();
        for (wanted, indices) in lots {
            let route = wanted
                .as_ref()
                .map(|wanted| route(self.host, target.account.as_ref(), wanted).map(Arc::new))
                .transpose();
            match route {
                Ok(route) => {
                    let batch = self.batch(target, route, indices.iter().map(|index| &*calls[*index]));
                    let (engine, component) = (self.host.engine.clone(), target.loaded.component.clone());
                    let counter = counter.cloned();
                    let settled = move |_| {
                        if let Some(counter) = &counter {
                            counter.one();
                        }
                    };
                    under_way.spawn(async move { (indices, run_batch(&engine, &component, batch, settled).await) });
                }
                Err(failure) => {
                    for index in indices {
                        outcomes[index] = Some(self.settle(&calls[index], Err(failure.clone().into())));
                    }
                }
            }
        }
        while let Some(joined) = under_way.join_next().await {
            // A task that is gone leaves its calls without an end, and that is what they are told below.
            let Ok((indices, mut ends)) = joined else { continue };
            for (index, id) in indices.into_iter().zip(0..) {
                let outcome = match ends.remove(&id) {
                    Some(end) => judged(&target.connector.name, end),
                    None => Err(lost(target)),
                };
                outcomes[index] = Some(self.settle(&calls[index], outcome));
            }
        }
        let ended = outcomes.into_iter().zip(calls);
        ended
            .map(|(outcome, call)| outcome.unwrap_or_else(|| self.settle(call, Err(lost(target)))))
            .collect()
    }

    fn batch<'c>(
        &self,
        target: &Target<'_>,
        route: Option<Arc<Route>>,
        calls: impl Iterator<Item = &'c Ready>,
    ) -> Batch {
        let calls = calls.zip(0..).map(|(ready, id)| Call {
            id,
            key: ready.key.clone(),
            attempt: 1,
            parameters: ready.parameters.clone(),
            remainder: None,
        });
        Batch {
            connector: target.loaded.description.name.as_str().into(),
            account: public_view(target.account.as_ref(), route.as_deref()).map(|view| view.to_string()),
            calls: calls.collect(),
            transport: route.map(|route| Transport {
                route,
                connections: Arc::clone(&self.host.connections),
                component: Arc::clone(&target.loaded.digest),
            }),
            files: Arc::clone(&self.files),
            ledger: Arc::clone(&self.ledger),
            ending: self.ending.clone(),
        }
    }

    /// What an earlier attempt left under this key: its outcome, with `replayed: true`.
    fn recorded(&self, ready: &Ready) -> Option<Outcome> {
        let Recorded {
            digest,
            mut output,
            uncertain,
        } = self.ledger.recorded(&ready.key)?;
        if digest != ready.digest {
            let message = format!("The message `{}` was sent before with another content.", ready.key);
            let failure = Failure::new(Kind::Configuration, message)
                .advise("Nothing is sent twice under one key: leave the content of a try as it was, or begin another execution.");
            return Some(Err(failure.into()));
        }
        tracing::info!(
            key = ready.key,
            uncertain,
            "was performed before; its recorded outcome is used"
        );
        if let Value::Object(output) = &mut output {
            output.insert("replayed".to_owned(), Value::Bool(true));
        }
        if !uncertain {
            return Some(Ok(output));
        }
        let message = format!(
            "The message `{}` may have been sent before; it is not sent again.",
            ready.key
        );
        let failure = Failure::new(Kind::Uncertain, message)
            .advise("Look for it in the sender's Sent folder or the server's log before sending it anew.");
        Some(Err(Failed {
            failure,
            output: Some(output),
            attempted: true,
        }))
    }

    /// Counts how a call ended, and writes down what must not happen again.
    fn settle(&self, ready: &Ready, outcome: Outcome) -> Outcome {
        let kind = outcome.as_ref().err().map(|failed| failed.failure.kind);
        self.count(kind);
        let output = match &outcome {
            Ok(output) => output.clone(),
            Err(failed) if failed.failure.kind == Kind::Uncertain => failed.output(),
            Err(_) => return outcome,
        };
        self.ledger.record(
            &ready.key,
            Recorded {
                digest: ready.digest.clone(),
                output,
                uncertain: kind == Some(Kind::Uncertain),
            },
        );
        outcome
    }
}

/// The end of a call that its task took along.
fn lost(target: &Target<'_>) -> Failed {
    let message = format!(
        "Nothing is known of what the connector `{}` did.",
        target.connector.name
    );
    Failed {
        failure: Failure::new(Kind::Uncertain, message),
        output: None,
        attempted: true,
    }
}

fn judged(connector: &str, end: CallEnd) -> Outcome {
    match end.result {
        Ok(output) => serde_json::from_str(&output).map_err(|error| Failed {
            failure: Failure::new(
                Kind::Limit,
                format!("The connector `{connector}` returned no JSON: {error}."),
            ),
            output: None,
            attempted: end.announced,
        }),
        Err(failure) => Err(Failed {
            output: failure.output.and_then(|output| serde_json::from_str(&output).ok()),
            failure: failure.failure,
            attempted: end.announced,
        }),
    }
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

/// The account as the connector sees it, with the endpoint that the host decided.
fn public_view(account: Option<&Arc<Account>>, route: Option<&Route>) -> Option<Value> {
    let mut view = match account {
        Some(account) => account.public_view(),
        None => json!({ "mechanisms": [] }),
    };
    let (Value::Object(fields), Some(route)) = (&mut view, route) else {
        return account.map(|_| view);
    };
    fields.insert("host".to_owned(), route.address.host.clone().into());
    fields.insert("port".to_owned(), route.address.port.into());
    // The server of a rehearsal is inside this process, and a connection to it counts as secured from its first byte.
    let security = if route.rehearsal.is_some() {
        "tls"
    } else {
        route.least.as_str()
    };
    fields.insert("security".to_owned(), security.into());
    if !route.signs_in {
        fields.insert("mechanisms".to_owned(), json!([]));
    }
    Some(view)
}
