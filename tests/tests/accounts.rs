//! Accounts: tokens that a real provider gives, the encrypted store, and what a reply means to a person.

#[path = "accounts/explain.rs"]
mod explain;
#[path = "accounts/store.rs"]
mod store;
#[path = "accounts/tokens.rs"]
mod tokens;
