//! What a monitoring system sees: Prometheus metrics.
//!
//! Every name begins with `pipepost_` and ends with its unit, counters with `_total`. Labels hold names that the operator
//! gave, never an address or anything that a message holds, so their number is bounded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipepost_state::CommitObserver;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::operator::AccountUse;

/// The content type of the Prometheus text format, version 0.0.4.
pub const TEXT: &str = prometheus_text::CONTENT_TYPE;

/// The content type of the OpenMetrics text format, version 1.0.0.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A quarter of a millisecond to a minute: a claim, a message, a run.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 900.0,
];

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($field:ident),+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            $($field: String,)+
        }
    };
}

labels!(RunLabels {
    pipeline,
    trigger,
    state
});
labels!(PipelineLabels { pipeline });
labels!(MessageLabels {
    connector,
    account,
    outcome
});
labels!(FailureLabels { account, kind });
labels!(AccountLabels { account });
labels!(WindowLabels { account, window });
labels!(ConnectionLabels { account, state });
labels!(SignInLabels { account, result });
labels!(StopLabels { connector, reason });
labels!(RequestLabels { route, status });
labels!(BuildLabels { version });

type Ratio = Gauge<f64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// All metrics of one process.
pub struct Metrics {
    registry: Registry,
    runs: Family<RunLabels, Counter>,
    run_seconds: Histograms<PipelineLabels>,
    runs_queued: Gauge,
    runs_running: Gauge,
    queue_oldest: Ratio,
    messages: Family<MessageLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    messages_in_doubt: Gauge,
    account_paused: Family<AccountLabels, Gauge>,
    account_window_used: Family<WindowLabels, Ratio>,
    connections: Family<ConnectionLabels, Gauge>,
    /// The accounts that have gauges.
    accounts: Mutex<BTreeMap<String, AccountUse>>,
    sign_ins: Family<SignInLabels, Counter>,
    ledger_commit: Histogram,
    connector_stops: Family<StopLabels, Counter>,
    schedule_missed: Family<PipelineLabels, Counter>,
    schedule_skipped: Family<PipelineLabels, Counter>,
    http_requests: Family<RequestLabels, Counter>,
}

