//! Signing a person in: the authorization code flow with PKCE and a loopback redirect (RFC 6749, section 4.1; RFC 7636;
//! RFC 8252, section 7.3).
//!
//! The order of calls: [`Flow::begin`]; show or open [`Flow::url`]; [`Flow::run`], which waits for the browser, or
//! [`Flow::run_with`] with the address at which a browser on another machine ended; keep the refresh token. A caller that
//! listens itself begins with [`Flow::begin_at`].

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use url::Url;

use super::Grant;
use super::callback::{Listener, Verdict};
use super::explain::{Explanation, explain};
use super::http::HttpPost;
use super::provider_error::ProviderError;
use super::token_request::TokenRequest;
use super::tokens::ask;
use crate::account::Account;
use crate::document::Node;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place, Remedy};
use crate::provider::{GrantType, Provider};
use crate::secret::Secret;
use crate::sign_in::{OAuthClient, SignIn};

/// The time for which the listener waits for the browser.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// One sign-in of one person, from the address to open to the refresh token.
pub struct Flow<'a> {
    client: &'a OAuthClient,
    account: &'a Account,
    environment: &'a Environment,
    place: Place,
    /// None where the caller listens.
    listener: Option<Listener>,
    redirect: Url,
    url: Url,
    state: CsrfToken,
    verifier: PkceCodeVerifier,
}

/// What the person granted.
#[derive(Debug)]
pub struct Authorization {
    /// The value for the account's `refresh_token`.
    pub refresh_token: Secret,
    /// The address that signed in, when the provider named it; it is then the account's `username`.
    pub address: Option<String>,
}

impl<'a> Flow<'a> {
    /// Listens on a loopback port (the given one, or any free one), and makes the address to open.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Invalid`] for an account of another type or without an authorization endpoint, and
    /// [`ErrorKind::File`] when the port is not available.
    pub async fn begin(account: &'a Account, port: Option<u16>) -> Result<Self, Error> {
        let place = &account.place;
        let (client, endpoint) = client_of(account)?;
        let listener = Listener::bind(port).await.map_err(|error| {
            let which = port.map_or("a loopback port".to_owned(), |port| format!("port {port}"));
            let message = format!("{which} cannot be listened on ({error}); choose another");
            Error::new(ErrorKind::File, place.clone(), message).with_remedy(Remedy::ChoosePort)
        })?;
        // Microsoft ignores the port of a registered redirect for this name alone, Google for the address.
        let host = if client.provider == Some(Provider::Microsoft) {
            "localhost"
        } else {
            "127.0.0.1"
        };
        let redirect = Url::parse(&format!("http://{host}:{}/", listener.port())).map_err(|_| {
            let message = "the redirect address cannot be made; correct \"authorization_endpoint\"";
            Error::new(ErrorKind::Invalid, place.clone(), message)
        })?;
        Ok(Self::begun(account, client, endpoint, redirect, Some(listener)))
    }

