//! A connector that tries, one at a time, what a plugin without a connection can try.
//!
//! Its parameters say what: `do` names the attempt, `n` how much of it, `name` and `text` what with. What went well
//! ends in an output; whatever the host should stop does not come so far.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use pipepost_sdk::{
    AccountView, Batch, Call, Failure, FailureKind, Level, Manifest, Part, log, new_files, outcomes, run_files,
};
use serde_json::{Value, json};

/// Calls that this instance has seen. A fresh one has seen none.
static SEEN: AtomicU32 = AtomicU32::new(0);

/// What a call gave this instance to keep.
static KEPT: Mutex<String> = Mutex::new(String::new());

struct Alone;

impl Batch for Alone {
    fn describe() -> Manifest {
        let parameters = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "do": { "type": "string" },
                "n": { "type": "integer" },
                "name": { "type": "string" },
                "text": { "type": "string" },
                "failOnError": { "type": "boolean" },
            },
        });
        Manifest {
            name: "alone".to_owned(),
            aliases: Vec::new(),
            version: "0.1.0".to_owned(),
            summary: "Tries what needs no connection.".to_owned(),
            parameters: parameters.to_string(),
            output: "{}".to_owned(),
            account_types: Vec::new(),
        }
    }

    fn perform(_: Option<AccountView>, calls: Vec<Call>) {
        for call in calls {
            let parameters: Value = serde_json::from_str(&call.parameters).unwrap_or_default();
            let attempt = Attempt {
                call: call.id,
                n: parameters["n"].as_u64().unwrap_or_default(),
                name: parameters["name"].as_str().unwrap_or_default(),
                text: parameters["text"].as_str().unwrap_or_default(),
            };
            if let Some(output) = attempt.perform(parameters["do"].as_str().unwrap_or_default()) {
                outcomes::settled(call.id, Ok(Some(&output.to_string())));
            }
        }
    }
}

pipepost_sdk::export_batch!(Alone);

struct Attempt<'a> {
    call: u32,
    n: u64,
    name: &'a str,
    text: &'a str,
}

impl Attempt<'_> {
    /// The output to settle the call with, if the attempt has not settled it, or left it open, itself.
    fn perform(&self, attempt: &str) -> Option<Value> {
        match attempt {
            "loop" => spin(u64::MAX),
            "spin" => spin(self.n),
            // Every call is answered at once, and there is work between the calls.
            "loop-and-call" => loop {
                let _ = outcomes::committing(&[], &[]);
                spin(1000);
            },
            "recurse" => return Some(json!(recurse(self.n))),
            "recurse-heavily" => return Some(json!(recurse_heavily(self.n))),
            "memory" => return Some(json!(hoard(self.n))),
            "log" => (0..self.n).for_each(|_| log(Level::Info, Some(self.call), self.text)),
            "random" => return Some(json!(random(self.n))),
            "count" => return Some(json!(SEEN.fetch_add(1, Ordering::Relaxed))),
            "keep" => return Some(json!(keep(self.text))),
            "panic" => panic!("{}", self.text),
            "read" => return Some(self.read()),
            "write" => return Some(self.write()),
            "hold" => return Some(self.hold()),
            "forge" => return Some(forge(u32::try_from(self.n).unwrap_or(u32::MAX))),
            "parts" => return Some(self.parts()),
            _ => return self.settle(attempt),
        }
        Some(json!("done"))
    }

    /// Results that are none.
    fn settle(&self, attempt: &str) -> Option<Value> {
        let n = usize::try_from(self.n).unwrap_or(usize::MAX);
        match attempt {
            "huge" => outcomes::settled(self.call, Ok(Some(&format!("\"{}\"", "x".repeat(n.saturating_sub(2)))))),
            "huge-failure" => {
                let failed = Failure {
                    output: Some(format!("\"{}\"", "x".repeat(n.saturating_sub(2)))),
                    ..Failure::new(FailureKind::Refused, "Refused.")
                };
                outcomes::settled(self.call, Err(&failed));
            }
            "deep" => outcomes::settled(self.call, Ok(Some(&format!("{}{}", "[".repeat(n), "]".repeat(n))))),
            // Two bytes of text each, and eighty of memory.
            "values" => outcomes::settled(self.call, Ok(Some(&format!("[{}[]]", "[],".repeat(n))))),
            "raw" => outcomes::settled(self.call, Ok(Some(self.text))),
            "wordy" => {
                let failed = Failure {
                    advice: Some(self.text.to_owned()),
                    link: Some(self.text.to_owned()),
                    ..Failure::new(FailureKind::Refused, self.text.repeat(n))
                };
                outcomes::settled(self.call, Err(&failed));
            }
            "twice" => {
                outcomes::settled(self.call, Ok(Some("1")));
                outcomes::settled(self.call, Ok(Some("2")));
            }
            "another" => outcomes::settled(self.call + 1, Ok(Some("1"))),
            // What is not known is left open, as "nothing" is.
            _ => {}
        }
        None
    }

    fn read(&self) -> Value {
        match run_files::open(self.call, self.name) {
            Ok(file) => match file.read(0, 1000) {
                Ok(bytes) => json!({ "text": String::from_utf8_lossy(&bytes) }),
                Err(error) => json!({ "error": error.name() }),
            },
            Err(error) => json!({ "error": error.name() }),
        }
    }

    /// `n` times the text, under the name.
    fn write(&self) -> Value {
        let written = new_files::create(self.call, self.name).and_then(|file| {
            (0..self.n).try_for_each(|_| file.append(self.text.as_bytes()))?;
            new_files::NewFile::finish(file)
        });
        match written {
            Ok(()) => json!({ "written": true }),
            Err(error) => json!({ "error": error.name() }),
        }
    }

    /// Opens the file again and again, and closes it never.
    fn hold(&self) -> Value {
        let held: Vec<_> = (0..self.n).map(|_| run_files::open(self.call, self.name)).collect();
        json!(held.iter().filter(|file| file.is_ok()).count())
    }

    /// Announces so many parts, one by one.
    fn parts(&self) -> Value {
        let numbers = 0..u32::try_from(self.n).unwrap_or(u32::MAX);
        let announced = numbers.filter(|number| {
            let part = Part {
                call: self.call,
                number: *number,
            };
            outcomes::committing(&[part], &[]).is_ok()
        });
        json!(announced.count())
    }
}

fn spin(rounds: u64) {
    for round in 0..rounds {
        std::hint::black_box(round);
    }
}

/// How deep it came.
fn recurse(depth: u64) -> u64 {
    let here = std::hint::black_box(depth);
    if here == 0 { 0 } else { 1 + recurse(here - 1) }
}

/// The same with much to remember in each call: what overflows first is the stack that lies in the memory.
fn recurse_heavily(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 16]);
    if depth == 0 {
        0
    } else {
        1 + recurse_heavily(here[7] - 1)
    }
}

/// Takes so many mebibytes, and uses them.
fn hoard(mebibytes: u64) -> usize {
    let hoard: Vec<Vec<u8>> = (0..mebibytes).map(|_| vec![0xa5; 1 << 20]).collect();
    std::hint::black_box(&hoard).len()
}

fn random(count: u64) -> usize {
    pipepost_sdk::bindings::wasi::random::random::get_random_bytes(count).len()
}

/// What was kept before.
fn keep(text: &str) -> String {
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::mem::replace(&mut kept, text.to_owned())
}

/// Uses a handle that nobody gave.
fn forge(handle: u32) -> Value {
    // SAFETY: there is none to break: what the number means is for the host to say, which is what is tried here.
    let file = unsafe { run_files::File::from_handle(handle) };
    json!(file.size())
}
