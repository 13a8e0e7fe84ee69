//! `pipepost accounts`: the encrypted store.

mod authorize;
mod change;
mod limits;
mod test;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use authorize::AuthorizeOptions;
use change::Changes;
use clap::{Args, Subcommand};
use limits::LimitsOptions;
use pipepost::FailureKind;
use pipepost_accounts::Errors;
use pipepost_accounts::store::StoredAccount;
use pipepost_state::runs::AccountWait;
use serde_json::json;
use test::TestOptions;

use super::error::CliError;
use super::logging::{answer, answer_json, answer_json_text, say};
use super::store::{self, PolicyOptions, StoreOptions, told};

#[derive(Debug, Subcommand)]
pub(super) enum AccountsCommand {
    /// Add an account to the store: from a file, from fields, or from answers on a terminal
    #[command(
        after_help = "Examples:\n  pipepost accounts add gmail\n  pipepost accounts add gmail --set preset=gmail --set username=you@gmail.com --password-stdin < app-password\n  pipepost accounts add --from accounts.json\n  pipepost accounts add --from accounts.json gmail"
    )]
    Add(AddOptions),
    /// List the accounts in the store, without their secrets
    List {
        #[command(flatten)]
        store: StoreOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one account as it is stored, without its secrets
    Show {
        /// The account's label
        label: String,
        #[command(flatten)]
        store: StoreOptions,
    },
    /// Change fields of an account
    Edit {
        /// The account's label
        label: String,
        #[command(flatten)]
        changes: Changes,
        #[command(flatten)]
        store: StoreOptions,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Copy an account under another label
    Copy {
        /// The account's label
        label: String,
        /// The copy's label
        new: String,
        #[command(flatten)]
        store: StoreOptions,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Change an account's label
    Rename {
        /// The account's label
        label: String,
        /// Its new label
        new: String,
        #[command(flatten)]
        store: StoreOptions,
        #[command(flatten)]
        policy: PolicyOptions,
    },
    /// Remove an account from the store
    Remove {
        /// The account's label
        label: String,
        #[command(flatten)]
        store: StoreOptions,
    },
    /// Sign a person in to an oauth-2 account of the store, in the browser
    #[command(
        after_help = "Example:\n  pipepost accounts add gmail --client client_secret.json --set username=you@gmail.com\n  pipepost accounts authorize gmail"
    )]
    Authorize(AuthorizeOptions),
    /// Test an account step by step: name, connection, TLS, greeting, capabilities, sign-in; send nothing without --to
    #[command(
        after_help = "Examples:\n  pipepost accounts test gmail\n  pipepost accounts test gmail --to you@gmail.com"
    )]
    Test(TestOptions),
    /// End an account's pause, when you know that its server accepts messages again
    Resume {
        /// The account's label
        label: String,
        /// Where the pauses are recorded, instead of the user's state directory
        #[arg(
            long,
            value_name = "DIR|postgres://…",
            env = "PIPEPOST_STATE",
            hide_env_values = true
        )]
        state: Option<PathBuf>,
    },
    /// Show what servers have taught of their limits, such as messages on one connection, or forget it
    #[command(
        after_help = "What an account states in `limits` is used in place of what its server has taught.\n\nExample:\n  pipepost accounts limits gmail --forget"
    )]
    Limits(LimitsOptions),
    /// Export accounts as an accounts file, with their secrets in clear
    Export {
        /// The accounts' labels; the default is all
        labels: Vec<String>,
        /// The new file, which only its owner can read; the default is standard output, unless that is a terminal
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        store: StoreOptions,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddOptions {
    /// The account's label; with --from, the one account of the file to add
    #[arg(required_unless_present = "from")]
    label: Option<String>,
    /// Add the accounts of this file, with their own labels
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "unset", "password_stdin", "client"])]
    from: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    store: StoreOptions,
    #[command(flatten)]
    policy: PolicyOptions,
}