    /// Makes the address to open, for a caller that listens itself: the provider sends the person back to `redirect`. Then
    /// comes [`Flow::run_with`].
    ///
    /// # Errors
    /// Returns [`ErrorKind::Invalid`] for an account of another type or without an authorization endpoint, and for a
    /// `redirect` that is neither `https` nor a loopback address (RFC 8252, section 7.3).
    pub fn begin_at(account: &'a Account, redirect: &str) -> Result<Self, Error> {
        let (client, endpoint) = client_of(account)?;
        let is_usable = |url: &Url| match url.host() {
            Some(url::Host::Ipv4(address)) if address.is_loopback() => true,
            Some(url::Host::Ipv6(address)) if address.is_loopback() => true,
            Some(url::Host::Domain("localhost")) => true,
            Some(_) => url.scheme() == "https",
            None => false,
        };
        let parsed = Url::parse(redirect).ok();
        let redirect = parsed
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none() && is_usable(url))
            .ok_or_else(|| {
                let message =
                    "the redirect address is neither https nor a loopback address, or has a fragment; name another";
                Error::new(ErrorKind::Invalid, account.place.clone(), message)
            })?;
        Ok(Self::begun(account, client, endpoint, redirect, None))
    }

    fn begun(
        account: &'a Account,
        client: &'a OAuthClient,
        endpoint: Url,
        redirect: Url,
        listener: Option<Listener>,
    ) -> Self {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let oauth = BasicClient::new(ClientId::new(client.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(endpoint))
            .set_redirect_uri(RedirectUrl::from_url(redirect.clone()));
        let mut request = oauth
            .authorize_url(CsrfToken::new_random)
            .add_scopes(client.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if client.provider.is_some() {
            // Who signed in comes back in the ID token.
            request = request.add_scopes(["openid", "email"].map(|scope| Scope::new(scope.to_owned())));
        }
        if client.provider == Some(Provider::Google) {
            // Without the prompt, a second sign-in brings no refresh token.
            request = request
                .add_extra_param("access_type", "offline")
                .add_extra_param("prompt", "consent");
        }
        let username = account.username();
        if let Some(username) = username {
            request = request.add_extra_param("login_hint", username);
        }
        let (url, state) = request.url();
        Self {
            client,
            account,
            environment: &account.environment,
            place: account.place.clone(),
            listener,
            redirect,
            url,
            state,
            verifier,
        }
    }

    /// Returns the address to open in a browser.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the host, and an unusual port, of the page where the person signs in.
    pub fn sign_in_host(&self) -> &str {
        host(&self.url)
    }

    /// Returns the host, and an unusual port, of the token endpoint. It gets the code, the PKCE verifier and the client's
    /// secret once the person has signed in: show it before you open [`Flow::url`].
    pub fn token_host(&self) -> &str {
        host(&self.client.token_endpoint)
    }

    /// Checks whether the client has a secret, which then goes to [`Flow::token_host`].
    pub fn has_client_secret(&self) -> bool {
        self.client.client_secret.is_some()
    }

    /// Returns the provider whose endpoints these are, when it is a known one.
    pub fn provider(&self) -> Option<Provider> {
        self.client.provider
    }

    /// Returns the redirect address, which must be registered for clients that are Web applications.
    pub fn redirect(&self) -> &Url {
        &self.redirect
    }

    /// Waits for the browser, at most [`PATIENCE`], and fetches the refresh token. The browser then shows the result.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Token`] when the person, the organisation or the provider refuses, when the time is over,
    /// or when another address than the account's signed in.
    pub async fn run(self, http: &dyn HttpPost) -> Result<Authorization, Error> {
        let judge = |query: &Url| self.judge(query);
        let Some(listener) = &self.listener else {
            return Err(self.error("the caller itself waits for the browser, and has to bring the address".to_owned()));
        };
        let waited = tokio::time::timeout(PATIENCE, listener.wait(&self.redirect, judge)).await;
        let Ok((answer, browser)) = waited else {
            let message = format!(
                "nobody signed in within {} minutes; begin once more",
                PATIENCE.as_secs() / 60
            );
            return Err(self.error(message).with_remedy(Remedy::Authorize));
        };
        let result = match answer {
            Ok(code) => self.exchange(&code, http).await,
            Err(refused) => Err(self.refused(refused)),
        };
        browser
            .finish(result.as_ref().map(|_| ()).map_err(|error| error.message()))
            .await;
        result
    }

    /// Finishes the sign-in with the whole address at which a browser on another machine ended, instead of waiting.
    ///
    /// # Errors
    /// Returns the same errors as [`Flow::run`]; also an error for an address that does not belong to this sign-in.
    pub async fn run_with(self, address: &str, http: &dyn HttpPost) -> Result<Authorization, Error> {
        let foreign = || {
            self.error(
                "this is not the address at which this sign-in ended; copy it whole from the browser's address bar"
                    .to_owned(),
            )
        };
        let address = Url::parse(address.trim()).map_err(|_| foreign())?;
        match self.judge(&address) {
            Verdict::Code(code) => self.exchange(&code, http).await,
            Verdict::Refused(refused) => Err(self.refused(refused)),
            Verdict::Foreign => Err(foreign()),
        }
    }

    /// Whether an address is this sign-in's end, and which.
    fn judge(&self, address: &Url) -> Verdict {
        let values = |name: &str| {
            let named = address.query_pairs().filter(|(key, _)| key == name);
            named.map(|(_, value)| value.into_owned()).collect::<Vec<_>>()
        };
        let is_here = address.path() == self.redirect.path() && address.port() == self.redirect.port();
        // No parameter may be there twice (RFC 6749, section 3.1): which of two is meant nobody can say.
        let known = [
            "state",
            "code",
            "iss",
            "error",
            "error_subtype",
            "suberror",
            "error_description",
        ];
        let [state, code, issuer, error, google, microsoft, description] = known.map(values);
        if [&state, &code, &issuer, &error].iter().any(|values| values.len() > 1) {
            return Verdict::Foreign;
        }
        let first = |values: Vec<String>| values.into_iter().next();
        let is_ours = first(state).is_some_and(|state| is_same(state.as_bytes(), self.state.secret().as_bytes()));
        if !is_ours || !is_here {
            return Verdict::Foreign;
        }
        if let Err(refused) = self.check_issuer(first(issuer).as_deref()) {
            return Verdict::Refused(refused);
        }
        if let Some(code) = first(error) {
            let subtype = first(google).or_else(|| first(microsoft));
            let error = ProviderError::of_address(&code, subtype.as_deref(), first(description).as_deref());
            return Verdict::Refused(explain(Grant::AuthorizationCode, self.client.provider, &error, false));
        }
        match first(code).filter(|code| !code.is_empty()) {
            Some(code) => Verdict::Code(Secret::new(code)),
            None => Verdict::Foreign,
        }
    }

    /// The answer has to come from the provider whose token endpoint gets the code (RFC 9207, section 2.4). A known
    /// provider's issuer is known; a custom one's is what the account states, else it has to be where both endpoints are.
    fn check_issuer(&self, issuer: Option<&str>) -> Result<(), Explanation> {
        let client = self.client;
        let refuse = |message: String| Explanation {
            message,
            kind: ErrorKind::Token,
            remedy: None,
        };
        let Some(issuer) = issuer else {
            return match &client.issuer {
                Some(expected) => Err(refuse(format!(
                    "the answer of the browser names no issuer, and the account expects {expected}; nothing was sent to the token endpoint; correct \"issuer\", or leave it out if the provider names none"
                ))),
                None => Ok(()),
            };
        };
        let (is_right, expected) = match (client.provider, &client.issuer) {
            (Some(provider), _) => (
                provider.is_issuer(issuer, client.tenant.as_deref()),
                format!("{provider}'s"),
            ),
            (None, Some(expected)) => (issuer == expected, expected.clone()),
            (None, None) => {
                let origin = Url::parse(issuer).ok().map(|issuer| issuer.origin());
                let endpoints = [Some(&client.token_endpoint), client.authorization_endpoint.as_ref()];
                let is_right = endpoints
                    .into_iter()
                    .flatten()
                    .all(|endpoint| Some(endpoint.origin()) == origin);
                (is_right, format!("that of {}", host(&client.token_endpoint)))
            }
        };
        if is_right {
            return Ok(());
        }
        let issuer: String = issuer.chars().filter(|c| !c.is_control()).take(100).collect();
        let cure = if client.provider.is_some() {
            "sign in once more, from the address that is shown"
        } else {
            "if both belong to one provider, write its issuer into \"issuer\""
        };
        Err(refuse(format!(
            "the answer of the browser is from the issuer {issuer}, and not {expected}; nothing was sent to the token endpoint; {cure}"
        )))
    }

    async fn exchange(&self, code: &Secret, http: &dyn HttpPost) -> Result<Authorization, Error> {
        let endpoint = self.client.token_endpoint.clone();
        let mut request = TokenRequest::new(Grant::AuthorizationCode, self.client.provider, endpoint)
            .with("code", code.expose())
            .with("redirect_uri", self.redirect.as_str())
            .with("client_id", &self.client.client_id)
            .with("code_verifier", self.verifier.secret());
        if let Some(secret) = &self.client.client_secret {
            request = request.with("client_secret", secret.resolve(self.environment)?.expose());
        }
        let answer = ask(http, &request).await.map_err(|mut refusal| {
            let message = std::mem::take(&mut refusal.message);
            refusal.into_error(self.place.clone(), message)
        })?;
        let address = answer.id_token.as_ref().and_then(|token| signed_in(token.expose()));
        if let Some(address) = &address {
            self.check_address(address)?;
        }
        let refresh_token = answer.refresh_token.ok_or_else(|| {
            self.error("the provider gave no refresh token; withdraw the app's access in the security settings of the person's account, then sign in once more".to_owned())
        })?;
        Ok(Authorization { refresh_token, address })
    }

    /// Whoever signed in has to be whom the account is for.
    fn check_address(&self, address: &str) -> Result<(), Error> {
        if !self.account.has_username() {
            return Ok(());
        }
        let username = self.account.resolve_username()?;
        if address.eq_ignore_ascii_case(username.expose()) {
            return Ok(());
        }
        Err(self.error(match self.account.username() {
            Some(username) => format!(
                "{address} signed in, and the account's username is {username}; sign in as {username}, or correct the username"
            ),
            None => format!(
                "{address} signed in, and the account's username, which is not shown, is another; sign in as that, or correct the username"
            ),
        }))
    }

    fn refused(&self, refused: Explanation) -> Error {
        let error = Error::new(refused.kind, self.place.clone(), refused.message);
        match refused.remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }

    fn error(&self, message: String) -> Error {
        Error::new(ErrorKind::Token, self.place.clone(), message)
    }
}

impl fmt::Debug for Flow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("redirect", &self.redirect.as_str())
            .finish_non_exhaustive()
    }
}

