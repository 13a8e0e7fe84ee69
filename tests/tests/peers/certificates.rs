use pipepost_tests::{
    AccountFile, Aiosmtpd, Authority, Certificate, Ending, Flaw, Options, Postfix, PostfixOptions, Scratch, Tls, USER,
    document, email,
};
use serde_json::{Value, json};

const VERSIONS: [&str; 2] = ["1.2", "1.3"];

fn run(account: &AccountFile) -> Ending {
    Scratch::with(&document(&[email(json!({ "retry": false }))]), account).run(&[])
}

fn test(account: &AccountFile) -> Ending {
    Scratch::with(&json!([]), account).pipepost(&["accounts", "test", "mail", "--accounts", "accounts.json", "--json"])
}

fn account(tls: Tls, at: (&str, u16), authority: &std::path::Path) -> AccountFile {
    match tls {
        Tls::Implicit => AccountFile::tls(at, authority),
        Tls::StartTls | Tls::None => AccountFile::starttls(at, authority),
    }
}

/// With a certificate that is shown.
fn showing(account: AccountFile, client: &Certificate) -> AccountFile {
    account
        .with("client_certificate", client.certificate.to_string_lossy())
        .with("client_key", client.key.to_string_lossy())
}

/// Without user name and password.
fn without_password(account: AccountFile) -> AccountFile {
    account
        .with("username", Value::Null)
        .with("password", Value::Null)
        .with("auth", Value::Null)
}

/// A run and the account's test fail alike: kind and words.
fn both_fail(account: &AccountFile, words: &[&str]) {
    let (run, test) = (run(account), test(account));
    let tested = test.json();
    assert_eq!((run.code, test.code), (Some(78), Some(78)), "{run}\n{test}");
    let failure = &tested["failure"];
    assert_eq!(failure["kind"], "configuration", "{test}");
    let ran = run.json();
    let ran = &ran["failure"];
    assert_eq!(ran["kind"], "configuration", "{run}");
    for word in words {
        assert!(
            failure["message"].as_str().unwrap_or_default().contains(word),
            "{word}: {test}"
        );
        assert!(
            ran["message"].as_str().unwrap_or_default().contains(word),
            "{word}: {run}"
        );
    }
}

#[test]
fn a_server_that_demands_a_certificate_gets_the_accounts() {
    for tls in [Tls::StartTls, Tls::Implicit] {
        for version in VERSIONS {
            let options = Options {
                tls,
                client_certificates: true,
                tls_version: Some(version),
                ..Options::default()
            };
            let Some(server) = Aiosmtpd::start(&options) else {
                return;
            };
            let plain = account(tls, server.at(), server.authority());
            let good = showing(plain.clone(), server.client());
            run(&good).with_code(0);
            test(&good).with_code(0);
            assert_eq!(server.next().user.as_deref(), Some(USER));

            // It says so by closing the connection.
            both_fail(
                &plain,
                &["127.0.0.1", "demands", "a client certificate", "the account names none"],
            );
        }
    }
}

#[test]
fn postfix_takes_mail_for_a_certificate() {
    for version in VERSIONS {
        let Some(postfix) = Postfix::start(&PostfixOptions {
            client_certificates: true,
            tls_version: Some(version),
            ..PostfixOptions::default()
        }) else {
            return;
        };
        for (tls, at) in [(Tls::StartTls, postfix.starttls()), (Tls::Implicit, postfix.tls())] {
            // Postfix offers no EXTERNAL: the certificate is proof enough.
            let plain = without_password(account(tls, at, postfix.authority()));
            let good = showing(plain, postfix.client());
            run(&good).with_code(0);
            let message = postfix.next();
            assert_eq!(message.user, None, "{message:?}");
            let report = test(&good).with_code(0).json();
            let checks = report["checks"].as_array().cloned().unwrap_or_default();
            let sign_in = checks.iter().find(|check| check["name"] == "sign-in").expect("a check");
            assert_eq!(sign_in["state"], "skipped", "{report:#}");
            both_fail(&good.with("auth", "EXTERNAL"), &["does not offer EXTERNAL", "`mail`"]);

            // It says so in an alert or in a reply, whatever the account has besides.
            let plain = account(tls, at, postfix.authority());
            both_fail(&plain, &["client", "certificate"]);
            let strangers = tempfile::tempdir().expect("a folder");
            let stranger = Authority::new().issue_client(USER, strangers.path());
            both_fail(&showing(plain, &stranger), &["client", "certificate"]);
        }
    }
}

#[test]
fn external_signs_in_with_the_certificate() {
    let options = Options {
        client_certificates: true,
        mechanisms: vec!["EXTERNAL", "PLAIN"],
        ..Options::default()
    };
    let Some(server) = Aiosmtpd::start(&options) else {
        return;
    };
    let plain = AccountFile::starttls(server.at(), server.authority());
    let alone = showing(without_password(plain.clone()), server.client());
    for account in [
        alone.clone(),
        alone.clone().with("auth", "EXTERNAL"),
        alone.clone().with("username", USER),
        showing(plain.clone(), server.client()),
    ] {
        run(&account).with_code(0);
        assert_eq!(server.next().user.as_deref(), Some(USER));
        test(&account).with_code(0);
    }
    // Another user than the certificate's.
    run(&alone.with("username", "somebody@example.test")).with_code(77);
    let commands = server.finish().commands;
    let plain = commands.iter().filter(|line| line.starts_with("AUTH PLAIN")).count();
    assert_eq!(plain, 0, "{commands:?}");
}

