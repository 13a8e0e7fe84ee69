//! The egress gate: the operator policy and the address rule together.

use std::net::IpAddr;
use std::sync::Arc;

use super::{EgressRule, ForbiddenAddress};
use crate::{Endpoint, Policy};

/// A gate that admits endpoints to dial: the operator's policy checks the name and supplies the rule for its addresses.
///
/// Code that dials takes an [`AdmittedEndpoint`], which only a gate makes. So nothing is dialled unless the policy was
/// asked first. Clones share the policy. The default gate has no policy.
#[derive(Debug, Clone, Default)]
pub struct EgressGate {
    policy: Arc<Policy>,
}

/// An endpoint that may be dialled, at the addresses that its rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedEndpoint {
    endpoint: Endpoint,
    rule: EgressRule,
}

/// The reason why an endpoint may not be dialled. `Display` is a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenied {
    /// The policy lists hosts, and this host is not in the list.
    #[error("The policy does not allow {0}.")]
    NotAllowed(Endpoint),
    /// A step names the host without an account, and no policy names it.
    #[error("The step names {0} without an account, and no policy allows that.")]
    NotNamed(Endpoint),
}

impl EgressGate {
    /// Makes a gate from a policy.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy: Arc::new(policy),
        }
    }

    /// Returns the operator's policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Admits an endpoint that an account, or a provider that an account uses, allows.
    ///
    /// # Errors
    /// Returns [`EgressDenied::NotAllowed`] when the policy lists hosts and this one is not in the list.
    pub fn admit(&self, endpoint: Endpoint, rule: EgressRule) -> Result<AdmittedEndpoint, EgressDenied> {
        if self.policy.allows(&endpoint) {
            Ok(AdmittedEndpoint { endpoint, rule })
        } else {
            Err(EgressDenied::NotAllowed(endpoint))
        }
    }

    /// Admits an endpoint that a step names without an account. It may lead into the networks that the policy opens.
    ///
    /// # Errors
    /// Returns [`EgressDenied::NotNamed`] when the policy does not name the host.
    pub fn admit_of_step(&self, endpoint: Endpoint) -> Result<AdmittedEndpoint, EgressDenied> {
        if self.policy.names(&endpoint) {
            let rule = EgressRule::Step(self.policy.networks().to_vec());
            Ok(AdmittedEndpoint { endpoint, rule })
        } else {
            Err(EgressDenied::NotNamed(endpoint))
        }
    }
}

impl AdmittedEndpoint {
    /// Returns the host and the port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Checks an address that the host resolved to.
    ///
    /// # Errors
    /// Returns the reason why the address may not be dialled.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        self.rule.check(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(policy: &str) -> EgressGate {
        EgressGate::new(Policy::from_json(policy).expect("a policy"))
    }

    fn mail() -> Endpoint {
        Endpoint::new("mail.example", 587)
    }

    #[test]
    fn without_a_policy_the_accounts_decide_and_steps_name_nothing() {
        let gate = EgressGate::default();
        assert!(gate.admit(mail(), EgressRule::Operator).is_ok());
        assert_eq!(gate.admit_of_step(mail()), Err(EgressDenied::NotNamed(mail())));
    }

    #[test]
    fn a_policy_bounds_whoever_names_the_host() {
        let closed = gate(r#"{"hosts": ["other.example"]}"#);
        for rule in [EgressRule::Operator, EgressRule::Step(vec![])] {
            assert_eq!(closed.admit(mail(), rule), Err(EgressDenied::NotAllowed(mail())));
        }
        assert_eq!(closed.admit_of_step(mail()), Err(EgressDenied::NotNamed(mail())));
    }

    #[test]
    fn the_rule_goes_with_the_endpoint() {
        let open = gate(r#"{"hosts": ["mail.example"], "networks": ["10.0.0.0/8"]}"#);
        let [private, loopback] = ["10.1.2.3", "127.0.0.1"].map(|address| address.parse().expect("an address"));
        let by_account = open.admit(mail(), EgressRule::Operator).expect("allowed");
        assert_eq!(by_account.check(loopback), Ok(()));
        let by_step = open.admit_of_step(mail()).expect("named");
        assert_eq!(by_step.check(private), Ok(()));
        assert_eq!(by_step.check(loopback), Err(ForbiddenAddress::Inner(loopback)));
    }
}
