//! Tells whoever watches of accounts that begin to pause and of those that go on. A pause begins by a server's reply to any
//! run, by a person's order, here or in a command, or by another server on the same state, and most of them end by
//! themselves. So the state is looked at, while somebody watches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::journal::Journal;
use crate::operator::Operator;

/// How often it is looked which accounts pause, while somebody watches.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The pauses of accounts, as whoever watches was told of them.
#[derive(Debug)]
pub(crate) struct Pauses {
    operator: Arc<dyn Operator>,
    journal: Arc<Journal>,
    /// By the labels of the accounts, as of the last look; none while nobody watches.
    told: Mutex<Option<BTreeMap<String, Value>>>,
}

impl Pauses {
    /// Makes one of which nobody was told anything.
    pub(crate) fn new(operator: &Arc<dyn Operator>, journal: &Arc<Journal>) -> Self {
        Self {
            operator: Arc::clone(operator),
            journal: Arc::clone(journal),
            told: Mutex::default(),
        }
    }

    /// Looks which accounts pause now, and tells of each pause that changed since the last look. The first look after a
    /// time in which nobody watched tells of nothing: whoever begins to watch reads the lists.
    pub(crate) async fn look(&self) {
        let mut told = self.told.lock().await;
        // While the state cannot be read, what was told stays.
        let Ok(now) = self.operator.pauses().await else { return };
        if let Some(before) = told.as_ref() {
            for (label, pause) in changes(before, &now) {
                self.journal
                    .tell("accounts", json!({ "label": label, "paused": pause }));
            }
        }
        *told = Some(now);
    }

    /// Looks again and again.
    pub(crate) async fn work(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if self.journal.is_watched() {
                self.look().await;
            } else {
                *self.told.lock().await = None;
            }
        }
    }
}

/// Each account whose pause is another one than before; null for one that goes on.
fn changes<'p>(
    before: &'p BTreeMap<String, Value>,
    now: &'p BTreeMap<String, Value>,
) -> impl Iterator<Item = (&'p str, &'p Value)> {
    let begun = now.iter().filter(|(label, pause)| before.get(*label) != Some(pause));
    let ended = before.keys().filter(|label| !now.contains_key(*label));
    begun
        .map(|(label, pause)| (label.as_str(), pause))
        .chain(ended.map(|label| (label.as_str(), &Value::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses<const N: usize>(of: [(&str, &str); N]) -> BTreeMap<String, Value> {
        of.map(|(label, until)| (label.to_owned(), json!({ "until": until })))
            .into()
    }

    #[test]
    fn a_pause_that_begins_changes_or_ends_is_told() {
        let before = pauses([("ended", "1"), ("longer", "1"), ("same", "1")]);
        let now = pauses([("begun", "1"), ("longer", "2"), ("same", "1")]);
        let told: Vec<(&str, String)> = changes(&before, &now)
            .map(|(label, pause)| (label, pause.to_string()))
            .collect();
        let expected = [
            ("begun", r#"{"until":"1"}"#),
            ("longer", r#"{"until":"2"}"#),
            ("ended", "null"),
        ];
        assert_eq!(told, expected.map(|(label, pause)| (label, pause.to_owned())));
    }
}
