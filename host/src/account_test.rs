//! The test of an account: each part of the way to a signed-in connection is checked separately, and reported as soon
//! as its result is known.
//!
//! It uses the same way as a run's connection (the same resolver, addresses, TLS and sign-in), and sends nothing unless
//! it is given a recipient. The conversation is [`pipepost_probe`]'s.

mod alternate_port;
mod letter;
mod wire;

use std::sync::Arc;

use pipepost_accounts::{Account, Security};
use pipepost_core::{EgressGate, Endpoint, Failure, FailureKind, Remedy};
use pipepost_net::{
    Certificate, Connection, ConnectionError, Connections, DialError, Progress, Route, RunId, TransportGrant,
};
use pipepost_probe::{Capabilities, ClientName, CloseReason, Config, Event, Letter, ProbeError, Stage};
use pipepost_replies::{Loss, SessionFailure, explain_close, explain_loss, explain_reply};
use serde::Serialize;
use tokio::time::Instant;
use wire::{HostWire, WireTrouble};

use crate::exit_code::exit_code;

/// A certificate that ends sooner is worth a word.
const SOON: i64 = 14;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The name of the check: `account`, `name`, `connection`, `tls`, `greeting`, `capabilities`, `sign-in`, `sender`,
    /// `message`.
    pub name: &'static str,
    /// The state of what was checked.
    pub state: State,
    /// What was found, in words for a person.
    pub found: String,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The address of a page to open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What helps in the program around the library.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// The time that it took, in milliseconds.
    pub milliseconds: u64,
}

/// The state of what was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is as it should be.
    Passed,
    /// It works, but there is something to know about it.
    Warning,
    /// The test ended here.
    Failed,
    /// It does not apply to this account.
    Skipped,
}

/// The result of a test.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The account's label.
    pub account: String,
    /// The server, once it is known.
    pub server: Option<String>,
    /// All checks, in order.
    pub checks: Vec<Check>,
    /// The reason why the test ended early.
    pub failure: Option<Failure>,
}

impl Report {
    /// Returns the process exit code: 0, or the number of the failure's kind.
    pub fn exit_code(&self) -> u8 {
        self.failure.as_ref().map_or(0, |failure| exit_code(failure.kind))
    }
}

/// Tests an account as a step sends with it that leaves `isOverTLS` at its default: STARTTLS is required where the account
/// does not speak TLS from the first byte. `tell` is called with each check as it ends. With a recipient, a message is sent
/// at the end.
pub async fn test_account(
    account: &Arc<Account>,
    gate: &EgressGate,
    connections: &Arc<Connections>,
    recipient: Option<&str>,
    tell: &mut (dyn FnMut(&Check) + Send + Sync),
) -> Report {
    test(account, gate, connections, recipient, false, tell).await
}

/// Does the same as [`test_account`] for steps that say `isOverTLS: false`: an account without TLS speaks in clear.
pub async fn test_account_in_clear(
    account: &Arc<Account>,
    gate: &EgressGate,
    connections: &Arc<Connections>,
    recipient: Option<&str>,
    tell: &mut (dyn FnMut(&Check) + Send + Sync),
) -> Report {
    test(account, gate, connections, recipient, true, tell).await
}

async fn test(
    account: &Arc<Account>,
    gate: &EgressGate,
    connections: &Arc<Connections>,
    recipient: Option<&str>,
    in_clear: bool,
    tell: &mut (dyn FnMut(&Check) + Send + Sync),
) -> Report {
    let mut test = Test {
        account,
        connections,
        in_clear,
        host: String::new(),
        server: None,
        checks: Vec::new(),
        since: Instant::now(),
        tell,
    };
    let failure = test.run(gate, recipient).await.err();
    Report {
        account: account.label().to_owned(),
        server: test.server,
        checks: test.checks,
        failure: failure.map(|failure| *failure),
    }
}

struct Test<'a> {
    account: &'a Arc<Account>,
    connections: &'a Arc<Connections>,
    /// Steps do not ask for TLS.
    in_clear: bool,
    host: String,
    server: Option<String>,
    checks: Vec<Check>,
    since: Instant,
    tell: &'a mut (dyn FnMut(&Check) + Send + Sync),
}

type Ended = Result<(), Box<Failure>>;

