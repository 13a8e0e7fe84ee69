//! Clients that order messages of whichever worker answers, and the judge of what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipepost_tests::Served;
use pipepost_tests::http::Reply;
use serde_json::{Value, json};

use crate::machine::Machine;

/// Messages of an order, at most: so many does one worker send one after another.
const ORDER_MAX: usize = 20;

/// How long a client waits for an answer before it asks another worker.
const CLIENT_PATIENCE: Duration = Duration::from_secs(5);

/// What is ordered, and what was answered.
pub(crate) struct Orders {
    /// The messages of each order.
    sizes: Vec<usize>,
    next: AtomicUsize,
    /// How many of them may be ordered by now, and how many were answered.
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Progress {
    released: usize,
    answered: usize,
    /// Nobody orders anything any more.
    is_over: bool,
}

/// Lets the clients end when it is dropped, also when a test fails: whoever waits for them would wait for ever.
pub(crate) struct Closing<'o>(pub(crate) &'o Orders);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let is_failed = std::thread::panicking();
        self.0.lock().is_over |= is_failed;
        self.0.changed.notify_all();
    }
}

/// What became of all messages, by the mail server and by the book.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Messages that arrived, each counted once.
    pub(crate) arrived: usize,
    /// Messages that did not arrive, and are not listed as uncertain.
    pub(crate) lost: usize,
    /// Messages that arrived more than once.
    pub(crate) doubled: usize,
    /// Messages that are listed as uncertain.
    pub(crate) uncertain: usize,
    /// Messages that the runs count as uncertain, and that are not listed; or the other way round.
    pub(crate) unlisted: usize,
    /// Messages that arrived and are listed as uncertain, though their run is done: the note of the server's reply was
    /// written without waiting for the disk, and was lost with the primary. Somebody looks for them in vain.
    pub(crate) forgotten: usize,
    /// Messages that arrived, and that nobody ordered.
    pub(crate) strange: usize,
    /// What is wrong with which order.
    pub(crate) wrong: Vec<String>,
}

impl Verdict {
    /// Everything arrived once, or is listed.
    pub(crate) fn is_clean(&self) -> bool {
        (self.lost, self.doubled, self.unlisted, self.strange) == (0, 0, 0, 0)
    }
}

impl Orders {
    /// Orders of this many messages in all.
    pub(crate) fn of(messages: usize) -> Self {
        let mut sizes = Vec::new();
        let mut left = messages;
        while left > 0 {
            // Some small, some large.
            let size = (1 + sizes.len() * 7 % ORDER_MAX).min(left);
            sizes.push(size);
            left -= size;
        }
        Self {
            sizes,
            next: AtomicUsize::new(0),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets this share of all orders be made.
    pub(crate) fn release(&self, share: usize, of: usize) {
        self.lock().released = self.sizes.len() * share / of;
        self.changed.notify_all();
    }

    /// Whether every order that may be made has an answer.
    pub(crate) fn are_answered(&self) -> bool {
        let progress = self.lock();
        progress.answered == progress.released
    }

    /// Waits a moment, or until an answer comes.
    pub(crate) fn wait_a_little(&self) {
        let progress = self.lock();
        let waited = self.changed.wait_timeout(progress, Duration::from_millis(20));
        drop(waited);
    }

    /// Orders until nothing is left to order. Each order is asked for, of one worker after another, until it has an answer
    /// that stays.
    pub(crate) fn client(&self, machines: &[Machine]) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(size) = self.sizes.get(number) else { return };
            let released = self
                .changed
                .wait_while(self.lock(), |progress| progress.released <= number);
            drop(released);
            let message = json!({ "subjects": (0..*size).map(|item| subject(number, item)).collect::<Vec<_>>() });
            let key = format!("order-{number}");
            // One in four does not wait for the end.
            let mut headers = vec![("Idempotency-Key", key.as_str())];
            if number.is_multiple_of(4) {
                headers.push(("Prefer", "respond-async"));
            }
            let mut machine = number % machines.len();
            loop {
                let reply = machines[machine].worker().and_then(|served| {
                    served
                        .try_post_within(CLIENT_PATIENCE, "welcome", &headers, &message)
                        .ok()
                });
                if reply.as_ref().is_some_and(|reply| stays(number, reply)) {
                    break;
                }
                if self.lock().is_over {
                    return;
                }
                machine = (machine + 1) % machines.len();
                self.wait_a_little();
            }
            self.lock().answered += 1;
            self.changed.notify_all();
        }
    }

