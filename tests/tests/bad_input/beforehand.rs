//! What can be known before a connection is made: none is.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use pipepost_tests::connector::Tiny;
use pipepost_tests::{AccountFile, Authority, Flaw, Scratch, document, email, step};
use serde_json::{Value, json};

/// A server that nobody may call on.
struct Untouched(TcpListener);

impl Untouched {
    fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket of our own");
        Self(listener)
    }

    fn account(&self, folder: &Path) -> AccountFile {
        let certificate = Authority::new().issue(Flaw::None, folder);
        let port = self.0.local_addr().expect("it is bound").port();
        AccountFile::starttls(("127.0.0.1", port), &certificate.authority)
    }

    fn was_called(&self) -> bool {
        !matches!(self.0.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// What is wrong, and what is said of it.
struct Case {
    name: &'static str,
    /// Makes the files of a good run bad.
    spoil: fn(&Scratch, &AccountFile),
    arguments: &'static [&'static str],
    code: i32,
    says: &'static [&'static str],
}

const RUN: &[&str] = &["run", "pipeline.json", "--accounts", "accounts.json"];

/// Runs each on a desk where everything else is right.
fn fails(cases: &[Case]) {
    for case in cases {
        let server = Untouched::new();
        let scratch = Scratch::new();
        let account = server.account(scratch.folder());
        scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
        scratch.write("accounts.json", account.json().to_string());
        (case.spoil)(&scratch, &account);
        let ending = scratch.pipepost(case.arguments);
        assert_eq!(
            ending.code,
            Some(case.code),
            "{}: another exit code was expected\n{ending}",
            case.name
        );
        for words in case.says {
            assert!(
                ending.stderr.contains(words),
                "{}: it does not say `{words}`\n{ending}",
                case.name
            );
        }
        ending.is_a_sentence(case.name);
        assert!(!server.was_called(), "{}: the server was called\n{ending}", case.name);
    }
}

fn pipeline(scratch: &Scratch, steps: &[Value]) {
    scratch.write("pipeline.json", document(steps).to_string());
}

fn parameters(scratch: &Scratch, params: Value) {
    pipeline(scratch, &[email(params)]);
}

#[test]
fn documents() {
    fails(&[
        Case {
            name: "not JSON",
            spoil: |scratch, _| drop(scratch.write("pipeline.json", "{\n  \"flowSpec\": {\n    start: []\n")),
            arguments: RUN,
            code: 65,
            says: &["pipeline.json", "not JSON", "line 3"],
        },
        Case {
            name: "empty",
            spoil: |scratch, _| drop(scratch.write("pipeline.json", "")),
            arguments: RUN,
            code: 65,
            says: &["pipeline.json", "not JSON"],
        },
        Case {
            name: "another document",
            spoil: |scratch, _| drop(scratch.write("pipeline.json", r#"{"openapi": "3.1.0", "paths": {}}"#)),
            arguments: RUN,
            code: 65,
            says: &["pipeline.json", "flowSpec"],
        },
        Case {
            name: "an array",
            spoil: |scratch, _| drop(scratch.write("pipeline.json", "[]")),
            arguments: RUN,
            code: 65,
            says: &["pipeline.json", "not a JSON object"],
        },
        Case {
            name: "an unknown connector",
            spoil: |scratch, _| pipeline(scratch, &[step("email-conector-v2", json!({}))]),
            arguments: RUN,
            code: 65,
            says: &[
                "branch start",
                "step 1",
                "email-conector-v2",
                "nearest known is `email-connector-v2`",
            ],
        },
        Case {
            name: "an unknown step type",
            spoil: |scratch, _| pipeline(scratch, &[json!({ "type": "chioce", "when": [] })]),
            arguments: RUN,
            code: 65,
            says: &["branch start", "step 1", "chioce", "nearest known is `choice`"],
        },
        Case {
            name: "a step of the platform that is not run here",
            spoil: |scratch, _| {
                pipeline(
                    scratch,
                    &[
                        step("log-connector", json!({ "message": "first" })),
                        step("mongodb-connector", json!({})),
                    ],
                );
            },
            arguments: RUN,
            code: 65,
            says: &["step 2", "mongodb-connector"],
        },
        Case {
            name: "an unknown parameter",
            spoil: |scratch, _| parameters(scratch, json!({ "subjct": "Hello" })),
            arguments: RUN,
            code: 65,
            says: &[
                "branch start",
                "step 1 (Send)",
                "parameter subjct",
                "nearest known is `subject`",
            ],
        },
        Case {
            name: "an unknown branch",
            spoil: |scratch, _| {
                let choice = json!({ "type": "choice", "when": [{ "jsonPath": "$.a", "target": "nowhere" }], "otherwise": "start" });
                pipeline(scratch, &[choice]);
            },
            arguments: RUN,
            code: 65,
            says: &["nowhere"],
        },
        Case {
            name: "a secret in an expression",
            spoil: |scratch, _| parameters(scratch, json!({ "subject": "{{ account.mail.password }}" })),
            arguments: RUN,
            code: 78,
            says: &["parameter subject", "password", "exposed_fields"],
        },
    ]);
}

#[test]
fn files_and_usage() {
    fails(&[
        Case {
            name: "no pipeline file",
            spoil: |_, _| (),
            arguments: &["run", "pipelin.json"],
            code: 66,
            says: &["pipelin.json"],
        },
        Case {
            name: "no input file",
            spoil: |_, _| (),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--input",
                "order.json",
            ],
            code: 66,
            says: &["order.json"],
        },
        Case {
            name: "input that is not JSON",
            spoil: |scratch, _| drop(scratch.write("order.json", "{\"a\": 1,}")),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--input",
                "order.json",
            ],
            code: 65,
            says: &["order.json", "not JSON"],
        },
        Case {
            name: "no accounts file",
            spoil: |_, _| (),
            arguments: &["run", "pipeline.json", "--accounts", "acounts.json"],
            code: 66,
            says: &["acounts.json"],
        },
        Case {
            name: "an unknown flag",
            spoil: |_, _| (),
            arguments: &["run", "pipeline.json", "--acounts", "accounts.json"],
            code: 64,
            says: &["--acounts", "--accounts"],
        },
        Case {
            name: "a global without a value",
            spoil: |_, _| (),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--global",
                "shop",
            ],
            code: 64,
            says: &["shop"],
        },
    ]);
}

