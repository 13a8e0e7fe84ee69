//! One labeled account, checked and typed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use rustls_pki_types::CertificateDer;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place};
use crate::reference::SecretSource;
use crate::sasl::{Credentials, Mechanism};
use crate::secret::Secret;
use crate::sign_in::SignIn;

/// What an account is made of: Digibee's account types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountType {
    /// Host, port, user and password, with `mail.smtp.*` properties.
    SmtpAuthAndProperties,
    /// User and password for Gmail and the hosts it lists.
    Basic,
    /// A refresh token, for access tokens.
    OAuth2,
    /// A Google service account's key, for access tokens.
    GoogleKey,
}

impl AccountType {
    pub(crate) const ALL: [Self; 4] = [Self::SmtpAuthAndProperties, Self::Basic, Self::OAuth2, Self::GoogleKey];

    /// The name in files: `smtp-auth-and-properties`, `basic`, `oauth-2`, `google-key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SmtpAuthAndProperties => "smtp-auth-and-properties",
            Self::Basic => "basic",
            Self::OAuth2 => "oauth-2",
            Self::GoogleKey => "google-key",
        }
    }
}

impl fmt::Display for AccountType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How TLS begins, in order of how early it protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Security {
    /// Never.
    None,
    /// With STARTTLS (RFC 3207), required.
    StartTls,
    /// With the first byte (RFC 8314, section 3).
    Tls,
}

impl Security {
    /// `none`, `start-tls` or `tls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "start-tls",
            Self::Tls => "tls",
        }
    }
}

/// A TLS protocol version; none below 1.2 exists here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// What a server must show in the handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The least version accepted.
    pub min: TlsVersion,
    /// The greatest version offered.
    pub max: TlsVersion,
    /// The PEM file that `ca_file` names, as a path that can be opened.
    pub ca_file: Option<PathBuf>,
    /// The certificates in it: trusted for this account beside the system's roots.
    pub ca: Vec<CertificateDer<'static>>,
}

impl Default for TlsSettings {
    /// TLS 1.2 and 1.3, and the system's roots only.
    fn default() -> Self {
        Self {
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
            ca_file: None,
            ca: Vec::new(),
        }
    }
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("min", &self.min)
            .field("max", &self.max)
            .field("ca_file", &self.ca_file)
            .field("ca", &self.ca.len())
            .finish()
    }
}

/// The account's own time limits; none means the limits of RFC 5321, section 4.5.3.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Name, TCP and TLS together (`connectiontimeout`).
    pub connect: Option<Duration>,
    /// Each wait for a reply (`timeout`).
    pub read: Option<Duration>,
    /// Each write (`writetimeout`).
    pub write: Option<Duration>,
}

/// How messages go out: what `mail.smtp.*` says beyond the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `mail.smtp.from`: MAIL FROM, not the header.
    pub envelope_from: Option<String>,
    /// Whether a message with a refused recipient still goes to the others; true by default.
    pub send_partial: bool,
    /// `mail.smtp.dsn.notify` as RFC 3461, section 4.1 writes it: `NEVER`, or some of `SUCCESS,FAILURE,DELAY`.
    pub dsn_notify: Option<String>,
    /// `mail.smtp.dsn.ret`: `FULL` or `HDRS` (RFC 3461, section 4.3).
    pub dsn_ret: Option<String>,
    /// Whether 8BITMIME may be used where it is offered; true by default.
    pub allow_8bit: bool,
    /// Whether SMTPUTF8 may be used where it is offered; true by default.
    pub allow_utf8: bool,
    /// The greatest BDAT chunk in octets (RFC 3030), when the account states one.
    pub chunk_size: Option<u32>,
    /// How much of a dialogue travels together.
    pub pipelining: Pipelining,
}

/// How much of a dialogue travels together (RFC 2920).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Pipelining {
    /// Within a transaction and from one transaction into the next.
    #[default]
    Full,
    /// Within a transaction.
    Transaction,
    /// One command, one reply.
    Off,
}

impl Pipelining {
    /// `full`, `transaction` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Transaction => "transaction",
            Self::Off => "off",
        }
    }
}

/// The limits that the account states for itself; none is no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once.
    pub max_connections: Option<u32>,
    /// Messages in any sliding second.
    pub messages_per_second: Option<u32>,
    /// Messages in any sliding 24 hours.
    pub messages_per_day: Option<u32>,
    /// Recipients in one transaction; more are split into further ones.
    pub recipients_per_message: Option<u32>,
    /// Messages on one connection; more go over further ones, one after the other.
    pub messages_per_connection: Option<u32>,
    /// Messages in flight on one connection: so many can become uncertain when it is lost.
    pub max_uncertain: Option<u32>,
}

impl Limits {
    /// Connections open at once when the account does not say.
    pub const MAX_CONNECTIONS_DEFAULT: u32 = 5;
}

