//! `pipepost serve`, while it runs.

use std::io;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Reply, request, request_within};
use crate::lines::PATIENCE;
use crate::{Ending, Running, Scratch};

/// A server that listens at ports of its own choice. Dropped, it is killed.
pub struct Served {
    running: Running,
    /// The port of the listener for triggers.
    pub triggers: u16,
    /// The port of the listener for operators.
    pub admin: u16,
    token: String,
}

impl Served {
    /// Starts `pipepost serve pipelines` in this folder, with more arguments.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start(scratch: &Scratch, more: &[&str]) -> Self {
        let running = scratch.start(&[&Self::arguments(), more].concat());
        let port = |line: &str| {
            let address = line.rsplit("//").next().unwrap_or_default();
            let port = address.rsplit(':').next().unwrap_or_default();
            port.trim_end_matches('/').parse().expect("a port")
        };
        let triggers = port(&running.says("triggers "));
        let admin = port(&running.says("admin "));
        let token = running
            .says("token ")
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        running.says("ready ");
        Self {
            running,
            triggers,
            admin,
            token,
        }
    }

    /// Starts it with this file of tokens, one of which asks.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start_with_tokens(scratch: &Scratch, tokens: &str, token: &str) -> Self {
        let running = scratch.start(&[&Self::arguments()[..], &["--tokens", tokens]].concat());
        let port = |line: &str| {
            let port = line.rsplit(':').next().unwrap_or_default();
            port.trim_end_matches('/').parse().expect("a port")
        };
        let triggers = port(&running.says("triggers "));
        let admin = port(&running.says("admin "));
        running.says("ready ");
        Self {
            running,
            triggers,
            admin,
            token: token.to_owned(),
        }
    }

    /// What it is started with.
    pub fn arguments() -> [&'static str; 6] {
        [
            "serve",
            "pipelines",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]
    }

    /// The token that it printed.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The process.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Posts a message to a pipeline, with more headers.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn try_post(&self, pipeline: &str, headers: &[(&str, &str)], message: &Value) -> io::Result<Reply> {
        self.try_post_within(PATIENCE, pipeline, headers, message)
    }

    /// The same for a caller who waits so long for each piece of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn try_post_within(
        &self,
        patience: Duration,
        pipeline: &str,
        headers: &[(&str, &str)],
        message: &Value,
    ) -> io::Result<Reply> {
        let authorization = format!("Bearer {}", self.token);
        let own = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        let path = format!("/pipeline/{pipeline}");
        request_within(
            patience,
            self.triggers,
            "POST",
            &path,
            &[&own, headers].concat(),
            &message.to_string(),
        )
    }

    /// Posts a message to a pipeline, with more headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn post(&self, pipeline: &str, headers: &[(&str, &str)], message: &Value) -> Reply {
        self.try_post(pipeline, headers, message).expect("an answer")
    }

    /// Asks the API.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.try_api(method, path, body).expect("an answer")
    }

    /// Asks the API.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn try_api(&self, method: &str, path: &str, body: &Value) -> io::Result<Reply> {
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        request(self.admin, method, path, &headers, &body)
    }

    /// A run, as the API shows it.
    ///
    /// # Panics
    /// When it is not there.
    pub fn run(&self, id: &str) -> Value {
        let path = format!("/api/v1/runs/{id}");
        self.api("GET", &path, &Value::Null).with_status(200).json()
    }

    /// A run, once it has this state.
    ///
    /// # Panics
    /// When it ends in another one.
    pub fn run_until(&self, id: &str, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let run = self.run(id);
            let now = run["state"].as_str().expect("a state");
            if now == state {
                return run;
            }
            assert!(matches!(now, "queued" | "running"), "it is not {state}: {run}");
            assert!(begun.elapsed() < PATIENCE, "it hangs: {run}");
            std::thread::yield_now();
        }
    }

    /// Waits until a run is under way.
    ///
    /// # Panics
    /// When it ends before.
    pub fn run_until_running(&self, id: &str) {
        loop {
            let run = self.run(id);
            match run["state"].as_str() {
                Some("running") => return,
                Some("queued") => std::thread::yield_now(),
                _ => panic!("it is over: {run}"),
            }
        }
    }

    /// Asks it to end with this signal, and waits for its end.
    pub fn end(self, signal: &str) -> Ending {
        self.running.signal(signal);
        self.running.end(&[])
    }
}
