//! Contract 0.2.0, the newest: its bindings, and the account as it shows it. Claims ahead are a package of their own, which
//! a component of 0.2.0 may import.

#![allow(missing_docs, unreachable_pub, unnameable_types, unused_qualifications, clippy::all)]

use pipepost_accounts::{Pipelining, PublicView, Security};

wasmtime::component::bindgen!({
    world: "pipepost:host/everything",
    path: [
        "../../wit/wasi-clocks-0.2.0",
        "../../wit/wasi-random-0.2.0",
        "../../wit/pipepost-connector-0.2.0",
        "../../wit/pipepost-mail-0.2.0",
        "../../wit/pipepost-claims-0.1.0",
        "../../wit/pipepost-host-0.2.1",
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
pub use self::pipepost::claims::ahead;
pub use self::pipepost::connector::{files, log, new_files, outcomes, types};
pub use self::pipepost::mail::transport;
pub use self::wasi::clocks::wall_clock;
pub use self::wasi::random::random;

/// The account's public view as this version shows it.
pub(crate) fn account_view(view: &PublicView) -> types::AccountView {
    let endpoint = view.host.as_ref().zip(view.port);
    types::AccountView {
        label: view.label.clone(),
        account_type: view.account_type.clone(),
        username: view.username.clone(),
        endpoint: endpoint.map(|(host, port)| types::Endpoint {
            host: host.clone(),
            port,
        }),
        security: match view.security {
            Security::Tls => types::Security::Tls,
            Security::StartTls => types::Security::StartTls,
            Security::None => types::Security::None,
        },
        mechanisms: view.mechanisms.clone(),
        mail: types::MailSettings {
            from: view.from.clone(),
            from_name: view.from_name.clone(),
            envelope_from: view.envelope_from.clone(),
            send_partial: view.send_partial,
            pipelining: match view.pipelining {
                Pipelining::Full => types::Pipelining::Full,
                Pipelining::Transaction => types::Pipelining::Transaction,
                Pipelining::Off => types::Pipelining::Off,
            },
            recipients_max: view.recipients_per_message,
            connection_messages_max: view.messages_per_connection,
            uncertain_max: view.max_uncertain,
            allow_eight_bit: view.allow_8bit,
            allow_utf8: view.allow_utf8,
            dsn_notify: view.dsn_notify.clone(),
            dsn_ret: view.dsn_ret.clone(),
            chunk_bytes: view.chunk_size,
            read_timeout_ms: view.timeouts.read_ms,
            write_timeout_ms: view.timeouts.write_ms,
        },
    }
}
