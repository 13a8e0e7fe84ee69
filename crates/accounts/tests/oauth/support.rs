//! A scripted provider, a simulated clock, accounts.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pipepost_accounts::oauth::{BoxFuture, Clock, HttpFailure, HttpPost, HttpRequest, HttpResponse};
use pipepost_accounts::store::{Store, StoreKey};
use pipepost_accounts::{Account, Accounts, Environment};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Answers from a script, and remembers what it was asked.
pub(crate) struct Provider {
    answers: Mutex<VecDeque<Result<(u16, String), HttpFailure>>>,
    asked: Mutex<Vec<(String, HashMap<String, String>)>>,
    /// A permit for each answer that may leave.
    pub(crate) gate: Semaphore,
}

impl Provider {
    pub(crate) fn new(answers: Vec<Result<(u16, Value), HttpFailure>>) -> Arc<Self> {
        let provider = Self::gated(answers);
        provider.gate.add_permits(1000);
        provider
    }

    pub(crate) fn gated(answers: Vec<Result<(u16, Value), HttpFailure>>) -> Arc<Self> {
        let text =
            |(status, body): (u16, Value)| (status, body.as_str().map_or_else(|| body.to_string(), str::to_owned));
        let answers = answers.into_iter().map(|answer| answer.map(text)).collect();
        Arc::new(Self {
            answers: Mutex::new(answers),
            asked: Mutex::default(),
            gate: Semaphore::new(0),
        })
    }

    pub(crate) fn asked(&self) -> Vec<(String, HashMap<String, String>)> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

impl HttpPost for Provider {
    fn post(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        Box::pin(async move {
            let form = url::form_urlencoded::parse(&request.body).into_owned().collect();
            self.asked
                .lock()
                .expect("not poisoned")
                .push((request.url.to_string(), form));
            self.gate.acquire().await.expect("open").forget();
            let answer = self
                .answers
                .lock()
                .expect("not poisoned")
                .pop_front()
                .expect("no more requests than answers");
            let (status, body) = answer?;
            Ok(HttpResponse {
                status,
                body: Zeroizing::new(body.into_bytes()),
            })
        })
    }
}

/// A clock that stands still until it is moved.
pub(crate) struct Still(Mutex<SystemTime>);

impl Still {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000))))
    }

    pub(crate) fn pass(&self, seconds: u64) {
        *self.0.lock().expect("not poisoned") += Duration::from_secs(seconds);
    }
}

impl Clock for Still {
    fn now(&self) -> SystemTime {
        *self.0.lock().expect("not poisoned")
    }
}

pub(crate) fn account(document: Value) -> Arc<Account> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("accounts.json");
    std::fs::write(&path, document.to_string()).expect("written");
    let accounts = Accounts::load([path], &Environment::process()).expect("a good account");
    accounts.iter().next().expect("one").clone()
}

/// The same account in the encrypted store.
pub(crate) fn stored(document: Value) -> Arc<Account> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, key) = (folder.path().join("accounts.json"), folder.path().join("key"));
    std::fs::write(&file, document.to_string()).expect("written");
    let store = Store::new(
        folder.path().join("accounts.age"),
        StoreKey::create_key_file(&key).expect("a key"),
    );
    store.add_file(&file, None).expect("added");
    let accounts = Accounts::load_with_store(Vec::<PathBuf>::new(), &store, &Environment::process());
    accounts.expect("a good account").iter().next().expect("one").clone()
}

pub(crate) fn google() -> Value {
    json!({
        "label": "g", "type": "oauth-2", "provider": "google", "username": "me@gmail.com", "client_id": "the-id",
        "client_secret": "PLANTED-client", "refresh_token": "PLANTED-refresh",
    })
}

pub(crate) fn token(name: &str, life: u64) -> Result<(u16, Value), HttpFailure> {
    Ok((
        200,
        json!({"access_token": name, "expires_in": life, "token_type": "Bearer"}),
    ))
}

pub(crate) fn refusal(status: u16, code: &str, description: &str) -> Result<(u16, Value), HttpFailure> {
    Ok((status, json!({"error": code, "error_description": description})))
}
