//! The process is killed, as `kill -9` does, before each unit of each side; the execution is run again, and once more.

use std::sync::Arc;
use std::sync::mpsc::channel;

use pipepost_inbox::Security;
use pipepost_tests::{Fault, Point, Relay, Scratch};

use super::judge::{Report, arrived, judge};
use super::shape::Shape;
use super::tally::{Tally, all};

const AGAIN: &[&str] = &["--execution", "once"];

/// The Message-IDs that this execution's messages have, in every run.
fn ids(shape: Shape) -> Vec<String> {
    let server = shape.server();
    let relay = Relay::to(shape.behind(&server));
    let ending = shape.scratch(&server.authority(), &relay).run(AGAIN).with_code(0);
    let reports = shape.reports(&ending, &[]);
    reports.into_iter().map(|report| report.id).collect()
}

fn kill(shape: Shape, point: Point, ids: &[String]) -> Tally {
    let server = shape.server();
    let (sender, bell) = channel();
    let relay = Relay::breaking(shape.behind(&server), point, Fault::Ring(sender));
    let scratch = shape.scratch(&server.authority(), &relay);
    let first = [&["run", "pipeline.json", "--accounts", "accounts.json"], AGAIN].concat();
    let ended = scratch.start(&first).kill_at(&bell);
    server.wait_until_ended(relay.connections());
    if let Some(ending) = &ended {
        // It did not wait for what did not come: a farewell is answered or not.
        judge(&shape.reports(ending, ids), &arrived(&server), shape.resend);
    }

    let ending = scratch.run(AGAIN);
    server.wait_until_ended(relay.connections());
    let reports = shape.reports(&ending, ids);
    judge(&reports, &arrived(&server), shape.resend);
    shape.kept_the_secret(&relay, &ending);
    let tally = Tally::of_point(ended.is_none(), &reports);
    assert_eq!(tally.of("failed"), 0, "{shape:?}, {point:?}\n{ending}");
    if shape.resend {
        assert_eq!(tally.of("sent"), shape.messages, "{shape:?}, {point:?}\n{ending}");
    }
    assert_eq!(listed(&scratch), ids_of("uncertain", &reports), "{shape:?}, {point:?}");

    // There is nothing left to do, and nothing is done.
    let (connections, stored) = (relay.connections(), arrived(&server).len());
    if tally.of("uncertain") == 0 || !shape.resend {
        let once_more = scratch.run(AGAIN);
        assert_eq!(shape.reports(&once_more, ids), reports, "{once_more}");
        assert_eq!((relay.connections(), server.messages().len()), (connections, stored));
    }
    tally
}

fn ids_of(outcome: &str, reports: &[Report]) -> usize {
    reports.iter().filter(|report| report.outcome == outcome).count()
}

/// How many messages the ledger holds for somebody to decide.
fn listed(scratch: &Scratch) -> usize {
    let list = scratch
        .pipepost(&["ledger", "list", "--uncertain", "--json"])
        .with_code(0)
        .json();
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn killed_before_every_record() {
    let of = |security, chunked, messages, resend| Shape {
        security,
        chunked,
        messages,
        resend,
    };
    let shapes = [
        of(Security::StartTls, true, 6, false),
        of(Security::Implicit, false, 6, false),
        of(Security::Implicit, true, 1, false),
        of(Security::Implicit, true, 6, true),
    ];
    let work = shapes.into_iter().flat_map(|shape| {
        let ids = Arc::new(ids(shape));
        shape
            .points()
            .into_iter()
            .map(move |point| (shape, point, Arc::clone(&ids)))
    });
    let tally = all(work.collect(), |(shape, point, ids)| kill(*shape, *point, ids));
    tally.report("killed");
    assert!(tally.of("uncertain") > 0, "{tally:?}");
}
