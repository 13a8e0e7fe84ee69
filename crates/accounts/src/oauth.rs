//! Access tokens: which values of an account they need, and how they are requested and kept.
//!
//! Nothing here opens a connection: the caller supplies an [`HttpPost`].

mod assertion;
mod authorize;
mod callback;
mod client_file;
mod explain;
mod http;
mod provider_error;
mod sealed;
mod token_request;
mod tokens;

pub use authorize::{Authorization, Flow, PATIENCE};
pub use client_file::ClientFile;
pub use http::{BoxFuture, Clock, HttpFailure, HttpPost, HttpRequest, HttpResponse, SystemClock};
pub use sealed::SealedTokens;
pub use tokens::{Granted, RefreshTokenSink, TokenId, Tokens};

pub use crate::provider::{GrantType, Provider};
pub use crate::sign_in::{OAuthClient, ServiceAccount};

/// Which way a token is asked for; what a refusal means depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    RefreshToken,
    ClientCredentials,
    ServiceAccount,
    AuthorizationCode,
}
