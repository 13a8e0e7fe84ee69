//! Signing in (RFC 4954) without I/O: what to send, what to reply, and which parts of the server's text may be
//! repeated.
//!
//! The order of calls: [`Exchange::start`]; write [`Exchange::first_line`]; pass each reply to
//! [`Exchange::handle_reply`] and write what it returns, until it returns [`Next::Done`]. Everything that the server
//! said meanwhile passes through [`Exchange::scrub`] before anybody sees it.

mod cram_md5;
mod exchange;
mod prepare;
mod refusal;
mod scram;
mod scrub;

use std::fmt;

pub use exchange::{ChallengeError, Exchange, Next, Outcome, SaslError};
pub use refusal::Refusal;
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
    /// SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: the server proves that it knows the password too.
    ScramSha256,
    /// CRAM-MD5 (RFC 2195).
    CramMd5,
    /// EXTERNAL (RFC 4422, appendix A): the client's certificate, which TLS has shown already.
    External,
}

impl Mechanism {
    /// Every mechanism.
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Login,
        Self::XOAuth2,
        Self::OAuthBearer,
        Self::ScramSha256,
        Self::CramMd5,
        Self::External,
    ];
    /// For a user name and a password, in order of preference. Over TLS the last two protect nothing more, and they ask
    /// of the server that it keeps each password in a form of their own: they are for servers that offer nothing else.
    pub(crate) const FOR_PASSWORD: [Self; 4] = [Self::Plain, Self::Login, Self::ScramSha256, Self::CramMd5];
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
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::CramMd5 => "CRAM-MD5",
            Self::External => "EXTERNAL",
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

    /// Checks whether the mechanism's secret is a password.
    pub fn takes_password(self) -> bool {
        Self::FOR_PASSWORD.contains(&self)
    }

    /// Checks whether the server gets the password itself, and can compare it with whatever it keeps.
    pub fn shows_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
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
    kind: CredentialKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CredentialKind {
    Password,
    Token,
    Certificate,
}

impl Credentials {
    /// Makes credentials for PLAIN, LOGIN, SCRAM-SHA-256 and CRAM-MD5.
    pub fn password(username: Secret, password: Secret) -> Self {
        Self {
            username,
            secret: password,
            kind: CredentialKind::Password,
        }
    }

    /// Makes credentials for XOAUTH2 and OAUTHBEARER.
    pub fn token(username: Secret, token: Secret) -> Self {
        Self {
            username,
            secret: token,
            kind: CredentialKind::Token,
        }
    }

    /// Makes credentials for EXTERNAL. `identity` is the user to act as; where it is empty, the server takes the user
    /// from the client's certificate.
    pub fn certificate(identity: Secret) -> Self {
        Self {
            username: identity,
            secret: Secret::new(String::new()),
            kind: CredentialKind::Certificate,
        }
    }

    /// Checks whether the secret is an access token.
    pub fn is_token(&self) -> bool {
        self.kind == CredentialKind::Token
    }

    /// Checks whether `mechanism` can carry these credentials.
    pub(crate) fn fit(&self, mechanism: Mechanism) -> bool {
        match self.kind {
            CredentialKind::Password => mechanism.takes_password(),
            CredentialKind::Token => mechanism.takes_token(),
            CredentialKind::Certificate => mechanism == Mechanism::External,
        }
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
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
