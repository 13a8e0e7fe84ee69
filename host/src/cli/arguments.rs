//! The command line's grammar and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::accounts::AccountsCommand;
use super::runs::RunsCommand;
use super::serve::ServeOptions;
use super::store::StoreOptions;
use super::tokens::TokensCommand;

/// Sends email from integration pipelines through a sandbox.
#[derive(Debug, Parser)]
#[command(name = "pipepost", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Begin with `pipepost demo`: it sends the example pipeline's message to a local server and shows what arrived.\n\nReference: `pipepost help functions`, `pipepost help template`, `pipepost help steps`, `pipepost help inbox`.\n\nExit codes: 0 done, 1 an error that the pipeline itself threw, 64 usage, 65 invalid, 66 no such input, 69 refused,\n70 limit, 74 uncertain, 75 try again, 77 authentication, 78 configuration."
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) logging: Logging,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Settings of what goes to standard error besides sentences about failures.
#[derive(Debug, Args)]
pub(super) struct Logging {
    /// Print more: -v steps and connections, -vv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 100)]
    pub(super) verbose: u8,
    /// Print failures only
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 101)]
    pub(super) quiet: bool,
    /// Format of log lines
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "PIPEPOST_LOG_FORMAT",
        display_order = 102
    )]
    pub(super) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send the example pipeline's message to a local server, and show each step
    Demo(DemoOptions),
    /// Run a pipeline; print the last step's output as JSON on standard output, everything else on standard error
    #[command(
        after_help = "Examples:\n  pipepost run welcome.json --accounts accounts.json --input order.json\n  echo '{\"email\":\"ada@example.com\"}' | pipepost run welcome.json --accounts accounts.json --input -\n  pipepost run report.json --accounts accounts.json --files ./attachments --global month=May\n  pipepost run welcome.json --accounts accounts.json --input order.json --dry-run --out ./rehearsed"
    )]
    Run(Box<RunOptions>),
    /// Run the pipelines of a directory with their own triggers, until it is ended
    #[command(
        after_help = "Example:\n  pipepost serve ./pipelines --accounts accounts.json\nIt prints where it listens, and a token. POST a message to /pipeline/NAME to run a pipeline.\nSIGTERM ends it in order, SIGHUP reads accounts and directory anew."
    )]
    Serve(Box<ServeOptions>),
    /// Show the runs of a service, cancel those that wait, continue those that failed
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Make, list and remove the tokens with which callers ask a service
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// Print the value of an expression or a template
    #[command(
        after_help = "Examples:\n  pipepost eval --list\n  pipepost eval 'UPPERCASE(message.name)' --message order.json\n  pipepost eval 'Order {{ message.id }} of {{ global.month }}' --message order.json --global month=May\n  pipepost eval 'Dear ${name}, <#if total gt 9>thank you</#if>' --message order.json"
    )]
    Eval(EvalOptions),
    /// Print the JSON Schema of pipeline documents, of a step's parameters, of account files, or of policies, for editors
    #[command(
        after_help = "Examples:\n  pipepost schema > pipeline.schema.json\n  pipepost schema email-connector-v2\n  pipepost schema account > accounts.schema.json\n  pipepost schema policy > policy.schema.json"
    )]
    Schema(SchemaOptions),
    /// List every problem of a pipeline, with its branch, step and parameter; run nothing
    #[command(
        after_help = "Examples:\n  pipepost check welcome.json --accounts accounts.json\n  pipepost check ./pipelines --accounts accounts.json"
    )]
    Check(CheckOptions),
    /// Describe the connectors: what they do, what they take, and exactly what they import
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Show what named executions sent, and settle uncertain messages
    #[command(
        subcommand,
        after_help = "A message is uncertain when the server's answer to it did not arrive: it may or may not have been sent.\nPipepost never sends it again by itself. Look for it in the sender's Sent folder, then settle it:\n  pipepost ledger list --uncertain\n  pipepost ledger settle KEY --as sent\n  pipepost ledger settle KEY --as not-sent    # it is sent when its execution runs again"
    )]
    Ledger(LedgerCommand),
    /// Copy a state: from a directory into a database, back, or to another of its kind
    #[command(subcommand)]
    State(StateCommand),
    /// Run a local SMTP server that speaks Gmail's dialect and keeps what it receives
    #[command(
        after_help = "Example:\n  pipepost inbox --dir ./caught\nIt prints the account with which to send to it."
    )]
    Inbox(InboxOptions),
    /// Show and change the encrypted store of accounts; test accounts
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Explain a mail server's reply, and what to do now
    #[command(
        after_help = "Examples:\n  pipepost explain '535-5.7.8 Username and Password not accepted.'\n  pipepost explain - < bounce.txt"
    )]
    Explain(ExplainOptions),
    /// Print where caches, configuration and state are
    Paths,
    /// Print completions for a shell, to be sourced
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for `man -l -`
    Man,
}

