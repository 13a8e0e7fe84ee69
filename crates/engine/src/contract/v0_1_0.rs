//! Contract 0.1.0: its bindings, and the translation of its terms to those of the newest version.
//!
//! It differs from the newest version as follows: an account is a JSON document, `confirmed` says `null` where it
//! has no output, and `settled` repeats the output.

mod bindings {
    #![allow(missing_docs, unreachable_pub, unnameable_types, unused_qualifications, clippy::all)]

    wasmtime::component::bindgen!({
        world: "pipepost:host/everything",
        path: [
            "../../wit/wasi-clocks-0.2.0",
            "../../wit/wasi-random-0.2.0",
            "../../wit/pipepost-connector-0.1.0",
            "../../wit/pipepost-mail-0.1.0",
            "../../wit/pipepost-host-0.1.0",
        ],
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "pipepost:mail/transport.connection": pipepost_net::Connection,
            "pipepost:connector/files.file": crate::files::OpenFile,
            "pipepost:connector/new-files.new-file": crate::files::NewFile,
        },
    });

    pub use self::pipepost::connector::{files, log, new_files, outcomes, types};
    pub use self::pipepost::mail::transport;
}

use pipepost_accounts::PublicView;
use pipepost_net::Connection;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker, Resource};

pub(crate) use self::bindings::{Everything, EverythingPre};
use self::bindings::{files, log, new_files, outcomes, transport, types};
use super::latest;
use super::latest::transport::{Host as _, HostConnection as _};
use crate::files::{NewFile, OpenFile};
use crate::instance::StoreData;

/// Gives a linker what this version imports. Clock and randomness are those of WASI in every version.
pub(super) fn add_to_linker(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    type Own = HasSelf<StoreData>;
    types::add_to_linker::<StoreData, Own>(linker, |data| data)?;
    outcomes::add_to_linker::<StoreData, Own>(linker, |data| data)?;
    files::add_to_linker::<StoreData, Own>(linker, |data| data)?;
    new_files::add_to_linker::<StoreData, Own>(linker, |data| data)?;
    log::add_to_linker::<StoreData, Own>(linker, |data| data)?;
    transport::add_to_linker::<StoreData, Own>(linker, |data| data)
}

pub(super) async fn describe(
    instance: &Everything,
    store: &mut Store<StoreData>,
) -> wasmtime::Result<latest::Manifest> {
    let manifest = instance.pipepost_connector_step().call_describe(store).await?;
    Ok(latest::Manifest {
        name: manifest.name,
        aliases: manifest.aliases,
        version: manifest.version,
        summary: manifest.summary,
        parameters: manifest.parameters,
        output: manifest.output,
        account_types: manifest.account_types,
    })
}

/// Returns the schema with the keyword `x-pipepost-body`, which this version had not: its hosts knew these three
/// parameters by name.
pub(super) fn with_body_roles(schema: String) -> String {
    let Ok(mut document) = serde_json::from_str::<serde_json::Value>(&schema) else {
        // Said where the schema is read.
        return schema;
    };
    for (name, role) in [
        ("escape", "escape"),
        ("contentType", "media-type"),
        ("text", "plain-alternative"),
    ] {
        let property = document.pointer_mut(&format!("/properties/{name}"));
        if let Some(property) = property.and_then(serde_json::Value::as_object_mut) {
            property.entry("x-pipepost-body").or_insert_with(|| role.into());
        }
    }
    document.to_string()
}

pub(super) async fn perform(
    instance: &Everything,
    store: &mut Store<StoreData>,
    account: Option<&PublicView>,
    calls: &[latest::Call],
) -> wasmtime::Result<()> {
    use self::bindings::exports::pipepost::connector::step::Call;

    // As this version wrote it: a document.
    let account = account.map(PublicView::to_string);
    let calls: Vec<Call> = calls
        .iter()
        .map(|call| Call {
            id: call.id,
            key: call.key.clone(),
            attempt: call.attempt,
            parameters: call.parameters.clone(),
            remainder: call.remainder.clone(),
        })
        .collect();
    let step = instance.pipepost_connector_step();
    step.call_perform(store, account.as_ref(), &calls).await
}

impl types::Host for StoreData {}

