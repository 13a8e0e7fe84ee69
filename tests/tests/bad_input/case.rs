//! What can be known before a connection is made: none is.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use pipepost_tests::{AccountFile, Authority, Flaw, Scratch, document, email, redact};
use serde_json::{Value, json};

/// A server that nobody may call on.
pub(super) struct Untouched(TcpListener);

impl Untouched {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket of our own");
        Self(listener)
    }

    pub(super) fn account(&self, folder: &Path) -> AccountFile {
        let certificate = Authority::new().issue(Flaw::None, folder);
        let port = self.0.local_addr().expect("it is bound").port();
        AccountFile::starttls(("127.0.0.1", port), &certificate.authority)
    }

    pub(super) fn was_called(&self) -> bool {
        !matches!(self.0.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// What is wrong, and what is said of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Makes the files of a good run bad.
    pub(super) spoil: fn(&Scratch, &AccountFile),
    pub(super) arguments: &'static [&'static str],
    pub(super) code: i32,
    pub(super) says: &'static [&'static str],
}

pub(super) const RUN: &[&str] = &["run", "pipeline.json", "--accounts", "accounts.json"];

/// Runs each on a desk where everything else is right.
pub(super) fn fails(cases: &[Case]) {
    for case in cases {
        let server = Untouched::new();
        let scratch = Scratch::new();
        let account = server.account(scratch.folder());
        scratch.write("pipeline.json", document(&[email(json!({}))]).to_string());
        scratch.write("accounts.json", account.json().to_string());
        (case.spoil)(&scratch, &account);
        let ending = scratch.pipepost(case.arguments);
        assert_eq!(
            ending.code,
            Some(case.code),
            "{}: another exit code was expected\n{ending}",
            case.name
        );
        for words in case.says {
            assert!(
                ending.stderr.contains(words),
                "{}: it does not say `{words}`\n{ending}",
                case.name
            );
        }
        ending.is_a_sentence(case.name);
        let name: String = case
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name.as_str(), redact(&ending.stderr, scratch.folder()));
        });
        assert!(!server.was_called(), "{}: the server was called\n{ending}", case.name);
    }
}

pub(super) fn pipeline(scratch: &Scratch, steps: &[Value]) {
    scratch.write("pipeline.json", document(steps).to_string());
}

pub(super) fn parameters(scratch: &Scratch, params: Value) {
    pipeline(scratch, &[email(params)]);
}