    /// Waits until every run has ended, whichever worker performs it. What waits for a later time, or failed because its
    /// worker or its store did, is asked to go on at once; so is what ended as uncertain, once and for as long as some of
    /// its messages failed: an operator does so, because the service does nothing to such a run by itself.
    pub(crate) fn settle(&self, served: &Served) -> BTreeMap<String, Value> {
        let mut looked_at = BTreeSet::new();
        loop {
            let runs = runs(served);
            assert_eq!(runs.len(), self.sizes.len(), "an order is one run");
            let mut is_over = true;
            for run in runs.values() {
                let act = |what: &str| {
                    let path = format!("/api/v1/runs/{}/{what}", run["id"].as_str().expect("an id"));
                    // Another worker may have been faster.
                    served.api("POST", &path, &Value::Null);
                };
                match run["state"].as_str().expect("a state") {
                    "done" => continue,
                    "uncertain" => {
                        let is_first = looked_at.insert(run["id"].as_str().expect("an id").to_owned());
                        if !is_first && run["messages"]["failed"] == 0 {
                            continue;
                        }
                        act("continue");
                    }
                    "queued" if run["failure"].is_object() => {
                        act("cancel");
                        act("continue");
                    }
                    "cancelled" => act("continue"),
                    "failed" => {
                        let kind = run["failure"]["kind"].as_str().unwrap_or_default();
                        assert!(matches!(kind, "transient" | "limit"), "{run}");
                        act("continue");
                    }
                    _ => {}
                }
                is_over = false;
            }
            if is_over {
                return runs;
            }
            self.wait_a_little();
        }
    }

    /// Compares what arrived with what the book says.
    pub(crate) fn judge(
        &self,
        runs: &BTreeMap<String, Value>,
        listed: &BTreeSet<String>,
        arrived: &BTreeMap<String, usize>,
    ) -> Verdict {
        let mut verdict = Verdict {
            arrived: arrived.len(),
            doubled: arrived.values().filter(|count| **count > 1).count(),
            uncertain: listed.len(),
            ..Verdict::default()
        };
        let mut ordered = BTreeSet::new();
        for (number, size) in self.sizes.iter().enumerate() {
            let run = &runs[&format!("key/welcome/order-{number}")];
            let subjects: Vec<String> = (0..*size).map(|item| subject(number, item)).collect();
            let in_list: Vec<&String> = subjects.iter().filter(|subject| listed.contains(*subject)).collect();
            let is_forgotten = run["state"] == "done" && in_list.iter().all(|subject| arrived.contains_key(*subject));
            let in_doubt = if is_forgotten { 0 } else { in_list.len() };
            verdict.forgotten += in_list.len() - in_doubt;
            let is_lost = |subject: &&String| !arrived.contains_key(*subject) && !listed.contains(*subject);
            let lost: Vec<&String> = subjects.iter().filter(is_lost).collect();
            verdict.lost += lost.len();
            let counted = |what: &str| {
                run["messages"][what]
                    .as_u64()
                    .and_then(|count| usize::try_from(count).ok())
            };
            verdict.unlisted += counted("uncertain").unwrap_or_default().abs_diff(in_doubt);
            let is_whole = counted("sent") == Some(size - in_doubt) && (run["state"] == "done") == (in_doubt == 0);
            verdict.unlisted += usize::from(!is_whole);
            if !is_whole || !lost.is_empty() {
                verdict.wrong.push(format!(
                    "of {size} messages {in_doubt} are listed and {lost:?} are lost: {run}"
                ));
            }
            ordered.extend(subjects);
        }
        verdict.strange = arrived.keys().filter(|subject| !ordered.contains(*subject)).count();
        verdict
    }
}

