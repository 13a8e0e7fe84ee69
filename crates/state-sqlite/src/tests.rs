use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipepost_state::ledger::{ClaimError, Known, Message, Part, PartOutcome, Recorded};
use pipepost_state::quota::{AccountKey, SendLimits};
use pipepost_state::suite::{Machine, SimClock};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// Processes that share a state directory.
struct Directory {
    folder: TempDir,
    clock: Arc<SimClock>,
}

impl Machine for Directory {
    type Process = SqliteStore;

    const OUTLIVES_A_CRASH: bool = true;

    fn new(clock: Arc<SimClock>) -> Self {
        Self {
            folder: folder(),
            clock,
        }
    }

    fn process(&self) -> SqliteStore {
        SqliteStore::with_clock(self.folder.path(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn crash(&self, process: SqliteStore) {
        process.crash();
    }
}

pipepost_state::expand_suite!(Directory);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// The connection that tests look behind with.
fn database(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join(FILE)).expect("a state")
}

fn part(key: &str) -> Part {
    Part {
        key: key.to_owned(),
        number: 0,
    }
}

async fn open(store: &SqliteStore, execution: &str) -> Arc<dyn Ledger> {
    let opened = store.open_ledger(execution, Redact::nothing()).await;
    opened.expect("nobody runs it")
}

fn owners(folder: &TempDir) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.path().join("owners")).expect("a folder of owners");
    files.map(|file| file.expect("a file").path()).collect()
}

#[tokio::test]
async fn an_owner_that_is_gone_is_none() {
    let folder = folder();
    let store = SqliteStore::new(folder.path());
    open(&store, "run").await.close().await.expect("a writable state");
    let stale = folder.path().join("owners").join("0123456789abcdef");
    std::fs::write(&stale, "").expect("a writable folder");
    database(&folder)
        .execute("UPDATE executions SET owner = '0123456789abcdef'", [])
        .expect("a state");
    open(&store, "run").await;
    assert!(!stale.exists());
}

#[tokio::test]
async fn a_process_has_one_owner_file_however_many_executions_it_runs_and_takes_it_along() {
    let folder = folder();
    let store = SqliteStore::new(folder.path());
    let ledgers = [open(&store, "one").await, open(&store, "two").await];
    let (key, limits) = (account(), limits());
    store.quotas().admit(&key, limits, 1).await.expect("a state");
    assert_eq!(owners(&folder).len(), 1);
    drop(ledgers);
    drop(store);
    assert!(owners(&folder).is_empty());
}

#[tokio::test]
async fn what_killed_processes_left_behind_is_swept() {
    let folder = folder();
    let store = SqliteStore::new(folder.path());
    std::fs::create_dir_all(folder.path().join("owners")).expect("a writable folder");
    std::fs::write(folder.path().join("owners/0123456789abcdef"), "").expect("a writable folder");
    let _ledger = open(&store, "run").await;
    assert_eq!(owners(&folder).len(), 1, "its own");
}

fn account() -> AccountKey {
    AccountKey {
        label: "a".to_owned(),
        account: "[\"a\"]".to_owned(),
    }
}

