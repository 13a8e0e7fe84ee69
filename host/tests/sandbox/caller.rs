//! Connectors that mean harm and hold a connection: what they are denied.

use std::time::Duration;

use pipepost::{FailureKind, Host, Limits, RunReport};
use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::{Script, Security};
use serde_json::{Value, json};

use crate::common::{CLIENT_NAME, PASSWORD, Server, document, fails, host, hostile, run, run_acts};

/// An inbox, and a host with the connector and an account for it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) host: Host,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Security::StartTls, json!({})).await
    }

    async fn with(security: Security, account: Value) -> Self {
        Self::scripted(security, account, Script::new()).await
    }

    pub(crate) async fn scripted(security: Security, account: Value, script: Script) -> Self {
        let server = Server::start(security, script).await;
        let connectors = hostile(&["caller"]);
        let host = host()
            .accounts(server.account(account))
            .connectors_from(connectors.path())
            .limits(Limits {
                cpu: Duration::from_millis(100),
                ..Limits::default()
            })
            .build()
            .await
            .expect("a host");
        Self { server, host }
    }

    /// What opens the one connection that is granted.
    pub(crate) fn open(&self) -> Value {
        self.open_with("start-tls")
    }

    fn open_with(&self, security: &str) -> Value {
        let port = self.server.inbox.address().port().to_string();
        json!(["open", "127.0.0.1", port, security])
    }

    /// A connection, as far as the greeting under TLS.
    pub(crate) fn greeted(&self) -> Vec<Value> {
        let ehlo = json!(["write", format!("EHLO {CLIENT_NAME}\r\n")]);
        vec![
            self.open(),
            json!(["read"]),
            ehlo.clone(),
            json!(["read"]),
            json!(["write", "STARTTLS\r\n"]),
            json!(["read"]),
            json!(["start-tls"]),
            ehlo,
            json!(["read"]),
        ]
    }

    /// A connection that is signed in.
    pub(crate) fn signed_in(&self) -> Vec<Value> {
        [self.greeted(), vec![json!(["sign-in", "PLAIN"])]].concat()
    }

    /// A connection where the server waits for a message's content.
    pub(crate) fn at_content(&self) -> Vec<Value> {
        let commands = [
            json!(["write", "MAIL FROM:<robot@example.com>\r\n"]),
            json!(["read"]),
            json!(["write", "RCPT TO:<ann@example.com>\r\n"]),
            json!(["read"]),
            json!(["write", "DATA\r\n"]),
            json!(["read"]),
        ];
        [self.signed_in(), commands.to_vec()].concat()
    }

    pub(crate) async fn run(&self, acts: &[Value]) -> RunReport {
        let report = run_acts(&self.host, acts, true).await;
        assert!(!format!("{report:?}").contains(PASSWORD), "{report:?}");
        report
    }

    /// Runs acts that commit nothing, and gives what each of those after the first `known` came to.
    pub(crate) async fn come_to(&self, known: &[Value], acts: &[Value]) -> Vec<String> {
        let all = [known, acts].concat();
        let report = run_acts(&self.host, &all, false).await;
        let output = report.result.expect("an output");
        assert!(!output.to_string().contains(PASSWORD), "{output}");
        let came_to: Vec<String> = output["came_to"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| value.as_str().unwrap_or_default().to_owned())
            .collect();
        // The first is the account's view.
        assert_eq!(came_to.len(), all.len() + 1, "{output}");
        came_to[1 + known.len()..].to_vec()
    }

    /// The next run on the same host sends its message, and it arrives once.
    pub(crate) async fn is_unharmed(&self) {
        let next = "Subject: next\r\n\r\nx\r\n.\r\n";
        let report = self.run(&[self.at_content(), good_end(next)].concat()).await;
        let output = report.result.expect("the next message is sent");
        assert_eq!(output["success"], true, "{output}");
        let messages = self.server.inbox.messages();
        let arrived = messages
            .iter()
            .filter(|message| message.header("subject").as_deref() == Some("next"));
        assert_eq!(arrived.count(), 1);
    }
}

pub(crate) const CONTENT: &str = "Subject: x\r\n\r\nx\r\n.\r\n";

/// Announced, written, answered, confirmed.
pub(crate) fn good_end(content: &str) -> Vec<Value> {
    vec![
        json!(["commit", "0"]),
        json!(["write", content]),
        json!(["read"]),
        json!(["confirm", "0"]),
        json!(["drop"]),
    ]
}

#[track_caller]
pub(crate) fn denied(came_to: &str, words: &str) {
    assert!(
        came_to.starts_with("denied: ") && came_to.contains(words),
        "{words:?} is not in: {came_to}"
    );
}

