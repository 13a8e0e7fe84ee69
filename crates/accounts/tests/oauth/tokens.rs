//! Access tokens: kept, renewed, refused, explained.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipepost_accounts::oauth::{BoxFuture, Clock as _, HttpFailure, RefreshTokenSink, Tokens};
use pipepost_accounts::sasl::{Exchange, Mechanism};
use pipepost_accounts::{Account, ErrorKind, Remedy, Secret};
use serde_json::{Value, json};

use crate::support::{Provider, Still, account, google, refusal, stored, token};

/// The token that the credentials hold, as it goes over the wire.
async fn signed_in(tokens: &Tokens, account: &Account) -> Result<String, pipepost_accounts::Error> {
    let granted = tokens.sign_in(account, "smtp.gmail.com").await?.expect("it signs in");
    let mut exchange = Exchange::start(Mechanism::XOAuth2, &granted.credentials, "smtp.gmail.com", 587).expect("fits");
    let line = String::from_utf8(exchange.first_line().to_vec()).expect("ASCII");
    let response = base64::engine::general_purpose::STANDARD
        .decode(line["AUTH XOAUTH2 ".len()..].trim())
        .expect("base64");
    let text = String::from_utf8(response).expect("UTF-8");
    let rest = text
        .strip_prefix("user=me@gmail.com\x01auth=Bearer ")
        .expect("the user first");
    Ok(rest.trim_end_matches('\x01').to_owned())
}

#[tokio::test]
async fn a_token_is_kept_while_it_lives_and_renewed_before_it_dies() {
    let provider = Provider::new(vec![token("one", 3600), token("two", 3600)]);
    let clock = Still::new();
    let tokens = Tokens::new(provider.clone()).with_clock(clock.clone());
    let account = account(google());
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    clock.pass(3299);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    clock.pass(1);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("two"));

    let (url, form) = provider.asked().remove(0);
    assert_eq!(url, "https://oauth2.googleapis.com/token");
    let expected = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "PLANTED-refresh"),
        ("client_id", "the-id"),
        ("client_secret", "PLANTED-client"),
    ];
    assert_eq!(
        form,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    );
}

#[tokio::test]
async fn a_connection_learns_when_its_token_dies() {
    let clock = Still::new();
    let tokens = Tokens::new(Provider::new(vec![token("one", 3600)])).with_clock(clock.clone());
    let granted = tokens
        .sign_in(&account(google()), "smtp.gmail.com")
        .await
        .expect("a token")
        .expect("signs in");
    assert_eq!(granted.expires, Some(clock.now() + Duration::from_secs(3600)));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let provider = Provider::new(vec![token("one", 3600), token("two", 3600)]);
    let tokens = Tokens::new(provider.clone()).with_clock(Still::new());
    let account = account(google());
    let first = tokens
        .sign_in(&account, "smtp.gmail.com")
        .await
        .expect("a token")
        .expect("signs in");
    let id = first.token.expect("a token's");
    tokens.refused(&account, id);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("two"));
    // Another connection comes late with the same complaint: the new token stays.
    tokens.refused(&account, id);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("two"));
    assert_eq!(provider.asked().len(), 2);
}

