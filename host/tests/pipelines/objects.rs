//! The object store: what one run keeps, another one finds.

use std::sync::Arc;

use pipepost::state::object::{ObjectStore, RehearsalObjects, Selection};
use pipepost::state::{MemoryStore, StateStore as _};
use pipepost::{FailureKind, Host, RunOptions};
use pipepost_inbox::Script;
use pipepost_state_sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::fixture::{Fixture, document, email, generate, host, report, run, step, steps};

fn store(params: Value) -> Value {
    step("object-store-connector", params)
}

/// Performs one step on the host's objects.
async fn on(host: &Host, params: Value) -> Value {
    let report = report(
        host,
        &steps(json!([store(params)])),
        RunOptions::new(json!({ "id": 7 })),
    )
    .await;
    report.result.expect("an output")
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().expect("an object").shift_remove(name);
    value
}

#[tokio::test]
async fn a_digest_is_collected_over_runs_and_sent_by_another_one() {
    let bench = Fixture::new(Script::new()).await;
    let collect = steps(json!([store(json!({
        "operation": "INSERT", "objectStore": "failed-payments", "unique": false,
        "document": "{ \"order\": {{ message.order }}, \"owner\": {{ message.owner }} }",
    }))]));
    for (run, order) in [("1", 101), ("2", 102), ("3", 103)] {
        let report = bench
            .named(run, &collect, json!({ "order": order, "owner": "ops" }))
            .await;
        assert_eq!(
            report.result.expect("an output"),
            json!({ "data": [], "updateCount": 1 })
        );
    }
    let digest = document(json!({
        "start": [
            store(json!({ "operation": "FIND_BY_QUERY", "objectStore": "failed-payments", "query": "{}" })),
            { "type": "choice", "when": [{ "jsonPath": "$.data[0]", "target": "send" }] },
        ],
        "send": [
            { "type": "session-management", "operation": "PUT", "sessionType": "LOCAL", "fields": ["data"] },
            email(json!({ "to": "ops@example.com", "subject": "digest", "body": "<#list data as row>${row.order}<#sep>, </#list>" })),
            store(json!({
                "operation": "DELETE_BY_QUERY", "objectStore": "failed-payments",
                "query": { "order": { "$in": "{{ TOJSON(JSONPATH(session.data, \"$[*].order\")) }}" } },
            })),
        ],
    }));
    let output = bench
        .named("digest", &digest, json!({}))
        .await
        .result
        .expect("an output");
    assert_eq!(output, json!({ "data": [], "updateCount": 3 }));
    assert!(
        bench.text("digest").contains("101, 102, 103"),
        "{}",
        bench.text("digest")
    );
    // Nothing is left for the next one.
    let next = bench.named("next", &digest, json!({})).await;
    assert_eq!(next.counts.sent, 0);
    assert_eq!(bench.subjects(), ["digest"]);
}

#[tokio::test]
async fn an_object_is_added_found_changed_and_removed_by_its_id() {
    let host = host().await;
    let added = json!({ "operation": "INSERT", "objectStore": "sales", "objectId": "{{ message.id }}", "document": { "name": "A", "price": 5 } });
    assert_eq!(on(&host, added.clone()).await, json!({ "data": [], "updateCount": 1 }));
    let find = json!({ "operation": "FIND_BY_ID", "objectStore": "sales", "objectId": 7 });
    let found = json!({ "data": [{ "name": "A", "price": 5, "_oId": "7" }], "rowCount": 1 });
    assert_eq!(on(&host, find.clone()).await, found);
    // Again: the id is taken.
    let again = on(&host, added).await;
    assert_eq!(again["success"], false);
    assert!(
        again["message"]
            .as_str()
            .is_some_and(|message| message.contains("id `7`")),
        "{again}"
    );
    let update = json!({ "operation": "UPDATE", "objectStore": "sales", "objectId": "7", "document": "{ $set: { \"price\": 6 } }" });
    assert_eq!(on(&host, update.clone()).await["updateCount"], 1);
    // What changes nothing is no change.
    assert_eq!(on(&host, update).await["updateCount"], 0);
    assert_eq!(on(&host, find.clone()).await["data"][0]["price"], 6);
    let delete = json!({ "operation": "DELETE", "objectStore": "sales", "objectId": "7" });
    assert_eq!(on(&host, delete.clone()).await["updateCount"], 1);
    assert_eq!(on(&host, delete).await["updateCount"], 0);
    assert_eq!(on(&host, find).await, json!({ "data": [], "rowCount": 0 }));
}

