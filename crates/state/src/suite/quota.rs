//! The rules of limits and pauses.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Machine, SimClock, at_once, seconds};
use crate::quota::windows::{DAY, SECOND};
use crate::quota::{
    AccountKey, Admission, Availability, PauseCause, QuotaStore, SendLimits, Standing, Usage, WindowUse,
};
use crate::store::StateStore as _;

fn account(label: &str) -> AccountKey {
    AccountKey {
        label: label.to_owned(),
        account: format!("[\"{label}\",\"tester@example.test\",\"mail.example.test\"]"),
    }
}

fn per_second(most: u32) -> SendLimits {
    SendLimits {
        per_second: Some(most),
        per_day: None,
    }
}

fn per_day(most: u32) -> SendLimits {
    SendLimits {
        per_second: None,
        per_day: Some(most),
    }
}

async fn admit(quotas: &Arc<dyn QuotaStore>, key: &AccountKey, limits: SendLimits) -> Admission {
    at_once(quotas.admit(key, limits, 1)).await.expect("a state")
}

async fn end(quotas: &Arc<dyn QuotaStore>, key: &AccountKey, limits: SendLimits, admissions: Vec<i64>) {
    quotas.end(key, admissions);
    // An end does not wait, and what is asked next comes after it.
    look(quotas, key, limits).await;
}

async fn look(quotas: &Arc<dyn QuotaStore>, key: &AccountKey, limits: SendLimits) -> Availability {
    at_once(quotas.look(key, limits)).await.expect("a state")
}

/// Sends one message, which ends at once; else why not.
async fn send(quotas: &Arc<dyn QuotaStore>, key: &AccountKey, limits: SendLimits) -> Result<(), Admission> {
    match admit(quotas, key, limits).await {
        Admission::Admitted(admissions) => {
            end(quotas, key, limits, admissions).await;
            Ok(())
        }
        other => Err(other),
    }
}

fn day_is_full(sent: Result<(), Admission>) -> Duration {
    match sent {
        Err(Admission::DayFull(next)) => next.wait,
        other => panic!("{other:?}"),
    }
}

async fn standing(quotas: &Arc<dyn QuotaStore>, key: &AccountKey, limits: SendLimits) -> Option<Standing> {
    match look(quotas, key, limits).await {
        Availability::Paused(standing) => Some(standing),
        Availability::Room(_) => None,
    }
}

