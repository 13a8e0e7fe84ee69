//! Accounts: tokens that a real provider gives, the encrypted store, and what a reply means to a person.

// What a run and a test say of the same server.
#[path = "accounts/agreement.rs"]
mod agreement;
// `pipepost explain`.
#[path = "accounts/explain.rs"]
mod explain;
// `pipepost accounts test`, and transcripts.
#[path = "accounts/probe.rs"]
mod probe;
// Limits and pauses.
#[path = "accounts/quota.rs"]
mod quota;
// The encrypted store.
#[path = "accounts/store.rs"]
mod store;
// Access tokens, from a real provider to a signed-in connection.
#[path = "accounts/tokens.rs"]
mod tokens;
