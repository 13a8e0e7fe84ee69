//! The rules about secrets: where they go, who sees them, when they are read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipepost_accounts::oauth::{BoxFuture, HttpFailure, HttpPost, HttpRequest, HttpResponse, Tokens};
use pipepost_accounts::{
    Account, Accounts, Endpoint, Environment, FieldAccess, Keyring, NamedBy, Secret, Security, SignIn, WarningKind,
};
use serde_json::{Value, json};

const PASSWORD: &str = "PLANTED-correct-horse";

fn write(folder: &Path, document: &Value) -> PathBuf {
    let path = folder.join("accounts.json");
    std::fs::write(&path, document.to_string()).expect("written");
    path
}

fn account(document: Value) -> Arc<Account> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    account_at(
        folder.path(),
        document,
        &Environment::process().with_variables(HashMap::new()),
    )
}

fn account_at(folder: &Path, document: Value, environment: &Environment) -> Arc<Account> {
    let accounts = Accounts::load([write(folder, &document)], environment).expect("a good account");
    let account = accounts.iter().next().expect("one account");
    account.clone()
}

fn smtp(more: Value) -> Value {
    let mut document = json!({
        "label": "mail", "type": "smtp-auth-and-properties", "host": "smtp.example.com", "username": "me@example.com",
        "password": PASSWORD,
    });
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

fn basic(more: Value) -> Value {
    let mut document = json!({"label": "g", "type": "basic", "username": "me@gmail.com", "password": PASSWORD});
    for (name, value) in more.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

fn shown(endpoint: Endpoint) -> String {
    format!("{}:{} {}", endpoint.host, endpoint.port, endpoint.security.as_str())
}

#[test]
fn an_accounts_own_endpoint_needs_no_word_of_the_step() {
    let account = account(smtp(json!({"port": 465})));
    for (host, port) in [
        (None, None),
        (Some("smtp.example.com"), None),
        (None, Some(465)),
        (Some("SMTP.EXAMPLE.COM."), Some(465)),
    ] {
        assert_eq!(
            account.endpoint_for(host, port).map(shown).as_deref(),
            Ok("smtp.example.com:465 tls")
        );
    }
}

#[test]
fn a_step_that_names_another_endpoint_is_refused() {
    let account = account(smtp(json!({})));
    for (host, port) in [
        (Some("smtp.gmail.com"), None),
        (Some("smtp.gmail.com"), Some(587)),
        (Some("smtp.example.com"), Some(25)),
        (None, Some(465)),
        (Some("smtp.example.com.evil.example"), None),
        (Some("smtp.example.com\r\n"), None),
        (Some(""), None),
    ] {
        let denied = account
            .endpoint_for(host, port)
            .expect_err("another endpoint")
            .to_string();
        assert!(!denied.ends_with('.') && denied.contains("step"), "{denied}");
    }
}

#[test]
fn an_accounts_allowed_hosts_may_be_named() {
    let account = account(smtp(
        json!({"allowed_hosts": ["backup.example.com", "relay.example.com:2525"]}),
    ));
    let endpoint = |host, port| account.endpoint_for(Some(host), port).map(shown).ok();
    assert_eq!(
        endpoint("backup.example.com", None).as_deref(),
        Some("backup.example.com:587 start-tls")
    );
    assert_eq!(
        endpoint("backup.example.com", Some(465)).as_deref(),
        Some("backup.example.com:465 tls")
    );
    assert_eq!(
        endpoint("relay.example.com", None).as_deref(),
        Some("relay.example.com:2525 start-tls")
    );
    assert_eq!(
        endpoint("relay.example.com", Some(2525)).as_deref(),
        Some("relay.example.com:2525 start-tls")
    );
    assert_eq!(endpoint("relay.example.com", Some(25)), None);
}

#[test]
fn a_basic_account_signs_in_at_gmail() {
    let account = account(basic(json!({})));
    let endpoint = |host, port| account.endpoint_for(host, port).map(shown).ok();
    assert_eq!(endpoint(None, None).as_deref(), Some("smtp.gmail.com:587 start-tls"));
    assert_eq!(
        endpoint(Some("smtp.gmail.com"), Some(465)).as_deref(),
        Some("smtp.gmail.com:465 tls")
    );
    assert_eq!(endpoint(Some("smtp.gmail.com"), Some(25)), None);
    assert_eq!(endpoint(Some("smtp-relay.gmail.com"), None), None);
}

#[test]
fn the_refusal_for_a_basic_account_names_the_line_to_add() {
    let refusal = |host, port| {
        account(basic(json!({})))
            .endpoint_for(Some(host), port)
            .expect_err("not allowed")
            .to_string()
    };
    assert!(refusal("mail.example.com", None).contains(r#""allowed_hosts": ["mail.example.com"]"#));
    assert!(refusal("::1", Some(2525)).contains(r#""allowed_hosts": ["[::1]:2525"]"#));

    let line = r#"["mail.example.com:2525"]"#;
    assert!(refusal("mail.example.com", Some(2525)).contains(line));
    let hosts: Value = serde_json::from_str(line).expect("the line is JSON");
    let allowed = account(basic(json!({"allowed_hosts": hosts})));
    let endpoint = allowed.endpoint_for(Some("mail.example.com"), Some(2525)).map(shown);
    assert_eq!(endpoint.as_deref(), Ok("mail.example.com:2525 start-tls"));
}

#[test]
fn only_an_account_without_a_secret_follows_the_step() {
    let open = account(json!({"label": "relay", "type": "smtp-auth-and-properties", "starttls_enable": false}));
    let endpoint = open
        .endpoint_for(Some("relay.example.com"), Some(25))
        .expect("no secret is at stake");
    assert_eq!((endpoint.named_by, endpoint.security), (NamedBy::Step, Security::None));
    assert!(open.endpoint_for(None, None).is_err());
    let own = account(smtp(json!({}))).endpoint().expect("its own");
    assert_eq!(own.named_by, NamedBy::Account);
}

#[test]
fn a_step_raises_security_and_never_lowers_it() {
    let raised = |more| account(smtp(more)).endpoint().expect("its own").raised().security;
    assert_eq!(
        raised(json!({"port": 25, "starttls_enable": false})),
        Security::StartTls
    );
    assert_eq!(raised(json!({"port": 25})), Security::StartTls);
    assert_eq!(raised(json!({"port": 465})), Security::Tls);
}

#[test]
fn expressions_read_what_is_public() {
    let account = account(smtp(json!({"from": "me@example.com"})));
    let view = account.expression_view().expect("no secret is needed");
    assert_eq!(view["username"], "me@example.com");
    assert_eq!(view["host"], "smtp.example.com");
    assert_eq!(account.field_access("USERNAME"), FieldAccess::Allowed("username"));
    assert_eq!(
        account.field_access("Starttls-Enable"),
        FieldAccess::Allowed("starttls_enable")
    );
    assert_eq!(account.field_access("usrname"), FieldAccess::Unknown(Some("username")));
    assert_eq!(account.field_access("colour"), FieldAccess::Unknown(None));
    assert_eq!(account.field_access("PASSWORD"), FieldAccess::Refused("password"));
    assert!(view.get("password").is_none());
}

#[test]
fn a_secret_is_exposed_only_when_the_account_says_so() {
    let account = account(smtp(json!({"exposed_fields": ["PassWord"]})));
    assert_eq!(account.field_access("password"), FieldAccess::Allowed("password"));
    assert_eq!(account.expression_view().expect("readable")["password"], PASSWORD);
    assert!(
        !account.public_view().to_string().contains("PLANTED"),
        "connectors see none all the same"
    );
}

/// An account all of whose visible texts come from one variable.
fn of_references(exposed: &[&str]) -> Result<Accounts, pipepost_accounts::Errors> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let variables = [("NAME", "planted-name@planted.example"), ("HOST", "planted.example")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Environment::process().with_variables(variables.into());
    let document = smtp(json!({
        "host": "${env:HOST}", "username": "${env:NAME}", "from": "${env:NAME}", "from_name": "Ada ${env:NAME}",
        "properties": {"mail.smtp.from": "${env:NAME}"}, "exposed_fields": exposed,
    }));
    Accounts::load([write(folder.path(), &document)], &environment)
}

#[test]
fn what_a_reference_stood_for_is_seen_by_no_document_and_no_connector() {
    let accounts = of_references(&[]).expect("good");
    let account = accounts.iter().next().expect("one");
    for text in [
        account.public_view().to_string(),
        account.expression_view().expect("no secret is needed").to_string(),
        format!("{account:?}"),
        format!("{:?}", accounts.warnings()),
    ] {
        assert!(!text.to_lowercase().contains("planted"), "{text}");
    }
    for field in ["host", "username", "from", "from_name"] {
        assert_eq!(account.field_access(field), FieldAccess::Refused(field));
    }
    // It signs in all the same, and at its own host.
    assert_eq!(account.endpoint().expect("its own").host, "planted.example");
    assert!(account.credentials("planted.example").expect("readable").is_some());
    let warned: Vec<_> = accounts
        .warnings()
        .iter()
        .filter(|warning| warning.kind() == WarningKind::Masked)
        .filter_map(|warning| warning.place().field())
        .collect();
    assert_eq!(warned, ["from", "from_name", "properties.mail.smtp.from"]);
}

#[test]
fn a_server_that_says_what_a_reference_stood_for_is_not_heard() {
    let accounts = of_references(&[]).expect("good");
    let tokens = Tokens::new(Arc::new(Nobody));
    tokens.expect(accounts.iter().next().expect("one"));
    let heard = tokens.secrets().scrub(b"250 planted-name@planted.example, hello");
    let heard = String::from_utf8_lossy(&heard);
    assert!(!heard.contains("planted") && heard.ends_with(", hello"), "{heard}");
}

/// A client that is never asked.
struct Nobody;

impl HttpPost for Nobody {
    fn post(&self, _: HttpRequest) -> BoxFuture<'_, Result<HttpResponse, HttpFailure>> {
        unreachable!("no token is needed")
    }
}

#[test]
fn an_account_may_expose_what_a_reference_stood_for() {
    let all = ["host", "username", "from", "from-name", "mail.smtp.from"];
    let accounts = of_references(&all).expect("good");
    let account = accounts.iter().next().expect("one");
    let view = account.public_view();
    assert_eq!(view.host.as_deref(), Some("planted.example"));
    assert_eq!(view.username.as_deref(), Some("planted-name@planted.example"));
    assert_eq!(view.from_name.as_deref(), Some("Ada planted-name@planted.example"));
    assert_eq!(view.envelope_from.as_deref(), Some("planted-name@planted.example"));
    assert_eq!(account.field_access("from"), FieldAccess::Allowed("from"));
    assert_eq!(account.expression_view().expect("readable")["host"], "planted.example");
    let masked = |warning: &pipepost_accounts::Warning| warning.kind() == WarningKind::Masked;
    assert!(!accounts.warnings().iter().any(masked));
    // A doubled dollar is no reference.
    let account = self::account(smtp(json!({"from_name": "Cost $${x}"})));
    assert_eq!(account.public_view().from_name.as_deref(), Some("Cost ${x}"));
}

#[test]
fn a_user_name_that_is_the_secret_is_shown_nowhere() {
    let account = account(smtp(json!({"username": "PLANTED-token", "password": "PLANTED-token"})));
    assert_eq!(account.username(), None);
    assert_eq!(account.field_access("username"), FieldAccess::Refused("username"));
    for text in [
        account.public_view().to_string(),
        account.expression_view().expect("no secret is needed").to_string(),
        format!("{account:?}"),
    ] {
        assert!(!text.contains("PLANTED"), "{text}");
    }
}

#[test]
fn secrets_are_read_when_they_are_needed_and_not_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = write(folder.path(), &smtp(json!({"password": "${file:secrets/pw}"})));
    let accounts = Accounts::load([&path], &Environment::process()).expect("checked without its secret");
    let account = accounts.get("mail").expect("there");
    let error = account
        .credentials("smtp.example.com")
        .expect_err("there is no such file yet")
        .to_string();
    assert!(
        error.contains("\"mail\"") && error.contains("\"password\"") && error.contains("secrets/pw"),
        "{error}"
    );

    std::fs::create_dir(folder.path().join("secrets")).expect("made");
    std::fs::write(folder.path().join("secrets/pw"), "PLANTED\n").expect("written");
    assert!(account.credentials("smtp.example.com").expect("readable").is_some());
    std::fs::write(folder.path().join("secrets/pw"), "\n").expect("written");
    let error = account.credentials("smtp.example.com").expect_err("empty").to_string();
    assert!(error.contains("secrets/pw is empty"), "{error}");
}

struct Ring;

impl Keyring for Ring {
    fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        Ok((name == "mail").then(|| Secret::new(PASSWORD.to_owned())))
    }
}

#[test]
fn a_keyring_is_asked_when_there_is_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let read = |name: &str, environment: &Environment| {
        let account = account_at(
            folder.path(),
            smtp(json!({"password": format!("${{keyring:{name}}}")})),
            environment,
        );
        account
            .credentials("smtp.example.com")
            .map(|credentials| credentials.is_some())
            .map_err(|error| error.to_string())
    };
    let with_one = Environment::process().with_keyring(Arc::new(Ring));
    assert_eq!(read("mail", &with_one), Ok(true));
    assert!(read("other", &with_one).expect_err("absent").contains("no entry other"));
    assert!(
        read("mail", &Environment::process())
            .expect_err("none")
            .contains("no keyring is available")
    );
}

#[test]
fn an_app_password_loses_its_blanks_at_gmail_alone() {
    let line = |host: &str| {
        let account = account(basic(
            json!({"password": "abcd efgh ijkl mnop", "allowed_hosts": "mail.example.com"}),
        ));
        let credentials = account.credentials(host).expect("readable").expect("a password");
        let mut exchange =
            pipepost_accounts::sasl::Exchange::start(account.mechanisms()[0], &credentials, host, 587).expect("fits");
        String::from_utf8(exchange.first_line().to_vec()).expect("ASCII")
    };
    // base64 of NUL me@gmail.com NUL and the password.
    assert_eq!(
        line("smtp.gmail.com"),
        "AUTH PLAIN AG1lQGdtYWlsLmNvbQBhYmNkZWZnaGlqa2xtbm9w\r\n"
    );
    assert_eq!(
        line("mail.example.com"),
        "AUTH PLAIN AG1lQGdtYWlsLmNvbQBhYmNkIGVmZ2ggaWprbCBtbm9w\r\n"
    );
}

#[test]
fn gmail_refuses_half_a_user_name_before_anything_is_sent() {
    let account = account(basic(json!({"username": "me", "allowed_hosts": ["mail.example.com"]})));
    assert!(account.credentials("mail.example.com").is_ok());
    let error = account
        .credentials("smtp.gmail.com")
        .expect_err("half a name")
        .to_string();
    assert!(error.contains("whole address"), "{error}");
}

#[test]
fn the_revision_changes_with_everything_that_matters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of = |more| account_at(folder.path(), smtp(more), &Environment::process()).revision();
    let base = of(json!({}));
    assert_eq!(base, of(json!({})));
    let others = [
        json!({"password": "another"}),
        json!({"username": "you@example.com"}),
        json!({"port": 465}),
        json!({"properties": {"mail.smtp.localhost": "a.example.com"}}),
        json!({"allow_plaintext_auth": true}),
        json!({"limits": {"max_connections": 1}}),
    ];
    let mut revisions: Vec<_> = others.into_iter().map(of).collect();
    revisions.push(base);
    for (at, one) in revisions.iter().enumerate() {
        assert!(
            !revisions[..at].contains(one),
            "revision {at} is that of another account"
        );
    }
    let host = |name: &str| {
        let variables = HashMap::from([("HOST".to_owned(), name.to_owned())]);
        let environment = Environment::process().with_variables(variables);
        account_at(folder.path(), smtp(json!({"host": "${env:HOST}"})), &environment).revision()
    };
    assert_ne!(host("a.example.com"), host("b.example.com"));
}

#[test]
fn the_same_file_name_in_another_folder_is_another_secret() {
    let [one, two] = [(), ()].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let of = |folder: &Path| {
        account_at(
            folder,
            smtp(json!({"password": "${file:password.txt}"})),
            &Environment::process(),
        )
        .revision()
    };
    assert_eq!(of(one.path()), of(one.path()));
    assert_ne!(of(one.path()), of(two.path()));
}

#[test]
fn a_certificate_that_was_exchanged_makes_another_account() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of = |content: &[u8]| {
        let encoded = pem(content);
        std::fs::write(folder.path().join("ca.pem"), encoded).expect("written");
        account_at(
            folder.path(),
            smtp(json!({"ca_file": "ca.pem"})),
            &Environment::process(),
        )
        .revision()
    };
    assert_ne!(of(b"one"), of(b"two"));
}

