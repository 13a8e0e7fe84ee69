//! What Google, Microsoft and others are asked for, and what their refusals mean.

use pipepost_accounts::oauth::{HttpFailure, Tokens};
use pipepost_accounts::{Error, ErrorKind, Remedy};
use serde_json::{Value, json};

use crate::support::{Provider, Still, account, google, token};

fn microsoft() -> Value {
    json!({
        "label": "m", "type": "oauth-2", "provider": "microsoft", "username": "me@contoso.com", "client_id": "the-id",
        "client_secret": "PLANTED-client", "refresh_token": "PLANTED-refresh",
    })
}

fn application() -> Value {
    json!({
        "label": "m", "type": "oauth-2", "provider": "microsoft", "grant": "client_credentials",
        "tenant": "contoso.onmicrosoft.com", "username": "reports@contoso.com", "client_id": "the-id",
        "client_secret": "PLANTED-client",
    })
}

fn custom() -> Value {
    json!({
        "label": "c", "type": "oauth-2", "provider": "custom", "host": "smtp.example.com", "username": "me@example.com",
        "client_id": "the-id", "refresh_token": "PLANTED-refresh", "token_endpoint": "https://login.example/{tenant}/token",
        "tenant": "realm", "scopes": ["mail", "offline"],
    })
}

/// Where the token was asked for, and with what.
async fn asked(document: Value) -> (String, Value) {
    let provider = Provider::new(vec![token("one", 3600)]);
    let tokens = Tokens::new(provider.clone()).with_clock(Still::new());
    let granted = tokens.sign_in(&account(document), "smtp.example.com").await;
    granted.expect("a token").expect("signs in");
    let (url, form) = provider.asked().remove(0);
    (url, json!(form))
}

/// What an answer means for an account.
async fn refused(document: Value, answer: Result<(u16, Value), HttpFailure>) -> Error {
    let tokens = Tokens::new(Provider::new(vec![answer])).with_clock(Still::new());
    let refused = tokens.sign_in(&account(document), "smtp.example.com").await;
    let error = refused.expect_err("refused");
    let text = error.to_string();
    assert!(
        !text.to_uppercase().contains("PLANTED") && !text.contains('\n'),
        "{text}"
    );
    error
}

/// Microsoft's answer, as its token endpoint writes it.
fn aadsts(code: &str, number: u32, words: &str) -> Result<(u16, Value), HttpFailure> {
    let body = json!({
        "error": code, "error_codes": [number], "timestamp": "2026-01-01 00:00:00Z", "trace_id": "t", "correlation_id": "c",
        "error_description": format!("AADSTS{number}: {words} Trace ID: t Correlation ID: c Timestamp: 2026-01-01 00:00:00Z"),
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    });
    Ok((if code == "invalid_client" { 401 } else { 400 }, body))
}

#[tokio::test]
async fn an_application_asks_its_own_tenant_for_all_of_its_permissions() {
    let (url, form) = asked(application()).await;
    assert_eq!(
        url,
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    );
    assert_eq!(
        form,
        json!({
            "grant_type": "client_credentials", "client_id": "the-id", "client_secret": "PLANTED-client",
            "scope": "https://outlook.office365.com/.default",
        })
    );
}

#[tokio::test]
async fn a_refresh_names_its_scopes_where_the_provider_demands_them() {
    let (url, form) = asked(microsoft()).await;
    assert_eq!(url, "https://login.microsoftonline.com/common/oauth2/v2.0/token");
    assert_eq!(form["scope"], "https://outlook.office.com/SMTP.Send offline_access");
    let (url, form) = asked(custom()).await;
    assert_eq!(
        (url.as_str(), &form["scope"]),
        ("https://login.example/realm/token", &json!("mail offline"))
    );
    let (_, form) = asked(google()).await;
    assert_eq!(form.get("scope"), None);
}

