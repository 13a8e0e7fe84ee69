//! A connector's memory, whole, after it has sent a message: the secret is not in it, in any form.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use pipepost::FailureKind;
use pipepost::engine::MemoryDumps;
use pipepost_inbox::script::{Action, At, Rule};
use pipepost_inbox::{Inbox, Script, Security};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::{PASSWORD, Server, USER, document, email, fails, host, run};

const ACCESS_TOKEN: &str = "ya29.Kw8~Tq3-Vb6_Nz1.Xc5+Hd9/Lf2==";
const REFRESH_TOKEN: &str = "1.0gRy7Pj4-Mu2_Ws8Ea6";
const CLIENT_SECRET: &str = "GOCSPX-Qd5zB9kY3vC7tJ1n";

/// The memories that were shown, each with its connector's name.
#[derive(Clone, Default)]
struct Album(Arc<Mutex<Vec<Memory>>>);

type Memory = (String, Vec<u8>);

impl Album {
    fn dumps(&self) -> MemoryDumps {
        let album = self.clone();
        MemoryDumps::new(move |connector, memory| {
            let mut memories = album.0.lock().expect("nobody panicked with it");
            memories.push((connector.to_owned(), memory.to_vec()));
        })
    }

    /// The one memory, of the email step.
    fn only(&self) -> Vec<u8> {
        let memories = self.0.lock().expect("nobody panicked with it");
        let [(connector, memory)] = &memories[..] else {
            panic!("{} memories were shown", memories.len());
        };
        assert_eq!(connector, "email-v2");
        memory.clone()
    }
}

/// Every form in which a secret could lie in memory, with its name.
fn forms(user: &str, secret: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, bytes: &[u8]| forms.push((name.to_owned(), bytes.to_vec()));
    for (at, stretch) in secret.as_bytes().windows(8).enumerate() {
        add(&format!("eight bytes of the secret, from byte {at}"), stretch);
    }
    add("the secret in capitals", secret.to_ascii_uppercase().as_bytes());
    add("the secret in small letters", secret.to_ascii_lowercase().as_bytes());
    add("the secret backwards", &secret.bytes().rev().collect::<Vec<_>>());
    let utf16: Vec<u16> = secret.encode_utf16().collect();
    add(
        "UTF-16, low byte first",
        &utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>(),
    );
    add(
        "UTF-16, high byte first",
        &utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>(),
    );
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    add("hexadecimal digits", hexadecimal.as_bytes());
    add(
        "hexadecimal digits in capitals",
        hexadecimal.to_ascii_uppercase().as_bytes(),
    );
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    add("percent-encoded", percent.as_bytes());

    // Within a longer base64 the secret has another look at each of three alignments; the characters that it shares with
    // its neighbours are left out.
    for before in 0..3_usize {
        let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
        for (alphabet, text) in [
            ("", STANDARD_NO_PAD.encode(&padded)),
            (" for URLs", URL_SAFE_NO_PAD.encode(&padded)),
        ] {
            let end = text.len() - usize::from(padded.len() % 3 != 0);
            let own = &text[[0, 2, 3][before]..end];
            add(&format!("base64{alphabet} after {before} bytes"), own.as_bytes());
            add(
                &format!("base64{alphabet} after {before} bytes, in capitals"),
                own.to_ascii_uppercase().as_bytes(),
            );
            add(
                &format!("base64{alphabet} after {before} bytes, in small letters"),
                own.to_ascii_lowercase().as_bytes(),
            );
        }
    }
    let plain = format!("\0{user}\0{secret}");
    let bearer = format!("user={user}\x01auth=Bearer {secret}\x01\x01");
    for (name, message) in [("PLAIN", plain), ("LOGIN", secret.to_owned()), ("XOAUTH2", bearer)] {
        add(&format!("the response of {name}"), STANDARD.encode(&message).as_bytes());
        add(&format!("the message of {name}"), message.as_bytes());
    }
    forms
}

/// The forms that lie in `memory`.
fn found(memory: &[u8], forms: &[(String, Vec<u8>)]) -> Vec<String> {
    forms
        .iter()
        .filter(|(_, bytes)| memmem::find(memory, bytes).is_some())
        .map(|(name, _)| name.clone())
        .collect()
}

fn echo(code: &str) -> Rule {
    Rule::at(At::SignIn).act(Action::Echo {
        code: code.to_owned(),
        decoded: true,
    })
}

/// Sends one message with an account that is otherwise so, and gives what the connector's memory held at the end.
async fn memory_after(server: &Server, account: Value, params: Value) -> (pipepost::RunReport, Vec<u8>) {
    let album = Album::default();
    let host = host()
        .accounts(server.account(account))
        .memory_dumps(album.dumps())
        .build()
        .await
        .expect("a host");
    let report = run(&host, &document("email-v2", Some("mail"), email(params))).await;
    host.close().await;
    (report, album.only())
}

