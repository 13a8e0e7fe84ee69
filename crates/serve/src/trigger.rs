//! What starts a pipeline: its document's `triggerSpec`, in Digibee's words.
//!
//! The keys of the platform's export keep their names and units (times in milliseconds). A document without a trigger is
//! started by the API only.

use std::time::Duration;

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::message::{DEFAULT_BODY_LIMIT, HttpTrigger, Route};
use crate::schedule::Schedule;

/// How long a run may take where the document says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a document may let a run take at most.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// How long a run is tried again where the document says nothing.
pub const DEFAULT_EXPIRATION: Duration = Duration::from_secs(6 * 60 * 60);

/// How many times a run that nobody waits for is tried again where the document says nothing.
pub const DEFAULT_RETRIES: u32 = 5;

/// How many megabytes a body may have at most, whatever the document says.
const BODY_MEGABYTES_MAX: u64 = 100;

/// A pipeline's trigger.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// What starts it.
    pub start: Start,
    /// How long a run may take, and how long a caller waits.
    pub timeout: Duration,
    /// How many times a failure that may pass is tried again, if the document says it.
    pub retries: Option<u32>,
    /// Whether a run may begin again after its process died.
    pub allow_redelivery: bool,
    /// How long a run is tried again.
    pub expiration: Duration,
    /// How many of its runs are under way at once, if the document says it.
    pub consumers: Option<usize>,
    /// Whether callers need no token, if the operator allows that.
    pub public: bool,
}

/// What starts a pipeline.
#[derive(Debug, Clone)]
pub enum Start {
    /// Only the API.
    Api,
    /// A request.
    Http(HttpStart),
    /// A schedule.
    Schedule(ScheduleStart),
    /// An event with this name.
    Event(String),
}

/// A `rest` or `http` trigger.
#[derive(Debug, Clone)]
pub struct HttpStart {
    /// Which of the two it is.
    pub trigger: HttpTrigger,
    /// The methods that it takes.
    pub methods: Vec<Method>,
    /// The routes beside `/pipeline/{name}`.
    pub routes: Vec<Route>,
    /// How many bytes a body may have.
    pub body_limit: usize,
}

/// A `scheduler` trigger.
#[derive(Debug, Clone)]
pub struct ScheduleStart {
    /// `cronExpression`, in the zone of `timeZone`.
    pub schedule: Box<Schedule>,
    /// Whether a run may begin while the one before is under way.
    pub concurrent: bool,
}

impl Trigger {
    /// Returns how many of its runs may be under way at once over all servers, if the document says it.
    pub fn running_max(&self) -> Option<usize> {
        match &self.start {
            Start::Schedule(schedule) if !schedule.concurrent => Some(1),
            _ => self.consumers,
        }
    }

    /// Reads the trigger of a document.
    ///
    /// # Errors
    /// Returns everything that is wrong with it, each as a sentence: also a schedule of which no time comes after `now`.
    pub fn of(document: &Value, now: Timestamp) -> Result<Self, Vec<String>> {
        let parsed = match document.get("triggerSpec") {
            // The platform may write it as JSON text.
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(value) => value.clone(),
            None => Value::Null,
        };
        let none = Map::new();
        let mut reading = Reading {
            now,
            members: parsed.as_object().unwrap_or(&none),
            problems: Vec::new(),
        };
        let trigger = reading.trigger();
        if reading.problems.is_empty() {
            Ok(trigger)
        } else {
            Err(reading.problems)
        }
    }

    /// Returns how many times a run is tried again that nobody waits for.
    pub fn retries_of_queued(&self) -> u32 {
        let usual = match self.start {
            Start::Schedule(_) => 0,
            _ => DEFAULT_RETRIES,
        };
        self.retries.unwrap_or(usual)
    }
}

