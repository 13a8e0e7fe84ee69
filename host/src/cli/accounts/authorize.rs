//! `pipepost accounts authorize`: a person signs in, in the browser, and the refresh token goes into the store.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use pipepost::net::HttpClient;
use pipepost::{EgressGate, FailureKind};
use pipepost_accounts::oauth::{Authorization, Flow};
use pipepost_accounts::store::{Change, Store};
use pipepost_accounts::{Accounts, ErrorKind, Secret};

use super::all_told;
use super::change::of_client_file;
use crate::cli::error::CliError;
use crate::cli::logging::{answer, say};
use crate::cli::store::{self, StoreOptions, told};
use crate::cli::{remedy, setup};

#[derive(Debug, Args)]
pub(in crate::cli) struct AuthorizeOptions {
    /// The account's label
    label: String,
    /// Do not open a browser here: read, from standard input, the whole address at which a browser on another machine ended
    #[arg(long)]
    no_browser: bool,
    /// The port of the redirect address, for clients with registered addresses (Web applications)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The OAuth client, as the JSON file from the provider's console; it is stored in the account
    #[arg(long, value_name = "FILE")]
    client: Option<PathBuf>,
    /// A file of accounts, to find a label that is not in the store
    #[arg(long, value_name = "FILE", env = "PIPEPOST_ACCOUNTS", value_delimiter = ':')]
    accounts: Vec<PathBuf>,
    /// The account's environment to use
    #[arg(long, value_name = "NAME", env = "PIPEPOST_ENVIRONMENT")]
    environment: Option<String>,
    #[command(flatten)]
    store: StoreOptions,
    /// The operator's policy: the token endpoint has to be among its hosts, and what the account refers to be allowed
    #[arg(long, value_name = "FILE", env = "PIPEPOST_POLICY")]
    policy: Option<PathBuf>,
}

pub(super) async fn execute(options: AuthorizeOptions) -> Result<(), CliError> {
    let policy = setup::policy(options.policy.as_deref())?;
    let store = store::open(&options.store)?.with_references(policy.stored_accounts());
    let label = options.label.as_str();
    refuse_label_of_a_file(&options, &store)?;
    if let Some(file) = &options.client {
        let (changes, is_web) = of_client_file(file)?;
        store.edit(label, &changes).map_err(all_told)?;
        if is_web && options.port.is_none() {
            say(
                "pipepost: this client is a Web application, so its redirect address must be registered: fix it with --port N.",
            );
        }
    }
    let accounts = setup::accounts(&[], Some(&store), options.environment.as_deref())?;
    let account = accounts.get(label).map_err(told)?;
    let flow = Flow::begin(account, options.port).await.map_err(told)?;
    if options.port.is_some() {
        say(&format!(
            "The redirect address, as it must be registered with the client: {}",
            flow.redirect()
        ));
    }
    tell_where_it_goes(&flow);
    let http = HttpClient::new(EgressGate::new(policy));
    let url = flow.url().as_str().to_owned();
    let authorization = if options.no_browser {
        say("Open this address in a browser, on any machine, and sign in:");
        out(&url)?;
        say("The browser then ends at an address that begins like this one and may not load; paste it here, whole:");
        say(&format!("  {}?...", flow.redirect()));
        let address = line_of_standard_input().await?;
        flow.run_with(&address, &http).await
    } else {
        if open_browser(&url) {
            say("Sign in in the browser that has opened. If none has, open this address:");
        } else {
            say("Open this address in a browser on this machine and sign in:");
        }
        out(&url)?;
        flow.run(&http).await
    };
    keep(&store, &options, !account.has_username(), authorization.map_err(told)?)
}

/// Who signs in at one provider's page sees nothing of where the code and the secret go then: it is said before.
fn tell_where_it_goes(flow: &Flow<'_>) {
    let secret = if flow.has_client_secret() {
        ", its PKCE verifier and the client secret go"
    } else {
        " and its PKCE verifier go"
    };
    let to = flow.token_host();
    match flow.provider() {
        Some(provider) => say(&format!(
            "After the sign-in, the code{secret} to {to}, the token endpoint of {provider}."
        )),
        None => say(&format!(
            "The sign-in page is at {}. After the sign-in, the code{secret} to {to}, the token endpoint that the account names: go on only if both are your provider's.",
            flow.sign_in_host()
        )),
    }
}

