//! What only the server can tell: nothing is sent to it, and no secret where it could be taken.

use pipepost_tests::{
    AccountFile, Aiosmtpd, Authority, Ending, Flaw, Options, PASSWORD, REFUSED, Scratch, Tls, document, email, step,
};
use serde_json::{Value, json};

/// Sends to a server of these options with an account that `spoil` has changed.
///
/// What the server has seen afterwards: no message, and no command whose verb is among `never`.
fn fails(options: &Options, spoil: fn(AccountFile) -> AccountFile, params: Value, never: &[&str]) -> Option<Ending> {
    let server = Aiosmtpd::start(options)?;
    let account = match options.tls {
        Tls::Implicit => AccountFile::tls(server.at(), server.authority()),
        _ => AccountFile::starttls(server.at(), server.authority()),
    };
    let ending = Scratch::with(&document(&[email(params)]), &spoil(account)).run(&[]);
    let seen = server.finish();
    assert!(seen.messages.is_empty(), "the message was sent\n{seen:?}\n{ending}");
    for verb in never {
        assert!(
            !seen.commands.iter().any(|line| line.starts_with(verb)),
            "it came to {verb}: {seen:?}\n{ending}"
        );
    }
    ending.is_a_sentence("");
    Some(ending)
}

const NOTHING_SECRET: &[&str] = &["AUTH", "MAIL", "RCPT", "DATA", "BDAT"];
const NO_MESSAGE: &[&str] = &["MAIL", "RCPT", "DATA", "BDAT"];

#[test]
fn a_name_that_does_not_resolve() {
    let scratch = Scratch::new();
    let authority = Authority::new().issue(Flaw::None, scratch.folder()).authority;
    // RFC 6761: nobody ever has a name below `invalid`.
    let account = AccountFile::starttls(("mail.invalid", 587), &authority);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", account.json().to_string());
    let ending = scratch
        .run(&[])
        .with_code(75)
        .says(&["step 1 (Send)", "mail.invalid", "does not resolve"]);
    ending.is_a_sentence("");
}

#[test]
fn a_refused_connection() {
    let scratch = Scratch::new();
    let authority = Authority::new().issue(Flaw::None, scratch.folder()).authority;
    // The port of a service that nobody has run for decades, and that nothing is given by chance.
    let account = AccountFile::starttls(("127.0.0.1", 1), &authority);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", account.json().to_string());
    let ending = scratch
        .run(&[])
        .with_code(75)
        .says(&["step 1 (Send)", "127.0.0.1:1", "refused"]);
    ending.is_a_sentence("");
}

#[test]
fn certificates_that_prove_nothing() {
    let good = |account: AccountFile| account;
    for tls in [Tls::StartTls, Tls::Implicit] {
        for (flaw, spoil, says) in [
            (
                Flaw::None,
                (|account| account.with("ca_file", Value::Null)) as fn(AccountFile) -> AccountFile,
                "ca_file",
            ),
            (Flaw::SelfSigned, good, "ca_file"),
            (Flaw::WrongName, good, "elsewhere.example"),
            (Flaw::Expired, good, "expired"),
            (
                Flaw::Authority,
                |account| account.with("ca_file", Value::Null),
                "name this very certificate",
            ),
        ] {
            let options = Options {
                tls,
                flaw,
                ..Options::default()
            };
            let Some(ending) = fails(&options, spoil, json!({}), NOTHING_SECRET) else {
                return;
            };
            ending.with_code(78).says(&["step 1 (Send)", "127.0.0.1", says]);
        }
    }
}

#[test]
fn a_server_without_starttls() {
    let options = Options {
        tls: Tls::None,
        ..Options::default()
    };
    let Some(ending) = fails(&options, |account| account, json!({}), NOTHING_SECRET) else {
        return;
    };
    ending.with_code(78).says(&["step 1 (Send)", "127.0.0.1", "STARTTLS"]);
}

