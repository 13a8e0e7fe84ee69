//! Access tokens, from a real provider to a signed-in connection.

use pipepost_inbox::Script;
use pipepost_inbox::script::{At, Rule};
use pipepost_tests::{Catcher, Ending, Provider, ProviderOptions, Scratch, USER, document, email};
use serde_json::{Value, json};

/// A run with this account. Nothing that it leaves may hold anything that was planted.
fn run(account: &Value, more: &[&str]) -> Ending {
    let scratch = Scratch::new().secret(Provider::MARK);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", account.to_string());
    scratch.run(&[&["-vv"], more].concat())
}

fn peers(options: &ProviderOptions, script: Script) -> Option<(Provider, Catcher)> {
    let provider = Provider::start(options)?;
    let server = Catcher::start(script);
    server.take_tokens_of(provider.tokens());
    Some((provider, server))
}

#[test]
fn a_refresh_token_brings_an_access_token_that_signs_in() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
        let mut account = provider.account(&server.account());
        account["auth"] = mechanism.into();
        let ending = run(&account, &[]).with_code(0);
        assert_eq!(ending.json()["outcome"], "sent", "{ending}");
        assert_eq!(server.commands("AUTH").last(), Some(&format!("AUTH {mechanism} ***")));
    }
    assert_eq!((server.messages().len(), provider.given()), (2, 2));
}

#[test]
fn a_token_endpoint_that_the_policy_does_not_name_is_not_asked() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let account = provider.account(&server.account());
    let mail = format!("{}:{}", account["host"].as_str().expect("a host"), account["port"]);
    let endpoint = account["token_endpoint"].as_str().expect("an address");
    let tokens = endpoint
        .split('/')
        .nth(2)
        .expect("an authority of the address")
        .to_owned();
    let within = |hosts: &[&String]| {
        let scratch = Scratch::new().secret(Provider::MARK);
        scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
        scratch.write("accounts.json", account.to_string());
        scratch.write("policy.json", json!({ "hosts": hosts }).to_string());
        scratch.run(&["--policy", "policy.json"])
    };
    let denied = within(&[&mail])
        .with_code(78)
        .says(&["The policy does not allow", &tokens]);
    assert_eq!(denied.json()["exception"], "configuration", "{denied}");
    assert_eq!((provider.given(), server.messages().len()), (0, 0));

    within(&[&mail, &tokens]).with_code(0);
    assert_eq!((provider.given(), server.messages().len()), (1, 1));
}

