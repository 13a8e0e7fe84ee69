//! What starts a pipeline: its document's `triggerSpec`, in Digibee's words.
//!
//! The keys of the platform's export keep their names and units (times in milliseconds). A document without a trigger is
//! started by the API only.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::Method;
use jiff::Timestamp;
use pipepost_suggest::shortened;
use serde_json::{Map, Value};

use crate::message::{DEFAULT_BODY_LIMIT, HttpTrigger, Route};
use crate::schedule::{Schedule, ScheduleError};

/// How long a run may take where the document says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a document may let a run take at most.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// How long a run is tried again where the document says nothing, or 0.
pub const DEFAULT_EXPIRATION: Duration = Duration::from_secs(6 * 60 * 60);

/// How many times a run that nobody waits for is tried again where the document says nothing.
pub const DEFAULT_RETRIES: u32 = 5;

/// How long a document may let a run be tried again at most.
const EXPIRATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How many times a document may let a run be tried again.
const RETRIES: RangeInclusive<u64> = 0..=100;

/// How many runs of a pipeline may be under way at once.
const CONSUMERS: RangeInclusive<u64> = 1..=1000;

/// How many megabytes a document may let a body have. With none, every body would be refused.
const BODY_MEGABYTES: RangeInclusive<u64> = 1..=100;

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

/// Something that is wrong with a trigger, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerProblem {
    key: Option<&'static str>,
    sentence: String,
}

impl TriggerProblem {
    /// Returns the place in the document, as a JSON pointer (RFC 6901): that of the key, which may be missing.
    pub fn pointer(&self) -> String {
        match self.key {
            Some(key) => format!("/triggerSpec/{key}"),
            None => "/triggerSpec".to_owned(),
        }
    }

    /// Returns the problem as those of steps are shown, with the line and the column where they are known.
    pub fn at(&self, place: Option<(usize, usize)>) -> String {
        match place {
            Some((line, column)) => format!("error at line {line}, column {column}: {self}"),
            None => format!("error: {self}"),
        }
    }
}

impl fmt::Display for TriggerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// A value that cannot be used. The problem is noted already.
struct Wrong;

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
        let read = Self::read(document, now);
        read.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    /// Reads the trigger of a document.
    ///
    /// # Errors
    /// Returns what [`Trigger::of`] does, with the places.
    pub fn read(document: &Value, now: Timestamp) -> Result<Self, Vec<TriggerProblem>> {
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
    problems: Vec<TriggerProblem>,
}

