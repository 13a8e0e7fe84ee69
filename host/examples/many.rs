//! Many runs at once on one host, watched, with a deadline: `cargo run -p pipepost --example many`.
//!
//! The pipeline needs no account and no server, so that the example shows only the library.

#![allow(clippy::print_stdout, reason = "an example speaks to a person at a terminal")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use pipepost::{Host, Observer, RunOptions, StepRecord, TimeLimit};
use serde_json::json;

type Error = Box<dyn std::error::Error>;

/// Counts the steps of all runs.
#[derive(Debug, Default)]
struct Steps(AtomicUsize);

impl Observer for Steps {
    fn wants_steps(&self) -> bool {
        true
    }

    fn step(&self, record: &StepRecord<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
        if record.error.is_some() {
            println!("{} of {} failed", record.step, record.execution);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (answers, steps) = run_many(100).await?;
    println!(
        "{} answers after {steps} steps; the last is {}",
        answers.len(),
        answers[answers.len() - 1]
    );
    Ok(())
}

/// Runs one pipeline for many messages, and returns the outputs in the order of the messages.
async fn run_many(count: usize) -> Result<(Vec<serde_json::Value>, usize), Error> {
    let host = Host::builder().build().await?;
    let document = json!({ "flowSpec": { "start": [
        { "type": "connector", "name": "json-generator-connector",
          "params": { "json": "{ \"square\": {{ MULTIPLY(message.number, message.number) }} }" } },
        { "type": "connector", "name": "log-connector", "params": { "logLevel": "DEBUG", "message": "{{ message.square }}" } },
    ] } });
    // Prepared once, run as often as you like.
    let pipeline = host
        .prepare(&document.to_string())
        .map_err(|problems| problems.to_string())?;
    let steps = Arc::new(Steps::default());
    let runs = (0..count).map(|number| {
        let mut options = RunOptions::new(json!({ "number": number }));
        options.observer = Some(steps.clone());
        options.time_limit = TimeLimit::After(Duration::from_secs(10));
        host.run(&pipeline, options)
    });
    let reports = join_all(runs).await;
    host.close().await;
    let answers: Result<Vec<_>, _> = reports.into_iter().map(|report| report.result).collect();
    Ok((answers?, steps.0.load(Ordering::Relaxed)))
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn every_run_has_its_own_answer() {
    let (answers, steps) = run_many(5).await.expect("outputs");
    let expected: Vec<_> = [0.0, 1.0, 4.0, 9.0, 16.0]
        .map(|square| json!({ "square": square }))
        .into();
    assert_eq!(answers, expected);
    assert_eq!(steps, 10);
}
