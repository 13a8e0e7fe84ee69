//! Steps that lead into branches: the loop, the block, parallel executions, and the run's limits.

use std::time::Duration;

use pipepost::{FailureKind, RunOptions, TimeLimit};
use pipepost_inbox::Script;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, email, generate, host, report, run, step, steps, throw};

fn for_each(params: Value) -> Value {
    step("for-each-connector", params)
}

/// A track that succeeds for even numbers, says no for 1, throws for other odd ones.
fn judging() -> Value {
    json!([{
        "type": "choice",
        "when": [
            { "simple": "#{n} == 1", "target": "no" },
            { "jsonPath": "$.[?(@.n in [3, 5])]", "target": "thrown" }
        ],
        "otherwise": "yes"
    }])
}

fn judged(params: Value, on_exception: Value) -> Value {
    document(json!({
        "start": [for_each(params)],
        "judge": judging(),
        "yes": [generate(json!({ "success": true }))],
        "no": [generate(json!({ "success": false }))],
        "thrown": [throw("odd {{ message.n }}")],
        "handle": on_exception,
    }))
}

#[tokio::test]
async fn a_loop_counts_an_item_by_its_last_step() {
    let handled = json!([generate(json!({ "success": true }))]);
    let items = json!({ "items": [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}] });
    for parallel in [false, true] {
        let params =
            json!({ "jsonPath": "$.items", "parallel": parallel, "onProcess": "judge", "onException": "handle" });
        let output = run(&judged(params, handled.clone()), items.clone()).await;
        assert_eq!(
            output.expect("an output"),
            json!({ "total": 4, "success": 3, "failed": 1 })
        );
    }
}

#[tokio::test]
async fn a_loop_takes_an_expression_and_passes_over_what_is_no_array() {
    let params = json!({ "expression": "{{ message.items }}", "onProcess": "judge" });
    let document = judged(params, json!([generate(json!({}))]));
    let output = run(&document, json!({ "items": [{"n": 0}, {"n": 2}] })).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "total": 2, "success": 2, "failed": 0 })
    );
    for no_array in [json!({}), json!({ "items": 7 }), json!({ "items": { "a": 1 } })] {
        let output = run(&document, no_array).await;
        assert_eq!(
            output.expect("an output"),
            json!({ "total": 0, "success": 0, "failed": 0 })
        );
    }
}

#[tokio::test]
async fn an_unhandled_error_stops_the_loop_and_is_told() {
    let params = json!({ "jsonPath": "$", "onProcess": "judge", "itemIdentifier": "n", "failOnError": true });
    let document = judged(params, json!([generate(json!({}))]));
    let report = report(
        &host().await,
        &document,
        RunOptions::new(json!([{"n": 0}, {"n": 3}, {"n": 2}])),
    )
    .await;
    let (_, told) = &report.tolerated[0];
    assert_eq!(
        report.result.expect("an output"),
        json!({ "total": 3, "success": 1, "failed": 1 })
    );
    assert!(told.message.contains("item 2 (n 3) of 3"), "{told}");
    assert!(told.message.contains("odd 3"), "{told}");
}

#[tokio::test]
async fn an_error_in_on_exception_stops_the_loop_and_goes_up() {
    for parallel in [false, true] {
        let params = json!({ "jsonPath": "$", "parallel": parallel, "onProcess": "judge", "onException": "handle" });
        let document = judged(params, json!([throw("again: {{ message.error }}")]));
        let error = run(&document, json!([{"n": 3}])).await.unwrap_err();
        assert_eq!(error.object["error"], "again: odd 3");
        assert_eq!(error.exit_code(), 1);
    }
}

#[tokio::test]
async fn only_structural_failures_of_a_loop_are_its_own() {
    let looping = |fails: bool| {
        let params = json!({ "jsonPath": "$.items.sum()", "onProcess": "judge", "failOnError": fails });
        judged(params, json!([generate(json!({}))]))
    };
    let message = json!({ "items": ["a"] });
    let output = run(&looping(false), message.clone()).await.expect("an output");
    assert_eq!(output["success"], false);
    assert_eq!(output["exception"], "invalid");
    let error = run(&looping(true), message).await.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Invalid));
}

