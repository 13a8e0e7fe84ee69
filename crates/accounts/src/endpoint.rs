//! Where an account may sign in: the whole rule, in one place.
//!
//! Where a secret is involved, the endpoint comes from the account, never from a step. The order of the checks: the
//! host that the step names, if it names one, must be the account's own or one that the account allows; then the same
//! for the port. After that, the account and the port decide how TLS begins, and a step can only raise it.

use std::fmt;
use std::net::IpAddr;

use crate::account::{Account, AccountType, AllowedHost, Security, Server};
use crate::gmail;
use crate::suggest::quoted;

/// The submission port (RFC 6409), where TLS begins with STARTTLS.
pub(crate) const SUBMISSION: u16 = 587;
/// The submission port on which TLS begins with the first byte (RFC 8314).
pub(crate) const SUBMISSIONS: u16 = 465;

/// A server that an account may talk to, and the least security for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address, in lower case, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The least security; see [`Endpoint::raised`].
    pub security: Security,
    /// Who named the host; it decides which addresses the host may resolve to.
    pub named_by: NamedBy,
}

impl Endpoint {
    /// Returns the endpoint for a step that asks for TLS, in either form: a connection that would have been in clear
    /// begins TLS with STARTTLS. Everything else stays, since the account decides how TLS begins.
    #[must_use]
    pub fn raised(mut self) -> Self {
        self.security = self.security.max(Security::StartTls);
        self
    }
}

/// The source that named a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NamedBy {
    /// The account or its provider named it, so the operator did. It may resolve to loopback and private addresses.
    Account,
    /// Only a step named it, which an account without a secret permits: inner addresses only within
    /// [`Account::allowed_networks`].
    Step,
}

/// The reason why a step may not use a server: one sentence, with what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied(String);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Denied {}

impl AllowedHost {
    /// `host`, `host:port`, `[v6]:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(host) = parse_host(text) {
            return Some(Self { host, port: None });
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some(Self {
            host: parse_host(host)?,
            port: Some(port),
        })
    }
}

impl Account {
    /// Returns the endpoint for a step that names this host and this port, or neither.
    ///
    /// A step's value counts as named only when it was written. It must then equal the account's, or be in the
    /// account's `allowed_hosts`. A `basic` account has no host of its own: it signs in at `smtp.gmail.com`, on port
    /// 587 unless the step names 465, and at its `allowed_hosts`, but nowhere else. An account without a secret and
    /// without a host uses the host that the step names.
    ///
    /// # Errors
    /// Returns a sentence that says what differs and what to change.
    pub fn endpoint_for(&self, step_host: Option<&str>, step_port: Option<u16>) -> Result<Endpoint, Denied> {
        let named = match step_host {
            Some(text) => Some(parse_host(text).ok_or_else(|| {
                Denied(format!(
                    "{} is not a host name or an address; correct the step's host, or leave it out",
                    quoted(text)
                ))
            })?),
            None => None,
        };
        let server = &self.server;
        let own = match self.kind {
            AccountType::Basic => Some(gmail::HOST.to_owned()),
            _ => server.host.clone(),
        };
        let is_own = match (&named, &own) {
            (Some(named), Some(own)) => named == own,
            (None, own) => own.is_some(),
            (Some(_), None) => false,
        };
        if is_own && let Some(host) = own {
            let port = self.own_port(&host, step_port)?;
            return Ok(self.endpoint_at(host, port, NamedBy::Account));
        }
        let Some(host) = named else {
            return Err(Denied(format!(
                "account \"{}\" has no host, and the step names none; write \"host\" into the account",
                self.label
            )));
        };
        let mut allowed = server
            .allowed_hosts
            .iter()
            .filter(|allowed| allowed.host == host)
            .peekable();
        if allowed.peek().is_some() {
            let port = allowed
                .find_map(|allowed| match (allowed.port, step_port) {
                    (Some(port), Some(asked)) => (port == asked).then_some(port),
                    (port, asked) => asked.or(port).or(Some(server.port)),
                })
                .ok_or_else(|| self.not_allowed(&host, step_port))?;
            return Ok(self.endpoint_at(host, port, NamedBy::Account));
        }
        if own.is_none() && !self.has_secret() {
            return Ok(self.endpoint_at(host, step_port.unwrap_or(server.port), NamedBy::Step));
        }
        Err(self.not_allowed(&host, step_port))
    }

