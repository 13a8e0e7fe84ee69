//! The server on its sockets, spoken to by tokio and rustls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipepost_inbox::script::{At, Rule};
use pipepost_inbox::tls::Flaw;
use pipepost_inbox::{Event, Inbox, Running, Script, Security};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

fn trusting(inbox: &Running) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(inbox.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Sends bytes and reads until the server has sent this many line ends in final lines, or closed.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &str, replies: usize) -> String {
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut said = String::new();
    let finals = |said: &str| {
        said.lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .count()
    };
    while !said.ends_with('\n') || finals(&said) < replies {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => said.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
        }
    }
    said
}

const GROUP: &str = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 2 LAST\r\n\r\n";

#[tokio::test]
async fn one_store_behind_three_faces() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let inbox = Inbox::builder()
        .listen(Security::StartTls, "127.0.0.1:0")
        .listen(Security::Implicit, "127.0.0.1:0")
        .listen(Security::Plain, "127.0.0.1:0")
        .observer(move |event| seen.lock().unwrap().push(event.clone()))
        .start()
        .await
        .unwrap();
    let tls = TlsConnector::from(trusting(&inbox));

    let mut stream = TcpStream::connect(inbox.address_of(Security::Plain).unwrap())
        .await
        .unwrap();
    ask(&mut stream, "", 1).await;
    ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 4).await;

    let mut stream = TcpStream::connect(inbox.address_of(Security::StartTls).unwrap())
        .await
        .unwrap();
    ask(&mut stream, "", 1).await;
    ask(&mut stream, "EHLO x.example\r\n", 1).await;
    assert!(ask(&mut stream, "STARTTLS\r\n", 1).await.starts_with("220 "));
    let mut stream = tls
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
        .unwrap();
    ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 4).await;

    for _ in 0..2 {
        let stream = TcpStream::connect(inbox.address_of(Security::Implicit).unwrap())
            .await
            .unwrap();
        let mut stream = tls
            .connect(ServerName::try_from("127.0.0.1").unwrap(), stream)
            .await
            .unwrap();
        ask(&mut stream, "", 1).await;
        ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 4).await;
        assert!(ask(&mut stream, "QUIT\r\n", 1).await.starts_with("221 "));
    }

    let messages = inbox.wait_for(4).await;
    let versions: Vec<Option<&str>> = messages
        .iter()
        .map(|message| message.tls.as_ref().map(|tls| tls.version.as_str()))
        .collect();
    assert_eq!(versions, [None, Some("TLSv1.3"), Some("TLSv1.3"), Some("TLSv1.3")]);
    assert_eq!(
        messages[1].tls.as_ref().unwrap().server_name.as_deref(),
        Some("localhost")
    );
    assert!(
        messages[3].tls.as_ref().unwrap().resumed,
        "the second session to one name is resumed"
    );
    assert_eq!(
        messages.iter().map(|message| message.sequence).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(inbox.connections(), 4);
    inbox.shutdown().await;
    let events = events.lock().unwrap();
    let caught = events
        .iter()
        .filter(|event| matches!(event, Event::Caught { .. }))
        .count();
    let secured = events
        .iter()
        .filter(|event| matches!(event, Event::Secured { .. }))
        .count();
    assert_eq!((caught, secured), (4, 3));
}

