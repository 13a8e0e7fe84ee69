//! The canvas's older clipboard: an array of nodes and edges.

#![allow(clippy::unwrap_used)]

mod common;

use common::with_context;
use pipepost_flowspec::{Form, Pipeline, StepKind, check};
use serde_json::{Value, json};

fn node(data: Value) -> Value {
    json!({
        "data": data, "position": {"x": 173, "y": 66.5}, "group": "nodes", "removed": false, "selected": true,
        "selectable": true, "locked": false, "grabbable": true, "pannable": false, "classes": "eh-preview-active",
    })
}

fn log(id: &str) -> Value {
    node(json!({
        "type": "connector", "name": "log-connector", "stepName": "Log", "params": {"logLevel": "INFO", "message": "x"},
        "onProcessTrack": null, "onExceptionTrack": null, "id": id, "key": "component@connectorlog-connector",
    }))
}

fn edge(from: &str, to: &str, data: Value) -> Value {
    json!({
        "data": {"id": format!("{from}-{to}"), "source": from, "target": to, "data": data},
        "position": {"x": 0, "y": 0}, "group": "edges", "removed": false, "classes": "",
    })
}

fn plain(from: &str, to: &str) -> Value {
    edge(
        from,
        to,
        json!({"type": "default", "conditionType": null, "condition": null, "label": null}),
    )
}

fn read(drawing: &Value) -> Pipeline {
    let report = with_context(&[], |context| check(&drawing.to_string(), context));
    report.pipeline.unwrap_or_else(|| panic!("{}", report.problems))
}

fn refused(drawing: &Value) -> String {
    let report = with_context(&[], |context| check(&drawing.to_string(), context));
    assert!(report.pipeline.is_none());
    report.problems.to_string()
}

/// Names of branches, with the ids of their steps.
fn shape(pipeline: &Pipeline) -> Vec<(String, Vec<String>)> {
    let ids = |steps: &[pipepost_flowspec::Step]| steps.iter().map(|step| step.id.clone().unwrap()).collect();
    pipeline
        .branches()
        .map(|(_, branch)| (branch.name.clone(), ids(&branch.steps)))
        .collect()
}

fn expected(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    list.iter()
        .map(|(name, ids)| ((*name).to_owned(), ids.iter().map(|id| (*id).to_owned()).collect()))
        .collect()
}

#[test]
fn steps_follow_their_edges_whatever_their_order() {
    let drawing = json!([log("c"), plain("a", "b"), log("a"), plain("b", "c"), log("b")]);
    let pipeline = read(&drawing);
    assert_eq!(pipeline.form(), Form::Clipboard);
    assert_eq!(shape(&pipeline), expected(&[("disconnected-root:a", &["a", "b", "c"])]));
}

#[test]
fn tracks_that_are_drawn_inside_of_a_step_are_branches() {
    let track = |ids: [&str; 2]| {
        json!({
            "nodes": [
                node(json!({"type": "start-track", "id": "start-track", "key": "start-track@not-configured"})),
                log(ids[1]), log(ids[0]),
            ],
            "edges": [plain(ids[0], ids[1]), plain("start-track", ids[0])],
        })
    };
    let drawing = json!([
        node(json!({
            "type": "connector", "name": "for-each-connector", "stepName": "each", "id": "loop",
            "onProcessTrack": track(["p1", "p2"]), "onExceptionTrack": track(["e1", "e2"]),
            "params": {"jsonPath": "$.body", "parallel": false, "onProcess": "start-track"},
        })),
        log("after"),
        plain("loop", "after"),
    ]);
    let pipeline = read(&drawing);
    assert_eq!(
        shape(&pipeline),
        expected(&[
            ("disconnected-root:loop", &["loop", "after"]),
            ("loop-onProcessTrack", &["p1", "p2"]),
            ("loop-onExceptionTrack", &["e1", "e2"]),
        ])
    );
    let StepKind::ForEach(each) = &pipeline.branch(pipeline.first()).steps[0].kind else {
        panic!("no loop")
    };
    assert_eq!(pipeline.branch(each.tracks.on_process).name, "loop-onProcessTrack");
    assert_eq!(
        pipeline.branch(each.tracks.on_exception.unwrap()).name,
        "loop-onExceptionTrack"
    );
}