/// Without the values.
impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Makes the metrics of a process of this version of Pipepost.
    pub fn new(version: &str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("pipepost"),
            runs: Family::default(),
            run_seconds: Family::new_with_constructor(seconds),
            runs_queued: Gauge::default(),
            runs_running: Gauge::default(),
            queue_oldest: Ratio::default(),
            messages: Family::default(),
            failures: Family::default(),
            messages_in_doubt: Gauge::default(),
            account_paused: Family::default(),
            account_window_used: Family::default(),
            connections: Family::default(),
            accounts: Mutex::default(),
            sign_ins: Family::default(),
            ledger_commit: seconds(),
            connector_stops: Family::default(),
            schedule_missed: Family::default(),
            schedule_skipped: Family::default(),
            http_requests: Family::default(),
        };
        metrics.register(version);
        metrics
    }

    /// The names. A counter's `_total` and a unit's suffix are added when they are written out.
    fn register(&mut self, version: &str) {
        let registry = &mut self.registry;
        registry.register("runs", "Runs that reached this state", self.runs.clone());
        let help = "How long runs took, from their beginning to their end";
        registry.register_with_unit("run", help, Unit::Seconds, self.run_seconds.clone());
        registry.register("runs_queued", "Runs that wait to begin", self.runs_queued.clone());
        registry.register(
            "runs_running",
            "Runs that have begun and not ended",
            self.runs_running.clone(),
        );
        let help = "How long the run that waits longest has been due";
        registry.register_with_unit("queue_oldest", help, Unit::Seconds, self.queue_oldest.clone());
        registry.register("messages", "Messages by their outcome", self.messages.clone());
        registry.register("failures", "Failures by their kind", self.failures.clone());
        let help = "Messages of which it is not known whether they were sent, and which nobody has settled";
        registry.register("messages_in_doubt", help, self.messages_in_doubt.clone());
        registry.register(
            "account_paused",
            "1 while the account is paused",
            self.account_paused.clone(),
        );
        let help = "How much of the messages that the account may send in this window is used, from 0 to 1";
        registry.register("account_window_used_ratio", help, self.account_window_used.clone());
        let help = "Connections to mail servers that are open: in use, or idle in the pool";
        registry.register("connections", help, self.connections.clone());
        let help = "Sign-ins at mail servers by their results";
        registry.register("sign_ins", help, self.sign_ins.clone());
        let help = "How long a commit to the state took that was synced before it was answered";
        registry.register_with_unit("ledger_commit", help, Unit::Seconds, self.ledger_commit.clone());
        let help = "Connectors that were stopped in the middle of their work";
        registry.register("connector_stops", help, self.connector_stops.clone());
        let help = "Scheduled times that passed and started no run";
        registry.register("schedule_missed", help, self.schedule_missed.clone());
        let help = "Scheduled times that were skipped because earlier runs had not ended";
        registry.register("schedule_skipped", help, self.schedule_skipped.clone());
        registry.register("http_requests", "Answered HTTP requests", self.http_requests.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        let labels = BuildLabels {
            version: version.to_owned(),
        };
        build.get_or_create(&labels).set(1);
        registry.register("build_info", "1; the labels say which build this is", build);
    }

    /// Counts a run that reached a state: `queued`, `running`, `done`, `failed`, `uncertain` or `cancelled`.
    pub fn count_run(&self, pipeline: &str, trigger: &str, state: &str) {
        let labels = RunLabels {
            pipeline: pipeline.to_owned(),
            trigger: trigger.to_owned(),
            state: state.to_owned(),
        };
        self.runs.get_or_create(&labels).inc();
    }

    /// Records how long a run took.
    pub fn observe_run(&self, pipeline: &str, took: Duration) {
        self.run_seconds
            .get_or_create(&of_pipeline(pipeline))
            .observe(took.as_secs_f64());
    }

    /// Sets how many runs wait and run, and how long the oldest that waits has been due.
    pub fn set_queue(&self, queued: u64, running: u64, oldest: Duration) {
        self.runs_queued.set(gauge(queued));
        self.runs_running.set(gauge(running));
        self.queue_oldest.set(oldest.as_secs_f64());
    }

    /// Counts messages with an outcome: `sent`, `failed` or `uncertain`.
    pub fn count_messages(&self, connector: &str, account: &str, outcome: &str, count: u64) {
        let labels = MessageLabels {
            connector: connector.to_owned(),
            account: account.to_owned(),
            outcome: outcome.to_owned(),
        };
        self.messages.get_or_create(&labels).inc_by(count);
    }

    /// Counts a failure.
    pub fn count_failure(&self, account: &str, kind: &str) {
        let labels = FailureLabels {
            account: account.to_owned(),
            kind: kind.to_owned(),
        };
        self.failures.get_or_create(&labels).inc();
    }

    /// Sets how many messages are in doubt.
    pub fn set_messages_in_doubt(&self, count: u64) {
        self.messages_in_doubt.set(gauge(count));
    }

    /// Sets what is measured of the accounts. An account that is not among them, and a limit that an account does not
    /// state any more, have no gauges from then on.
    pub fn set_accounts(&self, accounts: &[AccountUse]) {
        let mut known = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        for account in accounts {
            let label = &*account.label;
            let paused = self.account_paused.get_or_create_owned(&of_account(label));
            paused.set(account.is_paused.into());
            let older = before.remove(label);
            let older = older.iter().flat_map(|older| &older.windows);
            for (window, _) in older.filter(|(window, _)| !account.windows.iter().any(|(other, _)| other == window)) {
                self.account_window_used.remove(&of_window(label, window));
            }
            for (window, ratio) in &account.windows {
                let used = self.account_window_used.get_or_create_owned(&of_window(label, window));
                used.set(*ratio);
            }
            for (state, count) in [("active", account.active), ("idle", account.idle)] {
                let connections = self.connections.get_or_create_owned(&of_connections(label, state));
                connections.set(gauge(count as u64));
            }
            // An alert can see the first change only from a zero.
            for result in ["accepted", "refused"] {
                drop(self.sign_ins.get_or_create(&of_sign_in(label, result)));
            }
            known.insert(account.label.clone(), account.clone());
        }
        for (label, gone) in &before {
            self.account_paused.remove(&of_account(label));
            for (window, _) in &gone.windows {
                self.account_window_used.remove(&of_window(label, window));
            }
            for state in ["active", "idle"] {
                self.connections.remove(&of_connections(label, state));
            }
        }
    }

    /// Counts a sign-in: `accepted`, `refused`, `postponed` or `failed`.
    pub fn count_sign_in(&self, account: &str, result: &str) {
        self.sign_ins.get_or_create(&of_sign_in(account, result)).inc();
    }

    /// Counts a connector that was stopped.
    pub fn count_stop(&self, connector: &str, reason: &str) {
        let labels = StopLabels {
            connector: connector.to_owned(),
            reason: reason.to_owned(),
        };
        self.connector_stops.get_or_create(&labels).inc();
    }

    /// Counts scheduled times that passed and started nothing.
    pub fn count_missed(&self, pipeline: &str, count: u64) {
        self.schedule_missed.get_or_create(&of_pipeline(pipeline)).inc_by(count);
    }

    /// Counts a scheduled time that was skipped because earlier runs had not ended.
    pub fn count_skipped(&self, pipeline: &str) {
        self.schedule_skipped.get_or_create(&of_pipeline(pipeline)).inc();
    }

    /// Counts an answered request. `route` is the route's pattern, never the path itself.
    pub fn count_request(&self, route: &str, status: u16) {
        let labels = RequestLabels {
            route: route.to_owned(),
            status: status.to_string(),
        };
        self.http_requests.get_or_create(&labels).inc();
    }

    /// Makes series that are at zero visible before anything happened, so that an alert can see the first change.
    pub fn show_pipeline(&self, pipeline: &str, is_scheduled: bool) {
        if is_scheduled {
            drop(self.schedule_missed.get_or_create(&of_pipeline(pipeline)));
            drop(self.schedule_skipped.get_or_create(&of_pipeline(pipeline)));
        }
    }

    /// Writes all metrics, with their content type: OpenMetrics for a caller that accepts it, else Prometheus text.
    pub fn exposition(&self, accept: &str) -> (&'static str, String) {
        let mut written = String::new();
        let (content_type, result) = if accept.contains("application/openmetrics-text") {
            (OPEN_METRICS, text::encode(&mut written, &self.registry))
        } else {
            (TEXT, prometheus_text::encode(&mut written, &self.registry))
        };
        // Writing into a text cannot fail; a label that refuses would be a defect here.
        debug_assert!(result.is_ok(), "{result:?}");
        (content_type, written)
    }
}

