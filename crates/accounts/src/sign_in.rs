//! How an account signs in, as data: the sources of its secrets, unread, and who issues its tokens.

use std::fmt;

use pipepost_core::egress::is_loopback_host;
use url::Url;

use crate::reference::SecretSource;

/// How the account signs in. Secrets are sources that are not read yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum SignIn {
    /// It does not sign in.
    None,
    /// With a user name and a password; under XOAUTH2 or OAUTHBEARER the password is used directly as the access token.
    Password(SecretSource),
    /// With access tokens that are obtained with a refresh token.
    OAuth(Box<OAuthClient>),
    /// With access tokens that are obtained with a service account's signed assertion.
    ServiceAccount(Box<ServiceAccount>),
}

/// A provider that issues tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// Google: Gmail and Workspace.
    Google,
    /// Microsoft: Outlook and Exchange Online.
    Microsoft,
}

impl Provider {
    pub(crate) const NAMES: [&str; 2] = ["google", "microsoft"];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "google" => Some(Self::Google),
            "microsoft" => Some(Self::Microsoft),
            _ => None,
        }
    }

    /// Returns `google` or `microsoft`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
        }
    }

    pub(crate) fn smtp_host(self) -> &'static str {
        match self {
            Self::Google => crate::gmail::HOST,
            Self::Microsoft => "smtp.office365.com",
        }
    }

    pub(crate) fn token_endpoint(self) -> &'static str {
        match self {
            Self::Google => "https://oauth2.googleapis.com/token",
            Self::Microsoft => "https://login.microsoftonline.com/common/oauth2/v2.0/token",
        }
    }

    pub(crate) fn authorization_endpoint(self) -> &'static str {
        match self {
            Self::Google => "https://accounts.google.com/o/oauth2/v2/auth",
            Self::Microsoft => "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
        }
    }

    /// The only scope that the provider's SMTP servers accept; Microsoft gives a refresh token only when it is asked.
    pub(crate) fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Google => &["https://mail.google.com/"],
            Self::Microsoft => &["https://outlook.office.com/SMTP.Send", "offline_access"],
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An OAuth client and what was granted to it (RFC 6749, section 6).
#[derive(Debug)]
pub struct OAuthClient {
    /// The provider that issues the tokens, when it is a known one.
    pub provider: Option<Provider>,
    /// The client's public name.
    pub client_id: String,
    /// The client's secret; public clients have none.
    pub client_secret: Option<SecretSource>,
    /// What the user granted; `None` before the first authorization.
    pub refresh_token: Option<SecretSource>,
    /// The scopes to request.
    pub scopes: Vec<String>,
    /// The endpoint that issues tokens.
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