/// What is not in the store may lie in a file, which is not written here.
fn refuse_label_of_a_file(options: &AuthorizeOptions, store: &Store) -> Result<(), CliError> {
    let label = options.label.as_str();
    let Err(error) = store.show(label) else {
        return Ok(());
    };
    if error.kind() == ErrorKind::NoSuchAccount {
        for file in &options.accounts {
            let surroundings = setup::surroundings(options.environment.as_deref());
            let there = Accounts::load([file], &surroundings).is_ok_and(|all| all.get(label).is_ok());
            if there {
                return Err(CliError::new(
                    FailureKind::Configuration,
                    format!(
                        "The account `{label}` is in the file `{}`, and a refresh token is kept only in the store; {}.",
                        file.display(),
                        remedy::authorize(label, Some(file))
                    ),
                ));
            }
        }
    }
    Err(told(error))
}

fn keep(
    store: &Store,
    options: &AuthorizeOptions,
    nameless: bool,
    authorization: Authorization,
) -> Result<(), CliError> {
    let field = |name: &str| match &options.environment {
        Some(environment) => format!("environments.{environment}.{name}"),
        None => name.to_owned(),
    };
    let mut changes = vec![Change::set_literal(
        field("refresh_token"),
        &authorization.refresh_token,
    )];
    if let (true, Some(address)) = (nameless, &authorization.address) {
        changes.push(Change::set_literal(field("username"), &Secret::new(address.clone())));
    }
    store.edit(&options.label, &changes).map_err(all_told)?;
    let who = authorization
        .address
        .map_or_else(String::new, |address| format!(" as {address}"));
    say(&format!(
        "pipepost: {} is signed in{who}; the refresh token is in {}.",
        options.label,
        store.path().display()
    ));
    Ok(())
}

fn out(line: &str) -> Result<(), CliError> {
    answer(line).map_err(|error| CliError::io("standard output", &error))
}

async fn line_of_standard_input() -> Result<String, CliError> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = read
        .await
        .map_err(|error| CliError::io("standard input", &std::io::Error::other(error)))?;
    let line = line.map_err(|error| CliError::io("standard input", &error))?;
    if line.trim().is_empty() {
        return Err(CliError::usage(
            "Standard input was to bring the address at which the browser ended, and brought nothing.",
        ));
    }
    Ok(line)
}

/// Whether a browser needs this variable: where programs, the person's files and the screen are. The others can hold
/// secrets: those of accounts stand in variables.
fn is_for_a_browser(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "BROWSER",
        "DBUS_SESSION_BUS_ADDRESS",
        "DESKTOP_SESSION",
        "DISPLAY",
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "WAYLAND_DISPLAY",
        "WSL_DISTRO_NAME",
        "WSL_INTEROP",
        "XAUTHORITY",
        "__CF_USER_TEXT_ENCODING",
    ];
    /// Of Windows, where names have no case.
    const OF_WINDOWS: &[&str] = &[
        "APPDATA",
        "COMSPEC",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATHEXT",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "PROGRAMFILES(X86)",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERPROFILE",
        "WINDIR",
    ];
    let is_one_of = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    NAMES.contains(&name)
        || name.starts_with("LC_")
        || name.starts_with("XDG_")
        || cfg!(windows) && (is_one_of(NAMES) || is_one_of(OF_WINDOWS))
}

/// Opens the address in the person's browser, where there is a way to; whether it came up nobody can tell.
fn open_browser(url: &str) -> bool {
    let chosen = std::env::var("BROWSER")
        .ok()
        .filter(|browser| !browser.trim().is_empty());
    let mut command = match &chosen {
        Some(browser) => Command::new(browser),
        None if cfg!(target_os = "macos") => Command::new("open"),
        None if cfg!(windows) => {
            let mut command = Command::new("rundll32");
            command.arg("url.dll,FileProtocolHandler");
            command
        }
        None => Command::new("xdg-open"),
    };
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_a_browser));
    command
        .arg(url)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
