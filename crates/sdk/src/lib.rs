//! The parts that every connector shares: the bindings to its host, and some helpers built on them.
//!
//! A connector is a component that exports `pipepost:connector/step` and imports what it uses of the contract in
//! `wit/`. The bindings here cover everything that a host can give. A component imports only what its connector calls,
//! so depending on this crate gives a connector no further access.
//!
//! A connector whose calls are independent of one another implements [`Each`] and ends with
//! [`export_each!`](crate::export_each). A connector that wants the whole batch (to send it over one connection)
//! implements [`Batch`] and ends with [`export_batch!`](crate::export_batch). In native builds a connector's own tests
//! run it in a `testing::Run`, in memory.
//!
//! This is the only crate without `forbid(unsafe_code)`: the generated bindings need unsafe code.

/// The generated bindings, as the contract names them.
#[allow(missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "pipepost:host/everything",
        path: [
            "../../wit/wasi-clocks-0.2.0",
            "../../wit/wasi-random-0.2.0",
            "../../wit/pipepost-connector-0.2.0",
            "../../wit/pipepost-mail-0.2.0",
            "../../wit/pipepost-claims-0.1.0",
            "../../wit/pipepost-host-0.2.1",
        ],
        generate_all,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_bindings",
        default_bindings_module: "pipepost_sdk::bindings",
    });
}

mod each;
mod failure;
mod files;
mod list;
mod schema;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use bindings::exports::pipepost::connector::step::{Call, Guest as Batch, Manifest};
pub use bindings::pipepost::claims::ahead;
pub use bindings::pipepost::connector::log::Level;
pub use bindings::pipepost::connector::types::{
    AccountView, Endpoint, Failure, FailureKind, FileError, MailSettings, Part, Pipelining, Security,
};
pub use bindings::pipepost::connector::{files as run_files, new_files, outcomes};
pub use bindings::pipepost::mail::transport;
#[cfg(target_family = "wasm")]
use bindings::{
    pipepost::connector::log as host_log,
    wasi::{clocks::wall_clock, random::random as host_random},
};
pub use each::Each;
#[doc(hidden)]
pub use each::{describe_each, perform_each};
pub use files::{NewFileWriter, RunFileReader};
pub use list::List;
pub use schemars;
#[cfg(not(target_family = "wasm"))]
use testing::imports::{log as host_log, random as host_random, wall_clock};

/// Writes a line to the run's log, about `call` if one is given. The host limits the length and the number of lines.
pub fn log(level: Level, call: Option<u32>, message: &str) {
    host_log::write(level, call, message);
}

/// Returns the time since the Unix epoch by the host's clock. (`std::time::SystemTime::now` traps on this target.)
pub fn now() -> std::time::Duration {
    let now = wall_clock::now();
    std::time::Duration::new(now.seconds, now.nanoseconds)
}

/// Returns 64 random bits from the host. (Generators that are not seeded with them repeat themselves in every
/// instance.)
pub fn random() -> u64 {
    host_random::get_random_u64()
}

/// Exports a type that implements [`Batch`] as this component's connector.
#[macro_export]
macro_rules! export_batch {
    ($connector:ident) => {
        #[cfg(target_family = "wasm")]
        $crate::bindings::export_bindings!($connector with_types_in $crate::bindings);
    };
}

/// Exports a type that implements [`Each`] as this component's connector.
#[macro_export]
macro_rules! export_each {
    ($connector:ty) => {
        #[cfg(target_family = "wasm")]
        struct ExportedConnector;
        #[cfg(target_family = "wasm")]
        impl $crate::Batch for ExportedConnector {
            fn describe() -> $crate::Manifest {
                $crate::describe_each::<$connector>()
            }
            fn perform(_account: Option<$crate::AccountView>, calls: Vec<$crate::Call>) {
                $crate::perform_each::<$connector>(&calls)
            }
        }
        $crate::export_batch!(ExportedConnector);
    };
}
