use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::routing::{any, get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::*;
use crate::message::read_body_within;
use crate::problem::Problem;

/// A listener at work, and what ends it.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(routes: Router, protection: &Protection, limits: HttpLimits, grace: Duration) -> Running {
    let listener = Listener::bind("127.0.0.1:0", protection, limits)
        .await
        .expect("a free port");
    let address = listener.address();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(listener.serve(routes, HostNames::default(), stopped, grace));
    Running { address, stop, task }
}

/// Minutes of patience: a test that fails by a time of its own would fail on a slow machine.
const PATIENT: HttpLimits = HttpLimits {
    connections: 8,
    header_bytes: 8 * 1024,
    headers: 20,
    header_time: Duration::from_secs(600),
    keep_alive: Duration::from_secs(600),
    write_time: Duration::from_secs(600),
};

/// An instant: whoever waits for the limit need not wait long.
const AT_ONCE: Duration = Duration::from_millis(1);

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Everything that the service answers to these bytes, until it closes.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get_request(host: &str, more: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
}

#[tokio::test]
async fn an_address_is_listened_at_and_answers() {
    let running = start(hello(), &Protection::Loopback, PATIENT, Duration::from_secs(600)).await;
    let answered = answer(running.address, &get_request("localhost", "")).await;
    assert!(
        answered.starts_with("HTTP/1.1 200") && answered.ends_with("hello"),
        "{answered}"
    );
    running.stop.send(()).expect("running");
    running.task.await.expect("ended");
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn addresses_that_cannot_be_are_told_in_a_sentence() {
    let limits = HttpLimits::default();
    let taken = Listener::bind("127.0.0.1:0", &Protection::Loopback, limits)
        .await
        .expect("free");
    let address = taken.address().to_string();
    let error = Listener::bind(&address, &Protection::Loopback, limits)
        .await
        .expect_err("taken");
    assert!(matches!(error, ListenError::Taken(_)), "{error}");
    assert_eq!(error.kind(), FailureKind::Transient);
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let error = Listener::bind(open, &Protection::Loopback, limits)
            .await
            .expect_err(open);
        assert!(matches!(error, ListenError::Unprotected(_)), "{error}");
        assert_eq!(error.kind(), FailureKind::Configuration);
    }
    for wrong in ["", "8725", "127.0.0.1", "127.0.0.1:99999", "a b:1"] {
        let error = Listener::bind(wrong, &Protection::Loopback, limits)
            .await
            .expect_err(wrong);
        assert!(matches!(error, ListenError::Address { .. }), "{error}");
    }
    let behind = Listener::bind("0.0.0.0:0", &Protection::BehindProxy, limits).await;
    assert!(behind.is_ok(), "{behind:?}");
}

#[tokio::test]
async fn other_host_names_are_not_answered() {
    let running = start(hello(), &Protection::Loopback, PATIENT, AT_ONCE).await;
    for (request, status) in [
        (get_request("evil.example", ""), "421"),
        (get_request("127.0.0.1", ""), "200"),
        (get_request("127.0.0.1", "Host: evil.example\r\n"), "400"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), "400"),
        (get_request("", ""), "421"),
    ] {
        let answered = answer(running.address, &request).await;
        assert!(
            answered.starts_with(&format!("HTTP/1.1 {status}")) || answered.starts_with(&format!("HTTP/1.0 {status}")),
            "{request}{answered}"
        );
    }
}

#[tokio::test]
async fn the_preface_of_http_2_is_answered_however_it_arrives() {
    let running = start(hello(), &Protection::Loopback, PATIENT, AT_ONCE).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for pieces in [
        vec![preface],
        vec!["PR", &preface[2..]],
        vec!["PRI * HTTP/", &preface[11..]],
    ] {
        let mut stream = TcpStream::connect(running.address).await.expect("connected");
        stream.set_nodelay(true).expect("an open connection");
        for piece in &pieces {
            stream.write_all(piece.as_bytes()).await.expect("written");
            tokio::task::yield_now().await;
        }
        let mut answered = Vec::new();
        let _ = stream.read_to_end(&mut answered).await;
        let answered = String::from_utf8_lossy(&answered);
        assert!(answered.starts_with("HTTP/1.1 400"), "{pieces:?}: {answered}");
        assert_eq!(problem(&answered)["kind"], "bad-request");
    }
    // What only begins so is a request like any other.
    let answered = answer(running.address, &get_request("localhost", "").replace("GET", "PRI")).await;
    assert!(answered.starts_with("HTTP/1.1 405"), "{answered}");
}

