//! `pipepost state`.

use std::path::Path;

use pipepost::FailureKind;
use pipepost::state::StateError;
use pipepost::state::copy::{Copied, CopyError, TABLES};
use pipepost_accounts::oauth::SealedTokens;
use serde_json::{Map, Value, json};

use super::arguments::StateCommand;
use super::error::CliError;
use super::logging::{answer, answer_json, say};
use super::state::{self, OpenState, REFRESH_TOKENS};

pub(super) async fn execute(command: StateCommand) -> Result<u8, CliError> {
    let StateCommand::Copy { from, to, json } = command;
    let (source, target) = (state::open(Some(from.clone()))?, state::open(Some(to.clone()))?);
    if !source.is_there() {
        return Err(CliError::no_input("state", &from, &std::io::ErrorKind::NotFound.into()));
    }
    if is_same(&source, &target) {
        return Err(CliError::usage("FROM and TO are the same state; name another one."));
    }
    let copied = pipepost::state::copy::copy(&*source.store, &*target.store).await?;
    let tokens = copy_tokens(&source, &target).await?;
    let failed = |error| CliError::io("standard output", &error);
    if json {
        let mut counts: Map<String, Value> = TABLES
            .iter()
            .zip(copied)
            .map(|(table, count)| (table.name.to_owned(), json!(count)))
            .collect();
        counts.insert("refresh_tokens".to_owned(), json!(tokens));
        answer_json(&Value::Object(counts)).map_err(failed)?;
        return Ok(0);
    }
    answer(&format!("Copied to {}: {}.", target.shown(), told(&copied, tokens))).map_err(failed)?;
    say(
        "pipepost: use only the new state from now on: what is sent with one of the two, the other does not know. Accounts, tokens and pipelines are files of their own.",
    );
    Ok(0)
}

fn is_same(from: &OpenState, to: &OpenState) -> bool {
    let whole = |state: &OpenState| state.directory().and_then(|directory| directory.canonicalize().ok());
    from.shown() == to.shown() || whole(from).is_some_and(|from| Some(from) == whole(to))
}

/// What was copied, in words: only what there was.
fn told(copied: &Copied, tokens: usize) -> String {
    let tables = TABLES.iter().zip(copied).map(|(table, count)| (table.called, *count));
    let called = ("refresh token", "refresh tokens");
    let all = tables.chain([(called, tokens as u64)]);
    let told: Vec<String> = all
        .filter(|(_, count)| *count > 0)
        .map(|((one, many), count)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    if told.is_empty() {
        return "nothing was in it".to_owned();
    }
    told.join(", ")
}

/// Copies the refresh tokens with which providers replaced those of account files. They are sealed, and stay so.
async fn copy_tokens(from: &OpenState, to: &OpenState) -> Result<usize, CliError> {
    let tokens: Vec<(String, Vec<u8>)> = match from.store.grants() {
        Some(grants) => {
            let listed = grants.list().await.map_err(not_tokens)?;
            listed.into_iter().map(|(name, grant)| (name, grant.sealed)).collect()
        }
        None => match from.directory().map(sealed) {
            Some(sealed) => sealed.all().map_err(not_tokens)?,
            None => Vec::new(),
        },
    };
    let count = tokens.len();
    for (name, token) in tokens {
        if let Some(grants) = to.store.grants() {
            let seen = grants.look(&name).await.map_err(not_tokens)?;
            let revision = seen.map_or(0, |grant| grant.revision);
            grants.replace(&name, revision, token).await.map_err(not_tokens)?;
        } else if let Some(directory) = to.directory() {
            sealed(directory).put(&name, &token).map_err(not_tokens)?;
        }
    }
    Ok(count)
}

fn sealed(directory: &Path) -> SealedTokens {
    SealedTokens::new(directory.join(REFRESH_TOKENS))
}

fn not_tokens(reason: impl std::fmt::Display) -> CliError {
    let reason = reason.to_string();
    let reason = reason.trim_end_matches('.');
    let sentence = format!(
        "Everything was copied except the refresh tokens that providers gave in place of those in account files: {reason}. Copy into another new state, or sign those accounts in again with `pipepost accounts authorize`."
    );
    CliError::new(FailureKind::Transient, sentence)
}

impl From<CopyError> for CliError {
    fn from(error: CopyError) -> Self {
        let state: StateError = match error {
            CopyError::From(error) | CopyError::To(error) => error,
        };
        state.into()
    }
}
