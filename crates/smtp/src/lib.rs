//! SMTP.
#![forbid(unsafe_code)]
pub mod address; pub mod capabilities; mod content; pub mod reply;
