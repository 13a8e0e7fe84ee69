//! The keys of `triggerSpec`: which of them do something here, and what is said of the others.
//!
//! The platform writes keys that Pipepost does not follow, and a pasted export is served all the same: such a key is a
//! warning. A slip of the pen, or another word for a key of ours, is an error: it would change when a pipeline starts, how
//! often, or who may start it, without a word.

use pipepost_suggest::shortened;
use serde_json::{Map, Value};

use crate::nearest;
use crate::positions::{Positions, push_token};
use crate::problem::{Place, Problem};

/// What `triggerSpec` may say that matters here, and the types of trigger to which it matters; none stands for all.
///
/// `public` is refused, where a trigger is read, for those that nobody calls.
const KEYS: &[(&str, &[&str])] = &[
    ("type", &[]),
    ("name", &[]),
    ("timeout", &[]),
    ("retries", &[]),
    ("allowRedelivery", &[]),
    ("expiration", &[]),
    ("consumers", &[]),
    ("public", &[]),
    ("methods", &["rest", "http"]),
    ("routes", &["rest", "http"]),
    ("maxRequestSize", &["rest", "http"]),
    ("body", &["rest"]),
    ("cronExpression", &["scheduler"]),
    ("timeZone", &["scheduler"]),
    ("concurrentScheduling", &["scheduler"]),
    ("eventName", &["event"]),
];

/// The types that a document of ours may name.
const TYPES: &[&str] = &["", "api", "rest", "http", "scheduler", "event"];

/// Other words for a key of ours that are not near it, in lower case.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    ("type", &["kind", "triggertype"]),
    (
        "timeout",
        &["deadline", "timelimit", "maxduration", "timeoutms", "timeoutmillis"],
    ),
    (
        "retries",
        &[
            "retry",
            "maxretries",
            "retrycount",
            "retrylimit",
            "attempts",
            "maxattempts",
        ],
    ),
    ("allowRedelivery", &["redeliver", "redelivery"]),
    (
        "expiration",
        &["expire", "expires", "expiresafter", "expiry", "expirationtime", "ttl"],
    ),
    (
        "consumers",
        &[
            "concurrency",
            "maxconcurrency",
            "parallelism",
            "parallel",
            "workers",
            "maxconsumers",
        ],
    ),
    ("public", &["anonymous", "noauth", "unauthenticated"]),
    ("methods", &["verb", "verbs", "httpmethod", "httpmethods"]),
    ("routes", &["path", "paths", "url", "urls", "endpoint"]),
    (
        "maxRequestSize",
        &[
            "maxsize",
            "sizelimit",
            "requestsize",
            "bodysize",
            "maxbody",
            "maxbodysize",
            "bodylimit",
        ],
    ),
    ("body", &["bodytype", "bodyformat"]),
    (
        "cronExpression",
        &["cron", "crontab", "cronexpr", "schedule", "expression", "interval"],
    ),
    ("timeZone", &["tz", "zone", "timezoneid", "zoneid"]),
    ("concurrentScheduling", &["concurrent", "allowconcurrent"]),
    ("eventName", &["event", "events", "eventtype", "listento"]),
];

/// What the platform's triggers can do and Pipepost does not, by the keys' names in lower case, with what to do instead.
const PLATFORM: &[(&[&str], &str)] = &[
    (
        &["responseheaders", "addresponseheaders"],
        "an answer has no headers of the pipeline; a proxy in front can add them",
    ),
    (
        &[
            "cors",
            "corsheaders",
            "addcors",
            "addcorsheaders",
            "corsenabled",
            "enablecors",
        ],
        "a proxy in front can answer for other origins",
    ),
    (
        &[
            "ratelimit",
            "ratelimits",
            "ratelimiting",
            "ratelimitoptions",
            "apiratelimit",
            "aggregateby",
            "ratelimitaggregateby",
        ],
        "a proxy in front can limit callers; `consumers` limits the runs under way",
    ),
    (
        &[
            "mtls",
            "mtlsenabled",
            "mtlsenabledapi",
            "enablemtls",
            "apikey",
            "apikeyenabled",
            "jwt",
            "jwttoken",
            "tokenjwt",
            "basicauth",
            "basicauthentication",
        ],
        "callers need a token, as `pipepost tokens add` makes it",
    ),
    (
        &["externalapi", "internalapi", "external", "internal"],
        "`--listen` says who reaches the service",
    ),
    (
        &["requestcontenttypes", "requestcontenttype", "consumes"],
        "the type of a request's content is not limited",
    ),
    (
        &["responsecontenttypes", "responsecontenttype", "produces"],
        "the last message of an `http` pipeline says the `Content-Type`",
    ),
];

