//! The types that every layer of Pipepost shares.
//!
//! [`FailureKind`] and [`Failure`] say what went wrong, and every decision depends on the kind. The feature `host` (on
//! by default) adds what a host needs below all its layers: [`Endpoint`] and the one egress rule ([`EgressRule`]),
//! [`Limits`] and [`Policy`], files that are opened below a directory only ([`beneath`]), [`text`] of files, JSON that is read back
//! ([`json`]), and [`shutdown`]. Connectors are built without it.
//!
//! This crate depends on no other crate of Pipepost. It opens no connection and knows no exit codes.

#![forbid(unsafe_code)]

#[cfg(feature = "host")]
pub mod beneath;
#[cfg(feature = "host")]
pub mod egress;
#[cfg(feature = "host")]
mod endpoint;
mod failure;
#[cfg(feature = "host")]
pub mod json;
#[cfg(feature = "host")]
mod limits;
#[cfg(feature = "host")]
pub mod policy;
pub mod sentence;
#[cfg(feature = "host")]
pub mod shutdown;
#[cfg(feature = "host")]
pub mod text;

#[cfg(feature = "host")]
pub use egress::{EgressGate, EgressRule};
#[cfg(feature = "host")]
pub use endpoint::Endpoint;
pub use failure::{Failure, FailureKind, Remedy};
#[cfg(feature = "host")]
pub use limits::Limits;
#[cfg(feature = "host")]
pub use policy::Policy;