#[tokio::test]
async fn an_upsert_adds_once_and_changes_afterwards() {
    let host = host().await;
    let upsert = json!({
        "operation": "UPDATE", "upsert": true, "unique": true, "objectStore": "token", "objectId": "token",
        "document": { "$set": { "value": "x" }, "$inc": { "count": 1 }, "$push": { "runs": { "n": 1 } } },
    });
    for _ in 0..2 {
        assert_eq!(on(&host, upsert.clone()).await["updateCount"], 1);
    }
    let find = json!({ "operation": "FIND_BY_ID", "objectStore": "token", "objectId": "token" });
    let expected = json!({ "value": "x", "count": 2, "runs": [{ "n": 1 }, { "n": 1 }], "_oId": "token" });
    assert_eq!(on(&host, find).await["data"], json!([expected]));
    let by_query = json!({
        "operation": "UPDATE_BY_QUERY", "upsert": true, "objectStore": "token", "query": { "owner": "Ana" },
        "document": { "$set": { "rows": 1 } },
    });
    assert_eq!(on(&host, by_query).await["updateCount"], 1);
    let found = on(
        &host,
        json!({ "operation": "FIND_BY_QUERY", "objectStore": "token", "query": { "owner": "Ana" } }),
    )
    .await;
    assert_eq!(
        without(found["data"][0].clone(), "_oId"),
        json!({ "owner": "Ana", "rows": 1 })
    );
}

