//! The command line.

mod accounts;
mod arguments;
mod check;
mod copy;
mod demo;
mod disarm;
mod dry_run;
mod error;
mod eval;
mod explain;
mod hardening;
mod help;
mod inbox;
mod ledger;
mod logging;
#[cfg_attr(not(feature = "otel"), path = "cli/no_otel.rs")]
mod otel;
mod paths;
mod plugins;
mod progress;
mod remedy;
mod run;
mod runs;
mod schema;
mod serve;
mod setup;
mod signals;
mod state;
mod store;
mod tokens;
mod trace;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::{CommandFactory as _, Parser as _};
use error::CliError;

/// `EX_USAGE` of `sysexits.h`.
const USAGE: u8 = 64;

/// Parses, runs, and maps the result to an exit code.
pub(crate) fn main() -> ExitCode {
    hardening::harden();
    if let Some(topic) = help::Topic::asked_for(std::env::args_os().map(|text| text.to_string_lossy().into_owned())) {
        return match help::print(topic) {
            Ok(code) => ExitCode::from(code),
            Err(complaint) => {
                complaint.print();
                ExitCode::from(complaint.exit_code())
            }
        };
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nowhere to complain when standard error itself is gone.
            let _ = error.print();
            return if wanted {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    let traces = otel::Traces::from_environment();
    logging::start(&arguments.logging, traces.as_ref().ok().and_then(Option::as_ref));
    let traces = traces.unwrap_or_else(|complaint| {
        tracing::warn!("{complaint}");
        None
    });
    match dispatch(arguments, traces.as_ref()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(arguments: Arguments, traces: Option<&otel::Traces>) -> Result<u8, CliError> {
    match arguments.command {
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "pipepost", &mut std::io::stdout());
            return Ok(0);
        }
        Command::Man => {
            let page = clap_mangen::Man::new(Arguments::command());
            page.render(&mut std::io::stdout())
                .map_err(|error| CliError::io("standard output", &error))?;
            return Ok(0);
        }
        Command::Paths => return paths::execute(),
        Command::Explain(options) => return explain::execute(&options),
        Command::Eval(options) => return eval::execute(&options),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("the runtime", &error))?;
    if let Some(traces) = traces {
        traces.begin(runtime.handle().clone());
    }
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Run(options) => run::execute(*options, &arguments.logging).await,
            Command::Serve(options) => serve::execute(*options).await,
            Command::Runs(command) => runs::execute(command).await,
            Command::Tokens(command) => tokens::execute(command),
            Command::Accounts(command) => accounts::execute(command).await,
            Command::Check(options) => check::execute(options).await,
            Command::Schema(options) => schema::execute(&options).await,
            Command::Plugins(command) => plugins::execute(command).await,
            Command::Inbox(options) => inbox::execute(options).await,
            Command::Demo(options) => demo::execute(options).await,
            Command::Ledger(command) => ledger::execute(command).await,
            Command::State(command) => copy::execute(command).await,
            Command::Completions { .. } | Command::Man | Command::Paths | Command::Explain(_) | Command::Eval(_) => {
                Ok(0)
            }
        }
    });
    if let Some(traces) = traces {
        traces.end();
    }
    // Nothing is left to wait for; a thread that still reads standard input must not keep the process.
    runtime.shutdown_background();
    code
}
