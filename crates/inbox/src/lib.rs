//! A local SMTP server that catches mail, speaks Gmail's dialect, and can be scripted to misbehave.
//!
//! It is what demonstrations, dry runs and tests send to. It is not a mail server: it forwards nothing, knows no mailboxes, and
//! keeps its users' passwords in memory as they were given.
//!
//! There are two ways to use it.
//!
//! # Over the network
//!
//! An [`Inbox`] listens on one or several [faces](Security) (STARTTLS, TLS from the first byte, plain), all feeding one
//! [`Store`]. Its certificate authority is made at the start; [`Running::ca_pem`] is what the client must trust.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pipepost_inbox::{Inbox, Script, Security};
//!
//! let inbox = Inbox::builder()
//!     .listen(Security::StartTls, "127.0.0.1:0")
//!     .listen(Security::Implicit, "127.0.0.1:0")
//!     .users([("ann@example.com", "abcd efgh ijkl mnop")])
//!     .script(Script::new().refuse_recipient("nobody@example.com", "550 5.1.1 No such user"))
//!     .start()
//!     .await?;
//! println!("submission at {}", inbox.address());
//! # assert_eq!(inbox.addresses().len(), 2);
//! // ... a client sends; then:
//! // let messages = inbox.wait_for(1).await;
//! inbox.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! # In process
//!
//! A [`Service`] makes [`Session`]s, which are fed with bytes and do no I/O at all: a dry run needs no socket, and a test can
//! cut the dialogue anywhere in microseconds. Order of calls: see [`session`].
//!
//! ```
//! use pipepost_inbox::{Security, Service, Settings, Store};
//!
//! let service = Service::new(Settings::default());
//! let store = Store::new();
//! let mut session = service.session(Security::Plain);
//! let mut replies = Vec::new();
//! for bytes in [
//!     &b"EHLO client.example\r\nMAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"[..],
//!     b"Subject: Hello\r\n\r\nHow are you?\r\n.\r\n",
//! ] {
//!     session.handle_bytes(bytes);
//!     store.collect(&mut session)?;
//!     while let Some(bytes) = session.poll_transmit() {
//!         replies.extend(bytes);
//!     }
//! }
//! assert!(replies.starts_with(b"220 smtp.gmail.com ESMTP "));
//! assert_eq!(store.messages()[0].envelope.to, ["bob@example.com"]);
//! # Ok::<(), pipepost_inbox::StoreError>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod builder;
mod connection;
mod event;
mod kept;
mod message;
mod reference;
mod running;
pub mod script;
mod service;
pub mod session;
mod settings;
mod store;
pub mod tls;

pub use builder::{Builder, Inbox, StartError};
pub use event::{Direction, Event};
pub use message::{Envelope, Message, Parameters, TlsInfo, Transfer};
pub use reference::script_markdown;
pub use running::Running;
pub use script::Script;
pub use service::Service;
pub use session::{Session, Signal};
pub use settings::{Credentials, Security, Settings};
pub use store::{Store, StoreError};
