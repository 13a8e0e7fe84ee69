//! The meaning of an SMTP reply: its cause, its class, and what to do now.
//!
//! Gmail says in a code, an enhanced code and a line of text what a person must do, and often the code by itself
//! misleads: `550 5.4.5` is a quota that resets, `454 4.7.0 Too many login attempts` does not mean a wrong password,
//! and a `421` in reply to EHLO is often a setting. This crate is the table that tells them apart. It also has the
//! sign-in replies of other well-known providers, and the meanings that the RFCs give for everything else.
//!
//! It is not a parser of the protocol. It does no I/O, reads no clock, and depends only on the protocol's own types, so
//! it is compiled into the plugin unchanged. Nothing that a server says comes out of it, except a checked link.
//!
//! The order of calls: give the reply's parts to [`explain`], or to [`explain_for`] if the server's provider is known
//! ([`Provider::of_host`]). Give the results of the protocol's state machine to [`explain_reply`],
//! [`explain_sign_in`] and [`explain_close`]. Text that a person pasted goes through [`PastedReply::parse`] first. [`rows`] lists the table,
//! for documentation and tests.
//!
//! ```
//! use pipepost_replies::{FailureKind, Retry, Stage, explain};
//!
//! let text = "Daily user sending limit exceeded. 41be03b00d2f7 - gsmtp";
//! let explanation = explain(550, Some((5, 4, 5)), text, Some(Stage::Mail));
//! assert_eq!(explanation.kind, FailureKind::Quota);
//! assert_eq!(explanation.retry, Retry::After(24 * 60 * 60));
//! println!("{} {}", explanation.cause, explanation.cure);
//! ```

#![forbid(unsafe_code)]

mod explain;
mod link;
mod meaning;
mod normal;
mod pasted;
mod provider;
mod registry;
mod reply_code;
mod rows;
mod session;
mod stage;
mod words;

pub use explain::{Explanation, explain, explain_for};
pub use meaning::{Class, Retry, Scope};
pub use pasted::{ParseError, ParseErrorKind, PastedReply};
pub use pipepost_core::FailureKind;
pub use provider::Provider;
pub use reply_code::EnhancedCode;
pub use rows::{Row, rows};
pub use session::{Loss, SessionFailure, explain_close, explain_loss, explain_reply, explain_sign_in};
pub use stage::Stage;
