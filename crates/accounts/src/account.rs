//! One labeled account, checked and typed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use rustls_pki_types::CertificateDer;

use crate::client_certificate::{ClientCertificate, ClientIdentity};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Place};
use crate::reference::SecretSource;
use crate::sasl::{Credentials, Mechanism};
use crate::secret::Secret;
use crate::sign_in::SignIn;

/// The type of an account: Digibee's account types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccountType {
    /// Host, port, user and password, with `mail.smtp.*` properties.
    SmtpAuthAndProperties,
    /// User and password for Gmail and the hosts that the account lists.
    Basic,
    /// A refresh token, from which access tokens are obtained.
    OAuth2,
    /// A Google service account's key, from which access tokens are obtained.
    GoogleKey,
}

impl AccountType {
    pub(crate) const ALL: [Self; 4] = [Self::SmtpAuthAndProperties, Self::Basic, Self::OAuth2, Self::GoogleKey];

    /// Returns the name used in files: `smtp-auth-and-properties`, `basic`, `oauth-2`, `google-key`.
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
    /// TLS is never used.
    None,
    /// TLS begins with STARTTLS (RFC 3207), and is required.
    StartTls,
    /// TLS begins with the first byte (RFC 8314, section 3).
    Tls,
}

impl Security {
    /// Returns `none`, `start-tls` or `tls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "start-tls",
            Self::Tls => "tls",
        }
    }
}

/// A TLS protocol version; versions below 1.2 are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// The requirements for a server's TLS handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The lowest version accepted.
    pub min: TlsVersion,
    /// The highest version offered.
    pub max: TlsVersion,
    /// The PEM file that `ca_file` names, as a path that can be opened.
    pub ca_file: Option<PathBuf>,
    /// The certificates in that file: trusted for this account in addition to the system's roots.
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

/// The account's own time limits; `None` means the limits of RFC 5321, section 4.5.3.2.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For the name look-up, TCP and TLS together (`connectiontimeout`).
    pub connect: Option<Duration>,
    /// For each wait for a reply (`timeout`).
    pub read: Option<Duration>,
    /// For each write (`writetimeout`).
    pub write: Option<Duration>,
}

/// How messages are sent: what `mail.smtp.*` sets besides the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// `mail.smtp.from`: the address of MAIL FROM, not of the header.
    pub envelope_from: Option<String>,
    /// Whether a message with a refused recipient still goes to the others; true by default.
    pub send_partial: bool,
    /// `mail.smtp.dsn.notify` as RFC 3461, section 4.1 writes it: `NEVER`, or some of `SUCCESS,FAILURE,DELAY`.
    pub dsn_notify: Option<String>,
    /// `mail.smtp.dsn.ret`: `FULL` or `HDRS` (RFC 3461, section 4.3).
    pub dsn_ret: Option<String>,
    /// Whether texts go in 8 bits where the server offers 8BITMIME, and not as quoted-printable or base64; false by
    /// default.
    pub allow_8bit: bool,
    /// Whether SMTPUTF8 may be used where it is offered; true by default.
    pub allow_utf8: bool,
    /// The greatest BDAT chunk in octets (RFC 3030), when the account states one; 0: BDAT is not used.
    pub chunk_size: Option<u32>,
    /// How much of a dialogue is sent together.
    pub pipelining: Pipelining,
}

/// How much of a dialogue is sent together, without waiting for replies (RFC 2920).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Pipelining {
    /// Within a transaction and from one transaction into the next.
    #[default]
    Full,
    /// Only within a transaction.
    Transaction,
    /// Each command waits for its reply.
    Off,
}

impl Pipelining {
    /// Returns `full`, `transaction` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Transaction => "transaction",
            Self::Off => "off",
        }
    }
}

