//! Everything that a state, a network and a worker can do to each other while messages are sent: nothing is lost, nothing is
//! sent twice, what nobody can tell is listed, and each change of the book is a legal one.
//!
//! With `PIPEPOST_CHAOS_CONTROL` the binary is one that claims without a fence (`cargo xtask chaos --control`), and the same
//! judges have to find that messages were sent twice.
//!
//! The judge is smtp-sink, which keeps what it received and knows nothing of runs. Three workers share two clusters: a
//! primary, and a synchronous standby that takes its place.

use std::collections::BTreeMap;
use std::io::Write as _;

use pipepost_tests::{Postgres, PostgresOptions, Random, Replication, Sink, seed};

use crate::book;
use crate::machine::Machine;
use crate::orders::{Closing, Orders, Verdict, uncertain};

const WORKERS: u64 = 3;

/// Messages of a connection that are claimed at once: fewer than an order has, so that a worker that lost an order still has
/// something to claim for it.
const UNCERTAIN_MAX: u32 = 4;

/// Clients at once.
const CLIENTS: usize = 6;

/// What a message makes of traffic with the mail server, about.
const BYTES_OF_A_MESSAGE: u64 = 700;

/// How long a fault lasts at most, in waits of a moment each: what it waits for need not come when all is done.
const PATIENCE: usize = 500;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A worker is killed, and another one starts in its place.
    WorkerKilled,
    /// A worker hangs for longer than its lease, and goes on.
    WorkerStopped,
    /// Every process of the primary is killed; it starts again, and recovers.
    PrimaryKilled,
    /// The same, and the standby takes its place; the old one becomes the standby.
    StandbyPromoted,
    /// A worker does not reach the store for longer than its lease.
    StoreLost,
    /// A worker does not reach the mail server for a while.
    MailLost,
}

const FAULTS: [Fault; 6] = [
    Fault::WorkerKilled,
    Fault::WorkerStopped,
    Fault::PrimaryKilled,
    Fault::StandbyPromoted,
    Fault::StoreLost,
    Fault::MailLost,
];

#[test]
fn three_workers_and_two_faults_of_each_kind() {
    chaos(
        numbers("PIPEPOST_CHAOS_MESSAGES", 400),
        numbers("PIPEPOST_CHAOS_FAULTS", 12),
    );
}

#[test]
#[ignore = "it takes many minutes: `cargo xtask chaos` runs it"]
fn twenty_thousand_messages_and_a_hundred_faults() {
    chaos(
        numbers("PIPEPOST_CHAOS_MESSAGES", 20_000),
        numbers("PIPEPOST_CHAOS_FAULTS", 102),
    );
}

fn numbers(variable: &str, usual: usize) -> usize {
    let named = std::env::var(variable).ok().and_then(|value| value.parse().ok());
    named.unwrap_or(usual)
}

/// The two clusters.
struct Store {
    primary: Postgres,
    standby: Postgres,
}

impl Store {
    fn start() -> Option<Self> {
        let options = PostgresOptions {
            settings: "wal_retrieve_retry_interval = 200ms\nsynchronous_commit = on\n",
            ..PostgresOptions::default()
        };
        let primary = Postgres::start(&options)?;
        let standby = primary.standby(Replication::Synchronous, None);
        Some(Self { primary, standby })
    }

    /// The primary is lost with its machine; the standby takes its place, and gets a standby of its own.
    fn fail_over(self) -> Self {
        let Self { mut primary, standby } = self;
        primary.kill();
        standby.promote();
        let port = primary.port();
        drop(primary);
        let new = standby.standby(Replication::Synchronous, Some(port));
        Self {
            primary: standby,
            standby: new,
        }
    }
}

