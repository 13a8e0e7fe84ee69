//! Connectors that speak in a way that the host might read otherwise than the server: no message leaves that no part was
//! announced for, and none is recorded as sent or not sent by the reply to something else.

use pipepost::RunReport;
use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::{Value, json};

use crate::caller::{CONTENT, Scene, denied};
use crate::common::fails;

fn write(text: impl Into<String>) -> Value {
    json!(["write", text.into()])
}

/// Reads so many replies, in one piece or in several.
fn replies(count: usize) -> Value {
    json!(["replies", count.to_string()])
}

fn commit() -> Value {
    json!(["commit", "0"])
}

/// What every message that arrives is recorded as, whatever the connector says at the end.
#[track_caller]
fn every_message_is_recorded(scene: &Scene, report: &RunReport, acts: &[Value]) {
    let (arrived, counts) = (scene.server.inbox.messages().len() as u64, report.counts);
    assert!(
        arrived <= counts.sent + counts.uncertain,
        "{arrived} arrived, {counts:?}: {acts:?}\n{report:?}"
    );
}

/// What a connector may say of a part in the end.
fn claims() -> [Vec<Value>; 5] {
    [
        vec![json!(["confirm", "0"]), json!(["settle", "ok"])],
        vec![
            json!(["refuse", "0", "550 5.7.1 Refused"]),
            json!(["settle", "refused"]),
        ],
        vec![json!(["settle", "transient"])],
        vec![json!(["settle", "refused"])],
        vec![json!(["drop"]), json!(["settle", "transient"])],
    ]
}

fn refusing() -> Script {
    Script::new()
        .rule(Rule::at(At::Content).contains("unwanted").reply("550 5.7.1 Refused"))
        .rule(Rule::at(At::Vrfy).reply("550 5.7.1 Refused"))
}

/// A connection with a transaction that the server would take content for, with BDAT or behind DATA.
const TRANSACTION: &str = "MAIL FROM:<robot@example.com>\r\nRCPT TO:<ann@example.com>\r\n";

