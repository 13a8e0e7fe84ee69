//! A connector step: its parameters, its route, its calls, and what became of them.

use std::collections::HashMap;
use std::sync::Arc;

use pipepost_accounts::Account;
use pipepost_flowspec::parameters::{ParameterProblem, check_resolved};
use pipepost_flowspec::{Connector, Step};
use serde_json::{Map, Value, json};

use super::RunError;
use super::execute::{Execution, place};
use super::route::route;
use super::scopes::Frame;
use crate::bindings::Call;
use crate::connectors::{Connector as Loaded, digest};
use crate::engine::{Batch, CallEnd, CallFailure, run_batch};
use crate::failure::{Failure, Kind};
use crate::ledger::Recorded;
use crate::transport::{Route, Transport};

/// A call that is ready to go.
struct Ready {
    key: String,
    digest: String,
    parameters: Value,
}

impl Execution<'_> {
    /// Performs the step; the answer is its output.
    pub(super) async fn connector(&self, step: &Step, connector: &Connector, frame: &Frame) -> Result<Value, RunError> {
        let fail = |failure: Failure| RunError::new(place(step), failure);
        let loaded = self.host.connectors.get(&connector.name).ok_or_else(|| {
            fail(Failure::new(
                Kind::Configuration,
                format!("The connector `{}` is not there.", connector.name),
            ))
        })?;
        let account = self.account(step, connector)?;
        let ready = self.resolve(step, connector, loaded, frame, None)?;
        let stops = ready.parameters.get("failOnError") == Some(&Value::Bool(true));
        let outcome = match self.recorded(&ready) {
            Ok(Some(output)) => Ok(output),
            Ok(None) => self.perform(connector, loaded, account.as_ref(), ready).await,
            Err(failure) => Err(failure.into()),
        };
        match outcome {
            Ok(output) => Ok(output),
            Err(failure) if stops => {
                let mut error = fail(failure.failure.clone());
                if let (Value::Object(object), Some(output)) = (&mut error.object, failed_output(&failure).as_object())
                {
                    for (name, value) in output {
                        object.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                }
                Err(error)
            }
            Err(failure) => {
                self.tolerate(step, &failure.failure);
                Ok(failed_output(&failure))
            }
        }
    }

    fn account(&self, step: &Step, connector: &Connector) -> Result<Option<Arc<Account>>, RunError> {
        let Some(label) = &connector.account_label else {
            return Ok(None);
        };
        let account = self.host.accounts.get(label);
        let account = account
            .map_err(|error| RunError::new(place(step), Failure::new(Kind::Configuration, error.to_string())))?;
        Ok(Some(Arc::clone(account)))
    }

    /// Evaluates the parameters and brings them into the types of the connector's schema.
    fn resolve(
        &self,
        step: &Step,
        connector: &Connector,
        loaded: &Loaded,
        frame: &Frame,
        item: Option<&Value>,
    ) -> Result<Ready, RunError> {
        let invalid = |message: String| RunError::new(place(step), Failure::new(Kind::Invalid, message));
        let scopes = self.see(frame, connector.account_label.as_deref(), item)?;
        let mut parameters = connector
            .params
            .evaluate(&scopes)
            .map_err(|error| invalid(format!("{error}.")))?;
        self.insert_files(step, connector, &mut parameters)?;
        let parameters = check_resolved(&loaded.description.parameters, &parameters).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(shown).collect();
            invalid(format!("{}.", all.join("; ")))
        })?;
        let key = format!("{}/{}{}", self.key, frame.path, step.key());
        let content = json!([connector.name, connector.account_label, parameters]).to_string();
        Ok(Ready {
            key,
            digest: digest(content.as_bytes()),
            parameters,
        })
    }

    /// `{"file": "name"}` stands for the text of a file beside the document.
    fn insert_files(&self, step: &Step, connector: &Connector, parameters: &mut Value) -> Result<(), RunError> {
        for name in &connector.annotations.files {
            let Some(file) = parameters
                .get(name)
                .and_then(|value| value.get("file"))
                .and_then(Value::as_str)
            else {
                continue;
            };
            let text = super::beside::read(self.options.beside.as_deref(), file)
                .map_err(|failure| RunError::new(format!("{}, parameter {name}", place(step)), failure))?;
            if let Some(slot) = parameters.get_mut(name) {
                *slot = Value::String(text);
            }
        }
        Ok(())
    }

    /// What an earlier attempt left under this key: its output, with `replayed: true`.
    fn recorded(&self, ready: &Ready) -> Result<Option<Value>, Failure> {
        let Some(Recorded {
            digest,
            mut output,
            uncertain,
        }) = self.ledger.recorded(&ready.key)
        else {
            return Ok(None);
        };
        if digest != ready.digest {
            let message = format!("The message `{}` was sent before with another content.", ready.key);
            return Err(
                Failure::new(Kind::Configuration, message).advise("Use another --execution key for another run.")
            );
        }
        if let Value::Object(output) = &mut output {
            output.insert("replayed".to_owned(), Value::Bool(true));
        }
        tracing::info!(
            key = ready.key,
            uncertain,
            "was performed before; its recorded outcome is used"
        );
        Ok(Some(output))
    }

    async fn perform(
        &self,
        connector: &Connector,
        loaded: &Loaded,
        account: Option<&Arc<Account>>,
        ready: Ready,
    ) -> Result<Value, CallFailure> {
        let route = if loaded.has_transport() {
            Some(Arc::new(route(self.host, account, connector, &ready.parameters)?))
        } else {
            None
        };
        let sender = account.filter(|_| route.is_some() && self.host.rehearsal.is_none());
        if let Some(account) = sender {
            let quotas = &self.host.connections.quotas;
            quotas.admit(account.label(), account.limits(), &self.ending).await?;
        }
        let mut ends = self.send(loaded, account, route, std::slice::from_ref(&ready)).await;
        let end = ends.remove(&0).unwrap_or_else(|| CallEnd::missing(&connector.name));
        let result = match end.result {
            Ok(output) => parse(&connector.name, &output).map_err(CallFailure::from),
            Err(failure) => Err(failure),
        };
        if let (Some(account), Err(failure)) = (sender, &result) {
            self.host.connections.quotas.note(account.label(), &failure.failure);
        }
        self.settle(&ready, &result);
        result
    }

    /// Hands calls of one step, account and run to the connector, together.
    async fn send(
        &self,
        loaded: &Loaded,
        account: Option<&Arc<Account>>,
        route: Option<Arc<Route>>,
        ready: &[Ready],
    ) -> HashMap<u32, CallEnd> {
        let calls = ready.iter().zip(0..).map(|(ready, id)| Call {
            id,
            key: ready.key.clone(),
            attempt: 1,
            parameters: ready.parameters.to_string(),
            remainder: None,
        });
        let batch = Batch {
            connector: loaded.description.name.as_str().into(),
            account: public_view(account, route.as_deref()).map(|view| view.to_string()),
            calls: calls.collect(),
            transport: route.map(|route| Transport {
                route,
                connections: Arc::clone(&self.host.connections),
                component: Arc::clone(&loaded.digest),
            }),
            files: Arc::clone(&self.files),
            ledger: Arc::clone(&self.ledger),
            ending: self.ending.clone(),
        };
        run_batch(&self.host.engine, &loaded.component, batch, |_| {}).await
    }

    /// Counts how a call ended, and writes down what must not happen again.
    fn settle(&self, ready: &Ready, result: &Result<Value, CallFailure>) {
        let kind = result.as_ref().err().map(|failure| failure.failure.kind);
        self.count(kind);
        let output = match result {
            Ok(output) => output.clone(),
            Err(failure) if failure.failure.kind == Kind::Uncertain => failed_output(failure),
            Err(_) => return,
        };
        let uncertain = kind == Some(Kind::Uncertain);
        self.ledger.record(
            &ready.key,
            Recorded {
                digest: ready.digest.clone(),
                output,
                uncertain,
            },
        );
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
    fields.insert("security".to_owned(), route.least.as_str().into());
    if !route.signs_in {
        fields.insert("mechanisms".to_owned(), json!([]));
    }
    Some(view)
}

fn parse(connector: &str, output: &str) -> Result<Value, Failure> {
    serde_json::from_str(output).map_err(|error| {
        Failure::new(
            Kind::Limit,
            format!("The connector `{connector}` returned no JSON: {error}."),
        )
    })
}

/// The output of a step that failed and that the pipeline goes on from: the connector's, with what every failure has.
fn failed_output(failure: &CallFailure) -> Value {
    let output = failure
        .output
        .as_deref()
        .and_then(|output| serde_json::from_str::<Value>(output).ok());
    let mut fields = match output {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let what = &failure.failure;
    fields.insert("success".to_owned(), Value::Bool(false));
    fields.insert(
        "outcome".to_owned(),
        if what.kind == Kind::Uncertain {
            "uncertain".into()
        } else {
            "failed".into()
        },
    );
    fields.insert("message".to_owned(), what.message.clone().into());
    fields.insert("exception".to_owned(), what.kind.as_str().into());
    fields.insert("failure".to_owned(), json!(what));
    Value::Object(fields)
}
