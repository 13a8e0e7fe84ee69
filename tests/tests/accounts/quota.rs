//! Limits and pauses, through the real binary. What they do with time is shown on a simulated clock, in the host.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Event, Script};
use pipepost_tests::{Catcher, Ending, Scratch, document, email};
use serde_json::{Value, json};

/// Two messages, whatever becomes of the first.
fn send_two(account: &Value) -> Ending {
    let step = || email(json!({ "failOnError": false }));
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[step(), step()]).to_string());
    scratch.write("accounts.json", account.to_string());
    scratch.run(&[])
}

#[test]
fn a_quota_of_the_servers_pauses_the_account_for_the_rest_of_the_run() {
    let quota = "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n\
                 550 5.4.5 sending limits go to  https://support.google.com/a/answer/166852 a12 - gsmtp";
    let server = Catcher::start(Script::new().rule(Rule::at(At::Mail).reply(quota)));
    let ending = send_two(&server.account())
        .with_code(75)
        .says(&["pauses", "it goes on at "]);
    let output = ending.json();
    assert_eq!(output["failure"]["kind"], "quota", "{ending}");
    assert!(
        output["failure"]["wait"].as_u64().is_some_and(|wait| wait > 86_000),
        "{ending}"
    );
    assert_eq!(server.commands("MAIL").len(), 1, "nothing is sent while it pauses");
}

#[test]
fn the_next_run_knows_the_pause_says_until_when_and_sends_nothing() {
    let quota = "550 5.4.5 Daily user sending limit exceeded. a12 - gsmtp";
    let server = Catcher::start(Script::new().rule(Rule::at(At::Mail).times(1).reply(quota)));
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", server.account().to_string());
    let run = || scratch.run(&["--state", "kept"]);
    run().with_code(75).says(&["The account `mail` pauses; it goes on at "]);
    let ending = run()
        .with_code(75)
        .says(&["nothing was sent; it goes on at ", "pipepost accounts resume mail"]);
    let failure = &ending.json()["failure"];
    assert_eq!(failure["kind"], "quota", "{ending}");
    assert_eq!(
        failure["remedy"],
        json!({ "kind": "resume-account", "account": "mail" }),
        "{ending}"
    );
    assert!(!failure["advice"].to_string().contains("pipepost"), "{ending}");
    assert!(failure["wait"].as_u64().is_some_and(|wait| wait > 86_000), "{ending}");
    assert_eq!(server.commands("EHLO").len(), 2, "the second run did not even call");
    let resume = || {
        scratch
            .pipepost(&["accounts", "resume", "mail", "--state", "kept"])
            .with_code(0)
    };
    resume().says(&["mail may send again"]);
    run().with_code(0);
    assert_eq!(server.messages().len(), 1);
    resume().says(&["does not pause"]);
}

#[test]
fn two_processes_share_a_limit_of_a_day_to_the_last_message() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["limits"] = json!({ "messages_per_day": 9 });
    let scratch = Scratch::new();
    let steps: Vec<Value> = (0..8).map(|_| email(json!({ "failOnError": false }))).collect();
    scratch.write("pipeline.json", document(&steps).to_string());
    scratch.write("accounts.json", account.to_string());
    let arguments = ["run", "pipeline.json", "--accounts", "accounts.json", "--state", "kept"];
    let both = [scratch.start(&arguments), scratch.start(&arguments)];
    let endings = both.map(|running| running.end(&[]));
    assert_eq!(server.messages().len(), 9, "{}{}", endings[0], endings[1]);
    // Sixteen were wanted, so at least one of the two ended with a message that it could not send.
    let full: Vec<&Ending> = endings.iter().filter(|ending| ending.code == Some(75)).collect();
    assert!(!full.is_empty(), "{}{}", endings[0], endings[1]);
    for ending in full {
        assert!(ending.stderr.contains("limits.messages_per_day"), "{ending}");
    }
    // A third one finds the day full.
    scratch.run(&["--state", "kept"]).with_code(75);
    assert_eq!(server.messages().len(), 9);
}

/// A server that takes the second message of a connection and holds its answer back, once; the bell rings when it has it.
fn holds_the_second_answer() -> (Catcher, Receiver<()>) {
    let (sender, bell) = channel();
    let rule = Rule::at(At::Content).nth(2).times(1).obey(true).hold("for ever");
    let caught = AtomicUsize::new(0);
    let server = Catcher::with(|builder| {
        builder.script(Script::new().rule(rule)).observer(move |event| {
            if matches!(event, Event::Caught { .. }) && caught.fetch_add(1, Ordering::SeqCst) == 1 {
                // Nobody listens after the test.
                let _ = sender.send(());
            }
        })
    });
    (server, bell)
}