/// Digest of everything that decides whether a connection may be shared, secrets included.
///
/// Equal within one process when what is written is equal and references in it mean the same; it is keyed afresh in
/// each process, so it gives nothing to guess a password against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(pub(crate) [u8; 32]);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A labeled account: who signs in where, and how messages go out.
///
/// Made by [`Accounts::load`](crate::Accounts::load). It holds no resolved secret: [`Account::credentials`] reads the
/// sources each time it is called. Where it may sign in is [`Account::endpoint_for`]'s to say.
#[derive(Debug)]
pub struct Account {
    pub(crate) label: String,
    pub(crate) kind: AccountType,
    pub(crate) description: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) place: Place,
    pub(crate) server: Server,
    pub(crate) tls: TlsSettings,
    pub(crate) timeouts: Timeouts,
    pub(crate) client_name: Option<String>,
    pub(crate) delivery: Delivery,
    pub(crate) from: Option<String>,
    pub(crate) from_name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) username: Option<SecretSource>,
    pub(crate) username_shown: Option<String>,
    pub(crate) sign_in: SignIn,
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) exposed_fields: Vec<String>,
    pub(crate) revision: Revision,
}

/// A host of `allowed_hosts`, with one port or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedHost {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

/// Where the account's server is, and how TLS begins there.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    pub(crate) tls_from_first_byte: bool,
    pub(crate) starttls: bool,
    pub(crate) allow_plaintext_auth: bool,
    pub(crate) allowed_hosts: Vec<AllowedHost>,
    pub(crate) allowed_networks: Vec<IpNet>,
}

impl Account {
    /// The name by which steps and expressions mean it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its type.
    pub fn kind(&self) -> AccountType {
        self.kind
    }

    /// What it says about itself.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The file it came from.
    pub fn origin(&self) -> Option<&Path> {
        self.place.path()
    }

    /// TLS versions and additional roots.
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// Its time limits.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// The name for EHLO (`mail.smtp.localhost`), when it states one.
    pub fn client_name(&self) -> Option<&str> {
        self.client_name.as_deref()
    }

    /// How messages go out.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The default sender's address.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The default sender's display name.
    pub fn from_name(&self) -> Option<&str> {
        self.from_name.as_deref()
    }

    /// Its own limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The mechanisms it signs in with, in order of preference; empty when it does not sign in.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// The user name, unless it is itself the secret (as with Postmark's server tokens).
    pub fn username(&self) -> Option<&str> {
        self.username_shown.as_deref()
    }

    /// Which way it signs in.
    pub fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// Whether it signs in at all: the endpoint is then the account's alone to name.
    pub fn has_secret(&self) -> bool {
        !matches!(self.sign_in, SignIn::None)
    }

    /// Whether it may sign in without TLS at a loopback address, and there alone.
    pub fn allow_plaintext_auth(&self) -> bool {
        self.server.allow_plaintext_auth
    }

    /// The networks in which a host may lie that only a step names.
    pub fn allowed_networks(&self) -> &[IpNet] {
        &self.server.allowed_networks
    }

    /// Digest of everything that decides whether a connection may be shared.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Reads user name and password, for a sign-in at `host`.
    ///
    /// None when the account does not sign in, and for accounts that sign in with tokens they must first obtain.
    /// For Gmail's hosts the blanks that an app password is shown with are taken out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Secret`] when a reference cannot be read; [`ErrorKind::Invalid`] for a Gmail user name that is not
    /// a whole address.
    pub fn credentials(&self, host: &str) -> Result<Option<Credentials>, Error> {
        let SignIn::Password(source) = &self.sign_in else {
            return Ok(None);
        };
        let username = self.resolve_username()?;
        if self.username_shown.is_some() {
            self.check_gmail_username(host, username.expose())?;
        }
        let secret = source.resolve(&self.environment)?;
        if self.mechanisms.iter().all(|mechanism| mechanism.takes_token()) {
            return Ok(Some(Credentials::token(username, secret)));
        }
        let secret = if crate::gmail::is_gmail(host) {
            crate::gmail::without_blanks(secret)
        } else {
            secret
        };
        Ok(Some(Credentials::password(username, secret)))
    }

    /// User name and the given access token, for a sign-in.
    ///
    /// # Errors
    ///
    /// As [`Account::credentials`].
    pub fn credentials_with_token(&self, token: Secret) -> Result<Credentials, Error> {
        Ok(Credentials::token(self.resolve_username()?, token))
    }

    fn resolve_username(&self) -> Result<Secret, Error> {
        match &self.username {
            Some(source) => source.resolve(&self.environment),
            None => Err(Error::new(
                ErrorKind::Missing,
                self.place.with_field("username"),
                "it is needed to sign in; write the user name",
            )),
        }
    }

    fn check_gmail_username(&self, host: &str, username: &str) -> Result<(), Error> {
        if crate::gmail::is_gmail(host) && !username.contains('@') {
            let message = crate::gmail::USERNAME_WITHOUT_DOMAIN;
            return Err(Error::new(
                ErrorKind::Invalid,
                self.place.with_field("username"),
                message,
            ));
        }
        Ok(())
    }
}