#[test]
fn a_token_that_the_server_refuses_is_renewed_once_and_tried_once_more() {
    // The first sign-in of each connection goes wrong, as with a token that died early.
    let refusal = "535-5.7.8 Username and Password not accepted. For more information, go to\n\
                   535 5.7.8  https://support.google.com/mail/?p=BadCredentials a12 - gsmtp";
    let once = Script::new().rule(Rule::at(At::SignIn).nth(1).reply(refusal));
    let Some((provider, server)) = peers(&ProviderOptions::default(), once) else {
        return;
    };
    let account = provider.account(&server.account());
    let ending = run(&account, &[]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    assert_eq!((provider.given(), server.inbox().connections()), (2, 1));

    // A server that goes on refusing is asked twice and no more.
    server
        .inbox()
        .set_script(Script::new().rule(Rule::at(At::SignIn).reply(refusal)));
    let before = server.commands("AUTH").len();
    let ending = run(&account, &[]).with_code(77);
    ending.is_a_sentence("a refused token");
    assert_eq!(
        (provider.given(), server.commands("AUTH").len() - before),
        (4, 2),
        "{ending}"
    );
}

#[test]
fn a_dead_refresh_token_is_explained_and_an_absent_provider_is_not_taken_for_one() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let account = provider.account(&server.account());
    provider.refuse(Some("invalid_grant"));
    let dead = run(&account, &[])
        .with_code(77)
        .says(&["invalid_grant", "pipepost accounts authorize"]);
    dead.is_a_sentence("a dead refresh token");
    let authorize = json!({ "kind": "authorize-account", "account": "mail" });
    let failure = &dead.json()["failure"];
    assert_eq!(failure["remedy"], authorize, "{dead}");
    assert!(!failure.to_string().contains("pipepost"), "{dead}");
    let test = |more: &[&str]| {
        let scratch = Scratch::new().secret(Provider::MARK);
        scratch.write("accounts.json", account.to_string());
        let arguments = ["accounts", "test", "mail", "--accounts", "accounts.json"];
        scratch.pipepost(&[&arguments, more].concat()).with_code(77)
    };
    assert_eq!(test(&["--json"]).json()["failure"]["remedy"], authorize);
    let shown = test(&[]).to_string();
    assert!(shown.contains("`pipepost accounts authorize mail`"), "{shown}");
    provider.refuse(Some("temporarily_unavailable"));
    run(&account, &[])
        .with_code(75)
        .is_a_sentence("a provider that has a problem");
    drop(provider);
    run(&account, &[])
        .with_code(75)
        .is_a_sentence("a provider that is gone");
    let mut unread = account.clone();
    unread["refresh_token"] = "${env:NOT_SET_ANYWHERE}".into();
    run(&unread, &[]).with_code(78).says(&["NOT_SET_ANYWHERE"]);
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn a_known_providers_account_asks_nobody_else() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let foreign = provider.account(&server.account());
    for (name, field) in [("google", "token_endpoint"), ("microsoft", "authorization_endpoint")] {
        let mut account = foreign.clone();
        account["provider"] = name.into();
        let ending = run(&account, &[]).with_code(78).says(&[name, field, "\"custom\""]);
        ending.is_a_sentence("a foreign endpoint");
    }
    // Nor is Google's page shown for an endpoint that is elsewhere.
    let mut trap = foreign.clone();
    trap["provider"] = "custom".into();
    trap["authorization_endpoint"] = "https://accounts.google.com/o/oauth2/v2/auth".into();
    run(&trap, &[]).with_code(78).says(&["google", "token_endpoint"]);
    assert_eq!((provider.given(), server.messages().len()), (0, 0));

    let mut custom = foreign;
    custom["provider"] = "custom".into();
    run(&custom, &[]).with_code(0);
    assert_eq!((provider.given(), server.messages().len()), (1, 1));
}

/// An account of the application itself, without a person.
fn application(provider: &Provider, server: &Catcher) -> Value {
    let mut account = provider.account(&server.account());
    for field in ["refresh_token", "authorization_endpoint"] {
        account.as_object_mut().expect("an object").shift_remove(field);
    }
    account["provider"] = "custom".into();
    account["grant"] = "client_credentials".into();
    account["tenant"] = TENANT.into();
    account["token_endpoint"] = provider.url("{tenant}/oauth2/v2.0/token").into();
    account["scopes"] = json!(["https://outlook.office365.com/.default"]);
    account
}

const TENANT: &str = "contoso.onmicrosoft.com";

fn with_tenant() -> ProviderOptions {
    ProviderOptions {
        tenant: Some(TENANT.to_owned()),
        ..ProviderOptions::default()
    }
}