#[tokio::test]
async fn flawed_certificates_are_refused_by_a_client_that_looks() {
    let flaws = [
        (Flaw::Expired, "Expired"),
        (Flaw::NotYetValid, "NotValidYet"),
        (Flaw::SelfSigned, "UnknownIssuer"),
        (Flaw::WrongName, "NotValidForName"),
    ];
    for (flaw, word) in flaws {
        let inbox = Inbox::builder()
            .listen(Security::Implicit, "127.0.0.1:0")
            .certificate_flaw(flaw)
            .start()
            .await
            .unwrap();
        let stream = TcpStream::connect(inbox.address()).await.unwrap();
        let tls = TlsConnector::from(trusting(&inbox));
        let error = tls
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap_err();
        assert!(format!("{error:?}").contains(word), "{flaw:?}: {error:?}");
        inbox.shutdown().await;
    }
    let inbox = Inbox::builder()
        .listen(Security::Implicit, "127.0.0.1:0")
        .certificate_names(["smtp.gmail.com"])
        .start()
        .await
        .unwrap();
    let stream = TcpStream::connect(inbox.address()).await.unwrap();
    let tls = TlsConnector::from(trusting(&inbox));
    assert!(
        tls.connect(ServerName::try_from("smtp.gmail.com").unwrap(), stream)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_failed_handshake_or_a_lost_client_ends_its_connection_alone() {
    let inbox = Inbox::builder()
        .listen(Security::Implicit, "127.0.0.1:0")
        .listen(Security::Plain, "127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    assert!(!ask(&mut stream, "EHLO x.example\r\n", 1).await.contains("250"));
    let mut stream = TcpStream::connect(inbox.address_of(Security::Plain).unwrap())
        .await
        .unwrap();
    ask(&mut stream, "EHLO x.example\r\nMAIL FROM:<a@x>\r\nDA", 3).await;
    drop(stream);
    let mut stream = TcpStream::connect(inbox.address_of(Security::Plain).unwrap())
        .await
        .unwrap();
    let said = ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 5).await;
    assert!(said.contains("\r\n250 2.0.0 OK"), "{said}");
    assert_eq!(inbox.connections(), 3);
}

#[tokio::test]
async fn a_held_reply_goes_out_when_it_is_released() {
    let script = Script::new().rule(Rule::at(At::Content).hold("verdict"));
    let inbox = Inbox::builder()
        .listen(Security::Plain, "127.0.0.1:0")
        .script(script)
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    let said = ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 4).await;
    assert!(said.ends_with("250 2.1.5 OK pipepost-1-1 - gsmtp\r\n"), "{said}");
    inbox.wait_until_held("verdict", 1).await;
    assert_eq!(inbox.messages().len(), 1, "stored, and not yet confirmed");
    inbox.release("verdict");
    assert!(ask(&mut stream, "", 1).await.starts_with("250 2.0.0 OK"));
}

#[tokio::test(start_paused = true)]
async fn delays_are_on_tokios_clock() {
    let script = Script::new().rule(Rule::at(At::Noop).delay(Duration::from_secs(24 * 3600)));
    let inbox = Inbox::builder()
        .listen(Security::Plain, "127.0.0.1:0")
        .script(script)
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    ask(&mut stream, "", 1).await;
    assert!(ask(&mut stream, "NOOP\r\n", 1).await.starts_with("250 "));
}

#[tokio::test]
async fn thousands_of_messages_are_counted_and_few_kept() {
    let inbox = Inbox::builder()
        .listen(Security::Plain, "127.0.0.1:0")
        .keep(10)
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    ask(&mut stream, "EHLO x.example\r\n", 2).await;
    let batch = GROUP.repeat(100);
    for _ in 0..200 {
        ask(&mut stream, &batch, 300).await;
    }
    let kept = inbox.wait_for(20_000).await;
    assert_eq!(kept.len(), 10);
    assert_eq!((kept[0].sequence, kept[9].sequence), (19_991, 20_000));
}

#[tokio::test]
async fn messages_are_written_to_the_directory_before_they_are_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let inbox = Inbox::builder()
        .listen(Security::Plain, "127.0.0.1:0")
        .directory(directory.path())
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    let said = ask(&mut stream, &format!("EHLO x.example\r\n{GROUP}"), 5).await;
    assert!(said.contains("250 2.0.0 OK"), "{said}");
    assert_eq!(
        std::fs::read(directory.path().join("000001-no-message-id.eml")).unwrap(),
        b"\r\n"
    );

    std::fs::remove_dir_all(directory.path()).unwrap();
    let said = ask(&mut stream, GROUP, 3).await;
    assert!(said.contains("\r\n452 4.3.1 "), "{said}");
    assert_eq!(inbox.store().count(), 1);
}

#[tokio::test]
async fn the_transcript_has_both_sides_and_no_secret() {
    let inbox = Inbox::builder()
        .listen(Security::Plain, "127.0.0.1:0")
        .users([("ann@example.com", "secret-sesame")])
        .record_dialogue()
        .start()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(inbox.address()).await.unwrap();
    ask(
        &mut stream,
        "EHLO x.example\r\nAUTH PLAIN AGFubkBleGFtcGxlLmNvbQBzZWNyZXQtc2VzYW1l\r\n",
        3,
    )
    .await;
    let lines: Vec<String> = inbox.transcript().into_iter().map(|(_, _, text)| text).collect();
    assert!(lines.contains(&"AUTH PLAIN ***".to_owned()), "{lines:?}");
    assert!(lines.contains(&"235 2.7.0 Accepted".to_owned()), "{lines:?}");
    assert!(!lines.concat().contains("c2VzYW1l"));
    assert_eq!(inbox.sign_ins(), 1);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let inbox = Inbox::builder().start().await.unwrap();
    let address = inbox.address().to_string();
    let error = Inbox::builder()
        .listen(Security::Plain, &address)
        .start()
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    inbox.shutdown().await;
    assert!(
        TcpStream::connect(&address).await.is_err(),
        "after shutdown nobody listens"
    );
}