    /// Returns the endpoint that the account itself names; `basic` accounts have Gmail's.
    ///
    /// # Errors
    /// Returns the same error as [`Account::endpoint_for`] when the account names no host.
    pub fn endpoint(&self) -> Result<Endpoint, Denied> {
        self.endpoint_for(None, None)
    }

    fn endpoint_at(&self, host: String, port: u16, named_by: NamedBy) -> Endpoint {
        Endpoint {
            security: self.server.security_at(port),
            host,
            port,
            named_by,
        }
    }

    fn own_port(&self, host: &str, step_port: Option<u16>) -> Result<u16, Denied> {
        match (self.kind, step_port) {
            (AccountType::Basic, None) => Ok(SUBMISSION),
            (AccountType::Basic, Some(port)) => {
                let is_listed = self
                    .server
                    .allowed_hosts
                    .iter()
                    .any(|allowed| allowed.host == host && allowed.port.is_none_or(|allowed| allowed == port));
                if port == SUBMISSION || port == SUBMISSIONS || is_listed {
                    return Ok(port);
                }
                Err(self.not_allowed(host, step_port))
            }
            (_, None) => Ok(self.server.port),
            (_, Some(port)) if port == self.server.port => Ok(port),
            (_, Some(port)) => Err(Denied(format!(
                "the step names port {port}, and account \"{}\" signs in on port {}; leave the step's port out, or correct the account",
                self.label, self.server.port
            ))),
        }
    }

    fn not_allowed(&self, host: &str, port: Option<u16>) -> Denied {
        let entry = match (port, host.contains(':')) {
            (None, _) => host.to_owned(),
            (Some(port), false) => format!("{host}:{port}"),
            (Some(port), true) => format!("[{host}]:{port}"),
        };
        if self.kind == AccountType::Basic {
            return Denied(format!(
                "a basic account signs in at {} (465, 587) and at the hosts it allows, and account \"{}\" does not allow {entry}; if its password belongs there, add the line \"allowed_hosts\": [\"{entry}\"] to the account",
                gmail::HOST,
                self.label
            ));
        }
        Denied(format!(
            "the step names the host {entry}, and account \"{}\" signs in at {} alone; leave the step's host out, or choose the account of that host",
            self.label,
            self.server.host.as_deref().unwrap_or("its own host"),
        ))
    }
}

impl Server {
    /// How TLS begins on this port, at least.
    pub(crate) fn security_at(&self, port: u16) -> Security {
        if port == SUBMISSIONS || (self.tls_from_first_byte && port != SUBMISSION) {
            Security::Tls
        } else if self.starttls || self.tls_from_first_byte {
            Security::StartTls
        } else {
            Security::None
        }
    }
}

/// A host name or an address as it is compared: lower case, addresses in their one short form, no brackets, no final
/// dot. None for what cannot be either.
pub(crate) fn parse_host(text: &str) -> Option<String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label that is a number would be an address in some older spelling (RFC 3696, section 2), which resolvers
    // still read.
    let is_numeric = name.rsplit('.').next().is_some_and(|last| {
        last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    (name.len() <= 253 && name.split('.').all(is_label) && !is_numeric).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_spelling() {
        for (written, expected) in [
            ("SMTP.Gmail.com.", Some("smtp.gmail.com")),
            ("[::1]", Some("::1")),
            ("0:0:0:0:0:0:0:1", Some("::1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("127.1", None),
            ("2130706433", None),
            ("0x7f.1", None),
            ("0x7f000001", None),
            ("a b", None),
            ("a..b", None),
            ("-a.example", None),
            ("", None),
            ("smtp.gmail.com\r\n", None),
            ("bücher.example", None),
        ] {
            assert_eq!(parse_host(written).as_deref(), expected, "{written:?}");
        }
    }

    #[test]
    fn allowed_hosts_take_a_port() {
        let parse = |text| AllowedHost::parse(text).map(|allowed| (allowed.host, allowed.port));
        assert_eq!(parse("Mail.Example"), Some(("mail.example".to_owned(), None)));
        assert_eq!(
            parse("mail.example:2525"),
            Some(("mail.example".to_owned(), Some(2525)))
        );
        assert_eq!(parse("[::1]:2525"), Some(("::1".to_owned(), Some(2525))));
        assert_eq!(parse("::1"), Some(("::1".to_owned(), None)));
        assert_eq!(parse("*.example"), None);
        assert_eq!(parse("mail.example:0"), None);
    }
}
