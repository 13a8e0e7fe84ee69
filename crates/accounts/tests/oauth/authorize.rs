//! The sign-in of a person: the address, the listener, the exchange.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pipepost_accounts::oauth::{Flow, HttpFailure};
use pipepost_accounts::{Account, Accounts, Environment, ErrorKind, Remedy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::support::{Provider, account, google, refusal};

fn granted(address: &str) -> Result<(u16, Value), HttpFailure> {
    let claims = URL_SAFE_NO_PAD.encode(json!({"email": address}).to_string());
    Ok((
        200,
        json!({
            "access_token": "PLANTED-access", "refresh_token": "PLANTED-new", "expires_in": 3600,
            "id_token": format!("e30.{claims}.sig"),
        }),
    ))
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// What a browser would ask for to end this sign-in.
fn callback(flow: &Flow<'_>, more: &str) -> String {
    format!("/?state={}&{more}", query(flow.url())["state"])
}

/// Asks the listener as a browser does, and gives the whole answer.
async fn browse(redirect: &Url, request: String) -> String {
    let port = redirect.port().expect("a port");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the listener");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

fn get(redirect: &Url, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        redirect.port().expect("a port")
    )
}

async fn begin(account: &Account) -> Flow<'_> {
    Flow::begin(account, None).await.expect("a listener")
}

#[tokio::test]
async fn the_address_asks_for_a_code_with_pkce() {
    let account = account(google());
    let flow = begin(&account).await;
    assert!(
        flow.url()
            .as_str()
            .starts_with("https://accounts.google.com/o/oauth2/v2/auth?")
    );
    let query = query(flow.url());
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "the-id"),
        ("code_challenge_method", "S256"),
        ("access_type", "offline"),
        ("login_hint", "me@gmail.com"),
        ("scope", "https://mail.google.com/ openid email"),
        ("redirect_uri", flow.redirect().as_str()),
    ] {
        assert_eq!(query[name], value);
    }
    assert!(query["state"].len() >= 20 && query["code_challenge"].len() == 43);
    assert!(!flow.url().as_str().contains("PLANTED"));
}

#[tokio::test]
async fn a_browser_brings_the_code_and_is_told() {
    let provider = Provider::new(vec![granted("Me@gmail.com")]);
    let account = account(google());
    let flow = begin(&account).await;
    let (url, redirect) = (flow.url().clone(), flow.redirect().clone());
    let request = get(&redirect, &callback(&flow, "code=the%2Fcode&scope=x"));
    let (result, page) = tokio::join!(flow.run(provider.as_ref()), browse(&redirect, request));
    let authorization = result.expect("granted");
    assert_eq!(authorization.refresh_token.expose(), "PLANTED-new");
    assert_eq!(authorization.address.as_deref(), Some("Me@gmail.com"));
    assert!(!format!("{authorization:?}").contains("PLANTED"));
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.contains("Signed in") && !page.contains("PLANTED"),
        "{page}"
    );

    let (asked, form) = provider.asked().remove(0);
    assert_eq!(asked, "https://oauth2.googleapis.com/token");
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "the/code");
    assert_eq!(form["redirect_uri"], redirect.as_str());
    assert_eq!(form["client_secret"], "PLANTED-client");
    let challenge = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    assert_eq!(query(&url)["code_challenge"], URL_SAFE_NO_PAD.encode(challenge));
}

#[tokio::test]
async fn whatever_is_not_the_callback_is_ignored() {
    let provider = Provider::new(vec![granted("me@gmail.com")]);
    let account = account(google());
    let flow = begin(&account).await;
    let redirect = flow.redirect().clone();
    let good = callback(&flow, "code=c");
    let bad = [
        get(&redirect, "/favicon.ico"),
        get(&redirect, "/?code=c"),
        get(&redirect, "/?state=guessed&code=c"),
        get(&redirect, &good.replacen("/?", "/other?", 1)),
        get(&redirect, &good.replace("code=c", "code=")),
        get(&redirect, &format!("{good}&code=d")),
        get(&redirect, &format!("{good}&state=guessed")),
        get(&redirect, &good).replacen("GET", "POST", 1),
        get(&redirect, &good).replacen("Host: 127.0.0.1", "Host: evil.example", 1),
        get(&redirect, &format!("//evil.example{good}")),
        "nonsense\r\n\r\n".to_owned(),
    ];
    let visitor = async {
        // A connection that says nothing does not stand in the way.
        let idle = TcpStream::connect(("127.0.0.1", redirect.port().expect("a port")))
            .await
            .expect("the listener");
        for request in bad {
            let answer = browse(&redirect, request.clone()).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{request}: {answer}");
        }
        endless(&redirect).await;
        drop(idle);
        browse(&redirect, get(&redirect, &good)).await
    };
    let (result, page) = tokio::join!(flow.run(provider.as_ref()), visitor);
    assert!(result.is_ok() && page.contains("Signed in"));
    assert_eq!(provider.asked().len(), 1);
}

