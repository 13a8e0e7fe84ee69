//! `pipepost tokens`: who may ask the service for what.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pipepost::FailureKind;
use pipepost_serve::tokens::{Scope, TokenFile, TokensError};
use serde_json::json;

use super::error::CliError;
use super::logging::{answer, answer_json, say};

#[derive(Debug, Subcommand)]
pub(super) enum TokensCommand {
    /// Make a token and print it once; the file keeps only its hash
    #[command(
        after_help = "Example:\n  pipepost tokens add shop --may run:order --tokens tokens.json\n\nScopes: run:* or run:NAME starts pipelines, read sees, operate also cancels, settles and pauses, admin also changes accounts."
    )]
    Add {
        /// The token's name, by which it is listed, logged and removed
        name: String,
        /// What it may do: run:*, run:NAME, read, operate or admin. May be given more than once
        #[arg(long = "may", value_name = "SCOPE", required = true)]
        may: Vec<String>,
        #[command(flatten)]
        file: TokensFile,
    },
    /// List the tokens' names and what they may do
    List {
        #[command(flatten)]
        file: TokensFile,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a token; a running service stops taking it within two seconds
    Remove {
        /// The token's name
        name: String,
        #[command(flatten)]
        file: TokensFile,
    },
}

#[derive(Debug, Args)]
pub(super) struct TokensFile {
    /// The file of tokens
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TOKENS")]
    tokens: PathBuf,
}

pub(super) fn execute(command: TokensCommand) -> Result<u8, CliError> {
    let out = |line: &str| answer(line).map_err(|error| CliError::io("standard output", &error));
    match command {
        TokensCommand::Add { name, may, file } => {
            let scopes: Result<Vec<Scope>, TokensError> = may.iter().map(|scope| scope.parse()).collect();
            let scopes = scopes.map_err(|error| CliError::usage(error.to_string()))?;
            let token = TokenFile::new(&file.tokens).add(&name, &scopes).map_err(told)?;
            out(token.expose())?;
            say(&format!(
                "pipepost: this is the token `{name}`. It is not shown again; {} keeps only its hash.",
                file.tokens.display()
            ));
        }
        TokensCommand::List { file, json } => {
            let listed = TokenFile::new(&file.tokens).list().map_err(told)?;
            if json {
                answer_json(&json!(listed)).map_err(|error| CliError::io("standard output", &error))?;
                return Ok(0);
            }
            if listed.is_empty() {
                say("pipepost: there are no tokens; `pipepost tokens add NAME --may SCOPE` makes one.");
            }
            for token in listed {
                let may: Vec<String> = token.may.iter().map(ToString::to_string).collect();
                out(&format!("{:<20} {}", token.name, may.join(" ")))?;
            }
        }
        TokensCommand::Remove { name, file } => {
            TokenFile::new(&file.tokens).remove(&name).map_err(told)?;
            say(&format!("pipepost: removed the token `{name}`."));
        }
    }
    Ok(0)
}

fn told(error: TokensError) -> CliError {
    let kind = match error {
        TokensError::Name(_) | TokensError::Taken(_) | TokensError::Unknown(_) | TokensError::NoScope => {
            FailureKind::Invalid
        }
        _ => FailureKind::Configuration,
    };
    CliError::new(kind, error.to_string())
}
