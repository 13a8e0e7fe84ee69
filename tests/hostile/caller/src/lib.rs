//! A connector that does with its connection whatever its parameters say.
//!
//! `do` is a list of acts, each a list of its name and what it needs, such as `["open", "127.0.0.1", "2525", "tls"]` or
//! `["write", "NOOP\r\n"]`. What each came to stands in the output, so a test reads like the attempt that it is about.

use pipepost_sdk::transport::{Connection, Endpoint, Security, TransportError};
use pipepost_sdk::{AccountView, Batch, Call, Failure, FailureKind, Manifest, Part, outcomes};
use serde_json::{Value, json};

struct Caller;

impl Batch for Caller {
    fn describe() -> Manifest {
        let parameters = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "do": { "type": "array" }, "failOnError": { "type": "boolean" } },
        });
        Manifest {
            name: "caller".to_owned(),
            aliases: Vec::new(),
            version: "0.1.0".to_owned(),
            summary: "Does with its connection what it is told.".to_owned(),
            parameters: parameters.to_string(),
            output: "{}".to_owned(),
            account_types: vec!["smtp-auth-and-properties".to_owned(), "basic".to_owned()],
        }
    }

    fn perform(account: Option<AccountView>, calls: Vec<Call>) {
        for call in calls {
            let parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
            let mut attempt = Attempt {
                call: call.id,
                connections: Vec::new(),
                came_to: vec![format!("{account:?}").into()],
                settled: false,
            };
            for act in parameters["do"].as_array().into_iter().flatten() {
                let words: Vec<&str> = act.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let came_to = attempt.act(&words);
                attempt.came_to.push(came_to.into());
            }
            attempt.settle("ok");
        }
    }
}

pipepost_sdk::export_batch!(Caller);

struct Attempt {
    call: u32,
    /// The last one is the one that acts are about.
    connections: Vec<Connection>,
    came_to: Vec<Value>,
    settled: bool,
}

impl Attempt {
    fn act(&mut self, words: &[&str]) -> String {
        match words {
            ["open", host, port, security] => self.open(host, port, security),
            ["open-and-drop", times, host, port, security] => {
                let times = times.parse().unwrap_or(0);
                let opened = (0..times).filter(|_| {
                    let opened = self.open(host, port, security) == "ok";
                    self.connections.pop();
                    opened
                });
                opened.count().to_string()
            }
            ["commit", part] => self.commit(part, &[]),
            ["commit", part, told] => {
                let output = (*told).to_owned();
                self.commit(
                    part,
                    &[outcomes::InDoubt {
                        call: self.call,
                        output,
                    }],
                )
            }
            // Of a call that there is not.
            ["commit-for-another", part] => {
                let (call, output) = (self.call + 1, "{}".to_owned());
                self.commit(part, &[outcomes::InDoubt { call, output }])
            }
            ["commit-at-length", part] => {
                let output = "x".repeat(33 << 20);
                self.commit(
                    part,
                    &[outcomes::InDoubt {
                        call: self.call,
                        output,
                    }],
                )
            }
            // So many calls in doubt at once, each with an output of many values.
            ["commit-with-values", part, values] => {
                let output = format!("[{}0]", "0,".repeat(values.parse().unwrap_or(0)));
                let (call, part) = (self.call, *part);
                self.commit(part, &[outcomes::InDoubt { call, output }])
            }
            ["confirm-with-values", part, values] => {
                let output = format!("[{}0]", "0,".repeat(values.parse().unwrap_or(0)));
                done(|| outcomes::confirmed(self.part(part), Some(&output)))
            }
            ["confirm", part] => done(|| outcomes::confirmed(self.part(part), None)),
            ["refuse", part, evidence] => done(|| outcomes::refused(self.part(part), evidence)),
            ["settle", how] => done(|| self.settle(how)),
            ["panic"] => panic!("as it was told"),
            ["loop"] => loop {
                std::hint::spin_loop();
            },
            ["forge", handle] => {
                // SAFETY: there is none to break: what the number means is for the host to say, which is what is tried.
                let forged = unsafe { Connection::from_handle(handle.parse().unwrap_or(0)) };
                forged.facts().client_name
            }
            ["drop"] => done(|| drop(self.connections.pop())),
            ["release", memo, farewell] => match self.connections.pop() {
                Some(connection) => done(|| Connection::release(connection, memo.as_bytes(), farewell.as_bytes())),
                None => "no connection".to_owned(),
            },
            _ => match self.connections.last() {
                Some(connection) => on_connection(connection, words),
                None => "no connection".to_owned(),
            },
        }
    }