#[tokio::test]
async fn microsofts_numbers_become_kind_cause_and_cure() {
    use ErrorKind::{Token, TokenRequest, TokenUnavailable};
    let again = Some(Remedy::StoreThenAuthorize);
    for (code, number, kind, remedy, cure) in [
        (
            "invalid_client",
            7_000_215,
            Token,
            None,
            "copy the secret's value, not its id",
        ),
        ("invalid_client", 7_000_222, Token, None, "has expired; make a new one"),
        (
            "invalid_client",
            7_000_218,
            TokenRequest,
            None,
            "write \"client_secret\"",
        ),
        (
            "invalid_client",
            700_025,
            TokenRequest,
            None,
            "leave \"client_secret\" out",
        ),
        ("invalid_client", 7_000_299, Token, None, "\"client_secret\""),
        (
            "unauthorized_client",
            700_016,
            TokenRequest,
            None,
            "correct \"client_id\"",
        ),
        (
            "unauthorized_client",
            7_000_112,
            Token,
            None,
            "have an administrator enable",
        ),
        ("invalid_request", 50_194, TokenRequest, None, "into \"tenant\""),
        (
            "invalid_request",
            9_002_331,
            TokenRequest,
            None,
            "\"tenant\": \"consumers\"",
        ),
        ("invalid_request", 9_001_023, TokenRequest, None, "into \"tenant\""),
        ("invalid_request", 90_002, TokenRequest, None, "no such tenant"),
        ("invalid_request", 900_144, TokenRequest, None, "did not understand"),
        ("invalid_scope", 70_011, TokenRequest, None, "leave \"scopes\" out"),
        ("invalid_resource", 500_011, TokenRequest, None, "leave \"scopes\" out"),
        ("invalid_grant", 7_000_012, Token, again, "another tenant"),
        ("invalid_grant", 65_001, Token, again, "consent"),
        ("invalid_grant", 700_082, Token, again, "not used for 90 days"),
        ("invalid_grant", 70_043, Token, again, "sign-in frequency"),
        ("invalid_grant", 50_173, Token, again, "withdrawn"),
        ("invalid_grant", 50_076, Token, again, "second factor"),
        ("invalid_grant", 500_121, Token, again, "second factor"),
        ("invalid_grant", 50_142, Token, again, "change it and sign in"),
        ("invalid_grant", 70_046, Token, again, "sign-in frequency"),
        ("interaction_required", 50_079, Token, again, "second factor"),
        ("invalid_grant", 53_003, Token, None, "Conditional Access"),
        ("invalid_grant", 530_039, Token, None, "Conditional Access"),
        ("invalid_grant", 53_000, Token, None, "devices"),
        ("invalid_grant", 50_057, Token, None, "disabled"),
        ("invalid_grant", 50_053, Token, None, "locked"),
        ("invalid_grant", 50_105, Token, None, "assign them"),
        (
            "invalid_grant",
            50_020,
            TokenRequest,
            None,
            "does not exist in this tenant",
        ),
        ("invalid_grant", 90_094, Token, None, "administrator has to consent"),
        (
            "temporarily_unavailable",
            90_033,
            TokenUnavailable,
            None,
            "try again later",
        ),
        ("invalid_request", 90_055, TokenUnavailable, None, "too many requests"),
        ("invalid_grant", 50_999, Token, again, "sign in again"),
        ("invalid_grant", 999_999_999, Token, again, "sign in again"),
    ] {
        let error = refused(microsoft(), aadsts(code, number, "Words of PLANTED-refresh.")).await;
        let text = error.to_string();
        assert_eq!((error.kind(), error.remedy()), (kind, remedy), "{text}");
        assert!(text.contains(cure), "{number}: {text}");
        assert!(
            text.contains(&format!("{code}, AADSTS{number} (\"Words of ***\")")),
            "{text}"
        );
        assert!(!text.contains("Trace ID") && !text.contains("Correlation"), "{text}");
    }
}

#[tokio::test]
async fn a_number_says_the_same_of_a_custom_provider_and_nothing_of_google() {
    let error = refused(custom(), aadsts("invalid_grant", 700_082, "x"))
        .await
        .to_string();
    assert!(error.contains("not used for 90 days"), "{error}");
    let error = refused(google(), aadsts("invalid_grant", 7_000_215, "x"))
        .await
        .to_string();
    assert!(error.contains("7 days"), "{error}");
}