#[tokio::test]
async fn many_are_added_at_once_and_found_in_pages_and_in_order() {
    let host = host().await;
    let added = json!({
        "operation": "INSERT", "objectStore": "products", "unique": false,
        "document": "[{\"n\": 1, \"price\": 5000}, {\"n\": 2, \"price\": 699}, {\"n\": 3, \"price\": 1620}]",
    });
    assert_eq!(on(&host, added).await["updateCount"], 3);
    let find = |further: Value| {
        let mut params = json!({ "operation": "FIND_BY_QUERY", "objectStore": "products", "query": "{}" });
        for (name, value) in further.as_object().expect("parameters") {
            params[name] = value.clone();
        }
        params
    };
    let numbers = |output: Value| -> Vec<u64> {
        let data = output["data"].as_array().expect("an array").clone();
        data.iter()
            .map(|object| object["n"].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(numbers(on(&host, find(json!({}))).await), [1, 2, 3]);
    assert_eq!(
        numbers(on(&host, find(json!({ "sort": "{\"price\": -1}" }))).await),
        [1, 3, 2]
    );
    assert_eq!(numbers(on(&host, find(json!({ "skip": "1", "limit": 1 }))).await), [2]);
    assert_eq!(
        numbers(on(&host, find(json!({ "query": "{ \"price\": { $gt: 1000 } }" }))).await),
        [1, 3]
    );
}

#[tokio::test]
async fn a_value_never_becomes_an_operator_of_the_query() {
    let host = host().await;
    on(
        &host,
        json!({ "operation": "INSERT", "objectStore": "c", "document": { "owner": "Ana" } }),
    )
    .await;
    let document = steps(json!([store(json!({
        "operation": "DELETE_BY_QUERY", "objectStore": "c", "query": "{ \"owner\": \"{{ message.owner }}\" }",
    }))]));
    let hostile = json!({ "owner": "\", \"x\": {\"$ne\": 1}, \"y\": \"" });
    let report = report(&host, &document, RunOptions::new(hostile)).await;
    assert_eq!(report.result.expect("an output")["updateCount"], 0);
}

#[tokio::test]
async fn what_cannot_be_done_fails_and_changes_nothing() {
    let host = host().await;
    on(
        &host,
        json!({ "operation": "INSERT", "objectStore": "c", "document": { "a": "text" } }),
    )
    .await;
    let update = json!({
        "operation": "UPDATE_BY_QUERY", "objectStore": "c", "query": {}, "failOnError": true,
        "document": "{{ message.change }}",
    });
    for (change, reason) in [
        (json!({ "$inc": { "a": 1 } }), "no number"),
        (json!({ "$rename": { "a": "b" } }), "`$rename`"),
        (json!("text"), "an object"),
    ] {
        let message = json!({ "change": change });
        let report = report(&host, &steps(json!([store(update.clone())])), RunOptions::new(message)).await;
        let error = report.result.expect_err("it cannot be done");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.failure.expect("a failure").kind, FailureKind::Invalid);
    }
    let found = on(&host, json!({ "operation": "FIND_BY_QUERY", "objectStore": "c" })).await;
    assert_eq!(found["data"][0]["a"], "text");
}

#[tokio::test]
async fn a_document_that_is_too_long_is_refused() {
    let host = host().await;
    let document = steps(json!([
        generate(json!({ "text": "{{ message.text }}" })),
        store(json!({ "operation": "INSERT", "objectStore": "c", "document": "{{ message.$ }}", "failOnError": true })),
    ]));
    for (length, fits) in [(5 * 1024 * 1024 - 11, true), (5 * 1024 * 1024 - 10, false)] {
        let message = json!({ "text": "x".repeat(length) });
        let result = report(&host, &document, RunOptions::new(message)).await.result;
        assert_eq!(result.is_ok(), fits, "{length}");
    }
}

#[tokio::test]
async fn a_rehearsal_leaves_the_objects_of_the_state_alone() {
    let store_of_state = MemoryStore::default();
    let real: Arc<dyn ObjectStore> = store_of_state.objects();
    let working = Host::builder()
        .state(Arc::new(store_of_state))
        .build()
        .await
        .expect("a host");
    let insert = json!({ "operation": "INSERT", "objectStore": "c", "document": { "a": 1 } });
    on(&working, insert).await;
    let rehearsal = Host::builder()
        .objects(Arc::new(RehearsalObjects::of(Arc::clone(&real))))
        .build()
        .await
        .expect("a host");
    let deleted = on(
        &rehearsal,
        json!({ "operation": "DELETE_BY_QUERY", "objectStore": "c", "query": {} }),
    )
    .await;
    assert_eq!(deleted["updateCount"], 1);
    assert_eq!(real.find("c", Selection::All).await.expect("a state").len(), 1);
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("state");
    std::fs::write(&file, "no directory").expect("a file");
    let host = Host::builder()
        .state(Arc::new(SqliteStore::new(&file)))
        .build()
        .await
        .expect("a host");
    let find = json!({ "operation": "FIND_BY_QUERY", "objectStore": "c", "failOnError": true });
    let report = report(&host, &steps(json!([store(find)])), RunOptions::new(json!({}))).await;
    let failure = report.result.expect_err("no state").failure.expect("a failure");
    assert_eq!(failure.kind, FailureKind::Configuration);
}

#[tokio::test]
async fn a_failure_without_fail_on_error_is_an_output() {
    let output = run(
        &steps(json!([store(
            json!({ "operation": "FIND_BY_ID", "objectStore": "c", "objectId": "{{ message.nothing }}" })
        )])),
        json!({}),
    )
    .await
    .expect("an output");
    assert_eq!(output["success"], false);
    assert_eq!(output["exception"], "invalid");
}