/// The OAuth client of an account, and where a person signs in with it.
fn client_of(account: &Account) -> Result<(&OAuthClient, Url), Error> {
    let fail = |message: String| Error::new(ErrorKind::Invalid, account.place.clone(), message);
    let SignIn::OAuth(client) = account.sign_in() else {
        return Err(fail(format!(
            "nobody signs in to an account of the type {}; only oauth-2 accounts are authorized",
            account.kind()
        )));
    };
    if client.grant == GrantType::ClientCredentials {
        let message = "the application signs in as itself (\"grant\": \"client_credentials\"), so nobody has to sign in to this account";
        return Err(fail(message.to_owned()));
    }
    let endpoint = client
        .authorization_endpoint
        .clone()
        .ok_or_else(|| fail("it is not known where to sign in; write \"authorization_endpoint\"".to_owned()))?;
    Ok((client, endpoint))
}

/// The address in an ID token. It came over TLS from the token endpoint itself, which is what vouches for it (OpenID
/// Connect Core, section 3.1.3.7, item 6); nothing but a comparison hangs on it.
fn signed_in(id_token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(id_token.split('.').nth(1)?).ok()?;
    let Ok(Node::Object(claims)) = Node::parse(std::str::from_utf8(&claims).ok()?) else {
        return None;
    };
    let claim = |name: &str| {
        claims.iter().find_map(|(key, value)| match value {
            Node::Text(text) if key == name && text.contains('@') => Some(text.to_string()),
            _ => None,
        })
    };
    claim("email")
        .or_else(|| claim("preferred_username"))
        .filter(|address| !address.chars().any(char::is_control))
}

/// An address's host, with the port where it is not the usual one.
fn host(address: &Url) -> &str {
    &address[url::Position::BeforeHost..url::Position::AfterPort]
}

/// Compares without telling by time how far two texts agree.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
