//! The invariants: what was reported, against what the server has stored.

use std::collections::BTreeSet;

use pipepost_tests::{Catcher, Ending, REFUSED};
use serde_json::Value;

/// The recipient of every message that the server takes; it refuses [`REFUSED`].
pub(super) const TAKEN: &str = "ann@example.test";

/// What a run says of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Its Message-ID, without brackets.
    pub(super) id: String,
    /// How it ended.
    pub(super) outcome: String,
    accepted: Vec<String>,
}

/// A message that a server has stored.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Its Message-ID, without brackets.
    pub(super) id: String,
    /// The recipients that the server accepted for it.
    pub(super) to: Vec<String>,
}

impl Report {
    /// Reads one result, in which each recipient must have its place. `id` is the Message-ID that it must have, where that
    /// is known. A message that a killed process was sending is told of as every other.
    pub(super) fn read(result: &Value, id: Option<&String>, ending: &Ending) -> Self {
        let outcome = result["outcome"].as_str().unwrap_or_default().to_owned();
        assert!(
            ["sent", "failed", "uncertain"].contains(&outcome.as_str()),
            "`{outcome}` is no outcome\n{ending}"
        );
        assert_eq!(result["success"], outcome == "sent", "{ending}");
        let accepted = named(&result["accepted"], ending);
        let mut each = [
            accepted.clone(),
            named(&result["rejected"], ending),
            named(&result["uncertain"], ending),
        ]
        .concat();
        each.sort();
        assert_eq!(each, [TAKEN, REFUSED], "each recipient is reported once\n{ending}");
        let own = bare(result["messageId"].as_str().unwrap_or_default());
        assert_eq!(&own, id.unwrap_or(&own), "another try, another Message-ID\n{ending}");
        Self {
            id: own,
            outcome,
            accepted,
        }
    }
}

/// The recipients of a list, whose entries are addresses or tell more of one.
fn named(list: &Value, ending: &Ending) -> Vec<String> {
    let entries = list.as_array().unwrap_or_else(|| panic!("no list\n{ending}"));
    let name = |entry: &Value| entry.as_str().or(entry["recipient"].as_str()).map(str::to_owned);
    entries.iter().filter_map(name).collect()
}

/// A Message-ID without its brackets.
pub(super) fn bare(id: &str) -> String {
    id.trim_start_matches('<').trim_end_matches('>').to_owned()
}

/// What this server has stored.
pub(super) fn arrived(server: &Catcher) -> Vec<Arrived> {
    let messages = server.messages();
    let arrived = messages.iter().map(|message| Arrived {
        id: message.message_id().expect("a Message-ID"),
        to: message.envelope.to.clone(),
    });
    arrived.collect()
}

/// Every message has one outcome, and it is true. `resend`: what was uncertain may be there twice.
#[track_caller]
pub(super) fn judge(reports: &[Report], arrived: &[Arrived], resend: bool) {
    let mut ids = BTreeSet::new();
    for report in reports {
        let Report { id, outcome, accepted } = report;
        assert!(ids.insert(id.as_str()), "two messages have the Message-ID {id}");
        let copies: Vec<&Arrived> = arrived.iter().filter(|message| message.id == *id).collect();
        let most = if resend { 2 } else { 1 };
        assert!(copies.len() <= most, "it arrived {} times: {report:?}", copies.len());
        match outcome.as_str() {
            "sent" => assert!(!copies.is_empty(), "it is lost: {report:?}"),
            "failed" => assert_eq!(copies.len(), 0, "it arrived: {report:?}"),
            _ => {}
        }
        if outcome == "sent" {
            assert_eq!(accepted, &[TAKEN], "{report:?}");
            for copy in copies {
                assert_eq!(&copy.to, accepted, "{report:?}");
            }
        }
    }
    for message in arrived {
        assert!(ids.contains(message.id.as_str()), "nobody reports {message:?}");
    }
}

#[test]
fn what_is_not_true_is_noticed() {
    let report = |outcome: &str| Report {
        id: "a@b".to_owned(),
        outcome: outcome.to_owned(),
        accepted: vec![TAKEN.to_owned()],
    };
    let copy = Arrived {
        id: "a@b".to_owned(),
        to: vec![TAKEN.to_owned()],
    };
    let stranger = Arrived {
        id: "c@d".to_owned(),
        ..copy.clone()
    };
    let other = Arrived {
        to: vec![REFUSED.to_owned()],
        ..copy.clone()
    };
    let one = std::slice::from_ref(&copy);
    let two = [copy.clone(), copy.clone()];
    judge(&[report("sent")], one, false);
    judge(&[report("uncertain")], one, false);
    judge(&[report("uncertain")], &[], false);
    judge(&[report("failed")], &[], false);
    judge(&[report("sent")], &two, true);
    for (reports, arrived, what) in [
        (vec![report("sent")], vec![], "lost"),
        (vec![report("failed")], one.to_vec(), "arrived, and reported as failed"),
        (vec![report("sent")], two.to_vec(), "doubled"),
        (vec![report("uncertain")], two.to_vec(), "doubled, and uncertain"),
        (vec![report("sent")], vec![copy.clone(), stranger], "not reported"),
        (vec![report("sent")], vec![other], "for another recipient"),
        (vec![report("sent"), report("sent")], one.to_vec(), "two of one name"),
    ] {
        let judged = std::panic::catch_unwind(|| judge(&reports, &arrived, false));
        assert!(judged.is_err(), "{what}: it was not noticed");
    }
}