#[test]
fn accounts() {
    fails(&[
        Case {
            name: "accounts that are not JSON",
            spoil: |scratch, account| {
                let text = account.json().to_string();
                scratch.write("accounts.json", &text[..text.len() - 1]);
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "line 1"],
        },
        Case {
            name: "an unknown label",
            spoil: |scratch, account| {
                drop(scratch.write(
                    "accounts.json",
                    account.clone().with("label", "mial").json().to_string(),
                ))
            },
            arguments: RUN,
            code: 78,
            says: &["step 1 (Send)", "account labelled `mail`", "mial"],
        },
        Case {
            name: "an unknown account type",
            spoil: |scratch, account| {
                let account = account.clone().with("type", "smtp-auth-and-propertys");
                scratch.write("accounts.json", account.json().to_string());
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "smtp-auth-and-propertys", "smtp-auth-and-properties"],
        },
        Case {
            name: "an unknown field",
            spoil: |scratch, account| {
                drop(scratch.write(
                    "accounts.json",
                    account.clone().with("pasword", "n0t-shown").json().to_string(),
                ))
            },
            arguments: RUN,
            code: 78,
            says: &["accounts.json", "account \"mail\"", "pasword", "password"],
        },
        Case {
            name: "no accounts at all",
            spoil: |_, _| (),
            arguments: &["run", "pipeline.json"],
            code: 78,
            says: &["step 1 (Send)", "account", "mail"],
        },
        Case {
            name: "a step that signs in without an account",
            spoil: |scratch, _| {
                let mut send = email(json!({}));
                send.as_object_mut()
                    .expect("a step is an object")
                    .shift_remove("accountLabel");
                pipeline(scratch, &[send]);
            },
            arguments: RUN,
            code: 78,
            says: &["step 1 (Send)", "names no account"],
        },
        Case {
            name: "another host than the account's",
            spoil: |scratch, _| parameters(scratch, json!({ "smtpHost": "smtp.example.com" })),
            arguments: RUN,
            code: 78,
            says: &["smtp.example.com", "127.0.0.1", "account \"mail\""],
        },
        Case {
            name: "another port than the account's",
            spoil: |scratch, _| parameters(scratch, json!({ "smtpPort": "2" })),
            arguments: RUN,
            code: 78,
            says: &["port 2", "account \"mail\""],
        },
        Case {
            name: "a host that an expression makes",
            spoil: |scratch, _| {
                scratch.write("order.json", r#"{"host": "smtp.example.com"}"#);
                parameters(scratch, json!({ "smtpHost": "{{ message.host }}" }));
            },
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--input",
                "order.json",
            ],
            code: 78,
            says: &["smtp.example.com", "account \"mail\""],
        },
    ]);
}

#[test]
fn messages() {
    fails(&[
        Case {
            name: "no recipient",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "", "cc": [], "bcc": null })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "recipient"],
        },
        Case {
            name: "no recipient in the message",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "{{ message.customer }}" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "recipient"],
        },
        Case {
            name: "an address without a domain",
            spoil: |scratch, _| parameters(scratch, json!({ "to": "ann" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "`to`", "ann"],
        },
        Case {
            name: "half an address",
            spoil: |scratch, _| parameters(scratch, json!({ "cc": "Ann <ann@example.test" })),
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "`cc`"],
        },
        Case {
            name: "an attachment that is not there",
            spoil: |scratch, _| {
                parameters(
                    scratch,
                    json!({ "attachments": [{ "attachment": "invoice.pdf", "type": "ATTACHMENT" }] }),
                );
            },
            arguments: RUN,
            code: 65,
            says: &["step 1 (Send)", "invoice.pdf"],
        },
    ]);
}

