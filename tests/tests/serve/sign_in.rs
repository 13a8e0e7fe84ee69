//! A person signs in to an account through the API, at a provider that somebody else wrote.

use pipepost_inbox::Script;
use pipepost_tests::{Provider, ProviderOptions, Served, browse, redirect_of};
use serde_json::{Value, json};

use crate::fixture::{Fixture, sending, subject};

/// A provider, and a fixture whose account `mail` of the store still needs a person to sign in.
fn before_the_sign_in(options: &ProviderOptions) -> Option<(Provider, Fixture)> {
    let provider = Provider::start(options)?;
    let fixture = Fixture::with_script(Script::default()).pipeline("welcome", &sending(&json!({ "type": "rest" })));
    fixture.catcher.take_tokens_of(provider.tokens());
    let mut account = provider.account(&fixture.catcher.account());
    account
        .as_object_mut()
        .expect("an object")
        .shift_remove("refresh_token");
    let Fixture { catcher, scratch } = fixture;
    let folder = scratch.folder().display().to_string();
    let state = format!("{folder}/state");
    let fresh = scratch
        .secret(Provider::MARK)
        .variable("PIPEPOST_STATE", &state)
        .variable("PIPEPOST_STORE", &format!("{folder}/store.age"))
        .variable("PIPEPOST_STORE_KEY_FILE", &format!("{folder}/key.txt"));
    // What a person grants is kept in the store, so the account is there and in no file.
    fresh.write("accounts.json", "[]");
    fresh.write("new.json", account.to_string());
    fresh.pipepost(&["accounts", "add", "--from", "new.json"]).with_code(0);
    let fixture = Fixture {
        catcher,
        scratch: fresh,
    };
    Some((provider, fixture))
}

fn authorize(served: &Served) -> Value {
    let path = "/api/v1/accounts/mail/authorize";
    served.api("POST", path, &json!({})).with_status(200).json()
}

#[test]
fn a_person_signs_in_through_the_api_and_the_pipeline_sends() {
    let Some((provider, fixture)) = before_the_sign_in(&ProviderOptions::default()) else {
        return;
    };
    let served = Served::start(&fixture.scratch, &[]);
    let problem = served.post("welcome", &[], &subject("before")).json();
    assert_eq!(problem["kind"], "authentication", "{problem}");
    let begun = authorize(&served);
    let callback = format!("http://127.0.0.1:{}/oauth/callback", served.admin);
    assert_eq!(begun["redirect"], callback.as_str());
    let url = begun["url"].as_str().expect("an address");
    assert!(
        url.starts_with(&provider.url("authorize?")) && url.contains("code_challenge="),
        "{url}"
    );
    let back = redirect_of(url);
    assert!(back.starts_with(&callback), "{back}");
    let page = browse(&back);
    assert!(page.contains("The account mail is signed in."), "{page}");
    assert!(
        page.to_ascii_lowercase().contains("referrer-policy: no-referrer"),
        "{page}"
    );
    assert!(!page.contains(Provider::MARK), "{page}");
    served.post("welcome", &[], &subject("after")).with_status(200);
    assert_eq!((fixture.arrived("before"), fixture.arrived("after")), (0, 1));
    // The address is good once.
    let again = browse(&back);
    assert!(
        again.starts_with("HTTP/1.1 400") && again.contains("Not signed in"),
        "{again}"
    );
    let shown = served
        .api("GET", "/api/v1/accounts/mail", &Value::Null)
        .with_status(200);
    assert_eq!(shown.json()["fields"]["refresh_token"], "***");
    assert!(!shown.body.contains(Provider::MARK), "{shown:?}");
    // What was granted is in the store, and no longer only in the process.
    drop(served);
    let served = Served::start(&fixture.scratch, &[]);
    served.post("welcome", &[], &subject("later")).with_status(200);
    assert_eq!(fixture.arrived("later"), 1);
}

#[test]
fn an_address_that_nobody_asked_for_and_a_person_who_refuses_change_nothing() {
    let options = ProviderOptions {
        deny: true,
        ..ProviderOptions::default()
    };
    let Some((_provider, fixture)) = before_the_sign_in(&options) else {
        return;
    };
    let served = Served::start(&fixture.scratch, &[]);
    let forged = format!("http://127.0.0.1:{}/oauth/callback?code=x&state=forged", served.admin);
    let page = browse(&forged);
    assert!(
        page.starts_with("HTTP/1.1 400") && page.contains("Not signed in"),
        "{page}"
    );
    let page = browse(authorize(&served)["url"].as_str().expect("an address"));
    assert!(
        page.contains("Not signed in") && !page.starts_with("HTTP/1.1 200"),
        "{page}"
    );
    let problem = served.post("welcome", &[], &subject("refused")).json();
    assert_eq!(problem["kind"], "authentication", "{problem}");
    // Only an administrator may begin it.
    let path = "/api/v1/accounts/mail/authorize";
    let reply = pipepost_tests::http::request(served.admin, "POST", path, &[], "{}").expect("an answer");
    assert_eq!(reply.status, 401);
}
