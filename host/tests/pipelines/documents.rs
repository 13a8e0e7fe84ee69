//! Whole documents, in both forms, as the platform writes them: the examples.

use pipepost::{Preparation, RunOptions, RunReport};
use pipepost_flowspec::Severity;
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::Fixture;

fn example(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn input(name: &str) -> Value {
    serde_json::from_str(&example(name)).expect("JSON")
}

/// Runs an example; its account is the bench's.
async fn run(bench: &Fixture, name: &str, options: RunOptions) -> RunReport {
    let document = example(name)
        .replace("\"gmail\"", "\"mail\"")
        .replace("account.gmail.", "account.mail.")
        .replace(
            "\"accountType\": \"basic\"",
            "\"accountType\": \"smtp-auth-and-properties\"",
        );
    let preparation = Preparation {
        document_dir: Some(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")),
        ..Preparation::default()
    };
    let prepared = bench.host.prepare_with(&document, preparation);
    let prepared = prepared.unwrap_or_else(|problems| panic!("{problems}"));
    let warned = prepared
        .warnings()
        .iter()
        .any(|problem| problem.severity() == Severity::Warning);
    assert!(!warned, "{}", prepared.warnings());
    bench.host.run(&prepared, options).await
}

#[tokio::test]
async fn a_platform_document() {
    let bench = Fixture::new(Script::new()).await;
    let options = RunOptions::new(input("order-confirmations.input.json"));
    let report = run(&bench, "order-confirmations.json", options).await;
    assert_eq!(
        report.result.expect("an output"),
        json!({ "total": 3, "success": 2, "failed": 1 })
    );
    assert_eq!(bench.subjects(), ["Your order A-1007", "Your order A-1009"]);
    let text = bench.text("Your order A-1007");
    assert!(
        text.contains("<tr><td>1</td><td>Pipe &lt;20 mm&gt;</td><td>12.50</td></tr>"),
        "{text}"
    );
    assert!(text.contains("Leave it at the door."));
    assert!(!bench.text("Your order A-1009").contains("Leave it"));
}

#[tokio::test]
async fn a_platform_document_that_throws() {
    let bench = Fixture::new(Script::new()).await;
    let options = RunOptions::new(json!({ "day": "Sunday", "orders": [] }));
    let error = run(&bench, "order-confirmations.json", options)
        .await
        .result
        .unwrap_err();
    assert_eq!(error.object["error"], "There were no orders on Sunday.");
    assert_eq!(error.object["code"], "404");
    assert_eq!(error.exit_code(), 1);
}

#[tokio::test]
async fn a_clipboard_document() {
    let bench = Fixture::new(Script::new()).await;
    let mut options = RunOptions::new(input("failed-payments.input.json"));
    options.globals.insert("desk".to_owned(), json!("desk@example.com"));
    let output = run(&bench, "failed-payments.clipboard.json", options)
        .await
        .result
        .expect("an output");
    for (key, value) in [
        ("from", json!("ops@example.com")),
        ("to", json!("desk@example.com")),
        ("cc", json!("")),
        ("bcc", json!("")),
        ("subject", json!("2 failed payments")),
        (
            "content",
            json!("Hello,\n\n2 payments failed.\nThe list is attached.\n"),
        ),
        ("charset", json!("UTF-8")),
        ("success", json!(true)),
        (
            "attachments",
            json!([{ "type": "ATTACHMENT", "attachment": "failed.csv" }]),
        ),
    ] {
        assert_eq!(output[key], value, "{key}");
    }
    let text = bench.text("2 failed payments");
    // P-2;card expired, P-3;limit reached
    assert!(
        text.contains("UC0yO2NhcmQgZXhwaXJlZApQLTM7bGltaXQgcmVhY2hlZAo="),
        "{text}"
    );
}

#[tokio::test]
async fn a_newsletter() {
    let bench = Fixture::new(Script::new()).await;
    let options = RunOptions::new(input("newsletter.input.json"));
    let output = run(&bench, "newsletter.json", options).await.result.expect("an output");
    assert_eq!((&output["total"], &output["sent"]), (&json!(3), &json!(3)));
    let text = bench.text("Ada <3, the news of November");
    assert!(text.contains("Dear Ada &lt;3,"), "{text}");
    assert!(!text.contains("being a member"));
}

#[tokio::test]
async fn a_digest_of_what_other_runs_kept() {
    let bench = Fixture::new(Script::new()).await;
    for (payment, order, owner) in [
        ("p1", 7, "ana@example.com"),
        ("p2", 8, "bob@example.com"),
        ("p3", 9, "ana@example.com"),
        ("p1", 7, "ana@example.com"),
    ] {
        let message = json!({ "payment": payment, "order": order, "owner": owner, "reason": "card <expired>" });
        let kept = run(&bench, "keep-payment.json", RunOptions::new(message)).await;
        kept.result.expect("an output");
    }
    let report = run(&bench, "payments-digest.json", RunOptions::new(json!({}))).await;
    assert_eq!(report.result.expect("an output")["updateCount"], 3);
    let messages = bench.inbox.messages();
    let to = |address: &str| {
        let found = messages
            .iter()
            .find(|message| message.header("To").as_deref() == Some(address));
        String::from_utf8_lossy(&found.expect("a mail").content).into_owned()
    };
    assert_eq!(messages.len(), 2);
    let ana = to("ana@example.com");
    assert!(
        ana.contains("<li>7: card &lt;expired&gt;</li><li>9: card &lt;expired&gt;</li>"),
        "{ana}"
    );
    assert!(to("bob@example.com").contains("<ul><li>8: card"));
    let again = run(&bench, "payments-digest.json", RunOptions::new(json!({}))).await;
    assert_eq!(again.counts.sent, 0);
    again.result.expect("an output");
}
