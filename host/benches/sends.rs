//! Whole sends through the sandbox, and nothing of a pipeline: what the same connector is measured against natively.
//!
//! `sends SETTINGS` does the task of that file, as the benchmark's other clients do, and prints the seconds that sending took.
//! Without a file (`cargo bench`) it does nothing.

#![allow(clippy::print_stdout, reason = "what it found goes to the benchmark that started it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pipepost::connectors::Connectors;
use pipepost_accounts::oauth::Tokens;
use pipepost_accounts::{Accounts, Environment, PublicView};
use pipepost_core::{EgressGate, Policy, shutdown};
use pipepost_engine::files::RunFiles;
use pipepost_engine::{Batch, Call, Engine, EngineOptions, run_batch};
use pipepost_net::{Connections, HttpClient, Route, RunId, TransportGrant};
use pipepost_state::ledger::MemoryLedger;
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

/// Calls that are handed over together.
const BATCH: usize = 32;

fn main() -> Result<(), Error> {
    let settings = std::env::args().skip(1).find(|word| word.ends_with(".json"));
    let Some(settings) = settings else { return Ok(()) };
    let settings: Value = serde_json::from_str(&std::fs::read_to_string(&settings)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(send(&settings))
}

async fn send(settings: &Value) -> Result<(), Error> {
    let authority = settings["ca"].as_str();
    let mut account = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "localhost", "port": settings["port"],
        "auth": "false", "starttls_enable": "false",
    });
    if let Some(authority) = authority {
        account["ca_file"] = authority.into();
        account["properties"] = json!({ "mail.smtp.ssl.enable": "true" });
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("accounts.json");
    std::fs::write(&file, account.to_string())?;
    let accounts = Accounts::load([&file], &Environment::process())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
    let options = EngineOptions {
        cache: settings["cache"].as_str().map(PathBuf::from),
        ..EngineOptions::default()
    };
    let sandbox = Sandbox::new(&options, &accounts).await?;

    let letter = &settings["letter"];
    let messages = settings["messages"]
        .as_u64()
        .and_then(|count| usize::try_from(count).ok());
    let messages = messages.unwrap_or_default();
    let began = Instant::now();
    let batches = (0..messages.div_ceil(BATCH)).map(|batch| {
        let numbers = batch * BATCH..messages.min((batch + 1) * BATCH);
        numbers
            .map(|number| (format!("bench/start/0/{number}"), parameters(letter, number)))
            .collect()
    });
    let done = sandbox.perform(batches).await?;
    assert_eq!(done, messages, "every message is sent");
    println!("sending {}", began.elapsed().as_secs_f64());
    Ok(())
}

/// A connector and an account, without a pipeline around them.
struct Sandbox {
    engine: Engine,
    connectors: Connectors,
    account: PublicView,
    route: Arc<Route>,
    connections: Arc<Connections>,
}

impl Sandbox {
    async fn new(options: &EngineOptions, accounts: &Accounts) -> Result<Self, Error> {
        let policy = Policy::default();
        let engine = Engine::new(options);
        let connectors = Connectors::load(&engine, &policy, &[]).await?;
        let gate = EgressGate::new(policy);
        let account = accounts.get("mail")?;
        let endpoint = account.endpoint_for(None, None)?;
        let mut view = account.public_view();
        view.host = Some(endpoint.host.clone());
        view.port = Some(endpoint.port);
        view.mechanisms.clear();
        let route = Route::of_account(&gate, account, endpoint, false)?;
        view.security = route.min_security();
        let tokens = Tokens::new(Arc::new(HttpClient::new(gate)));
        Ok(Self {
            engine,
            connectors,
            account: view,
            route: Arc::new(route),
            connections: Arc::new(Connections::new(tokens, None)),
        })
    }

    /// Hands batches of calls (each a key, and parameters as JSON) to the connector, one after another. Returns how many
    /// calls succeeded.
    async fn perform(&self, batches: impl Iterator<Item = Vec<(String, String)>>) -> Result<usize, Error> {
        let connector = self.connectors.get("email-v2").ok_or("email-v2 is not built in")?;
        let files = Arc::new(RunFiles::temporary(None)?);
        let ledger = Arc::new(MemoryLedger::default());
        let (_end, ending) = shutdown::channel();
        let run = RunId::next();
        let mut done = 0;
        for calls in batches {
            let calls = calls.into_iter().zip(0..).map(|((key, parameters), id)| Call {
                id,
                key,
                attempt: 1,
                parameters,
                remainder: None,
            });
            let batch = Batch {
                connector: connector.name.as_str().into(),
                account: Some(self.account.clone()),
                calls: calls.collect(),
                transport: Some(TransportGrant {
                    route: Arc::clone(&self.route),
                    connections: Arc::clone(&self.connections),
                    component: Arc::clone(&connector.digest),
                    pipeline: "none".into(),
                    run,
                }),
                permit: None,
                files: Arc::clone(&files),
                ledger: Arc::clone(&ledger) as _,
                ending: ending.clone(),
                log: None,
            };
            let ended = run_batch(&self.engine, connector.component(&self.engine)?, batch, |_| ()).await;
            for end in ended.calls.into_values() {
                end.result.map_err(|failed| failed.failure.to_string())?;
                done += 1;
            }
        }
        self.connections.close().await;
        Ok(done)
    }
}

/// One call, with the number where the letter's pieces leave room for it.
fn parameters(letter: &Value, number: usize) -> String {
    let filled = |name: &str| -> String {
        let pieces = letter[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        pieces.collect::<Vec<_>>().join(&number.to_string())
    };
    json!({
        "from": letter["from"], "to": letter["to"], "subject": filled("subject"), "text": filled("text"),
        "body": filled("html"), "contentType": "text/html",
    })
    .to_string()
}
