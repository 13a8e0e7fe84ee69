//! Traces over OTLP: off without an endpoint, else whole, and without a value of a message or a secret.

use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, Catcher, Collector, PASSWORD, Scratch, document, email};
use serde_json::{Value, json};

/// The example of W3C's Trace Context.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn scratch(server: &Catcher) -> Scratch {
    let account = AccountFile::starttls(("127.0.0.1", server.port(Security::StartTls)), &server.authority());
    let mut pipeline = document(&[email(json!({ "to": "ann@example.test", "subject": "private words" }))]);
    pipeline["name"] = json!("letters");
    Scratch::with(&pipeline, &account)
}

fn spans(received: &[Value]) -> Vec<&Value> {
    received.iter().filter(|one| one["event"] == "span").collect()
}

fn named<'a>(spans: &[&'a Value], name: &str) -> &'a Value {
    spans
        .iter()
        .find(|span| span["name"] == name)
        .unwrap_or_else(|| panic!("no span `{name}` in {spans:#?}"))
}

#[test]
fn a_run_is_a_span_with_its_steps_and_batches_below_it() {
    let Some(collector) = Collector::start(200) else { return };
    let server = Catcher::start(Script::new());
    let port = server.port(Security::StartTls);
    let scratch = scratch(&server)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tests")
        .variable("OTEL_SERVICE_NAME", "mail")
        .variable("TRACEPARENT", &format!("00-{TRACE}-{PARENT}-01"));
    scratch.run(&["--execution", "monday"]).with_code(0);

    let received = collector.received();
    let request = &received[1];
    assert_eq!(request["path"], "/v1/traces");
    assert_eq!(request["headers"]["x-tenant"], "tests");
    let spans = spans(&received);
    let run = named(&spans, "run letters");
    let step = named(&spans, "step Send");
    let perform = named(&spans, "perform email-v2");
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert_eq!((&run["trace"], &run["parent"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!(step["parent"], run["span"]);
    assert_eq!(perform["parent"], step["span"]);
    assert_eq!(run["resource"]["service.name"], "mail");
    assert_eq!(run["attributes"]["pipepost.run.id"], "monday");
    assert_eq!(run["attributes"]["pipepost.pipeline"], "letters");
    assert_eq!(step["attributes"]["pipepost.step"], "Send");
    assert_eq!(perform["kind"], "SPAN_KIND_CLIENT");
    assert_eq!(perform["attributes"]["pipepost.account"], "mail");
    assert_eq!(perform["attributes"]["server.address"], "127.0.0.1");
    assert_eq!(perform["attributes"]["server.port"], port);
    let all = json!(received).to_string();
    for private in [PASSWORD, "ann@", "private words"] {
        assert!(!all.contains(private), "{private} is in {all}");
    }
}

#[test]
fn a_failure_is_an_error_with_its_kind() {
    let Some(collector) = Collector::start(200) else { return };
    let server = Catcher::start(Script::new());
    let scratch = scratch(&server).variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        &format!("{}/own", collector.endpoint()),
    );
    scratch.write(
        "pipeline.json",
        document(&[email(json!({ "to": "nobody" }))]).to_string(),
    );
    scratch.run(&[]).with_code(65);

    let received = collector.received();
    assert_eq!(received[1]["path"], "/own", "it is taken as it is");
    for span in spans(&received) {
        assert_eq!(span["error"], true, "{span}");
        assert_eq!(span["attributes"]["error.type"], "invalid", "{span}");
    }
}

#[test]
fn without_a_collector_the_run_goes_on() {
    let server = Catcher::start(Script::new());
    let silent = scratch(&server).run(&[]).with_code(0);
    assert_eq!(silent.stderr, "");

    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let ending = scratch(&server)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{gone}/?key=PLANTED"))
        .run(&[])
        .with_code(0);
    assert!(ending.stderr.contains("Traces do not arrive at"), "{ending}");
    assert!(!ending.stderr.contains("PLANTED"), "{ending}");

    let Some(collector) = Collector::start(503) else { return };
    let ending = scratch(&server)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .run(&[])
        .with_code(0);
    assert!(ending.stderr.contains("it answered 503"), "{ending}");

    let ending = scratch(&server)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address")
        .run(&[])
        .with_code(0);
    assert!(
        ending
            .stderr
            .contains("No traces are sent: `OTEL_EXPORTER_OTLP_ENDPOINT`"),
        "{ending}"
    );
}

#[test]
fn a_log_line_for_machines_says_its_run_and_step() {
    let server = Catcher::start(Script::new());
    let scratch = scratch(&server);
    let log = json!({ "logLevel": "INFO", "message": "hello" });
    let mut pipeline = document(&[pipepost_tests::step("log-connector", log)]);
    pipeline["name"] = json!("letters");
    scratch.write("pipeline.json", pipeline.to_string());
    let ending = scratch
        .run(&["--execution", "monday", "--log-format", "json"])
        .with_code(0);
    let line = ending
        .stderr
        .lines()
        .find(|line| line.contains("hello"))
        .unwrap_or_default();
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ending}"));
    assert_eq!(line["spans"][0]["pipepost.run.id"], "monday", "{line}");
    assert_eq!(line["spans"][1]["pipepost.step"], line["step"], "{line}");
}