/// What the messages of an order are called.
fn subject(order: usize, item: usize) -> String {
    format!("order {order} message {item}")
}

/// Whether nobody has to ask again after this answer.
fn stays(number: usize, reply: &Reply) -> bool {
    let kind = || reply.json()["kind"].as_str().unwrap_or_default().to_owned();
    match reply.status {
        200 | 202 => true,
        409 => kind() == "uncertain",
        // Not now: the worker ends, its store is gone, the message's server is, or the time of the caller is over.
        503 | 504 => false,
        // The run ended its host too often; a person lets it go on.
        500 if kind() == "limit" => true,
        _ => panic!("order {number}: {reply:?}"),
    }
}

/// Every run, by its key.
fn runs(served: &Served) -> BTreeMap<String, Value> {
    let mut runs = BTreeMap::new();
    pages(served, "runs", "runs", |run| {
        runs.insert(run["key"].as_str().expect("a key").to_owned(), run.clone());
    });
    runs
}

/// The subjects of the messages that are listed as uncertain.
pub(crate) fn uncertain(served: &Served) -> BTreeSet<String> {
    let mut subjects = BTreeSet::new();
    pages(served, "messages?state=uncertain", "messages", |message| {
        let subject = message["output"]["subject"].as_str();
        let subject = subject.unwrap_or_else(|| panic!("nobody can look for it: {message}"));
        assert!(subjects.insert(subject.to_owned()), "it is listed twice: {message}");
    });
    subjects
}

fn pages(served: &Served, path: &str, name: &str, mut each: impl FnMut(&Value)) {
    let sign = if path.contains('?') { '&' } else { '?' };
    let mut after = String::new();
    loop {
        let path = format!("/api/v1/{path}{sign}limit=200{after}");
        let page = served.api("GET", &path, &Value::Null).with_status(200).json();
        page[name].as_array().expect("a list").iter().for_each(&mut each);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return,
        }
    }
}

#[test]
fn what_is_not_true_is_noticed() {
    let orders = Orders::of(3);
    assert_eq!(orders.sizes, [1, 2]);
    let run = |state: &str, sent: usize, uncertain: usize| json!({ "state": state, "messages": { "sent": sent, "uncertain": uncertain } });
    let runs = |one: Value, two: Value| {
        BTreeMap::from([
            ("key/welcome/order-0".to_owned(), one),
            ("key/welcome/order-1".to_owned(), two),
        ])
    };
    let (first, second, third) = (subject(0, 0), subject(1, 0), subject(1, 1));
    let all = || BTreeMap::from([(first.clone(), 1), (second.clone(), 1), (third.clone(), 1)]);
    let nothing = BTreeSet::new();
    let done = runs(run("done", 1, 0), run("done", 2, 0));
    assert!(orders.judge(&done, &nothing, &all()).is_clean());
    let mut arrived = all();
    arrived.remove(&third);
    assert_eq!(orders.judge(&done, &nothing, &arrived).lost, 1);
    let doubt = BTreeSet::from([third.clone()]);
    let doubtful = runs(run("done", 1, 0), run("uncertain", 1, 1));
    assert!(orders.judge(&doubtful, &doubt, &arrived).is_clean());
    assert!(orders.judge(&doubtful, &doubt, &all()).is_clean());
    assert_eq!(orders.judge(&doubtful, &nothing, &all()).unlisted, 2);
    assert_eq!(orders.judge(&done, &doubt, &arrived).unlisted, 2);
    assert_eq!(orders.judge(&done, &doubt, &all()).forgotten, 1);
    let mut arrived = all();
    arrived.insert(first, 2);
    assert_eq!(orders.judge(&done, &nothing, &arrived).doubled, 1);
    arrived.insert("another".to_owned(), 1);
    assert_eq!(orders.judge(&done, &nothing, &arrived).strange, 1);
}
