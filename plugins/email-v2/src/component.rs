//! The component: the host's imports as this crate's [`HostApi`], and the export.

use pipepost_sdk::outcomes::InDoubt;
use pipepost_sdk::transport::TransportError;
use pipepost_sdk::{
    AccountView, Batch, Call, Endpoint, Failure, FileError, Level, Manifest, ahead, outcomes, run_files, transport,
};

use crate::files::{File, Files};
use crate::world::{Connection, Facts, HostApi, Part, Security, Stop};
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
            account_types: schema::ACCOUNT_TYPES.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn perform(account: Option<AccountView>, calls: Vec<Call>) {
        batch::send(&mut Host, account.as_ref(), calls);
    }
}

pipepost_sdk::export_batch!(EmailV2);

struct Host;

impl HostApi for Host {
    type Connection = transport::Connection;

    fn connection_available(&mut self) -> bool {
        transport::connection_available()
    }

    fn open(&mut self, host: &str, port: u16, security: Security) -> Result<Self::Connection, TransportError> {
        let endpoint = Endpoint {
            host: host.to_owned(),
            port,
        };
        transport::Connection::open(&endpoint, security)
    }

    fn committing(&mut self, parts: &[Part], in_doubt: &[InDoubt]) -> Result<(), Stop> {
        outcomes::committing(parts, in_doubt)
    }

    fn room_ahead(&mut self) -> u32 {
        ahead::room()
    }

    fn claim_ahead(&mut self, parts: &[Part], in_doubt: &[InDoubt]) {
        ahead::claim(parts, in_doubt);
    }

    fn confirmed(&mut self, part: Part, output: Option<&str>) {
        outcomes::confirmed(part, output);
    }

    fn refused(&mut self, part: Part, evidence: &str) {
        outcomes::refused(part, evidence);
    }

    fn settled(&mut self, call: u32, outcome: Result<Option<&str>, &Failure>) {
        outcomes::settled(call, outcome);
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

impl Connection for transport::Connection {
    fn facts(&self) -> Facts {
        self.facts()
    }

    fn resume_state(&self) -> Vec<u8> {
        self.resume_state()
    }

    fn set_deadline(&self, deadline_ms: u32) {
        self.set_deadline(deadline_ms);
    }

    fn read(&self, max_bytes: u32) -> Result<Vec<u8>, TransportError> {
        self.read(max_bytes)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), TransportError> {
        self.write(bytes)
    }

    fn start_tls(&self) -> Result<(), TransportError> {
        self.start_tls()
    }

    fn sign_in(&self, mechanism: &str) -> Result<Vec<u8>, TransportError> {
        self.sign_in(mechanism)
    }

    fn release(self, resume_state: &[u8], close_bytes: &[u8]) {
        Self::release(self, resume_state, close_bytes);
    }
}

/// The run's files, for one call.
struct RunFiles {
    call: u32,
}

impl Files for RunFiles {
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError> {
        Ok(Box::new(run_files::open(self.call, name)?))
    }
}

impl File for run_files::File {
    fn size(&self) -> u64 {
        self.size()
    }

    fn media_type(&self) -> Option<String> {
        self.media_type()
    }

    fn read(&mut self, offset: u64, max_bytes: u32) -> Result<Vec<u8>, FileError> {
        run_files::File::read(self, offset, max_bytes)
    }
}
