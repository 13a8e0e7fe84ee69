//! What a provider's refusal means, whose it is to mend, and how.

mod google;
mod microsoft;

use super::Grant;
use super::provider_error::ProviderError;
use crate::error::{ErrorKind, Remedy};
use crate::provider::Provider;

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The person who granted the access, by another sign-in.
    Person,
    /// Whoever has the client's secret or the service account's key.
    Credentials,
    /// Whoever writes the account: its client, tenant, scopes or endpoints do not fit.
    Account,
    /// The administrator of the organisation, or of the application.
    Organisation,
    /// Nobody: it passes.
    Passing,
}

/// What a refusal means: whose it is to mend, and a clause with the cause and the cure.
struct Meaning {
    cause: Cause,
    text: &'static str,
}

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The provider's codes and words, the cause, and the cure.
    pub(crate) message: String,
    pub(crate) kind: ErrorKind,
    /// What helps in the program around this library.
    pub(crate) remedy: Option<Remedy>,
}

/// Explains an error of an authorization or a token endpoint (RFC 6749, sections 4.1.2.1 and 5.2). `is_transient`: the
/// answer's status says that it passes.
pub(crate) fn explain(
    grant: Grant,
    provider: Option<Provider>,
    error: &ProviderError,
    is_transient: bool,
) -> Explanation {
    let meaning = meaning(grant, provider, error);
    let cause = if is_transient { Cause::Passing } else { meaning.cause };
    let kind = match cause {
        Cause::Person | Cause::Credentials | Cause::Organisation => ErrorKind::Token,
        Cause::Account => ErrorKind::TokenRequest,
        Cause::Passing => ErrorKind::TokenUnavailable,
    };
    let is_for_the_person = cause == Cause::Person && matches!(grant, Grant::RefreshToken | Grant::AuthorizationCode);
    Explanation {
        message: format!("{error}: {}", meaning.text),
        kind,
        remedy: is_for_the_person.then_some(Remedy::Authorize),
    }
}

fn meaning(grant: Grant, provider: Option<Provider>, error: &ProviderError) -> Meaning {
    let numbered = || microsoft::meaning(&error.numbers, grant).filter(|_| provider != Some(Provider::Google));
    let of_google = || google::meaning(grant, error).filter(|_| provider != Some(Provider::Microsoft));
    numbered()
        .or_else(of_google)
        .or_else(|| by_suberror(error.subtype.as_deref()?))
        .unwrap_or_else(|| by_code(grant, provider, error))
}

/// What Microsoft's `suberror` says of an `invalid_grant`, for numbers that are not known here.
fn by_suberror(suberror: &str) -> Option<Meaning> {
    let (cause, text) = match suberror {
        "bad_token" | "token_expired" => (
            Cause::Person,
            "the refresh token is dead; the person has to sign in again",
        ),
        "consent_required" => (
            Cause::Person,
            "nobody has consented to what the application asks for; have the person sign in again and consent",
        ),
        "basic_action" | "user_password_expired" => (
            Cause::Person,
            "the provider asks the person for something more, such as a second factor or a new password; the person has to sign in again",
        ),
        "additional_action" | "message_only" => (
            Cause::Organisation,
            "the organisation demands something that a sign-in does not solve; ask its administrator to look the request up in the sign-in logs",
        ),
        "protection_policy_required" | "device_authentication_failed" => (
            Cause::Organisation,
            "the organisation allows this only from devices or applications that it manages; ask its administrator to make an exception for this application",
        ),
        "client_mismatch" => (
            Cause::Person,
            "the refresh token belongs to another client; correct \"client_id\", or have the person sign in again with this client",
        ),
        _ => return None,
    };
    Some(Meaning { cause, text })
}

/// What the standards' codes mean, and the providers' own that stand in their place.
fn by_code(grant: Grant, provider: Option<Provider>, error: &ProviderError) -> Meaning {
    let (cause, text) = match (error.code.as_str(), grant) {
        ("invalid_grant", Grant::RefreshToken) => (Cause::Person, refresh_token_died(provider)),
        ("invalid_grant", Grant::AuthorizationCode) => (
            Cause::Person,
            "the code was used already or is too old; sign in once more",
        ),
        ("invalid_grant", Grant::ServiceAccount) => (
            Cause::Credentials,
            "the provider does not accept the service account's assertion; check \"key\", \"subject\" and this machine's clock",
        ),
        ("invalid_client", Grant::ServiceAccount) => (
            Cause::Credentials,
            "the provider does not know the service account; download a new key, and name it in \"key\"",
        ),
        ("invalid_client", _) => (
            Cause::Credentials,
            "the provider does not know the client id, or the client secret is not its own; copy both anew from the provider's console into \"client_id\" and \"client_secret\"",
        ),
        ("unauthorized_client", Grant::RefreshToken) => (
            Cause::Person,
            "the refresh token belongs to another client, or this client may not use it; the person has to sign in again with this client",
        ),
        ("unauthorized_client", _) => (
            Cause::Credentials,
            "the client may not use this grant; allow it in the provider's console, or use another client",
        ),
        ("invalid_scope", _) => (
            Cause::Account,
            "the provider does not grant these scopes; leave \"scopes\" out, or correct it (Gmail's SMTP takes only https://mail.google.com/)",
        ),
        ("invalid_target" | "invalid_resource", _) => (
            Cause::Account,
            "the provider does not know the service that the scopes name; leave \"scopes\" out, or correct it",
        ),
        ("access_denied", _) => (
            Cause::Person,
            "the person or the organisation refused; sign in again and allow access, and while a Google app is in testing, add the address to its test users",
        ),
        ("redirect_uri_mismatch" | "invalid_redirect_uri", _) => (
            Cause::Account,
            "the redirect address is not registered with the client; add it in the provider's console exactly as printed, or use a client of the type Desktop app",
        ),
        ("unsupported_grant_type", _) => (
            Cause::Account,
            "the token endpoint does not know this kind of account; correct \"token_endpoint\", \"grant\" or the account's type",
        ),
        ("unsupported_response_type", _) => (
            Cause::Account,
            "the client may not sign people in with a code; allow it in the provider's console, or use another client",
        ),
        ("invalid_request", _) => (
            Cause::Account,
            "the provider did not understand the request; check \"client_id\", \"scopes\" and \"token_endpoint\"",
        ),
        (
            "interaction_required"
            | "consent_required"
            | "login_required"
            | "account_selection_required"
            | "unmet_authentication_requirements",
            _,
        ) => (Cause::Person, "the provider wants the person to sign in again"),
        ("temporarily_unavailable" | "server_error", _) => {
            (Cause::Passing, "the provider has a passing problem; try again later")
        }
        ("slow_down", _) => (
            Cause::Passing,
            "too many requests for tokens came in a short time; try again later",
        ),
        _ => (
            Cause::Credentials,
            "the provider refused to give a token; look the code up in its documentation",
        ),
    };
    Meaning { cause, text }
}

fn refresh_token_died(provider: Option<Provider>) -> &'static str {
    match provider {
        Some(Provider::Google) => google::REFRESH_TOKEN_DIED,
        Some(Provider::Microsoft) => {
            "the refresh token is dead: it dies after 90 days without use, when the user's password changes, and when access is withdrawn; the person has to sign in again"
        }
        None => {
            "the refresh token is dead: it was not used for too long, the password changed, or access was withdrawn; the person has to sign in again"
        }
    }
}
