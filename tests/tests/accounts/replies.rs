//! Each reply of the table, played by the inbox at its real place, through the whole host.

use std::collections::BTreeMap;

use pipepost::{Host, RunOptions};
use pipepost_accounts::{Accounts, Environment};
use pipepost_inbox::Script;
use pipepost_inbox::script::{At, Rule};
use pipepost_tests::{Catcher, document, email, root};
use serde_json::{Value, json};

/// One block of the table's file.
#[derive(Debug, Default)]
struct Case {
    fields: BTreeMap<String, String>,
    reply: Vec<String>,
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(root().join("crates/gmail/tests/replies.txt")).expect("the table's replies");
    let mut cases = vec![Case::default()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let case = cases.last_mut().expect("one is always there");
        if line.trim().is_empty() {
            if !case.reply.is_empty() {
                cases.push(Case::default());
            }
        } else if let Some(reply) = line.strip_prefix("> ") {
            case.reply.push(reply.to_owned());
        } else if let Some((name, value)) = line.split_once(": ") {
            case.fields.insert(name.to_owned(), value.to_owned());
        }
    }
    cases.retain(|case| !case.reply.is_empty());
    cases
}

impl Case {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Where the inbox says it; none for places that a script has no name for.
    fn place(&self) -> Option<At> {
        Some(match self.field("stage")? {
            "greeting" => At::Greeting,
            "ehlo" => At::Ehlo,
            "starttls" => At::Starttls,
            "auth" => At::SignIn,
            "mail" => At::Mail,
            "rcpt" => At::Rcpt,
            "data" | "content" => At::Content,
            _ => return None,
        })
    }

    /// The reply as a server sends it, when it is one.
    fn said(&self) -> Option<String> {
        let is_line = |line: &String| line.len() > 3 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit);
        self.reply.iter().all(is_line).then(|| self.reply.join("\n"))
    }
}

#[tokio::test]
async fn each_row_of_the_table_reaches_the_step_with_its_kind_and_advice() {
    let server = Catcher::start(Script::new());
    let mut played = std::collections::BTreeSet::new();
    let mut wrong = Vec::new();
    let accounts = Accounts::from_json(&server.account().to_string(), &root(), &Environment::process())
        .expect("the account is good");
    let mut builder = Host::builder().accounts(accounts);
    if let Some(cache) = cache() {
        builder = builder.cache(cache);
    }
    builder = builder.connectors_from(root().join("target/connectors"));
    let host = builder.build().await.expect("a host");
    let pipeline = host
        .prepare(&document(&[email(json!({ "failOnError": false }))]).to_string())
        .expect("the document is good");
    for case in cases() {
        let (Some(place), Some(said)) = (case.place(), case.said()) else {
            continue;
        };
        // Rows of other providers are known by their hosts, and this server is none of them.
        if case.field("host").is_some() {
            continue;
        }
        let row = case.field("row").unwrap_or_default().to_owned();
        server.inbox().set_script(Script::new().rule(Rule::at(place).reply(said)));
        // A connection that lies warm has the script of its beginning.
        host.close().await;
        let report = host.run(&pipeline, RunOptions::new(json!({}))).await;
        let output = match &report.result {
            Ok(output) => output.clone(),
            Err(error) => error.object.clone(),
        };
        if let Some(problem) = judge(&case, &output) {
            wrong.push(format!("{row} at {place:?}: {problem}\n{output:#}"));
        }
        played.insert(row);
    }
    host.close().await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), played.len(), wrong.join("\n\n"));
    assert!(played.len() > 60, "only {} rows were played", played.len());
}

/// What is wrong with the output, if anything.
fn judge(case: &Case, output: &Value) -> Option<String> {
    let failure = &output["failure"];
    let rejected = &output["rejected"][0];
    let kind = failure["kind"].as_str().or_else(|| rejected["kind"].as_str())?;
    let expected = case.field("kind")?;
    // Recipients that are to be split off are told as transient.
    if kind != expected {
        return Some(format!("the kind is {kind}, not {expected}"));
    }
    let said = output.to_string();
    for word in case.field("advice").into_iter().flat_map(|words| words.split(", ")) {
        if !said.to_lowercase().contains(&word.to_lowercase()) {
            return Some(format!("`{word}` is not said"));
        }
    }
    None
}

/// The compiled connector is shared with the other tests.
fn cache() -> Option<std::path::PathBuf> {
    let folder = root().join("target/tests-cache/pipepost");
    std::fs::create_dir_all(&folder).ok()?;
    folder.canonicalize().ok()
}
