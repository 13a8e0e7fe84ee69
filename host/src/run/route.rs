//! Decides where a step's connection may lead, before the connector sees anything.
//!
//! The order of the checks: first the endpoint that the step's document names (only what is written there counts); then
//! the account's rule, which a step can make stricter and never weaker; then the operator's policy, which limits both.

use std::sync::Arc;

use pipepost_accounts::{Account, Security};
use pipepost_core::egress::EgressDenied;
use pipepost_core::sentence::sentence;
use pipepost_core::{EgressGate, Endpoint, Failure, FailureKind, Remedy};
use pipepost_flowspec::parameters::Grant;
use pipepost_flowspec::{CompiledConnector, EndpointParameter};
use pipepost_net::Route;
use serde_json::Value;

use crate::host::Host;

/// What a step says of its endpoint.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RequestedEndpoint {
    host: Option<String>,
    port: Option<u16>,
    tls_port: Option<u16>,
    sign_in: bool,
    start_tls: bool,
    tls: bool,
    only_tls12: bool,
}

impl RequestedEndpoint {
    /// Reads the parameters that name the endpoint. Host and ports count only when the document writes them; the flags
    /// also by their defaults.
    pub(super) fn read(connector: &CompiledConnector, resolved: &Value) -> Result<Self, Failure> {
        let mut wanted = Self {
            sign_in: true,
            ..Self::default()
        };
        for EndpointParameter { name, grant, written } in &connector.endpoint {
            let is_written = written.is_some();
            let Some(value) = resolved.get(name) else { continue };
            let flag = || value.as_bool().unwrap_or_default();
            match grant {
                Grant::Host if is_written => wanted.host = value.as_str().map(|host| host.trim().to_owned()),
                Grant::Port if is_written => wanted.port = Some(port(name, value)?),
                Grant::TlsPort if is_written => wanted.tls_port = Some(port(name, value)?),
                Grant::SignIn => wanted.sign_in = flag(),
                Grant::StartTls => wanted.start_tls = flag(),
                Grant::Tls => wanted.tls = flag(),
                Grant::Tls12 => wanted.only_tls12 = flag(),
                _ => {}
            }
        }
        // TLS from the first byte is of account only while STARTTLS is off; so is its port.
        wanted.tls &= !wanted.start_tls;
        if wanted.tls && wanted.tls_port.is_some() {
            wanted.port = wanted.tls_port;
        }
        Ok(wanted)
    }
}

fn port(name: &str, value: &Value) -> Result<u16, Failure> {
    let number = value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0);
    number.ok_or_else(|| {
        Failure::new(
            FailureKind::Invalid,
            format!("The parameter `{name}` is no port: it must be a number from 1 to 65535."),
        )
    })
}

/// Makes the route of the calls that want the same, with the account that they use.
pub(super) fn route(host: &Host, account: Option<&Arc<Account>>, wanted: &RequestedEndpoint) -> Result<Route, Failure> {
    let mut route = match account {
        Some(account) => of_account(&host.gate, account, wanted)?,
        None => of_policy(&host.gate, wanted)?,
    };
    if wanted.only_tls12 {
        route = route.force_tls12();
    }
    if let Some(dry_run) = &host.dry_run {
        return Ok(route.dry_run(dry_run.clone()));
    }
    if let Some(account) = account
        && let Err(error) = account.client_identity()
    {
        return Err(Failure::new(FailureKind::Configuration, sentence(&error.to_string())));
    }
    if let Some(account) = account.filter(|_| route.may_sign_in()) {
        // A secret that is not there is told before anybody is called.
        let credentials = account.credentials(&route.endpoint().host);
        let credentials =
            credentials.map_err(|error| Failure::new(FailureKind::Configuration, sentence(&error.to_string())))?;
        if let Some(credentials) = &credentials {
            host.connections.expect_credentials(credentials);
        }
    }
    Ok(route)
}

fn of_account(gate: &EgressGate, account: &Arc<Account>, wanted: &RequestedEndpoint) -> Result<Route, Failure> {
    let endpoint = account
        .endpoint_for(wanted.host.as_deref(), wanted.port)
        .map_err(|denied| Failure::new(FailureKind::Configuration, sentence(&denied.to_string())))?;
    let endpoint = if wanted.start_tls || wanted.tls {
        endpoint.raised()
    } else {
        endpoint
    };
    if endpoint.security == Security::None && wanted.sign_in && account.has_secret() && !account.allow_plaintext_auth()
    {
        let message = format!(
            "The account `{}` would sign in at {} without TLS.",
            account.label(),
            Endpoint::new(&endpoint.host, endpoint.port)
        );
        return Err(Failure::new(FailureKind::Configuration, message)
            .advise("Turn TLS on, in the account (\"starttls_enable\": true) or in the step (isOverTLS)."));
    }
    Route::of_account(gate, account, endpoint, wanted.sign_in).map_err(|error| denied(&error))
}

fn of_policy(gate: &EgressGate, wanted: &RequestedEndpoint) -> Result<Route, Failure> {
    let Some(name) = &wanted.host else {
        let message = "The step has no account and names no host.";
        return Err(Failure::new(FailureKind::Configuration, message).advise("Give the step an `accountLabel`."));
    };
    let least = match (wanted.start_tls, wanted.tls) {
        (true, _) => Security::StartTls,
        (false, true) => Security::Tls,
        (false, false) => Security::None,
    };
    let endpoint = Endpoint::new(name, wanted.port.unwrap_or(587));
    Route::of_policy(gate, endpoint, least).map_err(|error| denied(&error))
}

/// What the egress gate refused, with what to do.
pub(crate) fn denied(error: &EgressDenied) -> Failure {
    let failure = Failure::new(FailureKind::Configuration, error.to_string());
    match error {
        EgressDenied::NotAllowed(endpoint) => failure.advise(format!(
            "Add \"{endpoint}\" to the policy's `hosts`, or use another account."
        )),
        EgressDenied::NotNamed(_) => failure
            .advise("Give the step an account of that host, or name the host in a policy.")
            .with_remedy(Remedy::NamePolicy),
    }
}