#[tokio::test]
async fn a_block_catches_and_an_error_in_its_handler_goes_up() {
    let block = |work: Value, handler: Value| {
        document(json!({
            "start": [
                step("block-execution-connector", json!({ "onProcess": "work", "onException": "handle" })),
                generate(json!({ "after": "{{ message }}" }))
            ],
            "work": work,
            "handle": handler,
        }))
    };
    let output = run(
        &block(json!([throw("no")]), json!([generate(json!("{{ message.code }}"))])),
        json!({}),
    )
    .await;
    assert_eq!(output.expect("an output"), json!({ "after": 409 }));
    let output = run(&block(json!([]), json!([throw("never")])), json!({ "a": 1 })).await;
    assert_eq!(output.expect("an output"), json!({ "after": { "a": 1 } }));
    let error = run(&block(json!([throw("no")]), json!([throw("worse")])), json!({})).await;
    assert_eq!(error.unwrap_err().object["error"], "worse");
}

#[tokio::test]
async fn branches_side_by_side_are_collated_or_counted() {
    let executions = json!([
        { "executionId": "a", "target": "left", "description": "one" },
        { "executionId": "b", "target": "right" }
    ]);
    let parallel = |further: Value| {
        let mut params = json!({ "parallelExecutions": executions.to_string() });
        for (name, value) in further.as_object().expect("parameters") {
            params[name] = value.clone();
        }
        document(json!({
            "start": [step("parallel-execution-connector", params)],
            "left": [generate(json!({ "seen": "{{ message.n }}" }))],
            "right": [throw("not here")],
        }))
    };
    let message = json!({ "n": 7 });
    let output = run(&parallel(json!({})), message.clone()).await.expect("an output");
    assert_eq!(output[0], json!({ "executionId": "a", "result": { "seen": 7 } }));
    assert_eq!(output[1]["executionId"], "b");
    assert_eq!(output[1]["result"]["error"], "not here");
    assert_eq!(output[1]["result"]["code"], 409);
    assert!(output[1]["result"]["timestamp"].is_i64());

    let bare = json!({ "showExecutionIds": false, "reportExceptions": false });
    let output = run(&parallel(bare), message.clone()).await;
    assert_eq!(output.expect("an output"), json!([{ "seen": 7 }, null]));

    let output = run(&parallel(json!({ "aggregationType": "SUMMARY" })), message).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "total": 2, "success": 1, "failed": 1 })
    );
}

#[tokio::test]
async fn branches_of_choices_follow_each_other_without_end_in_sight() {
    // As deep as a chain, and no recursion: it would overflow the stack.
    let mut branches = json!({});
    for number in 0..5_000 {
        let name = if number == 0 {
            "start".to_owned()
        } else {
            number.to_string()
        };
        branches[name] = json!([{ "type": "choice", "when": [], "otherwise": (number + 1).to_string() }]);
    }
    branches["5000"] = json!([generate(json!({ "arrived": true }))]);
    let output = run(&document(branches), json!({})).await;
    assert_eq!(output.expect("an output"), json!({ "arrived": true }));
}

#[tokio::test]
async fn tracks_nest_to_a_bound() {
    let nested = |depth: usize| {
        let mut branches = json!({});
        for level in 0..depth {
            let name = if level == 0 {
                "start".to_owned()
            } else {
                level.to_string()
            };
            let params = json!({ "onProcess": (level + 1).to_string() });
            branches[name] = json!([step("block-execution-connector", params)]);
        }
        branches[depth.to_string()] = json!([generate(json!({ "deep": true }))]);
        document(branches)
    };
    let output = run(&nested(32), json!({})).await;
    assert_eq!(output.expect("an output"), json!({ "deep": true }));
    let problems = host().await.prepare(&nested(33).to_string()).unwrap_err();
    assert!(problems.to_string().contains("nest deeper"), "{problems}");
}

