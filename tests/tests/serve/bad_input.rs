//! What is wrong gets its status or exit code and one sentence, and nothing is begun.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use pipepost_tests::{Scratch, Served};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

fn rest() -> Value {
    json!({ "type": "rest" })
}

/// A pipeline that writes a line into the log.
fn logging(trigger: &Value) -> Value {
    let log = json!({ "type": "connector", "name": "log-connector", "params": { "message": "hello" } });
    json!({ "triggerSpec": trigger, "flowSpec": { "start": [log] } })
}

/// Sends these bytes, all of which the server must take, and reads all that it says.
fn raw(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers, and closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request that is wrong in one way.
struct Wrong {
    name: &'static str,
    /// Method and target.
    line: &'static str,
    headers: &'static [&'static str],
    body: &'static [u8],
    status: u16,
    kind: &'static str,
    /// What its detail says.
    says: &'static str,
}

const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

impl Wrong {
    /// A request to the pipeline `welcome`.
    const fn post(name: &'static str, headers: &'static [&'static str], body: &'static [u8]) -> Self {
        Self {
            name,
            line: "POST /pipeline/welcome",
            headers,
            body,
            status: 400,
            kind: "bad-request",
            says: "",
        }
    }

    /// A request elsewhere.
    const fn at(name: &'static str, line: &'static str, body: &'static [u8]) -> Self {
        Self {
            line,
            ..Self::post(name, &[JSON], body)
        }
    }

    const fn is(self, status: u16, kind: &'static str, says: &'static str) -> Self {
        Self {
            status,
            kind,
            says,
            ..self
        }
    }

    /// The request, with this token unless it names one itself.
    fn request(&self, token: &str) -> Vec<u8> {
        let mut request = format!("{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", self.line);
        if !self.headers.iter().any(|header| header.starts_with("Authorization: ")) {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        for header in self.headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !self
            .headers
            .iter()
            .any(|header| header.starts_with("Transfer-Encoding: "))
        {
            request.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        request.push_str("\r\n");
        [request.as_bytes(), self.body].concat()
    }

    fn check(&self, port: u16, token: &str) {
        let answer = raw(port, &self.request(token));
        let name = self.name;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{name}: {answer}"));
        assert!(
            head.starts_with(&format!("HTTP/1.1 {} ", self.status)),
            "{name}: {answer}"
        );
        assert!(
            head.contains("content-type: application/problem+json"),
            "{name}: {answer}"
        );
        let problem: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{name}: {error}: {answer}"));
        assert_eq!(
            (&problem["kind"], &problem["status"]),
            (&json!(self.kind), &json!(self.status)),
            "{name}"
        );
        let detail = problem["detail"].as_str().unwrap_or_default();
        let is_sentence = detail.starts_with(|c: char| c.is_uppercase() || c == '`') && detail.ends_with('.');
        assert!(is_sentence && detail.contains(self.says), "{name}: {problem}");
    }
}

const TRIGGERS: &[Wrong] = &[
    Wrong::at("an unknown pipeline", "POST /pipeline/wellcome", b"{}").is(404, "not-found", "`wellcome`"),
    Wrong::at("a path beside it", "POST /pipeline/..%2f..%2fetc%2fpasswd", b"{}").is(404, "not-found", "no pipeline"),
    Wrong::at("a name that is not UTF-8", "POST /pipeline/%ff", b"{}").is(404, "not-found", "`%ff`"),
    Wrong::at("a pipeline that nobody calls", "POST /pipeline/called", b"{}").is(404, "not-found", "`called`"),
    Wrong::at("an unknown path", "POST /elsewhere", b"{}").is(404, "not-found", "`/elsewhere`"),
    Wrong::at("an unknown method", "BREW /pipeline/welcome", b"").is(405, "method-not-allowed", "BREW"),
    Wrong::at("another method", "GET /pipeline/welcome", b"").is(405, "method-not-allowed", "POST"),
    Wrong::at("another host", "POST http://evil.example/pipeline/welcome", b"{}").is(
        421,
        "misdirected",
        "evil.example",
    ),
    Wrong::post("no token", &[JSON, "Authorization: Basic eA=="], b"{}").is(401, "unauthenticated", "no token"),
    Wrong::post("an unknown token", &[JSON, "Authorization: Bearer pp_x"], b"{}").is(
        401,
        "unauthenticated",
        "not known",
    ),
    Wrong::post(
        "two tokens",
        &[JSON, "Authorization: Bearer pp_x", "Authorization: Bearer pp_y"],
        b"{}",
    )
    .is(400, "bad-request", "two headers `Authorization`"),
    Wrong::post("a body that is not JSON", &[JSON], b"{\"subject\":").is(400, "bad-request", "not JSON"),
    Wrong::post("a byte that is no text", &[JSON], b"{\"subject\":\"\0\"}").is(400, "bad-request", "not JSON"),
    Wrong::post("half a character", &[JSON], b"{\"subject\":\"\\ud800\"}").is(400, "bad-request", "not JSON"),
    Wrong::post("a body that is not UTF-8", &[JSON], b"\xff").is(400, "bad-request", "not UTF-8"),
    Wrong::post("a picture", &["Content-Type: image/png"], b"\x89PNG").is(400, "bad-request", "as base64 within JSON"),
    Wrong::post("a form that is not UTF-8", &[FORM], b"a=1&name=J%FCrgen").is(400, "bad-request", "field `name`"),
    Wrong::post("another charset", &["Content-Type: text/plain; charset=utf-7"], b"x").is(
        415,
        "unsupported-media-type",
        "`utf-7`",
    ),
    Wrong::at(
        "a query that is not UTF-8",
        "POST /pipeline/welcome?name=J%FCrgen",
        b"{}",
    )
    .is(400, "bad-request", "parameter `name`"),
    Wrong::post(
        "a body that is packed",
        &[JSON, "Content-Encoding: gzip"],
        b"\x1f\x8b\x08\0",
    )
    .is(415, "unsupported-media-type", "`gzip`"),
    Wrong::post(
        "another transfer coding",
        &[JSON, "Transfer-Encoding: gzip, chunked"],
        b"2\r\n{}\r\n0\r\n\r\n",
    )
    .is(400, "bad-request", "`gzip`"),
    Wrong::post(
        "chunks that are none",
        &[JSON, "Transfer-Encoding: chunked"],
        b"zz\r\n{}\r\n0\r\n\r\n",
    )
    .is(400, "bad-request", "did not arrive whole"),
    Wrong::post("an empty key", &[JSON, "Idempotency-Key: "], b"{}").is(400, "bad-request", "is empty"),
    Wrong::post("two keys", &[JSON, "Idempotency-Key: a", "Idempotency-Key: b"], b"{}").is(
        400,
        "bad-request",
        "two headers `Idempotency-Key`",
    ),
    Wrong::post("a key with a space", &[JSON, "Idempotency-Key: a b"], b"{}").is(400, "bad-request", "holds a space"),
    Wrong::at("an event without its attributes", "POST /events", b"{}").is(400, "bad-request", "`ce-specversion`"),
];

const ADMIN: &[Wrong] = &[
    Wrong::at("an unknown path", "GET /api/v1/run", b"").is(404, "not-found", "`/api/v1/run`"),
    Wrong::at("an unknown run", "GET /api/v1/runs/x", b"").is(404, "not-found", "`x`"),
    Wrong::at("a run whose name is not UTF-8", "GET /api/v1/runs/%ff", b"").is(400, "bad-request", "not UTF-8"),
    Wrong::at("an account whose name is not UTF-8", "PUT /api/v1/accounts/%ff", b"{}").is(
        400,
        "bad-request",
        "not UTF-8",
    ),
    Wrong::at("another method", "DELETE /api/v1/runs", b"").is(405, "method-not-allowed", "DELETE"),
    Wrong::at("an unknown state", "GET /api/v1/runs?state=lost", b"").is(400, "bad-request", "`lost`"),
    Wrong::at("a misspelt condition", "GET /api/v1/runs?stat=done", b"").is(400, "bad-request", "`stat`"),
    Wrong::at("a condition that is not UTF-8", "GET /api/v1/runs?q=%ff", b"").is(400, "bad-request", "parameter `q`"),
    Wrong::at("a page that is too large", "GET /api/v1/runs?limit=201", b"").is(400, "bad-request", "from 1 to 200"),
    Wrong::at("no time", "GET /api/v1/runs?since=yesterday", b"").is(400, "bad-request", "RFC 3339"),
    Wrong::at("an order that is not JSON", "POST /api/v1/runs", b"{").is(400, "bad-request", "not an order"),
    Wrong::at(
        "an order with another key",
        "POST /api/v1/runs",
        b"{\"pipeline\":\"welcome\",\"wen\":1}",
    )
    .is(400, "bad-request", "`wen`"),
    Wrong::at(
        "an order that says it twice",
        "POST /api/v1/runs",
        b"{\"pipeline\":\"a\",\"pipeline\":\"b\"}",
    )
    .is(400, "bad-request", "duplicate field `pipeline`"),
    Wrong::at(
        "an order for nothing",
        "POST /api/v1/runs",
        b"{\"pipeline\":\"wellcome\"}",
    )
    .is(404, "not-found", "`wellcome`"),
    Wrong::at(
        "an order for no time",
        "POST /api/v1/runs",
        b"{\"pipeline\":\"called\",\"due\":\"soon\"}",
    )
    .is(400, "bad-request", "`soon`"),
    Wrong::at(
        "an unknown decision",
        "POST /api/v1/messages/x/settle",
        b"{\"as\":\"maybe\"}",
    )
    .is(400, "bad-request", "`maybe`"),
    Wrong::at(
        "an email of nobody",
        "POST /api/v1/send",
        b"{\"account\":\"nobody\",\"params\":{}}",
    )
    .is(404, "not-found", "nobody"),
];

#[test]
fn each_wrong_request_gets_its_status_and_a_sentence() {
    let fixture = Fixture::new()
        .pipeline("welcome", &sending(&rest()))
        .pipeline("called", &logging(&Value::Null));
    let served = Served::start(&fixture.scratch, &[]);
    for wrong in TRIGGERS {
        wrong.check(served.triggers, served.token());
    }
    for wrong in ADMIN {
        wrong.check(served.admin, served.token());
    }
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).json();
    assert_eq!(runs["runs"], json!([]), "nothing was begun: {runs}");
    assert!(fixture.catcher.messages().is_empty());
}

#[test]
fn a_body_of_the_api_that_is_not_an_object_is_refused_in_one_sentence() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    for (method, path) in [
        ("POST", "/api/v1/runs"),
        ("POST", "/api/v1/send"),
        ("POST", "/api/v1/messages/x/settle"),
        ("PUT", "/api/v1/accounts/x"),
        ("POST", "/api/v1/accounts/mail/test"),
        ("POST", "/api/v1/accounts/mail/pause"),
        ("POST", "/api/v1/accounts/mail/authorize"),
        ("POST", "/api/v1/pipelines/welcome/check"),
        ("POST", "/api/v1/pipelines/welcome/preview"),
    ] {
        for body in [
            json!([]),
            json!(["welcome", { "body": subject("x") }]),
            json!([null]),
            json!("sent"),
            json!(1),
            json!(true),
        ] {
            let problem = served.api(method, path, &body).with_status(400).json();
            assert_eq!(
                problem["detail"], "The body has to be a JSON object.",
                "{path} {body}: {problem}"
            );
        }
    }
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).json();
    assert_eq!(runs["runs"], json!([]), "nothing was begun: {runs}");
}

