//! How far away servers are, and how many connections that is worth.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipepost_accounts::Account;

use super::Connections;
use crate::route::Route;

impl Connections {
    /// Returns how long the answers of the account's server take to come: the shortest time that one took, once there
    /// were two. None as long as no connection of this process has measured it.
    pub fn round_trip(&self, account: &Account) -> Option<Duration> {
        self.state().round_trips.get(account.label()).copied()
    }

    /// Waits until [`Connections::round_trip`] is known.
    pub async fn round_trip_known(&self, account: &Account) -> Duration {
        loop {
            let told = self.measured.notified();
            tokio::pin!(told);
            // From here on nothing that is noted is missed.
            told.as_mut().enable();
            if let Some(known) = self.round_trip(account) {
                return known;
            }
            told.await;
        }
    }

    pub(crate) fn note_round_trip(&self, route: &Route, sample: Duration) {
        let owner = route.owner();
        {
            let mut state = self.state();
            let known = state.round_trips.entry(owner).or_insert(sample);
            *known = sample.min(*known);
        }
        self.measured.notify_waiters();
    }

    /// Lets up to `most` connections of an account live, where neither the account nor its server has said how many.
    /// Returns how many may live now.
    pub fn widen(&self, account: &Account, most: u32) -> u32 {
        if let Some(stated) = account.limits().max_connections {
            return stated;
        }
        let places = self.places_of(
            account.label().to_owned(),
            pipepost_accounts::Limits::MAX_CONNECTIONS_DEFAULT,
        );
        let _state = self.state();
        let now = places.most.load(Ordering::Relaxed);
        let wanted = match places.taught.load(Ordering::Relaxed) {
            0 => most as usize,
            taught => taught.min(most as usize),
        };
        let more = wanted.saturating_sub(now);
        places.live.add_permits(more);
        places.ahead.add_permits(more);
        places.most.store(now + more, Ordering::Relaxed);
        u32::try_from(now + more).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pipepost_accounts::oauth::Tokens;
    use pipepost_accounts::{Accounts, Environment};
    use pipepost_core::{EgressGate, Policy};

    use super::*;
    use crate::http_client::HttpClient;

    fn connections() -> (EgressGate, Connections) {
        let gate = EgressGate::new(Policy::default());
        let tokens = Tokens::new(Arc::new(HttpClient::new(gate.clone())));
        (gate, Connections::new(tokens, None))
    }

    fn account(limits: &str) -> Arc<Account> {
        let text = format!(
            r#"{{"label": "mail", "type": "smtp-auth-and-properties", "host": "127.0.0.1", "port": 25, "auth": false, "limits": {limits}}}"#
        );
        let accounts = Accounts::from_json(&text, std::path::Path::new("."), &Environment::process());
        Arc::clone(accounts.expect("an account").get("mail").expect("it is there"))
    }

    fn route(gate: &EgressGate, account: &Arc<Account>) -> Route {
        let endpoint = account.endpoint_for(None, None).expect("its own");
        Route::of_account(gate, account, endpoint, false).expect("an allowed one")
    }

    #[test]
    fn what_the_account_states_is_never_widened() {
        let (gate, connections) = connections();
        let account = account(r#"{"max_connections": 2}"#);
        let route = route(&gate, &account);
        assert_eq!(connections.widen(&account, 8), 2);
        assert_eq!(connections.places(&route).live.available_permits(), 2);
    }

    #[test]
    fn without_a_number_there_are_more_places_for_connections_and_for_those_who_wait() {
        let (gate, connections) = connections();
        let account = account("{}");
        let route = route(&gate, &account);
        assert_eq!(connections.widen(&account, 8), 8);
        assert_eq!(connections.widen(&account, 8), 8);
        let places = connections.places(&route);
        assert_eq!(places.live.available_permits(), 8);
        assert_eq!(places.ahead.available_permits(), 8);
        assert_eq!(connections.lowered(&route), None);
    }

    #[test]
    fn what_the_server_taught_in_this_process_or_an_earlier_one_is_never_exceeded() {
        let (gate, connections) = connections();
        let account = account("{}");
        let route = route(&gate, &account);
        connections.recall_connections(&route, 7);
        assert_eq!(connections.widen(&account, 8), 7);
        assert_eq!(connections.lowered(&route), Some(7));
        // Two live, and the third is refused.
        let places = connections.places(&route);
        let live: Vec<_> = (0..3).map(|_| connections.try_acquire(&route)).collect();
        assert!(live.iter().all(Option::is_some) && connections.lower(&route));
        assert_eq!(connections.widen(&account, 8), 2);
        assert_eq!(places.live.available_permits(), 0);
        assert_eq!(connections.lowered(&route), Some(2));
    }

    #[tokio::test]
    async fn whoever_waits_for_the_round_trip_hears_of_it() {
        let (gate, connections) = connections();
        let account = account("{}");
        let route = route(&gate, &account);
        assert_eq!(connections.round_trip(&account), None);
        let waiting = connections.round_trip_known(&account);
        let noting = async { connections.note_round_trip(&route, Duration::from_millis(40)) };
        let (known, ()) = tokio::join!(waiting, noting);
        assert_eq!(known, Duration::from_millis(40));
        connections.note_round_trip(&route, Duration::from_millis(50));
        assert_eq!(connections.round_trip(&account), Some(Duration::from_millis(40)));
    }
}
