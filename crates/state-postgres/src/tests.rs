mod cluster;

use std::sync::Arc;

use cluster::Database;
use pipepost_state::ledger::{ClaimError, Decision, Known, Message, Part, PartOutcome, Recorded, State};
use pipepost_state::runs::{Accepted, NewRun, PinnedDocument, Room, RunFilter, RunId, RunOrigin, ScheduleNote};
use pipepost_state::suite::{Machine, SimClock};

use super::*;

/// Workers that share a database.
struct Workers {
    database: Database,
    clock: Arc<SimClock>,
}

impl Machine for Workers {
    type Process = PostgresStore;

    const OUTLIVES_A_CRASH: bool = true;

    fn new(clock: Arc<SimClock>) -> Self {
        Self {
            database: Database::new(),
            clock,
        }
    }

    fn process(&self) -> PostgresStore {
        let address = Address::parse(&self.database.address("")).expect("an address");
        PostgresStore::with_clock(address, trust(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn crash(&self, process: PostgresStore) {
        process.crash();
    }
}

pipepost_state::expand_suite!(Workers, skipped if cluster::is_missing());

/// No authority at all: the tests of this crate speak over a socket.
fn trust() -> Trust {
    Trust::with(|_| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the protocol's versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    })
}

fn store(database: &Database, parameters: &str) -> PostgresStore {
    let address = Address::parse(&database.address(parameters)).expect("an address");
    PostgresStore::new(address, trust())
}

async fn open(store: &PostgresStore, execution: &str) -> Arc<dyn Ledger> {
    let opened = store.open_ledger(execution, Redact::nothing()).await;
    opened.expect("nobody runs it")
}

fn part(key: &str) -> Part {
    Part {
        key: key.to_owned(),
        number: 0,
    }
}

async fn claim(ledger: &Arc<dyn Ledger>, key: &str) -> Result<(), ClaimError> {
    let message = Message {
        key: key.to_owned(),
        digest: "d".to_owned(),
        resend: false,
    };
    ledger.look_up(&[message]).await.expect("a readable state");
    ledger.claim(vec![part(key)]).await
}

fn sent() -> Recorded {
    Recorded {
        output: "{\"n\":1}".to_owned(),
        uncertain: false,
        remainder: None,
    }
}

async fn state_of(store: &PostgresStore, key: &str) -> State {
    let shown = store.reader().show(key).await.expect("a state");
    shown.expect("it is there").state
}

/// The lease of whoever runs the execution is over, as after a long pause.
fn its_owner_is_silent(database: &Database) {
    database.sql(
        "UPDATE pipepost.workers SET seen = '-infinity'
         WHERE id = (SELECT owner FROM pipepost.executions WHERE key = 'run')",
    );
}

#[tokio::test]
async fn a_worker_that_was_paused_past_its_lease_claims_nothing_and_only_its_confirmations_count() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let (paused, other) = (store(&database, ""), store(&database, ""));
    let before = open(&paused, "run").await;
    for key in ["confirmed late", "refused late", "open"] {
        claim(&before, key).await.expect("nobody has it");
    }
    its_owner_is_silent(&database);
    let after = open(&other, "run").await;
    for key in ["confirmed late", "refused late", "open"] {
        assert_eq!(claim(&after, key).await, Err(ClaimError::Claimed), "{key}");
    }

    // It wakes.
    let refused = claim(&before, "new").await;
    let said = refused.expect_err("the execution is another's").to_string();
    assert!(said.contains("another worker has taken the execution over"), "{said}");
    claim(&after, "new").await.expect("nothing was claimed of it");
    before.settle(&part("confirmed late"), PartOutcome::Confirmed(None));
    before.record("confirmed late", sent());
    before.settle(&part("refused late"), PartOutcome::NotCommitted);
    before.settle(&part("open"), PartOutcome::Uncertain);
    // What was noted is written with what comes next.
    claim(&before, "another").await.expect_err("the execution is another's");
    after.close().await.expect("a writable state");
    assert_eq!(state_of(&other, "confirmed late").await, State::Sent);
    assert_eq!(state_of(&other, "refused late").await, State::Uncertain);
    assert_eq!(state_of(&other, "open").await, State::Uncertain);
    assert_eq!(state_of(&other, "new").await, State::Uncertain);
    // Its close is no longer about the execution, which is another's again.
    let after = open(&other, "run").await;
    before.close().await.expect("a writable state");
    claim(&after, "newer").await.expect("it still has the execution");
}

#[tokio::test]
async fn what_a_late_confirmation_says_outlives_what_the_next_owner_records() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let (paused, other) = (store(&database, ""), store(&database, ""));
    let before = open(&paused, "run").await;
    claim(&before, "a").await.expect("nobody has it");
    its_owner_is_silent(&database);
    let after = open(&other, "run").await;
    before.settle(&part("a"), PartOutcome::Confirmed(None));
    before.record("a", sent());
    claim(&before, "b").await.expect_err("the execution is another's");
    after.record(
        "a",
        Recorded {
            uncertain: true,
            ..sent()
        },
    );
    after.close().await.expect("a writable state");
    assert_eq!(state_of(&other, "a").await, State::Sent);
    let again = open(&other, "run").await;
    let message = Message {
        key: "a".to_owned(),
        digest: "d".to_owned(),
        resend: true,
    };
    assert_eq!(
        again.look_up(&[message]).await.expect("a readable state"),
        [Known::Ended(sent())]
    );
}

#[tokio::test]
async fn a_claim_that_stands_there_though_nobody_was_told_is_ones_own_or_anothers() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let store = store(&database, "");
    let ledger = open(&store, "run").await;
    // As a claim leaves it whose answer was lost.
    for (key, execution, state, epoch) in [
        ("own", "run", "claimed", 1),
        ("earlier", "run", "claimed", 0),
        ("doubtful", "run", "uncertain", 1),
        ("of another", "another", "claimed", 1),
    ] {
        database.sql(&format!(
            "INSERT INTO pipepost.messages (key, execution, digest, changed) VALUES ('{key}', '{execution}', 'd', 0);
             INSERT INTO pipepost.parts (message, number, state, epoch) VALUES ('{key}', 0, '{state}', {epoch})"
        ));
    }
    assert_eq!(claim(&ledger, "own").await, Ok(()));
    for key in ["earlier", "doubtful", "of another"] {
        assert_eq!(claim(&ledger, key).await, Err(ClaimError::Claimed), "{key}");
    }
}

#[tokio::test]
async fn while_the_database_lets_nobody_in_nothing_is_claimed_and_then_it_goes_on_by_itself() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let role = format!("ann_{}", database.name());
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT ALL ON DATABASE {} TO {role}",
        database.name()
    ));
    let address = Address::parse(&database.address_of(&role, "?lease=1")).expect("an address");
    let store = PostgresStore::new(address, trust());
    let ledger = open(&store, "run").await;
    claim(&ledger, "a").await.expect("nobody has it");
    // Settled while the database is away, it is written when it is back.
    database.sql(&format!(
        "ALTER ROLE {role} CONNECTION LIMIT 0;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"
    ));
    ledger.settle(&part("a"), PartOutcome::Confirmed(None));
    ledger.record("a", sent());
    let refused = claim(&ledger, "b").await;
    assert!(matches!(refused, Err(ClaimError::Unrecorded(_))), "{refused:?}");
    let error = store.runs().length().await.expect_err("nobody is let in");
    assert!(
        error.is_temporary() && error.to_string().contains("cannot be reached"),
        "{error}"
    );
    database.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1"));
    claim(&ledger, "b").await.expect("nothing of it was sent");
    ledger.close().await.expect("a writable state");
    assert_eq!(state_of(&store, "a").await, State::Sent);
    assert_eq!(state_of(&store, "b").await, State::Uncertain);
}

