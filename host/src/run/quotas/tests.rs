use std::path::Path;

use pipepost_accounts::{Accounts, Environment};
use pipepost_core::shutdown;
use pipepost_state::quota::windows::{DAY, SECOND};
use pipepost_state::suite::{SimClock, at_once};
use pipepost_state::{MemoryStore, StateStore as _};
use pipepost_state_sqlite::SqliteStore;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::engine::{Permit, SendPermit as _};
use crate::run::permit::AccountPermit;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// As another process would see the state, by the same clock.
fn process(directory: &TempDir, clock: &Arc<SimClock>) -> Quotas {
    Quotas::in_store(SqliteStore::with_clock(directory.path(), Arc::clone(clock) as _).quotas())
}

/// What a run without a state has.
fn unshared(clock: &Arc<SimClock>) -> Quotas {
    Quotas::new(MemoryStore::with_clock(Arc::clone(clock) as _).quotas(), false)
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

/// One message, which ends at once; else why it is not sent, in the words that its step fails with.
async fn send(quotas: &Quotas, account: &Arc<Account>) -> Result<(), Failure> {
    at_once(quotas.look(account, 1)).await?;
    let (_shutdown, ending) = shutdown::channel();
    let permit = AccountPermit::new(quotas, account);
    match at_once(permit.admit(&[(0, 0)], &ending)).await {
        Permit::Granted => {
            permit.ended((0, 0));
            // An end does not wait, and what is asked next comes after it.
            drop(at_once(quotas.look(account, 1)).await);
            Ok(())
        }
        Permit::Held => {
            let mut failure = Failure::new(FailureKind::Quota, "It was held back.");
            at_once(permit.explain(0, false, &mut failure)).await;
            Err(failure)
        }
        Permit::Ending => panic!("the run goes on"),
    }
}

fn refusal() -> Failure {
    let mut refusal = Failure::new(FailureKind::Quota, "The server says enough.");
    refusal.wait = Some(3600);
    refusal
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_day_is_told_with_its_end_and_slides() {
    let clock = Arc::new(SimClock::default());
    let directory = folder();
    for quotas in [unshared(&clock), process(&directory, &clock)] {
        let mail = account("a", json!({ "messages_per_day": 2 }));
        send(&quotas, &mail).await.expect("the first");
        tokio::time::advance(DAY / 2).await;
        let (room, beyond) = at_once(quotas.look(&mail, 5)).await.expect("one is left");
        assert_eq!(room, 1);
        assert_eq!(beyond.and_then(|failure| failure.wait), Some(12 * 60 * 60 + 1));
        send(&quotas, &mail).await.expect("the second");
        let failure = send(&quotas, &mail).await.expect_err("the third is too many");
        assert_eq!(
            (failure.kind, failure.wait),
            (FailureKind::Quota, Some(12 * 60 * 60 + 1))
        );
        let message = &failure.message;
        assert!(message.contains("`a` has sent the 2 messages"), "{failure}");
        // The first was sent half a day ago, so the next slot opens half a day from now.
        let open = clock.now() + length(DAY / 2) + 1;
        assert!(
            message.ends_with(&format!("the next may go {}.", at(open))),
            "{failure}"
        );
        assert!(failure.to_string().contains("limits.messages_per_day"), "{failure}");
        let other = account("b", json!({ "messages_per_day": 2 }));
        send(&quotas, &other).await.expect("another account");
        tokio::time::advance(DAY / 2 + Duration::from_millis(1)).await;
        send(&quotas, &mail).await.expect("the first is a day old");
        send(&quotas, &mail).await.expect_err("the second is not");
        tokio::time::advance(DAY + SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_had_under_way_is_told_with_its_end() {
    let (directory, clock) = (folder(), Arc::new(SimClock::default()));
    let mail = account("a", json!({ "messages_per_day": 2 }));
    let (_shutdown, ending) = shutdown::channel();
    let store = SqliteStore::with_clock(directory.path(), Arc::clone(&clock) as _);
    let permit = AccountPermit::new(&Quotas::in_store(store.quotas()), &mail);
    for message in 0..2 {
        let admitted = at_once(permit.admit(&[(message, 0)], &ending)).await;
        assert_eq!(admitted, Permit::Granted);
    }
    let second = process(&directory, &clock);
    tokio::time::advance(DAY * 2).await;
    let failure = send(&second, &mail).await;
    failure.expect_err("they are under way, however long");
    // The process is gone, and nothing of it was written down.
    store.crash();
    let failure = send(&second, &mail)
        .await
        .expect_err("they may have been sent until now");
    assert_eq!(failure.wait, Some(24 * 60 * 60 + 1), "{failure}");
    tokio::time::advance(DAY + SECOND).await;
    send(&second, &mail).await.expect("a day later they no longer count");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_with_its_reason_its_end_and_what_ends_it() {
    let (directory, clock) = (folder(), Arc::new(SimClock::default()));
    for limits in [json!({}), json!({ "messages_per_second": 9 })] {
        let quotas = process(&directory, &clock);
        let mail = account("a", limits);
        let end = at(clock.now() + length(Duration::from_secs(3600)));
        let until = at_once(quotas.note(&mail, &refusal())).await;
        assert_eq!(until.as_ref(), Some(&end));
        tokio::time::advance(Duration::from_secs(600)).await;
        for quotas in [quotas, process(&directory, &clock)] {
            let failure = send(&quotas, &mail).await.expect_err("it pauses");
            assert_eq!((failure.kind, failure.wait), (FailureKind::Quota, Some(3000)));
            assert!(
                failure
                    .message
                    .contains(&format!("`a` pauses, and nothing was sent; it goes on {end}.")),
                "{failure}"
            );
            assert!(failure.message.contains("The server says enough."), "{failure}");
            let remedy = Remedy::ResumeAccount {
                account: "a".to_owned(),
            };
            assert_eq!(failure.remedy, Some(remedy), "{failure}");
            assert_eq!(
                json!(failure)["remedy"],
                json!({ "kind": "resume-account", "account": "a" })
            );
            assert!(!failure.to_string().contains("pipepost"), "{failure}");
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
async fn a_pause_that_only_this_run_knows_names_nothing_that_would_end_it() {
    let quotas = unshared(&Arc::new(SimClock::default()));
    let mail = account("a", json!({}));
    at_once(quotas.note(&mail, &refusal())).await.expect("a time");
    let failure = send(&quotas, &mail).await.expect_err("it pauses");
    assert_eq!((&failure.advice, &failure.remedy), (&None, &None), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_person_ends_a_pause() {
    let (directory, clock) = (folder(), Arc::new(SimClock::default()));
    let (quotas, mail) = (process(&directory, &clock), account("a", json!({})));
    at_once(quotas.note(&mail, &refusal())).await.expect("a time");
    let person = SqliteStore::with_clock(directory.path(), Arc::clone(&clock) as _).quotas();
    assert_eq!(at_once(person.resume("b")).await.expect("a state"), []);
    let ended = at_once(person.resume("a")).await.expect("a state");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].why, "The server says enough.");
    send(&quotas, &mail).await.expect("it is over, for those who pause too");
}

#[tokio::test(start_paused = true)]
async fn too_many_sign_ins_are_a_pause_and_no_wrong_password() {
    let quotas = unshared(&Arc::new(SimClock::default()));
    let mail = account("a", json!({}));
    let wrong = b"535 5.7.8 Username and Password not accepted. - gsmtp\r\n";
    at_once(quotas.note_sign_in(&mail, "smtp.gmail.com", wrong)).await;
    send(&quotas, &mail).await.expect("a wrong password pauses nothing");
    let many = b"454 4.7.0 Too many login attempts, please try again later. - gsmtp\r\n";
    at_once(quotas.note_sign_in(&mail, "smtp.gmail.com", many)).await;
    let failure = send(&quotas, &mail).await.expect_err("it backs off");
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_waits_no_longer() {
    let clock = Arc::new(SimClock::default());
    let directory = folder();
    for quotas in [unshared(&clock), process(&directory, &clock)] {
        let mail = account("a", json!({ "messages_per_second": 1 }));
        let (shutdown, ending) = shutdown::channel();
        let permit = AccountPermit::new(&quotas, &mail);
        assert_eq!(at_once(permit.admit(&[(0, 0)], &ending)).await, Permit::Granted);
        shutdown.request(Duration::ZERO);
        assert_eq!(at_once(permit.admit(&[(1, 0)], &ending)).await, Permit::Ending);
        // The one that did not begin holds no place: the next waits for the first only.
        permit.ended((0, 0));
        at_once(quotas.look(&mail, 1)).await.expect("no limit of a day");
        tokio::time::advance(SECOND + Duration::from_millis(1)).await;
        send(&quotas, &mail).await.expect("a second later");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_cannot_be_kept_are_told_and_nothing_is_sent() {
    let directory = folder();
    std::fs::write(
        directory.path().join("pipepost.sqlite"),
        "a letter, and no database ".repeat(30),
    )
    .expect("a folder");
    let quotas = process(&directory, &Arc::new(SimClock::default()));
    let limited = account("a", json!({ "messages_per_day": 5 }));
    let failure = send(&quotas, &limited).await.expect_err("nobody can count");
    assert_eq!(failure.kind, FailureKind::Configuration);
    assert!(failure.message.contains("so nothing was sent"), "{failure}");
    assert!(failure.to_string().contains("state directory"), "{failure}");
    send(&quotas, &account("b", json!({}))).await.expect("it has no limits");
}
