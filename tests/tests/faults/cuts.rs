//! The connection is lost, for both sides, before each unit of each side. A second one is whole.

use std::sync::Mutex;

use pipepost_inbox::Security;
use pipepost_tests::{Aiosmtpd, Fault, Options, Point, Relay};

use super::judge::{Arrived, arrived, bare, judge};
use super::shape::{Shape, points};
use super::tally::{Tally, all};

/// One message and several, with DATA and with BDAT.
fn shapes(security: Security, several: usize) -> Vec<Shape> {
    let of = |chunked, messages| Shape {
        security,
        chunked,
        messages,
        resend: false,
    };
    vec![of(false, 1), of(false, several), of(true, 1), of(true, several)]
}

/// Loses the first connection of each series at each of its points.
fn cut_everywhere(shapes: Vec<Shape>) -> Tally {
    let work = shapes
        .into_iter()
        .flat_map(|shape| shape.points().into_iter().map(move |point| (shape, point)));
    all(work.collect(), |(shape, point)| cut(*shape, *point))
}

fn cut(shape: Shape, point: Point) -> Tally {
    let server = shape.server();
    let relay = Relay::breaking(shape.behind(&server), point, Fault::Cut);
    let ending = shape.scratch(&server.authority(), &relay).run(&[]);
    server.wait_until_ended(relay.connections());
    let reports = shape.reports(&ending, &[]);
    judge(&reports, &arrived(&server), shape.resend);
    shape.kept_the_secret(&relay, &ending);
    let tally = Tally::of_point(relay.has_happened(), &reports);
    // What was not sent over the first connection goes over the second, and the exit code says what is left.
    assert_eq!(tally.of("failed"), 0, "{shape:?}, {point:?}\n{ending}");
    if !relay.has_happened() || shape.resend {
        assert_eq!(tally.of("sent"), shape.messages, "{shape:?}, {point:?}\n{ending}");
    }
    let code = if tally.of("uncertain") > 0 { 74 } else { 0 };
    ending.with_code(code);
    tally
}

#[test]
fn cut_before_every_line_in_clear() {
    cut_everywhere(shapes(Security::Plain, 3)).report("cut in clear");
}

#[test]
fn cut_before_every_record_after_starttls() {
    cut_everywhere(shapes(Security::StartTls, 6)).report("cut with STARTTLS");
}

#[test]
fn cut_before_every_record_of_tls_from_the_first_byte() {
    cut_everywhere(shapes(Security::Implicit, 6)).report("cut with TLS from the first byte");
}

/// What was uncertain goes out again when the pipeline asks for it, with the Message-ID that it had.
#[test]
fn cut_before_every_record_when_uncertain_messages_are_sent_again() {
    let shape = |chunked| Shape {
        security: Security::Implicit,
        chunked,
        messages: 6,
        resend: true,
    };
    cut_everywhere(vec![shape(false), shape(true)]).report("cut, and sent again");
}

/// The same at a server that somebody else wrote. It keeps what it took before it answered, so what was reported as sent is
/// there; that it takes nothing later is not waited for.
#[test]
fn cut_before_every_record_at_a_server_of_others() {
    let Some(server) = Aiosmtpd::start(&Options::default()) else {
        return;
    };
    let shape = Shape {
        security: Security::StartTls,
        chunked: false,
        messages: 6,
        resend: false,
    };
    let address = format!("{}:{}", server.at().0, server.at().1)
        .parse()
        .expect("an address");
    let counting = Relay::counting(address);
    let whole = shape.scratch(server.authority(), &counting).run(&[]).with_code(0);
    let reports = Mutex::new(shape.reports(&whole, &[]));
    // Its replies come one by one, and so make many points that are alike.
    let work = points(&counting).into_iter().step_by(3).collect();
    let authority = server.authority();
    let tally = all(work, |point| {
        let relay = Relay::breaking(address, *point, Fault::Cut);
        let ending = shape.scratch(authority, &relay).run(&[]);
        let more = shape.reports(&ending, &[]);
        let tally = Tally::of_point(relay.has_happened(), &more);
        reports.lock().expect("nobody panicked with it").extend(more);
        tally
    });
    let reports = reports.into_inner().expect("nobody panicked with it");
    let messages = server.finish().messages;
    let arrived: Vec<Arrived> = messages
        .iter()
        .map(|message| Arrived {
            id: bare(message.parsed()["message_id"].as_str().unwrap_or_default()),
            to: message.recipients.clone(),
        })
        .collect();
    judge(&reports, &arrived, false);
    tally.report("cut at aiosmtpd");
}