pub(super) async fn execute(command: AccountsCommand) -> Result<u8, CliError> {
    match command {
        AccountsCommand::Add(options) => add(options)?,
        AccountsCommand::List { store, json } => list(&store::open(&store)?.list().map_err(told)?, json)?,
        AccountsCommand::Show { label, store } => {
            let account = store::open(&store)?.show(&label).map_err(told)?;
            answer_json(&account).map_err(|error| CliError::io("standard output", &error))?;
        }
        AccountsCommand::Edit {
            label,
            changes,
            store,
            policy,
        } => {
            let changes = changes.read()?;
            if changes.is_empty() {
                return Err(CliError::usage(
                    "Nothing was named to change; write --set FIELD=VALUE, --unset FIELD or --password-stdin.",
                ));
            }
            store::open_within(&store, &policy)?
                .edit(&label, &changes)
                .map_err(all_told)?;
            say(&format!("pipepost: changed {label}."));
        }
        AccountsCommand::Copy {
            label,
            new,
            store,
            policy,
        } => {
            store::open_within(&store, &policy)?
                .copy(&label, &new)
                .map_err(all_told)?;
            say(&format!("pipepost: copied {label} to {new}."));
        }
        AccountsCommand::Rename {
            label,
            new,
            store,
            policy,
        } => {
            store::open_within(&store, &policy)?
                .rename(&label, &new)
                .map_err(all_told)?;
            say(&format!("pipepost: {label} is now {new}."));
        }
        AccountsCommand::Remove { label, store } => {
            store::open(&store)?.remove(&label).map_err(all_told)?;
            say(&format!("pipepost: removed {label}."));
        }
        AccountsCommand::Authorize(options) => authorize::execute(options).await?,
        AccountsCommand::Test(options) => return test::execute(options).await,
        AccountsCommand::Resume { label, state } => resume(&label, state).await?,
        AccountsCommand::Limits(options) => limits::execute(options).await?,
        AccountsCommand::Export { labels, output, store } => export(&labels, output.as_deref(), &store)?,
    }
    Ok(0)
}

fn add(options: AddOptions) -> Result<(), CliError> {
    if let Some(file) = &options.from {
        if !file.exists() {
            return Err(CliError::no_input(
                "accounts file",
                file,
                &std::io::ErrorKind::NotFound.into(),
            ));
        }
        let store = store::open_within(&options.store, &options.policy)?;
        let labels = store.add_file(file, options.label.as_deref()).map_err(all_told)?;
        say(&format!(
            "pipepost: added {} to {}; the file `{}` still holds what it held.",
            labels.join(", "),
            store.path().display(),
            file.display()
        ));
        return Ok(());
    }
    let label = options.label.unwrap_or_default();
    let changes = options.changes.of_a_new_account()?;
    let store = store::open_within(&options.store, &options.policy)?;
    store.add(&label, &changes).map_err(all_told)?;
    say(&format!("pipepost: added {label} to {}.", store.path().display()));
    Ok(())
}

async fn resume(label: &str, state: Option<PathBuf>) -> Result<(), CliError> {
    let state = super::state::open(state)?;
    let ended = state.store.quotas().resume(label).await?;
    state.store.runs().account_goes_on(label, AccountWait::Pause).await?;
    if ended.is_empty() {
        say(&format!(
            "pipepost: {label} does not pause, as far as {} tells.",
            state.shown()
        ));
    }
    for pause in ended {
        let until = pause.until.to_zoned(jiff::tz::TimeZone::system());
        say(&format!(
            "pipepost: {label} may send again; it was to pause until {}. {}",
            until.strftime("%Y-%m-%d %H:%M:%S %Z"),
            pause.why
        ));
    }
    Ok(())
}

fn list(accounts: &[StoredAccount], json: bool) -> Result<(), CliError> {
    if json {
        let all: Vec<_> = accounts
            .iter()
            .map(|account| {
                json!({
                    "label": account.label,
                    "type": account.kind,
                    "description": account.description,
                    "environments": account.environments,
                })
            })
            .collect();
        return answer_json(&json!(all)).map_err(|error| CliError::io("standard output", &error));
    }
    if accounts.is_empty() {
        say("pipepost: the store is empty; `pipepost accounts add LABEL` puts an account into it.");
    }
    for account in accounts {
        let mut line = format!("{:<20} {:<26}", account.label, account.kind);
        if !account.environments.is_empty() {
            line.push_str(&format!(" [{}]", account.environments.join(", ")));
        }
        if let Some(description) = &account.description {
            line.push_str(&format!(" {}", description.escape_debug()));
        }
        out(line.trim_end())?;
    }
    Ok(())
}

fn export(labels: &[String], output: Option<&std::path::Path>, options: &StoreOptions) -> Result<(), CliError> {
    if output.is_none() && std::io::stdout().is_terminal() {
        return Err(CliError::usage(
            "An export holds secrets in clear, which are not shown on a terminal; name a file with --output.",
        ));
    }
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let text = store::open(options)?.export(&labels).map_err(told)?;
    match output {
        None => answer_json_text(text.expose()).map_err(|error| CliError::io("standard output", &error)),
        Some(path) => {
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let write = || {
                let mut file = options.open(path)?;
                file.write_all(text.expose().as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            };
            write().map_err(|error| {
                CliError::new(
                    FailureKind::Configuration,
                    format!(
                        "The file `{}` cannot be made: {error}; name one that does not exist yet.",
                        path.display()
                    ),
                )
            })
        }
    }
}

fn out(line: &str) -> Result<(), CliError> {
    answer(line).map_err(|error| CliError::io("standard output", &error))
}

fn all_told(errors: Errors) -> CliError {
    CliError::many(FailureKind::Configuration, errors.iter().map(store::sentence))
}
