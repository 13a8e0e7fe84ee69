//! What servers say of secrets, to a connector that repeats all it reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::{Value, json};

use crate::caller::Scene;
use crate::common::{PASSWORD, USER};

async fn scripted(script: Script) -> Scene {
    Scene::scripted(Security::StartTls, json!({}), script).await
}

/// The server answers, to a sign-in, what is not a reply to it, and then quotes the command that it did not know.
fn late_echo(first: Rule) -> Script {
    let response = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    Script::new()
        .rule(first)
        .rule(Rule::at(At::Noop).reply(format!("501 Syntax error in: AUTH PLAIN {response}")))
}

#[tokio::test]
async fn a_sign_in_that_did_not_end_closes_the_connection() {
    let read = [json!(["write", "NOOP\r\n"]), json!(["read"])];
    let patience = json!(["arm", "10000"]);
    for (first, ended) in [
        (Rule::at(At::Auth).silence(), "timed out"),
        (Rule::at(At::Auth).reply("250 x"), "io: "),
        (Rule::at(At::Auth).reply("no reply"), "io: "),
    ] {
        let scene = scripted(late_echo(first)).await;
        let hasty = json!(["arm", if ended == "timed out" { "50" } else { "10000" }]);
        let acts = [&[hasty, json!(["sign-in", "PLAIN"]), patience.clone()], &read[..]].concat();
        let came_to = scene.come_to(&scene.greeted(), &acts).await;
        assert!(came_to[1].starts_with(ended), "{came_to:?}");
        assert_eq!(came_to[3..], ["closed", "closed"], "{came_to:?}");
    }
}

#[tokio::test]
async fn a_refused_sign_in_is_followed_by_nothing_that_holds_the_secret() {
    let scene = scripted(late_echo(Rule::at(At::Auth).reply("535 5.7.8 No"))).await;
    let acts = [
        json!(["sign-in", "PLAIN"]),
        json!(["write", "NOOP\r\n"]),
        json!(["read"]),
    ];
    let came_to = scene.come_to(&scene.greeted(), &acts).await;
    assert_eq!(came_to[2], "501 Syntax error in: AUTH PLAIN ***\r\n");
}

#[tokio::test]
async fn a_greeting_never_says_the_password_of_this_connection_or_an_earlier_one() {
    for connection in [1, 2] {
        let greeting = format!("220 hello {PASSWORD}, {}", STANDARD.encode(PASSWORD));
        let script = Script::new().rule(Rule::at(At::Greeting).connection(connection).reply(greeting));
        let scene = scripted(script).await;
        for _ in 1..connection {
            scene.come_to(&scene.signed_in(), &[]).await;
        }
        let came_to = scene.come_to(&[scene.open()], &[json!(["read"])]).await;
        assert!(came_to[0].starts_with("220 hello ***, ***"), "{came_to:?}");
    }
}

#[tokio::test]
async fn a_secret_is_taken_out_of_a_reply_in_every_encoding_that_is_promised() {
    let each = |form: &dyn Fn(u8) -> String| PASSWORD.bytes().map(form).collect::<String>();
    let forms: Vec<String> = vec![
        PASSWORD.chars().rev().collect(),
        PASSWORD.to_uppercase(),
        STANDARD.encode(PASSWORD),
        STANDARD.encode(format!("x{PASSWORD}")),
        STANDARD.encode(format!("xy{PASSWORD}")),
        STANDARD.encode(STANDARD.encode(PASSWORD)),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("{byte:02X}:")),
        each(&|byte| format!("%{byte:02X}")),
        each(&|byte| format!("={byte:02X}")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("&#x{byte:x};")),
        each(&|byte| format!("\\u{byte:04x}")),
    ];
    for form in forms {
        let said = Rule::at(At::Noop).reply(format!("250 You said {form}"));
        let scene = scripted(Script::new().rule(said)).await;
        let acts: [Value; 2] = [json!(["write", "NOOP\r\n"]), json!(["read"])];
        let came_to = scene.come_to(&scene.signed_in(), &acts).await;
        assert!(came_to[1].starts_with("250 You said"), "{form}: {came_to:?}");
        assert!(came_to[1].contains("***"), "{form}: {came_to:?}");
        for at in 0..form.len() - 12 {
            assert!(!came_to[1].contains(&form[at..at + 12]), "{form}: {came_to:?}");
        }
    }
}
