//! Keeps the refresh tokens with which a provider replaces old ones.

use pipepost_accounts::oauth::RefreshTokenSink;
use pipepost_accounts::store::{Change, Store};
use pipepost_accounts::{ErrorKind, Secret};

/// A sink that keeps tokens in the encrypted store, for the accounts in that store.
#[derive(Debug)]
pub struct StoreTokenSink {
    store: Store,
}

impl StoreTokenSink {
    /// Makes a sink for the accounts of this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl RefreshTokenSink for StoreTokenSink {
    fn keep(&self, label: &str, refresh_token: &Secret) {
        match self
            .store
            .edit(label, &[Change::set_literal("refresh_token", refresh_token)])
        {
            Ok(()) => tracing::info!(
                account = label,
                "the provider gave a new refresh token; the store has it"
            ),
            Err(errors) if errors.iter().any(|error| error.kind() == ErrorKind::NoSuchAccount) => tracing::warn!(
                account = label,
                "the provider gave a new refresh token, and this account lies in a file, which is not written here; move it into the store, so that the next run has the new one"
            ),
            Err(errors) => tracing::warn!(
                account = label,
                %errors,
                "the provider gave a new refresh token, and the store could not keep it"
            ),
        }
    }
}