#[tokio::test]
async fn iterations_side_by_side_send_together_and_each_once() {
    let bench = Fixture::new(Script::new()).await;
    let document = document(json!({
        "start": [for_each(json!({ "jsonPath": "$", "parallel": true, "onProcess": "send" }))],
        "send": [{
            "type": "choice",
            "when": [{ "jsonPath": "$.skip", "target": "skip" }],
            "otherwise": "mail"
        }],
        "skip": [generate(json!({ "success": false }))],
        "mail": [email(json!({ "to": "a@example.com", "subject": "m{{ message.n }}-{{ iterators.index }}", "body": "x" }))],
    }));
    let message: Vec<Value> = (0..25)
        .map(|n| {
            if n % 5 == 4 {
                json!({ "skip": true })
            } else {
                json!({ "n": n })
            }
        })
        .collect();
    let output = bench.run(&document, Value::Array(message)).await;
    assert_eq!(
        output.expect("an output"),
        json!({ "total": 25, "success": 20, "failed": 5 })
    );
    let mut expected: Vec<String> = (0..25).filter(|n| n % 5 != 4).map(|n| format!("m{n}-{n}")).collect();
    expected.sort();
    assert_eq!(bench.subjects(), expected);
    // Together: over one connection, and not over one for each.
    assert_eq!(bench.inbox.connections(), 1);
}

#[tokio::test]
async fn nobody_waits_long_for_a_slow_iteration() {
    let bench = Fixture::new(Script::new()).await;
    let document = document(json!({
        "start": [for_each(json!({ "jsonPath": "$", "parallel": true, "onProcess": "send" }))],
        "send": [{ "type": "choice", "when": [{ "jsonPath": "$.slow", "target": "wait" }], "otherwise": "mail" }],
        "wait": [{ "type": "delayer", "delayMilliseconds": 900_000 }],
        "mail": [email(json!({ "to": "a@example.com", "subject": "m{{ message.n }}", "body": "x" }))],
    }));
    let mut options = RunOptions::new(json!([{ "slow": true }, { "n": 1 }, { "n": 2 }]));
    options.time_limit = TimeLimit::None;
    let end = options.interruptible();
    let over = async {
        bench.inbox.wait_for(2).await;
        end.request(Duration::from_secs(30));
    };
    let (report, ()) = tokio::join!(report(&bench.host, &document, options), over);
    assert_eq!(report.counts.sent, 2);
    let error = report.result.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Transient));
    assert_eq!(bench.subjects(), ["m1", "m2"]);
}

#[tokio::test]
async fn at_the_time_limit_nothing_new_starts() {
    let document = document(json!({
        "start": [step("block-execution-connector", json!({ "onProcess": "work", "onException": "handle" }))],
        "work": [{ "type": "delayer", "delayMilliseconds": 600_000 }],
        // At the run's end no error is caught any more.
        "handle": [generate(json!({ "caught": true }))],
    }));
    let mut options = RunOptions::new(json!({}));
    options.time_limit = TimeLimit::After(Duration::from_millis(20));
    let report = report(&host().await, &document, options).await;
    let error = report.result.unwrap_err();
    assert_eq!(error.exit_code(), pipepost::exit_code(FailureKind::Limit));
    assert!(error.to_string().contains("time limit of 0.02 s"), "{error}");
}

#[tokio::test]
async fn a_choice_without_a_match_ends_with_the_message_as_it_is() {
    let document = steps(json!([
        { "type": "choice", "when": [{ "jsonPath": "$.absent", "target": "start2" }] }
    ]));
    let mut document = document;
    document["flowSpec"]["start2"] = json!([throw("never")]);
    let output = run(&document, json!({ "a": 1 })).await;
    assert_eq!(output.expect("an output"), json!({ "a": 1 }));
}

#[tokio::test]
async fn a_loop_within_a_loop_sees_the_outer_element_by_its_alias() {
    let mut outer = for_each(json!({ "jsonPath": "$.orders", "onProcess": "order" }));
    outer["doubleBracesAlias"] = "orders".into();
    let document = document(json!({
        "start": [outer, generate(json!({ "seen": "{{ step.line.seen }}" }))],
        "order": [for_each(json!({ "jsonPath": "$.lines", "onProcess": "line" }))],
        "line": [
            { "type": "connector", "name": "json-generator-connector", "doubleBracesAlias": "line", "params": {
                "json": { "seen": "{{ iterators.orders.current.id }}/{{ iterators.orders.index }}/{{ message.$ }}", "success": true },
            }},
        ],
    }));
    let orders = json!({ "orders": [{ "id": "a", "lines": [1] }, { "id": "b", "lines": [2, 3] }] });
    let output = run(&document, orders).await.expect("an output");
    assert_eq!(output, json!({ "seen": "b/1/3" }));
}
