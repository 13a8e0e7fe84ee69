//! What a step was granted, and the connections of the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pipepost_accounts::{Account, Endpoint as AccountEndpoint, Limits, NamedBy, Security, TlsSettings, TlsVersion};
use pipepost_core::egress::{AdmittedEndpoint, EgressDenied};
use pipepost_core::{EgressGate, EgressRule, Endpoint};
use tokio::io::DuplexStream;

use crate::pool::{ConnectionPermit, Connections};

/// How long connecting may take when the account does not say.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The settings of a dry run, whose connections lead to a server inside this process.
#[derive(Clone)]
pub struct DryRun(Arc<dyn Fn() -> DuplexStream + Send + Sync>);

impl DryRun {
    /// Makes a dry run; `connect` returns its connections.
    pub fn new(connect: impl Fn() -> DuplexStream + Send + Sync + 'static) -> Self {
        Self(Arc::new(connect))
    }

    pub(crate) fn connect(&self) -> DuplexStream {
        (self.0)()
    }
}

impl fmt::Debug for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DryRun")
    }
}

/// The one way to a server that a step was granted.
#[derive(Debug, Clone)]
pub struct Route {
    pub(crate) egress: AdmittedEndpoint,
    pub(crate) min_security: Security,
    pub(crate) tls: TlsSettings,
    pub(crate) account: Option<Arc<Account>>,
    /// The account signs in before anything but greetings leaves.
    pub(crate) signs_in: bool,
    /// The account signs in, at least where the server offers it.
    pub(crate) may_sign_in: bool,
    pub(crate) client_name: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) max_connections: u32,
    /// Set for a dry run: nothing is dialled.
    pub(crate) dry_run: Option<DryRun>,
}

impl Route {
    /// Makes the route to an endpoint that the account names (or a step, where the account permits it).
    ///
    /// # Errors
    /// Returns an error when the gate does not admit the endpoint.
    pub fn of_account(
        gate: &EgressGate,
        account: &Arc<Account>,
        endpoint: AccountEndpoint,
        signs_in: bool,
    ) -> Result<Self, EgressDenied> {
        let rule = match endpoint.named_by {
            NamedBy::Account => EgressRule::Operator,
            NamedBy::Step => EgressRule::Step(account.allowed_networks().to_vec()),
        };
        Ok(Self {
            egress: gate.admit(Endpoint::new(&endpoint.host, endpoint.port), rule)?,
            min_security: endpoint.security,
            tls: account.tls().clone(),
            signs_in: signs_in && account.must_sign_in(),
            may_sign_in: signs_in && account.signs_in(),
            client_name: account.client_name().map(str::to_owned),
            connect_timeout: account.timeouts().connect.unwrap_or(CONNECT_TIMEOUT_DEFAULT),
            max_connections: account
                .limits()
                .max_connections
                .unwrap_or(Limits::MAX_CONNECTIONS_DEFAULT),
            account: Some(Arc::clone(account)),
            dry_run: None,
        })
    }

    /// Makes the route to a host that only a step names, as the operator's policy allows it. It never signs in.
    ///
    /// # Errors
    /// Returns an error when the policy does not name the host.
    pub fn of_policy(gate: &EgressGate, endpoint: Endpoint, min_security: Security) -> Result<Self, EgressDenied> {
        Ok(Self {
            egress: gate.admit_of_step(endpoint)?,
            min_security,
            tls: TlsSettings::default(),
            account: None,
            signs_in: false,
            may_sign_in: false,
            client_name: None,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            max_connections: Limits::MAX_CONNECTIONS_DEFAULT,
            dry_run: None,
        })
    }

    /// Limits the TLS version to 1.2 (`forceTLS1_2`).
    #[must_use]
    pub fn force_tls12(mut self) -> Self {
        self.tls.max = TlsVersion::V1_2;
        self
    }

    /// Directs the route to a server inside this process: nothing is dialled, and no secret is read.
    #[must_use]
    pub fn dry_run(mut self, dry_run: DryRun) -> Self {
        self.dry_run = Some(dry_run);
        self
    }

    /// Sets the time limit for connecting.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Returns the host and the port.
    pub fn endpoint(&self) -> &Endpoint {
        self.egress.endpoint()
    }

    /// Returns the least security that the host permits.
    pub fn min_security(&self) -> Security {
        self.min_security
    }

    /// Returns the account, where the route has one.
    pub fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// Checks whether the account signs in before anything except greetings leaves.
    pub fn signs_in(&self) -> bool {
        self.signs_in
    }

    /// Checks whether the account signs in, at least where the server offers it: some accounts with a client certificate
    /// send without a sign-in elsewhere.
    pub fn may_sign_in(&self) -> bool {
        self.may_sign_in
    }

    /// Checks whether this is a dry run, in which nothing is dialled.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run.is_some()
    }

    /// Returns the owner, by which connections are counted.
    pub(crate) fn owner(&self) -> String {
        self.account.as_ref().map_or_else(
            || format!("//{}", self.endpoint()),
            |account| account.label().to_owned(),
        )
    }
}

/// A route, together with the connections of the process.
#[derive(Debug, Clone)]
pub struct TransportGrant {
    /// The route on which connections are opened.
    pub route: Arc<Route>,
    /// The process's connections.
    pub connections: Arc<Connections>,
    /// The component's digest: a connection is never passed from one component to another.
    pub component: Arc<str>,
    /// The pipeline's digest: what a connector leaves with a connection reaches only runs of the same pipeline.
    pub pipeline: Arc<str>,
    /// The run: before another run gets a connection, the server is asked to forget what was begun on it.
    pub run: RunId,
}

/// The id of one run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// Returns a new id, which no other run has.
    #[must_use]
    pub fn next() -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        Self(RUNS.fetch_add(1, Ordering::Relaxed))
    }
}

impl TransportGrant {
    /// Waits for a place among the account's connections.
    pub async fn acquire(&self) -> Option<ConnectionPermit> {
        self.connections.acquire(&self.route).await
    }

    /// Returns a place among the account's connections if one is free now.
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        self.connections.try_acquire(&self.route)
    }

    /// Notes that the server has refused one more connection of the account. Returns whether other connections are
    /// live, for which the messages may wait. The caller then gives up its own place ([`ConnectionPermit::give_up`]).
    pub fn lower(&self) -> bool {
        self.connections.lower(&self.route)
    }

    /// Returns permission to make messages before there is a place, for as many instances as the account has
    /// connections.
    pub fn try_acquire_prefetch(&self) -> Option<ConnectionPermit> {
        self.connections.try_acquire_prefetch(&self.route)
    }
}
