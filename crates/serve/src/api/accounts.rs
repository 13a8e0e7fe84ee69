//! Accounts: listed, shown without their secrets, written into the store, tested, paused, signed in.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use jiff::Timestamp;
use pipepost_state::runs::AccountWait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::answers::{Page, Segment, answer, json_body, nothing};
use super::events::event_stream;
use crate::problem::{Problem, ProblemKind};
use crate::service::Service;
use crate::tokens::Need;

/// `GET /api/v1/accounts`.
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let list = async {
        service.caller(&headers, Need::Read)?;
        let page = Page::of(query.as_deref().unwrap_or_default(), &[])?;
        let accounts = service.operator.accounts().await?;
        let label = |account: &Value| account["label"].as_str().unwrap_or_default().to_owned();
        Ok(page.cut("accounts", accounts, label, |account| account))
    };
    answer(list.await)
}

/// `GET /api/v1/accounts/{label}`.
pub(crate) async fn show(State(service): State<Arc<Service>>, Segment(label): Segment, headers: HeaderMap) -> Response {
    let show = async {
        service.caller(&headers, Need::Read)?;
        service.operator.account(&label).await
    };
    answer(show.await)
}

/// `PUT /api/v1/accounts/{label}`.
pub(crate) async fn put(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let put = async {
        service.caller(&headers, Need::Admin)?;
        let fields = fields_of(json_body(body).await?, &label)?;
        let is_new = service.operator.put_account(&label, fields).await?;
        service.accounts_changed(&label).await;
        let account = service.operator.account(&label).await?;
        Ok::<_, Problem>((is_new, account))
    };
    match put.await {
        Ok((true, account)) => (StatusCode::CREATED, axum::Json(account)).into_response(),
        Ok((false, account)) => answer(Ok(account)),
        Err(problem) => problem.into_response(),
    }
}

/// The fields of an account: they alone, or the account as `GET` shows it.
fn fields_of(mut body: Map<String, Value>, label: &str) -> Result<Map<String, Value>, Problem> {
    if !matches!(body.get("fields"), Some(Value::Object(_))) {
        return Ok(body);
    }
    let bad = |detail: String| Err(Problem::new(ProblemKind::BadRequest, detail));
    let fields = body.shift_remove("fields");
    if let Some(other) = body.get("label").filter(|other| *other != label) {
        return bad(format!(
            "The body is the account {other}, and the path names `{label}`."
        ));
    }
    let shown = ["label", "type", "source", "paused"];
    if let Some(unknown) = body.keys().find(|name| !shown.contains(&name.as_str())) {
        return bad(format!(
            "`{unknown}` is not known beside `fields`; write it within them."
        ));
    }
    match fields {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Ok(body),
    }
}

/// `DELETE /api/v1/accounts/{label}`.
pub(crate) async fn remove(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    headers: HeaderMap,
) -> Response {
    let remove = async {
        service.caller(&headers, Need::Admin)?;
        service.operator.remove_account(&label).await?;
        service.accounts_changed(&label).await;
        Ok(())
    };
    nothing(remove.await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestOrder {
    to: Option<String>,
}

/// `POST /api/v1/accounts/{label}/test`. The checks are events of a stream, each as it ends; `report` is the last one.
pub(crate) async fn test(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let begin = async {
        service.caller(&headers, Need::Operate)?;
        let order: TestOrder = json_body(body).await?;
        // An unknown account is told with its status, before the stream begins.
        service.operator.account(&label).await?;
        Ok::<_, Problem>(order)
    };
    let order = match begin.await {
        Ok(order) => order,
        Err(problem) => return problem.into_response(),
    };
    let (tell, told) = mpsc::unbounded_channel();
    let (checks, mut each) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let forward = async {
            while let Some(check) = each.recv().await {
                // Whoever has gone need not be told.
                let _ = tell.send(("check", check));
            }
        };
        let test = service.operator.test_account(&label, order.to, checks);
        let (report, ()) = tokio::join!(test, forward);
        let last = match report {
            Ok(report) => ("report", report),
            Err(problem) => ("problem", problem.to_json()),
        };
        let _ = tell.send(last);
    });
    event_stream(told)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseOrder {
    reason: Option<String>,
    until: String,
}

/// `POST /api/v1/accounts/{label}/pause`.
pub(crate) async fn pause(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let pause = async {
        service.caller(&headers, Need::Operate)?;
        let order: PauseOrder = json_body(body).await?;
        let bad = |detail: String| Problem::new(ProblemKind::BadRequest, detail);
        let until: Timestamp = order.until.parse().map_err(|_| {
            bad(format!(
                "`until` is `{}`, which is not a time of RFC 3339.",
                order.until
            ))
        })?;
        let lasts = until.duration_since(Timestamp::now());
        let lasts = Duration::try_from(lasts).ok().filter(|lasts| !lasts.is_zero());
        let lasts = lasts.ok_or_else(|| bad(format!("`until` is {until}, which has passed.")))?;
        let reason = order.reason.filter(|reason| !reason.trim().is_empty());
        let reason = reason.as_deref().unwrap_or("A person paused the account.");
        let paused = service.operator.pause_account(&label, reason, lasts).await?;
        service.pauses.look().await;
        Ok(paused)
    };
    answer(pause.await)
}

/// `POST /api/v1/accounts/{label}/resume`.
pub(crate) async fn resume(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    headers: HeaderMap,
) -> Response {
    let resume = async {
        service.caller(&headers, Need::Operate)?;
        let ended = service.operator.resume_account(&label).await?;
        service.pauses.look().await;
        service.account_goes_on(&label, AccountWait::Pause);
        Ok(json!({ "ended": ended }))
    };
    answer(resume.await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthorizeOrder {
    redirect: Option<String>,
}

/// `POST /api/v1/accounts/{label}/authorize`.
pub(crate) async fn authorize(
    State(service): State<Arc<Service>>,
    Segment(label): Segment,
    request: Request,
) -> Response {
    let authorize = async {
        let (head, body) = request.into_parts();
        service.caller(&head.headers, Need::Admin)?;
        let order: AuthorizeOrder = json_body(body).await?;
        let redirect = order
            .redirect
            .or_else(|| service.settings.callback.clone())
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::BadRequest,
                    "The service does not know the address at which it is reached; name it as `redirect`.",
                )
            })?;
        let begun = service.operator.begin_authorization(&label, &redirect).await?;
        Ok(json!({ "url": begun.url, "redirect": begun.redirect }))
    };
    answer(authorize.await)
}

/// `GET /oauth/callback`: where the provider sends the person back. The address itself proves that it belongs to a sign-in
/// that was begun here, so no token is asked for.
pub(crate) async fn callback(State(service): State<Arc<Service>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let (status, title, text) = match service.operator.end_authorization(&query).await {
        Ok(label) => {
            service.accounts_changed(&label).await;
            let text = format!("The account {label} is signed in. You can close this page.");
            (StatusCode::OK, "Signed in", text)
        }
        Err(problem) => (problem.status(), "Not signed in", problem.detail().to_owned()),
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{}</p></html>",
        escaped(&text)
    );
    let mut response = (status, Html(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    );
    // The address holds the code.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
