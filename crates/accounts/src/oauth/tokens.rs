//! Access tokens: obtained, kept while they are valid, renewed before they expire, one renewal at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::http::{BoxFuture, Clock, HttpPost, SystemClock};
use super::token_request::{Refusal, TokenAnswer, TokenRequest};
use super::{Grant, assertion};
use crate::account::{Account, Revision};
use crate::error::{Error, ErrorKind, Remedy};
use crate::provider::{GrantType, Provider};
use crate::sasl::{Credentials, SecretPatterns};
use crate::secret::Secret;
use crate::sign_in::{OAuthClient, SignIn};

/// A token is renewed when this much of its life is left, or a quarter of a short life.
const MARGIN: Duration = Duration::from_secs(300);

/// A place that keeps the refresh tokens with which a provider replaces old ones. Several processes may share it.
pub trait RefreshTokenSink: Send + Sync {
    /// Keeps the new refresh token of an account; the old ones may be invalid from now on. `written` is the token that the
    /// account's document has, or its reference points to. Implementations report their own failures: sign-ins
    /// continue anyway, with the new token in memory.
    fn keep<'s>(&'s self, account: &'s Account, written: &'s Secret, new: &'s Secret) -> BoxFuture<'s, ()>;

    /// Returns the token that took the place of the written one in an earlier process, or in another one, where it is kept
    /// outside of the account's document.
    fn kept<'s>(&'s self, account: &'s Account, written: &'s Secret) -> BoxFuture<'s, Option<Secret>>;
}

/// The tokens of all accounts of a process. Share one among all runs.
///
/// The order of calls: [`Tokens::sign_in`] before each sign-in. When the server refuses a token, call
/// [`Tokens::refused`] with its [`TokenId`], and [`Tokens::sign_in`] once more, which then returns another token. Close
/// a connection when its token's [`Granted::expires`] has passed.
pub struct Tokens {
    http: Arc<dyn HttpPost>,
    clock: Arc<dyn Clock>,
    sink: Option<Arc<dyn RefreshTokenSink>>,
    slots: Mutex<HashMap<Revision, Arc<Slot>>>,
    secrets: Arc<SecretPatterns>,
}

/// The credentials to sign in with, and the token they come from.
#[derive(Debug)]
pub struct Granted {
    /// The credentials for the SASL exchange.
    pub credentials: Credentials,
    /// When the token expires; `None` for a password.
    pub expires: Option<SystemTime>,
    /// The id of the token; `None` for a password.
    pub token: Option<TokenId>,
}

/// The id of one token of one account: a number that is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(u64);

/// One account's token, and the right to renew it.
#[derive(Default)]
struct Slot {
    /// Renewals begun and ended. A caller that waited for a renewal that failed takes its result and does not try
    /// again.
    ended: AtomicU64,
    state: tokio::sync::Mutex<State>,
    /// The token that a server refused; compared before the lock, so that `refused` need not wait for a renewal.
    refused: AtomicU64,
    /// What helps with the last renewal, where it failed. Read by those who do not wait for a renewal.
    remedy: Mutex<Option<Remedy>>,
}

#[derive(Default)]
struct State {
    current: Option<Token>,
    /// The refresh token of the account's document, once it was read: its source may give it only once.
    written: Option<Secret>,
    /// What took its place.
    rotated: Option<Secret>,
    failure: Option<Error>,
}

struct Token {
    id: u64,
    secret: Secret,
    renew_at: SystemTime,
    expires: SystemTime,
}

impl Tokens {
    /// Makes an empty set of tokens, with the machine's clock.
    pub fn new(http: Arc<dyn HttpPost>) -> Self {
        Self {
            http,
            clock: Arc::new(SystemClock),
            sink: None,
            slots: Mutex::default(),
            secrets: Arc::default(),
        }
    }

    /// Returns every secret that was used until now: passwords, access tokens and what was exchanged for them,
    /// including those that were replaced. Each secret is added before [`Tokens`] returns it or sends it.
    pub fn secrets(&self) -> &Arc<SecretPatterns> {
        &self.secrets
    }

