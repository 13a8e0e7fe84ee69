//! What the integration tests share: files in memory, and messages made in one call.

use std::collections::HashMap;
use std::rc::Rc;

use pipepost_email_v2::failure::Failure;
use pipepost_email_v2::files::{File, FileError, Files};
use pipepost_email_v2::message::{MessageSeed, Prepared, prepare};
use pipepost_email_v2::parameters::Parameters;
use pipepost_email_v2::world::Facts;
use pipepost_sdk::{AccountView, Call, Endpoint, MailSettings, Pipelining, Security};
use serde_json::Value;

/// Files in memory, by name.
#[derive(Default)]
pub(crate) struct Memory(HashMap<String, Rc<Vec<u8>>>);

impl Memory {
    pub(crate) fn with(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), Rc::new(content.into()));
        self
    }
}

impl Files for Memory {
    fn open(&mut self, name: &str) -> Result<Box<dyn File>, FileError> {
        match self.0.get(name) {
            Some(content) => Ok(Box::new(Open(Rc::clone(content)))),
            None => Err(FileError::NotFound),
        }
    }
}

struct Open(Rc<Vec<u8>>);

impl File for Open {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    /// Gives less than it could, as a host may.
    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        let rest = &self.0[offset as usize..];
        Ok(rest[..rest.len().min(max as usize).min(10_007)].to_vec())
    }
}

pub(crate) const ORIGIN: MessageSeed<'_> = MessageSeed {
    key: "run-7/start/2/item-15",
    now: 1_790_000_000,
    seed: 42,
};

pub(crate) fn try_message(parameters: Value, files: &mut dyn Files) -> Result<Prepared, Failure> {
    prepare(&Parameters::from_value(parameters, None)?, &ORIGIN, files)
}

/// The message, with a sender and a recipient where the parameters have none.
pub(crate) fn message(mut parameters: Value, files: &mut dyn Files) -> Prepared {
    for (key, default) in [("from", "a@x.example"), ("to", "b@y.example")] {
        if parameters.get(key).is_none() {
            parameters[key] = default.into();
        }
    }
    try_message(parameters, files).unwrap_or_else(|failure| panic!("{failure}"))
}

/// All octets, in pieces of this size at most.
pub(crate) fn octets(prepared: &mut Prepared, piece: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let before = out.len();
        let count = prepared
            .content
            .read_next(&mut out, piece)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(out.len() - before, count);
        assert!(count <= piece.max(78));
        if count == 0 {
            break;
        }
    }
    assert_eq!(out.len() as u64, prepared.content.size());
    out
}

/// What must hold for every message: CRLF and no other CR or LF, lines of 998 octets, seven bits, an end.
pub(crate) fn assert_travels(octets: &[u8]) {
    assert!(octets.ends_with(b"\r\n"));
    for line in octets.split_inclusive(|&octet| octet == b'\n') {
        let line = line
            .strip_suffix(b"\r\n")
            .unwrap_or_else(|| panic!("a bare LF in {:?}", String::from_utf8_lossy(line)));
        assert!(
            !line.contains(&b'\r'),
            "a bare CR in {:?}",
            String::from_utf8_lossy(line)
        );
        assert!(line.len() <= 998, "a line of {} octets", line.len());
    }
    assert!(
        octets.iter().all(|&octet| (1..128).contains(&octet)),
        "an octet that is not seven bits, or NUL"
    );
}

/// The header section, unfolded: names and values in their order.
pub(crate) fn header_section(octets: &[u8]) -> Vec<(String, String)> {
    let end = octets
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("an end of the headers");
    let text = String::from_utf8(octets[..end].to_vec()).expect("headers are text");
    text.replace("\r\n ", " ")
        .split("\r\n")
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The account `a` with a server that is spoken to in clear.
pub(crate) fn account() -> AccountView {
    AccountView {
        label: Some("a".to_owned()),
        account_type: None,
        username: None,
        endpoint: Some(Endpoint {
            host: "mx.test".to_owned(),
            port: 25,
        }),
        security: Security::None,
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

/// What a host knows of a fresh connection in clear.
pub(crate) fn fresh() -> Facts {
    Facts {
        tls: None,
        signed_in: None,
        client_name: "client.test".to_owned(),
        warm: false,
        idle_ms: 0,
    }
}

/// A first call.
pub(crate) fn call(id: u32, key: &str, parameters: &str) -> Call {
    Call {
        id,
        key: key.to_owned(),
        attempt: 1,
        parameters: parameters.to_owned(),
        remainder: None,
    }
}
