//! The host as an operator of the service asks for it: accounts, connectors, checks and previews.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pipepost_accounts::oauth::{Authorization, Flow, PATIENCE};
use pipepost_accounts::store::{Change, Store};
use pipepost_accounts::{Account, Accounts, Environment, Error, ErrorKind, Errors, Secret};
use pipepost_core::sentence::{capitalised, ended};
use pipepost_core::{Failure, FailureKind};
use pipepost_net::{ConnectionCount, HttpClient};
use pipepost_serve::host::Source;
use pipepost_serve::operator::{AccountUse, Answer, BegunAuthorization, Operator};
use pipepost_serve::problem::{Problem, ProblemKind};
use pipepost_state::StateError;
use pipepost_state::quota::{Availability, Pause, PauseCause};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{mpsc, oneshot};

use super::current::CurrentHost;
use crate::account_test::test_account;
use crate::connectors::Connector;
use crate::dry_run::Catcher;
use crate::host::{Host, Preparation};
use crate::run::{Observer, RunOptions, Start, quota_key};

/// How many sign-ins wait for their persons at once.
const FLOWS_MAX: usize = 100;

/// A second, in the state's microseconds.
const SECOND: i64 = 1_000_000;

/// Where the accounts of a service come from, so that they can be read again.
#[derive(Debug, Clone, Default)]
pub struct AccountSources {
    /// The account files. They are only read.
    pub files: Vec<PathBuf>,
    /// The encrypted store. Only it is written.
    pub store: Option<Arc<Store>>,
    /// What surrounds them.
    pub environment: Environment,
}

impl AccountSources {
    /// Reads the accounts.
    ///
    /// # Errors
    /// Returns every problem of the files and the store.
    pub fn load(&self) -> Result<Accounts, Errors> {
        match &self.store {
            Some(store) => Accounts::load_with_store(&self.files, store, &self.environment),
            None => Accounts::load(&self.files, &self.environment),
        }
    }
}

/// What an operator asks of the host of a service.
pub struct HostOperator {
    host: CurrentHost,
    sources: AccountSources,
    globals: Map<String, Value>,
    /// The sign-ins that wait for their persons, by their states.
    flows: Arc<Mutex<HashMap<String, mpsc::Sender<Ending>>>>,
    /// Held while the accounts are read again.
    reading: tokio::sync::Mutex<()>,
    /// Accounts that may send more in 24 hours than before, and of which nobody was told yet.
    raised: Mutex<BTreeSet<String>>,
}

/// The address at which a sign-in ended, and who waits for the result.
type Ending = (String, oneshot::Sender<Result<String, Problem>>);