impl Reading<'_> {
    fn trigger(&mut self) -> Trigger {
        let start = self.start();
        // Of a type that is wrong nobody knows whether it is called.
        let is_called = matches!(start, Start::Http(_)) || !self.problems.is_empty();
        let trigger = Trigger {
            timeout: self.milliseconds("timeout", 1, TIMEOUT_MAX).unwrap_or(DEFAULT_TIMEOUT),
            retries: self
                .whole("retries", &RETRIES)
                .and_then(|count| u32::try_from(count).ok()),
            allow_redelivery: self.flag("allowRedelivery").unwrap_or(true),
            // On the platform 0 says that there is no time of its own.
            expiration: self
                .milliseconds("expiration", 0, EXPIRATION_MAX)
                .filter(|time| !time.is_zero())
                .unwrap_or(DEFAULT_EXPIRATION),
            consumers: self
                .whole("consumers", &CONSUMERS)
                .and_then(|count| usize::try_from(count).ok()),
            public: self.flag("public").unwrap_or(false),
            start,
        };
        if trigger.public && !is_called {
            self.wrong(
                "public",
                "has a meaning for `http` and `rest` only; nobody calls this pipeline by its name",
            );
        }
        trigger
    }

    fn start(&mut self) -> Start {
        let kind = match self.members.get("type") {
            None | Some(Value::Null) => return Start::Api,
            Some(Value::String(kind)) => kind.clone(),
            Some(other) => {
                let other = other.to_string();
                self.wrong("type", &format!("is {}; it must be a text", shortened(&other)));
                return Start::Api;
            }
        };
        match kind.as_str() {
            "" | "api" => Start::Api,
            "rest" => {
                let text_body = match self.text("body") {
                    Err(Wrong) | Ok(None) => false,
                    Ok(Some(body)) => match body.as_str() {
                        "json" => false,
                        "text" => true,
                        other => {
                            let other = shortened(other);
                            self.wrong("body", &format!("is `{other}`; it must be `json` or `text`"));
                            false
                        }
                    },
                };
                Start::Http(self.http(HttpTrigger::Rest { text_body }))
            }
            "http" => Start::Http(self.http(HttpTrigger::Http)),
            "scheduler" => self.schedule(),
            "event" => match self.text("eventName") {
                Err(Wrong) => Start::Api,
                Ok(Some(name)) => Start::Event(name),
                Ok(None) => {
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
                    &format!(
                        "is `{}`, which is not served; it must be `rest`, `http`, `scheduler` or `event`",
                        shortened(other)
                    ),
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
                Err(_) => self.wrong(
                    "methods",
                    &format!("has `{}`, which is not a method of HTTP", shortened(&name)),
                ),
            }
        }
        if methods.is_empty() {
            methods.push(Method::POST);
        }
        let mut routes = Vec::new();
        for text in self.texts("routes") {
            match Route::new(&text) {
                Ok(route) => routes.push(route),
                Err(error) => self.found("routes", format!("In `triggerSpec.routes`: {error}")),
            }
        }
        let megabytes = self.whole("maxRequestSize", &BODY_MEGABYTES);
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
        let cron = self.text("cronExpression");
        let zone = self.text("timeZone").unwrap_or_default();
        let concurrent = self.flag("concurrentScheduling").unwrap_or(false);
        let cron = match cron {
            Ok(Some(cron)) => cron,
            Ok(None) => {
                self.wrong("cronExpression", "is missing; `0 0 8 * * ?` is every day at 8");
                return Start::Api;
            }
            Err(Wrong) => return Start::Api,
        };
        match Schedule::new(&cron, zone.as_deref(), self.now) {
            Ok(schedule) => Start::Schedule(ScheduleStart {
                schedule: Box::new(schedule),
                concurrent,
            }),
            Err(error) => {
                let key = match error {
                    ScheduleError::Zone(_) => "timeZone",
                    _ => "cronExpression",
                };
                self.found(key, format!("In `triggerSpec`: {error}"));
                Start::Api
            }
        }
    }

    fn wrong(&mut self, key: &'static str, clause: &str) {
        self.found(key, format!("`triggerSpec.{key}` {clause}."));
    }

    fn found(&mut self, key: &'static str, sentence: String) {
        self.problems.push(TriggerProblem {
            // A key that is not there has no place of its own.
            key: self.members.contains_key(key).then_some(key),
            sentence,
        });
    }

    /// A text with something in it.
    fn text(&mut self, key: &'static str) -> Result<Option<String>, Wrong> {
        match self.members.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(other) => {
                let other = other.to_string();
                self.wrong(key, &format!("is {}; it must be a text", shortened(&other)));
                Err(Wrong)
            }
        }
    }

    /// An array of texts, or one text with commas.
    fn texts(&mut self, key: &'static str) -> Vec<String> {
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

    fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.members.get(key)? {
            Value::Null => None,
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            other => {
                let other = other.to_string();
                self.wrong(key, &format!("is {}; it must be true or false", shortened(&other)));
                None
            }
        }
    }

    /// A number within these bounds, or a text that holds one.
    fn whole(&mut self, key: &'static str, bounds: &RangeInclusive<u64>) -> Option<u64> {
        let value = self.members.get(key)?;
        let number = match value {
            Value::Null => return None,
            Value::String(text) if text.trim().is_empty() => return None,
            Value::Number(number) => number.as_u64().or_else(|| without_fraction(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        if let Some(number) = number.filter(|number| bounds.contains(number)) {
            return Some(number);
        }
        let (value, unit) = (value.to_string(), if is_time(key) { " of milliseconds" } else { "" });
        let (least, most) = (bounds.start(), bounds.end());
        let value = shortened(&value);
        self.wrong(
            key,
            &format!("is {value}; it must be a whole number{unit} from {least} to {most}"),
        );
        None
    }

    fn milliseconds(&mut self, key: &'static str, least: u64, most: Duration) -> Option<Duration> {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        self.whole(key, &(least..=most)).map(Duration::from_millis)
    }
}

fn is_time(key: &str) -> bool {
    matches!(key, "timeout" | "expiration")
}

/// `5.0` is a whole number too.
fn without_fraction(number: f64) -> Option<u64> {
    (number.fract() == 0.0)
        .then(|| format!("{number:.0}").parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(trigger: Value) -> Result<Trigger, Vec<TriggerProblem>> {
        Trigger::read(&json!({ "triggerSpec": trigger }), Timestamp::UNIX_EPOCH)
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
            (json!({"type": "rest", "maxRequestSize": 0}), "maxRequestSize"),
            (json!({"type": "rest", "body": 5}), "body"),
            (json!({"type": "rest", "retries": -1}), "retries"),
            (json!({"type": "event", "eventName": 5}), "eventName"),
            (json!({"type": "event", "eventName": "paid", "public": true}), "public"),
            (json!({"type": "scheduler", "cronExpression": 5}), "cronExpression"),
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
                problems[0].to_string().starts_with(&format!("`triggerSpec.{key}` ")),
                "{trigger}: {problems:?}"
            );
            let place = match trigger.get(key) {
                Some(_) => format!("/triggerSpec/{key}"),
                None => "/triggerSpec".to_owned(),
            };
            assert_eq!(problems[0].pointer(), place, "{trigger}");
        }
    }

    #[test]
    fn a_number_that_is_wrong_is_told_its_bounds() {
        for (key, value, says) in [
            ("retries", json!(-1), "is -1; it must be a whole number from 0 to 100."),
            (
                "retries",
                json!(1.5),
                "is 1.5; it must be a whole number from 0 to 100.",
            ),
            (
                "retries",
                json!(1e12),
                "is 1000000000000.0; it must be a whole number from 0 to 100.",
            ),
            ("consumers", json!(0), "is 0; it must be a whole number from 1 to 1000."),
            (
                "maxRequestSize",
                json!("0"),
                "is \"0\"; it must be a whole number from 1 to 100.",
            ),
            (
                "timeout",
                json!(0),
                "is 0; it must be a whole number of milliseconds from 1 to 900000.",
            ),
            (
                "expiration",
                json!(-5),
                "is -5; it must be a whole number of milliseconds from 0 to 2592000000.",
            ),
            (
                "expiration",
                json!(1e18),
                "it must be a whole number of milliseconds from 0 to 2592000000.",
            ),
        ] {
            let problems = of(json!({"type": "rest", key: value})).expect_err("it is wrong");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].to_string().ends_with(says), "{problems:?}");
        }
        let trigger = of(json!({"type": "rest", "retries": 5.0, "timeout": "1000"})).expect("whole numbers");
        assert_eq!((trigger.retries, trigger.timeout), (Some(5), Duration::from_secs(1)));
    }

    #[test]
    fn an_expiration_of_0_is_none_of_its_own() {
        let trigger = of(json!({"type": "event", "eventName": "paid", "expiration": 0})).expect("a trigger");
        assert_eq!(trigger.expiration, DEFAULT_EXPIRATION);
    }

    #[test]
    fn a_value_of_any_length_makes_a_sentence_of_one_line() {
        let long = "x".repeat(5000);
        for trigger in [
            json!({"type": long}),
            json!({"type": [long]}),
            json!({"type": "rest", "body": long}),
            json!({"type": "rest", "methods": [format!("{long} ")]}),
            json!({"type": "rest", "methods": [format!("x {long}")]}),
            json!({"type": "rest", "retries": long}),
            json!({"type": "rest", "public": long}),
        ] {
            let problems = of(trigger).err().unwrap_or_default();
            assert!(
                problems.iter().all(|problem| problem.to_string().len() < 250),
                "{problems:?}"
            );
        }
    }
}