    /// Uses another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Passes new refresh tokens to this sink.
    #[must_use]
    pub fn with_sink(mut self, sink: Arc<dyn RefreshTokenSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Adds to [`Tokens::secrets`] what an account will sign in with, as far as it is written in its document or in the
    /// environment, and the values of references that documents and connectors must not see: a server may know them from an
    /// earlier process. What is read from files, keyrings and providers is
    /// added when it is first used.
    pub fn expect(&self, account: &Account) {
        let sources = match account.sign_in() {
            SignIn::Password(source) => vec![source],
            SignIn::OAuth(client) => client.client_secret.iter().chain(&client.refresh_token).collect(),
            SignIn::None | SignIn::Certificate | SignIn::ServiceAccount(_) => Vec::new(),
        };
        for secret in sources
            .into_iter()
            .filter_map(|source| source.at_hand(&account.environment))
        {
            self.secrets.insert(secret.expose().as_bytes());
        }
        for (_, value) in &account.masked.0 {
            self.secrets.insert(value.expose().as_bytes());
        }
    }

    /// Adds to [`Tokens::secrets`] the secrets that were resolved for a later sign-in.
    pub fn expect_credentials(&self, credentials: &Credentials) {
        self.secrets.insert(credentials.secret().as_bytes());
    }

    /// Returns what `account` signs in with at `host`: its password, or a valid token. Returns `None` when it does not
    /// sign in.
    ///
    /// # Errors
    /// Returns the same errors as [`Account::credentials`]; [`ErrorKind::Token`] when the provider refuses;
    /// [`ErrorKind::TokenRequest`] when the account's client does not fit; [`ErrorKind::TokenUnavailable`] when the
    /// provider cannot be asked now; [`ErrorKind::EgressDenied`] when it may not be
    /// asked from here.
    pub async fn sign_in(&self, account: &Account, host: &str) -> Result<Option<Granted>, Error> {
        match account.sign_in() {
            SignIn::None | SignIn::Certificate => return Ok(None),
            SignIn::Password(_) => {
                let credentials = account.credentials(host)?;
                if let Some(credentials) = &credentials {
                    self.secrets.insert(credentials.secret().as_bytes());
                }
                return Ok(credentials.map(|credentials| Granted {
                    credentials,
                    expires: None,
                    token: None,
                }));
            }
            SignIn::OAuth(_) | SignIn::ServiceAccount(_) => {}
        }
        let slot = self.slot(account.revision());
        let ended = slot.ended.load(Ordering::SeqCst);
        let mut state = slot.state.lock().await;
        let now = self.clock.now();
        let refused = slot.refused.load(Ordering::SeqCst);
        let is_good = |token: &Token| token.id != refused && now < token.renew_at;
        if !state.current.as_ref().is_some_and(is_good) {
            if slot.ended.load(Ordering::SeqCst) != ended
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
            let renewed = self.renew(account, &mut state, now).await;
            let renewed = renewed.map_err(|error| of_a_file(account, error));
            slot.ended.fetch_add(1, Ordering::SeqCst);
            state.failure = renewed.as_ref().err().cloned();
            *slot.remedy.lock().unwrap_or_else(PoisonError::into_inner) =
                state.failure.as_ref().and_then(Error::remedy);
            if let Err(error) = renewed {
                let still_lives = |token: &Token| token.id != refused && now < token.expires;
                let may_go_on = error.kind() == ErrorKind::TokenUnavailable;
                if !(may_go_on && state.current.as_ref().is_some_and(still_lives)) {
                    return Err(error);
                }
            }
        }
        state.current.as_ref().map(|token| token.grant(account)).transpose()
    }

    /// Returns what helps with the account's last renewal in the program around this library, where that failed and
    /// something does.
    pub fn remedy(&self, account: &Account) -> Option<Remedy> {
        let slot = self.slot(account.revision());
        *slot.remedy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the use of a token that a server refused. A newer token stays.
    pub fn refused(&self, account: &Account, token: TokenId) {
        self.slot(account.revision()).refused.store(token.0, Ordering::SeqCst);
    }

    fn slot(&self, revision: Revision) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(revision).or_default().clone()
    }

    /// A provider may say what another one was told.
    fn without_secrets(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.secrets.scrub(text.as_bytes())).into_owned()
    }

    async fn renew(&self, account: &Account, state: &mut State, now: SystemTime) -> Result<(), Error> {
        let answer = match account.sign_in() {
            SignIn::OAuth(client) if client.grant == GrantType::RefreshToken => {
                self.refresh(account, client, state).await
            }
            SignIn::OAuth(client) => {
                let request = client_request(account, client, Grant::ClientCredentials, None)?;
                self.ask(&request).await
            }
            SignIn::ServiceAccount(service) => self.ask(&assertion::request(service, &account.environment, now)?).await,
            SignIn::None | SignIn::Certificate | SignIn::Password(_) => return Ok(()),
        };
        let answer = answer.map_err(|refusal| match refusal {
            Refused::Unread(error) => error,
            Refused::Told(refusal) => {
                let message = format!(
                    "no access token could be had: {}",
                    self.without_secrets(&refusal.message)
                );
                refusal.into_error(account.place.clone(), message)
            }
        })?;
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let margin = MARGIN.min(answer.life / 4);
        state.current = Some(Token {
            id: SERIAL.fetch_add(1, Ordering::SeqCst),
            secret: answer.access_token,
            renew_at: now + (answer.life - margin),
            expires: now + answer.life,
        });
        if let (Some(new), Some(written)) = (answer.refresh_token, &state.written) {
            // In memory first: whoever waits for this may go away while it is kept.
            let new = state.rotated.insert(new);
            if let Some(sink) = &self.sink {
                sink.keep(account, written, new).await;
            }
        }
        Ok(())
    }

