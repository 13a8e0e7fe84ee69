//! The contract as the host sees it, generated from `wit/`.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    world: "pipepost:host/everything",
    path: [
        "../wit/wasi-clocks-0.2.0",
        "../wit/wasi-random-0.2.0",
        "../wit/pipepost-connector-0.1.0",
        "../wit/pipepost-mail-0.1.0",
        "../wit/pipepost-host",
    ],
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "pipepost:mail/transport.connection": pipepost_net::Connection,
        "pipepost:connector/files.file": crate::files::OpenFile,
        "pipepost:connector/new-files.new-file": crate::files::NewFile,
    },
});

pub use self::exports::pipepost::connector::step::{Call, Manifest};
pub use self::pipepost::connector::{files, log, new_files, outcomes, types};
pub use self::pipepost::mail::transport;
pub use self::wasi::clocks::wall_clock;
pub use self::wasi::random::random;