#[tokio::test]
async fn an_application_without_consent_needs_an_administrator() {
    let error = refused(application(), aadsts("invalid_grant", 65_001, "x")).await;
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Token, None));
    assert!(error.to_string().contains("SMTP.SendAsApp"), "{error}");
}

#[tokio::test]
async fn microsofts_suberrors_speak_where_its_numbers_do_not() {
    for (suberror, remedy, cure) in [
        ("consent_required", Some(Remedy::StoreThenAuthorize), "consent"),
        (
            "user_password_expired",
            Some(Remedy::StoreThenAuthorize),
            "new password",
        ),
        ("protection_policy_required", None, "devices"),
        ("message_only", None, "administrator"),
    ] {
        let answer = Ok((400, json!({ "error": "invalid_grant", "suberror": suberror })));
        let error = refused(microsoft(), answer).await;
        assert_eq!(error.remedy(), remedy, "{error}");
        assert!(
            error.to_string().contains(cure) && error.to_string().contains(suberror),
            "{error}"
        );
    }
}

#[tokio::test]
async fn googles_codes_and_subtypes_become_kind_cause_and_cure() {
    use ErrorKind::{Token, TokenRequest, TokenUnavailable};
    let again = Some(Remedy::StoreThenAuthorize);
    for (code, subtype, words, kind, remedy, cure) in [
        (
            "invalid_grant",
            "invalid_rapt",
            "reauth related error (invalid_rapt)",
            Token,
            again,
            "session control",
        ),
        ("invalid_grant", "rapt_required", "", Token, again, "session control"),
        (
            "invalid_grant",
            "",
            "reauth related error (rapt_required)",
            Token,
            again,
            "session control",
        ),
        (
            "invalid_grant",
            "",
            "Token has been expired or revoked.",
            Token,
            again,
            "7 days",
        ),
        (
            "invalid_grant",
            "",
            "Account has been deleted",
            Token,
            None,
            "was deleted",
        ),
        ("admin_policy_enforced", "", "", Token, None, "API controls"),
        ("policy_enforced", "", "", Token, None, "Advanced Protection"),
        ("org_internal", "", "", TokenRequest, None, "its own organisation"),
        (
            "deleted_client",
            "",
            "The OAuth client was deleted.",
            Token,
            None,
            "within 30 days",
        ),
        (
            "disabled_client",
            "",
            "The OAuth client was disabled.",
            Token,
            None,
            "enable it",
        ),
        (
            "invalid_client",
            "",
            "The OAuth client was not found.",
            Token,
            None,
            "no such OAuth client",
        ),
        (
            "invalid_client",
            "",
            "The provided client secret is invalid.",
            Token,
            None,
            "copy it anew",
        ),
        (
            "invalid_request",
            "",
            "client_secret is missing.",
            TokenRequest,
            None,
            "write it into \"client_secret\"",
        ),
        (
            "unauthorized_client",
            "",
            "Unauthorized",
            Token,
            again,
            "another client",
        ),
        ("rate_limit_exceeded", "", "", TokenUnavailable, None, "try again later"),
        ("internal_failure", "", "", TokenUnavailable, None, "try again later"),
    ] {
        let answer = json!({ "error": code, "error_subtype": subtype, "error_description": words });
        let error = refused(google(), Ok((400, answer))).await;
        let text = error.to_string();
        assert_eq!((error.kind(), error.remedy()), (kind, remedy), "{text}");
        assert!(
            text.contains(cure) && text.contains(code) && text.contains(subtype),
            "{text}"
        );
    }
}

#[tokio::test]
async fn nothing_of_an_answer_is_shown_but_the_fields_of_an_error() {
    let answer = json!({
        "error": "invalid_grant", "error_description": "said", "claims": "PLANTED-claims", "access_token": "PLANTED-a",
        "message": "PLANTED-m", "email": "PLANTED-e",
    });
    let error = refused(google(), Ok((400, answer))).await.to_string();
    assert!(error.contains("said"), "{error}");
    refused(google(), Ok((400, json!("PLANTED-page")))).await;
}
