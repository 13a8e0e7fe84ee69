//! Labeled accounts: who may send email through which server, and how the account proves it.
//!
//! It reads account files and checks every field. It holds the rules about secrets: where they come from (references
//! that are read late), where they may go ([`Account::endpoint_for`]), how they are sent to a server ([`sasl`]), and
//! what others may see of an account ([`Account::public_view`], [`Account::expression_view`]).
//!
//! It opens no connection except the loopback listener of [`oauth::Flow`], prints nothing and decides nothing about
//! messages. The host dials, speaks TLS, and reads and writes; this crate says to which server and with which content.
//!
//! The order of calls: [`Accounts::load`], or [`Accounts::load_with_store`]; [`Accounts::get`] for a step's label;
//! [`Account::endpoint_for`] with what the step names; [`pipepost_core::EgressRule`] for each of its addresses; dial,
//! with [`Account::tls`] and [`Account::client_identity`]; [`oauth::Tokens::sign_in`] for the credentials (or [`Account::credentials`], where only
//! passwords are in use); a [`sasl::Exchange`] over the connection. Reading a secret may read a file or ask the
//! keyring, which blocks.
//!
//! ```
//! use pipepost_accounts::{Accounts, Environment, Security};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("accounts.json");
//! std::fs::write(&path, r#"{
//!     "label": "gmail", "type": "smtp-auth-and-properties", "host": "smtp.gmail.com", "port": 587,
//!     "username": "me@gmail.com", "password": "${env:GMAIL_APP_PASSWORD}"
//! }"#)?;
//! let accounts = Accounts::load([&path], &Environment::process())?;
//! let endpoint = accounts.get("gmail")?.endpoint_for(None, None)?;
//! assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.security), ("smtp.gmail.com", 587, Security::StartTls));
//! assert!(accounts.get("gmail")?.endpoint_for(Some("smtp.example.com"), None).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod account;
mod accounts;
mod assemble;
mod client_certificate;
mod document;
mod endpoint;
mod environment;
mod error;
mod fields;
mod gmail;
#[cfg(feature = "keyring")]
mod keyring;

mod network;
pub mod oauth;
mod presets;
mod properties;
mod provider;
mod reference;
pub mod sasl;
mod schema;
mod secret;
mod sign_in;
pub mod store;
mod suggest;

mod views;

pub use account::{
    Account, AccountType, Delivery, Limits, Pipelining, Revision, Security, Timeouts, TlsSettings, TlsVersion,
};
pub use accounts::Accounts;
pub use client_certificate::ClientIdentity;
pub use endpoint::{Denied, Endpoint, NamedBy};
pub use environment::{Environment, Keyring};
pub use error::{Error, ErrorKind, Errors, Place, Remedy, Warning, WarningKind};
#[cfg(feature = "keyring")]
pub use keyring::SystemKeyring;
pub use reference::SecretSource;
pub use schema::ACCOUNT_SCHEMA;
pub use secret::Secret;
pub use sign_in::SignIn;
pub use views::{FieldAccess, PublicTimeouts, PublicView};
