//! The requests that bring access tokens, and their answers (RFC 6749; RFC 7523 for service accounts).

use std::fmt;
use std::time::Duration;

use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::Grant;
use super::explain::explain;
use super::http::{HttpRequest, HttpResponse};
use super::provider_error::ProviderError;
use crate::document::Node;
use crate::error::{Error, ErrorKind, Place, Remedy};
use crate::provider::Provider;
use crate::sasl::SecretPatterns;
use crate::secret::Secret;

/// The life of a token of which the provider says nothing: short, so that it is never used dead.
const UNSTATED_LIFE: Duration = Duration::from_secs(300);

/// A request for a token.
pub(crate) struct TokenRequest {
    pub(crate) grant: Grant,
    pub(crate) provider: Option<Provider>,
    pub(crate) endpoint: Url,
    form: Vec<(&'static str, Zeroizing<String>)>,
}

/// What a provider gave.
pub(crate) struct TokenAnswer {
    pub(crate) access_token: Secret,
    pub(crate) life: Duration,
    /// A new refresh token takes the old one's place (RFC 6749, section 6).
    pub(crate) refresh_token: Option<Secret>,
    /// OpenID Connect's word on who signed in, when it was asked for.
    pub(crate) id_token: Option<Secret>,
}

/// Why there is no token: a sentence, and what kind of error it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) kind: ErrorKind,
    /// What helps in the program around this library.
    pub(crate) remedy: Option<Remedy>,
}

impl Refusal {
    /// Whether the same request will be refused again.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.kind, ErrorKind::Token | ErrorKind::TokenRequest)
    }

    /// The refusal as an error of an account, in these words.
    pub(crate) fn into_error(self, place: Place, message: String) -> Error {
        let error = Error::new(self.kind, place, message);
        match self.remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }
}

impl TokenRequest {
    pub(crate) fn new(grant: Grant, provider: Option<Provider>, endpoint: Url) -> Self {
        let name = match grant {
            Grant::RefreshToken => "refresh_token",
            Grant::ClientCredentials => "client_credentials",
            Grant::ServiceAccount => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Grant::AuthorizationCode => "authorization_code",
        };
        Self {
            grant,
            provider,
            endpoint,
            form: vec![("grant_type", Zeroizing::new(name.to_owned()))],
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.form.push((name, Zeroizing::new(value.to_owned())));
        self
    }

    pub(crate) fn to_http(&self) -> HttpRequest {
        // A byte takes three at most; the room is reserved so that growing leaves no copies behind.
        let room = self
            .form
            .iter()
            .map(|(name, value)| 3 * value.len() + name.len() + 2)
            .sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        for (name, value) in &self.form {
            form.append_pair(name, value);
        }
        HttpRequest {
            url: self.endpoint.clone(),
            content_type: "application/x-www-form-urlencoded",
            body: Zeroizing::new(form.finish().into_bytes()),
        }
    }

    pub(crate) fn read(&self, response: &HttpResponse) -> Result<TokenAnswer, Refusal> {
        let text = std::str::from_utf8(&response.body).unwrap_or_default();
        let Ok(Node::Object(document)) = Node::parse(text) else {
            return Err(self.not_an_answer(response.status));
        };
        let text = |name: &str| {
            document.iter().find_map(|(key, value)| match value {
                Node::Text(text) if key == name => Some(text.clone()),
                _ => None,
            })
        };
        if let Some(error) = ProviderError::of_document(&document, |text| self.scrubbed(text)) {
            return Err(self.refusal(response.status, &error));
        }
        let is_token =
            |token: &Zeroizing<String>| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let Some(access_token) = text("access_token").filter(is_token) else {
            return Err(self.not_an_answer(response.status));
        };
        if !(200..300).contains(&response.status) {
            return Err(self.not_an_answer(response.status));
        }
        let life = document
            .iter()
            .find(|(key, _)| key == "expires_in")
            .and_then(|(_, value)| match value {
                Node::Number(number) => number.as_f64().filter(|life| *life >= 0.0).map(|life| life as u64),
                Node::Text(text) => text.parse().ok(),
                _ => None,
            });
        Ok(TokenAnswer {
            access_token: Secret::from(access_token),
            // No token lives for a year; the bound keeps sums of times in range.
            life: life.map_or(UNSTATED_LIFE, |seconds| Duration::from_secs(seconds.min(365 * 86_400))),
            refresh_token: text("refresh_token").filter(is_token).map(Secret::from),
            id_token: text("id_token").map(Secret::from),
        })
    }

    fn refusal(&self, status: u16, error: &ProviderError) -> Refusal {
        let explained = explain(self.grant, self.provider, error, is_transient(status));
        Refusal {
            message: explained.message,
            kind: explained.kind,
            remedy: explained.remedy,
        }
    }

    /// Returns what is sent that nobody else may see. The grant's name is not a secret, and the client's id is public.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &str| !matches!(name, "grant_type" | "client_id" | "scope");
        self.form
            .iter()
            .filter(move |(name, _)| is_secret(name))
            .map(|(_, value)| value.as_str())
    }

    /// A provider's own words, without what it was sent.
    fn scrubbed(&self, text: &str) -> String {
        let patterns = SecretPatterns::new();
        self.secrets().for_each(|secret| patterns.insert(secret.as_bytes()));
        String::from_utf8_lossy(&patterns.scrub(text.as_bytes())).into_owned()
    }

    fn not_an_answer(&self, status: u16) -> Refusal {
        let endpoint = shown(&self.endpoint);
        Refusal {
            message: format!(
                "{endpoint} answered HTTP {status} and no token; correct \"token_endpoint\", or try again later"
            ),
            kind: kind_of(is_transient(status)),
            remedy: None,
        }
    }
}

/// An endpoint as it may be shown: its query may hold anything.
pub(crate) fn shown(endpoint: &Url) -> String {
    let mut endpoint = endpoint.clone();
    endpoint.set_query(None);
    endpoint.to_string()
}

fn kind_of(is_transient: bool) -> ErrorKind {
    if is_transient {
        ErrorKind::TokenUnavailable
    } else {
        ErrorKind::Token
    }
}

fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("grant", &self.grant)
            .field("endpoint", &shown(&self.endpoint))
            .finish_non_exhaustive()
    }
}