struct Reading<'d> {
    now: Timestamp,
    members: &'d Map<String, Value>,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn trigger(&mut self) -> Trigger {
        let start = self.start();
        let is_schedule = self.members.get("type").is_some_and(|kind| kind == "scheduler");
        let trigger = Trigger {
            timeout: self.milliseconds("timeout", TIMEOUT_MAX).unwrap_or(DEFAULT_TIMEOUT),
            retries: self.whole("retries", 100).and_then(|count| u32::try_from(count).ok()),
            allow_redelivery: self.flag("allowRedelivery").unwrap_or(true),
            expiration: self
                .milliseconds("expiration", Duration::from_secs(30 * 24 * 60 * 60))
                .unwrap_or(DEFAULT_EXPIRATION),
            consumers: self
                .whole("consumers", 1000)
                .and_then(|count| usize::try_from(count).ok()),
            public: self.flag("public").unwrap_or(false),
            start,
        };
        if trigger.consumers == Some(0) {
            self.wrong("consumers", "must be at least 1");
        }
        if trigger.public && is_schedule {
            self.wrong(
                "public",
                "has a meaning for `http` and `rest` only; nobody calls a schedule",
            );
        }
        trigger
    }

    fn start(&mut self) -> Start {
        let kind = match self.members.get("type") {
            None | Some(Value::Null) => return Start::Api,
            Some(Value::String(kind)) => kind.clone(),
            Some(other) => {
                self.wrong("type", &format!("is {other}; it must be a text"));
                return Start::Api;
            }
        };
        match kind.as_str() {
            "" | "api" => Start::Api,
            "rest" => {
                let text_body = match self.text("body").as_deref() {
                    None | Some("json") => false,
                    Some("text") => true,
                    Some(other) => {
                        self.wrong("body", &format!("is `{other}`; it must be `json` or `text`"));
                        false
                    }
                };
                Start::Http(self.http(HttpTrigger::Rest { text_body }))
            }
            "http" => Start::Http(self.http(HttpTrigger::Http)),
            "scheduler" => self.schedule(),
            "event" => match self.text("eventName").filter(|name| !name.is_empty()) {
                Some(name) => Start::Event(name),
                None => {
                    self.wrong(
                        "eventName",
                        "is missing; write the `type` of the events that start the pipeline",
                    );
                    Start::Api
                }
            },
            other => {
                self.wrong(
                    "type",
                    &format!("is `{other}`, which is not served; it must be `rest`, `http`, `scheduler` or `event`"),
                );
                Start::Api
            }
        }
    }

    fn http(&mut self, trigger: HttpTrigger) -> HttpStart {
        let mut methods = Vec::new();
        for name in self.texts("methods") {
            match Method::from_bytes(name.trim().to_ascii_uppercase().as_bytes()) {
                Ok(method) => methods.push(method),
                Err(_) => self.wrong("methods", &format!("has `{name}`, which is not a method of HTTP")),
            }
        }
        if methods.is_empty() {
            methods.push(Method::POST);
        }
        let mut routes = Vec::new();
        for text in self.texts("routes") {
            match Route::new(&text) {
                Ok(route) => routes.push(route),
                Err(error) => self.problems.push(format!("In `triggerSpec.routes`: {error}")),
            }
        }
        let megabytes = self.whole("maxRequestSize", BODY_MEGABYTES_MAX);
        let bytes = megabytes.map(|count| count.saturating_mul(1024 * 1024));
        HttpStart {
            trigger,
            methods,
            routes,
            body_limit: bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(DEFAULT_BODY_LIMIT),
        }
    }

    fn schedule(&mut self) -> Start {
        let cron = self.text("cronExpression").unwrap_or_default();
        let zone = self.text("timeZone").filter(|zone| !zone.is_empty());
        let concurrent = self.flag("concurrentScheduling").unwrap_or(false);
        if cron.is_empty() {
            self.wrong("cronExpression", "is missing; `0 0 8 * * ?` is every day at 8");
            return Start::Api;
        }
        match Schedule::new(&cron, zone.as_deref(), self.now) {
            Ok(schedule) => Start::Schedule(ScheduleStart {
                schedule: Box::new(schedule),
                concurrent,
            }),
            Err(error) => {
                self.problems.push(format!("In `triggerSpec`: {error}"));
                Start::Api
            }
        }
    }

    fn wrong(&mut self, key: &str, clause: &str) {
        self.problems.push(format!("`triggerSpec.{key}` {clause}."));
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.members.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => {
                self.wrong(key, &format!("is {other}; it must be a text"));
                None
            }
        }
    }

    /// An array of texts, or one text with commas.
    fn texts(&mut self, key: &str) -> Vec<String> {
        match self.members.get(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
            Some(Value::Array(values)) if values.iter().all(Value::is_string) => {
                values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(_) => {
                self.wrong(key, "is not an array of texts");
                Vec::new()
            }
        }
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.members.get(key)? {
            Value::Null => None,
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            other => {
                self.wrong(key, &format!("is {other}; it must be true or false"));
                None
            }
        }
    }

    /// A number, or a text that holds one.
    fn whole(&mut self, key: &str, most: u64) -> Option<u64> {
        let value = self.members.get(key)?;
        let number = match value {
            Value::Null => return None,
            Value::String(text) if text.trim().is_empty() => return None,
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number <= most => Some(number),
            Some(number) => {
                self.wrong(key, &format!("is {number}; it must be at most {most}"));
                None
            }
            None => {
                self.wrong(key, &format!("is {value}; it must be a whole number"));
                None
            }
        }
    }

    fn milliseconds(&mut self, key: &str, most: Duration) -> Option<Duration> {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let time = self.whole(key, most)?;
        if time == 0 {
            self.wrong(key, "is 0; it must be a number of milliseconds");
            return None;
        }
        Some(Duration::from_millis(time))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(trigger: Value) -> Result<Trigger, Vec<String>> {
        Trigger::of(&json!({ "triggerSpec": trigger }), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_platforms_export_is_read() {
        let trigger = of(json!({
            "type": "scheduler", "name": "5min-scheduler", "cronExpression": "0 */5 * ? * *", "timeout": 300_000,
            "retries": 0, "allowRedelivery": false, "concurrentScheduling": false
        }))
        .expect("a trigger");
        let Start::Schedule(schedule) = &trigger.start else {
            panic!("it is a schedule");
        };
        assert_eq!(schedule.schedule.expression(), "0 */5 * ? * *");
        assert_eq!((schedule.schedule.zone(), schedule.concurrent), ("UTC", false));
        assert_eq!(trigger.timeout, Duration::from_secs(300));
        assert_eq!((trigger.retries, trigger.allow_redelivery), (Some(0), false));
        assert_eq!(trigger.retries_of_queued(), 0);
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let trigger = of(json!({"type": "rest"})).expect("a trigger");
        let Start::Http(http) = &trigger.start else {
            panic!("it is started by a request");
        };
        assert_eq!(http.trigger, HttpTrigger::Rest { text_body: false });
        assert_eq!(http.methods, [Method::POST]);
        assert_eq!(http.body_limit, 5 * 1024 * 1024);
        assert_eq!(
            (trigger.timeout, trigger.expiration),
            (DEFAULT_TIMEOUT, DEFAULT_EXPIRATION)
        );
        assert!(trigger.allow_redelivery && !trigger.public);
        assert_eq!(trigger.retries_of_queued(), 5);
        assert!(matches!(of(Value::Null).expect("none").start, Start::Api));
    }

    #[test]
    fn what_is_wrong_is_said_by_its_key() {
        for (trigger, key) in [
            (json!({"type": "kafka"}), "type"),
            (json!({"type": 1}), "type"),
            (json!({"type": "rest", "body": "xml"}), "body"),
            (json!({"type": "rest", "methods": ["GE T"]}), "methods"),
            (json!({"type": "rest", "methods": 1}), "methods"),
            (json!({"type": "rest", "maxRequestSize": 101}), "maxRequestSize"),
            (json!({"type": "rest", "timeout": 900_001}), "timeout"),
            (json!({"type": "rest", "timeout": 0}), "timeout"),
            (json!({"type": "rest", "consumers": 0}), "consumers"),
            (json!({"type": "rest", "allowRedelivery": "maybe"}), "allowRedelivery"),
            (json!({"type": "scheduler"}), "cronExpression"),
            (
                json!({"type": "scheduler", "cronExpression": "0 0 8 * * ?", "public": true}),
                "public",
            ),
            (json!({"type": "event"}), "eventName"),
        ] {
            let problems = of(trigger.clone()).expect_err("it is wrong");
            assert_eq!(problems.len(), 1, "{trigger}: {problems:?}");
            assert!(
                problems[0].starts_with(&format!("`triggerSpec.{key}` ")),
                "{trigger}: {problems:?}"
            );
        }
    }
}