    fn open(&mut self, host: &str, port: &str, security: &str) -> String {
        let endpoint = Endpoint {
            host: host.to_owned(),
            port: port.parse().unwrap_or(0),
        };
        let security = match security {
            "tls" => Security::Tls,
            "start-tls" => Security::StartTls,
            _ => Security::None,
        };
        match Connection::open(&endpoint, security) {
            Ok(connection) => {
                self.connections.push(connection);
                "ok".to_owned()
            }
            Err(error) => told(error),
        }
    }

    fn part(&self, number: &str) -> Part {
        Part {
            call: self.call,
            number: number.parse().unwrap_or(0),
        }
    }

    fn commit(&self, part: &str, in_doubt: &[outcomes::InDoubt]) -> String {
        match outcomes::committing(&[self.part(part)], in_doubt) {
            Ok(()) => "ok".to_owned(),
            Err(stop) => format!("{stop:?}"),
        }
    }

    fn settle(&mut self, how: &str) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let output = json!({ "success": true, "came_to": self.came_to }).to_string();
        match how {
            "ok" => outcomes::settled(self.call, Ok(Some(&output))),
            "refused" => outcomes::settled(self.call, Err(&Failure::new(FailureKind::Refused, "Refused."))),
            _ => outcomes::settled(self.call, Err(&Failure::new(FailureKind::Transient, "Try again."))),
        }
    }
}

fn on_connection(connection: &Connection, words: &[&str]) -> String {
    match words {
        ["write", text] => of(connection.write(text.as_bytes()), |()| "ok".to_owned()),
        ["read"] => of(connection.read(4096), |bytes| {
            String::from_utf8_lossy(&bytes).into_owned()
        }),
        // As many whole replies, however they arrive.
        ["replies", count] => replies(connection, count.parse().unwrap_or(0)),
        ["start-tls"] => of(connection.start_tls(), |()| "ok".to_owned()),
        ["sign-in", mechanism] => of(connection.sign_in(mechanism), |reply| {
            String::from_utf8_lossy(&reply).into_owned()
        }),
        ["arm", milliseconds] => done(|| connection.set_deadline(milliseconds.parse().unwrap_or(0))),
        ["memo"] => String::from_utf8_lossy(&connection.resume_state()).into_owned(),
        ["facts"] => {
            let facts = connection.facts();
            format!(
                "tls={} signed-in={} warm={}",
                facts.tls.as_deref().unwrap_or("no"),
                facts.signed_in.as_deref().unwrap_or("no"),
                facts.warm
            )
        }
        _ => format!("there is no act {words:?}"),
    }
}

fn replies(connection: &Connection, count: usize) -> String {
    let mut text = String::new();
    let whole = |text: &str| {
        let lines = text.split_inclusive('\n');
        lines
            .filter(|line| line.ends_with('\n') && line.as_bytes().get(3) != Some(&b'-'))
            .count()
    };
    while whole(&text) < count {
        match connection.read(4096) {
            Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Err(error) => return format!("{text}{}", told(error)),
        }
    }
    text
}

fn of<T>(result: Result<T, TransportError>, show: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(error) => told(error),
    }
}

fn told(error: TransportError) -> String {
    match error {
        TransportError::Denied(text) => format!("denied: {text}"),
        TransportError::Unresolved(text) => format!("unresolved: {text}"),
        TransportError::Refused(text) => format!("refused: {text}"),
        TransportError::TimedOut => "timed out".to_owned(),
        TransportError::Ending => "ending".to_owned(),
        TransportError::Closed => "closed".to_owned(),
        TransportError::Tls(text) => format!("tls: {text}"),
        TransportError::Credentials(text) => format!("credentials: {text}"),
        TransportError::Io(text) => format!("io: {text}"),
    }
}

fn done(act: impl FnOnce()) -> String {
    act();
    "ok".to_owned()
}
