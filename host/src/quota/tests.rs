use std::sync::atomic::{AtomicI64, Ordering};

use pipepost_accounts::{Accounts, Environment};
use pipepost_core::shutdown;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::windows::{DAY, SECOND};
use super::*;

/// Goes with the simulated time of the tests, and can be set wrong.
#[derive(Debug)]
struct SimClock {
    start: Instant,
    offset: AtomicI64,
}

impl SimClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            offset: AtomicI64::new(1_800_000_000_000_000),
        })
    }

    fn set_by(&self, microseconds: i64) {
        self.offset.fetch_add(microseconds, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        self.offset.load(Ordering::SeqCst) + length(self.start.elapsed())
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// As another process would see the state, by the same clock.
fn process(directory: &TempDir, clock: &Arc<SimClock>) -> Quotas {
    let shelf = Shared::new(directory.path());
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Quotas::new(Box::new(shelf), clock, Some(directory.path().to_owned()))
}

fn alone(clock: &Arc<SimClock>) -> Quotas {
    Quotas::new(Box::new(Memory::default()), Arc::clone(clock) as Arc<dyn Clock>, None)
}

fn account(label: &str, limits: serde_json::Value) -> Arc<Account> {
    let json = json!({
        "label": label,
        "type": "smtp-auth-and-properties",
        "host": "mail.example.test",
        "username": "tester@example.test",
        "password": "a password",
        "limits": limits,
    });
    let accounts = Accounts::from_json(&json.to_string(), Path::new("."), &Environment::process()).expect("an account");
    Arc::clone(accounts.get(label).expect("it is there"))
}

/// One message, which ends at once.
async fn send(quotas: &Quotas, account: &Arc<Account>) -> Result<(), Failure> {
    quotas.look(account, 1).await?;
    let (_call, ending) = shutdown::channel();
    let mut allowance = Allowance::new(quotas, account);
    match allowance.ask(&[(0, 0)], &ending).await {
        Leave::Granted => Ok(()),
        _ => Err(allowance.held.clone().expect("the run goes on")),
    }
}

/// Sends so many messages, and answers when a server took them: at any time between the leave and the end.
async fn sender(quotas: Quotas, account: Arc<Account>, number: u64, messages: u32) -> Vec<Instant> {
    let (_call, ending) = shutdown::channel();
    let mut sent = Vec::new();
    let mut allowance = Allowance::new(&quotas, &account);
    for message in 0..messages {
        let part = (message, 0);
        while allowance.ask(&[part], &ending).await != Leave::Granted {
            let held = allowance.held.take().expect("the run goes on");
            assert_eq!(held.kind, FailureKind::Quota, "{held}");
            tokio::time::sleep(Duration::from_secs(held.wait.expect("a time").into())).await;
        }
        // Uneven, so that windows begin everywhere.
        let pace = 37 * number + 13 * u64::from(message);
        tokio::time::sleep(Duration::from_millis(pace % 90)).await;
        sent.push(Instant::now());
        tokio::time::sleep(Duration::from_millis(pace % 11)).await;
        allowance.ended(part);
    }
    sent
}

fn judge(sent: &mut [Instant], most: usize, window: Duration) {
    sent.sort();
    for (place, several) in sent.windows(most + 1).enumerate() {
        let span = several[most] - several[0];
        assert!(
            span >= window,
            "{} messages within {span:?}, from message {place}",
            most + 1
        );
    }
}

async fn crowd(quotas: &[Quotas], account: &Arc<Account>, each: u32) -> Vec<Instant> {
    let mut senders = JoinSet::new();
    for (quotas, number) in quotas.iter().cycle().zip(0..7) {
        senders.spawn(sender(quotas.clone(), Arc::clone(account), number, each));
    }
    senders.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn no_sliding_second_holds_more_than_the_limit_whoever_sends() {
    let start = Instant::now();
    let mut sent = crowd(
        &[alone(&SimClock::new())],
        &account("a", json!({ "messages_per_second": 3 })),
        20,
    )
    .await;
    assert_eq!(sent.len(), 140);
    judge(&mut sent, 3, SECOND);
    // Nor is it much slower than it has to be: 140 messages, three a second.
    assert!(start.elapsed() < Duration::from_secs(70), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_sliding_second_of_several_processes_holds_more_than_the_limit() {
    let (directory, clock) = (folder(), SimClock::new());
    let processes = [(); 3].map(|()| process(&directory, &clock));
    let mut sent = crowd(&processes, &account("a", json!({ "messages_per_second": 3 })), 6).await;
    assert_eq!(sent.len(), 42);
    judge(&mut sent, 3, SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_sliding_day_of_several_processes_holds_more_than_the_limit() {
    let (directory, clock) = (folder(), SimClock::new());
    let processes = [(); 3].map(|()| process(&directory, &clock));
    let limits = json!({ "messages_per_day": 5, "messages_per_second": 2 });
    let start = Instant::now();
    let mut sent = crowd(&processes, &account("a", limits), 3).await;
    assert_eq!(sent.len(), 21);
    judge(&mut sent, 5, DAY);
    judge(&mut sent, 2, SECOND);
    // Five a day, to the last: the twenty-first on the fifth day.
    assert!(start.elapsed() < 4 * DAY + DAY / 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_opens_no_window() {
    let (directory, clock) = (folder(), SimClock::new());
    let processes = [(); 2].map(|()| process(&directory, &clock));
    let back = tokio::spawn({
        let clock = Arc::clone(&clock);
        async move {
            for jump in [1_500_000, 400_000, 3_600_000_000, 1, 700_000] {
                tokio::time::sleep(Duration::from_millis(1_730)).await;
                clock.set_by(-jump);
            }
        }
    });
    let start = Instant::now();
    let mut sent = crowd(&processes, &account("a", json!({ "messages_per_second": 2 })), 4).await;
    back.await.expect("it goes on");
    assert_eq!(sent.len(), 28);
    judge(&mut sent, 2, SECOND);
    // An hour back is no hour's wait.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_had_under_way_ends_when_it_is_found_dead() {
    let (directory, clock) = (folder(), SimClock::new());
    let mail = account("a", json!({ "messages_per_day": 2 }));
    let (_call, ending) = shutdown::channel();
    let first = process(&directory, &clock);
    let mut allowance = Allowance::new(&first, &mail);
    assert_eq!(allowance.ask(&[(0, 0)], &ending).await, Leave::Granted);
    assert_eq!(allowance.ask(&[(1, 0)], &ending).await, Leave::Granted);
    let second = process(&directory, &clock);
    tokio::time::advance(DAY * 2).await;
    send(&second, &mail)
        .await
        .expect_err("they are under way, however long");
    // The process is gone, and nothing of it was written down.
    let gone = Arc::clone(&allowance.quotas.inner);
    std::mem::forget(allowance);
    gone.shelf.abandon();
    let failure = send(&second, &mail)
        .await
        .expect_err("they may have been sent until now");
    assert_eq!(failure.wait, Some(24 * 60 * 60 + 1), "{failure}");
    tokio::time::advance(DAY + SECOND).await;
    send(&second, &mail).await.expect("a day later they no longer count");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_day_is_told_with_its_end_and_slides() {
    let clock = SimClock::new();
    let directory = folder();
    for quotas in [alone(&clock), process(&directory, &clock)] {
        let mail = account("a", json!({ "messages_per_day": 2 }));
        send(&quotas, &mail).await.expect("the first");
        tokio::time::advance(DAY / 2).await;
        let (room, beyond) = quotas.look(&mail, 5).await.expect("one is left");
        assert_eq!(room, 1);
        assert_eq!(beyond.and_then(|failure| failure.wait), Some(12 * 60 * 60 + 1));
        send(&quotas, &mail).await.expect("the second");
        let failure = send(&quotas, &mail).await.expect_err("the third is too many");
        assert_eq!(
            (failure.kind, failure.wait),
            (FailureKind::Quota, Some(12 * 60 * 60 + 1))
        );
        let other = account("b", json!({ "messages_per_day": 2 }));
        send(&quotas, &other).await.expect("another account");
        tokio::time::advance(DAY / 2 + Duration::from_millis(1)).await;
        send(&quotas, &mail).await.expect("the first is a day old");
        send(&quotas, &mail).await.expect_err("the second is not");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_as_long_as_it_means_and_the_next_process_knows_it() {
    let (directory, clock) = (folder(), SimClock::new());
    for limits in [json!({}), json!({ "messages_per_second": 9 })] {
        let quotas = process(&directory, &clock);
        let mail = account("a", limits);
        let mut refusal = Failure::new(FailureKind::Quota, "The server says enough.");
        refusal.wait = Some(3600);
        quotas.note(&mail, &refusal).expect("a time");
        tokio::time::advance(Duration::from_secs(600)).await;
        for quotas in [quotas, process(&directory, &clock)] {
            let failure = send(&quotas, &mail).await.expect_err("it pauses");
            assert_eq!((failure.kind, failure.wait), (FailureKind::Quota, Some(3000)));
            assert!(failure.message.contains("The server says enough."), "{failure}");
            assert!(failure.to_string().contains("pipepost accounts resume a"), "{failure}");
            send(&quotas, &account("b", json!({}))).await.expect("another account");
        }
        // It does not last longer because a clock was wrong when it began.
        clock.set_by(-5_000_000_000);
        let next = process(&directory, &clock);
        let failure = send(&next, &mail).await.expect_err("it pauses");
        assert_eq!(failure.wait, Some(3600));
        tokio::time::advance(Duration::from_secs(3600)).await;
        send(&next, &mail).await.expect("it is over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_ends_a_pause() {
    let (directory, clock) = (folder(), SimClock::new());
    let (quotas, mail) = (process(&directory, &clock), account("a", json!({})));
    let mut refusal = Failure::new(FailureKind::Quota, "The server says enough.");
    refusal.wait = Some(3600);
    quotas.note(&mail, &refusal).expect("a time");
    let pauses = Pauses::open(directory.path()).expect("a state");
    assert_eq!(pauses.end("b").expect("a state"), []);
    let ended = pauses.end("a").expect("a state");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].why, "The server says enough.");
    send(&quotas, &mail).await.expect("it is over, for those who pause too");
}

#[tokio::test(start_paused = true)]
async fn too_many_sign_ins_are_a_pause_and_no_wrong_password() {
    let quotas = alone(&SimClock::new());
    let mail = account("a", json!({}));
    let wrong = b"535 5.7.8 Username and Password not accepted. - gsmtp\r\n";
    quotas.note_sign_in(&mail, "smtp.gmail.com", wrong);
    send(&quotas, &mail).await.expect("a wrong password pauses nothing");
    let many = b"454 4.7.0 Too many login attempts, please try again later. - gsmtp\r\n";
    quotas.note_sign_in(&mail, "smtp.gmail.com", many);
    let failure = send(&quotas, &mail).await.expect_err("it backs off");
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_waits_no_longer() {
    let quotas = alone(&SimClock::new());
    let mail = account("a", json!({ "messages_per_second": 1 }));
    let (call, ending) = shutdown::channel();
    let mut allowance = Allowance::new(&quotas, &mail);
    assert_eq!(allowance.ask(&[(0, 0)], &ending).await, Leave::Granted);
    call.request(Duration::ZERO);
    assert_eq!(allowance.ask(&[(1, 0)], &ending).await, Leave::Ending);
}

#[tokio::test(start_paused = true)]
async fn limits_that_cannot_be_kept_are_told_and_nothing_is_sent() {
    let directory = folder();
    std::fs::write(
        directory.path().join("pipepost.sqlite"),
        "a letter, and no database ".repeat(30),
    )
    .expect("a folder");
    let quotas = process(&directory, &SimClock::new());
    let limited = account("a", json!({ "messages_per_day": 5 }));
    let failure = send(&quotas, &limited).await.expect_err("nobody can count");
    assert_eq!(failure.kind, FailureKind::Configuration);
    assert!(failure.to_string().contains("--state"), "{failure}");
    send(&quotas, &account("b", json!({}))).await.expect("it has no limits");
}