#[tokio::test]
async fn headers_have_a_size_and_a_number() {
    let running = start(hello(), &Protection::Loopback, PATIENT, AT_ONCE).await;
    let many: String = (0..30).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(16 * 1024));
    for headers in [many, large] {
        let answered = answer(running.address, &get_request("localhost", &headers)).await;
        assert!(answered.starts_with("HTTP/1.1 431"), "{answered}");
        assert_eq!(problem(&answered)["kind"], "headers-too-large");
    }
    let few: String = (0..10).map(|number| format!("x-{number}: y\r\n")).collect();
    let answered = answer(running.address, &get_request("localhost", &few)).await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

/// The problem document of an answer.
fn problem(answered: &str) -> serde_json::Value {
    let (head, body) = answered.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    serde_json::from_str(body).expect("a document")
}

#[tokio::test]
async fn what_is_no_http_is_answered_with_a_problem_on_a_connection_of_any_age() {
    const KEPT: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let running = start(hello(), &Protection::Loopback, PATIENT, AT_ONCE).await;
    for nonsense in [
        "nonsense\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno header\r\n\r\n",
        "\x16\x03\x01\r\n",
    ] {
        let answered = answer(running.address, nonsense).await;
        assert!(answered.starts_with("HTTP/1.1 400"), "{nonsense}{answered}");
        assert_eq!(problem(&answered)["kind"], "bad-request");
        // After a request that was answered, and sent together with one.
        let answered = answer(running.address, &(KEPT.to_owned() + nonsense)).await;
        let (first, second) = answered.split_once("hello").expect("the first answer");
        assert!(first.starts_with("HTTP/1.1 200"), "{answered}");
        assert!(second.starts_with("HTTP/1.1 400"), "{answered}");
    }
    let mut stream = TcpStream::connect(running.address).await.expect("connected");
    stream.write_all(KEPT.as_bytes()).await.expect("written");
    let mut seen = String::new();
    while !seen.ends_with("hello") {
        let mut room = [0; 512];
        let count = stream.read(&mut room).await.expect("an answer");
        seen += std::str::from_utf8(&room[..count]).expect("text");
    }
    stream.write_all(b"nonsense\r\n\r\n").await.expect("written");
    let mut answered = String::new();
    stream.read_to_string(&mut answered).await.expect("an answer");
    assert_eq!(problem(&answered)["status"], 400);
}

#[tokio::test]
async fn what_a_route_answers_is_never_taken_for_a_refusal() {
    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let parts = async || {
        let parts = [BARE, BARE].map(Ok::<_, std::convert::Infallible>);
        axum::body::Body::from_stream(futures_util::stream::iter(parts))
    };
    let routes = Router::new().route("/", get(async || BARE)).route("/parts", get(parts));
    let running = start(routes, &Protection::Loopback, PATIENT, AT_ONCE).await;
    let answered = answer(running.address, &get_request("localhost", "")).await;
    assert!(
        answered.starts_with("HTTP/1.1 200") && answered.ends_with(BARE),
        "{answered}"
    );
    let request = get_request("localhost", "").replacen("/ ", "/parts ", 1);
    let answered = answer(running.address, &request).await;
    assert!(
        answered.starts_with("HTTP/1.1 200") && answered.matches(BARE).count() == 2,
        "{answered}"
    );
}

#[tokio::test]
async fn a_refusal_arrives_though_the_caller_still_sends() {
    let running = start(hello(), &Protection::Loopback, PATIENT, AT_ONCE).await;
    let large = format!("x: {}\r\n", "y".repeat(300 * 1024));
    let answered = answer(running.address, &get_request("localhost", &large)).await;
    assert_eq!(problem(&answered)["kind"], "headers-too-large");
}

#[tokio::test]
async fn headers_that_do_not_arrive_in_time_end_the_connection() {
    let limits = HttpLimits {
        header_time: AT_ONCE,
        ..PATIENT
    };
    let running = start(hello(), &Protection::Loopback, limits, AT_ONCE).await;
    let answered = answer(running.address, "GET / HTTP/1.1\r\nHost: ").await;
    assert!(!answered.contains("200"), "{answered}");
}

