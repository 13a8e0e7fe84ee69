//! The published JSON Schema of account files.

/// The JSON Schema (draft 2020-12) of an accounts file: one account, or an array of accounts.
///
/// It describes the fields as they are documented. [`Accounts::load`](crate::Accounts::load) accepts more: names in any
/// case, `-` for `_`.
pub const ACCOUNT_SCHEMA: &str = include_str!("../schema/account.schema.json");
