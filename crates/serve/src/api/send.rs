//! `POST /api/v1/send`: one email without a pipeline, for other platforms. It is a run of a document of one step, so it is
//! as durable as any other, and is answered as a trigger answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use pipepost_state::runs::{NewRun, PinnedDocument, RunOrigin};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answers::json_body;
use crate::host::{Source, SourceFiles};
use crate::idempotency::{ContentDigest, IdempotencyKey};
use crate::message::HttpTrigger;
use crate::pipelines::{ServedPipeline, hexadecimal};
use crate::prefer::Prefer;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;
use crate::trace;
use crate::trigger::Trigger;
use crate::triggers::{answer_of_order, order};

/// The name under which these runs are listed; a token needs the scope `run:/send`. No document can have it, so that a token
/// for a pipeline of a similar name sends nothing here.
pub(crate) const NAME: &str = "/send";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SendOrder {
    account: String,
    params: Map<String, Value>,
    key: Option<String>,
}

/// `POST /api/v1/send`.
pub(crate) async fn send(State(service): State<Arc<Service>>, headers: HeaderMap, body: Body) -> Response {
    match sent(&service, &headers, body).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn sent(service: &Arc<Service>, headers: &HeaderMap, body: Body) -> Result<Response, Problem> {
    service.caller(headers, Need::Run(NAME))?;
    service.check_ready()?;
    let given: SendOrder = json_body(body).await?;
    let key = match given.key {
        Some(key) => Some(IdempotencyKey::new(key)?),
        None => IdempotencyKey::of(headers)?,
    };
    let text = service.operator.send_document(&given.account, &given.params)?;
    let pipeline = prepare(service, text).await?;
    let message = Value::Object(given.params);
    let digest = ContentDigest::of_parts(&[given.account.as_bytes(), message.to_string().as_bytes()]);
    let prefer = Prefer::of(headers);
    let order = NewRun {
        trace: trace::of_headers(headers),
        ..order(
            &pipeline,
            key.map(|key| key.as_str().to_owned()),
            &digest,
            RunOrigin::Api,
            &message,
            prefer.leaves_the_run(),
        )
    };
    Ok(answer_of_order(
        service,
        &pipeline,
        HttpTrigger::Rest { text_body: false },
        prefer,
        order,
    )
    .await)
}

async fn prepare(service: &Service, text: String) -> Result<ServedPipeline, Problem> {
    let source = Source {
        text: text.clone(),
        files: SourceFiles::Pinned(BTreeMap::new()),
    };
    let host = Arc::clone(service.pipelines.host());
    let prepared = tokio::task::spawn_blocking(move || host.prepare(&source)).await;
    let prepared = prepared
        .unwrap_or_else(|error| Err(vec![error.to_string()]))
        .map_err(|problems| {
            Problem::new(
                ProblemKind::Run(pipepost_core::FailureKind::Configuration),
                problems.join(" "),
            )
        })?;
    let trigger = Trigger::of(prepared.document(), jiff::Timestamp::now())
        .map_err(|problems| Problem::new(ProblemKind::Internal, problems.join(" ")))?;
    let digest = hexadecimal(ContentDigest::of_parts(&[text.as_bytes()]).as_bytes());
    Ok(ServedPipeline {
        name: NAME.to_owned(),
        file: String::new(),
        trigger,
        accounts: prepared.accounts(),
        prepared,
        document: Arc::new(PinnedDocument {
            digest,
            pipeline: NAME.to_owned(),
            text,
            files: "{}".to_owned(),
        }),
    })
}