/// Accounts, connectors and policy: the same for every command that needs a host.
#[derive(Debug, Args)]
pub(super) struct HostOptions {
    /// A file with one account or an array of accounts. May be given more than once
    #[arg(long, value_name = "FILE", env = "PIPEPOST_ACCOUNTS", value_delimiter = ':')]
    pub(super) accounts: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) store: StoreOptions,
    /// The accounts' environment to use, such as `test` or `prod`
    #[arg(long, value_name = "NAME", env = "PIPEPOST_ENVIRONMENT")]
    pub(super) environment: Option<String>,
    /// A directory of connectors (*.wasm), in addition to the built-in ones. May be given more than once
    #[arg(long, value_name = "DIR", env = "PIPEPOST_PLUGINS", value_delimiter = ':')]
    pub(super) plugins: Vec<PathBuf>,
    /// The operator's policy: hosts, networks, limits, connectors, references of stored accounts
    #[arg(long, value_name = "FILE", env = "PIPEPOST_POLICY")]
    pub(super) policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// The pipeline document
    pub(super) pipeline: PathBuf,
    /// The first step's message, a JSON file; `-` reads standard input. The default is {}
    #[arg(long, value_name = "FILE|-", env = "PIPEPOST_INPUT")]
    pub(super) input: Option<PathBuf>,
    #[command(flatten)]
    pub(super) host: HostOptions,
    /// A directory of files for attachments; they are only read
    #[arg(long, value_name = "DIR", env = "PIPEPOST_FILES")]
    pub(super) files: Option<PathBuf>,
    #[command(flatten)]
    pub(super) globals: Globals,
    /// The key of this execution: what it sends is recorded, and a run with the same key does not send it again
    #[arg(long, value_name = "KEY", env = "PIPEPOST_EXECUTION")]
    pub(super) execution: Option<String>,
    /// Where named executions, limits and pauses are recorded, instead of the user's state directory
    #[arg(
        long,
        value_name = "DIR|postgres://…",
        env = "PIPEPOST_STATE",
        hide_env_values = true
    )]
    pub(super) state: Option<PathBuf>,
    /// Record the dialogue with the servers in this file, with times and without secrets
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TRANSCRIPT")]
    pub(super) transcript: Option<PathBuf>,
    /// Maximum time of the run, such as `90s`, `5m` or `none`; the default is the document's, else 30s
    #[arg(long, value_name = "DURATION", env = "PIPEPOST_TIMEOUT", value_parser = timeout)]
    pub(super) timeout: Option<Timeout>,
    #[command(flatten)]
    pub(super) pins: Pins,
    /// Do everything except send: connect to nothing, and read no secret
    #[arg(long)]
    pub(super) dry_run: bool,
    /// With --dry-run, write each message into this directory as .eml, with its envelope in a second file; else print them
    #[arg(long, value_name = "DIR", env = "PIPEPOST_OUT")]
    pub(super) out: Option<PathBuf>,
    /// Record each step's input and output in this file, one JSON object per line; secrets and sensitive fields are masked
    #[arg(long, value_name = "FILE", env = "PIPEPOST_TRACE")]
    pub(super) trace: Option<PathBuf>,
    /// Keep the run's own files in this directory: an empty one, or a new one
    #[arg(long, value_name = "DIR", env = "PIPEPOST_KEEP")]
    pub(super) keep: Option<PathBuf>,
}

/// Values for `{{ global.K }}`.
#[derive(Debug, Args)]
pub(super) struct Globals {
    /// A value for `{{ global.K }}`: JSON if it parses as JSON, else text. May be given more than once
    #[arg(long = "global", value_name = "K=V")]
    pub(super) pairs: Vec<String>,
    /// Values for `{{ global.K }}`: a file with a JSON object. --global overrides it
    #[arg(long = "globals", value_name = "FILE", env = "PIPEPOST_GLOBALS")]
    pub(super) file: Option<PathBuf>,
}

