//! Documents, files, flags and connectors.

use pipepost_tests::connector::Tiny;
use pipepost_tests::step;
use serde_json::json;

use super::case::{Case, RUN, fails, parameters, pipeline};

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
            name: "no policy file",
            spoil: |_, _| (),
            arguments: &[
                "run",
                "pipeline.json",
                "--accounts",
                "accounts.json",
                "--policy",
                "polcy.json",
            ],
            code: 66,
            says: &["The policy `polcy.json` is not there."],
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
