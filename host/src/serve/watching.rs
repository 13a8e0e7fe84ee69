//! What happens below the runs, told to the metrics of a service.

use std::sync::Arc;

use pipepost_engine::{StopObserver, StopReason};
use pipepost_net::{SignInObserver, SignInResult};
use pipepost_serve::metrics::Metrics;

/// Counts sign-ins, and connectors that were stopped.
#[derive(Debug, Clone)]
pub struct MetricsObserver(Arc<Metrics>);

impl MetricsObserver {
    /// Makes one that counts in these metrics.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self(metrics)
    }
}

impl SignInObserver for MetricsObserver {
    fn signed_in(&self, account: &str, result: SignInResult) {
        self.0.count_sign_in(account, result.as_str());
    }
}

impl StopObserver for MetricsObserver {
    fn stopped(&self, connector: &str, reason: StopReason) {
        self.0.count_stop(connector, reason.as_str());
    }
}
