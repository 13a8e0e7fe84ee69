//! A mail merge whose elements are the rows of a file, and whose results go into files.

use std::path::Path;

use pipepost::{FailureKind, RunOptions, RunReport};
use pipepost_inbox::Script;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{Fixture, email, report, step, steps};

fn merge(further: Value) -> Value {
    let mut params = json!({
        "items": { "file": "readers.csv" },
        "to": { "name": "{{ item.name }}", "address": "{{ item.email }}" },
        "subject": "to {{ item.name }}",
        "body": "x",
    });
    for (name, value) in further.as_object().expect("parameters") {
        params[name] = value.clone();
    }
    email(params)
}

/// What is given to the run, and what it leaves.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new(name: &str, content: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(folder.path().join("given")).expect("a directory");
        std::fs::write(folder.path().join("given").join(name), content).expect("a file");
        Self { folder }
    }

    async fn run(&self, bench: &Fixture, steps_of_it: Value) -> RunReport {
        let mut options = RunOptions::new(json!({ "file": "readers.csv", "from": { "file": "readers.csv" } }));
        options.files = Some(self.folder.path().join("given"));
        options.keep = Some(self.folder.path().join("kept"));
        report(&bench.host, &steps(steps_of_it), options).await
    }

    fn kept(&self, name: &str) -> String {
        read(&self.folder.path().join("kept").join(name))
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn refusing(recipient: &str) -> Script {
    Script::new().refuse_recipient(recipient, "550 5.1.1 There is nobody here.")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_is_a_message_and_what_failed_can_be_sent_again() {
    let rows: String = (0..700)
        .map(|n| format!("\"Reader, {n}\",r{n}@example.com,{n}\n"))
        .collect();
    let csv = format!("name,email,number\n{rows}short,row\n");
    let files = Files::new("readers.csv", &csv);
    let bench = Fixture::new(refusing("r333@example.com")).await;
    let results = json!({ "file": "out/{{ message.from.file }}.ndjson", "failed": "failed.csv" });
    let report = files.run(&bench, json!([merge(json!({ "results": results }))])).await;
    assert_eq!(report.counts.sent, 699);
    let output = report.result.expect("an output");
    for (name, value) in [("total", 701), ("sent", 699), ("failed", 2), ("uncertain", 0)] {
        assert_eq!(output[name], value, "{name}");
    }
    assert_eq!(output.get("results"), None);
    let mut failures: Vec<&Value> = output["failures"].as_array().expect("failures").iter().collect();
    failures.sort_by_key(|failure| failure["item"].as_u64());
    assert_eq!(failures[0]["item"], 334);
    assert_eq!(failures[0]["rejected"][0]["recipient"], "r333@example.com");
    assert_eq!(failures[1]["item"], 701);

    let lines = files.kept("out/readers.csv.ndjson");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let mut items: Vec<u64> = lines.iter().filter_map(|line| line["item"].as_u64()).collect();
    items.sort_unstable();
    assert_eq!(items, (1..=701).collect::<Vec<u64>>(), "each has one line");
    for line in &lines {
        let is_sent = ![334, 701].contains(&line["item"].as_u64().unwrap_or_default());
        assert_eq!(line["success"], is_sent, "{line}");
    }

    let failed = files.kept("failed.csv");
    let failed: Vec<&str> = failed.lines().collect();
    assert_eq!(failed[0], "name,email,number,failure");
    assert!(
        failed
            .iter()
            .any(|line| line.starts_with("\"Reader, 333\",r333@example.com,333,")),
        "{failed:?}"
    );
    assert!(failed.iter().any(|line| line.starts_with("short,row,,")), "{failed:?}");
    assert_eq!(failed.len(), 3);

    // Somebody mends what was wrong, and sends what is left.
    let mended = failed
        .join("\n")
        .replace("r333@", "mended@")
        .replace("short,row,,", "short,short@example.com,1,");
    let files = Files::new("readers.csv", &mended);
    let report = files
        .run(&bench, json!([merge(json!({ "results": { "failed": "failed.csv" } }))]))
        .await;
    assert_eq!(report.result.expect("an output")["sent"], 2);
    assert_eq!(bench.inbox.messages().len(), 701);
}

#[tokio::test]
async fn without_files_the_results_are_in_the_output_in_the_rows_order() {
    let files = Files::new(
        "readers.json",
        r#"[{"name": "A", "email": "a@example.com"}, {"name": "B", "email": "b"}]"#,
    );
    let bench = Fixture::new(Script::new()).await;
    let report = files
        .run(&bench, json!([merge(json!({ "items": { "file": "readers.json" } }))]))
        .await;
    let output = report.result.expect("an output");
    assert_eq!((&output["total"], &output["sent"]), (&json!(2), &json!(1)));
    assert_eq!(output["results"][0]["subject"], "to A");
    assert_eq!(output["results"][1]["exception"], "invalid");
}

#[tokio::test]
async fn a_step_before_may_have_written_the_file() {
    let files = Files::new("other.txt", "");
    let bench = Fixture::new(Script::new()).await;
    let writer = step(
        "file-writer-connector",
        json!({ "fileName": "readers.csv", "inputData": "name,email\nA,a@example.com" }),
    );
    let report = files.run(&bench, json!([writer, merge(json!({}))])).await;
    assert_eq!(report.result.expect("an output")["sent"], 1);
    assert_eq!(bench.subjects(), ["to A"]);
}

#[tokio::test]
async fn a_message_names_no_file() {
    let files = Files::new("readers.csv", "name,email\nA,a@example.com\n");
    let bench = Fixture::new(Script::new()).await;
    let report = files
        .run(&bench, json!([merge(json!({ "items": "{{ message.from }}" }))]))
        .await;
    let output = report.result.expect("an output");
    let told = output["message"].as_str().unwrap_or_default();
    assert!(told.contains("it must give an array, and gives an object"), "{output}");
    // The document itself may take its name from a message: it stays among the files of the run.
    let named = json!({ "items": { "file": "{{ message.file }}" } });
    let report = files
        .run(&Fixture::new(Script::new()).await, json!([merge(named)]))
        .await;
    assert_eq!(report.result.expect("an output")["sent"], 1);
}

#[tokio::test]
async fn what_cannot_be_read_or_written_is_said_and_nothing_is_lost() {
    let bench = Fixture::new(Script::new()).await;
    for (params, words) in [
        (
            json!({ "items": { "file": "none.csv" } }),
            "there is no file `none.csv` among the files of the run",
        ),
        (
            json!({ "items": { "file": "../readers.csv" } }),
            "the name leads out of the run's directory",
        ),
        (
            json!({ "items": { "file": "readers.csv", "encoding": "klingon" } }),
            "there is no encoding `klingon`",
        ),
        (
            json!({ "items": { "file": "-", "format": "csv" } }),
            "cannot come from standard input here",
        ),
        (
            json!({ "results": { "file": "../results" } }),
            "the name leads out of the run's directory",
        ),
        (
            json!({ "results": { "file": "{{ message.none }}" } }),
            "`results` names no file",
        ),
        (json!({ "results": {} }), "names no file"),
    ] {
        let files = Files::new("readers.csv", "name,email\nA,a@example.com\n");
        let report = files.run(&bench, json!([merge(params.clone())])).await;
        let output = report.result.expect("an output");
        assert!(
            output["message"].as_str().unwrap_or_default().contains(words),
            "{params}: {output}"
        );
    }
    assert_eq!(bench.inbox.messages().len(), 0);

    // What came before the fault was sent, and is told of.
    let files = Files::new("readers.json", r#"[{"name": "A", "email": "a@example.com"}, {"name": "#);
    let report = files
        .run(&bench, json!([merge(json!({ "items": { "file": "readers.json" } }))]))
        .await;
    let output = report.result.expect("an output");
    assert_eq!(
        (&output["total"], &output["sent"], &output["success"]),
        (&json!(1), &json!(1), &json!(false))
    );
    let told = output["failure"]["message"].as_str().unwrap_or_default();
    assert!(told.contains("it is not one JSON array: EOF"), "{output}");
}

#[tokio::test]
async fn with_fail_on_error_the_rest_of_the_file_is_among_what_was_not_sent() {
    let files = Files::new(
        "readers.csv",
        "name,email\nA,a@example.com\nB,b@example.com\nC,c@example.com\nD,d@example.com\n",
    );
    let bench = Fixture::new(refusing("b@example.com")).await;
    let params = json!({ "failOnError": true, "results": { "failed": "failed.csv" } });
    let report = files.run(&bench, json!([merge(params)])).await;
    assert_eq!(report.exit_code(), pipepost::exit_code(FailureKind::Refused));
    let failed = files.kept("failed.csv");
    let names: Vec<&str> = failed.lines().skip(1).map(|line| &line[..1]).collect();
    assert_eq!(names, ["B", "C", "D"]);
}

#[tokio::test]
async fn results_without_a_merge_and_unknown_settings_are_refused_before_the_run() {
    let bench = Fixture::new(Script::new()).await;
    for (params, words) in [
        (
            json!({ "items": null, "results": { "file": "x" } }),
            "it belongs to a mail merge",
        ),
        (json!({ "items": { "file": "a.csv", "delimeter": ";" } }), "delimiter"),
        (
            json!({ "items": { "file": "a.xlsx" } }),
            "does not say how its rows are written",
        ),
        (json!({ "results": { "fail": "x" } }), "fail"),
    ] {
        let document = steps(json!([merge(params.clone())])).to_string();
        let problems = bench.host.prepare(&document).expect_err("refused").to_string();
        assert!(problems.contains(words), "{params}: {problems}");
    }
}