    /// Asks with the newest refresh token that is known. When the provider refuses one that took another's place, the
    /// account's own is read again and tried once: somebody may have put a newer one there.
    async fn refresh(
        &self,
        account: &Account,
        client: &OAuthClient,
        state: &mut State,
    ) -> Result<TokenAnswer, Refused> {
        let grant = Grant::RefreshToken;
        if state.written.is_none() {
            state.written = Some(written(account, client)?);
        }
        // Each time: another process may have been given a newer one.
        self.read_kept(account, state).await;
        while let Some(rotated) = &state.rotated {
            let request = client_request(account, client, grant, Some(rotated))?;
            match self.ask(&request).await {
                Err(Refused::Told(refusal)) if refusal.is_final() => {}
                ended => return ended,
            }
            let refused = state.rotated.take();
            // Meanwhile another process may have been given a newer one.
            self.read_kept(account, state).await;
            let is_same = |kept: &Secret| {
                refused
                    .as_ref()
                    .is_some_and(|refused| refused.expose() == kept.expose())
            };
            if state.rotated.as_ref().is_some_and(is_same) {
                state.rotated = None;
            }
            if state.rotated.is_none() {
                state.written = Some(written(account, client)?);
            }
        }
        let request = client_request(account, client, grant, state.written.as_ref())?;
        let ended = self.ask(&request).await;
        if matches!(&ended, Err(Refused::Told(refusal)) if refusal.is_final()) {
            // The source may hold a newer one by the next time.
            state.written = None;
        }
        ended
    }

    /// Takes the newest token that is kept in place of the account's own.
    async fn read_kept(&self, account: &Account, state: &mut State) {
        if let (Some(sink), Some(written)) = (&self.sink, &state.written)
            && let Some(kept) = sink.kept(account, written).await
        {
            state.rotated = Some(kept);
        }
    }

    /// Asks once. What is sent and what comes is known as secret.
    async fn ask(&self, request: &TokenRequest) -> Result<TokenAnswer, Refused> {
        request
            .secrets()
            .for_each(|secret| self.secrets.insert(secret.as_bytes()));
        let answer = ask(self.http.as_ref(), request).await.map_err(Refused::Told)?;
        self.secrets.insert(answer.access_token.expose().as_bytes());
        if let Some(new) = &answer.refresh_token {
            self.secrets.insert(new.expose().as_bytes());
        }
        Ok(answer)
    }
}

/// Why there is no token.
enum Refused {
    /// Something of the account cannot be read.
    Unread(Error),
    /// The provider said so, or did not answer.
    Told(Refusal),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Unread(error)
    }
}

impl Token {
    fn grant(&self, account: &Account) -> Result<Granted, Error> {
        let token = Secret::from(Zeroizing::new(self.secret.expose().to_owned()));
        Ok(Granted {
            credentials: account.credentials_with_token(token)?,
            expires: Some(self.expires),
            token: Some(TokenId(self.id)),
        })
    }
}

/// A person can sign in only to an account of the store, where what they grant is kept.
fn of_a_file(account: &Account, error: Error) -> Error {
    match error.remedy() {
        Some(Remedy::Authorize) if !account.is_stored() && account.origin().is_some() => {
            error.with_remedy(Remedy::StoreThenAuthorize)
        }
        _ => error,
    }
}

/// Asks for a token, once.
pub(crate) async fn ask(http: &dyn HttpPost, request: &TokenRequest) -> Result<TokenAnswer, Refusal> {
    match http.post(request.to_http()).await {
        Ok(response) => request.read(&response),
        Err(failure) => {
            let endpoint = super::token_request::shown(&request.endpoint);
            let (kind, message) = if failure.is_denied() {
                (
                    ErrorKind::EgressDenied,
                    format!("{endpoint} may not be asked: {failure}"),
                )
            } else {
                let message = format!("{endpoint} did not answer ({failure}); check the network, or try again later");
                (ErrorKind::TokenUnavailable, message)
            };
            Err(Refusal {
                message,
                kind,
                remedy: None,
            })
        }
    }
}

/// The refresh token that the account's document has, or its reference points to.
fn written(account: &Account, client: &OAuthClient) -> Result<Secret, Error> {
    match &client.refresh_token {
        Some(source) => source.resolve(&account.environment),
        None => {
            let place = account.place.with_field("refresh_token");
            let message = "nobody has signed in to this account yet";
            Err(Error::new(ErrorKind::Token, place, message).with_remedy(Remedy::Authorize))
        }
    }
}

fn client_request(
    account: &Account,
    client: &OAuthClient,
    grant: Grant,
    refresh_token: Option<&Secret>,
) -> Result<TokenRequest, Error> {
    let mut request = TokenRequest::new(grant, client.provider, client.token_endpoint.clone());
    if let Some(token) = refresh_token {
        request = request.with("refresh_token", token.expose());
    }
    request = request.with("client_id", &client.client_id);
    if let Some(secret) = &client.client_secret {
        request = request.with("client_secret", secret.resolve(&account.environment)?.expose());
    }
    let names_scopes = grant == Grant::ClientCredentials || client.provider.is_none_or(Provider::refreshes_with_scopes);
    if names_scopes && !client.scopes.is_empty() {
        request = request.with("scope", &client.scopes.join(" "));
    }
    Ok(request)
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}