#[tokio::test]
async fn what_a_crash_of_the_server_forgot_is_noted_again() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::with("-c fsync=on -c full_page_writes=on");
    let store = store(&database, "?lease=1");
    let ledger = open(&store, "run").await;
    for key in ["recorded", "settled", "refused", "refused and claimed again"] {
        claim(&ledger, key).await.expect("nobody has it");
    }
    database.stop_wal_writer();
    ledger.settle(&part("recorded"), PartOutcome::Confirmed(None));
    ledger.record("recorded", sent());
    ledger.settle(&part("settled"), PartOutcome::Confirmed(None));
    ledger.settle(&part("refused"), PartOutcome::NotCommitted);
    ledger.settle(&part("refused and claimed again"), PartOutcome::NotCommitted);
    // Nobody waits for the disk: what comes next does, as the end of a run.
    ledger.hand_over().await.expect("a writable state");
    database.crash();
    let reader = store.reader();
    let shown = async |key: &str| loop {
        match reader.show(key).await {
            Ok(entry) => return entry.map(|entry| (entry.state, entry.parts[0].state.clone())),
            // The connections are those to the server before.
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    };
    let ledger = loop {
        match store.open_ledger("run", Redact::nothing()).await {
            Ok(ledger) => break ledger,
            Err(error) => assert!(
                error.is_temporary() || matches!(error, StateError::Taken { .. }),
                "{error}"
            ),
        }
    };
    // The sign of life after a sixth of the lease tells that another server answers.
    let begun = Instant::now();
    while shown("recorded").await.is_none_or(|(state, _)| state != State::Sent) {
        assert!(begun.elapsed().as_secs() < 20, "it is still claimed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (_, part) = shown("settled").await.expect("it is there");
    assert_eq!(part, "confirmed");
    claim(&ledger, "refused").await.expect("it was not sent");
    claim(&ledger, "refused and claimed again")
        .await
        .expect("it was not sent");
    ledger.close().await.expect("a writable state");
    let (state, _) = shown("refused and claimed again").await.expect("it is there");
    assert_eq!(state, State::Uncertain, "a claim stays one");
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused_in_a_sentence() {
    if cluster::is_missing() {
        return;
    }
    for (settings, said) in [
        ("-c fsync=off", "fsync = on"),
        ("-c fsync=on -c full_page_writes=off", "full_page_writes = on"),
    ] {
        let database = Database::with(settings);
        let error = store(&database, "").probe().await.expect_err(settings);
        let sentence = error.to_string();
        assert!(!error.is_temporary() && sentence.contains(said), "{sentence}");
        assert!(sentence.ends_with('.') && !sentence.contains('\n'), "{sentence}");
    }
}

#[tokio::test]
async fn workers_of_this_version_go_on_beside_a_later_format_unless_it_says_otherwise() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let stores = [store(&database, ""), store(&database, "")];
    let (one, other) = tokio::join!(stores[0].probe(), stores[1].probe());
    one.and(other).expect("both find the work done");
    database.sql("INSERT INTO pipepost.migrations (version, oldest) VALUES (7000, 1)");
    store(&database, "")
        .probe()
        .await
        .expect("it says that this version may go on");
    database.sql("INSERT INTO pipepost.migrations (version, oldest) VALUES (7001, 7000)");
    let error = store(&database, "").probe().await.expect_err("it is newer").to_string();
    assert!(error.contains("newer Pipepost") && error.contains("7001"), "{error}");
    open(&stores[0], "run")
        .await
        .close()
        .await
        .expect("what runs already goes on");
}

#[tokio::test]
async fn several_servers_serve_one_state_and_what_a_silent_one_took_is_done_by_another() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let stores = [store(&database, ""), store(&database, "")];
    for store in &stores {
        store.runs().serve().await.expect("each may");
    }
    let lost = open(&stores[0], "run").await;
    its_owner_is_silent(&database);
    let ledger = open(&stores[1], "run").await;
    claim(&ledger, "a").await.expect("nobody has it");
    let settled = stores[0].reader().settle("a", Decision::Sent).await;
    settled.expect_err("it is being sent");
    claim(&lost, "b").await.expect_err("it is another's");
}

fn order(pipeline: &str, key: &str) -> NewRun {
    NewRun {
        id: RunId::next(),
        document: Arc::new(PinnedDocument {
            digest: format!("sha256:{pipeline}"),
            pipeline: pipeline.to_owned(),
            text: "{}".to_owned(),
            files: "{}".to_owned(),
        }),
        key: key.to_owned(),
        digest: "d".to_owned(),
        origin: RunOrigin::Api,
        message: "{}".to_owned(),
        shown: None,
        globals: None,
        trace: None,
        due: None,
        expiration: None,
        retries: 0,
        allow_redelivery: true,
        unless_waiting: false,
        running_max: None,
    }
}

#[tokio::test]
async fn whoever_performs_a_run_takes_its_execution_from_a_worker_that_lost_it_and_is_back() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let (woken, other) = (store(&database, ""), store(&database, ""));
    let begun = woken.runs().accept(order("mail", "run"), true).await;
    assert!(matches!(begun, Ok(Accepted::Begun(_))), "{begun:?}");
    let before = open(&woken, "run").await;
    its_owner_is_silent(&database);
    assert_eq!(other.runs().recover().await.expect("a state").len(), 1);
    // It is back before the other one has taken the execution.
    database.sql("UPDATE pipepost.workers SET seen = clock_timestamp()");
    let refused = other.open_ledger("run", Redact::nothing()).await.map(drop);
    assert!(matches!(refused, Err(StateError::Taken { .. })), "{refused:?}");
    let room = Room {
        runs: 1,
        others: 1,
        ..Room::default()
    };
    let leases = other.runs().take(room).await.expect("a state");
    assert_eq!(leases.len(), 1);
    let after = open(&other, "run").await;
    claim(&after, "a").await.expect("nobody has it");
    claim(&before, "b").await.expect_err("the execution is another's");
}