/// Steps that do not run.
#[derive(Debug, Args)]
pub(super) struct Pins {
    /// Do not run this step (its id, name or alias); take its output from this JSON file. May be given more than once
    #[arg(long = "pin", value_name = "STEP=FILE", env = "PIPEPOST_PIN")]
    pub(super) pins: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct EvalOptions {
    /// An expression without its braces, a text with `{{ }}` in it, or the template of an email body
    #[arg(required_unless_present = "list")]
    pub(super) text: Option<String>,
    /// Print every function that expressions can call, with its meaning and a worked case
    #[arg(long, conflicts_with_all = ["text", "message", "json"])]
    pub(super) list: bool,
    /// The message that it reads, a JSON file; `-` reads standard input. The default is {}
    #[arg(long, value_name = "FILE|-", env = "PIPEPOST_MESSAGE")]
    pub(super) message: Option<PathBuf>,
    #[command(flatten)]
    pub(super) globals: Globals,
    /// Print texts as JSON too, with quotes
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SchemaOptions {
    /// `document`, `account`, `policy`, or the type or connector name of a step
    #[arg(default_value = "document", value_name = "document|account|policy|STEP")]
    pub(super) of: String,
    #[command(flatten)]
    pub(super) host: HostOptions,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// The pipeline document, or the directory of `serve`
    pub(super) pipeline: PathBuf,
    #[command(flatten)]
    pub(super) host: HostOptions,
    #[command(flatten)]
    pub(super) pins: Pins,
    /// Print JSON: the problems, and the accounts, globals and message paths that the document needs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginsCommand {
    /// List all connectors
    List {
        #[command(flatten)]
        host: HostOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe one connector; its imports and exports are read from its bytes
    Inspect {
        /// A connector's name or alias, or a file
        connector: String,
        #[command(flatten)]
        host: HostOptions,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// List all messages in the ledger, the oldest first
    List {
        /// Only messages of this execution
        #[arg(long, value_name = "KEY")]
        execution: Option<String>,
        /// Only uncertain messages
        #[arg(long)]
        uncertain: bool,
        /// Where the ledger is, instead of the user's state directory
        #[arg(
            long,
            value_name = "DIR|postgres://…",
            env = "PIPEPOST_STATE",
            hide_env_values = true
        )]
        state: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one message: its transactions, and which recipients were accepted
    Show {
        /// The message's key, as `list` prints it
        key: String,
        /// Where the ledger is, instead of the user's state directory
        #[arg(
            long,
            value_name = "DIR|postgres://…",
            env = "PIPEPOST_STATE",
            hide_env_values = true
        )]
        state: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Record whether an uncertain message was sent
    Settle {
        /// The message's key, as `list` prints it
        key: String,
        /// What you found out
        #[arg(long = "as", value_enum, value_name = "OUTCOME")]
        decision: SettleAs,
        /// Where the ledger is, instead of the user's state directory
        #[arg(
            long,
            value_name = "DIR|postgres://…",
            env = "PIPEPOST_STATE",
            hide_env_values = true
        )]
        state: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Copy everything that a state knows into a new one; what is in the old one stays
    #[command(
        after_help = "Example:\n  pipepost state copy /var/lib/pipepost 'postgres://pipepost@db.example.com/pipepost'\nEnd what works with the state first. All of it is copied, or nothing. Use only the new one then: what is sent with one of them, the other does not know."
    )]
    Copy {
        /// The state that is there: a directory, or a database's address
        #[arg(value_name = "FROM")]
        from: PathBuf,
        /// The new one: a directory, or a database's address
        #[arg(value_name = "TO")]
        to: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What a person found out about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SettleAs {
    /// It was sent: it is never sent again
    Sent,
    /// It was not sent: it is sent when its execution runs again
    NotSent,
}

#[derive(Debug, Args)]
pub(super) struct InboxOptions {
    /// Where to listen with STARTTLS; port 0 lets the system choose
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:2525",
        env = "PIPEPOST_INBOX_LISTEN"
    )]
    pub(super) listen: std::net::SocketAddr,
    /// Where to listen with TLS from the first byte
    #[arg(long, value_name = "ADDR", env = "PIPEPOST_INBOX_LISTEN_TLS")]
    pub(super) listen_tls: Option<std::net::SocketAddr>,
    /// The name by which other machines reach it: for its certificate, and for `account.json`
    #[arg(long, value_name = "HOST", env = "PIPEPOST_INBOX_NAME")]
    pub(super) name: Option<String>,
    /// Keep each message in this directory as .eml, with its envelope in a second file; also `account.json`, `ca.pem`, and
    /// the certificate for the next time
    #[arg(long, value_name = "DIR", env = "PIPEPOST_INBOX_DIR")]
    pub(super) dir: Option<PathBuf>,
    /// A script (JSON) of how to misbehave
    #[arg(long, value_name = "FILE", env = "PIPEPOST_INBOX_SCRIPT")]
    pub(super) script: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DemoOptions {
    /// Keep the demo's files in this directory
    #[arg(long, value_name = "DIR", env = "PIPEPOST_DEMO_DIR")]
    pub(super) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainOptions {
    /// The reply as the server, a log or a bounce shows it, on one line or several; `-` reads standard input
    #[arg(required = true, num_args = 1.., value_name = "REPLY|-")]
    pub(super) reply: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A limit that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timeout {
    After(Duration),
    None,
}

fn timeout(text: &str) -> Result<Timeout, String> {
    if text == "none" {
        return Ok(Timeout::None);
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits
        .parse()
        .map_err(|_| "write a number and a unit, such as `90s`, or `none`".to_owned())?;
    let seconds = match &text[digits.len()..] {
        "ms" => number / 1000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        unit => return Err(format!("`{unit}` is not a unit; use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds)
        .map(Timeout::After)
        .map_err(|_| "it must be a positive time".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn time_limits_have_units() {
        assert_eq!(timeout("90s"), Ok(Timeout::After(Duration::from_secs(90))));
        assert_eq!(timeout("1.5m"), Ok(Timeout::After(Duration::from_secs(90))));
        assert_eq!(timeout("250ms"), Ok(Timeout::After(Duration::from_millis(250))));
        assert_eq!(timeout("none"), Ok(Timeout::None));
        for wrong in ["", "s", "5 parsecs", "-1s", "1e400s"] {
            assert!(timeout(wrong).is_err(), "{wrong}");
        }
    }
}
