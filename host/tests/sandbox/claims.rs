//! Connectors that claim what is not so: how the host settles it by the bytes that it has seen itself.

use pipepost::FailureKind;
use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::{Value, json};

use crate::caller::{CONTENT, Scene, good_end};
use crate::common::{document, fails, run};

/// What is claimed, after the server waits for the content, and how the host settles it.
async fn settled(acts: &[Value], kind: FailureKind, words: &str) {
    let scene = Scene::new().await;
    let report = scene.run(&[&scene.at_content()[..], acts].concat()).await;
    fails(&report, kind, words);
    let (uncertain, failed) = if kind == FailureKind::Uncertain { (1, 0) } else { (0, 1) };
    assert_eq!(
        (report.counts.sent, report.counts.uncertain, report.counts.failed),
        (0, uncertain, failed)
    );
    scene.is_unharmed().await;
}

const UNPROVEN: &str = "may have been sent and may not";

#[tokio::test]
async fn an_announcement_without_a_write() {
    let announced = json!(["commit", "0"]);
    settled(std::slice::from_ref(&announced), FailureKind::Uncertain, UNPROVEN).await;
    settled(
        &[announced.clone(), json!(["confirm", "0"])],
        FailureKind::Uncertain,
        UNPROVEN,
    )
    .await;
    // Nothing was written, and nothing else is claimed: it was not sent.
    settled(
        &[announced.clone(), json!(["settle", "transient"])],
        FailureKind::Transient,
        "Try again",
    )
    .await;
    settled(&[announced, json!(["panic"])], FailureKind::Limit, "it gave up").await;
}

#[tokio::test]
async fn a_write_without_an_announcement() {
    let written = [json!(["write", CONTENT]), json!(["read"])];
    settled(&written, FailureKind::Uncertain, UNPROVEN).await;
    let confirmed = [&written[..], &[json!(["confirm", "0"])]].concat();
    settled(&confirmed, FailureKind::Uncertain, UNPROVEN).await;
    let late = [&written[..], &[json!(["commit", "0"]), json!(["confirm", "0"])]].concat();
    settled(&late, FailureKind::Uncertain, UNPROVEN).await;
}

#[tokio::test]
async fn a_success_without_a_reply() {
    let acts = [
        json!(["commit", "0"]),
        json!(["write", CONTENT]),
        json!(["confirm", "0"]),
    ];
    settled(&acts, FailureKind::Uncertain, UNPROVEN).await;
}

#[tokio::test]
async fn a_failure_after_the_write_without_a_reply_that_proves_it() {
    let written = [json!(["commit", "0"]), json!(["write", CONTENT]), json!(["read"])];
    let with = |acts: &[Value]| [&written[..], acts].concat();
    settled(
        &with(&[json!(["settle", "transient"])]),
        FailureKind::Uncertain,
        UNPROVEN,
    )
    .await;
    settled(&with(&[json!(["settle", "refused"])]), FailureKind::Uncertain, UNPROVEN).await;
    let invented = [
        json!(["refuse", "0", "554 5.7.1 Invented"]),
        json!(["settle", "refused"]),
    ];
    settled(&with(&invented), FailureKind::Uncertain, UNPROVEN).await;
}

#[tokio::test]
async fn a_refusal_is_believed_by_the_reply_that_came_after_the_announcement() {
    let script = || {
        Script::new()
            .rule(Rule::at(At::Noop).reply("550 5.7.1 Refused"))
            .rule(Rule::at(At::Content).contains("unwanted").reply("550 5.7.1 Refused"))
    };
    let refuse = [
        json!(["refuse", "0", "550 5.7.1 Refused"]),
        json!(["settle", "refused"]),
    ];
    for (content, kind) in [
        ("unwanted\r\n.\r\n", FailureKind::Refused),
        (CONTENT, FailureKind::Uncertain),
    ] {
        let scene = Scene::scripted(Security::StartTls, json!({}), script()).await;
        // A refusal of something else, beforehand, is no evidence for later.
        let before = [json!(["write", "NOOP\r\n"]), json!(["read"])];
        let end = [json!(["commit", "0"]), json!(["write", content]), json!(["read"])];
        let at_content = scene.at_content();
        let (signed_in, rest) = at_content.split_at(scene.signed_in().len());
        let acts = [signed_in, &before, rest, &end, &refuse].concat();
        fails(&scene.run(&acts).await, kind, "");
        assert_eq!(
            scene.server.inbox.messages().len(),
            usize::from(kind == FailureKind::Uncertain)
        );
    }
}

#[tokio::test]
async fn a_piece_of_a_reply_proves_no_refusal() {
    // The queue's number of a message that was taken reads like a 4yz.
    let taken = "250 2.0.0 OK 434 1764349999";
    for evidence in ["434 1764349999", "434", "450 2.0.0 OK"] {
        let script = Script::new().rule(Rule::at(At::Content).contains("odd").reply(taken));
        let scene = Scene::scripted(Security::StartTls, json!({}), script).await;
        let acts = [
            json!(["commit", "0"]),
            json!(["write", "odd\r\n.\r\n"]),
            json!(["read"]),
            json!(["refuse", "0", evidence]),
            json!(["settle", "refused"]),
        ];
        let report = scene.run(&[&scene.at_content()[..], &acts].concat()).await;
        fails(&report, FailureKind::Uncertain, UNPROVEN);
        assert_eq!(report.counts.uncertain, 1, "{evidence}");
    }
}