#[tokio::test]
async fn a_run_that_was_taken_though_the_answer_was_lost_waits_again() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let (store, other) = (store(&database, "?lease=1"), store(&database, "?lease=1"));
    for key in ["known", "unknown"] {
        let begun = store.runs().accept(order("mail", key), true).await;
        assert!(matches!(begun, Ok(Accepted::Begun(_))), "{begun:?}");
    }
    // As a lost answer leaves it: under way for this worker, which does not know of it.
    database.sql(
        "UPDATE pipepost.runs SET begun = begun - 10000000;
         INSERT INTO pipepost.runs SELECT 'a' || right(id, -1), pipeline, document, 'lost', digest, origin, message, shown,
           globals, state, due, expires, retries, attempt, deaths, allow_redelivery, redelivery, owner, epoch, accepted,
           begun, ended, output, kind, failure, sent, failed, uncertain FROM pipepost.runs WHERE key = 'unknown'",
    );
    other.runs().serve().await.expect("a state");
    let recovered = store.runs().recover().await.expect("a state");
    let keys: Vec<(&str, u32)> = recovered.iter().map(|run| (run.key.as_str(), run.deaths)).collect();
    assert_eq!(keys, [("lost", 0)], "nobody died");
}

#[tokio::test]
async fn a_grant_is_replaced_by_whoever_saw_the_last_one() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let [one, other] = [store(&database, ""), store(&database, "")].map(|store| store.grants().expect("they are kept"));
    assert_eq!(one.look("a").await, Ok(None));
    assert_eq!(one.replace("a", 0, b"first".to_vec()).await, Ok(true));
    assert_eq!(other.replace("a", 0, b"late".to_vec()).await, Ok(false));
    let seen = other.look("a").await.expect("a state").expect("it is kept");
    assert_eq!((seen.revision, &*seen.sealed), (1, &b"first"[..]));
    assert_eq!(other.replace("a", 1, b"second".to_vec()).await, Ok(true));
    assert_eq!(one.replace("a", 1, b"late".to_vec()).await, Ok(false));
    let kept = one.look("a").await.expect("a state").expect("it is kept");
    assert_eq!((kept.revision, &*kept.sealed), (2, &b"second"[..]));
    assert_eq!(one.look("b").await, Ok(None));
}