impl Test<'_> {
    async fn run(&mut self, gate: &EgressGate, recipient: Option<&str>) -> Ended {
        let letter = match recipient
            .map(|recipient| letter::to_oneself(self.account, recipient))
            .transpose()
        {
            Ok(letter) => letter,
            Err(why) => return self.fail("message", Failure::new(FailureKind::Invalid, why)),
        };
        let endpoint = match self.account.endpoint() {
            Ok(endpoint) => endpoint,
            Err(denied) => {
                return self.fail(
                    "account",
                    Failure::new(FailureKind::Configuration, format!("{denied}.")),
                );
            }
        };
        let endpoint = if self.in_clear { endpoint } else { endpoint.raised() };
        let security = endpoint.security;
        let server = Endpoint::new(&endpoint.host, endpoint.port);
        self.server = Some(server.to_string());
        self.host = server.host;
        let route = match Route::of_account(gate, self.account, endpoint, true) {
            Ok(route) => route,
            Err(denied) => {
                let failure = Failure::new(FailureKind::Configuration, denied.to_string());
                return self.fail("account", failure);
            }
        };
        let signs_in = route.may_sign_in();
        let transport = TransportGrant {
            route: Arc::new(route),
            connections: Arc::clone(self.connections),
            component: "account-test".into(),
            pipeline: "account-test".into(),
            run: RunId::next(),
        };
        let opened = Connection::open_watched(&transport, security, &mut |progress| self.progress(&progress)).await;
        let link = match opened {
            Ok(link) => link,
            Err(error) => {
                let elsewhere = self.alternate_port(&error, gate, self.connections).await;
                return self.not_connected(&error, elsewhere);
            }
        };
        match link.tls_facts() {
            Some(_) => self.secured(&link),
            None if security == Security::None => {
                self.check("tls", State::Skipped, "none: the account speaks in clear".to_owned());
            }
            None => {}
        }
        let config = match self.config(&link, security, signs_in) {
            Ok(config) => config,
            Err(failure) => return self.fail("account", failure),
        };
        let patience = self.account.timeouts().read;
        let mut wire = HostWire::new(link, transport, security, patience);
        self.converse(&mut wire, config, letter, signs_in).await
    }

    async fn converse(&mut self, wire: &mut HostWire, config: Config, letter: Option<Letter>, signs_in: bool) -> Ended {
        let recipient = letter.as_ref().map(|letter| letter.recipient.to_string());
        let mut events = Vec::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut tell = move |event| {
            // The receiver lives as long as the conversation.
            let _ = sender.send(event);
        };
        let outcome = {
            let talking = pipepost_probe::converse(wire, config, letter, &mut tell);
            tokio::pin!(talking);
            loop {
                tokio::select! {
                    biased;
                    Some(event) = receiver.recv() => self.event(&event, &mut events),
                    outcome = &mut talking => break outcome,
                }
            }
        };
        while let Ok(event) = receiver.try_recv() {
            self.event(&event, &mut events);
        }
        if wire.begins_in_clear() && wire.link().tls_facts().is_some() {
            self.secured(wire.link());
        }
        match outcome {
            Ok(()) => {
                if !signs_in {
                    self.check("sign-in", State::Skipped, "the account does not sign in".to_owned());
                } else if !events.contains(&"sign-in") {
                    let found = "the server offers no EXTERNAL; the client certificate was for the TLS handshake only";
                    self.check("sign-in", State::Skipped, found.to_owned());
                }
                self.sender();
                match recipient {
                    None => Ok(()),
                    Some(_) if events.contains(&"message") => Ok(()),
                    Some(recipient) => {
                        let why = format!("The message to {recipient} was not sent.");
                        self.fail("message", Failure::new(FailureKind::Transient, why))
                    }
                }
            }
            Err(trouble) => self.trouble(trouble, &events, wire),
        }
    }

    fn config(&self, link: &Connection, security: Security, signs_in: bool) -> Result<Config, Failure> {
        let name = ClientName::parse(link.client_name()).map_err(|error| {
            Failure::new(
                FailureKind::Configuration,
                format!("The name for EHLO cannot be said: {error}."),
            )
            .advise("Correct mail.smtp.localhost in the account.")
        })?;
        let security = match security {
            Security::Tls => pipepost_probe::Security::Tls,
            Security::StartTls => pipepost_probe::Security::StartTls,
            Security::None => pipepost_probe::Security::None,
        };
        let mut config = Config::new(name, security);
        if signs_in {
            let mechanisms = self.account.mechanisms().iter();
            config.mechanisms = mechanisms.map(|mechanism| mechanism.as_str().to_owned()).collect();
        }
        Ok(config)
    }

    fn progress(&mut self, progress: &Progress) {
        match progress {
            Progress::Resolved(addresses) => {
                let all: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
                self.check("name", State::Passed, format!("{} is {}", self.host, all.join(", ")));
            }
            Progress::Connected(peer) => self.check("connection", State::Passed, format!("{peer} takes it")),
        }
    }

    fn event(&mut self, event: &Event, events: &mut Vec<&'static str>) {
        let (name, found) = match event {
            Event::Greeting(reply) => ("greeting", reply.to_string()),
            Event::Capabilities { capabilities, .. } => ("capabilities", offers(capabilities)),
            Event::Secured => ("tls", String::new()),
            Event::SignedIn { mechanism } => ("sign-in", format!("taken, by {mechanism}")),
            Event::Taken(reply) => ("message", format!("taken: {reply}")),
            _ => return,
        };
        events.push(name);
        if name == "tls" {
            // What the handshake showed is told by the link, which is lent to the conversation now.
            return;
        }
        self.check(name, State::Passed, found);
    }

    fn secured(&mut self, link: &Connection) {
        let version = link.facts().tls.unwrap_or_default();
        let Some(facts) = link.tls_facts() else { return };
        let cipher = facts.cipher.map(|cipher| format!(", {cipher}")).unwrap_or_default();
        let certificate = facts.certificate.as_ref().and_then(|bytes| Certificate::read(bytes));
        let Some(certificate) = certificate else {
            return self.check("tls", State::Passed, format!("{version}{cipher}"));
        };
        let days = certificate.days_left(jiff::Timestamp::now());
        let found = format!(
            "{version}{cipher}; the certificate of {} by {} has {days} days left",
            certificate.subject, certificate.issuer
        );
        if days < SOON {
            let advice = "Renew the server's certificate; mail stops when it ends.";
            self.record("tls", State::Warning, found, Some(advice.to_owned()), None, None);
        } else {
            self.check("tls", State::Passed, found);
        }
    }

    /// Gmail puts the signed-in address in the place of a From that it does not know as an alias.
    fn sender(&mut self) {
        let (Some(from), Some(username)) = (self.account.from(), self.account.username()) else {
            return;
        };
        let is_gmail = pipepost_replies::Provider::of_host(&self.host) == pipepost_replies::Provider::Gmail;
        if is_gmail && !letter::bare(from).eq_ignore_ascii_case(username) {
            self.record(
                "sender",
                State::Warning,
                format!("Gmail replaces the sender {from} by {username}, unless it is one of that account's verified addresses"),
                Some("Add the address under \"Send mail as\" in Gmail's settings, or leave \"from\" out.".to_owned()),
                Some("https://mail.google.com/mail/u/0/#settings/accounts".to_owned()),
                None,
            );
        }
    }

    /// Where nobody answers, what the other port says.
    async fn alternate_port(
        &self,
        error: &ConnectionError,
        gate: &EgressGate,
        connections: &Arc<Connections>,
    ) -> Option<String> {
        let ConnectionError::Dial(DialError::Refused { endpoint, .. } | DialError::TimedOut { endpoint, .. }) = error
        else {
            return None;
        };
        alternate_port::look(self.account, gate, connections, alternate_port::other(endpoint.port)?).await
    }

    fn not_connected(&mut self, error: &ConnectionError, elsewhere: Option<String>) -> Ended {
        let failure = |kind, advice: &str| {
            let failure = Failure::new(kind, error.to_string());
            match &elsewhere {
                Some(elsewhere) => failure.advise(format!("{elsewhere} {advice}").trim_end()),
                None if advice.is_empty() => failure,
                None => failure.advise(advice),
            }
        };
        match error {
            ConnectionError::Dial(DialError::Unresolved { .. }) => self.fail(
                "name",
                failure(FailureKind::Transient, "Check the host's spelling, and whether this machine has a network."),
            ),
            ConnectionError::Dial(DialError::Forbidden { .. }) => self.fail("name", failure(FailureKind::Configuration, "")),
            ConnectionError::Dial(DialError::Refused { .. }) => self.fail(
                "connection",
                failure(
                    FailureKind::Transient,
                    "Nothing listens on that port, or a firewall refuses it. Check the port: 587 (STARTTLS) and 465 (TLS) are for sending; many networks close 25.",
                ),
            ),
            ConnectionError::Dial(DialError::TimedOut { .. }) => self.fail(
                "connection",
                failure(
                    FailureKind::Transient,
                    "Many networks and cloud providers drop ports 25, 465 or 587 silently: try the other port, another network, or ask the provider to open it.",
                ),
            ),
            ConnectionError::Tls(_) | ConnectionError::Silent { .. } => self.fail("tls", failure(kind_of(error), "")),
            _ => self.fail("connection", failure(FailureKind::Transient, "")),
        }
    }

    fn trouble(&mut self, trouble: ProbeError<WireTrouble>, events: &[&'static str], wire: &HostWire) -> Ended {
        // The first thing that has not happened yet is the one that failed.
        let order = ["greeting", "capabilities", "sign-in", "message"];
        let place = order
            .into_iter()
            .find(|name| !events.contains(name))
            .unwrap_or("message");
        match trouble {
            ProbeError::Connection { error, awaited } => {
                let place = match (&error, awaited) {
                    (WireTrouble::Connection(ConnectionError::Tls(_)), _) | (_, Some(Stage::StartTls)) => "tls",
                    (WireTrouble::Connection(_), _) if wire.link().sign_in_not_offered().is_some() => "sign-in",
                    _ => place,
                };
                let server = wire.address().to_string();
                let failure = match error {
                    WireTrouble::TimedOut => failure_of(explain_loss(&server, Loss::Silent, awaited)),
                    WireTrouble::Connection(error) if error.is_closed() => {
                        failure_of(explain_loss(&server, Loss::Closed, awaited))
                    }
                    WireTrouble::Connection(error) => {
                        let mut failure = Failure::new(kind_of(&error), error.to_string());
                        if matches!(error, ConnectionError::Credentials(_)) {
                            failure.remedy = self.connections.remedy(self.account);
                        }
                        failure
                    }
                };
                self.fail(place, failure)
            }
            ProbeError::Dialogue(ending) => {
                let place = match &ending {
                    CloseReason::StartTlsMissing | CloseReason::StartTlsRefused(_) | CloseReason::Injected => "tls",
                    _ => place,
                };
                let mut failure = failure_of(explain_close(&self.host, &ending));
                if let CloseReason::SignInRefused { reply: Some(_), .. } = &ending {
                    let label = self.account.label();
                    failure.message = format!("The account `{label}` could not sign in. {}", failure.message);
                }
                self.fail(place, failure)
            }
            ProbeError::Refused { reply, stage } => {
                self.fail("message", failure_of(explain_reply(&self.host, &reply, stage)))
            }
            ProbeError::Unsent(why) => {
                let failure = Failure::new(
                    FailureKind::Uncertain,
                    format!("The message was not sent to its end: {why}."),
                );
                self.fail("message", failure)
            }
        }
    }

    fn check(&mut self, name: &'static str, state: State, found: String) {
        self.record(name, state, found, None, None, None);
    }

    fn fail(&mut self, name: &'static str, failure: Failure) -> Ended {
        let (message, advice, link) = (failure.message.clone(), failure.advice.clone(), failure.link.clone());
        self.record(name, State::Failed, message, advice, link, failure.remedy.clone());
        Err(Box::new(failure))
    }

    fn record(
        &mut self,
        name: &'static str,
        state: State,
        found: String,
        advice: Option<String>,
        link: Option<String>,
        remedy: Option<Remedy>,
    ) {
        let now = Instant::now();
        let check = Check {
            name,
            state,
            found,
            advice,
            link,
            remedy,
            milliseconds: u64::try_from((now - self.since).as_millis()).unwrap_or(u64::MAX),
        };
        self.since = now;
        (self.tell)(&check);
        self.checks.push(check);
    }
}

