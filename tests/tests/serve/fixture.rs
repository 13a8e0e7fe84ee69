//! A folder with pipelines, an account, and an inbox that it sends to.

use pipepost_inbox::{Script, Security};
use pipepost_tests::http::{Reply, request};
use pipepost_tests::{AccountFile, Catcher, Scratch, Served, USER};
use serde_json::{Value, json};

/// An inbox, and a folder whose pipelines send to it.
pub(crate) struct Fixture {
    pub(crate) catcher: Catcher,
    pub(crate) scratch: Scratch,
}

impl Fixture {
    /// With no pipelines yet.
    pub(crate) fn new() -> Self {
        Self::with_script(Script::default())
    }

    /// The same with an inbox that misbehaves so.
    pub(crate) fn with_script(script: Script) -> Self {
        let catcher = Catcher::start(script);
        let scratch = Scratch::new();
        let authority = scratch.write("ca.pem", catcher.inbox().ca_pem());
        let account = AccountFile::starttls(("127.0.0.1", catcher.inbox().address().port()), &authority);
        scratch.write("accounts.json", account.json().to_string());
        let state = scratch.folder().join("state").display().to_string();
        let accounts = scratch.folder().join("accounts.json").display().to_string();
        std::fs::create_dir(scratch.folder().join("pipelines")).expect("a writable folder");
        let scratch = scratch
            .variable("PIPEPOST_STATE", &state)
            .variable("PIPEPOST_ACCOUNTS", &accounts)
            .variable("PIPEPOST_DRAIN", "0");
        Self { catcher, scratch }
    }

    /// Adds a pipeline.
    #[must_use]
    pub(crate) fn pipeline(self, name: &str, document: &Value) -> Self {
        self.write(name, document);
        self
    }

    /// Writes a pipeline's document.
    pub(crate) fn write(&self, name: &str, document: &Value) {
        self.scratch
            .write(&format!("pipelines/{name}.json"), document.to_string());
    }

    /// How often a message with this subject arrived.
    pub(crate) fn arrived(&self, subject: &str) -> usize {
        let messages = self.catcher.inbox().messages();
        let subjects = messages.iter().map(|message| message.header("Subject"));
        subjects.filter(|found| found.as_deref() == Some(subject)).count()
    }
}

/// A fixture with these accounts beside `mail`, at the same server.
pub(crate) fn with_accounts(script: Script, others: &[(&str, &str, Value)]) -> Fixture {
    let fixture = Fixture::with_script(script);
    let authority = fixture.scratch.folder().join("ca.pem");
    let port = fixture.catcher.port(Security::StartTls);
    let account = AccountFile::starttls(("127.0.0.1", port), &authority);
    let mut accounts = vec![account.json().clone()];
    for (label, field, value) in others {
        accounts.push(
            account
                .clone()
                .with("label", *label)
                .with(field, value.clone())
                .json()
                .clone(),
        );
    }
    fixture.scratch.write("accounts.json", json!(accounts).to_string());
    fixture
}

/// A pipeline that sends one email, with this trigger.
pub(crate) fn sending(trigger: &Value) -> Value {
    json!({ "triggerSpec": trigger, "flowSpec": { "start": [email()] } })
}

/// A step that sends `message.body.subject`.
pub(crate) fn email() -> Value {
    json!({
        "type": "connector",
        "name": "email-connector-v2",
        "stepName": "Send",
        "accountLabel": "mail",
        "params": {
            "from": USER,
            "to": "someone@example.test",
            "subject": "{{ message.body.subject }}",
            "text": "x",
            "body": "",
            "failOnError": true,
            // The service tries again, and not the step.
            "retry": false,
        },
    })
}

/// A message for [`sending`].
pub(crate) fn subject(subject: &str) -> Value {
    json!({ "subject": subject })
}

/// Publishes an `order.paid` of the shop, and gives the answer.
pub(crate) fn publish(served: &Served, id: &str, body: &Value) -> Reply {
    let token = format!("Bearer {}", served.token());
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-type", "order.paid"),
        ("ce-source", "/shop"),
        ("ce-id", id),
    ];
    let reply = request(served.triggers, "POST", "/events", &headers, &body.to_string());
    reply.expect("an answer")
}
