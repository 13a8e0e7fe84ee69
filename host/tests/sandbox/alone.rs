//! Connectors that mean harm and hold no connection: each limit kept to, and gone past, and the host afterwards.

use std::path::PathBuf;
use std::time::Duration;

use pipepost::engine::MemoryDumps;
use pipepost::{FailureKind, Host, Limits, RunOptions, RunReport, TimeLimit};
use serde_json::{Value, json};

use crate::common::{document, fails, failure, host, hostile, run, run_with};

/// So small that going past them takes no time.
fn small() -> Limits {
    Limits {
        memory: 8 << 20,
        cpu: Duration::from_millis(100),
        instances: 2,
        json: 1000,
        log_lines: 10,
        log_line: 50,
        resources: 3,
        new_files: 100,
        ..Limits::default()
    }
}

async fn small_host() -> Host {
    let connectors = hostile(&["alone"]);
    let host = host().connectors_from(connectors.path()).limits(small());
    host.build().await.expect("a host")
}

fn step(params: Value) -> String {
    let mut params = params;
    params["failOnError"] = true.into();
    document("alone", None, params)
}

async fn attempt(host: &Host, params: Value) -> RunReport {
    run(host, &step(params)).await
}

/// The run with these read-only files.
async fn attempt_with_files(host: &Host, params: Value, files: PathBuf) -> RunReport {
    let mut options = RunOptions::new(json!({}));
    options.time_limit = TimeLimit::None;
    options.files = Some(files);
    run_with(host, &step(params), options).await
}

/// What goes past a limit is stopped and told so; what keeps to it is not; the host goes on after either.
async fn kept_and_passed(kept: Value, output: Value, passed: Value, words: &str) {
    let host = small_host().await;
    let report = attempt(&host, kept).await;
    assert_eq!(report.result.expect("what keeps to the limit ends well"), output);
    fails(&attempt(&host, passed).await, FailureKind::Limit, words);
    is_unharmed(&host).await;
}

/// The next run gets a fresh instance, and its answer.
async fn is_unharmed(host: &Host) {
    let report = attempt(host, json!({ "do": "count" })).await;
    assert_eq!(report.result.expect("the next run ends well"), json!(0));
}

#[tokio::test]
async fn an_endless_loop() {
    let (kept, passed) = (json!({ "do": "spin", "n": 1000 }), json!({ "do": "loop" }));
    kept_and_passed(kept, json!("done"), passed, "more CPU time than it may").await;
}

#[tokio::test]
async fn an_endless_loop_that_calls_its_host_all_the_time() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "loop-and-call" })).await;
    fails(&report, FailureKind::Limit, "more CPU time than it may");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_loop_does_not_keep_others_from_running() {
    let connectors = hostile(&["alone"]);
    let host = host().connectors_from(connectors.path()).build().await.expect("a host");
    // One thread for both; the loop has five seconds, and is given up when the other run is done.
    tokio::select! {
        biased;
        report = attempt(&host, json!({ "do": "loop" })) => panic!("the loop came first: {report:?}"),
        () = is_unharmed(&host) => {}
    }
    is_unharmed(&host).await;
}

#[tokio::test]
async fn an_endless_recursion() {
    let (kept, passed) = (
        json!({ "do": "recurse", "n": 100 }),
        json!({ "do": "recurse", "n": i64::MAX }),
    );
    kept_and_passed(kept, json!(100), passed, "its calls nest too deeply").await;
    let (kept, passed) = (
        json!({ "do": "recurse-heavily", "n": 100 }),
        json!({ "do": "recurse-heavily", "n": i64::MAX }),
    );
    kept_and_passed(kept, json!(100), passed, "it reached outside its memory").await;
}

#[tokio::test]
async fn memory_to_the_limit_and_past_it() {
    let (kept, passed) = (json!({ "do": "memory", "n": 5 }), json!({ "do": "memory", "n": 9 }));
    kept_and_passed(kept, json!(5), passed, "more than its 8 MiB of memory").await;
}

#[tokio::test]
async fn a_flood_of_log_lines() {
    let text = "x".repeat(10_000);
    let (kept, passed) = (
        json!({ "do": "log", "n": 10, "text": text }),
        json!({ "do": "log", "n": 11 }),
    );
    kept_and_passed(kept, json!("done"), passed, "more than 10 lines of log").await;
}

#[tokio::test]
async fn a_huge_result() {
    let (kept, passed) = (json!({ "do": "huge", "n": 1000 }), json!({ "do": "huge", "n": 1001 }));
    kept_and_passed(kept, json!("x".repeat(998)), passed, "it returned 1001 bytes").await;
}