#[tokio::test]
async fn many_runs_cause_one_renewal() {
    let provider = Provider::gated(vec![token("one", 3600)]);
    let tokens = Arc::new(Tokens::new(provider.clone()).with_clock(Still::new()));
    let account = account(google());
    let runs: Vec<_> = (0..50)
        .map(|_| {
            let (tokens, account) = (tokens.clone(), account.clone());
            tokio::spawn(async move { signed_in(&tokens, &account).await })
        })
        .collect();
    tokio::task::yield_now().await;
    provider.gate.add_permits(50);
    for run in runs {
        assert_eq!(run.await.expect("no panic").as_deref(), Ok("one"));
    }
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test]
async fn whoever_waited_for_a_failing_renewal_takes_its_answer() {
    let provider = Provider::gated(vec![refusal(
        400,
        "invalid_grant",
        "Token has been expired or revoked.",
    )]);
    let tokens = Arc::new(Tokens::new(provider.clone()).with_clock(Still::new()));
    let account = account(google());
    let runs: Vec<_> = (0..10)
        .map(|_| {
            let (tokens, account) = (tokens.clone(), account.clone());
            tokio::spawn(async move { signed_in(&tokens, &account).await })
        })
        .collect();
    tokio::task::yield_now().await;
    provider.gate.add_permits(10);
    for run in runs {
        assert_eq!(
            run.await.expect("no panic").expect_err("refused").kind(),
            ErrorKind::Token
        );
    }
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test]
async fn a_cancelled_renewal_leaves_the_next_one_free() {
    let provider = Provider::gated(vec![token("one", 3600)]);
    let tokens = Arc::new(Tokens::new(provider.clone()).with_clock(Still::new()));
    let account = account(google());
    let run = tokio::spawn({
        let (tokens, account) = (tokens.clone(), account.clone());
        async move { signed_in(&tokens, &account).await }
    });
    while provider.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    run.abort();
    assert!(run.await.expect_err("aborted").is_cancelled());
    provider.gate.add_permits(1);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn a_provider_that_is_away_costs_nothing_while_the_token_lives() {
    let away = || Err(HttpFailure::unanswered("the connection was refused"));
    let provider = Provider::new(vec![token("one", 3600), away(), refusal(503, "x", ""), away()]);
    let clock = Still::new();
    let tokens = Tokens::new(provider).with_clock(clock.clone());
    let account = account(google());
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    clock.pass(3400);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    clock.pass(200);
    let error = signed_in(&tokens, &account).await.expect_err("dead");
    assert_eq!(error.kind(), ErrorKind::TokenUnavailable);
    assert!(error.to_string().contains("the connection was refused"), "{error}");
}

/// What was kept: label, written token, new token.
struct Keeper(Mutex<Vec<(String, String, String)>>);

impl RefreshTokenSink for Keeper {
    fn keep<'s>(&'s self, account: &'s Account, written: &'s Secret, new: &'s Secret) -> BoxFuture<'s, ()> {
        let kept = (account.label(), written.expose(), new.expose());
        let kept = (kept.0.to_owned(), kept.1.to_owned(), kept.2.to_owned());
        self.0.lock().expect("not poisoned").push(kept);
        Box::pin(std::future::ready(()))
    }

    fn kept<'s>(&'s self, _: &'s Account, written: &'s Secret) -> BoxFuture<'s, Option<Secret>> {
        let kept = self.0.lock().expect("not poisoned");
        let newest = kept.iter().rev().find(|(_, old, _)| old == written.expose());
        let newest = newest.map(|(_, _, new)| Secret::new(new.clone()));
        Box::pin(std::future::ready(newest))
    }
}

#[tokio::test]
async fn a_new_refresh_token_takes_the_old_ones_place() {
    let with_new = Ok((
        200,
        json!({"access_token": "one", "expires_in": "60", "refresh_token": "newer"}),
    ));
    let provider = Provider::new(vec![with_new, token("two", 3600)]);
    let clock = Still::new();
    let sink = Arc::new(Keeper(Mutex::default()));
    let tokens = Tokens::new(provider.clone())
        .with_clock(clock.clone())
        .with_sink(sink.clone());
    let account = account(google());
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("one"));
    clock.pass(46);
    assert_eq!(signed_in(&tokens, &account).await.as_deref(), Ok("two"));
    assert_eq!(provider.asked()[1].1["refresh_token"], "newer");
    assert_eq!(
        *sink.0.lock().expect("not poisoned"),
        [("g".to_owned(), "PLANTED-refresh".to_owned(), "newer".to_owned())]
    );
}

#[tokio::test]
async fn what_another_process_was_given_is_used_though_this_one_has_an_older_one() {
    let with_new = |new: &str| {
        Ok((
            200,
            json!({"access_token": "a", "expires_in": 60, "refresh_token": new}),
        ))
    };
    let sink = Arc::new(Keeper(Mutex::default()));
    let clock = Still::new();
    let [one, other] = [
        vec![with_new("second"), with_new("fourth")],
        vec![with_new("third"), refusal(400, "invalid_grant", ""), token("b", 3600)],
    ]
    .map(Provider::new);
    let process = |provider: &Arc<Provider>| {
        Tokens::new(provider.clone())
            .with_clock(clock.clone())
            .with_sink(sink.clone())
    };
    let (first, second) = (process(&one), process(&other));
    let account = account(google());
    for tokens in [&first, &second, &first] {
        signed_in(tokens, &account).await.expect("a token");
        clock.pass(46);
    }
    assert_eq!(other.asked()[0].1["refresh_token"], "second");
    assert_eq!(one.asked()[1].1["refresh_token"], "third");
    // The second asks with what the first was given last, which is refused, and then with the account's own.
    signed_in(&second, &account).await.expect("a token");
    assert_eq!(other.asked()[1].1["refresh_token"], "fourth");
    assert_eq!(other.asked()[2].1["refresh_token"], "PLANTED-refresh");
}

