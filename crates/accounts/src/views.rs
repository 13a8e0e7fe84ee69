//! What others may see of an account: a connector, and the expressions of a pipeline.
//!
//! Both are built from lists of allowed fields. A new field of an account is in neither until it is added there.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::account::{Account, Pipelining, Security, Timeouts};
use crate::client_certificate;
use crate::error::Error;
use crate::fields::normal;
use crate::reference::SecretSource;
use crate::sign_in::SignIn;
use crate::suggest::nearest;

/// The result of looking up `{{ account.label.field }}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldAccess {
    /// The field is in [`Account::expression_view`] under this name.
    Allowed(&'static str),
    /// The field is a secret, or its value comes from a reference, and the account does not list it under
    /// `exposed_fields`.
    Refused(&'static str),
    /// The account has no such field. Holds the nearest field that it has, if one is near.
    Unknown(Option<&'static str>),
}

/// What a connector may know of an account. It is built from a list of allowed fields: a new field of an account is not
/// in it until it is added there. As JSON it is the account document of contract 0.1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicView {
    /// The account's label; `None` where the operator's policy names the server and no account does.
    pub label: Option<String>,
    /// The account's type.
    #[serde(rename = "type")]
    pub account_type: Option<String>,
    /// The server's name or address.
    pub host: Option<String>,
    /// The server's TCP port.
    pub port: Option<u16>,
    /// The least security for that server.
    #[serde(serialize_with = "as_text")]
    pub security: Security,
    /// The user name that signs in.
    pub username: Option<String>,
    /// The sender's address where the step names none.
    pub from: Option<String>,
    /// The name that is shown with the sender.
    pub from_name: Option<String>,
    /// The mechanisms that may sign in, the preferred one first. Empty means no sign-in.
    pub mechanisms: Vec<String>,
    /// `mail.smtp.from`: MAIL FROM where the step names none.
    pub envelope_from: Option<String>,
    /// Whether a message with a refused recipient still goes to the others.
    pub send_partial: bool,
    /// The account's time limits.
    pub timeouts: PublicTimeouts,
    /// How much of a dialogue is sent together.
    #[serde(serialize_with = "pipelining_as_text")]
    pub pipelining: Pipelining,
    /// The most recipients of one transaction.
    pub recipients_per_message: Option<u32>,
    /// The most messages that one connection carries.
    pub messages_per_connection: Option<u32>,
    /// The most messages that one lost connection may make uncertain.
    pub max_uncertain: Option<u32>,
    /// Whether texts go in 8 bits where the server offers 8BITMIME.
    pub allow_8bit: bool,
    /// Whether SMTPUTF8 may be used where it is offered.
    pub allow_utf8: bool,
    /// NOTIFY of RFC 3461, section 4.1.
    pub dsn_notify: Option<String>,
    /// RET of RFC 3461, section 4.3.
    pub dsn_ret: Option<String>,
    /// The largest BDAT chunk in octets (RFC 3030); 0: BDAT is not used.
    pub chunk_size: Option<u32>,
}

/// The account's time limits in milliseconds; `None` where it sets none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say all")]
pub struct PublicTimeouts {
    pub connect_ms: Option<u64>,
    pub read_ms: Option<u64>,
    pub write_ms: Option<u64>,
}

impl Default for PublicView {
    /// Of no account: no server, no sign-in, and the defaults of an account that says nothing.
    fn default() -> Self {
        Self {
            label: None,
            account_type: None,
            host: None,
            port: None,
            security: Security::None,
            username: None,
            from: None,
            from_name: None,
            mechanisms: Vec::new(),
            envelope_from: None,
            send_partial: true,
            timeouts: PublicTimeouts::default(),
            pipelining: Pipelining::default(),
            recipients_per_message: None,
            messages_per_connection: None,
            max_uncertain: None,
            allow_8bit: false,
            allow_utf8: true,
            dsn_notify: None,
            dsn_ret: None,
            chunk_size: None,
        }
    }
}

/// As JSON.
impl fmt::Display for PublicView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<Timeouts> for PublicTimeouts {
    fn from(timeouts: Timeouts) -> Self {
        let milliseconds =
            |limit: Option<Duration>| limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        Self {
            connect_ms: milliseconds(timeouts.connect),
            read_ms: milliseconds(timeouts.read),
            write_ms: milliseconds(timeouts.write),
        }
    }
}

fn as_text<S: Serializer>(security: &Security, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(security.as_str())
}

fn pipelining_as_text<S: Serializer>(pipelining: &Pipelining, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(pipelining.as_str())
}

impl Account {
    /// Returns what a connector may know of the account. Nothing in it is a secret or leads to one.
    pub fn public_view(&self) -> PublicView {
        let endpoint = self.endpoint().ok();
        let delivery = self.delivery();
        PublicView {
            label: Some(self.label().to_owned()),
            account_type: Some(self.kind().as_str().to_owned()),
            port: endpoint.as_ref().map(|endpoint| endpoint.port),
            host: endpoint.filter(|_| !self.hides_host()).map(|endpoint| endpoint.host),
            security: self.least_security(),
            username: self.username().map(str::to_owned),
            from: self.seen("from", self.from()),
            from_name: self.seen("from_name", self.from_name()),
            mechanisms: self
                .mechanisms()
                .iter()
                .map(|mechanism| mechanism.as_str().to_owned())
                .collect(),
            envelope_from: self.seen("mail.smtp.from", delivery.envelope_from.as_deref()),
            send_partial: delivery.send_partial,
            timeouts: self.timeouts().into(),
            pipelining: delivery.pipelining,
            recipients_per_message: self.limits().recipients_per_message,
            messages_per_connection: self.limits().messages_per_connection,
            max_uncertain: self.limits().max_uncertain,
            allow_8bit: delivery.allow_8bit,
            allow_utf8: delivery.allow_utf8,
            dsn_notify: delivery.dsn_notify.clone(),
            dsn_ret: delivery.dsn_ret.clone(),
            chunk_size: delivery.chunk_size,
        }
    }

    /// Returns what `{{ account.label.field }}` reads, with the names of [`Account::field_access`].
    ///
    /// # Errors
    /// Returns an error only when the account exposes a secret and its source cannot be read.
    pub fn expression_view(&self) -> Result<Value, Error> {
        let endpoint = self.endpoint().ok();
        let mut view = Map::new();
        let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
        put("label", self.label().into());
        put("type", self.kind().as_str().into());
        put("description", self.description().into());
        if !self.hides_host() {
            put("host", endpoint.as_ref().map(|endpoint| endpoint.host.clone()).into());
        }
        put("port", endpoint.as_ref().map(|endpoint| endpoint.port).into());
        put("starttls_enable", self.server.starttls.into());
        put("auth", self.has_secret().into());
        for (name, value) in [("from", self.from()), ("from_name", self.from_name())] {
            if !self.masked.has(name) {
                put(name, value.into());
            }
        }
        if let Some(username) = self.username() {
            put("username", username.into());
        }
        for (name, source) in self.secrets() {
            if self.exposes(name) {
                put(name, source.resolve(&self.environment)?.expose().into());
            }
        }
        Ok(Value::Object(view))
    }

    /// Checks whether an expression may read a field of this account. The name may be in any case, with `-` or `_`. It
    /// reads no secret, so it also works where the secrets are not available.
    pub fn field_access(&self, name: &str) -> FieldAccess {
        const PUBLIC: [&str; 9] = [
            "label",
            "type",
            "description",
            "host",
            "port",
            "starttls_enable",
            "auth",
            "from",
            "from_name",
        ];
        let name = normal(name);
        let public = || {
            let shown = PUBLIC.into_iter().filter(|field| !self.masked.has(field));
            shown.chain(self.username().map(|_| "username"))
        };
        if let Some(field) = public().find(|field| *field == name) {
            return FieldAccess::Allowed(field);
        }
        if let Some((field, _)) = self.masked.0.iter().find(|(field, _)| *field == name) {
            return FieldAccess::Refused(field);
        }
        match self
            .secrets()
            .into_iter()
            .map(|(field, _)| field)
            .find(|field| *field == name)
        {
            Some(field) if self.exposes(field) => FieldAccess::Allowed(field),
            Some(field) => FieldAccess::Refused(field),
            None => FieldAccess::Unknown(nearest(&name, public())),
        }
    }

    /// The secrets by their field names.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, &SecretSource)> {
        let mut secrets = match &self.sign_in {
            SignIn::None | SignIn::Certificate => Vec::new(),
            SignIn::Password(password) => vec![("password", password)],
            SignIn::OAuth(client) => {
                let named = [
                    ("client_secret", &client.client_secret),
                    ("refresh_token", &client.refresh_token),
                ];
                named
                    .into_iter()
                    .filter_map(|(name, source)| Some((name, source.as_ref()?)))
                    .collect()
            }
            SignIn::ServiceAccount(service) => vec![("key", &service.key)],
        };
        if let (Some(username), None) = (&self.username, &self.username_shown) {
            secrets.push(("username", username));
        }
        if let Some(certificate) = &self.certificate {
            secrets.push((client_certificate::KEY, &certificate.key));
        }
        secrets
    }

    /// A value for a connector, unless it comes from a reference and is not exposed.
    fn seen(&self, field: &str, value: Option<&str>) -> Option<String> {
        value.filter(|_| !self.masked.has(field)).map(str::to_owned)
    }

    fn exposes(&self, field: &str) -> bool {
        self.exposed_fields.iter().any(|exposed| exposed == field)
    }

    fn least_security(&self) -> Security {
        self.endpoint().map_or_else(
            |_| self.server.security_at(self.server.port),
            |endpoint| endpoint.security,
        )
    }
}
