//! What the page says of long lists.

use std::fmt::Write as _;

use super::{MIB, yes};
use crate::stats::{Spread, short};
use crate::streaming::{Found, LINEAR, ratio};

/// The files that are compared.
const LONGEST: &str = "stream-1000000";
const SHORTEST: &str = "stream-10000";

pub(super) fn goals(page: &mut String, found: &[Found]) {
    for one in found {
        if let Some(most) = one.length.peak_max {
            let _ = writeln!(
                page,
                "| {} | at most {} MiB | {} MiB | {} |",
                title(one),
                short(most / MIB),
                short(one.peak.median / MIB),
                yes(one.peak.median <= most),
            );
        }
    }
    if let Some(ratio) = ratio(found, LONGEST, SHORTEST) {
        let _ = writeln!(
            page,
            "| 1 000 000 rows of a file | at least {LINEAR} times the rate of 10 000 | {} | {} |",
            short(ratio.median),
            yes(ratio.median >= LINEAR),
        );
    }
}

pub(super) fn figures(page: &mut String, found: &[Found]) {
    if found.is_empty() {
        return;
    }
    page.push_str(
        "## Long lists\n\nA mail merge of `pipepost run` to `smtp-sink`, DATA over 5 connections, without TLS: from a CSV file with \
         results in a file, or from an array in `--input` with results in the output. The whole process, its start included.\n\n\
         | rows | messages a second | memory, MiB |\n| --- | --- | --- |\n",
    );
    for one in found {
        let between = |spread: &Spread, unit: f64| {
            let figure = |value: f64| short(value / unit);
            format!(
                "{} ({} to {})",
                figure(spread.median),
                figure(spread.least),
                figure(spread.most)
            )
        };
        let _ = writeln!(
            page,
            "| {} | {} | {} |",
            title(one),
            between(&one.rate, 1.0),
            between(&one.peak, MIB)
        );
    }
    page.push('\n');
}

fn title(found: &Found) -> String {
    let from = if found.length.is_input {
        "an array in the input"
    } else {
        "a file"
    };
    format!("{} rows of {from}", short(found.length.rows as f64))
}
