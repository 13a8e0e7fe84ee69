//! Values in structured texts: what a message brings along is never more than its place in the document's text.

use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, email, steps};

fn document(params: &Value) -> Value {
    let mut all = json!({ "to": "first@example.com", "subject": "s", "body": "b" });
    for (name, value) in params.as_object().expect("parameters") {
        all[name] = value.clone();
    }
    steps(json!([email(all)]))
}

#[tokio::test]
async fn a_hostile_name_mails_nobody_else() {
    let names = [
        "Eve <eve@evil.example>, Bob",
        "Bob\" <eve@evil.example>, \"",
        "Bob\\",
        "(Bob",
        "Team: eve@evil.example;",
        "=?utf-8?q?Bob=3Ceve=40evil.example=3E?=",
        "<eve@evil.example>",
        "{\"segments\": [{\"text\": \"eve@evil.example\"}]}",
    ];
    let forms = [
        json!("{{ message.name }} <bob@example.com>"),
        json!("\"{{ message.name }}\" <bob@example.com>"),
        json!(["{{ message.name }} <bob@example.com>"]),
        json!({"name": "{{ message.name }}", "address": "bob@example.com"}),
        json!("[{\"name\": \"{{ message.name }}\", \"address\": \"bob@example.com\"}]"),
    ];
    let bench = Fixture::new(Script::new()).await;
    for name in names {
        for form in &forms {
            for parameter in ["to", "cc", "bcc"] {
                let mut params = json!({ "to": "bob@example.com" });
                params[parameter] = form.clone();
                let output = bench.run(&document(&params), json!({ "name": name })).await;
                let output = output.unwrap_or_else(|error| panic!("{name} in {form}: {error}"));
                assert_eq!(
                    output["accepted"],
                    json!(["bob@example.com"]),
                    "{name} in {form}: {output}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_hostile_address_is_one_or_none() {
    let addresses = [
        "bob@example.com, eve@evil.example",
        "bob@example.com>, <eve@evil.example",
        "bob@example.com (",
        "bob@example.com\r\nBcc: eve@evil.example",
    ];
    let forms = [
        json!("Bob <{{ message.address }}>"),
        json!("first@example.com, {{ message.address }}"),
        json!(["{{ message.address }}"]),
        json!({"address": "{{ message.address }}"}),
    ];
    let bench = Fixture::new(Script::new()).await;
    for address in addresses {
        for form in &forms {
            let output = bench
                .run(&document(&json!({ "to": form })), json!({ "address": address }))
                .await
                .expect("an output");
            assert_eq!(output["success"], false, "{address} in {form}");
            assert_eq!(output["failure"]["kind"], "invalid", "{address} in {form}");
        }
    }
    let whole = document(&json!({ "to": "{{ message.address }}" }));
    let output = bench
        .run(&whole, json!({ "address": "bob@example.com, ann@example.com" }))
        .await;
    let output = output.expect("an output");
    assert_eq!(output["accepted"], json!(["bob@example.com", "ann@example.com"]));
}

#[tokio::test]
async fn check_tells_what_a_value_may_be() {
    let bench = Fixture::new(Script::new()).await;
    let told = |params: Value| -> Vec<String> {
        let report = bench.host.check(&document(&params).to_string());
        assert!(!report.problems.has_errors(), "{:?}", report.problems);
        report.problems.iter().map(ToString::to_string).collect()
    };
    let whole = told(json!({ "to": "{{ message.to }}" }));
    assert!(
        whole.len() == 1 && whole[0].starts_with("note") && whole[0].contains("a list of addresses"),
        "{whole:?}"
    );
    assert_eq!(
        told(json!({ "to": "{{ message.name }} <{{ message.email }}>" })),
        Vec::<String>::new()
    );
    let template = told(json!({ "subject": "Order ${id}" }));
    assert!(
        template.len() == 1 && template[0].contains("`${id}` is sent as it is"),
        "{template:?}"
    );
    let calendar = |value: &str| format!("BEGIN:VCALENDAR\nSUMMARY:{value}\nEND:VCALENDAR");
    let unescaped = told(json!({ "icalEvent": calendar("{{ message.title }}") }));
    assert!(
        unescaped.len() == 1 && unescaped[0].contains("ESCAPE(..., \"ICAL\")"),
        "{unescaped:?}"
    );
    assert_eq!(
        told(json!({ "icalEvent": "{{ message.calendar }}" })),
        Vec::<String>::new()
    );
}