#[test]
fn an_application_signs_in_as_itself_in_its_tenant() {
    let Some((provider, server)) = peers(&with_tenant(), Script::new()) else {
        return;
    };
    let account = application(&provider, &server);
    let ending = run(&account, &[]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    assert_eq!((provider.given(), server.messages().len()), (1, 1));

    // What the provider says of another tenant, secret, scope or endpoint becomes kind, cause and cure.
    let with = |field: &str, value: &str| {
        let mut account = account.clone();
        account[field] = value.into();
        account
    };
    for (wrong, code, words) in [
        (
            with("tenant", "fabrikam.com"),
            78,
            ["AADSTS90002", "correct \"tenant\""],
        ),
        (
            with("client_secret", "PLANTED-wrong"),
            77,
            ["AADSTS7000215", "the secret's value"],
        ),
        (
            with("scopes", "https://mail.google.com/"),
            78,
            ["AADSTS1002012", "/.default"],
        ),
        (
            with("token_endpoint", &provider.url("token")),
            78,
            ["AADSTS9001023", "into \"tenant\""],
        ),
    ] {
        let ending = run(&wrong, &[]).with_code(code).says(&words);
        ending.is_a_sentence("a refused application");
        assert!(!ending.to_string().contains("accounts authorize"), "{ending}");
    }
    assert_eq!((provider.given(), server.messages().len()), (1, 1));

    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key");
    scratch.write("accounts.json", account.to_string());
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    scratch
        .pipepost(&["accounts", "authorize", "mail"])
        .with_code(78)
        .says(&["nobody has to sign in"]);
}

#[test]
fn a_provider_that_demands_scopes_in_a_refresh_gets_them() {
    let demanding = ProviderOptions {
        demand_scope: true,
        ..ProviderOptions::default()
    };
    let Some((provider, server)) = peers(&demanding, Script::new()) else {
        return;
    };
    let account = provider.account(&server.account());
    run(&account, &[]).with_code(0);
    assert_eq!((provider.given(), server.messages().len()), (1, 1));
}

#[test]
fn a_providers_numbers_and_subtypes_are_read() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let account = provider.account(&server.account());
    for (answer, code, words) in [
        (
            json!({"error": "invalid_grant", "error_codes": [50076], "error_description": "AADSTS50076: MFA. Trace ID: x"}),
            77,
            ["second factor", "pipepost accounts add --from accounts.json mail"],
        ),
        (
            json!({"error": "invalid_grant", "suberror": "message_only", "error_codes": [53003]}),
            77,
            ["Conditional Access", "AADSTS53003"],
        ),
        (
            json!({"error": "invalid_request", "error_description": "AADSTS50194: not multitenant"}),
            78,
            ["AADSTS50194", "into \"tenant\""],
        ),
        (
            json!({"error": "invalid_grant", "error_subtype": "invalid_rapt", "error_description": "reauth related error"}),
            77,
            ["invalid_rapt", "session control"],
        ),
        (
            json!({"error": "deleted_client", "error_description": "The OAuth client was deleted."}),
            77,
            ["deleted_client", "30 days"],
        ),
        (
            json!({"error": "invalid_request", "error_codes": [90055]}),
            75,
            ["AADSTS90055", "too many requests"],
        ),
    ] {
        provider.refuse(Some(&answer.to_string()));
        let ending = run(&account, &[]).with_code(code).says(&words);
        ending.is_a_sentence("a refusal with numbers");
        assert!(!ending.to_string().contains("Trace ID"), "{ending}");
    }
    assert_eq!(server.messages().len(), 0);
}

