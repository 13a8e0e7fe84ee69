mod cluster;

use std::sync::Arc;

use cluster::Database;
use pipepost_state::suite::{Machine, SimClock};

use super::*;

/// Workers that share a database.
struct Workers {
    database: Database,
    clock: Arc<SimClock>,
}

impl Machine for Workers {
    type Process = PostgresStore;

    const OUTLIVES_A_CRASH: bool = true;

    fn new(clock: Arc<SimClock>) -> Self {
        Self {
            database: Database::new(),
            clock,
        }
    }

    fn process(&self) -> PostgresStore {
        let address = Address::parse(&self.database.address("")).expect("an address");
        PostgresStore::with_clock(address, trust(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn crash(&self, process: PostgresStore) {
        process.crash();
    }
}

pipepost_state::expand_suite!(Workers, skipped if cluster::is_missing());

/// No authority at all: the tests of this crate speak over a socket.
fn trust() -> Trust {
    Trust::with(|_| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the protocol's versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    })
}