/// Somebody keeps a table to himself for so many seconds.
async fn locked(database: &Arc<Database>, table: &str, seconds: u32) -> tokio::task::JoinHandle<()> {
    let (locking, statement) = (
        Arc::clone(database),
        format!("BEGIN; LOCK TABLE pipepost.{table}; SELECT pg_sleep({seconds}); COMMIT"),
    );
    let held = tokio::task::spawn_blocking(move || locking.sql(&statement));
    // Until it has it.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    held
}

#[tokio::test]
async fn an_order_that_was_refused_since_the_server_did_not_answer_is_not_done_later() {
    if cluster::is_missing() {
        return;
    }
    let database = Arc::new(Database::new());
    let store = store(&database, "?lease=2");
    store.runs().serve().await.expect("a state");
    let held = locked(&database, "runs", 4).await;
    let begun = Instant::now();
    let refused = store.runs().accept(order("mail", "run"), true).await;
    let error = refused.expect_err("somebody has the table");
    assert!(begun.elapsed().as_secs() < 3, "it waits for the lock's end");
    let is_known = matches!(error, StateError::Unreachable { may_be_done: false, .. });
    assert!(is_known, "{error:?}");
    held.await.expect("a statement");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(store.runs().length().await.map(|length| length.running), Ok(0));
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_asked_for_again_and_whoever_may_not_know_is_told_so() {
    if cluster::is_missing() {
        return;
    }
    let database = Arc::new(Database::with("-c fsync=on -c full_page_writes=on"));
    let store = store(&database, "?lease=2");
    store.runs().serve().await.expect("a state");
    let waits_for_a_standby = async |name: &str| {
        let name = name.to_owned();
        let database = Arc::clone(&database);
        let set = move || {
            database.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
            database.sql("SELECT pg_reload_conf()");
        };
        tokio::task::spawn_blocking(set).await.expect("a statement");
    };
    waits_for_a_standby("nobody").await;
    let refused = store.runs().accept(order("mail", "doubtful"), true).await;
    let error = refused.expect_err("no standby has it");
    assert!(
        matches!(error, StateError::Unreachable { may_be_done: true, .. }),
        "{error:?}"
    );
    let runs = store.runs();
    let (accepted, ()) = tokio::join!(runs.accept(order("mail", "run"), true), async {
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        waits_for_a_standby("").await;
    });
    let Ok(Accepted::Begun(lease)) = accepted else {
        panic!("{accepted:?}");
    };
    assert_eq!((lease.run.key.as_str(), lease.run.epoch), ("run", 1));
    let again = store.runs().accept(order("mail", "doubtful"), true).await;
    assert!(matches!(again, Ok(Accepted::Known(_))), "{again:?}");
}

#[tokio::test]
async fn what_the_server_goes_on_with_though_nobody_hears_it_ends_by_itself() {
    if cluster::is_missing() {
        return;
    }
    let database = Arc::new(Database::new());
    let store = store(&database, "?lease=2");
    let setting = "SELECT current_setting('statement_timeout'), current_setting('transaction_isolation'),
        current_setting('idle_in_transaction_session_timeout')";
    let asked = store.book.act(async move |desk| {
        let ask = async |client: &mut deadpool_postgres::Object| Ok(client.query_typed_one(setting, &[]).await?);
        let bound = std::time::Duration::from_secs(60);
        let [usual, long, after] = [
            desk.database.soon(ask).await?,
            desk.database.with(bound, ask).await?,
            desk.database.soon(ask).await?,
        ];
        Ok([usual, long, after].map(|row| [0, 1, 2].map(|column| row.get::<_, String>(column))))
    });
    let expected = ["1500ms", "90s", "1500ms"].map(|bound| [bound, "read committed", "2s"].map(str::to_owned));
    assert_eq!(asked.await, Ok(expected));
}

#[tokio::test]
async fn workers_begin_at_once_on_a_database_with_another_isolation() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    for isolation in ["repeatable read", "serializable"] {
        database.sql(&format!(
            "DROP SCHEMA IF EXISTS pipepost CASCADE;
             ALTER DATABASE {} SET default_transaction_isolation = '{isolation}'",
            database.name()
        ));
        let stores = [store(&database, ""), store(&database, ""), store(&database, "")];
        let (one, two, three) = tokio::join!(stores[0].probe(), stores[1].probe(), stores[2].probe());
        one.and(two).and(three).expect(isolation);
    }
}