fn of_pipeline(pipeline: &str) -> PipelineLabels {
    PipelineLabels {
        pipeline: pipeline.to_owned(),
    }
}

fn of_account(account: &str) -> AccountLabels {
    AccountLabels {
        account: account.to_owned(),
    }
}

fn of_window(account: &str, window: &str) -> WindowLabels {
    WindowLabels {
        account: account.to_owned(),
        window: window.to_owned(),
    }
}

fn of_connections(account: &str, state: &str) -> ConnectionLabels {
    ConnectionLabels {
        account: account.to_owned(),
        state: state.to_owned(),
    }
}

fn of_sign_in(account: &str, result: &str) -> SignInLabels {
    SignInLabels {
        account: account.to_owned(),
        result: result.to_owned(),
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl CommitObserver for Metrics {
    fn committed(&self, took: Duration) {
        self.ledger_commit.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn shop() -> AccountUse {
        AccountUse {
            label: "shop".to_owned(),
            is_paused: true,
            windows: vec![("second", 1.0), ("day", 0.25)],
            active: 2,
            idle: 1,
        }
    }

    /// Everything happened once.
    fn all() -> Metrics {
        let metrics = Metrics::new("1.2.3");
        let second = Duration::from_secs(1);
        metrics.count_run("digest", "scheduler", "done");
        metrics.observe_run("digest", second);
        metrics.set_queue(3, 2, second);
        metrics.count_messages("email-v2", "shop", "sent", 5);
        metrics.count_failure("shop", "quota");
        metrics.set_messages_in_doubt(1);
        metrics.set_accounts(&[shop()]);
        metrics.count_sign_in("shop", "refused");
        metrics.committed(second);
        metrics.count_stop("loop", "cpu");
        metrics.count_missed("digest", 2);
        metrics.count_skipped("digest");
        metrics.count_request("/api/v1/runs/{id}", 200);
        metrics
    }

    /// The table of the documentation: name, type, labels.
    const TABLE: [(&str, &str, &[&str]); 18] = [
        ("pipepost_account_paused", "gauge", &["account"]),
        ("pipepost_account_window_used_ratio", "gauge", &["account", "window"]),
        ("pipepost_build_info", "gauge", &["version"]),
        ("pipepost_connections", "gauge", &["account", "state"]),
        ("pipepost_connector_stops_total", "counter", &["connector", "reason"]),
        ("pipepost_failures_total", "counter", &["account", "kind"]),
        ("pipepost_http_requests_total", "counter", &["route", "status"]),
        ("pipepost_ledger_commit_seconds", "histogram", &[]),
        ("pipepost_messages_in_doubt", "gauge", &[]),
        (
            "pipepost_messages_total",
            "counter",
            &["account", "connector", "outcome"],
        ),
        ("pipepost_queue_oldest_seconds", "gauge", &[]),
        ("pipepost_run_seconds", "histogram", &["pipeline"]),
        ("pipepost_runs_queued", "gauge", &[]),
        ("pipepost_runs_running", "gauge", &[]),
        ("pipepost_runs_total", "counter", &["pipeline", "state", "trigger"]),
        ("pipepost_schedule_missed_total", "counter", &["pipeline"]),
        ("pipepost_schedule_skipped_total", "counter", &["pipeline"]),
        ("pipepost_sign_ins_total", "counter", &["account", "result"]),
    ];

    #[test]
    fn names_types_and_labels_are_those_of_the_table() {
        let (content_type, written) = all().exposition("*/*");
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        let mut types = BTreeMap::new();
        let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in written.lines() {
            if let Some(line) = line.strip_prefix("# TYPE ") {
                let (name, kind) = line.split_once(' ').expect("a type");
                types.insert(name, kind);
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().expect("a name");
                let name = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|ending| name.strip_suffix(ending).filter(|name| types.contains_key(name)))
                    .unwrap_or(name);
                let inside = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
                let found = labels.entry(name).or_default();
                for label in inside
                    .map_or("", |(inside, _)| inside)
                    .split(',')
                    .filter(|label| !label.is_empty())
                {
                    let (label, _) = label.split_once('=').expect("a label");
                    found.extend((label != "le").then_some(label));
                }
            }
        }
        let expected: BTreeMap<&str, &str> = TABLE.iter().map(|&(name, kind, _)| (name, kind)).collect();
        assert_eq!(types, expected, "{written}");
        for (name, _, expected) in TABLE {
            let expected: BTreeSet<&str> = expected.iter().copied().collect();
            assert_eq!(labels.get(name), Some(&expected), "{name}\n{written}");
        }
    }

    #[test]
    fn values_are_those_that_were_given() {
        let (_, written) = all().exposition("");
        for line in [
            r#"pipepost_runs_total{pipeline="digest",trigger="scheduler",state="done"} 1"#,
            "pipepost_runs_queued 3",
            "pipepost_queue_oldest_seconds 1.0",
            r#"pipepost_messages_total{connector="email-v2",account="shop",outcome="sent"} 5"#,
            "pipepost_messages_in_doubt 1",
            r#"pipepost_account_paused{account="shop"} 1"#,
            r#"pipepost_account_window_used_ratio{account="shop",window="day"} 0.25"#,
            r#"pipepost_connections{account="shop",state="active"} 2"#,
            r#"pipepost_connections{account="shop",state="idle"} 1"#,
            r#"pipepost_sign_ins_total{account="shop",result="refused"} 1"#,
            "pipepost_ledger_commit_seconds_count 1",
            r#"pipepost_connector_stops_total{connector="loop",reason="cpu"} 1"#,
            r#"pipepost_schedule_missed_total{pipeline="digest"} 2"#,
            r#"pipepost_build_info{version="1.2.3"} 1"#,
        ] {
            assert!(written.lines().any(|written| written == line), "{line}\n{written}");
        }
    }

    #[test]
    fn open_metrics_is_written_for_who_accepts_it() {
        let (content_type, written) = all().exposition("application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
        assert_eq!(content_type, OPEN_METRICS);
        assert!(written.ends_with("# EOF\n"), "{written}");
        assert!(written.contains("# UNIT pipepost_run_seconds seconds"), "{written}");
    }

    #[test]
    fn an_account_that_is_gone_has_no_gauges() {
        let metrics = all();
        let without_limits = AccountUse {
            windows: Vec::new(),
            ..shop()
        };
        metrics.set_accounts(&[without_limits]);
        let (_, written) = metrics.exposition("");
        assert!(!written.contains("account_window_used_ratio{"), "{written}");
        assert!(written.contains("account_paused{"), "{written}");
        metrics.set_accounts(&[]);
        let (_, written) = metrics.exposition("");
        for gauge in ["account_paused{", "connections{"] {
            assert!(!written.contains(gauge), "{gauge}: {written}");
        }
    }

    /// What the examples for Prometheus and Grafana ask for.
    const ALERTS: &str = include_str!("../../../examples/operating/prometheus-alerts.yaml");
    const DASHBOARD: &str = include_str!("../../../examples/operating/grafana-dashboard.json");

    #[test]
    fn the_examples_ask_for_what_there_is() {
        let mut asked = BTreeSet::new();
        for text in [ALERTS, DASHBOARD] {
            for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                if word.starts_with("pipepost_") {
                    asked.insert(word.strip_suffix("_bucket").unwrap_or(word));
                }
            }
        }
        let known: BTreeSet<&str> = TABLE.iter().map(|&(name, ..)| name).collect();
        let unknown: Vec<&&str> = asked.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(asked.len() >= 10, "{asked:?}");
        let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
        assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 10));
    }

    fn skip() {
        assert!(
            std::env::var_os("PIPEPOST_REQUIRE_PEERS").is_none(),
            "promtool is missing; Debian has it in `prometheus`"
        );
        // Not `eprintln!`, which the test runner keeps to itself when a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: promtool is missing; Debian has it in `prometheus`"
        );
    }

    /// Prometheus' own checker accepts the rules, where it is installed.
    #[test]
    fn promtool_takes_the_alerts() {
        let rules = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/operating/prometheus-alerts.yaml"
        );
        let Ok(told) = Command::new("promtool").args(["check", "rules", rules]).output() else {
            return skip();
        };
        let text = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        assert!(told.status.success(), "{text}");
    }

    /// Prometheus' own checker finds nothing, where it is installed.
    #[test]
    fn promtool_finds_nothing() {
        let started = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut promtool) = started else { return skip() };
        let (_, written) = all().exposition("");
        let mut input = promtool.stdin.take().expect("a pipe");
        input.write_all(written.as_bytes()).expect("written");
        drop(input);
        let told = promtool.wait_with_output().expect("ended");
        let text = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        assert!(told.status.success() && text.trim().is_empty(), "{text}");
    }
}
