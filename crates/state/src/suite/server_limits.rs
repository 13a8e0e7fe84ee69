//! The rules of what servers have taught.

use std::sync::Arc;

use super::{Machine, SimClock, at_once};
use crate::quota::AccountKey;
use crate::server_limits::{MessagesLimit, ServerKey, ServerLimitStore, ServerLimits};
use crate::store::StateStore as _;

fn key(label: &str, user: &str, server: &str) -> ServerKey {
    ServerKey {
        account: AccountKey {
            label: label.to_owned(),
            account: format!("[\"{label}\",\"{user}\",\"mail.example.test\"]"),
        },
        server: server.to_owned(),
    }
}

fn messages(most: u32, is_suspected: bool) -> ServerLimits {
    ServerLimits {
        messages: Some(MessagesLimit { most, is_suspected }),
        connections: None,
    }
}

fn connections(most: u32) -> ServerLimits {
    ServerLimits {
        messages: None,
        connections: Some(most),
    }
}

async fn recall(store: &Arc<dyn ServerLimitStore>, key: &ServerKey) -> ServerLimits {
    at_once(store.recall(key)).await.expect("a state")
}

async fn learn(store: &Arc<dyn ServerLimitStore>, key: &ServerKey, limits: ServerLimits) {
    at_once(store.learn(key, limits)).await.expect("a state");
}

/// What one process has learned, the next one knows, for the same mailbox at the same server.
pub async fn what_a_server_teaches_is_known_to_the_next_process<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let first = machine.process();
    let own = key("mail", "a", "mx.test:587");
    let both = ServerLimits {
        connections: Some(2),
        ..messages(20, false)
    };
    learn(&first.server_limits(), &own, both).await;
    drop(first);
    let store = machine.process().server_limits();
    assert_eq!(recall(&store, &own).await, both);
    for other in [
        key("mail", "b", "mx.test:587"),
        key("mail", "a", "mx.test:465"),
        key("post", "a", "mx.test:587"),
    ] {
        assert_eq!(recall(&store, &other).await, ServerLimits::default(), "{other:?}");
    }
    learn(&store, &own, connections(3)).await;
    assert_eq!(recall(&store, &own).await, connections(3), "in place of what was known");
}

/// A limit that was confirmed is remembered for a week, a suspicion and a number of connections for a day.
pub async fn what_a_server_taught_is_forgotten_with_its_age<M: Machine>() {
    let clock = Arc::new(SimClock::default());
    let machine = M::new(Arc::clone(&clock));
    let store = machine.process().server_limits();
    let [confirmed, suspected, places] = ["a", "b", "c"].map(|user| key("mail", user, "mx.test:25"));
    learn(&store, &confirmed, messages(20, false)).await;
    learn(&store, &suspected, messages(20, true)).await;
    learn(&store, &places, connections(2)).await;
    clock.set_by(-1_000_000);
    assert_eq!(recall(&store, &places).await, ServerLimits::default(), "of the future");
    clock.set_by(1_000_000);
    clock.pass_days(1);
    clock.set_by(-1);
    assert_eq!(recall(&store, &suspected).await, messages(20, true));
    assert_eq!(recall(&store, &places).await, connections(2));
    clock.set_by(1);
    assert_eq!(recall(&store, &suspected).await, ServerLimits::default());
    assert_eq!(recall(&store, &places).await, ServerLimits::default());
    clock.pass_days(5);
    // Once more the same is no news.
    learn(&store, &confirmed, messages(20, false)).await;
    clock.pass_days(1);
    assert_eq!(recall(&store, &confirmed).await, ServerLimits::default());
    assert_eq!(at_once(store.list(None)).await.expect("a state"), []);
}

/// A person sees what is known of each server with its age, and may have one account's servers asked anew.
pub async fn a_person_sees_and_forgets_what_servers_taught<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let store = machine.process().server_limits();
    learn(&store, &key("post", "a", "mx.test:25"), connections(1)).await;
    learn(&store, &key("mail", "a", "mx.test:25"), messages(5, false)).await;
    let list = at_once(store.list(None)).await.expect("a state");
    let labels: Vec<&str> = list.iter().map(|entry| entry.label.as_str()).collect();
    assert_eq!(labels, ["mail", "post"]);
    assert!(list[0].messages_learned.is_some() && list[0].connections_learned.is_none());
    let forgotten = at_once(store.forget("mail")).await.expect("a state");
    assert_eq!(forgotten, list[..1]);
    assert_eq!(at_once(store.list(None)).await.expect("a state"), list[1..]);
    assert_eq!(at_once(store.list(Some("mail"))).await.expect("a state"), []);
    assert_eq!(at_once(store.forget("mail")).await.expect("a state"), []);
}
