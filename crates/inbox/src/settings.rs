//! What the server is and whom it lets in.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// How a face of the server begins TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// Never: no STARTTLS is offered, and AUTH is offered in clear. For accounts that allow it on a loopback address.
    Plain,
    /// By STARTTLS (RFC 3207), as Gmail's port 587.
    StartTls,
    /// From the first byte (RFC 8314), as Gmail's port 465.
    Implicit,
}

/// The facts of one server, the same for all its connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in the greeting and in the reply to EHLO; `smtp.gmail.com`.
    pub host_name: String,
    /// The largest message in octets; Gmail's 35 882 577.
    pub size_limit: u64,
    /// The most recipients of one transaction; Gmail's 100. One more is answered by `452 4.5.3`.
    pub max_recipients: usize,
    /// The longest line of a command or an AUTH response in octets, line end included; 12 288 (RFC 4954 section 4.3).
    pub line_limit: usize,
    /// Whether a face with [`Security::StartTls`] refuses AUTH and MAIL before TLS, as Gmail does; `true`.
    pub require_tls: bool,
    /// Whether MAIL is refused without sign-in. `None`, the default, means: as soon as any credentials are known.
    pub require_auth: Option<bool>,
    /// What EHLO offers besides SIZE, STARTTLS and AUTH, in its order. What is not offered is not obeyed either, save that
    /// nobody is stopped from pipelining.
    pub capabilities: Vec<String>,
    /// What `AUTH` offers. Of these the server speaks `LOGIN`, `PLAIN`, `XOAUTH2` and `OAUTHBEARER`.
    pub mechanisms: Vec<String>,
    /// Whether each line of the dialogue becomes an [`Event::Line`](crate::Event::Line); `false`.
    pub record_dialogue: bool,
    /// Who may sign in. Shared: a clone of these settings, and a running server, sees later changes.
    pub credentials: Credentials,
}

impl Default for Settings {
    fn default() -> Self {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        Self {
            host_name: "smtp.gmail.com".to_owned(),
            size_limit: 35_882_577,
            max_recipients: 100,
            line_limit: 12_288,
            require_tls: true,
            require_auth: None,
            capabilities: words(&["8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"]),
            mechanisms: words(&[
                "LOGIN",
                "PLAIN",
                "XOAUTH2",
                "PLAIN-CLIENTTOKEN",
                "OAUTHBEARER",
                "XOAUTH",
            ]),
            record_dialogue: false,
            credentials: Credentials::default(),
        }
    }
}

impl Settings {
    /// The same settings without this capability: neither offered nor obeyed. `CHUNKING` taken away makes a server that knows
    /// DATA alone.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        self.capabilities.retain(|word| !word.eq_ignore_ascii_case(capability));
        self.mechanisms.retain(|word| !word.eq_ignore_ascii_case(capability));
        self
    }

    /// Whether EHLO offers this capability.
    pub fn offers(&self, capability: &str) -> bool {
        self.capabilities
            .iter()
            .any(|word| word.eq_ignore_ascii_case(capability))
    }

    pub(crate) fn requires_auth(&self) -> bool {
        self.require_auth.unwrap_or_else(|| !self.credentials.is_empty())
    }
}

type Check = dyn Fn(&str, &str) -> bool + Send + Sync;

#[derive(Default)]
struct Known {
    passwords: Vec<(String, String)>,
    tokens: Vec<(String, String)>,
    token_check: Option<Arc<Check>>,
    anybody: bool,
}

/// Who may sign in, and with what. Clones share one list, so that a test can let a token die while the server runs.
#[derive(Clone, Default)]
pub struct Credentials(Arc<RwLock<Known>>);

impl Credentials {
    /// Lets `user` in by password. An earlier password of that user no longer counts.
    pub fn set_password(&self, user: impl Into<String>, password: impl Into<String>) {
        let user = user.into();
        self.write(|known| {
            known.passwords.retain(|(name, _)| *name != user);
            known.passwords.push((user, password.into()));
        });
    }

    /// Lets `user` in by this OAuth access token, beside those already known.
    pub fn add_token(&self, user: impl Into<String>, token: impl Into<String>) {
        self.write(|known| known.tokens.push((user.into(), token.into())));
    }

    /// Forgets every access token of `user`, as when they expire.
    pub fn revoke_tokens(&self, user: &str) {
        self.write(|known| known.tokens.retain(|(name, _)| name != user));
    }

    /// Asks `check(user, token)` about access tokens that are not in the list.
    pub fn check_tokens_with(&self, check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) {
        self.write(|known| known.token_check = Some(Arc::new(check)));
    }

    /// Lets in everybody who names a user and gives any secret: for dry runs, where no secret is at hand to compare with.
    pub fn allow_anybody(&self) {
        self.write(|known| known.anybody = true);
    }

    /// Whether nobody at all can sign in.
    pub fn is_empty(&self) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.passwords.is_empty() && known.tokens.is_empty() && known.token_check.is_none() && !known.anybody
    }

    pub(crate) fn accepts_password(&self, user: &str, password: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (known.anybody && !user.is_empty() && !password.is_empty())
            || known
                .passwords
                .iter()
                .any(|(name, secret)| name == user && secret == password)
    }

    pub(crate) fn accepts_token(&self, user: &str, token: &str) -> bool {
        // The check is a stranger's code: it runs without the lock, so that it may ask or change these credentials itself.
        let check = {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let listed = known
                .tokens
                .iter()
                .any(|(name, secret)| name == user && secret == token);
            if listed || (known.anybody && !user.is_empty() && !token.is_empty()) {
                return true;
            }
            known.token_check.clone()
        };
        check.is_some_and(|check| check(user, token))
    }

    fn write(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Names and counts; never a secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let users: Vec<&str> = known
            .passwords
            .iter()
            .chain(&known.tokens)
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Credentials")
            .field("users", &users)
            .field("anybody", &known.anybody)
            .finish_non_exhaustive()
    }
}
