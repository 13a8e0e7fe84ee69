//! The connections of connectors: the host resolves, dials, speaks TLS, signs in and pools; the connector speaks SMTP.
//!
//! A [`Route`] is the one way that a step was granted: one endpoint, the least security, one account. A transport is
//! a route with the [`Connections`] of the process behind it, and [`Link`] is one connection on it, the resource that a
//! connector holds. Nothing that a connector says can widen a route.

pub(crate) mod certificate;
mod certificate_trouble;
pub mod dial;
pub mod gate;
mod link;
mod pool;
mod sign_in;
mod socket;
mod tls;
mod transcript;
mod trust;
mod veil;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use link::{Link, LinkError};
use pipepost_accounts::{Account, Endpoint as AccountEndpoint, NamedBy, Security, TlsSettings, TlsVersion};
use pipepost_core::{EgressRule, Endpoint};
pub use pool::Connections;
pub(crate) use pool::Seat;
pub(crate) use tls::TlsConfigs;
pub use tls::TlsError;
pub use transcript::Transcript;

/// A host and a port, as they are dialled and shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How long connecting may take when the account does not say.
const CONNECT: Duration = Duration::from_secs(30);

/// Connections to one account at once when the account does not say.
const CONNECTIONS: u32 = 5;

/// Where a dry run's connections lead: a server inside this process.
pub type Rehearsal = Arc<dyn Fn() -> tokio::io::DuplexStream + Send + Sync>;

/// The one way that a step was granted.
#[derive(Clone)]
pub struct Route {
    /// Host and port.
    pub(crate) address: Endpoint,
    /// The least security that the host lets happen.
    pub(crate) least: Security,
    pub(crate) reach: EgressRule,
    pub(crate) tls: TlsSettings,
    pub(crate) account: Option<Arc<Account>>,
    /// The account signs in before anything but greetings leaves.
    pub(crate) signs_in: bool,
    pub(crate) client_name: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connections: u32,
    /// Set for a dry run: nothing is dialled.
    pub(crate) rehearsal: Option<Rehearsal>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("address", &self.address)
            .field("least", &self.least)
            .field("account", &self.account.as_ref().map(|account| account.label()))
            .field("signs_in", &self.signs_in)
            .finish_non_exhaustive()
    }
}

impl Route {
    /// The route to an endpoint that the account (or a step, where the account lets it) names.
    pub fn of_account(account: &Arc<Account>, endpoint: AccountEndpoint, signs_in: bool) -> Self {
        let reach = match endpoint.named_by {
            NamedBy::Account => EgressRule::Operator,
            _ => EgressRule::Step(account.allowed_networks().to_vec()),
        };
        Self {
            address: Endpoint {
                host: endpoint.host,
                port: endpoint.port,
            },
            least: endpoint.security,
            reach,
            tls: account.tls().clone(),
            signs_in: signs_in && account.has_secret(),
            client_name: account.client_name().map(str::to_owned),
            connect_timeout: account.timeouts().connect.unwrap_or(CONNECT),
            max_connections: account.limits().max_connections.unwrap_or(CONNECTIONS),
            account: Some(Arc::clone(account)),
            rehearsal: None,
        }
    }

    /// The route to a host that no account names, as the operator's policy allows it: never with a sign-in.
    pub fn of_policy(address: Endpoint, networks: Vec<ipnet::IpNet>) -> Self {
        Self {
            address,
            least: Security::None,
            reach: EgressRule::Step(networks),
            tls: TlsSettings {
                min: TlsVersion::V1_2,
                max: TlsVersion::V1_3,
                ca_file: None,
                ca: Vec::new(),
            },
            account: None,
            signs_in: false,
            client_name: None,
            connect_timeout: CONNECT,
            max_connections: CONNECTIONS,
            rehearsal: None,
        }
    }

    /// Bounds the TLS versions to 1.2 (`forceTLS1_2`).
    pub fn force_tls12(&mut self) {
        self.tls.max = TlsVersion::V1_2;
    }

    /// The same route, leading to a server inside this process: nothing is dialled, no secret is read.
    #[must_use]
    pub fn rehearsed(mut self, rehearsal: Rehearsal) -> Self {
        self.rehearsal = Some(rehearsal);
        self
    }

    /// For whom connections are counted.
    fn owner(&self) -> String {
        self.account
            .as_ref()
            .map_or_else(|| format!("//{}", self.address), |account| account.label().to_owned())
    }
}

/// A route, and the connections of the process behind it.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    pub(crate) route: Arc<Route>,
    pub(crate) connections: Arc<Connections>,
    /// The component's digest: connections are never handed from one component to another.
    pub(crate) component: Arc<str>,
}

impl Transport {
    /// Waits for a place among the account's connections.
    pub(crate) async fn place(&self) -> Option<Seat> {
        self.connections.place(&self.route).await
    }

    /// A place among them that is free now.
    pub(crate) fn try_place(&self) -> Option<Seat> {
        self.connections.try_place(&self.route)
    }

    /// Leave to make messages before there is a place: for as many instances as the account has connections.
    pub(crate) fn try_ahead(&self) -> Option<Seat> {
        self.connections.try_ahead(&self.route)
    }
}
