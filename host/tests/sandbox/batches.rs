//! A connector that is stopped in the middle of a batch: what becomes of the calls beside the one that stopped it.

use pipepost::{FailureKind, RunOptions, RunReport, TimeLimit};
use serde_json::{Value, json};

use crate::caller::{Scene, good_end};
use crate::common::run_with;

/// All that it takes to send a message with this subject, over a connection of its own.
fn sending(scene: &Scene, subject: &str) -> Vec<Value> {
    let content = format!("Subject: {subject}\r\n\r\nx\r\n.\r\n");
    [scene.at_content(), good_end(&content)].concat()
}

/// The iterations of a parallel loop meet at its step and are handed over in one batch: one call does each of these.
async fn batch(scene: &Scene, calls: &[Vec<Value>]) -> RunReport {
    let step = json!({
        "type": "connector",
        "name": "caller",
        "stepName": "The step",
        "accountLabel": "mail",
        "params": { "do": "{{ message }}" },
    });
    let each = json!({
        "type": "connector",
        "name": "for-each-connector",
        "stepName": "Each",
        "params": { "jsonPath": "$.calls", "parallel": true, "onProcess": "each" },
    });
    let document = json!({ "name": "test", "flowSpec": { "start": [each], "each": [step] } });
    let mut options = RunOptions::new(json!({ "calls": calls }));
    options.time_limit = TimeLimit::None;
    run_with(&scene.host, &document.to_string(), options).await
}

fn subjects(scene: &Scene) -> Vec<String> {
    let messages = scene.server.inbox.messages();
    let mut subjects: Vec<String> = messages
        .iter()
        .filter_map(|message| message.header("subject"))
        .collect();
    subjects.sort();
    subjects
}

#[tokio::test]
async fn one_messages_poison_does_not_take_its_neighbours() {
    for poison in ["panic", "loop"] {
        let scene = Scene::new().await;
        let calls = [
            sending(&scene, "first"),
            vec![json!([poison])],
            sending(&scene, "second"),
            sending(&scene, "third"),
        ];
        let report = batch(&scene, &calls).await;
        assert_eq!(
            (report.counts.sent, report.counts.failed, report.counts.uncertain),
            (3, 1, 0),
            "{poison}: {report:?}"
        );
        let (_, failure) = &report.tolerated[0];
        assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
        assert_eq!(subjects(&scene), ["first", "second", "third"], "{poison}");
        scene.is_unharmed().await;
    }
}

/// What was announced is not run again, alone or otherwise: it may have been sent.
#[tokio::test]
async fn a_call_that_announced_a_part_is_not_run_again_after_a_trap() {
    let scene = Scene::new().await;
    let announced = [
        scene.at_content(),
        vec![
            json!(["commit", "0"]),
            json!(["write", "Subject: perhaps\r\n\r\nx\r\n.\r\n"]),
            json!(["read"]),
            json!(["panic"]),
        ],
    ]
    .concat();
    let calls = [announced, sending(&scene, "neighbour")];
    let report = batch(&scene, &calls).await;
    assert_eq!(
        (report.counts.sent, report.counts.failed, report.counts.uncertain),
        (1, 0, 1),
        "{report:?}"
    );
    assert_eq!(subjects(&scene), ["neighbour", "perhaps"]);
    scene.is_unharmed().await;
}
