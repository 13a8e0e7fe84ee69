//! `pipepost accounts limits`: what servers have taught of their limits.

use std::path::PathBuf;

use clap::Args;
use pipepost::state::server_limits::{CONNECTIONS_LAST, ServerLimitsEntry};
use serde_json::{Value, json};

use super::out;
use crate::cli::error::CliError;
use crate::cli::logging::{answer_json, say};

#[derive(Debug, Args)]
pub(in crate::cli) struct LimitsOptions {
    /// The account's label; the default is all accounts
    #[arg(required_if_eq("forget", "true"))]
    label: Option<String>,
    /// Forget what is known of this account's servers, so that the next run asks them anew
    #[arg(long)]
    forget: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Where the limits are recorded, instead of the user's state directory
    #[arg(
        long,
        value_name = "DIR|postgres://…",
        env = "PIPEPOST_STATE",
        hide_env_values = true
    )]
    state: Option<PathBuf>,
}

pub(in crate::cli) async fn execute(options: LimitsOptions) -> Result<(), CliError> {
    let state = crate::cli::state::open(options.state)?;
    let limits = state.store.server_limits();
    let entries = match (&options.label, options.forget) {
        (Some(label), true) => limits.forget(label).await?,
        (label, _) => limits.list(label.as_deref()).await?,
    };
    if options.json {
        let all: Vec<Value> = entries.iter().map(as_json).collect();
        return answer_json(&json!(all)).map_err(|error| CliError::io("standard output", &error));
    }
    if entries.is_empty() {
        say(&format!(
            "pipepost: no server has taught a limit, as far as {} tells.",
            state.shown()
        ));
    }
    for entry in &entries {
        for line in lines(entry) {
            out(&line)?;
        }
    }
    if options.forget && !entries.is_empty() {
        say("pipepost: this is forgotten; the next run asks the server anew.");
    }
    Ok(())
}

fn lines(entry: &ServerLimitsEntry) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |what: String, learned: Option<jiff::Timestamp>, lasts: std::time::Duration| {
        let Some(learned) = learned else { return };
        let until = learned.saturating_add(lasts).unwrap_or(jiff::Timestamp::MAX);
        let until = until.to_zoned(jiff::tz::TimeZone::system());
        lines.push(format!(
            "{:<20} {:<32} {what}, until {}",
            entry.label,
            entry.server,
            until.strftime("%Y-%m-%d %H:%M %Z")
        ));
    };
    if let Some(limit) = entry.limits.messages {
        let what = if limit.is_suspected {
            format!("perhaps {} messages on one connection", limit.most)
        } else {
            format!("{} messages on one connection", limit.most)
        };
        add(what, entry.messages_learned, limit.lasts());
    }
    if let Some(most) = entry.limits.connections {
        let what = format!("{most} {}", if most == 1 { "connection" } else { "connections" });
        add(what, entry.connections_learned, CONNECTIONS_LAST);
    }
    lines
}

fn as_json(entry: &ServerLimitsEntry) -> Value {
    json!({
        "account": entry.label,
        "server": entry.server,
        "messagesPerConnection": entry.limits.messages.map(|limit| limit.most),
        "messagesPerConnectionSuspected": entry.limits.messages.map(|limit| limit.is_suspected),
        "messagesPerConnectionLearned": entry.messages_learned,
        "maxConnections": entry.limits.connections,
        "maxConnectionsLearned": entry.connections_learned,
    })
}
