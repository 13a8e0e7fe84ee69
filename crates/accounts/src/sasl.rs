//! Signing in (RFC 4954) without I/O: what to send, what to reply, and which parts of the server's text may be
//! repeated.
//!
//! The order of calls: [`Exchange::start`]; write [`Exchange::first_line`]; pass each reply to
//! [`Exchange::handle_reply`] and write what it returns, until it returns [`Next::Done`]. Everything that the server
//! said meanwhile passes through [`Exchange::scrub`] before anybody sees it.

mod exchange;
mod scrub;

use std::fmt;

pub use exchange::{Exchange, Next, Outcome, SaslError};
pub use scrub::SecretPatterns;

use crate::secret::Secret;

/// A SASL mechanism that accounts sign in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN: user name and password after prompts; not standardised, but common.
    Login,
    /// XOAUTH2: Google's bearer mechanism, which Microsoft also uses.
    XOAuth2,
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Login, Self::XOAuth2, Self::OAuthBearer];
    /// For a user name and a password, in order of preference.
    pub(crate) const FOR_PASSWORD: [Self; 2] = [Self::Plain, Self::Login];
    /// For a user name and an access token, in order of preference. XOAUTH2 goes first because it is the one that
    /// every provider with tokens takes.
    pub(crate) const FOR_TOKEN: [Self; 2] = [Self::XOAuth2, Self::OAuthBearer];

    /// Returns the registered name, as it is written in the reply to EHLO.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// Returns the mechanism with this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(name))
    }

    /// Checks whether the mechanism's secret is an access token.
    pub fn takes_token(self) -> bool {
        matches!(self, Self::XOAuth2 | Self::OAuthBearer)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user name and the secret that proves it.
pub struct Credentials {
    username: Secret,
    secret: Secret,
    is_token: bool,
}

impl Credentials {
    /// Makes credentials for PLAIN and LOGIN.
    pub fn password(username: Secret, password: Secret) -> Self {
        Self {
            username,
            secret: password,
            is_token: false,
        }
    }

    /// Makes credentials for XOAUTH2 and OAUTHBEARER.
    pub fn token(username: Secret, token: Secret) -> Self {
        Self {
            username,
            secret: token,
            is_token: true,
        }
    }

    /// Checks whether the secret is an access token.
    pub fn is_token(&self) -> bool {
        self.is_token
    }

    pub(crate) fn username(&self) -> &str {
        self.username.expose()
    }

    pub(crate) fn secret(&self) -> &str {
        self.secret.expose()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("is_token", &self.is_token)
            .finish_non_exhaustive()
    }
}
