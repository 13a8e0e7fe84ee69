//! The process's connections: pooled ones that wait for use, places for live ones, and how often an account signs in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use pipepost_accounts::oauth::Tokens;
use pipepost_accounts::sasl::Credentials;
use pipepost_accounts::{Account, Revision, Security};
use pipepost_core::{Endpoint, Remedy};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::route::{Route, TransportGrant};
use crate::server_capacity::ServerCapacity;
use crate::session::IdleConnection;
use crate::sign_in_gate::SignInGate;
use crate::tls::TlsConfigs;
use crate::transcript::Transcript;
use crate::watching::{ConnectionCount, OpenSockets, SignInObserver};

mod distance;

/// How long a connection lies warm at most. Servers close idle ones after minutes; Gmail after ten.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How old a connection grows at most, however busy it is.
const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// Sign-ins of one account within [`SIGN_IN_WINDOW`]. Gmail answers many with `454 4.7.0 Too many login attempts`.
pub(crate) const SIGN_INS_MAX: usize = 60;
const SIGN_IN_WINDOW: Duration = Duration::from_secs(60);

/// What two uses of one connection must have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    revision: Option<Revision>,
    owner: String,
    endpoint: Endpoint,
    security: Security,
    tls12: bool,
    client_name: Option<String>,
    component: Arc<str>,
    signs_in: bool,
    dry_run: bool,
}

impl Key {
    pub(crate) fn new(transport: &TransportGrant, security: Security) -> Self {
        let route = &transport.route;
        Self {
            revision: route.account.as_ref().map(|account| account.revision()),
            owner: route.owner(),
            endpoint: route.endpoint().clone(),
            security,
            tls12: route.tls.max == pipepost_accounts::TlsVersion::V1_2,
            client_name: route.client_name.clone(),
            component: Arc::clone(&transport.component),
            signs_in: route.signs_in,
            dry_run: route.is_dry_run(),
        }
    }

    /// The label of the account; none for a connection without one.
    fn label(&self) -> Option<String> {
        self.revision.is_some().then(|| self.owner.clone())
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            revision: None,
            owner: "mail".to_owned(),
            endpoint: Endpoint::new("mx.test", 25),
            security: Security::None,
            tls12: false,
            client_name: None,
            component: "test".into(),
            signs_in: true,
            dry_run: false,
        }
    }
}

/// The connections of a process. Dropping it closes the pooled connections; [`Connections::close`] closes them in
/// order.
pub struct Connections {
    pub(crate) tls: TlsConfigs,
    /// The access tokens of every account: one renewal at a time, whichever run asks.
    pub(crate) tokens: Tokens,
    /// Where every dialogue is written down, if anywhere.
    pub(crate) transcript: Option<Arc<Transcript>>,
    /// Whose secrets are known to be good, and whose are not.
    pub(crate) sign_in_gate: SignInGate,
    /// Who is told of sign-ins, if anybody.
    pub(crate) observer: Option<Arc<dyn SignInObserver>>,
    pub(crate) sockets: OpenSockets,
    /// Told when a round trip becomes known.
    measured: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    warm: HashMap<Key, Vec<IdleConnection>>,
    places: HashMap<String, Places>,
    sign_ins: HashMap<String, VecDeque<Instant>>,
    /// Of each owner, the shortest time that an answer took.
    round_trips: HashMap<String, Duration>,
    /// Of each owner at each server.
    capacities: HashMap<(String, Endpoint), ServerCapacity>,
}

/// Of one owner.
#[derive(Clone)]
struct Places {
    /// For live connections.
    live: Arc<Semaphore>,
    /// For instances that make their messages while they wait for one: as many as there are connections.
    ahead: Arc<Semaphore>,
    /// How many connections may live: as many as the account says, or fewer once the server has refused one.
    most: Arc<AtomicUsize>,
    /// How many the server accepts, as far as it has taught that, in this process or an earlier one; else 0.
    taught: Arc<AtomicUsize>,
}

