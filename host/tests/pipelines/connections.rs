//! The account's limit for connections, over runs that go on at once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures_util::future::join_all;
use pipepost::Limits;
use pipepost_inbox::Script;
use pipepost_inbox::script::{At, Rule};
use serde_json::{Value, json};

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

/// A server whose answers take longer than those of a near one ever do.
fn far() -> Script {
    let places = [At::Ehlo, At::Starttls, At::AuthResponse, At::Mail, At::Content];
    places.into_iter().fold(Script::new(), |script, at| {
        script.rule(Rule::at(at).delay(Duration::from_millis(25)).regular())
    })
}

/// A mail merge that leaves how many connections there are to the host.
async fn merge(bench: &Fixture, messages: usize) -> Value {
    let document = steps(json!([email(json!({
        "from": "ops@example.com",
        "to": "ann@example.test",
        "subject": "{{ item }}",
        "body": "Hello",
        "items": "{{ message.items }}",
        "failOnError": false,
    }))]));
    let items: Vec<usize> = (0..messages).collect();
    let output = bench
        .run(&document, json!({ "items": items }))
        .await
        .expect("an output");
    bench.host.close().await;
    assert_eq!(bench.subjects().len(), messages, "each arrived once");
    output
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_share_a_merge_to_a_server_that_is_far() {
    let bench = Fixture::new(far()).await;
    let output = merge(&bench, 200).await;
    assert_eq!(output["sent"], 200, "{output}");
    assert_eq!(peak(&bench), 8);
    // In the order of the elements, whichever connection each went over.
    let of_results = output["results"].as_array().expect("results").iter();
    let ids: Vec<Value> = of_results.map(|result| result["messageId"].clone()).collect();
    let arrived: HashMap<String, Value> = bench
        .inbox
        .messages()
        .iter()
        .map(|message| {
            let header = |name| message.header(name).unwrap_or_default();
            (header("Subject"), json!(header("Message-ID")))
        })
        .collect();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(arrived.get(&number.to_string()), Some(id), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_to_a_server_that_is_near_uses_the_usual_connections() {
    let bench = Fixture::new(Script::new()).await;
    let output = merge(&bench, 200).await;
    assert_eq!(output["sent"], 200, "{output}");
    assert!(peak(&bench) <= 5, "{}", peak(&bench));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_far_a_server_is_no_more_connections_are_opened_than_the_account_states() {
    let bench = Fixture::with(far(), json!({ "limits": { "max_connections": 2 } })).await;
    let output = merge(&bench, 100).await;
    assert_eq!(output["sent"], 100, "{output}");
    assert_eq!(peak(&bench), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_server_that_refuses_a_connection_gets_the_messages_over_those_that_it_took() {
    // From the sixth on there is one too many, each time.
    let script = (6..40).fold(far(), |script, connection| {
        let busy = Rule::at(At::Greeting).connection(connection);
        script.rule(busy.reply("421 4.7.0 Too many connections from you").close())
    });
    let bench = Fixture::new(script).await;
    let output = merge(&bench, 200).await;
    assert_eq!(
        (&output["sent"], &output["failed"]),
        (&json!(200), &json!(0)),
        "{output}"
    );
}