/// The listener closes on a request without end; whether the visitor sees a reset or the end is the system's to say.
async fn endless(redirect: &Url) {
    let mut stream = TcpStream::connect(("127.0.0.1", redirect.port().expect("a port")))
        .await
        .expect("the listener");
    let written = stream
        .write_all(format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)).as_bytes())
        .await;
    let read = stream.read(&mut [0; 16]).await;
    assert!(
        written.is_err() || matches!(read, Ok(0) | Err(_)),
        "an endless request was answered"
    );
}

#[tokio::test]
async fn a_refusal_is_explained_here_and_in_the_browser() {
    let account = account(google());
    let flow = begin(&account).await;
    let redirect = flow.redirect().clone();
    let request = get(
        &redirect,
        &callback(&flow, "error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E"),
    );
    let provider = Provider::new(vec![]);
    let (result, page) = tokio::join!(flow.run(provider.as_ref()), browse(&redirect, request));
    let error = result.expect_err("refused");
    assert!(error.to_string().contains("test users"), "{error}");
    assert!(
        page.contains("Not signed in") && page.contains("&lt;b&gt;no") && !page.contains("<b>"),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_comes() {
    let account = account(google());
    let provider = Provider::new(vec![]);
    let error = begin(&account)
        .await
        .run(provider.as_ref())
        .await
        .expect_err("nobody came");
    assert!(error.to_string().contains("within 5 minutes"), "{error}");
}

#[tokio::test]
async fn an_address_from_another_machine_is_taken_whole() {
    let provider = Provider::new(vec![granted("me@gmail.com")]);
    let account = account(google());
    let flow = begin(&account).await;
    let address = format!(
        "  {}{}\n",
        flow.redirect().as_str().trim_end_matches('/'),
        callback(&flow, "code=c")
    );
    let authorization = flow.run_with(&address, provider.as_ref()).await.expect("granted");
    assert_eq!(authorization.refresh_token.expose(), "PLANTED-new");

    for address in [
        "",
        "c",
        "https://mail.google.com/?state=x&code=c",
        "http://127.0.0.1/?code=c",
    ] {
        let flow = begin(&account).await;
        let error = flow.run_with(address, provider.as_ref()).await.expect_err("not ours");
        assert!(error.to_string().contains("copy it whole"), "{error}");
    }
}

#[tokio::test]
async fn another_person_than_the_accounts_is_refused() {
    let provider = Provider::new(vec![granted("you@gmail.com")]);
    let account = account(google());
    let flow = begin(&account).await;
    let address = format!(
        "{}{}",
        flow.redirect().as_str().trim_end_matches('/'),
        callback(&flow, "code=c")
    );
    let error = flow
        .run_with(&address, provider.as_ref())
        .await
        .expect_err("another")
        .to_string();
    assert!(
        error.contains("you@gmail.com signed in") && error.contains("username is me@gmail.com"),
        "{error}"
    );
}

#[tokio::test]
async fn another_person_is_refused_where_the_username_comes_from_a_reference_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("accounts.json");
    let mut document = google();
    document["username"] = "${env:NAME}".into();
    std::fs::write(&path, document.to_string()).expect("written");
    let variables = [("NAME".to_owned(), "hidden@gmail.com".to_owned())];
    let environment = Environment::process().with_variables(variables.into());
    let accounts = Accounts::load([path], &environment).expect("a good account");
    let account = accounts.get("g").expect("there");
    for (address, good) in [("you@gmail.com", false), ("hidden@gmail.com", true)] {
        let provider = Provider::new(vec![granted(address)]);
        let flow = begin(account).await;
        assert!(!flow.url().as_str().contains("hidden"), "{}", flow.url());
        let ended = format!(
            "{}{}",
            flow.redirect().as_str().trim_end_matches('/'),
            callback(&flow, "code=c")
        );
        let result = flow.run_with(&ended, provider.as_ref()).await;
        assert_eq!(result.is_ok(), good);
        if let Err(error) = result {
            assert!(
                error.to_string().contains("not shown") && !error.to_string().contains("hidden"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn an_exchange_that_fails_is_explained() {
    let none = Ok((200, json!({"access_token": "a", "expires_in": 1})));
    for (answer, kind, expected) in [
        (
            refusal(400, "redirect_uri_mismatch", ""),
            ErrorKind::TokenRequest,
            "add it in the provider's console",
        ),
        (
            refusal(401, "invalid_client", "Unauthorized"),
            ErrorKind::Token,
            "\"client_secret\"",
        ),
        (
            refusal(400, "invalid_grant", "Malformed auth code."),
            ErrorKind::Token,
            "too old",
        ),
        (none, ErrorKind::Token, "no refresh token"),
        (
            Err(HttpFailure::unanswered("the connection was refused")),
            ErrorKind::TokenUnavailable,
            "try again later",
        ),
    ] {
        let provider = Provider::new(vec![answer]);
        let account = account(google());
        let flow = begin(&account).await;
        let address = format!(
            "{}{}",
            flow.redirect().as_str().trim_end_matches('/'),
            callback(&flow, "code=PLANTED-code")
        );
        let error = flow.run_with(&address, provider.as_ref()).await.expect_err("refused");
        assert_eq!(error.kind(), kind);
        assert!(
            error.to_string().contains(expected) && !error.to_string().contains("PLANTED"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let account = account(google());
    let error = Flow::begin(&account, Some(port)).await.expect_err("taken");
    assert!(error.to_string().contains(&format!("port {port}")), "{error}");
    assert_eq!(error.remedy(), Some(Remedy::ChoosePort));
}

#[tokio::test]
async fn only_accounts_of_people_are_authorized() {
    let account = account(json!({"label": "b", "type": "basic", "username": "me@gmail.com", "password": "x"}));
    let error = Flow::begin(&account, None).await.expect_err("no OAuth").to_string();
    assert!(error.contains("only oauth-2"), "{error}");
}

/// The account of a custom provider with its endpoints at one host.
fn custom(more: &[(&str, &str)]) -> Value {
    let mut account = json!({
        "label": "c", "type": "oauth-2", "provider": "custom", "host": "smtp.example.com", "username": "me@example.com",
        "client_id": "the-id", "client_secret": "PLANTED-client", "token_endpoint": "https://login.example/token",
        "authorization_endpoint": "https://login.example/authorize",
    });
    for (name, value) in more {
        account[*name] = (*value).into();
    }
    account
}

/// How a sign-in ends whose answer has this `iss`, and how often the token endpoint was asked.
async fn ended_with(document: Value, issuer: Option<&str>) -> (Result<(), String>, usize) {
    let provider = Provider::new(vec![granted(document["username"].as_str().expect("a name"))]);
    let account = account(document);
    let flow = begin(&account).await;
    let mut more = "code=PLANTED-code".to_owned();
    if let Some(issuer) = issuer {
        let encoded: String = url::form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
        more.push_str(&format!("&iss={encoded}"));
    }
    let address = format!(
        "{}{}",
        flow.redirect().as_str().trim_end_matches('/'),
        callback(&flow, &more)
    );
    let ended = flow.run_with(&address, provider.as_ref()).await;
    (
        ended.map(drop).map_err(|error| error.to_string()),
        provider.asked().len(),
    )
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_before_its_code_is_sent() {
    let tenant = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
    let mut microsoft = google();
    microsoft["provider"] = "microsoft".into();
    microsoft["tenant"] = tenant.into();
    let of_tenant = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let stated = custom(&[("issuer", "https://login.example/")]);
    let elsewhere = custom(&[("token_endpoint", "https://tokens.example/token")]);
    for (document, issuer, good) in [
        (google(), None, true),
        (google(), Some("https://accounts.google.com".to_owned()), true),
        (
            google(),
            Some("https://accounts.google.com.evil.example".to_owned()),
            false,
        ),
        (google(), Some("https://login.example".to_owned()), false),
        (microsoft.clone(), Some(of_tenant(tenant)), true),
        (
            microsoft.clone(),
            Some(of_tenant("00000000-2b34-4da1-9baa-8bc8c9d6a490")),
            false,
        ),
        (microsoft, Some("https://accounts.google.com".to_owned()), false),
        (custom(&[]), None, true),
        (custom(&[]), Some("https://login.example".to_owned()), true),
        (custom(&[]), Some("https://login.example/realms/a".to_owned()), true),
        (custom(&[]), Some("https://honest.example".to_owned()), false),
        (custom(&[]), Some(String::new()), false),
        (elsewhere, Some("https://login.example".to_owned()), false),
        (stated.clone(), Some("https://login.example/".to_owned()), true),
        (stated.clone(), Some("https://login.example".to_owned()), false),
        (stated, None, false),
    ] {
        let (ended, asked) = ended_with(document.clone(), issuer.as_deref()).await;
        assert_eq!(ended.is_ok(), good, "{document} {issuer:?}: {ended:?}");
        assert_eq!(asked, usize::from(good), "{document} {issuer:?}");
        if let Err(error) = ended {
            assert!(error.contains("issuer") && !error.contains("PLANTED"), "{error}");
        }
    }
}

#[tokio::test]
async fn where_the_code_and_the_secret_will_go_is_known_before_the_browser_opens() {
    let document = custom(&[("token_endpoint", "https://tokens.example:8443/token")]);
    let account = account(document);
    let flow = begin(&account).await;
    assert_eq!(
        (flow.sign_in_host(), flow.token_host()),
        ("login.example", "tokens.example:8443")
    );
    assert!(flow.has_client_secret() && flow.provider().is_none());
}

#[tokio::test]
async fn nobody_signs_in_to_an_application() {
    let document = custom(&[("grant", "client_credentials")]);
    let error = Flow::begin(&account(document), None)
        .await
        .expect_err("nobody")
        .to_string();
    assert!(error.contains("nobody has to sign in"), "{error}");
}

#[tokio::test]
async fn what_microsoft_says_in_the_browser_is_explained_too() {
    let mut document = google();
    document["provider"] = "microsoft".into();
    let account = account(document);
    let flow = begin(&account).await;
    let more = "error=access_denied&error_subcode=cancel&error_description=AADSTS65004%3A+User+declined+to+consent.%0D%0ATrace+ID%3A+0";
    let address = format!(
        "{}{}",
        flow.redirect().as_str().trim_end_matches('/'),
        callback(&flow, more)
    );
    let provider = Provider::new(vec![]);
    let error = flow.run_with(&address, provider.as_ref()).await.expect_err("refused");
    assert_eq!(
        (error.kind(), error.remedy()),
        (ErrorKind::Token, Some(Remedy::Authorize))
    );
    assert!(
        error.to_string().contains("did not consent") && !error.to_string().contains("Trace"),
        "{error}"
    );
}

#[tokio::test]
async fn a_caller_that_listens_itself_brings_the_address() {
    let account = account(google());
    let redirect = "http://127.0.0.1:8726/oauth/callback";
    let flow = Flow::begin_at(&account, redirect).expect("a flow");
    let asked = query(flow.url());
    assert_eq!(asked["redirect_uri"], redirect);
    let provider = Provider::new(vec![granted("me@gmail.com")]);
    let address = format!("{redirect}?state={}&code=the-code", asked["state"]);
    let authorization = flow.run_with(&address, provider.as_ref()).await.expect("granted");
    assert_eq!(authorization.refresh_token.expose(), "PLANTED-new");
    // Nothing listens for it here.
    let flow = Flow::begin_at(&account, redirect).expect("a flow");
    assert!(flow.run(provider.as_ref()).await.is_err());
}

#[test]
fn a_redirect_is_https_or_loopback() {
    let account = account(google());
    for good in [
        "https://mail.example.com/oauth/callback",
        "http://localhost:1/x",
        "http://[::1]:8726/",
    ] {
        assert!(Flow::begin_at(&account, good).is_ok(), "{good}");
    }
    for wrong in [
        "",
        "http://mail.example.com/",
        "javascript:alert(1)",
        "https://a.example/#x",
        "http://127.0.0.1.a.example/",
    ] {
        let error = Flow::begin_at(&account, wrong).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