fn pem(content: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(content);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[test]
fn an_unknown_label_names_the_nearest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = write(folder.path(), &smtp(json!({})));
    let accounts = Accounts::load([path], &Environment::process()).expect("good");
    assert!(
        accounts
            .get("mial")
            .expect_err("misspelt")
            .to_string()
            .contains("did you mean \"mail\"?")
    );
    assert!(
        accounts
            .get("x")
            .expect_err("unknown")
            .to_string()
            .contains("there are mail")
    );
}

#[test]
fn a_missing_file_is_named() {
    let errors = Accounts::load(["/nowhere/accounts.json"], &Environment::process()).expect_err("no file");
    assert!(
        errors[0]
            .to_string()
            .starts_with("/nowhere/accounts.json: the accounts file cannot be read")
    );
}

#[cfg(unix)]
#[test]
fn an_open_file_with_a_secret_in_clear_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let warnings = |document: Value, mode: u32| {
        let path = write(folder.path(), &document);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
        let accounts = Accounts::load([path], &Environment::process()).expect("good");
        accounts
            .warnings()
            .iter()
            .filter(|warning| warning.kind() == WarningKind::FileMode)
            .count()
    };
    assert_eq!(warnings(smtp(json!({})), 0o644), 1);
    assert_eq!(warnings(smtp(json!({})), 0o600), 0);
    assert_eq!(warnings(smtp(json!({"password": "${env:X}"})), 0o644), 0);
}