/// Through the document, and through a message that a stranger may have written.
#[test]
fn line_breaks_and_nul_where_headers_and_envelopes_are_made() {
    let server = Untouched::new();
    for break_out in ["\r\n", "\n", "\r", "\0"] {
        for (parameter, text) in [
            ("to", format!("ann@example.test{break_out}Bcc: eve@example.test")),
            ("to", format!("Ann{break_out}Bcc: eve@example.test <ann@example.test>")),
            ("cc", format!("ann{break_out}x@example.test")),
            ("bcc", format!("ann@example.test>{break_out}RCPT TO:<eve@example.test")),
            (
                "from",
                format!("Tester{break_out}Bcc: eve@example.test <tester@example.test>"),
            ),
            (
                "replyTo",
                format!("tester@example.test{break_out}Bcc: eve@example.test"),
            ),
            ("envelopeFrom", format!("tester@example.test{break_out}DATA")),
            ("subject", format!("Hello{break_out}Bcc: eve@example.test")),
        ] {
            let scratch = Scratch::new();
            scratch.write("accounts.json", server.account(scratch.folder()).json().to_string());
            scratch.write("order.json", json!({ "text": text }).to_string());
            let native = email(json!({ parameter: text }));
            let expression = email(json!({ parameter: "{{ message.text }}" }));
            for (way, send) in [("written", native), ("in a message", expression)] {
                pipeline(&scratch, &[send]);
                let ending = scratch.run(&["--input", "order.json"]);
                let name = format!("{parameter} with {break_out:?}, {way}");
                assert_eq!(
                    ending.code,
                    Some(65),
                    "{name}: another exit code was expected\n{ending}"
                );
                assert!(
                    ending.stderr.contains(parameter),
                    "{name}: the parameter is not named\n{ending}"
                );
                assert!(
                    !ending.stderr.contains("\0") && !ending.stderr.contains('\r'),
                    "{name}: it is shown raw\n{ending}"
                );
                ending.is_a_sentence(&name);
            }
        }
        for headers in [
            json!({ "X-Order": format!("1{break_out}Bcc: eve@example.test") }),
            json!({ format!("X{break_out}Bcc"): "1" }),
        ] {
            let scratch = Scratch::new();
            scratch.write("accounts.json", server.account(scratch.folder()).json().to_string());
            parameters(&scratch, json!({ "headers": headers }));
            let ending = scratch.run(&[]);
            assert_eq!(
                ending.code,
                Some(65),
                "{headers}: another exit code was expected\n{ending}"
            );
            ending.is_a_sentence("headers");
        }
    }
    assert!(!server.was_called());
}

#[test]
fn connectors() {
    fails(&[
        Case {
            name: "an alias that is taken",
            spoil: |scratch, _| {
                let bytes = Tiny::new("other-mail").alias("email-connector-v2").component();
                scratch.write("plugins/other-mail.wasm", bytes);
            },
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--plugins",
                "plugins",
            ],
            code: 78,
            says: &["email-connector-v2", "other-mail", "email-v2"],
        },
        Case {
            name: "two files with one name",
            spoil: |scratch, _| {
                scratch.write("plugins/one.wasm", Tiny::new("same").component());
                scratch.write("plugins/two.wasm", Tiny::new("same").component());
            },
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--plugins",
                "plugins",
            ],
            code: 78,
            says: &["`same`", "one.wasm", "two.wasm"],
        },
        Case {
            name: "a file that is no component",
            spoil: |scratch, _| drop(scratch.write("plugins/text.wasm", "not WebAssembly")),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--plugins",
                "plugins",
            ],
            code: 78,
            says: &["text.wasm"],
        },
        Case {
            name: "a connector that the policy does not list",
            spoil: |scratch, _| {
                scratch.write(
                    "policy.json",
                    json!({ "connectors": [{ "digest": format!("sha256:{}", "0".repeat(64)) }] }).to_string(),
                );
            },
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--policy",
                "policy.json",
            ],
            code: 78,
            says: &["policy", "sha256:"],
        },
        Case {
            name: "a host that the policy does not allow",
            spoil: |scratch, _| drop(scratch.write("policy.json", r#"{"hosts": ["smtp.example.com"]}"#)),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--policy",
                "policy.json",
            ],
            code: 78,
            says: &["policy", "127.0.0.1"],
        },
    ]);
}
