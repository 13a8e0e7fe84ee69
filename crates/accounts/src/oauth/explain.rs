//! What a provider's refusal means, and what to do.

use super::Grant;
use crate::error::Remedy;
use crate::sign_in::Provider;

/// One sentence for an OAuth error code (RFC 6749, sections 4.1.2.1 and 5.2), with the provider's own words where it
/// gave any.
pub(crate) fn explain(grant: Grant, provider: Option<Provider>, code: &str, said: Option<&str>) -> String {
    let meaning = match (code, grant) {
        ("invalid_grant", Grant::RefreshToken) => refresh_token_died(provider),
        ("invalid_grant", Grant::ServiceAccount) => service_account_refused(said.unwrap_or_default()),
        ("invalid_grant", Grant::AuthorizationCode) => "the code was used already or is too old; sign in once more",
        ("invalid_client", Grant::ServiceAccount) => {
            "the provider does not know the service account; download a new key, and name it in \"key\""
        }
        ("invalid_client", _) => {
            "the provider does not know the client id, or the client secret is not its own; copy both anew from the provider's console into \"client_id\" and \"client_secret\""
        }
        ("unauthorized_client", Grant::ServiceAccount) => {
            "the service account may not act for users; have a Workspace administrator allow its client id the scope https://mail.google.com/ under Security, API controls, Domain-wide delegation (https://admin.google.com/ac/owl/domainwidedelegation)"
        }
        ("unauthorized_client", _) => {
            "the refresh token belongs to another client, or this client may not use it; the person has to sign in again with this client"
        }
        ("invalid_scope", _) => {
            "the provider does not grant these scopes; leave \"scopes\" out, or correct it (Gmail's SMTP takes https://mail.google.com/ alone)"
        }
        ("access_denied", _) => {
            "the person or the organisation refused; sign in again and allow access, and while a Google app is in testing, add the address to its test users"
        }
        ("admin_policy_enforced", _) => {
            "the organisation's administrator does not allow this app; ask for it to be trusted under Security, API controls"
        }
        ("org_internal", _) => {
            "the app is for its own organisation's users alone; sign in with an address of that organisation"
        }
        ("redirect_uri_mismatch", _) => {
            "the redirect address is not registered with the client; add it in the provider's console exactly as printed, or use a client of the type Desktop app"
        }
        ("unsupported_grant_type", _) => {
            "the token endpoint does not know this kind of account; correct \"token_endpoint\" or the account's type"
        }
        ("invalid_request", _) => {
            "the provider did not understand the request; check \"client_id\", \"scopes\" and \"token_endpoint\""
        }
        ("interaction_required" | "consent_required" | "login_required", _) => {
            "the provider wants the person to sign in again"
        }
        ("temporarily_unavailable" | "server_error", _) => "the provider has a passing problem; try again later",
        _ => "the provider refused to give a token; look the code up in its documentation",
    };
    match said {
        Some(said) => format!("{code} (\"{}\"): {meaning}", said.trim_end_matches('.')),
        None => format!("{code}: {meaning}"),
    }
}

/// What helps with an OAuth error code in the program around this library.
pub(crate) fn remedy(grant: Grant, code: &str) -> Option<Remedy> {
    let is_for_the_person = match code {
        "invalid_grant" | "unauthorized_client" => grant == Grant::RefreshToken,
        "interaction_required" | "consent_required" | "login_required" => grant != Grant::ServiceAccount,
        _ => false,
    };
    is_for_the_person.then_some(Remedy::Authorize)
}

fn refresh_token_died(provider: Option<Provider>) -> &'static str {
    match provider {
        Some(Provider::Google) => {
            "the refresh token is dead: it dies 7 days after it was given while the app's publishing status is Testing, after 6 months without use, when the user's password changes, and when the user withdraws the access; publish the app if it is in testing, then have the person sign in again"
        }
        Some(Provider::Microsoft) => {
            "the refresh token is dead: it dies after 90 days without use, when the user's password changes, and when access is withdrawn; the person has to sign in again"
        }
        None => {
            "the refresh token is dead: it was not used for too long, the password changed, or access was withdrawn; the person has to sign in again"
        }
    }
}

fn service_account_refused(said: &str) -> &'static str {
    let said = said.to_lowercase();
    if said.contains("iat") || said.contains("short-lived") || said.contains("timeframe") {
        "this machine's clock is wrong; set it (for example with timedatectl set-ntp true)"
    } else if said.contains("signature") {
        "the service account's key was deleted or is not whole; download a new one, and name it in \"key\""
    } else if said.contains("email") || said.contains("user id") || said.contains("account not found") {
        "there is no such user, or no such service account; correct \"subject\" to the whole address of a Workspace user"
    } else {
        "the provider does not accept the service account's assertion; check \"key\", \"subject\" and this machine's clock"
    }
}