/// A certificate that the server does not know for a user costs the password nothing.
#[test]
fn a_password_follows_a_refused_external() {
    let options = Options {
        mechanisms: vec!["EXTERNAL", "PLAIN"],
        ..Options::default()
    };
    let Some(server) = Aiosmtpd::start(&options) else {
        return;
    };
    // The server asks for no certificate, and offers EXTERNAL all the same.
    let account = showing(AccountFile::starttls(server.at(), server.authority()), server.client());
    run(&account).with_code(0);
    assert_eq!(server.next().user.as_deref(), Some(USER));
}

#[test]
fn the_server_may_show_the_very_certificate_that_the_account_names() {
    for tls in [Tls::StartTls, Tls::Implicit] {
        for version in VERSIONS {
            let options = Options {
                tls,
                flaw: Flaw::Authority,
                tls_version: Some(version),
                ..Options::default()
            };
            let Some(server) = Aiosmtpd::start(&options) else {
                return;
            };
            let account = account(tls, server.at(), server.authority());
            run(&account).with_code(0);
            test(&account).with_code(0);
            assert_eq!(server.next().user.as_deref(), Some(USER));
        }
    }
}

#[test]
fn only_the_very_certificate_is_pinned() {
    let start = |flaw| {
        Aiosmtpd::start(&Options {
            flaw,
            ..Options::default()
        })
    };
    // Its name is not looked at: whoever has its key could sign for any name.
    let Some(server) = start(Flaw::AuthorityElsewhere) else {
        return;
    };
    let account = AccountFile::starttls(server.at(), server.authority());
    run(&account).with_code(0);
    server.next();
    // One that looks the same is another.
    let folder = tempfile::tempdir().expect("a folder");
    let other = Authority::new().issue(Flaw::AuthorityElsewhere, folder.path());
    both_fail(
        &account.with("ca_file", other.authority.to_string_lossy()),
        &["name this very certificate in the account's `ca_file`"],
    );

    let Some(server) = start(Flaw::ExpiredAuthority) else {
        return;
    };
    both_fail(
        &AccountFile::starttls(server.at(), server.authority()),
        &["has expired: it ended on 2020-12-31"],
    );
}

#[test]
fn a_key_that_cannot_be_used_is_told_before_anybody_is_called() {
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    let plain = AccountFile::starttls(server.at(), server.authority());
    let good = showing(plain.clone(), server.client());
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a file of our own");
        path.to_string_lossy().into_owned()
    };
    let key = std::fs::read_to_string(&server.client().key).expect("a key");
    let other = Authority::new().issue_client(USER, folder.path());
    for (field, value, words) in [
        ("client_key", write("open.key", &key, 0o644), "chmod 600"),
        ("client_key", write("no.key", "nothing", 0o600), "holds no private key"),
        (
            "client_key",
            write("locked.key", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), 0o600),
            "encrypted with a passphrase",
        ),
        (
            "client_key",
            folder.path().join("gone.key").to_string_lossy().into_owned(),
            "cannot be read",
        ),
        (
            "client_key",
            other.key.to_string_lossy().into_owned(),
            "is not the key of",
        ),
        (
            "client_certificate",
            write("no.pem", "nothing", 0o644),
            "holds no certificate",
        ),
    ] {
        both_fail(&good.clone().with(field, value), &[words]);
    }
    assert!(server.finish().messages.is_empty());
}

/// However it is written: the path, a reference to the file, to a variable, or the PEM itself.
#[test]
fn certificate_and_key_come_from_where_the_account_says() {
    let options = Options {
        client_certificates: true,
        ..Options::default()
    };
    let Some(server) = Aiosmtpd::start(&options) else {
        return;
    };
    let plain = AccountFile::starttls(server.at(), server.authority());
    let read = |path| std::fs::read_to_string(path).expect("PEM");
    let (certificate, key) = (read(&server.client().certificate), read(&server.client().key));
    let files =
        [&server.client().certificate, &server.client().key].map(|path| format!("${{file:{}}}", path.display()));
    for (certificate_field, key_field) in [
        (files[0].as_str(), files[1].as_str()),
        (certificate.as_str(), "${env:CLIENT_KEY}"),
        (certificate.as_str(), key.as_str()),
        ("${env:CLIENT_CERTIFICATE}", files[1].as_str()),
    ] {
        let account = plain
            .clone()
            .with("client_certificate", certificate_field)
            .with("client_key", key_field);
        let scratch = Scratch::with(&document(&[email(json!({}))]), &account)
            .variable("CLIENT_KEY", &key)
            .variable("CLIENT_CERTIFICATE", &certificate)
            .secret(&key);
        scratch.run(&["-vv"]).with_code(0);
        server.next();
    }
}