#[tokio::test]
async fn notes_that_the_server_cannot_write_now_are_written_later() {
    if cluster::is_missing() {
        return;
    }
    let database = Arc::new(Database::new());
    database.sql(&format!(
        "ALTER DATABASE {} SET lock_timeout = '100ms'",
        database.name()
    ));
    let store = store(&database, "");
    let ledger = open(&store, "run").await;
    claim(&ledger, "a").await.expect("nobody has it");
    let held = locked(&database, "parts", 2).await;
    ledger.settle(&part("a"), PartOutcome::Confirmed(None));
    ledger.record("a", sent());
    ledger.hand_over().await.expect("a state that can be written in time");
    held.await.expect("a statement");
    ledger.close().await.expect("a writable state");
    assert_eq!(state_of(&store, "a").await, State::Sent);
}

#[tokio::test]
async fn runs_can_be_written_down_only_where_a_row_can() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let runs = store(&database, "").runs();
    runs.probe().await.expect("a writable state");
    assert_eq!(
        runs.list(RunFilter {
            limit: 9,
            ..RunFilter::default()
        })
        .await,
        Ok(Vec::new())
    );
    // As a full disk says it.
    database.sql(
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE 'no space left on device' USING ERRCODE = 'disk_full'; END $$;
         CREATE TRIGGER no_space BEFORE INSERT ON pipepost.runs FOR EACH ROW EXECUTE FUNCTION no_space()",
    );
    let error = runs.probe().await.expect_err("the disk is full");
    assert!(
        error.is_temporary() && error.to_string().contains("no space"),
        "{error}"
    );
}