impl outcomes::Host for StoreData {
    async fn committing(
        &mut self,
        parts: Vec<types::Part>,
        in_doubt: Vec<outcomes::InDoubt>,
    ) -> wasmtime::Result<Result<(), outcomes::Stop>> {
        let parts = parts.into_iter().map(part).collect();
        let in_doubt = in_doubt.into_iter().map(|told| latest::outcomes::InDoubt {
            call: told.call,
            output: told.output,
        });
        let answer = latest::outcomes::Host::committing(self, parts, in_doubt.collect()).await?;
        Ok(answer.map_err(|stop| match stop {
            latest::outcomes::Stop::Ending => outcomes::Stop::Ending,
            latest::outcomes::Stop::Claimed => outcomes::Stop::Claimed,
            latest::outcomes::Stop::Unrecorded => outcomes::Stop::Unrecorded,
            latest::outcomes::Stop::Paused => outcomes::Stop::Held,
        }))
    }

    async fn confirmed(&mut self, confirmed: types::Part, output: String) -> wasmtime::Result<()> {
        let output = (output != "null").then_some(output);
        latest::outcomes::Host::confirmed(self, part(confirmed), output).await
    }

    async fn refused(&mut self, refused: types::Part, evidence: String) -> wasmtime::Result<()> {
        latest::outcomes::Host::refused(self, part(refused), evidence).await
    }

    async fn settled(&mut self, call: u32, outcome: Result<String, types::Failure>) -> wasmtime::Result<()> {
        let outcome = outcome.map(Some).map_err(failure);
        latest::outcomes::Host::settled(self, call, outcome).await
    }
}

fn part(part: types::Part) -> latest::types::Part {
    latest::types::Part {
        call: part.call,
        number: part.number,
    }
}

fn failure(failure: types::Failure) -> latest::types::Failure {
    use latest::types::FailureKind;
    latest::types::Failure {
        kind: match failure.kind {
            types::FailureKind::Invalid => FailureKind::Invalid,
            types::FailureKind::Configuration => FailureKind::Configuration,
            types::FailureKind::Authentication => FailureKind::Authentication,
            types::FailureKind::Refused => FailureKind::Refused,
            types::FailureKind::Quota => FailureKind::Quota,
            types::FailureKind::Transient => FailureKind::Transient,
            types::FailureKind::Uncertain => FailureKind::Uncertain,
            types::FailureKind::Limit => FailureKind::Limit,
        },
        message: failure.message,
        advice: failure.advice,
        link: failure.link,
        retry_after_seconds: failure.wait,
        remainder: failure.remainder,
        output: failure.output,
    }
}

fn file_error(error: latest::types::FileError) -> types::FileError {
    use latest::types::FileError;
    match error {
        FileError::NotFound => types::FileError::NotFound,
        FileError::NotAllowed => types::FileError::NotAllowed,
        FileError::Changed => types::FileError::Changed,
        FileError::TooLarge => types::FileError::TooLarge,
        FileError::Io => types::FileError::Io,
    }
}

impl files::Host for StoreData {
    async fn open(
        &mut self,
        call: u32,
        name: String,
    ) -> wasmtime::Result<Result<Resource<OpenFile>, types::FileError>> {
        let opened = latest::files::Host::open(self, call, name).await?;
        Ok(opened.map_err(file_error))
    }
}

