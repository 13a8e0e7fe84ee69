//! What of an account changes, from arguments, standard input and answers. No secret stands in an argument.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use pipepost_accounts::Secret;
use pipepost_accounts::oauth::ClientFile;
use pipepost_accounts::store::Change;
use zeroize::Zeroizing;

use crate::cli::error::CliError;
use crate::cli::store::{ask_secret, is_terminal, told};

/// A password is a line.
const LONGEST: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct Changes {
    /// Set a field, such as `preset=gmail` or `limits.messages_per_day=400`. A secret is a reference here that the policy
    /// allows, such as `password=${env:SMTP_PASSWORD}`. May be given more than once
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Remove a field. May be given more than once
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// The OAuth client, as the JSON file from the provider's console
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,
}

impl Changes {
    /// The changes that were named.
    pub(super) fn read(self) -> Result<Vec<Change>, CliError> {
        let mut changes = Vec::new();
        for pair in self.set {
            let Some((field, value)) = pair.split_once('=').filter(|(field, _)| !field.trim().is_empty()) else {
                // The text may be a secret that was meant for somewhere else.
                return Err(CliError::usage(
                    "What follows --set has no field; write --set FIELD=VALUE.",
                ));
            };
            let change = Change::set(field.trim(), Secret::new(value.to_owned()));
            if change.is_secret_in_clear() {
                return Err(CliError::usage(format!(
                    "The field `{}` is a secret, and arguments can be seen by others on this machine; use --password-stdin or --from FILE, or a reference that the policy allows, such as --set '{}=${{env:NAME}}'.",
                    field.trim(),
                    field.trim()
                )));
            }
            changes.push(change);
        }
        changes.extend(self.unset.into_iter().map(Change::remove));
        if let Some(file) = &self.client {
            changes.extend(of_client_file(file)?.0);
        }
        if self.password_stdin {
            changes.push(Change::set_literal("password", &password()?));
        }
        Ok(changes)
    }

    /// The fields of a new account; what is missing is asked for on a terminal.
    pub(super) fn of_a_new_account(self) -> Result<Vec<Change>, CliError> {
        let nothing_named = self.set.is_empty() && !self.password_stdin && self.client.is_none();
        let is_client = self.client.is_some();
        let mut changes = if nothing_named { ask_for_fields()? } else { self.read()? };
        let named = |changes: &[Change], field: &str| {
            changes
                .iter()
                .any(|change| matches!(change, Change::Set { field: other, .. } if same(other, field)))
        };
        let kind = changes.iter().find_map(|change| match change {
            Change::Set { field, value } if same(field, "type") => Some(value.expose().to_ascii_lowercase()),
            _ => None,
        });
        let takes_password = kind.as_deref().map_or(!is_client, |kind| {
            matches!(kind.replace('_', "-").as_str(), "smtp-auth-and-properties" | "basic")
        });
        if takes_password && !named(&changes, "password") && named(&changes, "username") && is_terminal() {
            let password = ask_secret("Password (for Gmail: an app password): ")?;
            changes.push(Change::set_literal("password", &password));
        }
        if kind.is_none() {
            if is_client && !named(&changes, "provider") && !named(&changes, "token_endpoint") {
                changes.insert(0, Change::set("provider", Secret::new("google".to_owned())));
            }
            let usual = if is_client {
                "oauth-2"
            } else {
                "smtp-auth-and-properties"
            };
            changes.insert(0, Change::set("type", Secret::new(usual.to_owned())));
        }
        Ok(changes)
    }
}

/// The fields that a client file fills, and whether the client is a Web application.
pub(super) fn of_client_file(file: &Path) -> Result<(Vec<Change>, bool), CliError> {
    let client = ClientFile::read(file).map_err(told)?;
    let mut changes = vec![Change::set("client_id", Secret::new(client.client_id))];
    if let Some(secret) = &client.client_secret {
        changes.push(Change::set_literal("client_secret", secret));
    }
    Ok((changes, client.is_web))
}

fn same(field: &str, other: &str) -> bool {
    field.replace('-', "_").eq_ignore_ascii_case(other)
}

/// The questions of `accounts add LABEL` on a terminal.
fn ask_for_fields() -> Result<Vec<Change>, CliError> {
    if !is_terminal() {
        return Err(CliError::usage(
            "Nothing was said of the account, and there is no terminal to ask at; write --set FIELD=VALUE and --password-stdin, or --from FILE.",
        ));
    }
    let preset = ask("Provider (gmail, outlook, yahoo, icloud, ...; empty: another server): ")?;
    let mut changes = Vec::new();
    let mut set = |field: &str, value: String| changes.push(Change::set(field, Secret::new(value)));
    if preset.is_empty() {
        set("host", ask("Host of the server: ")?);
        set("port", ask("Port (587: STARTTLS, 465: TLS): ")?);
        set("starttls_enable", "true".to_owned());
    } else {
        set("preset", preset);
    }
    set("username", ask("User name (the whole address): ")?);
    Ok(changes)
}

fn ask(question: &str) -> Result<String, CliError> {
    let terminal = |error: std::io::Error| CliError::io("the terminal", &error);
    let mut to = std::io::stderr();
    to.write_all(question.as_bytes())
        .and_then(|()| to.flush())
        .map_err(terminal)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(terminal)?;
    Ok(line.trim().to_owned())
}

/// Standard input, less one trailing line break.
fn password() -> Result<Secret, CliError> {
    let mut text = Zeroizing::new(String::with_capacity(1024));
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| CliError::io("standard input", &error))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::usage(
            "Standard input was to hold the password, and holds nothing.",
        ));
    }
    Ok(Secret::new(line.to_owned()))
}