#[test]
fn conditions_stand_on_the_edges_of_a_choice() {
    let way = |kind: &str, rule: Value, condition: Value, label: &str| json!({"type": "choice", "conditionType": kind, "conditionRule": rule, "condition": condition, "label": label, "description": null, "executionId": null});
    let choice = json!({"type": "choice", "stepName": "Choice", "when": [], "otherwise": "", "id": "choice"});
    let drawing = json!([
        node(choice),
        log("a"),
        log("b"),
        log("c"),
        log("end"),
        edge(
            "choice",
            "a",
            way("when", json!("jsonPath"), json!("$.[?(@.n == 1)]"), "one")
        ),
        edge("choice", "b", way("when", json!("simple"), json!("#{n} == '2'"), "one")),
        edge("choice", "c", way("otherwise", Value::Null, Value::Null, "else")),
        plain("a", "end"),
        plain("c", "end"),
    ]);
    let pipeline = read(&drawing);
    // Two ways that meet have the last step each.
    assert_eq!(
        shape(&pipeline),
        expected(&[
            ("disconnected-root:choice", &["choice"]),
            ("one", &["a", "end"]),
            ("one (2)", &["b"]),
            ("else", &["c", "end"]),
        ])
    );
    let StepKind::Choice(choice) = &pipeline.branch(pipeline.first()).steps[0].kind else {
        panic!("no choice")
    };
    let chosen = |n: Value| {
        choice
            .when
            .iter()
            .position(|when| when.condition.matches(&json!({"n": n})).unwrap())
    };
    assert_eq!(
        (chosen(json!(1)), chosen(json!("2")), chosen(json!(3))),
        (Some(0), Some(1), None)
    );
    assert!(choice.otherwise.is_some());
}

#[test]
fn what_is_wrong_is_told_at_its_place_in_the_drawing() {
    let text = r##"[
{"group": "nodes", "data": {"type": "delayer", "id": "a", "delayMilliseconds": "soon"}},
{"group": "nodes", "data": {"type": "connector", "name": "log-connector", "id": "b",
  "params": {"message": "{{ UPPERCASE( }}"}}},
{"group": "edges", "data": {"source": "a", "target": "b"}}
]"##;
    let report = with_context(&[], |context| check(text, context));
    let lines: Vec<usize> = report
        .problems
        .errors()
        .map(|problem| problem.position().unwrap().line)
        .collect();
    assert_eq!(lines, [2, 4], "{}", report.problems);
}

#[test]
fn a_drawing_that_is_no_flow_is_refused_with_the_reason() {
    let circle = json!([
        log("a"),
        log("b"),
        log("c"),
        plain("a", "b"),
        plain("b", "c"),
        plain("c", "b")
    ]);
    for (drawing, reason) in [
        (json!([log("a"), log("b")]), "2 steps have nothing before them"),
        (
            json!([log("a"), log("b"), plain("a", "b"), plain("b", "a")]),
            "each has another one before it",
        ),
        (circle, "leads back to this step"),
        (
            json!([log("a"), log("b"), log("c"), plain("a", "b"), plain("a", "c")]),
            "it is no choice",
        ),
        (
            json!([
                log("a"),
                plain("a", "gone"),
                node(json!({"type": "transformer", "id": "t"})),
                plain("a", "t")
            ]),
            "JOLT",
        ),
        (json!([1, 2]), "not a JSON object"),
        (json!([{"name": "log-connector"}]), "not a JSON object"),
    ] {
        let told = refused(&drawing);
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn what_parts_and_meets_again_and_again_does_not_grow_without_end() {
    let mut drawing = Vec::new();
    for number in 0..40 {
        let id = |name: &str| format!("{name}{number}");
        let next = format!("choice{}", number + 1);
        drawing.push(node(
            json!({"type": "choice", "id": id("choice"), "when": [], "otherwise": ""}),
        ));
        for side in ["l", "r"] {
            drawing.push(log(&id(side)));
            let way =
                json!({"conditionType": "when", "conditionRule": "jsonPath", "condition": "$.a", "label": id(side)});
            drawing.push(edge(&id("choice"), &id(side), way));
            drawing.push(plain(&id(side), &next));
        }
    }
    let told = refused(&Value::Array(drawing));
    assert!(told.contains("10000 steps"), "{told}");
    let mut chain = vec![log("last")];
    for number in 0..3000 {
        chain.push(node(
            json!({"type": "choice", "id": format!("c{number}"), "when": [], "otherwise": ""}),
        ));
        let next = if number == 2999 {
            "last".to_owned()
        } else {
            format!("c{}", number + 1)
        };
        chain.push(edge(
            &format!("c{number}"),
            &next,
            json!({"conditionType": "otherwise"}),
        ));
    }
    let told = refused(&Value::Array(chain));
    assert!(told.contains("follow each other"), "{told}");
}
