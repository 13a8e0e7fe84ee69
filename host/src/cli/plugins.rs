//! `pipepost plugins`.

use std::path::Path;

use pipepost::FailureKind;
use pipepost::connectors::{Connector, load_file};
use pipepost::engine::{Engine, EngineOptions};
use serde_json::Value;

use super::arguments::{HostOptions, PluginsCommand};
use super::error::CliError;
use super::logging::{answer, answer_json};
use super::setup;

pub(super) async fn execute(command: PluginsCommand) -> Result<u8, CliError> {
    match command {
        PluginsCommand::List { host, json } => list(&host, json).await,
        PluginsCommand::Inspect { connector, host, json } => inspect(&connector, &host, json).await,
    }
}

fn out(line: &str) -> Result<(), CliError> {
    answer(line).map_err(|error| CliError::io("standard output", &error))
}

async fn list(options: &HostOptions, json: bool) -> Result<u8, CliError> {
    let host = setup::host(options).await?;
    if json {
        let all: Vec<_> = host.connectors().iter().map(Connector::report).collect();
        answer_json(&serde_json::json!(all)).map_err(|error| CliError::io("standard output", &error))?;
        return Ok(0);
    }
    for connector in host.connectors().iter() {
        let about = connector.report();
        out(&format!("{:<14} {:<8} {}", about.name, about.version, about.summary))?;
        let aliases = if about.aliases.is_empty() {
            String::new()
        } else {
            format!("also {}; ", about.aliases.join(", "))
        };
        out(&format!("{:<14} {:<8} {aliases}{}", "", "", about.origin))?;
    }
    if host.connectors().iter().next().is_none() {
        out(
            "No connectors. This binary was built without them: `cargo xtask build` embeds them, or name a directory with --plugins.",
        )?;
    }
    Ok(0)
}

async fn inspect(name: &str, options: &HostOptions, json: bool) -> Result<u8, CliError> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "wasm") || path.is_file() {
        return inspect_file(path, options, json).await;
    }
    let host = setup::host(options).await?;
    match host.connectors().get(name) {
        Some(connector) => show(connector, json),
        None => {
            let known: Vec<&str> = host
                .connectors()
                .iter()
                .map(|connector| connector.name.as_str())
                .collect();
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            Err(CliError::new(
                FailureKind::Configuration,
                format!("There is no connector `{name}`; {known}."),
            ))
        }
    }
}

/// A file need not be among the connectors to be looked at.
async fn inspect_file(path: &Path, options: &HostOptions, json: bool) -> Result<u8, CliError> {
    if !path.is_file() {
        return Err(CliError::no_input(
            "connector",
            path,
            &std::io::ErrorKind::NotFound.into(),
        ));
    }
    let configuration = |error: String| CliError::new(FailureKind::Configuration, error);
    let policy = setup::policy(options.policy.as_deref())?;
    let engine = Engine::new(&EngineOptions {
        limits: policy.limits(),
        ..EngineOptions::default()
    });
    let connector = load_file(&engine, &policy, path)
        .await
        .map_err(|error| configuration(error.to_string()))?;
    show(&connector, json)
}

fn show(connector: &Connector, json: bool) -> Result<u8, CliError> {
    let about = connector.report();
    if json {
        answer_json(&serde_json::json!(about)).map_err(|error| CliError::io("standard output", &error))?;
        return Ok(0);
    }
    out(&format!("{} {}", about.name, about.version))?;
    out(&format!("  {}", about.summary))?;
    let or_none = |list: &[String]| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    out(&format!("  also called     {}", or_none(about.aliases)))?;
    out(&format!("  from            {}", about.origin))?;
    out(&format!("  size            {} bytes", about.size))?;
    out(&format!("  contract        {}", about.contract))?;
    out(&format!("  digest          {}", about.digest))?;
    out(&format!("  account types   {}", or_none(about.account_types)))?;
    out("  imports (read from its bytes: it can reach nothing else)")?;
    for import in about.imports {
        out(&format!("    {import}"))?;
    }
    out("  exports")?;
    for export in about.exports {
        out(&format!("    {export}"))?;
    }
    out("  parameters")?;
    for (name, schema) in about
        .parameters
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let what = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        out(&format!("    {name:<18} {what}"))?;
    }
    Ok(0)
}