fn failure_of(explained: SessionFailure) -> Failure {
    Failure {
        kind: explained.kind,
        message: explained.message,
        advice: explained.advice,
        link: explained.link,
        wait: None,
        remedy: None,
    }
}

fn kind_of(error: &ConnectionError) -> FailureKind {
    match error {
        ConnectionError::Tls(error) if error.is_transient() => FailureKind::Transient,
        ConnectionError::Denied(_) | ConnectionError::Tls(_) | ConnectionError::TlsPort(_) => {
            FailureKind::Configuration
        }
        ConnectionError::Credentials(_) => FailureKind::Authentication,
        _ => FailureKind::Transient,
    }
}

/// What of the capabilities matters to a person.
fn offers(capabilities: &Capabilities) -> String {
    let mut words = Vec::new();
    if let Some(size) = capabilities.size {
        words.push(format!("messages of up to {} MB", size / 1_000_000));
    }
    for (offered, word) in [
        (capabilities.pipelining, "PIPELINING"),
        (capabilities.chunking, "CHUNKING"),
        (capabilities.smtputf8, "SMTPUTF8"),
        (capabilities.eight_bit_mime, "8BITMIME"),
    ] {
        if offered {
            words.push(word.to_owned());
        }
    }
    match capabilities.mechanisms.as_slice() {
        [] => words.push("no sign-in".to_owned()),
        mechanisms => words.push(format!("sign-in by {}", mechanisms.join(", "))),
    }
    words.join(", ")
}
