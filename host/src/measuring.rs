//! For the benchmark alone: batches to a connector without a pipeline around them, to see what the sandbox costs.

use std::sync::Arc;

use pipepost_core::{Failure, FailureKind, shutdown};
use pipepost_net::{Route, RunId, TransportGrant};
use pipepost_state::ledger::MemoryLedger;

use crate::engine::{Batch, Call, run_batch};
use crate::files::RunFiles;
use crate::host::Host;
use crate::run::public_view;

/// Hands batches of calls (each a key, and parameters as JSON) to a connector, one after another, with an account's
/// endpoint and without a sign-in. Answers how many calls succeeded.
///
/// # Errors
/// When there is no such connector, account or endpoint, and for the first call that fails.
pub async fn perform(
    host: &Host,
    connector: &str,
    account: &str,
    batches: impl Iterator<Item = Vec<(String, String)>>,
) -> Result<usize, Failure> {
    let wrong = |message: String| Failure::new(FailureKind::Configuration, message);
    let loaded = host.connectors.get(connector);
    let loaded = loaded.ok_or_else(|| wrong(format!("There is no connector `{connector}`.")))?;
    let account = host.accounts.get(account).map_err(|error| wrong(error.to_string()))?;
    let endpoint = account
        .endpoint_for(None, None)
        .map_err(|error| wrong(error.to_string()))?;
    let route = Route::of_account(&host.gate, account, endpoint, false).map_err(|error| wrong(error.to_string()))?;
    let route = Arc::new(route);
    let view = public_view(Some(account), Some(&route), 1);
    let files = Arc::new(RunFiles::temporary(None).map_err(|error| wrong(error.to_string()))?);
    let ledger = Arc::new(MemoryLedger::default());
    let (_end, ending) = shutdown::channel();
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
            connector: connector.into(),
            account: view.clone(),
            calls: calls.collect(),
            transport: Some(TransportGrant {
                route: Arc::clone(&route),
                connections: Arc::clone(&host.connections),
                component: Arc::clone(&loaded.digest),
                pipeline: "measuring".into(),
                run: RunId::next(),
            }),
            permit: None,
            files: Arc::clone(&files),
            ledger: Arc::clone(&ledger) as _,
            ending: ending.clone(),
        };
        for end in run_batch(&host.engine, &loaded.component, batch, |_| ())
            .await
            .calls
            .into_values()
        {
            end.result.map_err(|failed| failed.failure)?;
            done += 1;
        }
    }
    host.close().await;
    Ok(done)
}