#[tokio::test]
async fn a_huge_result_of_a_failure() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "huge-failure", "n": 1000 })).await;
    fails(&report, FailureKind::Refused, "Refused.");
    let report = attempt(&host, json!({ "do": "huge-failure", "n": 1001 })).await;
    fails(&report, FailureKind::Limit, "it returned 1001 bytes");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_result_that_takes_many_times_its_bytes() {
    let connectors = hostile(&["alone"]);
    let host = host().connectors_from(connectors.path()).build().await.expect("a host");
    let report = attempt(&host, json!({ "do": "values", "n": 100_000 })).await;
    assert!(report.result.expect("as much as anybody needs").is_array());
    let report = attempt(&host, json!({ "do": "values", "n": 600_000 })).await;
    fails(&report, FailureKind::Limit, "JSON values that are kept of one batch");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn results_that_are_no_json() {
    for text in ["", "{", "nonsense", "{} {}", "\"\u{1}\"", "[1,]", "NaN", "1e999"] {
        let (kept, passed) = (
            json!({ "do": "raw", "text": "[1]" }),
            json!({ "do": "raw", "text": text }),
        );
        kept_and_passed(kept, json!([1]), passed, "it returned a result that is not JSON").await;
    }
}

#[tokio::test]
async fn a_result_that_nests_deeper_than_any_reader_follows() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "deep", "n": 100 })).await;
    assert!(report.result.expect("deep, and not too deep").is_array());
    fails(
        &attempt(&host, json!({ "do": "deep", "n": 400 })).await,
        FailureKind::Limit,
        "not JSON",
    );
    is_unharmed(&host).await;
}

#[tokio::test]
async fn the_words_of_a_failure_are_cut_and_disarmed() {
    let host = small_host().await;
    let report = attempt(
        &host,
        json!({ "do": "wordy", "n": 500, "text": "\u{1b}[2J javascript:alert() " }),
    )
    .await;
    let failure = failure(&report);
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(failure.message.len() < 5000, "{} bytes", failure.message.len());
    assert!(!failure.to_string().contains(char::is_control), "{failure}");
    assert_eq!(failure.link, None, "only https leads anywhere");
}

#[tokio::test]
async fn a_call_that_is_settled_twice_was_settled_once() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "twice" })).await;
    assert_eq!(report.result.expect("the first word counts"), json!(1));
    // It has no connection, and so no message to count.
    assert_eq!((report.counts.sent, report.counts.failed), (0, 0));
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_call_of_nobody_and_a_call_that_is_left_open() {
    let host = small_host().await;
    fails(
        &attempt(&host, json!({ "do": "another" })).await,
        FailureKind::Limit,
        "which is not of this batch",
    );
    fails(
        &attempt(&host, json!({ "do": "nothing" })).await,
        FailureKind::Limit,
        "without saying how this went",
    );
    is_unharmed(&host).await;
}

#[tokio::test]
async fn randomness_by_the_piece() {
    let (kept, passed) = (
        json!({ "do": "random", "n": 65_536 }),
        json!({ "do": "random", "n": 65_537 }),
    );
    kept_and_passed(kept, json!(65_536), passed, "65537 bytes of randomness").await;
}

#[tokio::test]
async fn parts_without_end() {
    let connectors = hostile(&["alone"]);
    let host = host().connectors_from(connectors.path()).build().await.expect("a host");
    let report = attempt(&host, json!({ "do": "parts", "n": 10_000 })).await;
    assert_eq!(report.result.expect("as many as there may be"), json!(10_000));
    let report = attempt(&host, json!({ "do": "parts", "n": 10_001 })).await;
    fails(&report, FailureKind::Limit, "more than 10000 parts");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_trap_in_the_middle() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "panic", "text": "as it was told" })).await;
    fails(&report, FailureKind::Limit, "it gave up (a panic or an abort)");
    is_unharmed(&host).await;
}

#[tokio::test]
async fn a_forged_handle() {
    let host = small_host().await;
    for handle in [0, 1, 7, 1 << 20, u32::MAX] {
        let report = attempt(&host, json!({ "do": "forge", "n": handle })).await;
        fails(&report, FailureKind::Limit, "The connector `alone` was stopped: ");
        let failure = failure(&report).to_string();
        assert!(
            failure.contains("handle") && !failure.contains("backtrace"),
            "{failure}"
        );
        is_unharmed(&host).await;
    }
}

