//! One attack: a server that does something, a relay that listens, one run of the binary.

use pipepost_inbox::script::{Action, At};
use pipepost_inbox::tls::Flaw;
use pipepost_inbox::{Script, Security};
use pipepost_tests::{AccountFile, Catcher, Ending, PASSWORD, Relay, Scratch, document, email};
use serde_json::{Value, json};

/// The exit code of each kind of failure.
const CODES: [(&str, i32); 8] = [
    ("invalid", 65),
    ("configuration", 78),
    ("authentication", 77),
    ("refused", 69),
    ("quota", 75),
    ("transient", 75),
    ("uncertain", 74),
    ("limit", 70),
];

/// Every place of the dialogue before a message can have been committed.
pub(super) const BEFORE_THE_COMMIT: [At; 6] = [At::Greeting, At::Ehlo, At::SignIn, At::Mail, At::Rcpt, At::Data];

/// What is not said to somebody who has proven nothing.
pub(super) const NOTHING_SECRET: &[&str] = &["AUTH", "MAIL", "RCPT", "DATA", "BDAT"];

/// How many bytes a person is asked to read at most.
const SENTENCES: usize = 2_000;

pub(super) fn flood(pattern: &str, bytes: Option<u64>) -> Action {
    Action::Flood {
        pattern: pattern.into(),
        bytes,
    }
}

/// An attack that is being set up.
pub(super) struct Attack {
    security: Security,
    script: Script,
    flaw: Flaw,
    account: Vec<(&'static str, Value)>,
    params: Value,
}

impl Attack {
    /// A server where TLS begins so, and that does what the script says.
    pub(super) fn new(security: Security, script: Script) -> Self {
        Self {
            security,
            script,
            flaw: Flaw::None,
            account: Vec::new(),
            params: json!({ "retry": false }),
        }
    }

    /// The same where every place of the dialogue is come to: without BDAT, which has no 354.
    pub(super) fn with_data(security: Security, script: Script) -> Self {
        Self::new(security, script.strip("CHUNKING"))
    }

    /// With something wrong with the certificate.
    pub(super) fn flawed(mut self, flaw: Flaw) -> Self {
        self.flaw = flaw;
        self
    }

    /// With an account that is otherwise in this field.
    pub(super) fn account(mut self, field: &'static str, value: impl Into<Value>) -> Self {
        self.account.push((field, value.into()));
        self
    }

    /// With the account's shortest useful time limit.
    pub(super) fn impatient(self) -> Self {
        let mut properties = json!({ "mail.smtp.timeout": "900", "mail.smtp.connectiontimeout": "900" });
        if self.security == Security::Implicit {
            properties["mail.smtp.ssl.enable"] = "true".into();
        }
        self.account("properties", properties)
    }

    /// With a step that is otherwise in this parameter.
    pub(super) fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params[name] = value.into();
        self
    }

    /// Runs a pipeline of one step against it.
    pub(super) fn run(self) -> Aftermath {
        let server = Catcher::with(|builder| builder.script(self.script).certificate_flaw(self.flaw));
        let behind = server.inbox().address_of(self.security).expect("all faces listen");
        let relay = Relay::to(behind);
        let at = ("127.0.0.1", relay.address().port());
        let mut account = match self.security {
            Security::Implicit => AccountFile::tls(at, &server.authority()),
            Security::StartTls | Security::Plain => AccountFile::starttls(at, &server.authority()),
        };
        for (field, value) in self.account {
            account = account.with(field, value);
        }
        let scratch = Scratch::with(&document(&[email(self.params)]), &account);
        let ending = scratch.run(&[]);
        // What was written to the server has been read by it then.
        server.wait_until_ended(relay.connections());
        Aftermath { ending, server, relay }
    }
}

/// What was left after an attack. Shown by its assertions, it is the whole of the run.
pub(super) struct Aftermath {
    ending: Ending,
    server: Catcher,
    relay: Relay,
}

impl Aftermath {
    /// The run failed with this kind: by its exit code, in its result, and in a sentence that holds these words; and nothing
    /// went over the wire that would have told the password.
    #[track_caller]
    pub(super) fn fails(self, kind: &str, words: &[&str]) -> Self {
        let code = CODES.iter().find(|(name, _)| *name == kind).map(|(_, code)| *code);
        let ending = self.ending.with_code(code.expect("a kind of failure")).says(words);
        ending.is_a_sentence(kind);
        let output = ending.json();
        assert_eq!(output["exception"], kind, "{ending}");
        assert_eq!(output["failure"]["kind"], kind, "{ending}");
        assert_eq!(output["success"], false, "{ending}");
        let outcome = if kind == "uncertain" { "uncertain" } else { "failed" };
        assert_eq!(output["outcome"], outcome, "{ending}");
        Self { ending, ..self }.kept_the_secret()
    }

    /// The message was sent all the same.
    #[track_caller]
    pub(super) fn succeeds(self) -> Self {
        let ending = self.ending.with_code(0);
        let output = ending.json();
        assert_eq!(output["outcome"], "sent", "{ending}");
        assert_eq!(output["success"], true, "{ending}");
        Self { ending, ..self }.kept_the_secret().stored(1)
    }

    #[track_caller]
    fn kept_the_secret(self) -> Self {
        assert_eq!(self.relay.overheard(PASSWORD), Vec::<String>::new(), "{}", self.ending);
        self
    }

    /// The server has heard none of these commands.
    #[track_caller]
    pub(super) fn never_heard(self, verbs: &[&str]) -> Self {
        for verb in verbs {
            let heard = self.server.commands(verb);
            assert!(heard.is_empty(), "it was told {heard:?}\n{}", self.ending);
        }
        self
    }

    /// So many messages are with the server.
    #[track_caller]
    pub(super) fn stored(self, count: usize) -> Self {
        assert_eq!(self.server.messages().len(), count, "{}", self.ending);
        self
    }

    /// It came to so many connections.
    #[track_caller]
    pub(super) fn connected(self, count: usize) -> Self {
        assert_eq!(self.relay.connections(), count, "{}", self.ending);
        self
    }

    /// Whatever the server has said, a person is not asked to read much of it.
    #[track_caller]
    pub(super) fn says_little(self) -> Self {
        assert!(self.ending.stderr.len() < SENTENCES, "{}", self.ending);
        self
    }

    /// The command lines with this verb that the server has heard.
    pub(super) fn heard(&self, verb: &str) -> Vec<String> {
        self.server.commands(verb)
    }

    /// What was printed for programs.
    pub(super) fn output(&self) -> Value {
        self.ending.json()
    }

    /// The forms in which the password went over the wire.
    pub(super) fn overheard(&self) -> Vec<String> {
        self.relay.overheard(PASSWORD)
    }

    /// The recipients of the messages that arrived.
    pub(super) fn recipients(&self) -> Vec<String> {
        let messages = self.server.messages();
        messages
            .iter()
            .flat_map(|message| message.envelope.to.clone())
            .collect()
    }
}
