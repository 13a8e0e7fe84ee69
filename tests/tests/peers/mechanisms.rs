use pipepost_tests::{
    AccountFile, Aiosmtpd, Ending, Options, PASSWORD, Postfix, PostfixOptions, Scratch, USER, document, email,
};
use serde_json::{Value, json};

fn run(account: &AccountFile) -> Ending {
    Scratch::with(&document(&[email(json!({ "retry": false }))]), account).run(&["--transcript", "dialogue.txt"])
}

fn test(account: &AccountFile) -> Ending {
    Scratch::with(&json!([]), account).pipepost(&["accounts", "test", "mail", "--accounts", "accounts.json", "--json"])
}

/// The first failure of a run and of the account's test: kind and words.
fn both(account: &AccountFile) -> [(Option<i32>, Value); 2] {
    let (run, test) = (run(account), test(account));
    let (ran, tested) = (run.json(), test.json());
    [
        (run.code, ran["failure"].clone()),
        (test.code, tested["failure"].clone()),
    ]
}

#[test]
fn a_wrong_password_is_refused_once_by_each_mechanism() {
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let options = Options {
            mechanisms: vec![mechanism],
            ..Options::default()
        };
        let Some(server) = Aiosmtpd::start(&options) else {
            return;
        };
        let account = AccountFile::starttls(server.at(), server.authority()).with("password", "pA55-of.another");
        run(&account).with_code(77).says(&["535"]);
        test(&account).with_code(77);
        let commands = server.finish().commands;
        let sign_ins = commands.iter().filter(|line| line.starts_with("AUTH")).count();
        assert_eq!(sign_ins, 2, "{mechanism}: {commands:?}");

        let Some(postfix) = Postfix::start(&PostfixOptions {
            mechanisms: mechanism,
            ..PostfixOptions::default()
        }) else {
            return;
        };
        let account =
            AccountFile::starttls(postfix.starttls(), postfix.authority()).with("password", "pA55-of.another");
        run(&account).with_code(77).says(&["535"]);
        let log = postfix.finish();
        assert_eq!(log.matches("authentication failed").count(), 1, "{mechanism}: {log}");
    }
}

/// PLAIN and LOGIN go first where a server has them, since it can check them whatever it keeps; an account may say more.
#[test]
fn the_account_says_which_mechanism_goes_first() {
    let all = "SCRAM-SHA-256 CRAM-MD5 LOGIN PLAIN";
    for (auth, expected) in [
        (Value::Null, "PLAIN"),
        ("SCRAM-SHA-256".into(), "SCRAM-SHA-256"),
        ("cram-md5".into(), "CRAM-MD5"),
    ] {
        let Some(postfix) = Postfix::start(&PostfixOptions {
            mechanisms: all,
            ..PostfixOptions::default()
        }) else {
            return;
        };
        let account = AccountFile::starttls(postfix.starttls(), postfix.authority()).with("auth", auth);
        run(&account).with_code(0);
        assert_eq!(postfix.next().user.as_deref(), Some(USER));
        let report = test(&account).with_code(0).json();
        let checks = report["checks"].as_array().cloned().unwrap_or_default();
        let found = checks
            .iter()
            .find(|check| check["name"] == "sign-in")
            .expect("a sign-in");
        assert_eq!(found["found"], format!("taken, by {expected}"));
        assert!(postfix.finish().contains(&format!("sasl_method={expected}")));
    }
}

#[test]
fn a_challenge_that_is_not_safe_is_not_answered() {
    for iterations in [1, 4095, 2_000_000] {
        let options = Options {
            mechanisms: vec!["SCRAM-SHA-256"],
            iterations,
            ..Options::default()
        };
        let Some(server) = Aiosmtpd::start(&options) else {
            return;
        };
        let account = AccountFile::starttls(server.at(), server.authority());
        for (code, failure) in both(&account) {
            assert_eq!(
                (code, &failure["kind"]),
                (Some(78), &json!("configuration")),
                "{failure:#}"
            );
            let message = failure["message"].as_str().unwrap_or_default();
            assert!(
                message.contains(&format!("asks for {iterations} iterations")),
                "{message}"
            );
        }
    }
}

/// What a transcript of these mechanisms holds does not help to guess the password.
#[test]
fn a_transcript_holds_no_proof() {
    for mechanism in ["CRAM-MD5", "SCRAM-SHA-256"] {
        let options = Options {
            mechanisms: vec![mechanism],
            echo: true,
            ..Options::default()
        };
        let Some(server) = Aiosmtpd::start(&options) else {
            return;
        };
        let scratch = Scratch::with(
            &document(&[email(json!({ "retry": false }))]),
            &AccountFile::starttls(server.at(), server.authority()),
        );
        scratch.run(&["--transcript", "dialogue.txt"]).with_code(0);
        let dialogue = std::fs::read_to_string(scratch.folder().join("dialogue.txt")).expect("a transcript");
        assert!(!dialogue.contains(PASSWORD));
        let secret_lines = dialogue.lines().filter(|line| line.ends_with("C: ***")).count();
        assert_eq!(secret_lines, 1, "{dialogue}");
        if mechanism == "SCRAM-SHA-256" {
            let verifier = dialogue.lines().filter(|line| line.contains("S: 334 ")).nth(1);
            assert!(verifier.is_some_and(|line| line.contains("***")), "{dialogue}");
        }
    }
}
