//! The part of an account's public view that concerns the conversation with the server.

use std::str::FromStr;
use std::time::Duration;

use pipepost_sdk::AccountView;
use pipepost_smtp::{ClientName, Config, DsnError, DsnRequest, Pipelining, Security as SmtpSecurity};

use crate::connection_limit::ConnectionLimit;
use crate::failure::{Failure, FailureKind};
use crate::replies::Server;
use crate::world::Security;

/// The server of a conversation and how to speak to it. The host has decided the endpoint, and would allow no other.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account's label, for sentences.
    label: Option<String>,
    /// The server: a host name or an IP address.
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
    /// The maximum number of recipients in one transaction. More recipients need further transactions.
    pub recipients: usize,
    /// The maximum number of messages on one connection. More messages need further connections.
    pub messages_per_connection: Option<u32>,
    /// Messages that one lost connection may make uncertain.
    max_uncertain: Option<usize>,
    allow_utf8: bool,
    /// What the account asks of delivery status notifications.
    pub dsn: DsnRequest,
    /// The maximum number of octets in one BDAT; 0: BDAT is not used.
    chunk: Option<u32>,
}

/// RFC 5321, section 4.5.3.1.8: every server takes a hundred. Gmail takes no more.
const RECIPIENTS: usize = 100;

/// The window of a connection whose account states none.
const UNCERTAIN_MAX: usize = 16;

impl Settings {
    /// Reads the account's public view.
    ///
    /// # Errors
    /// When the view names no server.
    pub fn from_view(view: Option<&AccountView>) -> Result<Self, Failure> {
        let with_server = view.and_then(|view| Some((view, view.endpoint.as_ref()?)));
        let Some((view, endpoint)) = with_server else {
            return Err(
                Failure::new(FailureKind::Configuration, "The step has no server to send through.")
                    .with_advice("Give it an account, or name a host in the account"),
            );
        };
        let mail = &view.mail;
        let some = |most: Option<u32>| {
            most.and_then(|most| usize::try_from(most).ok())
                .filter(|most| *most > 0)
        };
        Ok(Self {
            label: view.label.clone(),
            host: endpoint.host.clone(),
            port: endpoint.port,
            security: view.security,
            mechanisms: view.mechanisms.clone(),
            pipelining: match mail.pipelining {
                pipepost_sdk::Pipelining::Full => Pipelining::Full,
                pipepost_sdk::Pipelining::Transaction => Pipelining::Transaction,
                pipepost_sdk::Pipelining::Off => Pipelining::Off,
            },
            send_partial: mail.send_partial,
            read: mail.read_timeout_ms.map(Duration::from_millis),
            write: mail.write_timeout_ms.map(Duration::from_millis),
            recipients: some(mail.recipients_max).unwrap_or(RECIPIENTS),
            messages_per_connection: mail.connection_messages_max.filter(|most| *most > 0),
            max_uncertain: some(mail.uncertain_max),
            allow_utf8: mail.allow_utf8,
            dsn: DsnRequest {
                notify: dsn("dsn.notify", mail.dsn_notify.as_deref())?,
                ret: dsn("dsn.ret", mail.dsn_ret.as_deref())?,
                envelope_id: None,
            },
            chunk: mail.chunk_bytes,
        })
    }

    /// Returns the server and account for use in sentences.
    pub fn server(&self) -> Server<'_> {
        Server {
            host: &self.host,
            port: self.port,
            account: self.label.as_deref(),
        }
    }

    /// Returns how many messages one lost connection may make uncertain.
    pub(crate) fn uncertain_most(&self) -> usize {
        self.max_uncertain.unwrap_or(UNCERTAIN_MAX)
    }

    /// Checks whether a message that needs SMTPUTF8 may be sent.
    pub fn allows_utf8(&self) -> bool {
        self.allow_utf8
    }

    /// The protocol's configuration for one connection. `plain`: the dialogue that every server speaks. `limit`: how many
    /// messages it may carry.
    ///
    /// # Errors
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
        config.chunking = !plain && self.chunk != Some(0);
        config.chunk_octets = self.chunk.map(u64::from);
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
            // The wait for the end of a message too: who states a limit means a server that falls silent there. What is
            // uncertain then is not sent again by itself, so there are no copies.
            for wait in [
                &mut timeouts.greeting,
                &mut timeouts.command,
                &mut timeouts.mail,
                &mut timeouts.rcpt,
                &mut timeouts.data,
                &mut timeouts.finish,
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

/// One of the account's words about notifications.
fn dsn<T: FromStr<Err = DsnError>>(property: &str, value: Option<&str>) -> Result<Option<T>, Failure> {
    let parsed = value.map(str::parse).transpose();
    parsed.map_err(|error| {
        let message = format!("The account's `mail.smtp.{property}` cannot be asked for: {error}.");
        Failure::new(FailureKind::Configuration, message)
    })
}