impl files::HostFile for StoreData {
    async fn size(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<u64> {
        latest::files::HostFile::size(self, file).await
    }

    async fn media_type(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<Option<String>> {
        latest::files::HostFile::media_type(self, file).await
    }

    async fn read(
        &mut self,
        file: Resource<OpenFile>,
        offset: u64,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, types::FileError>> {
        let read = latest::files::HostFile::read(self, file, offset, max).await?;
        Ok(read.map_err(file_error))
    }

    async fn drop(&mut self, file: Resource<OpenFile>) -> wasmtime::Result<()> {
        latest::files::HostFile::drop(self, file).await
    }
}

impl new_files::Host for StoreData {
    async fn create(
        &mut self,
        call: u32,
        name: String,
    ) -> wasmtime::Result<Result<Resource<NewFile>, types::FileError>> {
        let created = latest::new_files::Host::create(self, call, name).await?;
        Ok(created.map_err(file_error))
    }
}

impl new_files::HostNewFile for StoreData {
    async fn append(
        &mut self,
        file: Resource<NewFile>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), types::FileError>> {
        let appended = latest::new_files::HostNewFile::append(self, file, bytes).await?;
        Ok(appended.map_err(file_error))
    }

    async fn finish(&mut self, file: Resource<NewFile>) -> wasmtime::Result<Result<(), types::FileError>> {
        let finished = latest::new_files::HostNewFile::finish(self, file).await?;
        Ok(finished.map_err(file_error))
    }

    async fn drop(&mut self, file: Resource<NewFile>) -> wasmtime::Result<()> {
        latest::new_files::HostNewFile::drop(self, file).await
    }
}

impl log::Host for StoreData {
    async fn write(&mut self, level: log::Level, call: Option<u32>, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => latest::log::Level::Debug,
            log::Level::Info => latest::log::Level::Info,
            log::Level::Warn => latest::log::Level::Warn,
            log::Level::Error => latest::log::Level::Error,
        };
        latest::log::Host::write(self, level, call, message).await
    }
}

fn transport_error(error: latest::transport::TransportError) -> transport::TransportError {
    use latest::transport::TransportError;
    match error {
        TransportError::Denied(text) => transport::TransportError::Denied(text),
        TransportError::Unresolved(text) => transport::TransportError::Unresolved(text),
        TransportError::Refused(text) => transport::TransportError::Refused(text),
        TransportError::TimedOut => transport::TransportError::TimedOut,
        TransportError::Ending => transport::TransportError::Ending,
        TransportError::Closed => transport::TransportError::Closed,
        TransportError::Tls(text) => transport::TransportError::Tls(text),
        TransportError::Credentials(text) => transport::TransportError::Credentials(text),
        TransportError::Io(text) => transport::TransportError::Io(text),
    }
}

impl transport::Host for StoreData {
    async fn available(&mut self) -> wasmtime::Result<bool> {
        self.connection_available().await
    }
}

impl transport::HostConnection for StoreData {
    async fn open(
        &mut self,
        endpoint: transport::Endpoint,
        security: transport::Security,
    ) -> wasmtime::Result<Result<Resource<Connection>, transport::TransportError>> {
        let endpoint = latest::types::Endpoint {
            host: endpoint.host,
            port: endpoint.port,
        };
        let security = match security {
            transport::Security::Tls => latest::types::Security::Tls,
            transport::Security::StartTls => latest::types::Security::StartTls,
            transport::Security::None => latest::types::Security::None,
        };
        let opened = latest::transport::HostConnection::open(self, endpoint, security).await?;
        Ok(opened.map_err(transport_error))
    }

    async fn facts(&mut self, connection: Resource<Connection>) -> wasmtime::Result<transport::Facts> {
        let facts = latest::transport::HostConnection::facts(self, connection).await?;
        Ok(transport::Facts {
            tls: facts.tls,
            signed_in: facts.signed_in,
            client_name: facts.client_name,
            warm: facts.warm,
            idle: facts.idle_ms,
        })
    }

    async fn memo(&mut self, connection: Resource<Connection>) -> wasmtime::Result<Vec<u8>> {
        self.resume_state(connection).await
    }

    async fn arm(&mut self, connection: Resource<Connection>, milliseconds: u32) -> wasmtime::Result<()> {
        self.set_deadline(connection, milliseconds).await
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, transport::TransportError>> {
        let read = latest::transport::HostConnection::read(self, connection, max).await?;
        Ok(read.map_err(transport_error))
    }

    async fn write(
        &mut self,
        connection: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), transport::TransportError>> {
        let written = latest::transport::HostConnection::write(self, connection, bytes).await?;
        Ok(written.map_err(transport_error))
    }

    async fn start_tls(
        &mut self,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<Result<(), transport::TransportError>> {
        let started = latest::transport::HostConnection::start_tls(self, connection).await?;
        Ok(started.map_err(transport_error))
    }

    async fn sign_in(
        &mut self,
        connection: Resource<Connection>,
        mechanism: String,
    ) -> wasmtime::Result<Result<Vec<u8>, transport::TransportError>> {
        let reply = latest::transport::HostConnection::sign_in(self, connection, mechanism).await?;
        Ok(reply.map_err(transport_error))
    }

    async fn release(
        &mut self,
        connection: Resource<Connection>,
        memo: Vec<u8>,
        farewell: Vec<u8>,
    ) -> wasmtime::Result<()> {
        latest::transport::HostConnection::release(self, connection, memo, farewell).await
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        latest::transport::HostConnection::drop(self, connection).await
    }
}
