//! `pipepost runs`: what was accepted and what became of it, read from the state. A running service notices what is
//! decided here within five seconds.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use pipepost::FailureKind;
use pipepost::state::runs::{Decided, Run, RunFilter, RunId, RunState, RunStore};
use pipepost_serve::run_detail;
use serde_json::{Value, json};

use super::error::CliError;
use super::logging::{answer, answer_json, say};

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// List runs, the newest first
    #[command(after_help = "Example:\n  pipepost runs list --in uncertain")]
    List {
        /// Only runs of this pipeline
        #[arg(long, value_name = "NAME")]
        pipeline: Option<String>,
        /// Only runs in this state: queued, running, done, failed, uncertain or cancelled
        #[arg(long = "in", value_name = "STATE")]
        in_state: Option<String>,
        /// How many runs to list
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u16,
        #[command(flatten)]
        place: StatePlace,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one run, with its message and output as people may see them
    Show {
        /// The run's id
        id: String,
        #[command(flatten)]
        place: StatePlace,
    },
    /// Cancel a run that waits
    Cancel {
        /// The run's id
        id: String,
        #[command(flatten)]
        place: StatePlace,
    },
    /// Let a run that failed, was cancelled or was settled go on; what it sent is not sent again
    Continue {
        /// The run's id
        id: String,
        #[command(flatten)]
        place: StatePlace,
    },
}

#[derive(Debug, Args)]
pub(super) struct StatePlace {
    /// Where runs are recorded, instead of the user's state directory
    #[arg(
        long,
        value_name = "DIR|postgres://…",
        env = "PIPEPOST_STATE",
        hide_env_values = true
    )]
    state: Option<PathBuf>,
}

impl StatePlace {
    fn runs(self) -> Result<Arc<dyn RunStore>, CliError> {
        Ok(super::state::open(self.state)?.store.runs())
    }
}

pub(super) async fn execute(command: RunsCommand) -> Result<u8, CliError> {
    match command {
        RunsCommand::List {
            pipeline,
            in_state,
            limit,
            place,
            json,
        } => {
            let state = in_state.as_deref().map(state_of).transpose()?;
            let filter = RunFilter {
                pipeline,
                state,
                limit: limit.into(),
                ..RunFilter::default()
            };
            let runs = place.runs()?.list(filter).await?;
            if json {
                let all: Vec<Value> = runs.iter().map(run_detail).collect();
                answer_json(&json!(all)).map_err(|error| CliError::io("standard output", &error))?;
                return Ok(0);
            }
            for run in &runs {
                out(&line(run))?;
            }
        }
        RunsCommand::Show { id, place } => {
            let parsed = id_of(&id)?;
            let run = place.runs()?.run(&parsed).await?.ok_or_else(|| unknown(&id))?;
            answer_json(&run_detail(&run)).map_err(|error| CliError::io("standard output", &error))?;
        }
        RunsCommand::Cancel { id, place } => {
            let parsed = id_of(&id)?;
            match place.runs()?.cancel(&parsed, None).await? {
                Decided::Done(run) => out(&line(&run))?,
                Decided::NotNow(run) => return Err(not_now(&run, "only a run that waits can be cancelled")),
                Decided::Unknown => return Err(unknown(&id)),
            }
        }
        RunsCommand::Continue { id, place } => {
            let parsed = id_of(&id)?;
            let runs = place.runs()?;
            let decided = match runs.hasten(&parsed).await? {
                Decided::NotNow(_) => runs.resume(&parsed).await?,
                decided => decided,
            };
            match decided {
                Decided::Done(run) => {
                    out(&line(&run))?;
                    say("pipepost: the run waits; `pipepost serve` takes it within five seconds.");
                }
                Decided::NotNow(run) if run.state.is_end() && run.message.is_none() => {
                    return Err(not_now(&run, "its message is not kept any more"));
                }
                Decided::NotNow(run) => {
                    let clause =
                        "only a run that failed, was cancelled, is uncertain or waits for its time can be continued";
                    return Err(not_now(&run, clause));
                }
                Decided::Unknown => return Err(unknown(&id)),
            }
        }
    }
    Ok(0)
}

fn out(text: &str) -> Result<(), CliError> {
    answer(text).map_err(|error| CliError::io("standard output", &error))
}

fn state_of(name: &str) -> Result<RunState, CliError> {
    RunState::from_name(name).ok_or_else(|| {
        let names = RunState::ALL.map(RunState::as_str).join(", ");
        CliError::usage(format!("`{name}` is not a state of a run; there are {names}."))
    })
}

fn id_of(text: &str) -> Result<RunId, CliError> {
    RunId::parse(text).ok_or_else(|| unknown(text))
}

fn unknown(id: &str) -> CliError {
    let sentence = format!("There is no run `{id}` in this state; `pipepost runs list` shows the newest.");
    CliError::new(FailureKind::Invalid, sentence)
}

fn not_now(run: &Run, clause: &str) -> CliError {
    let sentence = format!("The run {} is {}; {clause}.", run.id, run.state.as_str());
    CliError::new(FailureKind::Invalid, sentence)
}

fn line(run: &Run) -> String {
    let accepted = Timestamp::from_microsecond(run.accepted).unwrap_or_default();
    let counts = run.counts;
    let mut line = format!(
        "{}  {}  {:<9} {:<20} sent {}",
        run.id,
        accepted.strftime("%Y-%m-%dT%H:%M:%SZ"),
        run.state.as_str(),
        run.pipeline,
        counts.sent
    );
    if counts.failed > 0 {
        line.push_str(&format!(", failed {}", counts.failed));
    }
    if counts.uncertain > 0 {
        line.push_str(&format!(", uncertain {}", counts.uncertain));
    }
    if let Some(failure) = &run.failure {
        line.push_str(&format!("  {}", failure.kind));
    }
    line
}