/// The limits that the account sets for itself; `None` means no limit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at the same time.
    pub max_connections: Option<u32>,
    /// Messages in any sliding second.
    pub messages_per_second: Option<u32>,
    /// Messages in any sliding 24 hours.
    pub messages_per_day: Option<u32>,
    /// Recipients in one transaction; further recipients go into further transactions.
    pub recipients_per_message: Option<u32>,
    /// Messages on one connection; further messages go over further connections, one after the other.
    pub messages_per_connection: Option<u32>,
    /// Messages in flight on one connection: this number can become uncertain when the connection is lost.
    pub max_uncertain: Option<u32>,
}

impl Limits {
    /// Connections open at the same time when the account does not set a number.
    pub const MAX_CONNECTIONS_DEFAULT: u32 = 5;
}

/// A digest of everything that decides whether a connection may be shared, secrets included.
///
/// Two digests are equal within one process when the written values are equal and the references in them mean the same.
/// Each process uses a new key for it, so the digest does not help to guess a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision(pub(crate) [u8; 32]);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A labeled account: who signs in at which server, and how messages are sent.
///
/// [`Accounts::load`](crate::Accounts::load) makes it. It holds no resolved secret: [`Account::credentials`] reads the
/// sources each time it is called. [`Account::endpoint_for`] decides where it may sign in.
pub struct Account {
    pub(crate) label: String,
    pub(crate) kind: AccountType,
    pub(crate) description: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) is_stored: bool,
    pub(crate) place: Place,
    pub(crate) server: Server,
    pub(crate) tls: TlsSettings,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) timeouts: Timeouts,
    pub(crate) client_name: Option<String>,
    pub(crate) delivery: Delivery,
    pub(crate) from: Option<String>,
    pub(crate) from_name: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) username: Option<SecretSource>,
    pub(crate) username_shown: Option<String>,
    pub(crate) masked: Masked,
    pub(crate) sign_in: SignIn,
    pub(crate) mechanisms: Vec<Mechanism>,
    /// The sign-in is made where the server offers it, and mail is sent without it where not: TLS has shown the client's
    /// certificate already.
    pub(crate) sign_in_is_optional: bool,
    pub(crate) exposed_fields: Vec<String>,
    pub(crate) revision: Revision,
}