/// Three messages of an account that may send three a day, by a process that is killed while the second is under way.
fn killed_at_the_second(server: &Catcher, bell: &Receiver<()>, more: &[&str]) -> Scratch {
    let mut account = server.account();
    account["limits"] = json!({ "messages_per_day": 3 });
    let scratch = Scratch::new();
    let step = || email(json!({ "failOnError": false }));
    scratch.write("pipeline.json", document(&[step(), step(), step()]).to_string());
    scratch.write("accounts.json", account.to_string());
    let arguments = [
        &["run", "pipeline.json", "--accounts", "accounts.json", "--state", "kept"],
        more,
    ];
    let ended = scratch.start(&arguments.concat()).kill_at(bell);
    assert!(ended.is_none(), "it was to be killed: {ended:?}");
    assert_eq!(server.messages().len(), 2);
    scratch
}

#[test]
fn what_a_killed_process_sent_and_had_under_way_counts_for_the_next_run() {
    let (server, bell) = holds_the_second_answer();
    let scratch = killed_at_the_second(&server, &bell, &[]);
    let run = || {
        scratch
            .run(&["--state", "kept"])
            .with_code(75)
            .says(&["limits.messages_per_day"])
    };
    run();
    assert_eq!(server.messages().len(), 3, "one more was left");
    run();
    assert_eq!(server.messages().len(), 3, "none was left");
}

#[test]
fn what_a_killed_execution_sent_is_neither_sent_nor_counted_again() {
    let (server, bell) = holds_the_second_answer();
    let named = ["--execution", "once"];
    let scratch = killed_at_the_second(&server, &bell, &named);
    let finish = || scratch.run(&["--state", "kept", named[0], named[1]]).with_code(74);
    // The third is the last that this day has room for; what nobody can tell of is told, and not sent.
    finish().says(&["may have been sent before"]);
    assert_eq!(server.messages().len(), 3);
    let ids: BTreeSet<_> = server.messages().iter().map(|message| message.message_id()).collect();
    assert_eq!(ids.len(), 3, "none was sent twice");
    finish();
    scratch
        .run(&["--state", "kept"])
        .with_code(75)
        .says(&["limits.messages_per_day"]);
    assert_eq!(server.messages().len(), 3, "the day is full");
}

#[test]
fn a_message_in_several_transactions_counts_as_several() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["limits"] = json!({ "recipients_per_message": 1, "messages_per_day": 2 });
    let scratch = Scratch::new();
    let to = "a@example.test, b@example.test, c@example.test";
    scratch.write(
        "pipeline.json",
        document(&[email(json!({ "to": to, "failOnError": false }))]).to_string(),
    );
    scratch.write("accounts.json", account.to_string());
    let output = scratch.run(&[]).json();
    assert_eq!(server.messages().len(), 2, "{output:#}");
    assert_eq!(output["accepted"].as_array().map(Vec::len), Some(2), "{output:#}");
    assert_eq!(output["rejected"][0]["kind"], "quota", "{output:#}");
}

#[test]
fn a_state_that_cannot_be_written_is_told_where_an_account_states_limits() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["limits"] = json!({ "messages_per_day": 2 });
    let scratch = Scratch::new();
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", account.to_string());
    scratch.write("kept", "a file where the directory is to be");
    scratch
        .run(&["--state", "kept"])
        .with_code(78)
        .says(&["states limits", "Use a state directory that can be written"]);
    assert_eq!(server.messages().len(), 0);
    // The usual place is nobody's wish: without it the run goes on, and says what that means.
    let scratch = scratch.variable("XDG_STATE_HOME", "/dev/null/nowhere");
    scratch.run(&[]).with_code(0).says(&["within this run alone"]);
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn too_many_sign_ins_are_answered_by_making_none_and_never_as_a_wrong_password() {
    let refusal = "454 4.7.0 Too many login attempts, please try again later. a12 - gsmtp";
    let server = Catcher::start(Script::new().rule(Rule::at(At::SignIn).reply(refusal)));
    let ending = send_two(&server.account()).with_code(75);
    assert_eq!(ending.json()["failure"]["kind"], "transient", "{ending}");
    assert_eq!(server.commands("AUTH").len(), 1, "{ending}");
}

#[test]
fn an_accounts_own_limit_for_a_day_is_kept() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["limits"] = json!({ "messages_per_day": 1 });
    let ending = send_two(&account).with_code(75).says(&["limits.messages_per_day"]);
    assert_eq!(ending.json()["failure"]["kind"], "quota", "{ending}");
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn recipients_beyond_the_limit_go_into_further_transactions() {
    let server = Catcher::start(Script::new());
    let mut account = server.account();
    account["limits"] = json!({ "recipients_per_message": 2, "messages_per_second": 100 });
    let scratch = Scratch::new();
    let to = "a@example.test, b@example.test, c@example.test";
    scratch.write("pipeline.json", document(&[email(json!({ "to": to }))]).to_string());
    scratch.write("accounts.json", account.to_string());
    let output = scratch.run(&[]).with_code(0).json();
    assert_eq!(output["accepted"].as_array().map(Vec::len), Some(3), "{output:#}");
    let mut sizes: Vec<usize> = server
        .messages()
        .iter()
        .map(|message| message.envelope.to.len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
}
