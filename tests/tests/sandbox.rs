//! What a connector may reach, and what the host itself does not do.

use pipepost_tests::connector::Tiny;
use pipepost_tests::{AccountFile, Aiosmtpd, Options, Scratch, document, email, lines_of_code, root, step};
use serde_json::{Value, json};

/// All that sending an email takes. One line more would be one thing more that a stolen connector could do.
const GRANTED: [&str; 8] = [
    "pipepost:claims/ahead@0.1.0",
    "pipepost:connector/files@0.2.0",
    "pipepost:connector/log@0.2.0",
    "pipepost:connector/outcomes@0.2.0",
    "pipepost:connector/types@0.2.0",
    "pipepost:mail/transport@0.2.0",
    "wasi:clocks/wall-clock@0.2.0",
    "wasi:random/random@0.2.0",
];

#[test]
fn email_v2_imports_what_it_needs_and_nothing_else() {
    let report = Scratch::new()
        .pipepost(&["plugins", "inspect", "email-v2", "--json"])
        .with_code(0)
        .json();
    let mut imports: Vec<&str> = report["imports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    imports.sort_unstable();
    assert_eq!(imports, GRANTED);
    assert_eq!(report["aliases"], json!(["email-connector-v2"]));
    assert!(
        report["digest"]
            .as_str()
            .is_some_and(|digest| digest.starts_with("sha256:")),
        "{report:#}"
    );

    let shown = Scratch::new()
        .pipepost(&["plugins", "inspect", "email-v2"])
        .with_code(0);
    for import in GRANTED {
        assert!(shown.stdout.contains(import), "{import} is not shown\n{shown}");
    }
}

#[test]
fn a_component_with_one_import_more_is_refused_and_the_import_is_named() {
    const MORE: &str = "wasi:filesystem/types@0.2.0";
    let scratch = Scratch::new();
    scratch.write("plugins/curious.wasm", Tiny::new("curious").importing(MORE).component());
    scratch.write("pipeline.json", document(&[step("curious", json!({}))]).to_string());

    for arguments in [
        &["run", "pipeline.json", "--plugins", "plugins"][..],
        &["check", "pipeline.json", "--plugins", "plugins"],
        &["plugins", "list", "--plugins", "plugins"],
    ] {
        scratch
            .pipepost(arguments)
            .with_code(78)
            .says(&["curious.wasm", MORE, "not granted"]);
    }
    // Looking at it is no harm, and tells what it wants.
    let inspected = scratch.pipepost(&["plugins", "inspect", "plugins/curious.wasm"]);
    assert!(format!("{inspected}").contains(MORE), "{inspected}");
}

#[test]
fn the_same_component_without_that_import_runs() {
    let scratch = Scratch::new();
    scratch.write("plugins/modest.wasm", Tiny::new("modest").component());
    let list = scratch
        .pipepost(&["plugins", "list", "--plugins", "plugins"])
        .with_code(0);
    assert!(
        list.stdout.contains("modest") && list.stdout.contains("email-v2"),
        "{list}"
    );
    let modest = scratch
        .pipepost(&["plugins", "inspect", "plugins/modest.wasm", "--json"])
        .with_code(0)
        .json();
    // The types that `step` is written in; an interface without a function.
    assert_eq!(
        modest["imports"],
        json!(["pipepost:connector/types@0.1.0"]),
        "{modest:#}"
    );
}

#[test]
fn a_connector_that_settles_nothing_ends_the_run_and_not_the_host() {
    let scratch = Scratch::new();
    scratch.write("plugins/silent.wasm", Tiny::new("silent").component());
    scratch.write("pipeline.json", document(&[step("silent", json!({}))]).to_string());
    let ending = scratch.pipepost(&["run", "pipeline.json", "--plugins", "plugins"]);
    assert!(ending.code.is_some_and(|code| code != 0), "{ending}");
    assert!(ending.stderr.contains("silent"), "{ending}");
}

#[test]
fn a_server_that_echoes_hears_no_secret_that_it_could_tell() {
    let Some(server) = Aiosmtpd::start(&Options {
        echo: true,
        ..Options::default()
    }) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());
    // That neither stdout nor stderr holds the password, in any form, is looked at in every run.
    let ending = Scratch::with(&document(&[email(json!({}))]), &account)
        .run(&["-v"])
        .with_code(0);
    assert_eq!(ending.json()["success"], true, "{ending}");
    assert!(ending.stdout.contains("you said"), "the server did not echo\n{ending}");

    // A refused sign-in is the one reply that people are shown whole.
    let ending = Scratch::with(
        &document(&[email(json!({}))]),
        &account.with("password", "n0t-the~password"),
    )
    .secret("n0t-the~password")
    .run(&["-v"])
    .with_code(77);
    assert!(ending.stderr.contains("you said"), "the server did not echo\n{ending}");
}

#[test]
fn the_host_speaks_no_smtp_but_the_sign_in() {
    const VERBS: [&str; 10] = [
        "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT",
    ];
    // It reads the replies that prove what was sent, with the library's parser, and builds no command either.
    const ENGINE: &str = "crates/engine/src";
    let folders = [
        "host/src",
        "crates/accounts/src",
        "crates/digibee/flowspec/src",
        "crates/embedded-connectors/src",
        ENGINE,
    ];
    let code: Vec<_> = folders.into_iter().flat_map(lines_of_code).collect();
    let builds = |line: &str, verb: &str| {
        // A literal that is continued with an argument, or a whole line of the protocol.
        [
            format!("\"{verb} \""),
            format!("\"{verb} {{"),
            format!("{verb}\\r"),
            format!("\"{verb} FROM:"),
            format!("\"{verb} TO:"),
        ]
        .iter()
        .any(|form| line.contains(form))
    };
    for (file, number, line) in &code {
        for verb in VERBS {
            assert!(!builds(line, verb), "{}:{number} builds {verb}: {line}", file.display());
        }
        for library in ["lettre", "pipepost_smtp"] {
            let reads_replies =
                file.starts_with(root().join(ENGINE)) && line.contains("pipepost_smtp::{Reply, ReplyParser}");
            assert!(
                reads_replies || !line.contains(library),
                "{}:{number} uses {library}: {line}",
                file.display()
            );
        }
    }
    assert!(
        code.iter().any(|(_, _, line)| builds(line, "AUTH")),
        "where AUTH is built, other commands would be found too"
    );
    for manifest in [
        "host/Cargo.toml",
        "crates/accounts/Cargo.toml",
        "crates/digibee/flowspec/Cargo.toml",
        "crates/embedded-connectors/Cargo.toml",
    ] {
        let text = std::fs::read_to_string(root().join(manifest)).expect("the package has a manifest");
        assert!(
            !text.contains("lettre") && !text.contains("pipepost-smtp"),
            "{manifest} depends on it"
        );
    }
}