#[tokio::test]
async fn a_reply_to_another_command_confirms_nothing() {
    let unwanted = "Subject: unwanted\r\n\r\nx\r\n.\r\n";
    for behind in ["NOOP\r\n", "RSET\r\n", "EHLO caller.example\r\n", "HELP\r\n"] {
        for acts in [
            // The message was refused, and what follows is answered with 250.
            vec![commit(), write(unwanted), replies(1), write(behind), replies(1)],
            vec![commit(), write(format!("{unwanted}{behind}")), replies(2)],
            // Only the command left, and the message never did.
            vec![write("RSET\r\n"), replies(1), commit(), write(behind), replies(1)],
        ] {
            let scene = Scene::scripted(Security::StartTls, json!({}), refusing()).await;
            let before = if acts[0] == commit() {
                scene.at_content()
            } else {
                scene.signed_in()
            };
            let report = scene
                .run(&[before, acts.clone(), vec![json!(["confirm", "0"])]].concat())
                .await;
            fails(&report, pipepost::FailureKind::Uncertain, "");
            assert_eq!(report.counts.sent, 0, "{acts:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_another_command_refuses_no_message() {
    for acts in [
        vec![commit(), write(CONTENT), replies(1), write("VRFY ann\r\n"), replies(1)],
        vec![commit(), write(format!("{CONTENT}VRFY ann\r\n")), replies(2)],
    ] {
        let scene = Scene::scripted(Security::StartTls, json!({}), refusing()).await;
        let end = [
            json!(["refuse", "0", "550 5.7.1 Refused"]),
            json!(["settle", "refused"]),
        ];
        let report = scene.run(&[&scene.at_content()[..], &acts, &end].concat()).await;
        assert_eq!((report.counts.uncertain, report.counts.failed), (1, 0), "{report:?}");
        assert_eq!(scene.server.inbox.messages().len(), 1);
    }
}

#[tokio::test]
async fn no_message_leaves_without_an_announcement() {
    let chunk = format!("{TRANSACTION}BDAT 14 LAST\r\nSubject: x\r\n\r\n");
    let half = format!("{TRANSACTION}BDAT 10\r\nSubject: xBDAT 4 LAST\r\n\r\n\r\n");
    let none = format!("{TRANSACTION}BDAT 14\r\nSubject: x\r\n\r\nBDAT 0 LAST\r\n");
    for text in [chunk.as_str(), half.as_str(), none.as_str()] {
        let scene = Scene::new().await;
        let came_to = scene.come_to(&scene.signed_in(), &[write(text), replies(1)]).await;
        denied(&came_to[0], "only after its part was announced");
        assert_eq!(came_to[1], "closed");
        assert_eq!(scene.server.inbox.messages().len(), 0, "{text:?}");
    }
    for content in [CONTENT, ".\r\n"] {
        let scene = Scene::new().await;
        let came_to = scene.come_to(&scene.at_content(), &[write(content), replies(1)]).await;
        denied(&came_to[0], "only after its part was announced");
        assert_eq!(scene.server.inbox.messages().len(), 0, "{content:?}");
    }
}

#[tokio::test]
async fn one_announcement_is_for_one_message() {
    let chunk = format!("{TRANSACTION}BDAT 14 LAST\r\nSubject: x\r\n\r\n");
    for claim in claims() {
        for way in 0..5 {
            let scene = Scene::scripted(Security::StartTls, json!({}), refusing()).await;
            let first = [commit(), write(chunk.clone())];
            let again = write(chunk.clone());
            let confirm = json!(["confirm", "0"]);
            let acts = match way {
                0 => vec![commit(), write(chunk.repeat(2))],
                1 => [&first[..], &[again]].concat(),
                2 => [&first[..], &[replies(3), again]].concat(),
                3 => [&first[..], &[replies(3), confirm, again]].concat(),
                // On the next connection.
                _ => [&first[..], &[json!(["drop"])], &scene.signed_in(), &[again]].concat(),
            };
            let report = scene
                .run(&[scene.signed_in(), acts.clone(), claim.clone()].concat())
                .await;
            every_message_is_recorded(&scene, &report, &acts);
            assert!(scene.server.inbox.messages().len() <= 1, "{acts:?}");
        }
    }
}

#[tokio::test]
async fn what_a_server_could_read_in_another_way_does_not_leave() {
    let hidden = format!("{TRANSACTION}DATA\r\nSubject: hidden\r\n\r\nx\r\n.\r\n");
    let chunk_of_commands = format!("BDAT {}\r\n{hidden}", hidden.len());
    let padded = format!("{TRANSACTION}BDAT 14{}LAST\r\nSubject: x\r\n\r\n", " ".repeat(100));
    for (text, words) in [
        (hidden.clone(), "between DATA and its reply"),
        (hidden.replace("\r\n", "\n"), "CR and LF"),
        (hidden.replace("\r\n", "\r"), "CR and LF"),
        (format!("NOOP\n{hidden}"), "CR and LF"),
        (format!("NOOP\r{hidden}"), "CR and LF"),
        (chunk_of_commands.replace("BDAT ", "BDAT +"), "a number of octets"),
        (chunk_of_commands.replace("BDAT ", "BDAT 0x"), "a number of octets"),
        (chunk_of_commands.replace("BDAT ", "BDAT -"), "a number of octets"),
        (
            format!("{TRANSACTION}BDAT 14 LASTLY\r\nSubject: x\r\n\r\n"),
            "a number of octets",
        ),
        (padded, "a number of octets"),
        (
            format!("{TRANSACTION}BURL imap://example.com LAST\r\n"),
            "only the commands",
        ),
        (format!("XEXCH50 {} 2\r\n{hidden}", hidden.len()), "only the commands"),
        ("XCLIENT ADDR=127.0.0.1\r\n".to_owned(), "only the commands"),
        ("ETRN example.com\r\n".to_owned(), "only the commands"),
        ("AUTH PLAIN\r\n".to_owned(), "only the commands"),
        ("\r\n".to_owned(), "only the commands"),
        (
            format!("NOOP {}\r\n", "x".repeat(4000)),
            "longer than a server has to read",
        ),
    ] {
        let scene = Scene::new().await;
        let acts = [write(text.clone()), write("NOOP\r\n"), replies(1)];
        let came_to = scene.come_to(&scene.signed_in(), &acts).await;
        denied(&came_to[0], words);
        assert_eq!(came_to[1..], ["closed", "closed"], "{text:?}");
        assert_eq!(scene.server.inbox.messages().len(), 0, "{text:?}");
    }
    // Within content too, where a server that takes another line end would see the end of one message and the next.
    for content in [
        "x\n.\nNOOP\r\n.\r\n",
        "x\r.\rNOOP\r\n.\r\n",
        "x\n.\r\n.\r\n",
        "x\r\n.\n.\r\n",
        "\r\r\n.\r\n",
    ] {
        let scene = Scene::new().await;
        let report = scene
            .run(
                &[
                    scene.at_content(),
                    vec![commit(), write(content), json!(["confirm", "0"])],
                ]
                .concat(),
            )
            .await;
        assert_eq!(report.counts.sent, 0, "{content:?}");
        assert_eq!(scene.server.inbox.messages().len(), 0, "{content:?}");
    }
}

#[tokio::test]
async fn a_chunk_leaves_only_where_the_server_reads_chunks() {
    // To a server without CHUNKING these octets are commands.
    let hidden = format!("{TRANSACTION}DATA\r\n");
    let text = format!("BDAT {}\r\n{hidden}", hidden.len());
    let scene = Scene::scripted(Security::StartTls, json!({}), Script::new().strip("CHUNKING")).await;
    let came_to = scene.come_to(&scene.signed_in(), &[write(text.clone())]).await;
    denied(&came_to[0], "did not offer CHUNKING");
    let scene = Scene::new().await;
    assert_eq!(scene.come_to(&scene.signed_in(), &[write(text)]).await, ["ok"]);
}

#[tokio::test]
async fn content_that_nobody_gets_needs_no_announcement() {
    let scene = Scene::scripted(
        Security::StartTls,
        json!({}),
        Script::new()
            .rule(Rule::at(At::Rcpt).reply("550 5.1.1 Nobody"))
            .rule(Rule::at(At::Data).reply("354 Go on")),
    )
    .await;
    let came_to = scene.come_to(&scene.at_content(), &[write(".\r\n")]).await;
    assert_eq!(came_to, ["ok"]);
    assert_eq!(scene.server.inbox.messages().len(), 0);
}