/// An instance's right to a connection, or to wait for one.
#[derive(Debug)]
pub struct ConnectionPermit {
    /// Whether the instance has to wait for a connection when it opens one.
    pub is_prefetch: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConnectionPermit {
    fn new(is_prefetch: bool, permit: OwnedSemaphorePermit) -> Self {
        Self {
            is_prefetch,
            permit: Some(permit),
        }
    }

    /// Gives the place up permanently: the server accepts no connection there. The holder waits for another place.
    pub fn give_up(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
        }
        self.is_prefetch = true;
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let warm: usize = self.state().warm.values().map(Vec::len).sum();
        f.debug_struct("Connections")
            .field("warm", &warm)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// Makes the connections of a process. Accounts with tokens sign in with `tokens`; every dialogue is written to the
    /// transcript.
    pub fn new(tokens: Tokens, transcript: Option<Arc<Transcript>>) -> Self {
        Self {
            tls: TlsConfigs::default(),
            tokens,
            transcript,
            sign_in_gate: SignInGate::default(),
            observer: None,
            sockets: OpenSockets::default(),
            measured: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Tells this observer of each sign-in.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn SignInObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Returns how many connections there are now, for each account that has had one.
    pub fn counts(&self) -> Vec<ConnectionCount> {
        let mut idle: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for (key, warm) in &self.state().warm {
            *idle.entry(key.label()).or_default() += warm.len();
        }
        self.sockets.counts(&idle)
    }

    /// Removes this secret from everything that servers say from now on: a server may know it from an earlier process.
    pub fn expect_credentials(&self, credentials: &Credentials) {
        self.tokens.expect_credentials(credentials);
    }

    /// Returns what helps with the account's last access token, where none could be had and something does.
    pub fn remedy(&self, account: &Account) -> Option<Remedy> {
        use pipepost_accounts::Remedy::{Authorize, StoreThenAuthorize};
        let file = match self.tokens.remedy(account)? {
            Authorize => None,
            StoreThenAuthorize => account.origin().map(Path::to_path_buf),
            _ => return None,
        };
        Some(Remedy::AuthorizeAccount {
            account: account.label().to_owned(),
            file,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, route: &Route) -> Places {
        self.places_of(route.owner(), route.max_connections)
    }

    fn places_of(&self, owner: String, most: u32) -> Places {
        let most = most.max(1) as usize;
        let made = || {
            let semaphore = || Arc::new(Semaphore::new(most));
            Places {
                live: semaphore(),
                ahead: semaphore(),
                most: Arc::new(AtomicUsize::new(most)),
                taught: Arc::default(),
            }
        };
        self.state().places.entry(owner).or_insert_with(made).clone()
    }

    /// Waits for a place for a connection.
    pub(crate) async fn acquire(&self, route: &Route) -> Option<ConnectionPermit> {
        // Never closed: the semaphore lives as long as this value.
        self.places(route)
            .live
            .acquire_owned()
            .await
            .ok()
            .map(|permit| ConnectionPermit::new(false, permit))
    }

    /// Notes that the server has refused a further connection. For the rest of this process, the number of live
    /// connections is the most that the server accepts. Returns whether there are live ones; the caller then gives up
    /// its own place.
    pub(crate) fn lower(&self, route: &Route) -> bool {
        let places = self.places(route);
        let _state = self.state();
        let most = places.most.load(Ordering::Relaxed);
        let free = places.live.available_permits();
        let others = most.saturating_sub(free + 1);
        if others == 0 {
            return false;
        }
        places.live.forget_permits(free);
        places.most.store(others, Ordering::Relaxed);
        places.taught.store(others, Ordering::Relaxed);
        tracing::info!(
            account = route.owner(),
            connections = others,
            "the server refuses more connections; their messages go over those that live"
        );
        true
    }

    /// Returns how many messages the route's server accepts on one connection, as far as this process has learned it.
    pub fn capacity(&self, route: &Route) -> ServerCapacity {
        let key = (route.owner(), route.endpoint().clone());
        self.state().capacities.get(&key).copied().unwrap_or_default()
    }

    /// Lets the route's server begin with what an earlier process has learned. What this process has learned stays.
    pub fn recall_capacity(&self, route: &Route, capacity: ServerCapacity) {
        let key = (route.owner(), route.endpoint().clone());
        self.state().capacities.entry(key).or_insert(capacity);
    }

    /// Lets no more than `most` connections of the route's account live, as an earlier process has learned.
    pub fn recall_connections(&self, route: &Route, most: u32) {
        let places = self.places(route);
        let _state = self.state();
        let (before, most) = (places.most.load(Ordering::Relaxed), most.max(1) as usize);
        places.taught.store(most, Ordering::Relaxed);
        if most < before {
            let gone = places.live.forget_permits(before - most);
            places.most.store(before - gone, Ordering::Relaxed);
        }
    }

    /// Returns how many connections of the route's account the server accepts, if it has refused one more.
    pub fn lowered(&self, route: &Route) -> Option<u32> {
        let taught = self.places(route).taught.load(Ordering::Relaxed);
        u32::try_from(taught).ok().filter(|most| *most > 0)
    }

    pub(crate) fn note_capacity(&self, route: &Route, note: impl FnOnce(&mut ServerCapacity)) {
        let key = (route.owner(), route.endpoint().clone());
        let mut state = self.state();
        let capacity = state.capacities.entry(key).or_default();
        let before = *capacity;
        note(capacity);
        if *capacity != before {
            tracing::debug!(
                account = route.owner(),
                ?capacity,
                "learned how many messages a connection carries"
            );
        }
    }

    /// Returns a place for a connection, if one is free now.
    pub(crate) fn try_acquire(&self, route: &Route) -> Option<ConnectionPermit> {
        self.places(route)
            .live
            .try_acquire_owned()
            .ok()
            .map(|permit| ConnectionPermit::new(false, permit))
    }

    /// Returns permission to begin without a place.
    pub(crate) fn try_acquire_prefetch(&self, route: &Route) -> Option<ConnectionPermit> {
        self.places(route)
            .ahead
            .try_acquire_owned()
            .ok()
            .map(|permit| ConnectionPermit::new(true, permit))
    }

    /// Takes a pooled connection for exactly this use on which nothing has happened since. What a run of another
    /// pipeline left on it is forgotten. Where the server's limit of messages per connection is known, such a
    /// connection is closed instead, since the number that it has carried is forgotten too.
    pub(crate) async fn take(&self, key: &Key, transport: &TransportGrant) -> Option<IdleConnection> {
        let account = transport.route.account.as_ref();
        let is_limited = account.is_some_and(|account| account.limits().messages_per_connection.is_some());
        loop {
            let mut parked = self.state().warm.get_mut(key)?.pop()?;
            let fresh =
                parked.idle() <= IDLE_MAX && parked.age() <= LIFETIME_MAX && !parked.is_expired(SystemTime::now());
            let is_of_this_pipeline = parked.is_of(&transport.pipeline);
            if !is_of_this_pipeline {
                parked.forget_memo();
            }
            let usable = fresh && (is_of_this_pipeline || !is_limited);
            if usable && !parked.has_unread_input().await && parked.is_fit_for(transport.run).await {
                return Some(parked);
            }
            parked.close().await;
        }
    }

    /// Makes room for a fresh connection: pooled connections of the same owner under another key are closed first.
    pub(crate) async fn make_room(&self, key: &Key, max: u32) {
        let max = max as usize;
        let surplus: Vec<IdleConnection> = {
            let mut state = self.state();
            let warm: usize = state
                .warm
                .iter()
                .filter(|(other, _)| other.owner == key.owner)
                .map(|(_, parked)| parked.len())
                .sum();
            let (most, live) = state.places.get(&key.owner).map_or((max, 0), |places| {
                let most = places.most.load(Ordering::Relaxed);
                (most, most.saturating_sub(places.live.available_permits()))
            });
            let mut excess = (warm + live).saturating_sub(most);
            let mut surplus = Vec::new();
            for (_, parked) in state.warm.iter_mut().filter(|(other, _)| other.owner == key.owner) {
                while excess > 0
                    && let Some(oldest) = (!parked.is_empty()).then(|| parked.remove(0))
                {
                    surplus.push(oldest);
                    excess -= 1;
                }
            }
            surplus
        };
        for parked in surplus {
            parked.close().await;
        }
    }

    pub(crate) fn park(&self, key: Key, parked: IdleConnection) {
        self.state().warm.entry(key).or_default().push(parked);
    }

    /// Waits until the account may sign in once more.
    pub(crate) async fn sign_in_turn(&self, owner: &str) {
        loop {
            let wait = {
                let mut state = self.state();
                let turns = state.sign_ins.entry(owner.to_owned()).or_default();
                let now = Instant::now();
                while turns
                    .front()
                    .is_some_and(|turn| now.duration_since(*turn) >= SIGN_IN_WINDOW)
                {
                    turns.pop_front();
                }
                if turns.len() < SIGN_INS_MAX {
                    turns.push_back(now);
                    return;
                }
                turns.front().map_or(Duration::ZERO, |turn| {
                    SIGN_IN_WINDOW.saturating_sub(now.duration_since(*turn))
                })
            };
            tracing::info!(
                account = owner,
                ?wait,
                "waiting with the sign-in: this account has signed in often of late"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Closes the pooled connections, each with the farewell that its connector left.
    pub async fn close(&self) {
        let parked: Vec<IdleConnection> = self.state().warm.drain().flat_map(|(_, parked)| parked).collect();
        for parked in parked {
            parked.close().await;
        }
    }
}
