//! The component: the host's imports as this crate's [`World`], and the export.

use pipepost_sdk::{Batch, Level, Manifest, outcomes, run_files, transport};

use crate::failure::FailureKind;
use crate::files::{File, FileError, Files};
use crate::world::{CallFailure, Facts, Part, Security, Stop, Wire, WireError, World};
use crate::{batch, schema};

struct EmailV2;

impl Batch for EmailV2 {
    fn describe() -> Manifest {
        Manifest {
            name: "email-v2".to_owned(),
            aliases: vec!["email-connector-v2".to_owned()],
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Sends email through the account's SMTP server.".to_owned(),
            parameters: schema::PARAMETERS.to_owned(),
            output: schema::OUTPUT.to_owned(),
            account_types: ["smtp-auth-and-properties", "basic", "oauth-2", "google-key"]
                .map(str::to_owned)
                .into(),
        }
    }

    fn perform(account: Option<String>, calls: Vec<pipepost_sdk::Call>) {
        let calls = calls.into_iter().map(|call| batch::Call {
            id: call.id,
            key: call.key,
            parameters: call.parameters,
            remainder: call.remainder,
        });
        batch::send(&mut Host, account.as_deref(), calls.collect());
    }
}

pipepost_sdk::export_batch!(EmailV2);

struct Host;

impl World for Host {
    type Wire = transport::Connection;

    fn available(&mut self) -> bool {
        transport::available()
    }

    fn open(&mut self, host: &str, port: u16, security: Security) -> Result<Self::Wire, WireError> {
        let endpoint = transport::Endpoint {
            host: host.to_owned(),
            port,
        };
        let security = match security {
            Security::Tls => transport::Security::Tls,
            Security::StartTls => transport::Security::StartTls,
            Security::None => transport::Security::None,
        };
        Ok(transport::Connection::open(&endpoint, security)?)
    }

    fn committing(&mut self, parts: &[Part], in_doubt: Vec<(u32, String)>) -> Result<(), Stop> {
        let parts: Vec<outcomes::Part> = parts.iter().map(|part| of_host(*part)).collect();
        let in_doubt = in_doubt.into_iter();
        let in_doubt: Vec<outcomes::InDoubt> = in_doubt
            .map(|(call, output)| outcomes::InDoubt { call, output })
            .collect();
        outcomes::committing(&parts, &in_doubt).map_err(|stop| match stop {
            outcomes::Stop::Ending => Stop::Ending,
            outcomes::Stop::Claimed => Stop::Claimed,
            outcomes::Stop::Unrecorded => Stop::Unrecorded,
            outcomes::Stop::Held => Stop::Held,
        })
    }

    fn confirmed(&mut self, part: Part, output: Option<&str>) {
        outcomes::confirmed(of_host(part), output.unwrap_or("null"));
    }

    fn refused(&mut self, part: Part, evidence: &str) {
        outcomes::refused(of_host(part), evidence);
    }

    fn settled(&mut self, call: u32, outcome: Result<String, CallFailure>) {
        match outcome {
            Ok(output) => outcomes::settled(call, Ok(&output)),
            Err(failure) => outcomes::settled(call, Err(&failure.into())),
        }
    }

    fn files(&self, call: u32) -> Box<dyn Files> {
        Box::new(RunFiles { call })
    }

    fn warn(&mut self, call: u32, message: &str) {
        pipepost_sdk::log(Level::Warn, Some(call), message);
    }

    fn now(&self) -> u64 {
        pipepost_sdk::now().as_secs()
    }

    fn random(&mut self) -> u64 {
        pipepost_sdk::random()
    }
}

fn of_host((call, number): Part) -> outcomes::Part {
    outcomes::Part { call, number }
}

impl Wire for transport::Connection {
    fn facts(&self) -> Facts {
        let facts = transport::Connection::facts(self);
        Facts {
            secured: facts.tls.is_some(),
            signed_in: facts.signed_in.is_some(),
            client_name: facts.client_name,
            warm: facts.warm,
            idle: facts.idle,
        }
    }

    fn memo(&self) -> Vec<u8> {
        transport::Connection::memo(self)
    }

    fn arm(&self, milliseconds: u32) {
        transport::Connection::arm(self, milliseconds);
    }

    fn read(&self, max: u32) -> Result<Vec<u8>, WireError> {
        Ok(transport::Connection::read(self, max)?)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), WireError> {
        Ok(transport::Connection::write(self, bytes)?)
    }

    fn start_tls(&self) -> Result<(), WireError> {
        Ok(transport::Connection::start_tls(self)?)
    }

    fn sign_in(&self, mechanism: &str) -> Result<Vec<u8>, WireError> {
        Ok(transport::Connection::sign_in(self, mechanism)?)
    }

    fn release(self, memo: &[u8], farewell: &[u8]) {
        transport::Connection::release(self, memo, farewell);
    }
}

impl From<transport::TransportError> for WireError {
    fn from(error: transport::TransportError) -> Self {
        use transport::TransportError as Theirs;
        match error {
            Theirs::Denied(text) => Self::Denied(text),
            Theirs::Unresolved(text) => Self::Unresolved(text),
            Theirs::Refused(text) => Self::Refused(text),
            Theirs::TimedOut => Self::TimedOut,
            Theirs::Ending => Self::Ending,
            Theirs::Closed => Self::Closed,
            Theirs::Tls(text) => Self::Tls(text),
            Theirs::Credentials(text) => Self::Credentials(text),
            Theirs::Io(text) => Self::Io(text),
        }
    }
}

impl From<CallFailure> for pipepost_sdk::Failure {
    fn from(failed: CallFailure) -> Self {
        let CallFailure {
            failure,
            wait,
            remainder,
            output,
        } = failed;
        Self {
            kind: match failure.kind {
                FailureKind::Invalid => pipepost_sdk::FailureKind::Invalid,
                FailureKind::Configuration => pipepost_sdk::FailureKind::Configuration,
                FailureKind::Authentication => pipepost_sdk::FailureKind::Authentication,
                FailureKind::Refused => pipepost_sdk::FailureKind::Refused,
                FailureKind::Quota => pipepost_sdk::FailureKind::Quota,
                FailureKind::Transient => pipepost_sdk::FailureKind::Transient,
                FailureKind::Uncertain => pipepost_sdk::FailureKind::Uncertain,
                FailureKind::Limit => pipepost_sdk::FailureKind::Limit,
            },
            message: failure.message,
            advice: failure.advice,
            link: failure.link,
            wait,
            remainder,
            output,
        }
    }
}

/// The run's files, for one call.
struct RunFiles {
    call: u32,
}

impl Files for RunFiles {
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError> {
        Ok(Box::new(RunFile(run_files::open(self.call, name)?)))
    }
}

struct RunFile(run_files::File);

impl File for RunFile {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn media_type(&self) -> Option<String> {
        self.0.media_type()
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        Ok(self.0.read(offset, max)?)
    }
}

impl From<pipepost_sdk::FileError> for FileError {
    fn from(error: pipepost_sdk::FileError) -> Self {
        match error {
            pipepost_sdk::FileError::NotFound => Self::NotFound,
            pipepost_sdk::FileError::NotAllowed => Self::NotAllowed,
            pipepost_sdk::FileError::Changed => Self::Changed,
            pipepost_sdk::FileError::TooLarge => Self::TooLarge,
            pipepost_sdk::FileError::Io => Self::Io,
        }
    }
}
