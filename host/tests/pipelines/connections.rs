//! The account's limit for connections, over runs that go on at once.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use pipepost::Limits;
use pipepost_inbox::Script;
use pipepost_inbox::script::{At, Rule};
use serde_json::json;

use crate::fixture::{Fixture, email, steps};

/// How many connections were open at once at most, from their first line to their last.
fn peak(bench: &Fixture) -> usize {
    let mut spans: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (place, (connection, _, _)) in bench.inbox.transcript().iter().enumerate() {
        spans.entry(*connection).or_insert((place, place)).1 = place;
    }
    let open_at = |place: usize| {
        spans
            .values()
            .filter(|(first, last)| (*first..=*last).contains(&place))
            .count()
    };
    spans.values().map(|(first, _)| open_at(*first)).max().unwrap_or(0)
}

#[tokio::test]
async fn whoever_waits_for_a_connection_leaves_room_for_whoever_has_one() {
    const RUNS: usize = 8;
    // Two instances at once and one connection: an instance that waits may have one of the places and not both.
    let limits = Limits {
        instances: 2,
        ..Limits::default()
    };
    let account = json!({ "limits": { "max_connections": 1 } });
    let bench = Fixture::built(Script::new(), account, |builder| builder.limits(limits)).await;
    let document = steps(json!([email(json!({
        "from": "ops@example.com",
        "to": "ann@example.test",
        "subject": "{{ message.subject }}",
        "body": "Hello",
        "failOnError": true,
    }))]));
    let runs = join_all((0..RUNS).map(|run| bench.run(&document, json!({ "subject": format!("run {run}") }))));
    for output in runs.await {
        output.expect("its turn comes");
    }
    bench.host.close().await;
    assert_eq!(bench.subjects().len(), RUNS);
    assert_eq!(peak(&bench), 1, "{:#?}", bench.inbox.transcript());
}

#[tokio::test]
async fn an_account_opens_as_many_connections_as_it_says_and_no_more() {
    const RUNS: usize = 6;
    for limit in [2, 4] {
        let script = Script::new().rule(Rule::at(At::Content).hold("full").regular());
        let bench = Fixture::with(script, json!({ "limits": { "max_connections": limit } })).await;
        let document = steps(json!([email(json!({
            "from": "ops@example.com",
            "to": "ann@example.test",
            "subject": "{{ message.subject }}",
            "body": "Hello",
            "failOnError": true,
        }))]));
        let runs = join_all((0..RUNS).map(|run| bench.run(&document, json!({ "subject": format!("run {run}") }))));
        let let_go = async {
            // So many are at work at once, each with a message that the server has not answered.
            bench.inbox.wait_until_held("full", limit).await;
            bench.inbox.release("full");
        };
        let (outputs, ()) = tokio::join!(runs, let_go);
        for output in outputs {
            output.expect("its turn comes");
        }
        bench.host.close().await;
        assert_eq!(bench.subjects().len(), RUNS);
        assert_eq!(
            u64::try_from(peak(&bench)),
            Ok(limit),
            "{:#?}",
            bench.inbox.transcript()
        );
    }
}