#[test]
fn no_sign_in_in_clear_even_when_the_account_asks_for_no_tls() {
    let options = Options {
        tls: Tls::None,
        ..Options::default()
    };
    let in_clear = |account: AccountFile| account.with("starttls_enable", "false");
    let Some(ending) = fails(&options, in_clear, json!({ "isOverTLS": false }), NOTHING_SECRET) else {
        return;
    };
    ending
        .with_code(78)
        .says(&["step 1 (Send)", "account `mail`", "without TLS", "starttls_enable"]);
}

#[test]
fn a_server_that_begins_with_tls_and_an_account_that_does_not() {
    let server = Aiosmtpd::start(&Options {
        tls: Tls::None,
        ..Options::default()
    });
    let Some(server) = server else { return };
    let account = AccountFile::tls(server.at(), server.authority());
    let ending = Scratch::with(&document(&[email(json!({}))]), &account).run(&[]);
    ending
        .with_code(78)
        .says(&["step 1 (Send)", "127.0.0.1", "does not begin with TLS"]);
    assert!(server.finish().messages.is_empty());
}

#[test]
fn a_server_without_auth() {
    let options = Options {
        mechanisms: vec![],
        ..Options::default()
    };
    let Some(ending) = fails(&options, |account| account, json!({}), NO_MESSAGE) else {
        return;
    };
    ending
        .with_code(78)
        .says(&["step 1 (Send)", "127.0.0.1", "no sign-in", "\"auth\": false"]);
}

#[test]
fn a_wrong_password() {
    let wrong = |account: AccountFile| account.with("password", format!("{PASSWORD}?"));
    let Some(ending) = fails(&Options::default(), wrong, json!({}), NO_MESSAGE) else {
        return;
    };
    ending.with_code(77).says(&["step 1 (Send)", "127.0.0.1", "535"]);
}

/// A secret is read when it is needed, and not before.
#[test]
fn a_secret_that_is_not_set() {
    let unset = |account: AccountFile| account.with("password", "${env:NO_SUCH_VARIABLE}");
    let Some(ending) = fails(&Options::default(), unset, json!({}), NOTHING_SECRET) else {
        return;
    };
    ending
        .with_code(78)
        .says(&["step 1 (Send)", "account \"mail\"", "NO_SUCH_VARIABLE"]);
}

#[test]
fn a_message_over_the_servers_size() {
    let options = Options {
        size: 20_000,
        ..Options::default()
    };
    let large = json!({ "body": "0123456789 ".repeat(3_000) });
    let Some(ending) = fails(&options, |account| account, large, NO_MESSAGE) else {
        return;
    };
    ending
        .with_code(65)
        .says(&["step 1 (Send)", "127.0.0.1", "20000", "not sent"]);
    // The same server takes a smaller one.
    let Some(server) = Aiosmtpd::start(&options) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());
    Scratch::with(&document(&[email(json!({}))]), &account)
        .run(&[])
        .with_code(0);
}

#[test]
fn all_recipients_refused() {
    let Some(ending) = fails(
        &Options::default(),
        |account| account,
        json!({ "to": REFUSED }),
        &["BDAT"],
    ) else {
        return;
    };
    let ending = ending.with_code(69).says(&["step 1 (Send)", REFUSED]);
    let error = ending.json();
    assert_eq!(
        (&error["success"], &error["accepted"]),
        (&json!(false), &json!([])),
        "{ending}"
    );
    assert_eq!(error["rejected"][0]["recipient"], REFUSED, "{ending}");
}

/// With `failOnError` off the run goes on, and its last output says what became of it.
#[test]
fn a_failure_that_the_pipeline_goes_on_from() {
    let params = json!({ "to": REFUSED, "failOnError": false });
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());

    let last = Scratch::with(&document(&[email(params.clone())]), &account)
        .run(&[])
        .with_code(69);
    assert_eq!(
        (&last.json()["success"], &last.json()["outcome"]),
        (&json!(false), &json!("failed")),
        "{last}"
    );

    let log = step(
        "json-generator-connector",
        json!({ "json": "{\"went\": {{ message.success }}}" }),
    );
    let passed = Scratch::with(&document(&[email(params), log]), &account)
        .run(&[])
        .with_code(0)
        .says(&[REFUSED]);
    assert_eq!(passed.json(), json!({ "went": false }), "{passed}");
    assert!(server.finish().messages.is_empty());
}