#[test]
fn what_no_route_sees_is_answered_with_a_problem_too() {
    let fixture = Fixture::new().pipeline("welcome", &logging(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let head = "POST /pipeline/welcome HTTP/1.1\r\nHost: localhost\r\n";
    let large = format!("{head}X-Large: {}\r\n\r\n", "x".repeat(200 << 10));
    let many = format!("{head}{}\r\n", "X-One: 1\r\n".repeat(500));
    let wrong: [(&[u8], u16, &str, &str); 7] = [
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            400,
            "bad-request",
            "not a request of HTTP/1.1",
        ),
        (
            b"HELO mail.example\r\n\r\n",
            400,
            "bad-request",
            "not a request of HTTP/1.1",
        ),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            400,
            "bad-request",
            "not a request",
        ),
        (b"GET / HTTP/3.7\r\n\r\n", 400, "bad-request", "not a request"),
        (
            b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n",
            400,
            "bad-request",
            "not a request",
        ),
        (large.as_bytes(), 431, "headers-too-large", "larger than"),
        (many.as_bytes(), 431, "headers-too-large", "more than"),
    ];
    for (request, status, kind, says) in wrong {
        for port in [served.triggers, served.admin] {
            let answer = raw(port, request);
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(head.contains("content-type: application/problem+json"), "{answer}");
            let problem: Value = serde_json::from_str(body).expect("a document");
            assert_eq!(problem["kind"], kind, "{answer}");
            assert!(
                problem["detail"].as_str().is_some_and(|told| told.contains(says)),
                "{answer}"
            );
        }
    }
    // It is as whole as before.
    served.post("welcome", &[], &json!({})).with_status(200);
    // A coding of no body is no reason to say that the process does not turn.
    for port in [served.triggers, served.admin] {
        let answer = raw(
            port,
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n",
        );
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn whoever_sends_too_much_may_send_it_all_and_is_told() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let large = format!("{{\"pipeline\":\"welcome\",\"message\":\"{}\"}}", "x".repeat(6 << 20));
    for (port, path) in [
        (served.triggers, "/pipeline/welcome"),
        (served.triggers, "/elsewhere"),
        (served.admin, "/api/v1/runs"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{JSON}\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n",
            served.token(),
            large.len()
        );
        let answer = raw(port, &[head.as_bytes(), large.as_bytes()].concat());
        let status = if path == "/elsewhere" { "404" } else { "413" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(
            answer.contains("application/json") || answer.contains("problem+json"),
            "{path}: {answer}"
        );
    }
    // One that waits to be asked for it is told at once, and sends nothing.
    let head = format!(
        "POST /pipeline/welcome HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n{JSON}\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        served.token(),
        large.len()
    );
    let answer = raw(served.triggers, head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let runs = served.api("GET", "/api/v1/runs", &Value::Null).json();
    assert_eq!(runs["runs"], json!([]), "{runs}");
}

#[test]
fn requests_that_are_odd_and_right_are_answered() {
    let fixture = Fixture::new()
        .pipeline("welcome", &logging(&rest()))
        .pipeline("São Paulo", &logging(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    let token = format!("Authorization: Bearer {}\r\n", served.token());
    let ask = |line: &str, headers: &str, body: &str| {
        let request = format!("{line}\r\nHost: localhost\r\n{token}{JSON}\r\n{headers}\r\n{body}");
        raw(served.triggers, request.as_bytes())
    };
    let close = "Connection: close\r\n";
    for (name, line, headers, body) in [
        (
            "HTTP/1.0",
            "POST /pipeline/welcome HTTP/1.0",
            "Content-Length: 2\r\n",
            "{}",
        ),
        (
            "an absolute target",
            "POST http://localhost/pipeline/welcome HTTP/1.1",
            "Connection: close\r\nContent-Length: 2\r\n",
            "{}",
        ),
        (
            "chunks",
            "POST /pipeline/welcome HTTP/1.1",
            "Connection: close\r\nTransfer-Encoding: chunked\r\n",
            "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        ),
        (
            "a name in percent signs",
            "POST /pipeline/S%C3%A3o%20Paulo HTTP/1.1",
            "Connection: close\r\nContent-Length: 2\r\n",
            "{}",
        ),
        (
            "a byte order mark",
            "POST /pipeline/welcome HTTP/1.1",
            "Connection: close\r\nContent-Length: 5\r\n",
            "\u{feff}{}",
        ),
    ] {
        let answer = ask(line, headers, body);
        assert!(answer.contains(" 200 OK\r\n"), "{name}: {answer}");
    }
    // Two in one breath are answered in their order, over one connection.
    let first =
        format!("POST /pipeline/welcome HTTP/1.1\r\nHost: localhost\r\n{token}{JSON}\r\nContent-Length: 2\r\n\r\n{{}}");
    let second = format!("HEAD /livez HTTP/1.1\r\nHost: localhost\r\n{close}\r\n");
    let answers = raw(served.triggers, format!("{first}{second}").as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answers}");
    assert!(
        answers.ends_with("\r\n\r\n"),
        "an answer to HEAD has no body: {answers}"
    );
}

#[test]
fn a_token_does_what_its_scopes_say_and_no_more() {
    let fixture = Fixture::new()
        .pipeline("welcome", &logging(&rest()))
        .pipeline("other", &logging(&rest()));
    let made = fixture.scratch.pipepost(&[
        "tokens",
        "add",
        "shop",
        "--may",
        "run:welcome",
        "--tokens",
        "tokens.json",
    ]);
    let made = made.with_code(0);
    let token = made
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("pp_"))
        .expect("a token")
        .to_owned();
    let served = Served::start_with_tokens(&fixture.scratch, "tokens.json", &token);
    served.post("welcome", &[], &json!({})).with_status(200);
    let refused = served.post("other", &[], &json!({})).with_status(403).json();
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("run:other")),
        "{refused}"
    );
    served.api("GET", "/api/v1/runs", &Value::Null).with_status(403);
    served.api("PUT", "/api/v1/accounts/x", &json!({})).with_status(403);
    served
        .api("POST", "/api/v1/runs", &json!({ "pipeline": "other" }))
        .with_status(403);
    // A file that is wrong while it serves changes nothing, and is told once.
    fixture.scratch.write("tokens.json", "[{");
    served.running().complains("the tokens stay as they were");
    served.post("welcome", &[], &json!({})).with_status(200);
    fixture.scratch.write("tokens.json", "[]");
    while served.post("welcome", &[], &json!({})).status != 401 {
        std::thread::yield_now();
    }
}

#[test]
fn a_file_of_tokens_that_is_wrong_is_a_sentence() {
    let digest = "0".repeat(64);
    let entry = |more: Value| {
        let mut entry = json!({ "name": "shop", "sha256": digest, "may": ["read"] });
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        json!([entry]).to_string()
    };
    let cases: Vec<(&str, Option<String>, &str)> = vec![
        ("no file", None, "No such file"),
        ("nothing", Some(String::new()), "EOF"),
        ("no JSON", Some("pp_".to_owned()), "expected value"),
        ("an object", Some("{}".to_owned()), "invalid type"),
        (
            "a misspelt key",
            Some(entry(json!({ "mai": ["read"] }))),
            "unknown field `mai`",
        ),
        (
            "no hash",
            Some(entry(json!({ "sha256": "x" }))),
            "64 hexadecimal digits",
        ),
        (
            "an unknown scope",
            Some(entry(json!({ "may": ["write"] }))),
            "`write` is not a scope",
        ),
        (
            "a scope of no pipeline",
            Some(entry(json!({ "may": ["run:"] }))),
            "`run:` is not a scope",
        ),
        ("no scope", Some(entry(json!({ "may": [] }))), "has no scope"),
        ("no name", Some(entry(json!({ "name": "" }))), "has no name"),
        (
            "a name twice",
            {
                let one = json!({ "name": "shop", "sha256": digest, "may": ["read"] });
                Some(json!([one, one]).to_string())
            },
            "is there twice",
        ),
    ];
    let fixture = Fixture::new().pipeline("welcome", &logging(&rest()));
    let serve = |scratch: &Scratch| {
        let arguments = [&Served::arguments()[..], &["--tokens", "tokens.json"]].concat();
        scratch.pipepost(&arguments).with_code(78)
    };
    for (name, text, says) in cases {
        if let Some(text) = text {
            fixture.scratch.write("tokens.json", text);
        }
        let ending = serve(&fixture.scratch);
        ending.is_a_sentence(name);
        assert!(
            ending.stderr.contains("tokens.json") && ending.stderr.contains(says),
            "{name}: {ending}"
        );
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let path = fixture.scratch.write("tokens.json", entry(json!({})));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("a file of our own");
        let ending = serve(&fixture.scratch);
        ending.is_a_sentence("a file that others write");
        assert!(ending.stderr.contains("chmod 600"), "{ending}");
        // It holds hashes, so others may read it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a file of our own");
        drop(Served::start_with_tokens(&fixture.scratch, "tokens.json", "pp_x"));
        std::fs::remove_file(&path).expect("a file of our own");
        std::fs::create_dir(&path).expect("a folder");
        let ending = serve(&fixture.scratch);
        ending.is_a_sentence("a folder");
        assert!(ending.stderr.contains("it is not a file"), "{ending}");
    }
}

#[test]
fn a_run_whose_document_does_not_check_any_more_fails_with_advice_and_goes_on_when_it_does() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest()));
    let served = Served::start(&fixture.scratch, &[]);
    served
        .api("POST", "/api/v1/pipelines/welcome/pause", &Value::Null)
        .with_status(200);
    let headers = [("Prefer", "respond-async")];
    let reply = served.post("welcome", &headers, &subject("later")).with_status(202);
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(served.end("TERM").code, Some(0));
    // Its account is gone.
    let accounts = fixture.scratch.folder().join("accounts.json");
    let before = std::fs::read_to_string(&accounts).expect("the accounts");
    fixture.scratch.write("accounts.json", "[]");
    let served = Served::start(&fixture.scratch, &[]);
    served.api("POST", "/api/v1/pipelines/welcome/resume", &Value::Null);
    let failed = served.run_until(&id, "failed");
    assert_eq!(failed["failure"]["kind"], "configuration", "{failed}");
    let message = failed["failure"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("does not check any more") && failed["failure"]["advice"].is_string(),
        "{failed}"
    );
    assert_eq!(served.end("TERM").code, Some(0));
    fixture.scratch.write("accounts.json", before);
    let served = Served::start(&fixture.scratch, &[]);
    served
        .api("POST", &format!("/api/v1/runs/{id}/continue"), &Value::Null)
        .with_status(200);
    served.run_until(&id, "done");
    assert_eq!(fixture.arrived("later"), 1);
}

