//! Keeps the refresh tokens with which a provider replaces old ones.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pipepost_accounts::oauth::{BoxFuture, RefreshTokenSink, SealedTokens};
use pipepost_accounts::store::{Change, Store};
use pipepost_accounts::{Account, Secret};
use pipepost_state::grants::GrantStore;
use serde_json::Value;

/// How long to wait before a token is kept that could not be: the state could not be reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A sink that keeps a token where its account is: in the encrypted store, and for an account of a file, which is not
/// written here, encrypted in a directory. It warns of each token that is not in the account itself. Where several machines
/// share a state, each has a copy of both, and the tokens of all accounts are in the state, encrypted in the same way.
#[derive(Debug, Default)]
pub struct TokenSink {
    store: Option<Store>,
    sealed: Option<SealedTokens>,
    granted: Option<Granted>,
}

/// Tokens in a state that several machines share.
#[derive(Debug, Clone)]
struct Granted {
    grants: Arc<dyn GrantStore>,
    /// The revisions that were seen last, by name.
    seen: Arc<Mutex<HashMap<String, i64>>>,
}

impl TokenSink {
    /// Makes a sink that keeps nothing, and warns of every token that is lost with the process.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the tokens of the accounts of this store in it.
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Keeps the tokens of other accounts in this directory, encrypted with what the account has: without the account's
    /// own refresh token they are worth nothing.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.sealed = Some(SealedTokens::new(directory));
        self
    }

    /// Keeps the tokens of all accounts in this state, which several machines share.
    #[must_use]
    pub fn with_grants(mut self, grants: Arc<dyn GrantStore>) -> Self {
        self.granted = Some(Granted {
            grants,
            seen: Arc::default(),
        });
        self
    }

    fn keep_in_store(&self, account: &Account, new: &Secret) {
        let label = account.label();
        let Some(store) = &self.store else {
            tracing::warn!(
                account = label,
                "the provider gave a new refresh token, and the store is not open to keep it: it is lost when this process ends"
            );
            return;
        };
        let field = field_of(store, account);
        match store.edit(label, &[Change::set_literal(field, new)]) {
            Ok(()) => tracing::info!(
                account = label,
                "the provider gave a new refresh token; the store has it"
            ),
            Err(errors) => tracing::warn!(
                account = label,
                %errors,
                "the provider gave a new refresh token, and the store could not keep it: it is lost when this process ends"
            ),
        }
    }

    fn keep_sealed(&self, account: &Account, written: &Secret, new: &Secret) {
        let label = account.label();
        let file = account
            .origin()
            .map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
        let kept = match &self.sealed {
            Some(sealed) => sealed.keep(written, new).map(|()| sealed.directory().display()),
            None => Err("no directory for it is named".to_owned()),
        };
        match kept {
            Ok(directory) => tracing::warn!(
                account = label,
                file,
                "the provider gave a new refresh token in place of the one in the account's file, which is not written here and may have the dead one now; the new one is kept in {directory}, encrypted with the one in the file, and is used as long as the file keeps that one; move the account into the store, which keeps new ones"
            ),
            Err(reason) => tracing::warn!(
                account = label,
                file,
                reason,
                "the provider gave a new refresh token in place of the one in the account's file, which is not written here, and it cannot be kept: it is lost when this process ends, and the one in the file may be dead; move the account into the store, which keeps new ones"
            ),
        }
    }
}

impl Granted {
    async fn keep(&self, label: &str, written: &Secret, new: &Secret) {
        let (name, sealed) = match SealedTokens::seal(written, new) {
            Ok(sealed) => sealed,
            Err(reason) => {
                tracing::warn!(
                    account = label,
                    reason,
                    "the provider gave a new refresh token, which the state cannot keep: it is lost when this process ends"
                );
                return;
            }
        };
        let Err(error) = self.replace(label, &name, sealed.clone()).await else {
            return;
        };
        tracing::warn!(
            account = label,
            %error,
            "the provider gave a new refresh token, and the state could not keep it yet: it is tried again"
        );
        let (granted, label) = (self.clone(), label.to_owned());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RETRY_INTERVAL).await;
                if granted.replace(&label, &name, sealed.clone()).await.is_ok() {
                    return;
                }
            }
        });
    }

    async fn replace(&self, label: &str, name: &str, sealed: Vec<u8>) -> Result<(), pipepost_state::StateError> {
        let seen = self.seen().get(name).copied().unwrap_or_default();
        if self.grants.replace(name, seen, sealed).await? {
            self.seen().insert(name.to_owned(), seen + 1);
            tracing::info!(
                account = label,
                "the provider gave a new refresh token; the state has it, encrypted with the account's own"
            );
        } else {
            tracing::info!(
                account = label,
                "another machine was given a new refresh token at the same time; the state has that one"
            );
        }
        Ok(())
    }

    async fn kept(&self, label: &str, written: &Secret) -> Option<Secret> {
        let name = SealedTokens::name(written)?;
        match self.grants.look(&name).await {
            Ok(grant) => {
                let grant = grant?;
                self.seen().insert(name, grant.revision);
                SealedTokens::unseal(written, grant.sealed)
            }
            Err(error) => {
                tracing::warn!(account = label, %error, "the newest refresh token is not known");
                None
            }
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, i64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RefreshTokenSink for TokenSink {
    fn keep<'s>(&'s self, account: &'s Account, written: &'s Secret, new: &'s Secret) -> BoxFuture<'s, ()> {
        Box::pin(async move {
            match &self.granted {
                Some(granted) => granted.keep(account.label(), written, new).await,
                None if account.is_stored() => self.keep_in_store(account, new),
                None => self.keep_sealed(account, written, new),
            }
        })
    }

    fn kept<'s>(&'s self, account: &'s Account, written: &'s Secret) -> BoxFuture<'s, Option<Secret>> {
        Box::pin(async move {
            if let Some(granted) = &self.granted {
                return granted.kept(account.label(), written).await;
            }
            let sealed = self.sealed.as_ref().filter(|_| !account.is_stored())?;
            sealed.kept(written)
        })
    }
}

/// The field that the account's refresh token comes from: one of its environment, where that has one of its own.
fn field_of(store: &Store, account: &Account) -> String {
    const FIELD: &str = "refresh_token";
    let own = |name: &str| {
        let shown = store.show(account.label()).ok()?;
        let set = member(&shown, "environments")?.get(name)?.clone();
        member(&set, FIELD).map(|_| format!("environments.{name}.{FIELD}"))
    };
    account.environment().and_then(own).unwrap_or_else(|| FIELD.to_owned())
}

/// A member by its name, in any case, with `-` or `_`.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let same = |key: &str| key.trim().to_lowercase().replace('-', "_") == name;
    object
        .as_object()?
        .iter()
        .find(|(key, _)| same(key))
        .map(|(_, value)| value)
}