#[tokio::test]
async fn handles_without_end() {
    let given = tempfile::tempdir().expect("a folder");
    std::fs::write(given.path().join("file"), "text").expect("a file");
    let host = small_host().await;
    for (n, kept) in [(3, true), (4, false)] {
        let params = json!({ "do": "hold", "name": "file", "n": n });
        let report = attempt_with_files(&host, params, given.path().to_owned()).await;
        if kept {
            assert_eq!(report.result.expect("as many as there may be"), json!(n));
        } else {
            fails(&report, FailureKind::Limit, "more connections and files than it may");
        }
    }
    is_unharmed(&host).await;
}

#[tokio::test]
async fn new_files_without_end() {
    let host = small_host().await;
    for (n, output) in [(10, json!({ "written": true })), (11, json!({ "error": "too-large" }))] {
        let params = json!({ "do": "write", "name": "new", "text": "ten bytes.", "n": n });
        assert_eq!(attempt(&host, params).await.result.expect("an answer"), output);
    }
    is_unharmed(&host).await;
}

#[tokio::test]
async fn no_name_leads_to_other_files() {
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "secret").expect("a file");
    let given = tempfile::tempdir_in(outside.path()).expect("a folder");
    std::fs::write(given.path().join("mine"), "mine").expect("a file");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path().join("secret"), given.path().join("link")).expect("a link");
        std::os::unix::fs::symlink(outside.path(), given.path().join("folder")).expect("a link");
        std::os::unix::fs::symlink("..", given.path().join("up")).expect("a link");
    }
    let absolute = outside.path().join("secret").display().to_string();
    let host = small_host().await;
    let read = async |name: &str| {
        let params = json!({ "do": "read", "name": name });
        let report = attempt_with_files(&host, params, given.path().to_owned()).await;
        report.result.expect("an answer")
    };
    assert_eq!(read("mine").await, json!({ "text": "mine" }));
    assert_eq!(read("./mine").await, json!({ "text": "mine" }));
    for name in [
        "../secret",
        "./../secret",
        "a/../../secret",
        "/etc/passwd",
        &absolute,
        "..\\secret",
        "link",
        "folder/secret",
        "up/secret",
        "",
        "mine\0",
    ] {
        assert_eq!(read(name).await, json!({ "error": "not-allowed" }), "{name:?}");
    }
    let write = async |name: &str| {
        let params = json!({ "do": "write", "name": name, "text": "x", "n": 1 });
        attempt(&host, params).await.result.expect("an answer")
    };
    for name in ["../secret", &absolute, ""] {
        assert_eq!(write(name).await, json!({ "error": "not-allowed" }), "{name:?}");
    }
    let secret = std::fs::read_to_string(outside.path().join("secret"));
    assert_eq!(secret.expect("the file"), "secret");
}

#[tokio::test]
async fn the_files_of_one_run_are_not_there_in_the_next() {
    let host = small_host().await;
    let report = attempt(&host, json!({ "do": "write", "name": "new", "text": "x", "n": 1 })).await;
    assert_eq!(report.result.expect("an answer"), json!({ "written": true }));
    let report = attempt(&host, json!({ "do": "read", "name": "new" })).await;
    assert_eq!(report.result.expect("an answer"), json!({ "error": "not-found" }));
}

#[tokio::test]
async fn an_instance_keeps_nothing_for_the_next() {
    let (sender, memories) = std::sync::mpsc::channel();
    let connectors = hostile(&["alone"]);
    let host = host()
        .connectors_from(connectors.path())
        .limits(Limits {
            // One place: the second instance gets the memory that the first one had.
            instances: 1,
            ..small()
        })
        .memory_dumps(MemoryDumps::new(move |_, memory| {
            sender.send(memory.to_vec()).expect("somebody listens");
        }))
        .build()
        .await
        .expect("a host");
    let marker = "kept-from-one-run-to-the-next";
    let holds_marker = |memory: &[u8]| memchr::memmem::find(memory, marker.as_bytes()).is_some();
    let report = attempt(&host, json!({ "do": "keep", "text": marker })).await;
    assert_eq!(report.result.expect("an answer"), json!(""));
    assert!(
        holds_marker(&memories.recv().expect("a memory")),
        "the instance did keep it"
    );

    let report = attempt(&host, json!({ "do": "keep", "text": "" })).await;
    assert_eq!(
        report.result.expect("an answer"),
        json!(""),
        "what another instance kept"
    );
    assert!(!holds_marker(&memories.recv().expect("a memory")));
}