#[tokio::test]
async fn a_later_process_goes_on_with_what_was_kept() {
    let with_new = |new: &str| {
        Ok((
            200,
            json!({"access_token": "a", "expires_in": 3600, "refresh_token": new}),
        ))
    };
    let sink = Arc::new(Keeper(Mutex::default()));
    for (answer, expected) in [
        (with_new("second"), "PLANTED-refresh"),
        (with_new("third"), "second"),
        (token("a", 3600), "third"),
    ] {
        let provider = Provider::new(vec![answer]);
        let tokens = Tokens::new(provider.clone())
            .with_clock(Still::new())
            .with_sink(sink.clone());
        signed_in(&tokens, &account(google())).await.expect("a token");
        assert_eq!(provider.asked()[0].1["refresh_token"], expected);
    }
    // What was kept is dead: the account's own is tried once, and no more.
    let dead = || refusal(400, "invalid_grant", "");
    for (answers, good) in [(vec![dead(), token("a", 3600)], true), (vec![dead(), dead()], false)] {
        let provider = Provider::new(answers);
        let tokens = Tokens::new(provider.clone())
            .with_clock(Still::new())
            .with_sink(sink.clone());
        assert_eq!(signed_in(&tokens, &account(google())).await.is_ok(), good);
        let asked: Vec<_> = provider
            .asked()
            .iter()
            .map(|(_, form)| form["refresh_token"].clone())
            .collect();
        assert_eq!(asked, ["third", "PLANTED-refresh"]);
    }
    // Another refresh token in the file is another grant.
    let mut document = google();
    document["refresh_token"] = "PLANTED-another".into();
    let provider = Provider::new(vec![token("a", 3600)]);
    let tokens = Tokens::new(provider.clone()).with_clock(Still::new()).with_sink(sink);
    signed_in(&tokens, &account(document)).await.expect("a token");
    assert_eq!(provider.asked()[0].1["refresh_token"], "PLANTED-another");
}

#[tokio::test]
async fn refusals_are_explained() {
    for (answer, kind, expected) in [
        (
            refusal(400, "invalid_grant", "Token has been expired or revoked."),
            ErrorKind::Token,
            "7 days",
        ),
        (
            refusal(400, "invalid_grant", ""),
            ErrorKind::Token,
            "6 months without use",
        ),
        (refusal(400, "invalid_grant", ""), ErrorKind::Token, "password changes"),
        (
            refusal(401, "invalid_client", "The OAuth client was not found."),
            ErrorKind::Token,
            "\"client_secret\"",
        ),
        (
            refusal(401, "unauthorized_client", ""),
            ErrorKind::Token,
            "another client",
        ),
        (
            refusal(400, "invalid_scope", ""),
            ErrorKind::TokenRequest,
            "https://mail.google.com/",
        ),
        (
            refusal(503, "temporarily_unavailable", ""),
            ErrorKind::TokenUnavailable,
            "try again later",
        ),
        (refusal(400, "teapot", ""), ErrorKind::Token, "teapot"),
        (
            Ok((502, json!("<html>Bad gateway"))),
            ErrorKind::TokenUnavailable,
            "HTTP 502",
        ),
        (Ok((200, json!("[]"))), ErrorKind::Token, "HTTP 200 and no token"),
        (Ok((200, json!({"access_token": ""}))), ErrorKind::Token, "no token"),
        (Ok((200, json!({"access_token": "a b"}))), ErrorKind::Token, "no token"),
        (Ok((404, json!({"access_token": "one"}))), ErrorKind::Token, "HTTP 404"),
        (
            refusal(400, "invalid_request", "bad PLANTED-refresh and PLANTED-CLIENT\r\n"),
            ErrorKind::TokenRequest,
            "bad *** and ***",
        ),
    ] {
        let tokens = Tokens::new(Provider::new(vec![answer])).with_clock(Still::new());
        let error = signed_in(&tokens, &account(google())).await.expect_err("refused");
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        assert!(text.contains(expected) && text.contains("account \"g\""), "{text}");
        assert!(
            !text.to_uppercase().contains("PLANTED") && !text.contains('\n'),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_account_that_nobody_signed_in_to_says_so() {
    let mut document = google();
    document["refresh_token"] = Value::Null;
    // In a file nothing that a person grants is kept, so the remedy is another one than in the store.
    for (account, remedy) in [
        (account(document.clone()), Remedy::StoreThenAuthorize),
        (stored(document), Remedy::Authorize),
    ] {
        let tokens = Tokens::new(Provider::new(vec![]));
        assert_eq!(tokens.remedy(&account), None);
        let error = signed_in(&tokens, &account).await.expect_err("nothing to use");
        assert_eq!(error.message(), "nobody has signed in to this account yet");
        assert_eq!(error.remedy(), Some(remedy));
        assert_eq!(tokens.remedy(&account), Some(remedy));
    }
}

#[tokio::test]
async fn a_password_account_needs_no_provider() {
    let document = json!({"label": "b", "type": "basic", "username": "me@gmail.com", "password": "abcdefghijklmnop"});
    let tokens = Tokens::new(Provider::new(vec![]));
    let granted = tokens
        .sign_in(&account(document), "smtp.gmail.com")
        .await
        .expect("readable")
        .expect("signs in");
    assert!(granted.expires.is_none() && granted.token.is_none() && !granted.credentials.is_token());
}

/// Made for this test with `openssl genpkey`; nothing trusts it.
const KEY: &str = include_str!("../data/service-account.pem");

fn service_account(key: Value) -> Value {
    json!({"label": "k", "type": "google-key", "subject": "me@gmail.com", "key": key})
}

fn key_file() -> Value {
    json!({
        "type": "service_account", "client_email": "robot@project.iam.example", "private_key_id": "id-1",
        "private_key": KEY, "token_uri": "https://oauth2.googleapis.com/token",
    })
}

#[tokio::test]
async fn a_service_account_signs_for_its_user() {
    for key in [key_file(), json!(key_file().to_string())] {
        let provider = Provider::new(vec![token("one", 3600)]);
        let tokens = Tokens::new(provider.clone()).with_clock(Still::new());
        assert_eq!(
            signed_in(&tokens, &account(service_account(key))).await.as_deref(),
            Ok("one")
        );

        let (url, form) = provider.asked().remove(0);
        assert_eq!(url, "https://oauth2.googleapis.com/token");
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (signed, signature) = form["assertion"].rsplit_once('.').expect("a signature");
        let (header, claims) = signed.split_once('.').expect("header and claims");
        let read = |part: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
        };
        assert_eq!(read(header), json!({"alg": "RS256", "typ": "JWT", "kid": "id-1"}));
        let expected = json!({
            "iss": "robot@project.iam.example", "sub": "me@gmail.com", "scope": "https://mail.google.com/",
            "aud": "https://oauth2.googleapis.com/token", "iat": 1_800_000_000, "exp": 1_800_003_600,
        });
        assert_eq!(read(claims), expected);
        verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).expect("base64url"),
        );
    }
}