impl fmt::Debug for HostOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOperator")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl HostOperator {
    /// Makes one for this host, whose accounts come from these sources.
    pub fn new(host: CurrentHost, sources: AccountSources, globals: Map<String, Value>) -> Self {
        Self {
            host,
            sources,
            globals,
            flows: Arc::default(),
            reading: tokio::sync::Mutex::default(),
            raised: Mutex::default(),
        }
    }

    fn store(&self) -> Result<Arc<Store>, Problem> {
        self.sources.store.clone().ok_or_else(|| {
            Problem::new(
                ProblemKind::Conflict,
                "The service has no store of accounts, so accounts cannot be written here.",
            )
            .advise("Give the service an encrypted store.")
        })
    }

    /// Reads the accounts again. If one of them is wrong now, the accounts stay as they were. One at a time: what was read first
    /// must not be taken over last.
    async fn reload(&self) -> Result<(), Problem> {
        let _one_at_a_time = self.reading.lock().await;
        let sources = self.sources.clone();
        let accounts = blocking(move || sources.load().map_err(|errors| of_errors(&errors))).await?;
        let before = self.host.get();
        let per_day = |account: &Account| account.limits().messages_per_day.unwrap_or(u32::MAX);
        let has_more = |account: &&Arc<Account>| {
            let earlier = before.accounts.get(account.label());
            earlier.is_ok_and(|earlier| per_day(earlier) < per_day(account))
        };
        let raised = accounts.iter().filter(has_more);
        self.raised().extend(raised.map(|account| account.label().to_owned()));
        self.host.set_accounts(accounts);
        Ok(())
    }

    fn raised(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account, as it is used.
    fn used(&self, label: &str) -> Result<(Arc<Host>, Arc<Account>), Problem> {
        let host = self.host.get();
        let account = host.accounts.get(label).cloned().map_err(|error| of_error(&error))?;
        Ok((host, account))
    }

    fn account_in_store(&self, label: &str) -> Result<Option<Value>, Problem> {
        let Some(store) = &self.sources.store else {
            return Ok(None);
        };
        match store.show(label) {
            Ok(shown) => Ok(Some(shown)),
            Err(error) if error.kind() == ErrorKind::NoSuchAccount => Ok(None),
            Err(error) => Err(of_error(&error)),
        }
    }

    /// Waits for the end of a sign-in, and keeps what the person granted.
    async fn finish(
        host: Arc<Host>,
        account: Arc<Account>,
        redirect: String,
        begun: oneshot::Sender<Result<String, Problem>>,
        mut ends: mpsc::Receiver<Ending>,
        store: Arc<Store>,
        environment: Option<String>,
    ) {
        let flow = match Flow::begin_at(&account, &redirect) {
            Ok(flow) => flow,
            Err(error) => {
                let _ = begun.send(Err(of_error(&error)));
                return;
            }
        };
        if begun.send(Ok(flow.url().as_str().to_owned())).is_err() {
            return;
        }
        // 10 minutes: a person may have to find a second factor.
        let Ok(Some((query, told))) = tokio::time::timeout(2 * PATIENCE, ends.recv()).await else {
            return;
        };
        let http = HttpClient::new(host.gate.clone());
        let address = format!("{redirect}?{query}");
        let ended = match flow.run_with(&address, &http).await {
            Ok(authorization) => keep(&store, &account, environment.as_deref(), &authorization),
            Err(error) => Err(of_error(&error)),
        };
        let _ = told.send(ended.map(|()| account.label().to_owned()));
    }
}

/// Keeps a refresh token, and the address that signed in where the account has no user name.
fn keep(store: &Store, account: &Account, environment: Option<&str>, granted: &Authorization) -> Result<(), Problem> {
    let field = |name: &str| match environment {
        Some(environment) => format!("environments.{environment}.{name}"),
        None => name.to_owned(),
    };
    let mut changes = vec![Change::set_literal(field("refresh_token"), &granted.refresh_token)];
    if let (None, Some(address)) = (account.username(), &granted.address) {
        changes.push(Change::set_literal(field("username"), &Secret::new(address.clone())));
    }
    store
        .edit(account.label(), &changes)
        .map_err(|errors| of_errors(&errors))
}

fn of_error(error: &Error) -> Problem {
    let kind = match error.kind() {
        ErrorKind::NoSuchAccount => ProblemKind::NotFound,
        ErrorKind::DuplicateLabel => ProblemKind::Conflict,
        ErrorKind::Token => ProblemKind::Run(FailureKind::Authentication),
        ErrorKind::TokenUnavailable => ProblemKind::Run(FailureKind::Transient),
        ErrorKind::Store | ErrorKind::File => ProblemKind::Run(FailureKind::Configuration),
        _ => ProblemKind::Run(FailureKind::Invalid),
    };
    // Where the operator keeps the file is nobody's business.
    let place = match (error.place().label(), error.place().field()) {
        (Some(label), Some(field)) => format!("Account \"{label}\", field \"{field}\": "),
        (Some(label), None) => format!("Account \"{label}\": "),
        (None, Some(field)) => format!("Field \"{field}\": "),
        (None, None) => String::new(),
    };
    Problem::new(kind, capitalised(&ended(&format!("{place}{}", error.message()))))
}

