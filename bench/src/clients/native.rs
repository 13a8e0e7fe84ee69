//! Our connector's code without the sandbox: the same crate, over std's sockets and rustls, for the sandbox's price.
//!
//! It works as the host makes the connector work: batches of 32, parameters as JSON, a connection that lies warm
//! between batches with its memo, announcements and outcomes kept in a map.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use pipepost_email_v2::batch;
use pipepost_email_v2::files::{File, FileError, Files};
use pipepost_email_v2::world::{Connection, Facts, HostApi, Part, Security, Stop, TransportError};
use pipepost_sdk::outcomes::InDoubt;
use pipepost_sdk::{AccountView, Call, Endpoint, MailSettings, Pipelining};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Task;
use crate::letter;

/// Calls that are handed over together.
const BATCH: usize = 32;

/// Does the task, and tells what sending took.
pub(crate) fn main(task: &Task) -> Result<()> {
    let began = Instant::now();
    let mut host = Host::new(task)?;
    let account = account(task.port, task.authority.is_some());
    let numbers: Vec<usize> = (0..task.messages).collect();
    for some in numbers.chunks(BATCH) {
        let calls = some.iter().zip(0..).map(|(number, id)| Call {
            id,
            key: format!("bench/start/0/{number}"),
            attempt: 1,
            parameters: letter::parameters(*number),
            remainder: None,
        });
        host.settled.clear();
        batch::send(&mut host, Some(&account), calls.collect());
        for outcome in host.settled.values() {
            if let Err(failure) = outcome {
                bail!("{}", failure.message);
            }
        }
    }
    println!("sending {}", began.elapsed().as_secs_f64());
    Ok(())
}

/// The account as a host would show it.
fn account(port: u16, tls: bool) -> AccountView {
    AccountView {
        label: Some("mail".to_owned()),
        account_type: None,
        username: None,
        endpoint: Some(Endpoint {
            host: "localhost".to_owned(),
            port,
        }),
        security: if tls { Security::Tls } else { Security::None },
        mechanisms: Vec::new(),
        mail: MailSettings {
            from: None,
            from_name: None,
            envelope_from: None,
            send_partial: true,
            pipelining: Pipelining::Full,
            recipients_max: None,
            connection_messages_max: None,
            uncertain_max: None,
            allow_eight_bit: false,
            allow_utf8: true,
            dsn_notify: None,
            dsn_ret: None,
            chunk_bytes: None,
            read_timeout_ms: None,
            write_timeout_ms: None,
        },
    }
}

struct Host {
    tls: Option<Arc<ClientConfig>>,
    warm: Slot,
    announced: HashMap<(u32, u32), bool>,
    settled: HashMap<u32, Result<(), pipepost_sdk::Failure>>,
}

/// Where a connection lies between batches.
type Slot = Rc<RefCell<Option<(Stream, Vec<u8>)>>>;

impl Host {
    fn new(task: &Task) -> Result<Self> {
        let tls = match &task.authority {
            None => None,
            Some(path) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(path).context("the authority's certificate")?)?;
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Some(Arc::new(config))
            }
        };
        Ok(Self {
            tls,
            warm: Slot::default(),
            announced: HashMap::new(),
            settled: HashMap::new(),
        })
    }
}

impl HostApi for Host {
    type Connection = Link;

    fn open(&mut self, host: &str, port: u16, _: Security) -> Result<Link, TransportError> {
        let (stream, memo, warm) = match self.warm.take() {
            Some((stream, memo)) => (stream, memo, true),
            None => {
                let tcp = TcpStream::connect((host, port)).map_err(io)?;
                tcp.set_nodelay(true).map_err(io)?;
                let stream = match &self.tls {
                    None => Stream::Plain(tcp),
                    Some(config) => {
                        let name = ServerName::try_from(host.to_owned())
                            .map_err(|error| TransportError::Tls(error.to_string()))?;
                        let session = ClientConnection::new(Arc::clone(config), name)
                            .map_err(|error| TransportError::Tls(error.to_string()))?;
                        Stream::Tls(Box::new(StreamOwned::new(session, tcp)))
                    }
                };
                (stream, Vec::new(), false)
            }
        };
        Ok(Link {
            stream: RefCell::new(stream),
            memo,
            warm,
            slot: Rc::clone(&self.warm),
        })
    }

    fn committing(&mut self, parts: &[Part], _: &[InDoubt]) -> Result<(), Stop> {
        self.announced
            .extend(parts.iter().map(|part| ((part.call, part.number), false)));
        Ok(())
    }

    fn confirmed(&mut self, part: Part, _: Option<&str>) {
        self.announced.insert((part.call, part.number), true);
    }

    fn refused(&mut self, part: Part, _: &str) {
        self.announced.remove(&(part.call, part.number));
    }

    fn settled(&mut self, call: u32, outcome: Result<Option<&str>, &pipepost_sdk::Failure>) {
        self.settled.insert(call, outcome.map(drop).map_err(Clone::clone));
    }

    fn files(&self, _: u32) -> Box<dyn Files> {
        Box::new(NoFiles)
    }

    fn warn(&mut self, call: u32, message: &str) {
        eprintln!("{call}: {message}");
    }

    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    }

    fn random(&mut self) -> u64 {
        fastrand::u64(..)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

struct Link {
    stream: RefCell<Stream>,
    memo: Vec<u8>,
    warm: bool,
    slot: Slot,
}

impl Connection for Link {
    fn facts(&self) -> Facts {
        Facts {
            tls: matches!(*self.stream.borrow(), Stream::Tls(_)).then(|| "TLSv1.3".to_owned()),
            signed_in: None,
            client_name: "[127.0.0.1]".to_owned(),
            warm: self.warm,
            idle_ms: 0,
        }
    }

    fn resume_state(&self) -> Vec<u8> {
        self.memo.clone()
    }

    fn set_deadline(&self, _: u32) {}

    fn read(&self, max: u32) -> Result<Vec<u8>, TransportError> {
        let mut buffer = vec![0; (max as usize).min(32 << 10)];
        let count = match &mut *self.stream.borrow_mut() {
            Stream::Plain(stream) => stream.read(&mut buffer),
            Stream::Tls(stream) => stream.read(&mut buffer),
        };
        match count.map_err(io)? {
            0 => Err(TransportError::Closed),
            count => {
                buffer.truncate(count);
                Ok(buffer)
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), TransportError> {
        match &mut *self.stream.borrow_mut() {
            Stream::Plain(stream) => stream.write_all(bytes).map_err(io),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()).map_err(io),
        }
    }

    fn start_tls(&self) -> Result<(), TransportError> {
        Err(TransportError::Denied(
            "The bench has no server with STARTTLS.".to_owned(),
        ))
    }

    fn sign_in(&self, _: &str) -> Result<Vec<u8>, TransportError> {
        Err(TransportError::Denied(
            "The bench has no server with a sign-in.".to_owned(),
        ))
    }

    fn release(self, memo: &[u8], _: &[u8]) {
        *self.slot.borrow_mut() = Some((self.stream.into_inner(), memo.to_vec()));
    }
}

fn io(error: std::io::Error) -> TransportError {
    TransportError::Io(error.to_string())
}

struct NoFiles;

impl Files for NoFiles {
    fn open(&mut self, _: &str) -> Result<Box<dyn File>, FileError> {
        Err(FileError::NotFound)
    }
}