#[tokio::test]
async fn what_keeps_to_the_contract_sends() {
    let scene = Scene::new().await;
    scene.is_unharmed().await;
    assert_eq!(scene.server.inbox.sign_ins(), 1);
}

#[tokio::test]
async fn the_account_that_a_connector_sees_holds_no_secret() {
    let scene = Scene::new().await;
    let report = run(&scene.host, &document("caller", Some("mail"), json!({ "do": [] }))).await;
    let output = report.result.expect("an output");
    let view = output["came_to"][0].as_str().expect("the account's view");
    assert!(
        view.contains("robot@example.com") && !view.contains("password"),
        "{view}"
    );
    assert!(!view.contains(PASSWORD), "{view}");
}

#[tokio::test]
async fn no_other_host_port_or_inner_address() {
    let scene = Scene::new().await;
    let port = scene.server.inbox.address().port();
    let others = [
        ("127.0.0.1", port ^ 1),
        ("127.0.0.1", 25),
        ("127.0.0.2", port),
        ("localhost", port),
        ("::1", port),
        ("[127.0.0.1]", port),
        ("127.0.0.1.", port),
        ("127.0.0.1 ", port),
        ("2130706433", port),
        ("0x7f.1", port),
        ("", port),
        ("127.0.0.1\0.example.com", port),
        ("10.0.0.1", 80),
        ("192.168.0.1", 22),
        ("169.254.169.254", 80),
        ("::ffff:169.254.169.254", 80),
        ("metadata.google.internal", 80),
        ("smtp.gmail.com", 587),
    ];
    let acts: Vec<Value> = others
        .iter()
        .map(|(host, port)| json!(["open", host, port.to_string(), "start-tls"]))
        .collect();
    for came_to in scene.come_to(&[], &acts).await {
        denied(&came_to, "and to no other server");
    }
    assert_eq!(scene.server.inbox.connections(), 0);
    assert_eq!(scene.come_to(&[], &[scene.open()]).await, ["ok"]);
}

#[tokio::test]
async fn no_less_security_than_the_account_demands() {
    let start_tls = Scene::new().await;
    let came_to = start_tls.come_to(&[], &[start_tls.open_with("none")]).await;
    denied(&came_to[0], "demands the security `start-tls`");

    let tls = Scene::with(Security::Implicit, json!({})).await;
    let came_to = tls
        .come_to(
            &[],
            &[tls.open_with("none"), tls.open_with("start-tls"), tls.open_with("tls")],
        )
        .await;
    denied(&came_to[0], "demands the security `tls`");
    denied(&came_to[1], "demands the security `tls`");
    assert_eq!(came_to[2], "ok");
}

