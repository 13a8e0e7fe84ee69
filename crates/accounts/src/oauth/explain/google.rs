//! What Google's codes, subtypes and words mean. <https://developers.google.com/identity/protocols/oauth2>

use super::{Cause, Meaning};
use crate::oauth::Grant;
use crate::oauth::provider_error::ProviderError;

pub(super) const REFRESH_TOKEN_DIED: &str = "the refresh token is dead: it dies 7 days after it was given while the app's publishing status is Testing, after 6 months without use, when the user's password changes, when the user withdraws the access, and when the user has granted more than 100 for the same client; publish the app if it is in testing, then have the person sign in again";

const DELEGATION: &str = "the service account may not act for users; have a Workspace administrator allow its client id the scope https://mail.google.com/ under Security, API controls, Domain-wide delegation (https://admin.google.com/ac/owl/domainwidedelegation)";

/// None where the standard's meaning is the whole meaning.
pub(super) fn meaning(grant: Grant, error: &ProviderError) -> Option<Meaning> {
    let said = error.said.as_deref().unwrap_or_default().to_lowercase();
    let subtype = error.subtype.as_deref().unwrap_or_default();
    let is_service = grant == Grant::ServiceAccount;
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let (cause, text) = match error.code.as_str() {
        _ if matches!(subtype, "invalid_rapt" | "rapt_required")
            || matches!(error.code.as_str(), "invalid_rapt" | "rapt_required")
            || says(&["invalid_rapt", "rapt_required", "reauth related error"]) =>
        {
            (
                Cause::Person,
                "the organisation asks for a new sign-in after some hours (Google Cloud session control); have the person sign in again, or an administrator mark the app as trusted under Security, API controls and exempt trusted apps",
            )
        }
        "deleted_client" => (
            Cause::Credentials,
            "the OAuth client was deleted; restore it in the Google Cloud console within 30 days, or make a new one, write its id and secret into the account, and have the person sign in again",
        ),
        "disabled_client" => (
            Cause::Credentials,
            "the OAuth client is disabled; enable it, or its project and billing, in the Google Cloud console",
        ),
        "restricted_client" => (
            Cause::Account,
            "the OAuth client may not ask for these scopes; use a client of a project whose consent screen lists https://mail.google.com/",
        ),
        "admin_policy_enforced" => (
            Cause::Organisation,
            "the organisation's administrator does not allow this app; ask for it to be trusted under Security, API controls",
        ),
        "policy_enforced" => (
            Cause::Organisation,
            "the person is in the Advanced Protection Program or under a policy that does not allow this app; use an app that it allows, or another account",
        ),
        "org_internal" => (
            Cause::Account,
            "the app is only for users of its own organisation; sign in with an address of that organisation",
        ),
        "app_not_verified" | "app_not_configured_for_user" | "access_not_configured" => (
            Cause::Organisation,
            "the app is not open to this person; publish it, or add the address to its test users on the consent screen's page",
        ),
        "disallowed_useragent" | "origin_mismatch" => (
            Cause::Account,
            "Google does not sign people in from this kind of client; use an OAuth client of the type Desktop app, and an ordinary browser",
        ),
        "rate_limit_exceeded"
        | "quota_exceeded"
        | "user_rate_limit_exceeded"
        | "internal_failure"
        | "backend_error" => (
            Cause::Passing,
            "Google gives no more tokens for the moment; try again later",
        ),
        "access_denied" | "unauthorized_client" if is_service => (Cause::Organisation, DELEGATION),
        "unauthorized_client" => return None,
        "invalid_grant" if is_service => service_account_refused(&said)?,
        "invalid_grant" if says(&["account has been deleted"]) => (
            Cause::Organisation,
            "the person's Google account was deleted; use another account",
        ),
        "invalid_grant" if says(&["account has been disabled", "account disabled", "suspended"]) => (
            Cause::Organisation,
            "the person's Google account is suspended; have its administrator restore it",
        ),
        "invalid_client" if !is_service && says(&["client was not found", "no registered origin"]) => (
            Cause::Credentials,
            "there is no such OAuth client; copy the client id anew from the Google Cloud console into \"client_id\", and the client secret into \"client_secret\"",
        ),
        "invalid_client" if !is_service && says(&["secret is invalid", "unauthorized"]) => (
            Cause::Credentials,
            "the client secret is not the client's; copy it anew from the Google Cloud console into \"client_secret\"",
        ),
        "invalid_request" if says(&["client_secret is missing"]) => (
            Cause::Account,
            "the client has a secret, and the account has none; write it into \"client_secret\"",
        ),
        "invalid_request" if says(&["loopback", "oob", "out-of-band"]) => (
            Cause::Account,
            "Google does not send a person back to this kind of client; use an OAuth client of the type Desktop app",
        ),
        _ => return None,
    };
    Some(Meaning { cause, text })
}

/// What an `invalid_grant` says of a service account's assertion.
fn service_account_refused(said: &str) -> Option<(Cause, &'static str)> {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    Some(if says(&["iat", "short-lived", "timeframe", "expired"]) {
        (
            Cause::Credentials,
            "this machine's clock is wrong; set it (for example with timedatectl set-ntp true)",
        )
    } else if says(&["signature", "key"]) {
        (
            Cause::Credentials,
            "the service account's key was deleted or is not whole; download a new one, and name it in \"key\"",
        )
    } else if says(&["robot is disabled", "account disabled", "has been disabled"]) {
        (
            Cause::Credentials,
            "the service account is disabled; enable it in the Google Cloud console",
        )
    } else if says(&["issuer", "not a service account"]) {
        (
            Cause::Credentials,
            "there is no such service account; download a new key of one that exists, and name it in \"key\"",
        )
    } else if says(&["email", "user id", "account not found", "subject"]) {
        (
            Cause::Credentials,
            "there is no such user, or no such service account; correct \"subject\" to the whole address of a Workspace user",
        )
    } else {
        return None;
    })
}
