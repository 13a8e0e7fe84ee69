//! What of an account others may see: a connector, and the expressions of a pipeline.
//!
//! Both are built from lists of allowed fields. A field that is added to an account is in neither until it is put there.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::account::{Account, Timeouts};
use crate::error::Error;
use crate::fields::normal;
use crate::reference::SecretSource;
use crate::sign_in::SignIn;
use crate::suggest::nearest;

/// What `{{ account.label.field }}` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldAccess {
    /// It is in [`Account::expression_view`] under this name.
    Allowed(&'static str),
    /// It is a secret that the account does not list under `exposed_fields`.
    Refused(&'static str),
    /// The account has no such field; the nearest that it has, if one is near.
    Unknown(Option<&'static str>),
}

impl Account {
    /// What a connector is told: nothing here is, or leads to, a secret.
    ///
    /// Fields: `label`, `type`, `host`, `port`, `security` (`tls`, `start-tls`, `none`: the least), `username`, `from`,
    /// `from_name`, `mechanisms`, `envelope_from`, `send_partial`, `timeouts` (`connect_ms`, `read_ms`, `write_ms`),
    /// `pipelining`, `recipients_per_message`, `messages_per_connection`, `max_uncertain`, `allow_8bit`, `allow_utf8`, `dsn_notify`, `dsn_ret`, `chunk_size`. What
    /// the account does not say is `null`.
    pub fn public_view(&self) -> Value {
        let endpoint = self.endpoint().ok();
        let delivery = self.delivery();
        json!({
            "label": self.label(),
            "type": self.kind().as_str(),
            "host": endpoint.as_ref().map(|endpoint| &endpoint.host),
            "port": endpoint.as_ref().map(|endpoint| endpoint.port),
            "security": self.least_security().as_str(),
            "username": self.username(),
            "from": self.from(),
            "from_name": self.from_name(),
            "mechanisms": self.mechanisms().iter().map(|mechanism| mechanism.as_str()).collect::<Vec<_>>(),
            "envelope_from": delivery.envelope_from,
            "send_partial": delivery.send_partial,
            "timeouts": timeouts_view(self.timeouts()),
            "pipelining": delivery.pipelining.as_str(),
            "recipients_per_message": self.limits().recipients_per_message,
            "messages_per_connection": self.limits().messages_per_connection,
            "max_uncertain": self.limits().max_uncertain,
            "allow_8bit": delivery.allow_8bit,
            "allow_utf8": delivery.allow_utf8,
            "dsn_notify": delivery.dsn_notify,
            "dsn_ret": delivery.dsn_ret,
            "chunk_size": delivery.chunk_size,
        })
    }

    /// What `{{ account.label.field }}` reads, with the names of [`Account::field_access`].
    ///
    /// # Errors
    ///
    /// When the account exposes a secret and its source cannot be read; never otherwise.
    pub fn expression_view(&self) -> Result<Value, Error> {
        let endpoint = self.endpoint().ok();
        let mut view = Map::new();
        let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
        put("label", self.label().into());
        put("type", self.kind().as_str().into());
        put("description", self.description().into());
        put("host", endpoint.as_ref().map(|endpoint| endpoint.host.clone()).into());
        put("port", endpoint.as_ref().map(|endpoint| endpoint.port).into());
        put("starttls_enable", self.server.starttls.into());
        put("auth", self.has_secret().into());
        put("from", self.from().into());
        put("from_name", self.from_name().into());
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

    /// Whether an expression may read a field of this account, by its name in any case, `-` and `_` alike. It reads no
    /// secret, so it answers where there are none.
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
        let public = || PUBLIC.into_iter().chain(self.username().map(|_| "username"));
        if let Some(field) = public().find(|field| *field == name) {
            return FieldAccess::Allowed(field);
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
            SignIn::None => Vec::new(),
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
        secrets
    }

    fn exposes(&self, field: &str) -> bool {
        self.exposed_fields.iter().any(|exposed| exposed == field)
    }

    fn least_security(&self) -> crate::Security {
        self.endpoint().map_or_else(
            |_| self.server.security_at(self.server.port),
            |endpoint| endpoint.security,
        )
    }
}

fn timeouts_view(timeouts: Timeouts) -> Value {
    let milliseconds =
        |limit: Option<Duration>| limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    json!({
        "connect_ms": milliseconds(timeouts.connect),
        "read_ms": milliseconds(timeouts.read),
        "write_ms": milliseconds(timeouts.write),
    })
}