/// Sends so many messages, and returns when a server took them: at any time between the leave and the end.
async fn sender(
    quotas: Arc<dyn QuotaStore>,
    key: AccountKey,
    limits: SendLimits,
    number: u64,
    messages: u64,
) -> Vec<Instant> {
    let mut sent = Vec::new();
    for message in 0..messages {
        let admissions = loop {
            match admit(&quotas, &key, limits).await {
                Admission::Admitted(admissions) => break admissions,
                Admission::Wait(wait) => wait.await,
                Admission::DayFull(next) => tokio::time::sleep(next.wait).await,
                Admission::Paused(standing) => panic!("{standing:?}"),
            }
        };
        // Uneven, so that windows begin everywhere.
        let pace = 37 * number + 13 * message;
        tokio::time::sleep(Duration::from_millis(pace % 90)).await;
        sent.push(Instant::now());
        tokio::time::sleep(Duration::from_millis(pace % 11)).await;
        end(&quotas, &key, limits, admissions).await;
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

/// Seven senders over three processes.
async fn crowd<M: Machine>(machine: &M, limits: SendLimits, each: u64) -> Vec<Instant> {
    let processes = [(); 3].map(|()| machine.process());
    let quotas: Vec<Arc<dyn QuotaStore>> = processes.iter().map(|process| process.quotas()).collect();
    let mut senders = JoinSet::new();
    for (quotas, number) in quotas.iter().cycle().zip(0..7) {
        senders.spawn(sender(Arc::clone(quotas), account("a"), limits, number, each));
    }
    senders.join_all().await.into_iter().flatten().collect()
}

fn machine<M: Machine>() -> (M, Arc<SimClock>) {
    let clock = Arc::new(SimClock::default());
    (M::new(Arc::clone(&clock)), clock)
}

/// See the name.
pub async fn no_sliding_second_holds_more_than_the_limit_whoever_sends<M: Machine>() {
    let (machine, _) = machine::<M>();
    let start = Instant::now();
    // What is in memory is quick enough for many more.
    let each = if M::OUTLIVES_A_CRASH { 6 } else { 20 };
    let mut sent = crowd(&machine, per_second(3), each).await;
    assert_eq!(sent.len() as u64, 7 * each);
    judge(&mut sent, 3, SECOND);
    // Nor is it much slower than it has to be: seven senders, three messages a second.
    assert!(start.elapsed() < seconds(7 * each / 2), "{:?}", start.elapsed());
}

/// See the name.
pub async fn no_sliding_day_holds_more_than_the_limit_whoever_sends<M: Machine>() {
    let (machine, _) = machine::<M>();
    let limits = SendLimits {
        per_second: Some(2),
        per_day: Some(5),
    };
    let start = Instant::now();
    let mut sent = crowd(&machine, limits, 3).await;
    assert_eq!(sent.len(), 21);
    judge(&mut sent, 5, DAY);
    judge(&mut sent, 2, SECOND);
    // Five a day, to the last: the twenty-first on the fifth day.
    assert!(start.elapsed() < 4 * DAY + DAY / 2, "{:?}", start.elapsed());
}

/// See the name.
pub async fn a_clock_that_is_set_back_opens_no_window<M: Machine>() {
    let (machine, clock) = machine::<M>();
    let back = tokio::spawn(async move {
        for jump in [1_500_000, 400_000, 3_600_000_000, 1, 700_000] {
            tokio::time::sleep(Duration::from_millis(1_730)).await;
            clock.set_by(-jump);
        }
    });
    let start = Instant::now();
    let mut sent = crowd(&machine, per_second(2), 4).await;
    back.await.expect("it goes on");
    assert_eq!(sent.len(), 28);
    judge(&mut sent, 2, SECOND);
    // An hour back is no hour's wait.
    assert!(start.elapsed() < seconds(60), "{:?}", start.elapsed());
}

/// See the name.
pub async fn what_a_dead_process_had_under_way_ends_when_it_is_found_dead<M: Machine>() {
    let (machine, _) = machine::<M>();
    let (key, limits) = (account("a"), per_day(2));
    let first = machine.process();
    let quotas = first.quotas();
    for _ in 0..2 {
        assert!(matches!(admit(&quotas, &key, limits).await, Admission::Admitted(_)));
    }
    let second = machine.process();
    tokio::time::advance(DAY * 2).await;
    let full = send(&second.quotas(), &key, limits).await;
    full.expect_err("they are under way, however long");
    machine.crash(first);
    drop(quotas);
    // They may have been sent until now, where the process could leave something behind.
    let sent = send(&second.quotas(), &key, limits).await;
    if M::OUTLIVES_A_CRASH {
        assert_eq!(day_is_full(sent), DAY + Duration::from_micros(1));
    } else {
        sent.expect_err("what is in memory does not know that a process ended");
        return;
    }
    tokio::time::advance(DAY + SECOND).await;
    let sent = send(&second.quotas(), &key, limits).await;
    sent.expect("a day later they no longer count");
}

/// See the name.
pub async fn the_limit_of_a_day_is_told_with_its_end_and_slides<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let quotas = process.quotas();
    let (key, limits) = (account("a"), per_day(2));
    let half = DAY / 2 + Duration::from_micros(1);
    send(&quotas, &key, limits).await.expect("the first");
    tokio::time::advance(DAY / 2).await;
    match look(&quotas, &key, limits).await {
        Availability::Room(Some((1, next))) => assert_eq!(next.wait, half),
        other => panic!("{other:?}"),
    }
    send(&quotas, &key, limits).await.expect("the second");
    assert_eq!(day_is_full(send(&quotas, &key, limits).await), half);
    send(&quotas, &account("b"), limits).await.expect("another account");
    tokio::time::advance(DAY / 2 + Duration::from_millis(1)).await;
    send(&quotas, &key, limits).await.expect("the first is a day old");
    send(&quotas, &key, limits).await.expect_err("the second is not");
}

/// See the name.
pub async fn how_much_of_its_limits_an_account_has_used_is_told_also_while_it_pauses<M: Machine>() {
    let machine = M::new(Arc::new(SimClock::default()));
    let quotas = machine.process().quotas();
    let (key, other) = (account("mail"), account("other"));
    let limits = SendLimits {
        per_second: Some(4),
        per_day: Some(10),
    };
    let usage = || async { at_once(quotas.usage(&key, limits)).await.expect("a state") };
    let used = |second: usize, day: usize| Usage {
        second: Some(WindowUse { used: second, most: 4 }),
        day: Some(WindowUse { used: day, most: 10 }),
    };
    assert_eq!(usage().await, used(0, 0));
    send(&quotas, &key, limits).await.expect("there is room");
    assert!(matches!(admit(&quotas, &key, limits).await, Admission::Admitted(_)));
    assert_eq!(usage().await, used(2, 2));
    let paused = quotas.pause(&key, PauseCause::Quota, seconds(60), "4.7.28 too many");
    at_once(paused).await.expect("a state");
    tokio::time::sleep(seconds(2)).await;
    // What has not ended counts.
    assert_eq!(usage().await, used(1, 2));
    let none = SendLimits::default();
    let unlimited = at_once(quotas.usage(&key, none)).await.expect("a state");
    assert_eq!(unlimited, Usage::default());
    assert_eq!(
        at_once(quotas.usage(&other, limits)).await.expect("a state"),
        used(0, 0)
    );
    let half = WindowUse { used: 5, most: 10 };
    assert!((half.ratio() - 0.5).abs() < f64::EPSILON);
}

/// See the name.
pub async fn a_pause_lasts_as_long_as_it_means_and_the_next_process_knows_it<M: Machine>() {
    let (machine, clock) = machine::<M>();
    for (label, limits) in [("free", SendLimits::default()), ("limited", per_second(9))] {
        let key = account(label);
        let process = machine.process();
        let quotas = process.quotas();
        assert_eq!(standing(&quotas, &key, limits).await, None);
        let begun = at_once(quotas.pause(&key, PauseCause::Quota, seconds(3600), "The server says enough.")).await;
        assert_eq!(begun.expect("a state").end.wait, seconds(3600));
        tokio::time::advance(seconds(600)).await;
        for process in [&process, &machine.process()] {
            let quotas = process.quotas();
            let standing = standing(&quotas, &key, limits).await.expect("it pauses");
            assert_eq!(standing.end.wait, seconds(3000));
            assert_eq!(standing.pause.cause, PauseCause::Quota);
            assert_eq!(standing.pause.why, "The server says enough.");
            if limits.is_some() {
                let admission = admit(&quotas, &key, limits).await;
                assert!(matches!(admission, Admission::Paused(_)), "{admission:?}");
            }
            assert!(matches!(
                look(&quotas, &account("other"), limits).await,
                Availability::Room(_)
            ));
        }
        // It does not last longer because a clock was wrong when it began.
        clock.set_by(-5_000_000_000);
        let next = machine.process();
        let standing_now = standing(&next.quotas(), &key, limits).await.expect("it pauses");
        assert_eq!(standing_now.end.wait, seconds(3600));
        tokio::time::advance(seconds(3600)).await;
        assert_eq!(standing(&next.quotas(), &key, limits).await, None, "it is over");
    }
}

/// See the name.
pub async fn a_shorter_pause_does_not_end_a_longer_one<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let (quotas, key) = (process.quotas(), account("a"));
    for (lasts, why) in [(600, "first"), (60, "shorter"), (3600, "longer")] {
        let begun = at_once(quotas.pause(&key, PauseCause::Transient, seconds(lasts), why)).await;
        let expected = if why == "longer" { "longer" } else { "first" };
        assert_eq!(begun.expect("a state").pause.why, expected);
    }
}