#[test]
fn what_waits_and_schedules_follow_a_clock_that_was_set_back() {
    let fixture = Fixture::new().pipeline("welcome", &sending(&rest())).pipeline(
        "tick",
        &logging(&json!({ "type": "scheduler", "cronExpression": "* * * * * ?" })),
    );
    let served = Served::start(&fixture.scratch, &[]);
    served
        .api("POST", "/api/v1/pipelines/welcome/pause", &Value::Null)
        .with_status(200);
    let reply = served
        .post("welcome", &[("Prefer", "respond-async")], &subject("later"))
        .with_status(202);
    let id = reply.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(served.end("TERM").code, Some(0));
    // As if the clock had been a day ahead.
    let file = fixture.scratch.folder().join("state/pipepost.sqlite");
    let database = rusqlite::Connection::open(file).expect("a state");
    let day = 86_400_000_000_i64;
    for statement in [
        "UPDATE runs SET accepted = accepted + ?1, due = due + ?1, begun = begun + ?1, ended = ended + ?1,
           expires = expires + ?1",
        "UPDATE schedules SET last = last + ?1",
        "DELETE FROM runs WHERE state <> 'queued' AND ?1 > 0",
    ] {
        database.execute(statement, [day]).expect("a state");
    }
    drop(database);
    let served = Served::start(&fixture.scratch, &[]);
    served
        .api("POST", "/api/v1/pipelines/welcome/resume", &Value::Null)
        .with_status(200);
    served.run_until(&id, "done");
    assert_eq!(fixture.arrived("later"), 1);
    loop {
        let runs = served.api("GET", "/api/v1/runs?pipeline=tick", &Value::Null).json();
        if runs["runs"].as_array().is_some_and(|runs| !runs.is_empty()) {
            break;
        }
        std::thread::yield_now();
    }
}