#[test]
fn a_ca_file_is_read_beside_the_accounts_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("ca.pem"), format!("{pem}{pem}")).expect("written");
    let path = write(folder.path(), &smtp(json!({"ca_file": "ca.pem"})));
    let accounts = Accounts::load([path], &Environment::process()).expect("good");
    let tls = accounts.get("mail").expect("there").tls();
    assert_eq!(tls.ca.len(), 2);
    assert_eq!(tls.ca_file.as_deref(), Some(folder.path().join("ca.pem").as_path()));
}

#[test]
fn token_accounts_have_no_password_to_read() {
    let google = json!({
        "label": "g", "type": "oauth-2", "provider": "google", "username": "me@gmail.com", "client_id": "id",
        "client_secret": "PLANTED", "refresh_token": "PLANTED"
    });
    let account = account(google);
    assert!(
        account
            .credentials("smtp.gmail.com")
            .expect("nothing to read")
            .is_none()
    );
    assert!(matches!(account.sign_in(), SignIn::OAuth(client) if client.refresh_token.is_some()));
    assert_eq!(
        account.field_access("refresh-token"),
        FieldAccess::Refused("refresh_token")
    );
    assert_eq!(
        account.field_access("client_secret"),
        FieldAccess::Refused("client_secret")
    );
    assert!(!format!("{account:?}").contains("PLANTED"));
}