#[test]
fn a_service_account_signs_in_for_a_user() {
    let options = ProviderOptions {
        service: true,
        ..ProviderOptions::default()
    };
    let Some((provider, server)) = peers(&options, Script::new()) else {
        return;
    };
    let mut account = server.account();
    for field in ["password", "username"] {
        account.as_object_mut().expect("an object").shift_remove(field);
    }
    account["type"] = "google-key".into();
    account["subject"] = USER.into();
    account["key"] = format!("${{file:{}}}", provider.key_file().display()).into();
    let ending = run(&account, &[]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    assert_eq!((provider.given(), server.messages().len()), (1, 1));
    let key = std::fs::read_to_string(provider.key_file()).expect("the key");
    let line = key.split("\\n").nth(3).expect("a line of the key");
    assert!(line.len() > 40 && !ending.stderr.contains(line), "{ending}");

    provider.refuse(Some("unauthorized_client"));
    run(&account, &[]).with_code(77).says(&["Domain-wide delegation"]);
}

#[test]
fn a_new_refresh_token_goes_into_the_store() {
    let rotating = ProviderOptions {
        rotate: true,
        ..ProviderOptions::default()
    };
    let Some((provider, server)) = peers(&rotating, Script::new()) else {
        return;
    };
    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key");
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", provider.account(&server.account()).to_string());
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    // Each refresh token is good for one use, so a second run needs the one that the first run was given.
    for _ in 0..3 {
        let ending = scratch.pipepost(&["run", "pipeline.json", "-vv"]).with_code(0);
        assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    }
    assert_eq!((provider.given(), server.messages().len()), (3, 3));
    // What a file has is dead by now, and nothing was kept for it.
    let ending = run(&provider.account(&server.account()), &[]).with_code(77);
    assert!(ending.stderr.contains("invalid_grant"), "{ending}");
}

#[test]
fn a_new_refresh_token_of_an_account_in_a_file_is_kept_in_the_state_and_told_loudly() {
    let rotating = ProviderOptions {
        rotate: true,
        ..ProviderOptions::default()
    };
    let Some((provider, server)) = peers(&rotating, Script::new()) else {
        return;
    };
    let scratch = Scratch::new().secret(Provider::MARK);
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    scratch.write("accounts.json", provider.account(&server.account()).to_string());
    // Each refresh token is good for one use, and the file has the first for ever.
    for _ in 0..3 {
        let ending = scratch.run(&["--state", "state"]).with_code(0);
        assert_eq!(ending.json()["outcome"], "sent", "{ending}");
        ending.says(&[
            "new refresh token",
            "accounts.json",
            "refresh-tokens",
            "move the account into the store",
        ]);
    }
    let folder = scratch.folder().join("state/refresh-tokens");
    let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let kept = std::fs::read(files[0].path()).expect("a file");
    assert!(!String::from_utf8_lossy(&kept).contains(Provider::MARK));
    assert_eq!((provider.given(), server.messages().len()), (3, 3));

    // Where it cannot be kept, that is told as loudly.
    let another = Provider::start(&rotating).expect("it started before");
    let server = Catcher::start(Script::new());
    server.take_tokens_of(another.tokens());
    scratch.write("accounts.json", another.account(&server.account()).to_string());
    scratch.write("state-file", "");
    scratch
        .pipepost(&["accounts", "test", "mail", "--accounts", "accounts.json"])
        .with_code(0)
        .says(&["new refresh token"]);
    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STATE", "state-file");
    let another = Provider::start(&rotating).expect("it started before");
    server.take_tokens_of(another.tokens());
    scratch.write("state-file", "");
    scratch.write("accounts.json", another.account(&server.account()).to_string());
    scratch
        .pipepost(&["accounts", "test", "mail", "--accounts", "accounts.json"])
        .with_code(0)
        .says(&[
            "new refresh token",
            "it is lost when this process ends",
            "cannot be written",
        ]);
}

#[test]
fn a_person_signs_in_and_the_account_sends() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
        .variable("BROWSER", "true");
    let mut account = provider.account(&server.account());
    for field in ["client_id", "client_secret", "refresh_token"] {
        account.as_object_mut().expect("an object").shift_remove(field);
    }
    account["client_id"] = "to-be-replaced".into();
    account["scopes"] = json!(["https://mail.google.com/", "openid"]);
    let mut other = server.account();
    other["label"] = "other".into();
    scratch.write("accounts.json", json!([other, account]).to_string());
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    let client = json!({ "installed": { "client_id": Provider::CLIENT, "client_secret": Provider::CLIENT_SECRET } });
    scratch.write("client.json", client.to_string());

    // A label of a file is refused with what to run.
    scratch
        .pipepost(&["accounts", "authorize", "mail", "--accounts", "accounts.json"])
        .with_code(78)
        .says(&["pipepost accounts add --from accounts.json"]);
    // What is advised can be followed, also where the file holds other accounts.
    let ending = run(&json!([other, account]), &[]).with_code(77);
    let advice = "pipepost accounts add --from accounts.json mail";
    assert!(
        ending
            .says(&[advice])
            .stderr
            .contains("pipepost accounts authorize mail")
    );
    scratch
        .pipepost(&advice.split(' ').skip(1).collect::<Vec<_>>())
        .with_code(0);
    scratch.write("accounts.json", other.to_string());
    scratch
        .pipepost(&["run", "pipeline.json"])
        .with_code(77)
        .says(&["pipepost accounts authorize mail"]);

    let running = scratch.start(&["accounts", "authorize", "mail", "--client", "client.json"]);
    let url = running.says("/authorize?");
    let page = pipepost_tests::browse(&url);
    assert!(page.contains("Signed in"), "{page}");
    running
        .end(&[Provider::MARK])
        .with_code(0)
        .says(&["is signed in", USER]);

    let ending = scratch.pipepost(&["run", "pipeline.json", "-vv"]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    scratch.pipepost(&["accounts", "show", "mail"]).with_code(0);
}

/// It writes down what it was given into a pipe, which the test reads to its end.
#[cfg(unix)]
#[test]
fn a_browser_is_given_no_variable_that_may_hold_a_secret() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let scratch = Scratch::new();
    let script = scratch.write("browser.sh", "");
    let pipe = script.with_file_name("environment");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    scratch.write("browser.sh", format!("#!/bin/sh\nenv > '{}'\n", pipe.display()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&script, executable).expect("our own file");
    let scratch = scratch
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
        .variable("SMTP_PASSWORD", "in-the-environment")
        .variable("LC_TIME", "pt_BR.UTF-8")
        .variable("BROWSER", script.to_str().expect("a name in UTF-8"));
    let mut account = provider.account(&server.account());
    account["scopes"] = json!(["https://mail.google.com/", "openid"]);
    scratch.write("accounts.json", account.to_string());
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    let running = scratch.start(&["accounts", "authorize", "mail"]);
    let given = std::fs::read_to_string(&pipe).expect("what the browser writes");
    let url = running.says("/authorize?");
    pipepost_tests::browse(&url);
    running.end(&[Provider::MARK]).with_code(0);
    assert!(given.contains("LC_TIME=pt_BR.UTF-8\n"), "{given}");
    assert!(
        !given.contains("in-the-environment") && !given.contains("PIPEPOST_"),
        "{given}"
    );
}

#[test]
fn a_token_that_comes_late_is_waited_for() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let scratch = Scratch::new().secret(Provider::MARK);
    scratch.write("accounts.json", provider.account(&server.account()).to_string());
    scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
    provider.hold();
    let running = scratch.start(&["run", "pipeline.json", "--accounts", "accounts.json"]);
    provider.let_go();
    let ending = running.end(&[Provider::MARK]).with_code(0);
    assert_eq!(ending.json()["outcome"], "sent", "{ending}");
    assert_eq!(provider.given(), 1, "it was asked once, however long it took");

    // A run whose time is over meanwhile waits no longer.
    provider.hold();
    let told = "gave no access token before the time was over";
    let ending = scratch.run(&["--timeout", "1s"]).with_code(75).says(&[told]);
    ending.is_a_sentence("a provider that is slower than the run");
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn a_fixed_port_is_the_redirect_address_that_is_printed_and_listened_at() {
    let Some((provider, server)) = peers(&ProviderOptions::default(), Script::new()) else {
        return;
    };
    let scratch = Scratch::new()
        .secret(Provider::MARK)
        .variable("PIPEPOST_STORE", "accounts.age")
        .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
        .variable("BROWSER", "true");
    let mut account = provider.account(&server.account());
    account["scopes"] = json!(["https://mail.google.com/", "openid"]);
    scratch.write("accounts.json", account.to_string());
    scratch
        .pipepost(&["accounts", "add", "--from", "accounts.json"])
        .with_code(0);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let authorize = ["accounts", "authorize", "mail", "--port", &port.to_string()];
    // While another program has it, that is told.
    scratch.pipepost(&authorize).with_code(78).says(&[&port.to_string()]);
    drop(listener);
    let running = scratch.start(&authorize);
    let printed = running.complains("as it must be registered");
    let url = running.says("/authorize?");
    let redirect = printed.rsplit(' ').next().expect("an address").to_owned();
    assert!(redirect.starts_with(&format!("http://127.0.0.1:{port}")), "{printed}");
    let encoded = redirect.replace(':', "%3A").replace('/', "%2F");
    assert!(url.contains(&format!("redirect_uri={encoded}")), "{url}");
    let page = pipepost_tests::browse(&url);
    assert!(page.contains("Signed in"), "{page}");
    running.end(&[Provider::MARK]).with_code(0).says(&["is signed in"]);
}

#[test]
fn another_address_and_a_person_who_refuses_are_told() {
    for (options, words) in [
        (
            ProviderOptions {
                user: "somebody.else@example.test".to_owned(),
                ..ProviderOptions::default()
            },
            "somebody.else@example.test signed in",
        ),
        (
            ProviderOptions {
                deny: true,
                ..ProviderOptions::default()
            },
            "access_denied",
        ),
    ] {
        let Some((provider, server)) = peers(&options, Script::new()) else {
            return;
        };
        let scratch = Scratch::new()
            .secret(Provider::MARK)
            .variable("PIPEPOST_STORE", "accounts.age")
            .variable("PIPEPOST_STORE_KEY_FILE", "store.key");
        let mut account = provider.account(&server.account());
        account["scopes"] = json!(["https://mail.google.com/", "openid"]);
        scratch.write("accounts.json", account.to_string());
        scratch
            .pipepost(&["accounts", "add", "--from", "accounts.json"])
            .with_code(0);
        // The browser is elsewhere: what it ends at comes back over standard input.
        let mut running = scratch.start(&["accounts", "authorize", "mail", "--no-browser"]);
        let url = running.says("/authorize?");
        let address = pipepost_tests::redirect_of(&url);
        running.told(&format!("{address}\n"));
        let ending = running.end(&[Provider::MARK]).with_code(77).says(&[words]);
        ending.is_a_sentence("a refused authorization");
    }
}

#[test]
fn an_answer_of_another_issuer_sends_the_code_nowhere() {
    for (issuer, code) in [("own", 0), ("https://accounts.google.com", 77)] {
        let options = ProviderOptions {
            issuer: Some(issuer.to_owned()),
            ..ProviderOptions::default()
        };
        let Some((provider, server)) = peers(&options, Script::new()) else {
            return;
        };
        let scratch = Scratch::new()
            .secret(Provider::MARK)
            .variable("PIPEPOST_STORE", "accounts.age")
            .variable("PIPEPOST_STORE_KEY_FILE", "store.key")
            .variable("BROWSER", "true");
        let mut account = provider.account(&server.account());
        account["provider"] = "custom".into();
        account["scopes"] = json!(["https://mail.google.com/", "openid"]);
        scratch.write("accounts.json", account.to_string());
        scratch
            .pipepost(&["accounts", "add", "--from", "accounts.json"])
            .with_code(0);
        let running = scratch.start(&["accounts", "authorize", "mail"]);
        // Where the secret will go is said before the browser opens.
        let told = running.complains("the client secret go");
        let host = provider.url("");
        let host = host.trim_start_matches("http://").trim_end_matches('/');
        assert!(
            told.contains(&format!("to {host},")) && told.contains(&format!("page is at {host}.")),
            "{told}"
        );
        let url = running.says("/authorize?");
        pipepost_tests::browse(&url);
        let ending = running.end(&[Provider::MARK]).with_code(code);
        let is_refused = ending.stderr.contains("from the issuer https://accounts.google.com");
        assert_eq!(is_refused, code != 0, "{ending}");
        assert_eq!(provider.given(), usize::from(code == 0));
    }
}