fn chaos(messages: usize, faults: usize) {
    let seed = seed();
    let Some(sink) = Sink::start() else { return };
    let Some(store) = Store::start() else { return };
    let ports = [store.primary.port(), store.standby.port()];
    let machine = |_| Machine::new(&ports, sink.address()).with_uncertain_max(UNCERTAIN_MAX);
    let machines: Vec<Machine> = (0..WORKERS).map(machine).collect();
    machines[0].start();
    book::keep(&store.primary);
    machines[1..].iter().for_each(|machine| drop(machine.start()));
    let orders = Orders::of(messages);
    let mut chaos = Chaos {
        random: Random::new(seed),
        machines: &machines,
        orders: &orders,
        counts: BTreeMap::new(),
        with_runs: 0,
    };
    let store = std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| orders.client(&machines));
        }
        let _closing = Closing(&orders);
        let mut store = store;
        for number in 0..faults {
            chaos.let_pass(number, faults, messages);
            store = chaos.happens(FAULTS[number % FAULTS.len()], store);
        }
        store
    });
    let served = machines[0].worker().expect("every worker lives");
    let runs = orders.settle(&served);
    let listed = uncertain(&served);
    drop(served);
    let Chaos { counts, with_runs, .. } = chaos;
    machines.iter().for_each(Machine::kill);
    drop(machines);
    let (changes, wrong) = book::check(&store.primary);
    let verdict = orders.judge(&runs, &listed, &sink.finish());
    let Verdict {
        arrived,
        lost,
        doubled,
        uncertain,
        unlisted,
        forgotten,
        ..
    } = verdict;
    // Not `eprintln!`, which the test runner keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "chaos: seed {seed}: {messages} messages, {faults} faults {counts:?}, {with_runs} of them while runs were under way: \
         {arrived} arrived, {lost} lost, {doubled} doubled; {uncertain} uncertain ({forgotten} of runs that are done), {unlisted} of \
         them not listed; \
         {changes} changes of the book, {} not legal",
        wrong.len()
    );
    if std::env::var_os("PIPEPOST_CHAOS_CONTROL").is_some() {
        assert!(!wrong.is_empty(), "without a fence every claim was a legal one");
        assert!(
            verdict.doubled > 0,
            "without a fence nothing was sent twice: {verdict:#?}"
        );
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert!(2 * with_runs >= faults, "only {with_runs} faults fell on a run");
}

struct Chaos<'t> {
    random: Random,
    machines: &'t [Machine],
    orders: &'t Orders,
    counts: BTreeMap<Fault, usize>,
    with_runs: usize,
}

impl Chaos<'_> {
    /// Releases as many orders as are for this fault, and lets some of their messages pass before it.
    fn let_pass(&mut self, number: usize, faults: usize, messages: usize) {
        let passed = || -> u64 { self.machines.iter().map(|machine| machine.mail().passed()).sum() };
        let share = (messages / faults) as u64 * BYTES_OF_A_MESSAGE;
        // In the first half of them, so that it falls on what is under way also where that is done quickly.
        let goal = passed() + self.random.below((share / 2).max(1));
        self.orders.release(number + 1, faults);
        self.wait_until(|| passed() >= goal || self.orders.are_answered());
    }

    fn wait_until(&self, mut is_so: impl FnMut() -> bool) {
        for _ in 0..PATIENCE {
            if is_so() {
                return;
            }
            self.orders.wait_a_little();
        }
    }

    fn happens(&mut self, fault: Fault, store: Store) -> Store {
        *self.counts.entry(fault).or_default() += 1;
        let running = "SELECT count(*) FROM pipepost.runs WHERE state = 'running'";
        self.with_runs += usize::from(store.primary.count(running) > 0);
        let victim = usize::try_from(self.random.below(WORKERS)).unwrap_or_default();
        let machine = &self.machines[victim];
        let sever = self.random.below(2) == 0;
        match fault {
            Fault::WorkerKilled => {
                machine.kill();
                machine.start();
                store
            }
            Fault::WorkerStopped => {
                machine.signal("STOP");
                // In one of four the primary dies meanwhile.
                let store = if self.random.below(4) == 0 {
                    store.fail_over()
                } else {
                    store
                };
                self.wait_until_dead(machine, &store);
                machine.signal("CONT");
                store
            }
            Fault::PrimaryKilled => {
                let Store { mut primary, standby } = store;
                primary.kill();
                primary.run();
                Store { primary, standby }
            }
            Fault::StandbyPromoted => store.fail_over(),
            Fault::StoreLost => {
                machine.lose_store();
                self.wait_until_dead(machine, &store);
                machine.find_store(sever);
                store
            }
            Fault::MailLost => {
                machine.mail().cut();
                let others = || -> u64 {
                    let others = self.machines.iter().enumerate().filter(|(number, _)| *number != victim);
                    others.map(|(_, machine)| machine.mail().passed()).sum()
                };
                let before = others();
                self.wait_until(|| others() > before + 10_000 || self.orders.are_answered());
                if sever {
                    machine.mail().sever();
                }
                machine.mail().heal();
                store
            }
        }
    }

    /// Waits until the lease of this machine's worker is over, and mostly until others have taken over what it had.
    fn wait_until_dead(&mut self, machine: &Machine, store: &Store) {
        let Some(served) = machine.worker() else { return };
        let id = served.running().id();
        let alive = format!(
            "SELECT count(*) FROM pipepost.workers WHERE process = {id}
             AND seen + lease * interval '1 microsecond' > clock_timestamp()"
        );
        self.wait_until(|| store.primary.count(&alive) == 0);
        if self.random.below(4) > 0 {
            let owned = format!(
                "SELECT count(*) FROM pipepost.runs AS run JOIN pipepost.workers AS worker ON run.owner = worker.id
                 WHERE run.state = 'running' AND worker.process = {id}"
            );
            self.wait_until(|| store.primary.count(&owned) == 0);
        }
    }
}