/// See the name.
pub async fn a_person_ends_a_pause<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let (quotas, key) = (process.quotas(), account("a"));
    let begun = at_once(quotas.pause(&key, PauseCause::Quota, seconds(3600), "The server says enough.")).await;
    begun.expect("a state");
    let person = machine.process();
    let others = at_once(person.quotas().resume("b")).await.expect("a state");
    assert_eq!(others, []);
    let ended = at_once(person.quotas().resume("a")).await.expect("a state");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].why, "The server says enough.");
    assert_eq!(
        standing(&quotas, &key, SendLimits::default()).await,
        None,
        "it is over, for those who pause too"
    );
}

/// See the name.
pub async fn what_waits_for_its_turn_is_woken_by_an_end<M: Machine>() {
    let (machine, _) = machine::<M>();
    let process = machine.process();
    let (quotas, key) = (process.quotas(), account("a"));
    let Admission::Admitted(first) = admit(&quotas, &key, per_second(1)).await else {
        panic!("it is the first");
    };
    let waiting = admit(&quotas, &key, per_second(1)).await;
    let Admission::Wait(wait) = waiting else {
        panic!("{waiting:?}")
    };
    quotas.end(&key, first);
    at_once(wait).await;
    let next = admit(&quotas, &key, per_second(1)).await;
    let Admission::Wait(wait) = next else {
        panic!("{next:?}")
    };
    let asked = Instant::now();
    wait.await;
    assert!(
        asked.elapsed() <= SECOND + Duration::from_millis(1),
        "{:?}",
        asked.elapsed()
    );
    send(&quotas, &key, per_second(1)).await.expect("a second later");
}
