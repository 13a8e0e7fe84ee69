//! `pipepost:connector/outcomes`.

use std::sync::atomic::Ordering;
use std::time::Instant;

use pipepost_core::sentence::{ended, sentence};
use pipepost_core::{Failure, FailureKind};

use super::{StoreData, printable, violation};
use crate::commit_tracker::CallFailure;
use crate::contract::latest::outcomes::{Host, InDoubt, Stop};
use crate::contract::latest::types;
use crate::kept::{Kept, KeptBudget};

impl Host for StoreData {
    async fn committing(
        &mut self,
        parts: Vec<types::Part>,
        in_doubt: Vec<InDoubt>,
    ) -> wasmtime::Result<Result<(), Stop>> {
        let batch = self.batch()?;
        if batch.ending.is_requested() {
            return Ok(Err(Stop::Ending));
        }
        let parts: Vec<(u32, u32)> = parts.into_iter().map(|part| (part.call, part.number)).collect();
        if let Err(stop) = batch.tracker.check(&parts).map_err(violation)? {
            return Ok(Err(stop));
        }
        for InDoubt { call, output } in in_doubt {
            let output = batch.kept.keep_text(output).map_err(violation)?;
            let before = batch.tracker.in_doubt(call, output).map_err(violation)?;
            batch.kept.give_back(before);
        }
        // A durable ledger waits for its disk, an account for its turn, and that time is not the connector's.
        let began = Instant::now();
        let answer = batch.committing(&parts).await.map_err(violation);
        self.host_worked(began);
        answer
    }

    async fn confirmed(&mut self, part: types::Part, output: Option<String>) -> wasmtime::Result<()> {
        let batch = self.batch()?;
        let output = match output {
            Some(text) => Some((batch.kept.keep_json(&text).map_err(violation)?, text)),
            None => None,
        };
        batch.ended((part.call, part.number));
        let before = batch
            .tracker
            .confirmed(part.call, part.number, output)
            .map_err(violation)?;
        batch.kept.give_back(before);
        if let Some(carried) = &batch.carried {
            carried.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn refused(&mut self, part: types::Part, evidence: String) -> wasmtime::Result<()> {
        let batch = self.batch()?;
        batch.ended((part.call, part.number));
        batch
            .tracker
            .refused(part.call, part.number, &evidence)
            .map_err(violation)
    }

    async fn settled(&mut self, call: u32, outcome: Result<Option<String>, types::Failure>) -> wasmtime::Result<()> {
        let batch = self.batch()?;
        let outcome = match outcome {
            Ok(output) => Ok(output
                .map(|text| batch.kept.keep_json(&text))
                .transpose()
                .map_err(violation)?),
            Err(failure) => {
                let mut failed = call_failure(failure, &mut batch.kept).map_err(violation)?;
                let announced = batch.tracker.is_announced(call);
                if let Some(permit) = &batch.permit {
                    permit.explain(call, announced, &mut failed.failure).await;
                }
                Err(failed)
            }
        };
        for before in batch.tracker.settle(call, outcome).map_err(violation)? {
            batch.kept.give_back(before);
        }
        if let Some(tell) = &mut batch.on_settled {
            tell(call);
        }
        Ok(())
    }
}

fn call_failure(failure: types::Failure, kept: &mut KeptBudget) -> Result<CallFailure<Kept>, String> {
    /// Words for people are short.
    const WORDS_BYTES_MAX: usize = 2000;
    let words = |text: &str| printable(text, WORDS_BYTES_MAX);
    Ok(CallFailure {
        failure: Failure {
            kind: failure_kind(failure.kind),
            // It may begin with the name of a parameter, which keeps its case.
            message: ended(&words(&failure.message)),
            advice: failure.advice.map(|advice| sentence(&words(&advice))),
            link: failure
                .link
                .map(|link| words(&link))
                .filter(|link| link.starts_with("https://")),
            wait: failure.retry_after_seconds,
            remedy: None,
        },
        output: failure.output.map(|output| kept.keep_json(&output)).transpose()?,
        remainder: match failure.remainder {
            Some(remainder) => {
                kept.check_json(&remainder)?;
                Some(remainder)
            }
            None => None,
        },
    })
}

fn failure_kind(kind: types::FailureKind) -> FailureKind {
    match kind {
        types::FailureKind::Invalid => FailureKind::Invalid,
        types::FailureKind::Configuration => FailureKind::Configuration,
        types::FailureKind::Authentication => FailureKind::Authentication,
        types::FailureKind::Refused => FailureKind::Refused,
        types::FailureKind::Quota => FailureKind::Quota,
        types::FailureKind::Transient => FailureKind::Transient,
        types::FailureKind::Uncertain => FailureKind::Uncertain,
        types::FailureKind::Limit => FailureKind::Limit,
    }
}
