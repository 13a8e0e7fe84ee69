//! The email step, from its parameters to a message and its outcome.
//!
//! This is the pure part of the `email-v2` connector. [`parameters::Parameters::parse`] turns the step's JSON into
//! types that can no longer be wrong, [`message::prepare`] makes the message and its envelope, and
//! [`output::OutputPrefix::render`] writes the step's output. It is not a conversation with a server. Nothing here
//! reads a clock, a random source or a file by itself: time, seed and files are passed in.
//!
//! The order of calls, for one message:
//!
//! ```
//! use pipepost_email_v2::{account::Account, files::{File, FileError, Files}, message, output, parameters::Parameters};
//!
//! struct NoFiles;
//! impl Files for NoFiles {
//!     fn open(&mut self, _: &str) -> Result<Box<dyn File>, FileError> {
//!         Err(FileError::NotFound)
//!     }
//! }
//!
//! let account = Account { username: Some("ops@example.com".into()), ..Account::default() };
//! let json = r#"{"to": "ana@example.org", "subject": "Olá", "body": "<p>Hello</p>"}"#;
//! let parameters = Parameters::parse(json, Some(&account))?;
//! let seed = message::MessageSeed { key: "run-7/start/2", now: 1_790_000_000, seed: 42 };
//! let mut prepared = message::prepare(&parameters, &seed, &mut NoFiles)?;
//! assert_eq!(prepared.envelope.recipients, ["ana@example.org"]);
//!
//! let mut wire = Vec::new();
//! while prepared.content.read_next(&mut wire, 64 * 1024)? > 0 {}
//! assert_eq!(wire.len() as u64, prepared.content.size());
//!
//! let accepted = ["ana@example.org".to_owned()];
//! let report = output::Report { accepted: &accepted, ..output::Report::new(output::Outcome::Sent) };
//! let json = prepared.output.render(&report);
//! assert!(json.contains(r#""success":true"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod account;
pub mod address;
pub mod batch;
#[cfg(target_family = "wasm")]
mod component;
mod connection_limit;
pub mod failure;
pub mod files;
mod html;
pub mod message;
mod numbers;
mod outbound_message;
pub mod output;
pub mod parameters;
mod remainder;
pub mod replies;
pub mod schema;
pub mod segments;
pub mod settings;
pub mod world;
