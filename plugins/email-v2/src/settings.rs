//! What the account's public view says about the conversation.

use std::time::Duration;

use pipepost_smtp::{ClientName, Config, Pipelining, Security as SmtpSecurity};
use serde_json::Value;

use crate::connection_limit::ConnectionLimit;
use crate::failure::{Failure, FailureKind};
use crate::replies::Server;
use crate::world::Security;

/// Where and how to speak. The host has decided the endpoint; it would allow no other.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account's label, for sentences.
    label: Option<String>,
    /// A name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How TLS begins.
    pub security: Security,
    /// The mechanisms that may sign in, in order of preference; empty: no sign-in.
    mechanisms: Vec<String>,
    pipelining: Pipelining,
    send_partial: bool,
    /// The account's own time limit for each reply.
    read: Option<Duration>,
    write: Option<Duration>,
    /// Recipients in one transaction; more go into further ones.
    pub recipients: usize,
    /// Messages on one connection; more go over further ones.
    pub messages_per_connection: Option<u32>,
    /// Messages that one lost connection may make uncertain.
    max_uncertain: Option<usize>,
    allow_utf8: bool,
}

/// RFC 5321, section 4.5.3.1.8: every server takes a hundred. Gmail takes no more.
const RECIPIENTS: usize = 100;

impl Settings {
    /// Reads the account's public view.
    ///
    /// # Errors
    ///
    /// When it names no server.
    pub fn from_view(view: &Value) -> Result<Self, Failure> {
        let text = |name: &str| view.get(name).and_then(Value::as_str);
        let number = |value: Option<&Value>| value.and_then(Value::as_u64);
        let timeout = |name: &str| {
            number(view.get("timeouts").and_then(|timeouts| timeouts.get(name))).map(Duration::from_millis)
        };
        let (Some(host), Some(port)) = (text("host"), number(view.get("port"))) else {
            return Err(
                Failure::new(FailureKind::Configuration, "The step has no server to send through.")
                    .with_advice("Give it an account, or name a host in the account"),
            );
        };
        Ok(Self {
            label: text("label").map(str::to_owned),
            host: host.to_owned(),
            port: u16::try_from(port).unwrap_or_default(),
            security: match text("security") {
                Some("tls") => Security::Tls,
                Some("none") => Security::None,
                _ => Security::StartTls,
            },
            mechanisms: view
                .get("mechanisms")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
                .unwrap_or_default(),
            pipelining: match text("pipelining") {
                Some("off") => Pipelining::Off,
                Some("transaction") => Pipelining::Transaction,
                _ => Pipelining::Full,
            },
            send_partial: view.get("send_partial").and_then(Value::as_bool).unwrap_or(true),
            read: timeout("read_ms"),
            write: timeout("write_ms"),
            recipients: number(view.get("recipients_per_message"))
                .and_then(|most| usize::try_from(most).ok())
                .filter(|most| *most > 0)
                .unwrap_or(RECIPIENTS),
            messages_per_connection: number(view.get("messages_per_connection"))
                .and_then(|most| u32::try_from(most).ok())
                .filter(|most| *most > 0),
            max_uncertain: number(view.get("max_uncertain"))
                .and_then(|most| usize::try_from(most).ok())
                .filter(|most| *most > 0),
            allow_utf8: view.get("allow_utf8").and_then(Value::as_bool).unwrap_or(true),
        })
    }

    /// Who is spoken to, for sentences.
    pub fn server(&self) -> Server<'_> {
        Server {
            host: &self.host,
            port: self.port,
            account: self.label.as_deref(),
        }
    }

    /// Whether a message that needs SMTPUTF8 may be sent.
    pub fn allows_utf8(&self) -> bool {
        self.allow_utf8
    }

    /// The protocol's configuration for one connection. `plain`: the dialogue that every server speaks. `limit`: how many
    /// messages it may carry.
    ///
    /// # Errors
    ///
    /// When the name for EHLO is none.
    pub(crate) fn config(&self, client_name: &str, plain: bool, limit: ConnectionLimit) -> Result<Config, Failure> {
        let name = ClientName::parse(client_name).map_err(|error| {
            Failure::new(
                FailureKind::Configuration,
                format!("The name for EHLO cannot be said: {error}."),
            )
            .with_advice("Correct `mail.smtp.localhost` in the account")
        })?;
        let security = match self.security {
            Security::Tls => SmtpSecurity::Tls,
            Security::StartTls => SmtpSecurity::StartTls,
            Security::None => SmtpSecurity::None,
        };
        let mut config = Config::new(name, security);
        config.mechanisms = self.mechanisms.clone();
        config.send_partial = self.send_partial;
        config.pipelining = if plain { Pipelining::Off } else { self.pipelining };
        config.chunking = !plain;
        if let Some(most) = self.max_uncertain {
            config.window.messages = most;
        }
        config.messages_per_connection = limit.most();
        if limit.is_unknown() {
            config.chunking = false;
            if config.pipelining == Pipelining::Full {
                config.pipelining = Pipelining::Transaction;
            }
        }
        if let Some(read) = self.read {
            let timeouts = &mut config.timeouts;
            // Not the wait for the end of a message: less than the standard's makes copies.
            for wait in [
                &mut timeouts.greeting,
                &mut timeouts.command,
                &mut timeouts.mail,
                &mut timeouts.rcpt,
                &mut timeouts.data,
            ] {
                *wait = read;
            }
        }
        if let Some(write) = self.write {
            config.timeouts.block = write;
        }
        Ok(config)
    }
}