/// Returns what is to be said of the keys.
pub(crate) fn check(members: &Map<String, Value>, positions: &Positions<'_>) -> Vec<Problem> {
    let found = members.iter().filter_map(|(key, value)| {
        let problem = problem(key, value, members)?;
        let mut pointer = "/triggerSpec".to_owned();
        push_token(&mut pointer, key);
        Some(problem.of_trigger().at(Place::default(), positions.key(&pointer)))
    });
    found.collect()
}

fn problem(key: &str, value: &Value, members: &Map<String, Value>) -> Option<Problem> {
    let shown = shortened(key);
    if let Some((_, types)) = KEYS.iter().find(|(known, _)| *known == key) {
        let types = *types;
        let own = match members.get("type") {
            None | Some(Value::Null) => "",
            // What is no text is refused where the trigger is read.
            Some(own) => own.as_str()?,
        };
        if value.is_null() || types.is_empty() || types.contains(&own) || !TYPES.contains(&own) {
            return None;
        }
        let own = match own {
            "" => "without a `type`".to_owned(),
            own => format!("with the type `{own}`"),
        };
        let types: Vec<String> = types.iter().map(|name| format!("`{name}`")).collect();
        let problem = Problem::warning(format!("`triggerSpec.{shown}` has no effect {own}"));
        return Some(problem.advise(format!("it is for {}", types.join(" and "))));
    }
    let folded = key.to_lowercase().replace(['-', '_', ' '], "");
    if let Some((_, instead)) = PLATFORM.iter().find(|(keys, _)| keys.contains(&folded.as_str())) {
        // What is switched off there is not here either.
        let is_off = matches!(value, Value::Null | Value::Bool(false));
        return (!is_off)
            .then(|| Problem::warning(format!("`triggerSpec.{shown}` has no effect here")).advise(*instead));
    }
    let unknown = || Problem::invalid(format!("`triggerSpec` has no `{shown}`"));
    let ours = |(ours, words): &(&'static str, &[&str])| words.contains(&folded.as_str()).then_some(*ours);
    if let Some(ours) = OTHER_WORDS.iter().find_map(ours) {
        let is_schedule = members.get("type").is_some_and(|own| own == "scheduler");
        let ours = match ours {
            "consumers" if is_schedule => "concurrentScheduling",
            "concurrentScheduling" if !is_schedule => "consumers",
            ours => ours,
        };
        return Some(unknown().advise(format!("write `{ours}`")));
    }
    if let Some(advice) = nearest::advise(key, KEYS.iter().map(|(known, _)| *known)) {
        return Some(unknown().advise(advice));
    }
    Some(Problem::warning(format!(
        "`triggerSpec.{shown}` is not known here and has no effect"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::problem::Severity;

    fn said(trigger: &Value) -> Vec<(Severity, String)> {
        let text = json!({ "triggerSpec": trigger }).to_string();
        let problems = check(trigger.as_object().unwrap(), &Positions::of(&text));
        problems
            .iter()
            .map(|problem| (problem.severity(), problem.to_string()))
            .collect()
    }

    #[test]
    fn a_key_without_effect_is_a_warning_by_name() {
        for (trigger, words) in [
            (
                json!({"type": "rest", "responseHeaders": {}}),
                "`triggerSpec.responseHeaders` has no effect here; ",
            ),
            (json!({"type": "rest", "corsHeaders": {}}), "`triggerSpec.corsHeaders`"),
            (json!({"type": "http", "rateLimit": []}), "`triggerSpec.rateLimit`"),
            (json!({"type": "http", "mTLS": true}), "`triggerSpec.mTLS`"),
            (json!({"type": "rest", "jwt": true}), "pipepost tokens add"),
            (json!({"type": "rest", "apiKey": true}), "pipepost tokens add"),
            (
                json!({"type": "rest", "cronExpression": "x"}),
                "`triggerSpec.cronExpression` has no effect with the type `rest`; it is for `scheduler`",
            ),
            (
                json!({"type": "http", "body": "text"}),
                "with the type `http`; it is for `rest`",
            ),
            (
                json!({"methods": ["GET"]}),
                "has no effect without a `type`; it is for `rest` and `http`",
            ),
            (
                json!({"type": "rest", "unknown": 1}),
                "`triggerSpec.unknown` is not known here and has no effect",
            ),
        ] {
            let said = said(&trigger);
            assert_eq!(said.len(), 1, "{trigger}: {said:?}");
            let (severity, sentence) = &said[0];
            assert_eq!(*severity, Severity::Warning, "{trigger}");
            assert!(
                sentence.starts_with("warning at line 1, column ") && sentence.contains(words),
                "{sentence}"
            );
        }
    }

    #[test]
    fn what_does_something_and_what_is_off_is_not_spoken_of() {
        for trigger in [
            json!({
                "type": "scheduler", "name": "5min-scheduler", "cronExpression": "0 */5 * ? * *", "timeout": 300_000,
                "retries": 0, "allowRedelivery": false, "concurrentScheduling": false
            }),
            json!({"type": "rest", "mtls": false, "apiKey": null, "eventName": null}),
            // The type is refused where the trigger is read.
            json!({"type": "kafka", "methods": ["GET"]}),
            json!({"type": 1, "methods": ["GET"]}),
        ] {
            assert_eq!(said(&trigger), [], "{trigger}");
        }
    }

    #[test]
    fn a_misspelt_key_and_another_word_for_one_are_refused_with_the_right_one() {
        for (kind, written, right) in [
            ("rest", "consumer", "consumers"),
            ("rest", "Public", "public"),
            ("event", "expire", "expiration"),
            ("event", "Expires", "expiration"),
            ("rest", "retry", "retries"),
            ("rest", "max-retries", "retries"),
            ("scheduler", "tz", "timeZone"),
            ("scheduler", "timezone", "timeZone"),
            ("scheduler", "cron", "cronExpression"),
            ("scheduler", "schedule", "cronExpression"),
            ("rest", "maxSize", "maxRequestSize"),
            ("rest", "concurrent", "consumers"),
            ("rest", "concurrency", "consumers"),
            ("scheduler", "concurrency", "concurrentScheduling"),
            ("scheduler", "concurrent", "concurrentScheduling"),
        ] {
            let said = said(&json!({"type": kind, written: 1}));
            let (severity, sentence) = &said[0];
            assert_eq!((said.len(), *severity), (1, Severity::Error), "{said:?}");
            assert!(
                sentence.contains(&format!(": `triggerSpec` has no `{written}`; "))
                    && sentence.ends_with(&format!("`{right}`")),
                "{sentence}"
            );
        }
    }

    #[test]
    fn no_word_is_a_key_and_none_is_in_two_lists() {
        let words = OTHER_WORDS.iter().flat_map(|(_, words)| *words);
        let platform = PLATFORM.iter().flat_map(|(keys, _)| *keys);
        let keys: Vec<String> = KEYS.iter().map(|(key, _)| key.to_lowercase()).collect();
        let mut all: Vec<&str> = words
            .chain(platform)
            .copied()
            .chain(keys.iter().map(String::as_str))
            .collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        for (ours, _) in OTHER_WORDS {
            assert!(KEYS.iter().any(|(key, _)| key == ours), "{ours}");
        }
    }
}