fn limits() -> SendLimits {
    SendLimits {
        per_second: None,
        per_day: Some(5),
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_not_claimed() {
    let folder = folder();
    let store = SqliteStore::new(folder.path());
    let ledger = open(&store, "run").await;
    let message = Message {
        key: "a".to_owned(),
        digest: "d".to_owned(),
        resend: false,
    };
    assert_eq!(
        ledger
            .look_up(std::slice::from_ref(&message))
            .await
            .expect("a readable state"),
        [Known::Nothing]
    );
    database(&folder).execute("DROP TABLE parts", []).expect("a state");
    let refused = ledger.claim(vec![part("a")]).await;
    assert!(matches!(refused, Err(ClaimError::Unrecorded(_))), "{refused:?}");
    assert_eq!(
        ledger.look_up(&[message]).await.expect("a readable state"),
        [Known::Nothing]
    );
}

#[tokio::test]
async fn what_is_no_state_admits_nobody_who_states_limits_and_says_so() {
    let folder = folder();
    std::fs::write(folder.path().join(FILE), "a letter, and no database ".repeat(30)).expect("a folder");
    let quotas = SqliteStore::new(folder.path()).quotas();
    let refused = quotas.admit(&account(), limits(), 1).await;
    assert!(matches!(refused, Err(StateError::Unusable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_look_at_a_pause_makes_no_state() {
    let folder = folder();
    let quotas = SqliteStore::new(folder.path().join("state")).quotas();
    let looked = quotas.look(&account(), SendLimits::default()).await;
    looked.expect("there is none");
    assert!(!folder.path().join("state").exists());
}

/// A disk at which tests wait, and what stood on it at each commit.
#[derive(Default)]
struct SlowDisk {
    commits: AtomicUsize,
    open_claims: Mutex<Vec<u32>>,
}

#[tokio::test]
async fn executions_that_wait_at_a_moment_share_a_commit() {
    const RUNS: usize = 32;
    let folder = folder();
    let disk = Arc::new(SlowDisk::default());
    let (counted, (let_go, gate)) = (Arc::clone(&disk), channel::<()>());
    let gate = Mutex::new(gate);
    let store = SqliteStore::new(folder.path()).before_commits(move || {
        // The first claims wait here until all the others wait behind them.
        if counted.commits.fetch_add(1, Ordering::SeqCst) == RUNS {
            let gate = gate.lock().expect("no panic while it is held");
            gate.recv().expect("the test lets go");
        }
    });
    let mut ledgers = Vec::new();
    for run in 0..RUNS {
        ledgers.push(open(&store, &format!("run {run}")).await);
    }
    assert_eq!(disk.commits.load(Ordering::SeqCst), RUNS);
    let keys: Vec<String> = (0..RUNS).map(|run| format!("run {run}/a")).collect();
    let mut claims: Vec<_> = ledgers
        .iter()
        .zip(&keys)
        .map(|(ledger, key)| ledger.claim(vec![part(key)]))
        .collect();
    // Each is given to the thread that writes when it is polled first.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for claim in &mut claims {
        assert!(claim.as_mut().poll(&mut context).is_pending());
    }
    let_go.send(()).expect("the disk waits");
    drop(let_go);
    for claim in claims {
        claim.await.expect("nobody has it");
    }
    let commits = disk.commits.load(Ordering::SeqCst) - RUNS;
    assert!((1..=2).contains(&commits), "{commits} commits for {RUNS} claims");
}

#[tokio::test]
async fn what_was_settled_is_on_the_disk_with_the_next_claim_at_the_latest() {
    let folder = folder();
    let disk = Arc::new(SlowDisk::default());
    let (seen, file) = (Arc::clone(&disk), folder.path().join(FILE));
    let store = SqliteStore::new(folder.path()).before_commits(move || {
        // What a crash at this moment would leave.
        let database = Connection::open(&file).expect("a state");
        let open = database.query_row("SELECT count(*) FROM parts WHERE state = 'claimed'", [], |row| {
            row.get(0)
        });
        let mut open_claims = seen.open_claims.lock().expect("no panic while it is held");
        open_claims.push(open.expect("a table"));
    });
    let ledger = open(&store, "run").await;
    for number in 0..50 {
        let key = format!("run/{number}");
        ledger.claim(vec![part(&key)]).await.expect("nobody has it");
        ledger.settle(&part(&key), PartOutcome::Confirmed(None));
    }
    ledger.close().await.expect("a writable state");
    let open_claims = disk.open_claims.lock().expect("no panic while it is held");
    assert!(open_claims.len() > 50);
    assert!(open_claims.iter().all(|open| *open <= 1), "{open_claims:?}");
}

#[tokio::test]
async fn what_cannot_be_written_of_one_execution_does_not_touch_the_others() {
    let folder = folder();
    let (let_go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let store = SqliteStore::new(folder.path()).before_commits(move || {
        let gate = gate.lock().expect("no panic while it is held");
        gate.recv().expect("the test lets go");
    });
    // Two to open, one that all wait behind, and each alone.
    for _ in 0..3 {
        let_go.send(()).expect("the disk waits");
    }
    let (fine, broken) = (open(&store, "fine").await, open(&store, "broken").await);
    let database = database(&folder);
    database
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON messages WHEN new.key = 'broken/a'
             BEGIN SELECT RAISE(ABORT, 'it is broken'); END",
        )
        .expect("a state");
    let claims = [fine.claim(vec![part("fine/a")]), broken.claim(vec![part("broken/a")])];
    drop((0..8).map(|_| let_go.send(())).collect::<Vec<_>>());
    let [fine, broken] = claims;
    let (fine, broken) = tokio::join!(fine, broken);
    assert_eq!(fine, Ok(()));
    assert!(matches!(broken, Err(ClaimError::Unrecorded(_))), "{broken:?}");
}

#[tokio::test]
async fn one_server_serves_a_state_at_a_time_and_a_second_one_is_told_who() {
    let folder = folder();
    let (first, second) = (SqliteStore::new(folder.path()), SqliteStore::new(folder.path()));
    first.runs().serve().await.expect("nobody serves it");
    let refused = second.runs().serve().await.expect_err("it is served");
    let own = format!("number {}", std::process::id());
    assert!(
        matches!(refused, StateError::Served { .. }) && refused.to_string().contains(&own),
        "{refused}"
    );
    first.crash();
    second.runs().serve().await.expect("nobody serves it any more");
}

#[tokio::test]
async fn a_state_from_before_the_runs_is_brought_to_this_format() {
    let folder = folder();
    let old = database(&folder);
    for migration in 1..=5 {
        let path = format!("{}/src/migrations/{migration}.sql", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a migration");
        old.execute_batch(&text).expect("an old state");
    }
    old.pragma_update(None, "user_version", 5).expect("an old state");
    drop(old);
    let length = SqliteStore::new(folder.path()).runs().length().await;
    assert_eq!(length.expect("a usable state").queued, 0);
}

/// A rerun reads what it comes to: an execution of a million messages is not in memory together.
#[tokio::test]
async fn what_earlier_owners_left_is_read_when_the_run_comes_to_it() {
    const MESSAGES: usize = 600;
    let folder = folder();
    let message = |n: usize| Message {
        key: format!("run/{n}"),
        digest: "content".to_owned(),
        resend: false,
    };
    let recorded = |n: usize| Recorded {
        output: format!("{{\"n\":{n}}}"),
        uncertain: n.is_multiple_of(7),
        remainder: None,
    };
    {
        let store = SqliteStore::new(folder.path());
        let ledger = open(&store, "run").await;
        for n in 0..MESSAGES {
            ledger.look_up(&[message(n)]).await.expect("a readable state");
            ledger.claim(vec![part(&message(n).key)]).await.expect("new");
            if n < MESSAGES - 2 {
                ledger.settle(&part(&message(n).key), PartOutcome::Confirmed(None));
                ledger.record(&message(n).key, recorded(n));
            }
        }
        // The process ends before it knows how the last two ended; of one it has the last word.
        let done = PartOutcome::Confirmed(Some("{\"n\":598}".to_owned()));
        ledger.settle(&part(&message(MESSAGES - 2).key), done);
        ledger.claim(vec![part("run/other")]).await.expect("new");
        store.crash();
    }
    let store = SqliteStore::new(folder.path());
    let (done, answer) = oneshot::channel();
    store
        .book
        .give(Job::open("run", Redact::nothing(), done))
        .expect("it writes");
    let loaded = answer.await.expect("an answer").expect("nobody runs it");
    assert_eq!((loaded.open.len(), loaded.has_earlier), (2, true), "what was under way");
    let ledger = SqliteLedger::new(Arc::clone(&store.book), "run", Redact::nothing(), loaded);
    for batch in (0..MESSAGES).collect::<Vec<_>>().chunks(100) {
        let messages: Vec<Message> = batch.iter().map(|n| message(*n)).collect();
        let known = ledger.look_up(&messages).await.expect("a readable state");
        for (n, known) in batch.iter().zip(known) {
            match known {
                Known::Ended(ended) if *n < MESSAGES - 2 => assert_eq!(ended, recorded(*n)),
                Known::Ended(ended) => assert_eq!(ended.uncertain, *n == MESSAGES - 1, "{n}"),
                other => panic!("{n}: {other:?}"),
            }
        }
        let keys: Vec<String> = messages.into_iter().map(|message| message.key).collect();
        ledger.let_go(&keys);
        assert!(ledger.in_memory() <= 3, "{} are in memory", ledger.in_memory());
    }
    let other = Message {
        digest: "another content".to_owned(),
        ..message(5)
    };
    assert_eq!(
        ledger.look_up(&[other]).await.expect("a readable state"),
        [Known::OtherContent]
    );
    let new = Message {
        key: "run/new".to_owned(),
        ..message(0)
    };
    assert_eq!(
        ledger.look_up(&[new]).await.expect("a readable state"),
        [Known::Nothing]
    );
    assert_eq!(ledger.claim(vec![part("run/5")]).await, Err(ClaimError::Claimed));
}

/// A run that begins has nothing to look up, and its claims do not wait for it.
#[tokio::test]
async fn a_new_execution_reads_nothing() {
    let folder = folder();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let store = SqliteStore::new(folder.path()).before_commits(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let ledger = open(&store, "run").await;
    let before = commits.load(Ordering::Relaxed);
    let message = Message {
        key: "run/0".to_owned(),
        digest: "content".to_owned(),
        resend: false,
    };
    assert_eq!(
        ledger.look_up(&[message]).await.expect("a readable state"),
        [Known::Nothing]
    );
    assert_eq!(commits.load(Ordering::Relaxed), before);
}

/// Versions before wrote a message's output beside the part that completed it, and again with its record.
#[tokio::test]
async fn a_message_that_an_earlier_version_saw_completed_is_recorded() {
    let folder = folder();
    let message = || Message {
        key: "run/a".to_owned(),
        digest: "content".to_owned(),
        resend: false,
    };
    {
        let store = SqliteStore::new(folder.path());
        let ledger = open(&store, "run").await;
        ledger.look_up(&[message()]).await.expect("a readable state");
        ledger.claim(vec![part("run/a")]).await.expect("new");
        ledger.settle(&part("run/a"), PartOutcome::Confirmed(Some("{\"n\":1}".to_owned())));
        ledger.claim(vec![part("run/other")]).await.expect("new");
        store.crash();
    }
    let before = database(&folder);
    let written: (String, Option<String>) = before
        .query_row(
            "SELECT m.output, p.output FROM messages m JOIN parts p ON p.message = m.key WHERE m.outcome = 'sent'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("it is sent");
    assert_eq!(written, ("{\"n\":1}".to_owned(), None), "its output stands there once");
    before
        .execute_batch(
            "UPDATE parts SET output = '{\"n\":1}' WHERE message = 'run/a';
             UPDATE messages SET outcome = NULL, output = NULL WHERE key = 'run/a'",
        )
        .expect("as it was");
    drop(before);
    let ledger = open(&SqliteStore::new(folder.path()), "run").await;
    let known = ledger.look_up(&[message()]).await.expect("a readable state");
    assert!(
        matches!(&known[..], [Known::Ended(ended)] if ended.output == "{\"n\":1}" && !ended.uncertain),
        "{known:?}"
    );
}

/// Each makes what is not there yet, whoever comes first.
#[test]
fn several_who_come_upon_a_new_state_at_once_all_open_it() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || file::open(folder.path()).map(drop);
        let opened: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("it does not panic"))
                .collect()
        });
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    }
}