fn of_errors(errors: &Errors) -> Problem {
    let mut problems = errors.iter().map(of_error);
    let Some(first) = problems.next() else {
        return Problem::new(ProblemKind::Internal, "The accounts cannot be read.");
    };
    let rest: Vec<String> = problems.map(|problem| problem.detail().to_owned()).collect();
    if rest.is_empty() {
        return first;
    }
    Problem::new(first.kind(), format!("{} {}", first.detail(), rest.join(" ")))
}

fn of_state(error: &StateError) -> Problem {
    tracing::error!(%error, "the state cannot be used");
    Problem::new(
        ProblemKind::StateUnavailable,
        "The state cannot be written or read now.",
    )
}

fn of_failure(failure: &Failure) -> Problem {
    Problem::of_failure(failure)
}

fn time(microseconds: i64) -> Value {
    Timestamp::from_microsecond(microseconds).map_or(Value::Null, |time| time.to_string().into())
}

fn shown_pause(pause: &Pause) -> Value {
    // It was asked for in whole seconds, and begins at whichever moment it does.
    let until = pause.until.saturating_add(SECOND / 2) / SECOND * SECOND;
    json!({ "until": time(until), "since": time(pause.begun), "why": pause.why, "cause": pause.cause.as_str() })
}

/// The account's pause, if it pauses.
async fn pause_of(host: &Host, account: &Account) -> Result<Option<Value>, Problem> {
    let (key, limits) = quota_key(account);
    match host.quotas.store().look(&key, limits).await {
        Ok(Availability::Paused(standing)) => Ok(Some(shown_pause(&standing.pause))),
        Ok(Availability::Room(_)) => Ok(None),
        Err(error) => Err(of_state(&error)),
    }
}

/// Work that waits for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a task ended early");
        Err(Problem::new(
            ProblemKind::Internal,
            "The service could not finish the request.",
        ))
    })
}