#[tokio::test]
async fn one_reply_confirms_one_part() {
    let twice = [
        json!(["commit", "0"]),
        json!(["commit", "1"]),
        json!(["write", CONTENT]),
        json!(["read"]),
        json!(["confirm", "0"]),
        json!(["confirm", "1"]),
    ];
    settled(&twice, FailureKind::Uncertain, UNPROVEN).await;
}

#[tokio::test]
async fn a_reply_from_before_the_write_confirms_nothing() {
    let scene = Scene::new().await;
    let at_content = scene.at_content();
    let (signed_in, rest) = at_content.split_at(scene.signed_in().len());
    // Its reply is read after the announcement, and before anything left that it could answer.
    let early = [json!(["write", "NOOP\r\n"]), json!(["commit", "0"]), json!(["read"])];
    let end = [json!(["confirm", "0"])];
    let report = scene.run(&[signed_in, &early, &end].concat()).await;
    fails(&report, FailureKind::Uncertain, UNPROVEN);
    // A reply that is no success confirms nothing either: the 354 to DATA.
    let report = scene
        .run(&[signed_in, &rest[..5], &[json!(["commit", "0"])], &rest[5..], &end].concat())
        .await;
    fails(&report, FailureKind::Uncertain, UNPROVEN);
    scene.is_unharmed().await;
}

#[tokio::test]
async fn what_is_kept_of_calls_in_doubt_has_a_bound() {
    let scene = Scene::new().await;
    let told = json!(["commit-with-values", "0", "600000"]);
    let report = scene.run(&[scene.signed_in(), vec![told]].concat()).await;
    fails(&report, FailureKind::Limit, "JSON values that are kept of one batch");
    // Told again and again, each in place of the one before, it is kept once.
    let again = |part: &str| [json!(["commit-with-values", part, "200000"])];
    let acts = [again("0"), again("1"), again("2"), again("3")].concat();
    let report = scene.run(&[scene.signed_in(), acts].concat()).await;
    fails(&report, FailureKind::Uncertain, UNPROVEN);
    // What is in doubt, and what is confirmed, count together.
    let acts = [
        json!(["commit-with-values", "0", "300000"]),
        json!(["confirm-with-values", "0", "300000"]),
    ];
    let report = scene.run(&[scene.signed_in(), acts.to_vec()].concat()).await;
    fails(&report, FailureKind::Limit, "JSON values that are kept of one batch");
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_part_is_announced_once() {
    let scene = Scene::new().await;
    let came_to = scene
        .come_to(&scene.at_content(), &[json!(["commit", "0"]), json!(["commit", "0"])])
        .await;
    assert_eq!(came_to[0], "ok");
    assert!(came_to[1].contains("laimed"), "{came_to:?}");
}

#[tokio::test]
async fn a_trap_in_the_middle_of_a_conversation() {
    let written = [json!(["commit", "0"]), json!(["write", CONTENT])];
    for (end, words) in [("panic", "it gave up"), ("loop", "more CPU time than it may")] {
        settled(&[json!([end])], FailureKind::Limit, words).await;
        settled(&[&written[..], &[json!([end])]].concat(), FailureKind::Uncertain, words).await;
        let half = [json!(["commit", "0"]), json!(["write", "Subject: half"]), json!([end])];
        settled(&half, FailureKind::Uncertain, words).await;
        // Confirmed, and then it went mad: the message is gone, and nobody can say so for it.
        settled(
            &[&good_end(CONTENT)[..], &[json!([end])]].concat(),
            FailureKind::Uncertain,
            words,
        )
        .await;
    }
}

#[tokio::test]
async fn what_was_said_of_a_call_in_doubt_is_told_for_a_connector_that_is_stopped() {
    let said = r#"{"to":"ann@example.com","success":true,"outcome":"sent"}"#;
    for (told, to) in [
        (said, json!("ann@example.com")),
        ("no JSON", Value::Null),
        ("[1]", Value::Null),
    ] {
        let scene = Scene::new().await;
        let end = [
            json!(["commit", "0", told]),
            json!(["write", CONTENT]),
            json!(["panic"]),
        ];
        let acts = [&scene.at_content()[..], &end].concat();
        let document = document("caller", Some("mail"), json!({ "do": acts }));
        let output = run(&scene.host, &document).await.result.expect("the run goes on");
        assert_eq!(output["to"], to, "{output}");
        assert_eq!(
            (&output["success"], &output["outcome"]),
            (&json!(false), &json!("uncertain"))
        );
        scene.is_unharmed().await;
    }
}

#[tokio::test]
async fn what_is_said_of_a_call_in_doubt_is_about_this_batch_and_of_bearable_length() {
    settled(
        &[json!(["commit-for-another", "0"])],
        FailureKind::Limit,
        "not of this batch",
    )
    .await;
    settled(
        &[json!(["commit-at-length", "0"])],
        FailureKind::Limit,
        "that a result may have",
    )
    .await;
}

#[tokio::test]
async fn what_was_settled_before_a_trap_stays_settled() {
    let scene = Scene::new().await;
    let acts = [
        scene.at_content(),
        good_end(CONTENT),
        vec![json!(["settle", "ok"]), json!(["panic"])],
    ]
    .concat();
    let report = scene.run(&acts).await;
    assert_eq!(report.result.expect("it was sent")["success"], true);
    assert_eq!(scene.server.inbox.messages().len(), 1);
    scene.is_unharmed().await;
}