#[tokio::test]
async fn no_sign_in_on_a_plain_connection() {
    let scene = Scene::new().await;
    let acts = [
        scene.open(),
        json!(["read"]),
        json!(["sign-in", "PLAIN"]),
        json!(["facts"]),
    ];
    let came_to = scene.come_to(&[], &acts).await;
    denied(&came_to[2], "No sign-in in clear");
    assert_eq!(came_to[3], "tls=no signed-in=no warm=false");
    assert!(!scene.server.verbs().contains(&"AUTH".to_owned()));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn no_sign_in_for_a_step_that_has_none() {
    let scene = Scene::with(Security::StartTls, json!({ "auth": false })).await;
    let came_to = scene.come_to(&scene.greeted(), &[json!(["sign-in", "PLAIN"])]).await;
    denied(&came_to[0], "no account to sign in with");
    assert!(!scene.server.verbs().contains(&"AUTH".to_owned()));
}

#[tokio::test]
async fn no_second_sign_in() {
    let scene = Scene::new().await;
    let acts = [
        json!(["sign-in", "PLAIN"]),
        json!(["facts"]),
        json!(["sign-in", "PLAIN"]),
    ];
    let came_to = scene.come_to(&scene.greeted(), &acts).await;
    assert!(came_to[0].starts_with("235"), "{came_to:?}");
    assert_eq!(came_to[1], "tls=TLSv1.3 signed-in=PLAIN warm=false");
    denied(&came_to[2], "A connection signs in once");
    assert_eq!(scene.server.inbox.sign_ins(), 1);
    scene.is_unharmed().await;
}

#[tokio::test]
async fn no_mechanism_that_the_account_does_not_have() {
    let scene = Scene::new().await;
    for mechanism in ["DIGEST-MD5", "XOAUTH2", "EXTERNAL", "", "PLAIN\r\nMAIL FROM:<x@y.z>"] {
        let came_to = scene.come_to(&scene.greeted(), &[json!(["sign-in", mechanism])]).await;
        denied(&came_to[0], "does not sign in with that mechanism");
    }
    assert!(!scene.server.verbs().contains(&"AUTH".to_owned()));
}

#[tokio::test]
async fn nothing_but_greetings_before_the_sign_in() {
    let scene = Scene::new().await;
    let early = [
        ("EHLO half-a-line", "half a line"),
        ("NOOP\r\nMAIL FROM:<a", "half a line"),
        ("MAIL FROM:<robot@example.com>\r\n", "before the sign-in"),
        (
            "EHLO caller.example\r\nMAIL FROM:<robot@example.com>\r\n",
            "before the sign-in",
        ),
        (
            "EHLO caller.example\nMAIL FROM:<robot@example.com>\r\n",
            "is `caller.example`",
        ),
        ("EHLO what-the-message-says.caller.example\r\n", "is `caller.example`"),
        ("NOOP\r\nHELO [127.0.0.1]\r\n", "is `caller.example`"),
        ("AUTH PLAIN AGEAYg==\r\n", "before the sign-in"),
        ("NOOP with a word\r\n", "before the sign-in"),
        ("DATA\r\n", "before the sign-in"),
        ("\r\n", "before the sign-in"),
    ];
    let mut acts: Vec<Value> = early.iter().map(|(bytes, _)| json!(["write", bytes])).collect();
    acts.push(json!(["sign-in", "PLAIN"]));
    for known in [vec![scene.open(), json!(["read"])], scene.greeted()] {
        let came_to = scene.come_to(&known, &acts).await;
        for (came_to, (_, words)) in came_to.iter().zip(early) {
            denied(came_to, words);
        }
    }
    // Under TLS the sign-in was then as it should be, and what was denied never left.
    assert_eq!(scene.server.inbox.sign_ins(), 1);
    assert!(
        !scene
            .server
            .verbs()
            .iter()
            .any(|verb| ["MAIL", "DATA", ""].contains(&verb.as_str()))
    );
}

#[tokio::test]
async fn no_more_greetings_than_a_conversation_needs() {
    let scene = Scene::new().await;
    let many = "NOOP\r\n".repeat(15);
    let acts = [
        json!(["write", many]),
        json!(["write", "RSET\r\n"]),
        json!(["write", "NOOP\r\n"]),
    ];
    let came_to = scene.come_to(&[scene.open(), json!(["read"])], &acts).await;
    assert_eq!(came_to[..2], ["ok", "ok"]);
    denied(&came_to[2], "16 lines before the sign-in are enough");
    // After the sign-in there is no such bound.
    let came_to = scene.come_to(&scene.signed_in(), &acts).await;
    assert_eq!(came_to, ["ok", "ok", "ok"]);
}

#[tokio::test]
async fn no_second_connection_beside_the_first() {
    let scene = Scene::new().await;
    let acts = [scene.open(), scene.open(), json!(["drop"]), scene.open()];
    let came_to = scene.come_to(&[], &acts).await;
    assert_eq!((came_to[0].as_str(), came_to[3].as_str()), ("ok", "ok"));
    denied(&came_to[1], "One connection at a time");
}

#[tokio::test]
async fn a_thousand_connections_one_after_another() {
    let scene = Scene::new().await;
    let port = scene.server.inbox.address().port().to_string();
    let open = |times: &str| json!(["open-and-drop", times, "127.0.0.1", port, "start-tls"]);
    assert_eq!(scene.come_to(&[], &[open("22")]).await, ["22"]);
    let came_to = scene.come_to(&[], &[open("1000"), scene.open()]).await;
    assert_eq!(came_to[0], "22");
    denied(&came_to[1], "as many connections as it may");
    scene.is_unharmed().await;
    assert_eq!(scene.server.inbox.connections(), 45);
}

#[tokio::test]
async fn a_forged_connection() {
    let scene = Scene::new().await;
    for handle in ["0", "1", "77", "4294967295"] {
        let report = scene.run(&[json!(["forge", handle])]).await;
        fails(&report, FailureKind::Limit, "The connector `caller` was stopped: ");
    }
    scene.is_unharmed().await;
}

/// Signs in, does `acts`, and then says whether the next run finds the connection warm.
async fn is_kept_after(acts: &[Value]) -> bool {
    is_kept_in(Scene::new().await, acts).await
}

async fn is_kept_in(scene: Scene, acts: &[Value]) -> bool {
    scene.come_to(&scene.signed_in(), acts).await;
    let came_to = scene
        .come_to(&[scene.open()], &[json!(["facts"]), json!(["memo"])])
        .await;
    let warm = came_to[0].ends_with("warm=true");
    assert_eq!(came_to[1], if warm { "memo" } else { "" });
    assert_eq!(warm, scene.server.inbox.connections() == 1);
    scene.is_unharmed_after_warm().await;
    warm
}

impl Scene {
    /// Whatever lies warm, a connection that begins with a greeting can be had: one that was taken and dropped is closed.
    async fn is_unharmed_after_warm(&self) {
        let report = self.run(&[self.open(), json!(["drop"])]).await;
        assert_eq!(report.counts.uncertain, 1, "nothing was sent, whatever is claimed");
        self.is_unharmed().await;
    }
}

#[tokio::test]
async fn a_connection_with_everything_answered_is_kept() {
    let quiet = [json!(["release", "memo", "QUIT\r\n"])];
    assert!(is_kept_after(&quiet).await);
    let answered = [
        json!(["write", "NOOP\r\n"]),
        json!(["read"]),
        json!(["release", "memo", "QUIT\r\n"]),
    ];
    assert!(is_kept_after(&answered).await);
    let long = [json!(["release", "memo", ""])];
    assert!(is_kept_after(&long).await);
}

#[tokio::test]
async fn a_connection_with_a_reply_outstanding_is_not_kept() {
    let outstanding = [json!(["write", "NOOP\r\n"]), json!(["release", "memo", "QUIT\r\n"])];
    assert!(!is_kept_after(&outstanding).await);
}

#[tokio::test]
async fn a_connection_with_bytes_unread_is_not_kept() {
    // More than one read of this connector takes, in one record.
    let wordy = || Script::new().rule(Rule::at(At::Noop).reply(format!("250 {}", "x".repeat(5000))));
    let asked = [json!(["write", "NOOP\r\n"]), json!(["read"])];
    let release = [json!(["release", "memo", "QUIT\r\n"])];
    let half = [&asked[..], &release].concat();
    let whole = [&asked[..], &[json!(["read"])], &release].concat();
    let scene = async || Scene::scripted(Security::StartTls, json!({}), wordy()).await;
    assert!(is_kept_in(scene().await, &whole).await);
    assert!(!is_kept_in(scene().await, &half).await);

    // The same where nobody looks through what the server says, since there is no secret.
    for (acts, warm) in [(whole, true), (half, false)] {
        let scene = Scene::scripted(Security::StartTls, json!({ "auth": false }), wordy()).await;
        scene.come_to(&scene.greeted(), &acts).await;
        let came_to = scene.come_to(&[scene.open()], &[json!(["facts"])]).await;
        assert!(came_to[0].ends_with(&format!("warm={warm}")), "{came_to:?}");
    }
}

#[tokio::test]
async fn a_connection_with_a_part_unconfirmed_is_not_kept() {
    let unconfirmed = [json!(["commit", "0"]), json!(["release", "memo", "QUIT\r\n"])];
    assert!(!is_kept_after(&unconfirmed).await);
}

#[tokio::test]
async fn a_connection_with_a_long_memo_or_a_farewell_that_says_more_is_not_kept() {
    let long = [json!(["release", "m".repeat(4097), "QUIT\r\n"])];
    assert!(!is_kept_after(&long).await);
    for farewell in ["MAIL FROM:<robot@example.com>\r\n", "QUIT", "QUIT\r\nDATA\r\n"] {
        assert!(
            !is_kept_after(&[json!(["release", "memo", farewell])]).await,
            "{farewell:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_is_not_signed_in_is_not_kept() {
    let scene = Scene::new().await;
    scene
        .come_to(&scene.greeted(), &[json!(["release", "memo", "QUIT\r\n"])])
        .await;
    let came_to = scene.come_to(&[scene.open()], &[json!(["facts"])]).await;
    assert_eq!(came_to, ["tls=no signed-in=no warm=false"]);
}

#[tokio::test]
async fn a_deadline_is_kept_for_a_server_that_says_nothing() {
    let silent = Script::new().rule(Rule::at(At::Noop).silence());
    let scene = Scene::scripted(Security::StartTls, json!({}), silent).await;
    let acts = [
        json!(["write", "NOOP\r\n"]),
        json!(["arm", "1"]),
        json!(["read"]),
        json!(["read"]),
    ];
    assert_eq!(
        scene.come_to(&scene.signed_in(), &acts).await[2..],
        ["timed out", "timed out"]
    );
    scene.is_unharmed().await;
}