#[tokio::test]
async fn what_somebody_relies_on_is_synced_whatever_the_database_has_set() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    database.sql(&format!(
        "ALTER DATABASE {} SET synchronous_commit = off",
        database.name()
    ));
    let store = store(&database, "");
    store.probe().await.expect("a state");
    // Each change of a row says how it will be committed.
    database.sql(
        "CREATE TABLE public.commits (what text, how text);
         CREATE FUNCTION public.committed() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO public.commits VALUES (TG_ARGV[0], current_setting('synchronous_commit'));
              RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER committed AFTER INSERT OR UPDATE ON pipepost.schedules
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.committed('schedule');
         INSERT INTO pipepost.quota_accounts (account, label, begun, until, kind, why)
           VALUES ('a', 'a', 0, 4000000000000000, 'person', 'w');
         CREATE CONSTRAINT TRIGGER committed AFTER UPDATE ON pipepost.quota_accounts
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.committed('account');",
    );
    store.runs().pause_pipeline("mail", true).await.expect("a state");
    let note = ScheduleNote {
        last: 1,
        missed: 0,
        skipped: 0,
    };
    store.runs().note_schedule("mail", note).await.expect("a state");
    assert_eq!(store.quotas().resume("a").await.map(|over| over.len()), Ok(1));
    let found = store.book.act(async |desk| {
        let ask = async |client: &mut deadpool_postgres::Object| {
            Ok(client.query_typed("SELECT what, how FROM public.commits", &[]).await?)
        };
        let rows = desk.database.soon(ask).await?;
        let read = |row: &tokio_postgres::Row| (row.get::<_, String>(0), row.get::<_, String>(1));
        Ok(rows.iter().map(read).collect::<Vec<_>>())
    });
    let on = |what: &str| (what.to_owned(), "on".to_owned());
    assert_eq!(found.await, Ok(vec![on("schedule"), on("schedule"), on("account")]));
}