fn verify(signed: &[u8], signature: &[u8]) {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).expect("PEM");
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("RSA");
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())
        .verify(signed, signature)
        .expect("the provider would take it");
}

#[tokio::test]
async fn a_service_accounts_refusals_are_explained() {
    for (answer, expected) in [
        (
            refusal(
                401,
                "unauthorized_client",
                "Client is unauthorized to retrieve access tokens",
            ),
            "Domain-wide delegation",
        ),
        (
            refusal(
                400,
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes)",
            ),
            "clock is wrong",
        ),
        (
            refusal(400, "invalid_grant", "Invalid JWT Signature."),
            "download a new one",
        ),
        (
            refusal(400, "invalid_grant", "Invalid email or User ID"),
            "correct \"subject\"",
        ),
    ] {
        let tokens = Tokens::new(Provider::new(vec![answer])).with_clock(Still::new());
        let error = signed_in(&tokens, &account(service_account(key_file())))
            .await
            .expect_err("refused")
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_bad_key_file_is_named_and_not_shown() {
    let without = |field: &str| {
        let mut key = key_file();
        key.as_object_mut().expect("an object").remove(field);
        key
    };
    let with = |field: &str, value: &str| {
        let mut key = key_file();
        key[field] = value.into();
        key
    };
    for (key, expected) in [
        (json!("PLANTED"), "not the JSON"),
        (json!({"installed": {"client_id": "x"}}), "not a service account's key"),
        (with("type", "authorized_user"), "not a service account's key"),
        (without("client_email"), "client_email"),
        (with("private_key", "PLANTED"), "not whole PEM"),
        (
            with(
                "private_key",
                "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n",
            ),
            "not an RSA key",
        ),
        (with("token_uri", "http://login.example/token"), "token_uri"),
    ] {
        let tokens = Tokens::new(Provider::new(vec![])).with_clock(Still::new());
        let error = signed_in(&tokens, &account(service_account(key)))
            .await
            .expect_err("no key")
            .to_string();
        assert!(
            error.contains(expected) && error.contains("field \"key\"") && !error.contains("PLANTED"),
            "{error}"
        );
    }
}