#[tokio::test]
async fn a_connection_that_asks_nothing_ends_and_one_that_waits_between_requests_too() {
    let limits = HttpLimits {
        keep_alive: Duration::from_millis(200),
        ..PATIENT
    };
    let running = start(hello(), &Protection::Loopback, limits, AT_ONCE).await;
    assert_eq!(answer(running.address, "").await, "");
    let answered = answer(running.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answered.ends_with("hello"), "{answered}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_with_408() {
    let slow = async |request: Request| match read_body_within(request.into_body(), 100, AT_ONCE).await {
        Ok(_) => "whole".to_owned(),
        Err(error) => Problem::from(error).status().to_string(),
    };
    let running = start(
        Router::new().route("/", any(slow)),
        &Protection::Loopback,
        PATIENT,
        AT_ONCE,
    )
    .await;
    let request = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 10\r\n\r\n123";
    let answered = answer(running.address, request).await;
    assert!(answered.ends_with("408 Request Timeout"), "{answered}");
}

#[tokio::test]
async fn whoever_finds_no_place_waits_for_one() {
    let entered = Arc::new(AtomicUsize::new(0));
    let leave = Arc::new(Notify::new());
    let routes = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        Router::new().route(
            "/",
            get(async move || {
                entered.fetch_add(1, Ordering::SeqCst);
                leave.notified().await;
                "left"
            }),
        )
    };
    let limits = HttpLimits {
        connections: 1,
        ..PATIENT
    };
    let running = start(routes, &Protection::Loopback, limits, AT_ONCE).await;
    let calls = [0, 1].map(|_| {
        let address = running.address;
        tokio::spawn(async move { answer(address, &get_request("localhost", "")).await })
    });
    // One after the other: a second `notified` is only reached in the second connection.
    leave.notify_one();
    leave.notify_one();
    for call in calls {
        while !call.is_finished() {
            leave.notify_one();
            tokio::task::yield_now().await;
        }
        assert!(call.await.expect("answered").ends_with("left"));
    }
    assert_eq!(entered.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn at_the_end_requests_in_work_are_answered() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let routes = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        Router::new().route(
            "/",
            get(async move || {
                entered.notify_one();
                leave.notified().await;
                "answered"
            }),
        )
    };
    let running = start(routes, &Protection::Loopback, PATIENT, Duration::from_secs(600)).await;
    let address = running.address;
    // It would keep the connection: at the end it is closed all the same.
    let call = tokio::spawn(async move { answer(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await });
    entered.notified().await;
    running.stop.send(()).expect("running");
    leave.notify_one();
    assert!(call.await.expect("ended").ends_with("answered"));
    running.task.await.expect("ended");
}

#[tokio::test]
async fn whoever_does_not_end_in_time_is_cut_off() {
    let entered = Arc::new(Notify::new());
    let routes = {
        let entered = Arc::clone(&entered);
        Router::new().route(
            "/",
            get(async move || {
                entered.notify_one();
                std::future::pending::<&str>().await
            }),
        )
    };
    let running = start(routes, &Protection::Loopback, PATIENT, AT_ONCE).await;
    let address = running.address;
    let call = tokio::spawn(async move { answer(address, &get_request("localhost", "")).await });
    entered.notified().await;
    running.stop.send(()).expect("running");
    running.task.await.expect("ended");
    assert_eq!(call.await.expect("ended"), "");
}

/// A certificate for localhost with its key, as files.
fn certificate(folder: &std::path::Path) -> (Protection, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (Protection::Tls { certificate, key }, made.cert.der().clone())
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (protection, certificate) = certificate(folder.path());
    let running = start(hello(), &protection, PATIENT, AT_ONCE).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(running.address).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("TLS");
    stream
        .write_all(get_request("localhost", "").as_bytes())
        .await
        .expect("written");
    let mut answered = String::new();
    let _ = stream.read_to_string(&mut answered).await;
    assert!(answered.ends_with("hello"), "{answered}");
    // In clear there is no answer.
    let answered = answer(running.address, &get_request("localhost", "")).await;
    assert!(!answered.contains("hello"), "{answered}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_and_its_key_is_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let (protection, _) = certificate(folder.path());
    let Protection::Tls { certificate, key } = protection else {
        panic!("TLS was asked for")
    };
    let other = tempfile::tempdir().expect("a folder");
    let (Protection::Tls { key: other_key, .. }, _) = self::certificate(other.path()) else {
        panic!("TLS was asked for")
    };
    let missing = folder.path().join("missing.pem");
    for (certificate, key, named) in [
        (&missing, &key, &missing),
        (&certificate, &missing, &missing),
        (&key, &key, &key),
        (&certificate, &certificate, &certificate),
        (&certificate, &other_key, &other_key),
    ] {
        let protection = Protection::Tls {
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let error = Listener::bind("127.0.0.1:0", &protection, PATIENT)
            .await
            .expect_err("unusable");
        assert_eq!(error.kind(), FailureKind::Configuration);
        let told = error.to_string();
        assert!(
            told.contains(&named.display().to_string()) && told.ends_with('.'),
            "{told}"
        );
        assert!(!told.contains("BEGIN"), "{told}");
    }
}