#[tokio::test]
async fn a_database_that_cannot_be_used_until_somebody_changes_something_is_not_called_away() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let of_role = format!("cat_{}", database.name());
    database.sql(&format!(
        "CREATE ROLE {of_role} LOGIN; ALTER ROLE {of_role} SET default_transaction_read_only = on;
         GRANT ALL ON DATABASE {} TO {of_role}",
        database.name()
    ));
    for parameters in ["", "?target_session_attrs=any"] {
        let address = Address::parse(&database.address_of(&of_role, parameters)).expect("an address");
        let error = PostgresStore::new(address, trust())
            .probe()
            .await
            .expect_err("it cannot write");
        let said = error.to_string();
        assert!(
            !error.is_temporary() && said.contains("default_transaction_read_only"),
            "{said}"
        );
    }
    let error = store(&database, "?sslmode=verify-full")
        .probe()
        .await
        .expect_err("no TLS");
    assert!(
        !error.is_temporary() && error.to_string().contains("sslmode=disable"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_that_nobody_has_is_told_where_one_belongs() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::with("-c fsync=on -c full_page_writes=on");
    database.ask_for_passwords();
    let address = Address::parse(&database.address_of("nobody", "")).expect("an address");
    let error = PostgresStore::new(address, trust())
        .probe()
        .await
        .expect_err("no password");
    assert!(
        !error.is_temporary() && error.to_string().contains("PGPASSFILE"),
        "{error}"
    );
}

#[tokio::test]
async fn a_schema_that_was_dropped_is_made_again_by_whoever_misses_it() {
    if cluster::is_missing() {
        return;
    }
    let database = Database::new();
    let store = store(&database, "");
    store.probe().await.expect("a state");
    database.sql("DROP SCHEMA pipepost CASCADE");
    store.runs().length().await.expect_err("it is gone");
    assert_eq!(store.runs().length().await.map(|length| length.queued), Ok(0));
    database.sql("DROP SCHEMA pipepost CASCADE");
    let refused = store.open_ledger("run", Redact::nothing()).await.map(drop);
    refused.expect_err("it is gone");
    open(&store, "run").await;
}

#[tokio::test]
async fn a_worker_that_was_killed_long_ago_is_forgotten_and_one_that_lives_has_the_state() {
    if cluster::is_missing() {
        return;
    }
    let database = Arc::new(Database::new());
    let store = store(&database, "?lease=1");
    store.runs().serve().await.expect("a state");
    database.sql(
        "INSERT INTO pipepost.workers VALUES ('a', 'dead', 1, 1000000, '-infinity'),
           ('b', 'long', 2, 1000000, clock_timestamp() - interval '2 hours'),
           ('c', 'short', 3, 1000000, clock_timestamp() - interval '5 minutes')",
    );
    let (into, _pieces) = mpsc::channel(1);
    let error = store.copy_out(into).await.expect_err("it is in use");
    let process = format!("process {} ", std::process::id());
    assert!(error.to_string().contains(&process), "{error}");
    let hosts = async || {
        let asked = store.book.act(async |desk| {
            let ask = async |client: &mut deadpool_postgres::Object| {
                let hosts = "SELECT host FROM pipepost.workers WHERE host IN ('dead', 'long', 'short') ORDER BY host";
                Ok(client.query_typed(hosts, &[]).await?)
            };
            let rows = desk.database.soon(ask).await?;
            Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>())
        });
        asked.await.expect("a state")
    };
    // As long as it may itself have been away, it leaves them.
    store.runs().recover().await.expect("a state");
    assert_eq!(hosts().await, ["dead", "long", "short"]);
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    store.runs().recover().await.expect("a state");
    assert_eq!(hosts().await, ["short"]);
}