impl Operator for HostOperator {
    fn accounts(&self) -> Answer<'_, Vec<Value>> {
        Box::pin(async move {
            let mut shown: Vec<Value> = Vec::new();
            let stored = match &self.sources.store {
                Some(store) => store.list().map_err(|error| of_error(&error))?,
                None => Vec::new(),
            };
            for account in &stored {
                shown.push(json!({
                    "label": account.label, "type": account.kind, "source": "store",
                    "description": account.description, "environments": account.environments,
                }));
            }
            let host = self.host.get();
            for account in host.accounts.iter() {
                if !stored.iter().any(|other| other.label == account.label()) {
                    shown.push(json!({
                        "label": account.label(), "type": account.kind().as_str(), "source": "file",
                        "description": account.description(), "environments": [],
                    }));
                }
            }
            shown.sort_by(|one, other| one["label"].as_str().cmp(&other["label"].as_str()));
            let pauses = self.pauses().await?;
            for account in &mut shown {
                let pause = account["label"].as_str().and_then(|label| pauses.get(label));
                account["paused"] = pause.cloned().unwrap_or_default();
            }
            Ok(shown)
        })
    }

    fn reload_accounts(&self) -> Answer<'_, ()> {
        Box::pin(self.reload())
    }

    fn take_raised(&self) -> Vec<String> {
        std::mem::take(&mut *self.raised()).into_iter().collect()
    }

    fn pauses(&self) -> Answer<'_, BTreeMap<String, Value>> {
        Box::pin(async move {
            let host = self.host.get();
            let mut pauses = BTreeMap::new();
            for account in host.accounts.iter() {
                if let Some(pause) = pause_of(&host, account).await? {
                    pauses.insert(account.label().to_owned(), pause);
                }
            }
            Ok(pauses)
        })
    }

    fn account_use(&self) -> Answer<'_, Vec<AccountUse>> {
        Box::pin(async move {
            let host = self.host.get();
            let mut counts: BTreeMap<Option<String>, ConnectionCount> = BTreeMap::new();
            for count in host.connections.counts() {
                counts.insert(count.account.clone(), count);
            }
            let mut uses = Vec::new();
            for account in host.accounts.iter() {
                let label = account.label().to_owned();
                let (key, limits) = quota_key(account);
                let quotas = host.quotas.store();
                let looked = quotas.look(&key, limits).await.map_err(|error| of_state(&error))?;
                let usage = quotas.usage(&key, limits).await.map_err(|error| of_state(&error))?;
                let windows = [("second", usage.second), ("day", usage.day)];
                let connections = counts.remove(&Some(label.clone()));
                uses.push(AccountUse {
                    label,
                    is_paused: matches!(looked, Availability::Paused(_)),
                    windows: windows
                        .into_iter()
                        .filter_map(|(name, window)| Some((name, window?.ratio())))
                        .collect(),
                    active: connections.as_ref().map_or(0, |count| count.active),
                    idle: connections.as_ref().map_or(0, |count| count.idle),
                });
            }
            Ok(uses)
        })
    }

    fn account<'o>(&'o self, label: &'o str) -> Answer<'o, Value> {
        Box::pin(async move {
            let stored = self.account_in_store(label)?;
            let (source, fields) = match stored {
                Some(fields) => ("store", fields),
                None => {
                    let (_, account) = self.used(label)?;
                    ("file", json!(account.public_view()))
                }
            };
            let paused = match self.used(label) {
                Ok((host, account)) => pause_of(&host, &account).await?,
                Err(_) => None,
            };
            let kind = fields.get("type").cloned().unwrap_or_default();
            Ok(json!({ "label": label, "type": kind, "source": source, "fields": fields, "paused": paused }))
        })
    }

    fn put_account<'o>(&'o self, label: &'o str, fields: Map<String, Value>) -> Answer<'o, bool> {
        Box::pin(async move {
            let store = self.store()?;
            if self.account_in_store(label)?.is_none() && self.used(label).is_ok() {
                let detail = format!("The account `{label}` is in a file, which is only read here.");
                return Err(Problem::new(ProblemKind::Conflict, detail)
                    .advise("Take it out of the file first, or choose another label."));
            }
            let name = label.to_owned();
            let fields = zeroize::Zeroizing::new(Value::Object(fields).to_string());
            let is_new = blocking(move || store.put(&name, &fields).map_err(|errors| of_errors(&errors))).await?;
            self.reload().await?;
            Ok(is_new)
        })
    }

    fn remove_account<'o>(&'o self, label: &'o str) -> Answer<'o, ()> {
        Box::pin(async move {
            if self.account_in_store(label)?.is_none() && self.used(label).is_ok() {
                let detail = format!("The account `{label}` is in a file, which is only read here.");
                return Err(Problem::new(ProblemKind::Conflict, detail));
            }
            // Without a store there is no such account either.
            let Ok(store) = self.store() else {
                return Err(Problem::new(
                    ProblemKind::NotFound,
                    format!("There is no account `{label}`."),
                ));
            };
            let name = label.to_owned();
            blocking(move || store.remove(&name).map_err(|errors| of_errors(&errors))).await?;
            self.reload().await
        })
    }

    fn test_account<'o>(
        &'o self,
        label: &'o str,
        to: Option<String>,
        tell: UnboundedSender<Value>,
    ) -> Answer<'o, Value> {
        Box::pin(async move {
            let (host, account) = self.used(label)?;
            let report = test_account(&account, &host.gate, &host.connections, to.as_deref(), &mut |check| {
                // Whoever has gone need not be told.
                let _ = tell.send(json!(check));
            })
            .await;
            Ok(json!(report))
        })
    }

    fn pause_account<'o>(&'o self, label: &'o str, why: &'o str, lasts: Duration) -> Answer<'o, Value> {
        Box::pin(async move {
            let (host, account) = self.used(label)?;
            let (key, _) = quota_key(&account);
            let quotas = host.quotas.store();
            let paused = quotas.pause(&key, PauseCause::Person, lasts, why).await;
            Ok(shown_pause(&paused.map_err(|error| of_state(&error))?.pause))
        })
    }

    fn resume_account<'o>(&'o self, label: &'o str) -> Answer<'o, Vec<Value>> {
        Box::pin(async move {
            let (host, _) = self.used(label)?;
            let ended = host
                .quotas
                .store()
                .resume(label)
                .await
                .map_err(|error| of_state(&error))?;
            let shown = |pause: pipepost_state::quota::PauseEntry| json!({ "until": pause.until.to_string(), "why": pause.why });
            Ok(ended.into_iter().map(shown).collect())
        })
    }

    fn begin_authorization<'o>(&'o self, label: &'o str, redirect: &'o str) -> Answer<'o, BegunAuthorization> {
        Box::pin(async move {
            let store = self.store()?;
            let (host, account) = self.used(label)?;
            if self.account_in_store(label)?.is_none() {
                let detail =
                    format!("The account `{label}` is in a file, and the refresh token is kept in the store only.");
                return Err(Problem::new(ProblemKind::Conflict, detail));
            }
            let (begun, told) = oneshot::channel();
            let (end, ends) = mpsc::channel(1);
            let environment = self.sources.environment.name().map(str::to_owned);
            let redirect = redirect.to_owned();
            let task = Self::finish(host, account, redirect.clone(), begun, ends, store, environment);
            let flows = Arc::clone(&self.flows);
            let running = tokio::spawn(task);
            let url = told
                .await
                .unwrap_or_else(|_| Err(Problem::new(ProblemKind::Internal, "The sign-in could not begin.")))?;
            let state = parameter(url.split_once('?').map_or("", |(_, query)| query), "state").unwrap_or_default();
            {
                let mut known = flows.lock().unwrap_or_else(PoisonError::into_inner);
                known.retain(|_, end| !end.is_closed());
                if known.len() >= FLOWS_MAX {
                    running.abort();
                    let detail = format!("{FLOWS_MAX} sign-ins wait for their persons already.");
                    return Err(Problem::new(ProblemKind::Busy, detail));
                }
                known.insert(state, end);
            }
            Ok(BegunAuthorization { url, redirect })
        })
    }

    fn end_authorization<'o>(&'o self, query: &'o str) -> Answer<'o, String> {
        Box::pin(async move {
            let unknown = || {
                Problem::new(
                    ProblemKind::BadRequest,
                    "This address belongs to no sign-in that was begun here, or to one that ended; begin once more.",
                )
            };
            let state = parameter(query, "state").ok_or_else(unknown)?;
            let end = {
                let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
                // Once: whoever comes second has nothing to finish.
                flows.remove(&state).ok_or_else(unknown)?
            };
            let (told, ended) = oneshot::channel();
            end.send((query.to_owned(), told)).await.map_err(|_| unknown())?;
            let label = ended.await.map_err(|_| unknown())??;
            self.reload().await?;
            Ok(label)
        })
    }

    fn connectors(&self) -> Answer<'_, Vec<Value>> {
        Box::pin(async move {
            let host = self.host.get();
            Ok(host
                .connectors
                .iter()
                .map(Connector::report)
                .map(|report| json!(report))
                .collect())
        })
    }

    fn check<'o>(&'o self, document: &'o str, folder: &'o Path) -> Answer<'o, Value> {
        Box::pin(async move {
            let host = self.host.get();
            let preparation = Preparation {
                document_dir: Some(folder.to_owned()),
                ..Preparation::default()
            };
            let document = document.to_owned();
            blocking(move || {
                let report = host.check_with(&document, &preparation);
                Ok(json!({
                    "ok": !report.problems.has_errors(), "problems": report.problems, "wants": report.requirements,
                }))
            })
            .await
        })
    }

    fn preview(&self, source: Source, message: Value, globals: Map<String, Value>) -> Answer<'_, Value> {
        Box::pin(async move {
            let catcher = Catcher::default();
            let host = Arc::new(self.host.get().rehearsal(catcher.dry_run()));
            let preparing = Arc::clone(&host);
            let prepared = blocking(move || {
                super::prepared(&preparing, &source)
                    .map_err(|problems| Problem::new(ProblemKind::Run(FailureKind::Configuration), problems.join(" ")))
            })
            .await?;
            let mut all = self.globals.clone();
            all.extend(globals);
            let starts = Arc::new(Starts::default());
            let options = RunOptions {
                globals: all,
                observer: Some(Arc::clone(&starts) as Arc<dyn Observer>),
                ..RunOptions::new(message)
            };
            let report = host.run(&prepared, options).await;
            host.close().await;
            let (output, failure) = match &report.result {
                Ok(output) => (prepared.shown(output).unwrap_or_default(), Value::Null),
                Err(error) => {
                    let object = prepared.shown(&error.object).unwrap_or_default();
                    let detail = error
                        .failure
                        .as_deref()
                        .map_or(Value::Null, |failure| of_failure(failure).to_json());
                    (
                        Value::Null,
                        json!({ "place": error.place, "error": object, "problem": detail }),
                    )
                }
            };
            let messages: Vec<Value> = catcher
                .messages()
                .iter()
                .map(|message| {
                    json!({
                        "from": message.envelope.from, "to": message.envelope.to,
                        // Text where it is text, so that it can be read; a content of 8-bit parts may be none.
                        "source": String::from_utf8_lossy(&message.content), "bytes": message.content.len(),
                    })
                })
                .collect();
            Ok(json!({
                "messages": messages, "starts": starts.taken(), "counts": report.counts, "output": output,
                "failure": failure,
            }))
        })
    }

    fn send_document(&self, account: &str, params: &Map<String, Value>) -> Result<String, Problem> {
        let (host, used) = self.used(account)?;
        for own in ["accountLabel", "accountType", "account"] {
            if params.contains_key(own) {
                let detail = format!("The parameter `{own}` is said by `account`; leave it out.");
                return Err(Problem::new(ProblemKind::Run(FailureKind::Invalid), detail));
            }
        }
        if let Some(name) = params.keys().find(|name| !is_a_name(name)) {
            let detail = format!("`{name}` is not the name of a parameter.");
            return Err(Problem::new(ProblemKind::Run(FailureKind::Invalid), detail));
        }
        let document = send_document(used.label(), params);
        let report = host.check(&document);
        if report.problems.has_errors() {
            let told: Vec<String> = report.problems.errors().map(ToString::to_string).collect();
            return Err(Problem::new(
                ProblemKind::Run(FailureKind::Invalid),
                capitalised(&ended(&told.join("; "))),
            ));
        }
        Ok(document)
    }
}

