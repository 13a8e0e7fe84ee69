//! How an account signs in, as data: the sources of its secrets, unread, and who issues its tokens.

use pipepost_core::egress::is_loopback_host;
use url::Url;

use crate::provider::{GrantType, Provider};
use crate::reference::SecretSource;

/// How the account signs in. Secrets are sources that are not read yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum SignIn {
    /// It does not sign in.
    None,
    /// With a user name and a password; under XOAUTH2 or OAUTHBEARER the password is used directly as the access token.
    Password(SecretSource),
    /// With the client certificate that TLS has shown (SASL EXTERNAL), and nothing else.
    Certificate,
    /// With access tokens that are obtained with a refresh token, or as a client of its own.
    OAuth(Box<OAuthClient>),
    /// With access tokens that are obtained with a service account's signed assertion.
    ServiceAccount(Box<ServiceAccount>),
}

/// An OAuth client and what was granted to it (RFC 6749, sections 4.4 and 6).
#[derive(Debug)]
pub struct OAuthClient {
    /// The provider that issues the tokens, when it is a known one.
    pub provider: Option<Provider>,
    /// How the client gets its tokens.
    pub grant: GrantType,
    /// The tenant in Microsoft's endpoints; `None` means every tenant and personal accounts (`common`).
    pub tenant: Option<String>,
    /// The issuer that every authorization response has to name (RFC 9207); `None` where the account states none.
    pub issuer: Option<String>,
    /// The client's public name.
    pub client_id: String,
    /// The client's secret; public clients have none.
    pub client_secret: Option<SecretSource>,
    /// What the user granted; `None` before the first authorization.
    pub refresh_token: Option<SecretSource>,
    /// The scopes to request.
    pub scopes: Vec<String>,
    /// The endpoint that issues tokens. It gets the code, the client's secret and the refresh token.
    pub token_endpoint: Url,
    /// The address at which a person signs in; `None` when the provider is unknown and the account names none.
    pub authorization_endpoint: Option<Url>,
}

/// A Google service account that acts for a user (RFC 7523).
#[derive(Debug)]
pub struct ServiceAccount {
    /// The key file's JSON.
    pub key: SecretSource,
    /// The user for whom the service account acts.
    pub subject: String,
    /// The scopes to request.
    pub scopes: Vec<String>,
    /// The endpoint that issues tokens; `None` means the `token_uri` of the key file.
    pub token_endpoint: Option<Url>,
}

/// A token or authorization endpoint: `https`, or `http` to a loopback address, for tests and local proxies.
pub(crate) fn read_endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_loopback = is_loopback_host(url.host_str()?);
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_save_loopback() {
        for (text, allowed) in [
            ("https://login.example/token", true),
            ("http://127.0.0.1:8080/token", true),
            ("http://localhost:8080/token", true),
            ("http://[::1]:8080/token", true),
            ("http://login.example/token", false),
            ("http://127.0.0.1.example/token", false),
            ("https://user:pw@login.example/token", false),
            ("file:///etc/passwd", false),
            ("token", false),
        ] {
            assert_eq!(read_endpoint(text).is_some(), allowed, "{text}");
        }
    }
}
