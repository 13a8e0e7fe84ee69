//! Pipepost sends email from integration pipelines through a sandbox.
#![forbid(unsafe_code)]

mod bindings;
pub mod connectors;
pub mod ending;
pub mod engine;
pub mod failure;
pub mod files;
pub mod ledger;
pub mod policy;
pub mod transport;
