//! `pipepost accounts test`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use pipepost::EgressGate;
use pipepost::account_test::{Check, State, test_account, test_account_in_clear};
use pipepost::net::{Connections, HttpClient};
use pipepost_accounts::oauth::Tokens;

use crate::cli::error::CliError;
use crate::cli::logging::{answer, answer_json};
use crate::cli::store::{self, StoreOptions, told};
use crate::cli::{remedy, setup, state};

#[derive(Debug, Args)]
pub(in crate::cli) struct TestOptions {
    /// The account's label
    label: String,
    /// At the end, send a message to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// A file of accounts, in addition to the store. May be given more than once
    #[arg(long, value_name = "FILE", env = "PIPEPOST_ACCOUNTS", value_delimiter = ':')]
    accounts: Vec<PathBuf>,
    /// The account's environment to use
    #[arg(long, value_name = "NAME", env = "PIPEPOST_ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// The operator's policy
    #[arg(long, value_name = "FILE", env = "PIPEPOST_POLICY")]
    policy: Option<PathBuf>,
    /// Record the dialogue in this file, with times and without secrets
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TRANSCRIPT")]
    transcript: Option<PathBuf>,
    /// Test as steps send that say `isOverTLS: false`: an account without TLS speaks in clear
    #[arg(long)]
    in_clear: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn execute(options: TestOptions) -> Result<u8, CliError> {
    let policy = setup::policy(options.policy.as_deref())?;
    let store = store::beside(&options.store, &options.accounts, &policy)?;
    let gate = EgressGate::new(policy);
    let accounts = setup::accounts(&options.accounts, store.as_ref(), options.environment.as_deref())?;
    let account = accounts.get(&options.label).map_err(told)?;
    let transcript = options.transcript.as_deref().map(setup::transcript).transpose()?;
    let usual = state::open(None).ok();
    let tokens = Tokens::new(Arc::new(HttpClient::new(gate.clone())))
        .with_sink(Arc::new(setup::token_sink(store, usual.as_ref())));
    let connections = Arc::new(Connections::new(tokens, transcript.map(Arc::new)));
    let mut unwritten = None;
    let recipient = options.to.as_deref();
    let mut tell = |check: &Check| {
        if !options.json
            && let Err(error) = show(check)
        {
            unwritten = Some(error);
        }
    };
    let report = if options.in_clear {
        test_account_in_clear(account, &gate, &connections, recipient, &mut tell).await
    } else {
        test_account(account, &gate, &connections, recipient, &mut tell).await
    };
    if options.json {
        unwritten = answer_json(&serde_json::json!(report)).err();
    }
    match unwritten {
        Some(error) => Err(CliError::io("standard output", &error)),
        None => Ok(report.exit_code()),
    }
}

fn show(check: &Check) -> std::io::Result<()> {
    let mark = match check.state {
        State::Passed => '✓',
        State::Warning => '!',
        State::Failed => '✗',
        State::Skipped => '-',
    };
    answer(&format!(
        "{mark} {:<13} {} ({} ms)",
        check.name, check.found, check.milliseconds
    ))?;
    let remedy = check.remedy.as_ref().and_then(remedy::sentence);
    for more in [&check.advice, &check.link, &remedy].into_iter().flatten() {
        answer(&format!("  {:<13} {more}", ""))?;
    }
    Ok(())
}