/// What the steps of a dry run would start.
#[derive(Debug, Default)]
struct Starts(Mutex<Vec<Value>>);

impl Starts {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> Vec<Value> {
        std::mem::take(&mut *self.lock())
    }
}

impl Observer for Starts {
    fn would_start(&self, start: &Start<'_>) {
        self.lock().push(json!({
            "place": start.place, "pipeline": start.pipeline, "event": start.event, "message": start.message,
        }));
    }
}

/// The value of a query's parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A document of one step. The texts are in its message, and so are values: no template in them is ever evaluated.
fn send_document(account: &str, params: &Map<String, Value>) -> String {
    let mut written: Map<String, Value> = params
        .iter()
        .map(|(name, value)| {
            let is_plain = matches!(value, Value::Null | Value::Bool(_) | Value::Number(_));
            let value = if is_plain {
                value.clone()
            } else {
                format!("{{{{ message.{name} }}}}").into()
            };
            (name.clone(), value)
        })
        .collect();
    // Of a value nothing says whether it is HTML.
    if let (Some(Value::String(body)), false) = (params.get("body"), params.contains_key("contentType")) {
        let is_html = body.split('<').skip(1).any(|after| {
            after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!')) && after.contains('>')
        });
        let content_type = if is_html { "text/html" } else { "text/plain" };
        written.insert("contentType".to_owned(), content_type.into());
    }
    json!({
        "name": "send",
        "flowSpec": { "start": [{
            "type": "connector", "name": "email-connector-v2", "stepName": "Send", "accountLabel": account,
            "params": written,
        }] },
    })
    .to_string()
}
