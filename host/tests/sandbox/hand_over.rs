//! What goes from one run to the next with a connection that both have.

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::json;

use crate::caller::Scene;
use crate::common::{document, run};

#[tokio::test]
async fn what_one_run_began_the_next_one_does_not_find() {
    let scene = Scene::new().await;
    let begun = [
        json!([
            "write",
            "MAIL FROM:<robot@example.com>\r\nRCPT TO:<mallory@example.com>\r\n"
        ]),
        json!(["read"]),
        json!(["read"]),
        json!(["release", "memo", "QUIT\r\n"]),
    ];
    // Two replies, in one read or in two.
    let come_to = scene.come_to(&scene.signed_in(), &begun[..2]).await;
    let begun = if come_to[1].lines().count() == 2 {
        [&begun[..2], &begun[3..]].concat()
    } else {
        begun.to_vec()
    };
    scene.come_to(&scene.signed_in(), &begun).await;
    let next = [json!(["facts"]), json!(["write", "DATA\r\n"]), json!(["read"])];
    let came_to = scene.come_to(&[scene.open()], &next).await;
    assert!(came_to[0].ends_with("warm=true"), "{came_to:?}");
    assert!(came_to[2].starts_with("503"), "{came_to:?}");
}

#[tokio::test]
async fn a_server_that_does_not_forget_is_left() {
    for action in [Rule::at(At::Rset).reply("500 What?"), Rule::at(At::Rset).close()] {
        let scene = Scene::scripted(Security::StartTls, json!({}), Script::new().rule(action)).await;
        scene
            .come_to(&scene.signed_in(), &[json!(["release", "memo", "QUIT\r\n"])])
            .await;
        let came_to = scene
            .come_to(&[scene.open()], &[json!(["facts"]), json!(["memo"])])
            .await;
        assert_eq!(came_to, ["tls=no signed-in=no warm=false", ""]);
    }
}

#[tokio::test]
async fn what_a_connector_leaves_reaches_no_other_pipeline() {
    let scene = Scene::new().await;
    scene
        .come_to(
            &scene.signed_in(),
            &[json!(["release", "what A was given", "QUIT\r\n"])],
        )
        .await;
    let acts = [scene.open(), json!(["facts"]), json!(["memo"])];
    let other = run(&scene.host, &document("caller", Some("mail"), json!({ "do": acts }))).await;
    let output = other.result.expect("an output");
    let facts = output["came_to"][2].as_str().unwrap_or_default();
    assert!(facts.ends_with("warm=true"), "the connection is not shared: {output}");
    assert_eq!(output["came_to"][3], "", "{output}");
}

#[tokio::test]
async fn a_connection_with_many_replies_outstanding_is_not_kept_after_one_read() {
    // One reply at a time, so that one read finds one.
    let slow = Script::new().rule(Rule::at(At::Noop).nth(2).silence());
    let scene = Scene::scripted(Security::StartTls, json!({}), slow).await;
    let acts = [
        json!(["write", "NOOP\r\n".repeat(200)]),
        json!(["read"]),
        json!(["release", "memo", "QUIT\r\n"]),
    ];
    scene.come_to(&scene.signed_in(), &acts).await;
    let came_to = scene.come_to(&[scene.open()], &[json!(["facts"])]).await;
    assert_eq!(came_to, ["tls=no signed-in=no warm=false"]);
}