#[tokio::test]
async fn after_a_send_the_memory_holds_no_form_of_the_secret_though_the_server_echoes_it() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let server = Server::start(Security::StartTls, Script::new().rule(echo("235 2.7.0").obey(true))).await;
        let (report, memory) = memory_after(
            &server,
            json!({ "auth": mechanism }),
            json!({ "text": "planted-MARKER" }),
        )
        .await;
        let output = report.result.expect("a message that was sent");
        assert_eq!(output["success"], true, "{output}");
        assert_eq!(server.inbox.messages().len(), 1);
        assert_eq!(server.inbox.sign_ins(), 1);

        // The memory is the right one, and it is whole: what came in and what went out is there.
        let seen = |text: &str| memmem::find(&memory, text.as_bytes()).is_some();
        assert!(seen("planted-MARKER"), "the parameters were read");
        assert!(seen("RCPT TO:<ann@example.com>"), "the dialogue was spoken");
        assert!(seen("235-2.7.0") || seen("235 2.7.0"), "the echo was heard");
        assert_eq!(
            found(&memory, &forms(USER, PASSWORD)),
            Vec::<String>::new(),
            "{mechanism}"
        );
    }
}

#[tokio::test]
async fn after_a_refused_sign_in_the_memory_holds_no_form_of_the_secret_either() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let server = Server::start(Security::Implicit, Script::new().rule(echo("535 5.7.8"))).await;
        let (report, memory) = memory_after(&server, json!({ "auth": mechanism }), json!({})).await;
        fails(&report, FailureKind::Authentication, "");
        let seen = |text: &str| memmem::find(&memory, text.as_bytes()).is_some();
        assert!(seen("535-5.7.8") || seen("535 5.7.8"), "the echo was heard");
        assert_eq!(
            found(&memory, &forms(USER, PASSWORD)),
            Vec::<String>::new(),
            "{mechanism}"
        );
    }
}

/// Says this access token to whoever asks, as an OAuth provider does (RFC 6749, section 5.1).
async fn token_endpoint(token: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            // It comes in the form, and has no character that a form would write otherwise.
            while memmem::find(&heard, REFRESH_TOKEN.as_bytes()).is_none() {
                if stream.read_buf(&mut heard).await.is_ok_and(|count| count > 0) {
                    continue;
                }
                break;
            }
            let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Who asked may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/token")
}

#[tokio::test]
async fn after_a_send_the_memory_holds_no_form_of_a_token_though_the_server_echoes_it() {
    for (mechanism, code, sent) in [
        ("XOAUTH2", "235 2.7.0", true),
        ("OAUTHBEARER", "235 2.7.0", true),
        ("XOAUTH2", "535 5.7.8", false),
        ("OAUTHBEARER", "535 5.7.8", false),
    ] {
        let builder = Inbox::builder()
            .listen(Security::StartTls, "127.0.0.1:0")
            .tokens([(USER, ACCESS_TOKEN)])
            .script(Script::new().rule(echo(code).obey(sent)))
            .record_dialogue();
        let server = Server::with(builder).await;
        let account = json!({
            "type": "oauth-2",
            "auth": mechanism,
            "client_id": "a client",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "token_endpoint": token_endpoint(ACCESS_TOKEN).await,
            "password": null,
        });
        let (report, memory) = memory_after(&server, account, json!({ "text": "planted-MARKER" })).await;
        let seen = |text: &str| memmem::find(&memory, text.as_bytes()).is_some();
        if sent {
            let output = report.result.expect("a message that was sent");
            assert_eq!(output["success"], true, "{output}");
            assert_eq!((server.inbox.messages().len(), server.inbox.sign_ins()), (1, 1));
            assert!(seen("RCPT TO:<ann@example.com>"), "the dialogue was spoken");
        } else {
            fails(&report, FailureKind::Authentication, "");
        }
        assert!(seen("planted-MARKER"), "the parameters were read");
        let (one, many) = (code.to_owned(), code.replacen(' ', "-", 1));
        assert!(seen(&one) || seen(&many), "the echo was heard");
        let said: Vec<_> = server.inbox.transcript().into_iter().map(|(_, _, line)| line).collect();
        assert!(said.contains(&format!("AUTH {mechanism} ***")), "{said:?}");
        for secret in [ACCESS_TOKEN, REFRESH_TOKEN, CLIENT_SECRET] {
            assert_eq!(
                found(&memory, &forms(USER, secret)),
                Vec::<String>::new(),
                "{mechanism}"
            );
        }
    }
}

#[tokio::test]
async fn a_secret_that_does_get_into_the_memory_is_found() {
    let server = Server::start(Security::StartTls, Script::new()).await;
    // As text, and as the base64 that the connector itself makes of an attachment or a body that is not ASCII.
    let text = format!("the secret is {PASSWORD}");
    let (report, memory) = memory_after(&server, json!({}), json!({ "text": text })).await;
    report.result.expect("a message that was sent");
    let found = found(&memory, &forms(USER, PASSWORD));
    assert!(
        found.contains(&"eight bytes of the secret, from byte 0".to_owned()),
        "{found:?}"
    );
}

#[test]
fn every_form_is_found_where_it_lies() {
    let forms = forms(USER, PASSWORD);
    for (name, bytes) in &forms {
        let memory = [&[0; 70_000][..], bytes, &[0; 70_000]].concat();
        assert!(found(&memory, &forms).contains(name), "{name}");
    }
    assert_eq!(found(&[0; 70_000], &forms), Vec::<String>::new());
    // And within a longer base64, wherever it happens to begin.
    for before in 0..3 {
        let text = STANDARD.encode(format!("{}{PASSWORD}!", "x".repeat(before)));
        assert!(
            found(text.as_bytes(), &forms).contains(&format!("base64 after {before} bytes")),
            "{before}"
        );
    }
}