/// The fields that documents and connectors could see and whose values come from references: they are as secret as what the
/// references point to, unless the account exposes them. Numbers and switches are not among them.
#[derive(Debug, Default)]
pub(crate) struct Masked(pub(crate) Vec<(&'static str, Secret)>);

impl Masked {
    pub(crate) const FIELDS: [&'static str; 5] = ["host", "username", "from", "from_name", "mail.smtp.from"];

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == field)
    }
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

/// Nothing that connectors must not see is in it.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("label", &self.label)
            .field("kind", &self.kind)
            .field("place", &self.place)
            .field("seen", &self.public_view())
            .field("tls", &self.tls)
            .field("limits", &self.limits)
            .field("sign_in", &self.sign_in)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Returns the name by which steps and expressions choose the account.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the account's type.
    pub fn kind(&self) -> AccountType {
        self.kind
    }

    /// Returns the account's own description.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns the file that the account was read from.
    pub fn origin(&self) -> Option<&Path> {
        self.place.path()
    }

    /// Checks whether the account is in the encrypted store, where new refresh tokens are kept.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// Returns the name of the environment whose values the account has, where one was chosen.
    pub fn environment(&self) -> Option<&str> {
        self.environment.name()
    }

    /// Returns the TLS versions and the additional roots.
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// Returns the account's time limits.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Returns the name for EHLO (`mail.smtp.localhost`), when the account sets one.
    pub fn client_name(&self) -> Option<&str> {
        self.client_name.as_deref()
    }

    /// Returns how messages are sent.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns the default sender's address.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// Returns the default sender's display name.
    pub fn from_name(&self) -> Option<&str> {
        self.from_name.as_deref()
    }

    /// Returns the account's own limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the mechanisms it signs in with, in order of preference; empty when it does not sign in.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// Returns the user name, unless it is itself the secret (as with Postmark's server tokens), or comes from a reference and
    /// is not exposed.
    pub fn username(&self) -> Option<&str> {
        self.username_shown.as_deref()
    }

    /// Checks whether the account has a user name, shown or not.
    pub fn has_username(&self) -> bool {
        self.username.is_some()
    }

    /// Checks whether documents and connectors must not see the account's host: it comes from a reference, and is not exposed.
    pub fn hides_host(&self) -> bool {
        self.masked.has("host")
    }

    /// Returns how the account signs in.
    pub fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// Checks whether the account has a secret: it signs in, or shows a client certificate. If so, only the account can
    /// name the endpoint.
    pub fn has_secret(&self) -> bool {
        self.signs_in() || self.certificate.is_some()
    }

    /// Checks whether the account signs in at all.
    pub fn signs_in(&self) -> bool {
        !matches!(self.sign_in, SignIn::None)
    }

    /// Checks whether nothing may be sent before the account has signed in. Only an account with nothing but a client
    /// certificate, whose `auth` does not say more, sends without a sign-in where the server offers no EXTERNAL.
    pub fn must_sign_in(&self) -> bool {
        self.signs_in() && !self.sign_in_is_optional
    }

    /// Reads the certificate and the key to show to a server that asks for them, where the account has them.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`] when one of them cannot be read or is not what it should be.
    pub fn client_identity(&self) -> Result<Option<ClientIdentity>, Error> {
        self.certificate
            .as_ref()
            .map(|certificate| certificate.resolve(&self.environment))
            .transpose()
    }

    /// Checks whether the account's password is an access token.
    fn has_token_as_password(&self) -> bool {
        let mut mechanisms = self.mechanisms.iter().filter(|one| **one != Mechanism::External);
        mechanisms.all(|mechanism| mechanism.takes_token())
    }

    /// Checks whether the account may sign in without TLS, which is possible only at a loopback address.
    pub fn allow_plaintext_auth(&self) -> bool {
        self.server.allow_plaintext_auth
    }

    /// Returns the networks that may contain a host which only a step names.
    pub fn allowed_networks(&self) -> &[IpNet] {
        &self.server.allowed_networks
    }

    /// Returns a digest of everything that decides whether a connection may be shared.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Reads the user name and the password, for a sign-in at `host`.
    ///
    /// Returns `None` when the account does not sign in, and for accounts that sign in with tokens, which must be
    /// obtained first. For Gmail's hosts it removes the blanks with which an app password is shown.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`] when a reference cannot be read, and [`ErrorKind::Invalid`] for a Gmail user name
    /// that is not a whole address.
    pub fn credentials(&self, host: &str) -> Result<Option<Credentials>, Error> {
        let SignIn::Password(source) = &self.sign_in else {
            return Ok(None);
        };
        let username = self.resolve_username()?;
        if self.username_shown.is_some() {
            self.check_gmail_username(host, username.expose())?;
        }
        let secret = source.resolve(&self.environment)?;
        if self.has_token_as_password() {
            return Ok(Some(Credentials::token(username, secret)));
        }
        let secret = if crate::gmail::is_gmail(host) {
            crate::gmail::without_blanks(secret)
        } else {
            secret
        };
        Ok(Some(Credentials::password(username, secret)))
    }

    /// Returns what EXTERNAL says beside the certificate: the user to act as, where the account names one and has no
    /// password that the name belongs to.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Secret`] when a reference cannot be read.
    pub fn certificate_credentials(&self) -> Result<Credentials, Error> {
        let named = self
            .username
            .as_ref()
            .filter(|_| matches!(self.sign_in, SignIn::Certificate));
        let identity = match named {
            Some(source) => source.resolve(&self.environment)?,
            None => Secret::new(String::new()),
        };
        Ok(Credentials::certificate(identity))
    }

    /// Returns the user name and the given access token, for a sign-in.
    ///
    /// # Errors
    /// Returns the same errors as [`Account::credentials`].
    pub fn credentials_with_token(&self, token: Secret) -> Result<Credentials, Error> {
        Ok(Credentials::token(self.resolve_username()?, token))
    }

    pub(crate) fn resolve_username(&self) -> Result<Secret, Error> {
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
