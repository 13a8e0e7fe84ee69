//! A script while it is played: the counts that its conditions need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{At, Rule, Script};

/// A script with the counts that all connections share.
#[derive(Debug)]
pub(crate) struct Play {
    script: Script,
    /// For each rule, how often it has been applied.
    applied: Vec<AtomicU64>,
}

impl Play {
    pub(crate) fn new(script: Script) -> Self {
        let applied = script.rules.iter().map(|_| AtomicU64::new(0)).collect();
        Self { script, applied }
    }
}

/// A script as one connection sees it.
#[derive(Debug)]
pub(crate) struct Scene {
    play: Arc<Play>,
    connection: u64,
    /// For each rule, how often its conditions have held on this connection.
    held: Vec<u64>,
}

impl Scene {
    pub(crate) fn new(play: Arc<Play>, connection: u64) -> Self {
        let held = vec![0; play.script.rules.len()];
        Self { play, connection, held }
    }

    /// The rule that decides at this place, where `text` is the command line or the message.
    ///
    /// Every rule counts its occasions, also those that an earlier rule takes: so `nth` means the same whatever stands before.
    pub(crate) fn rule(&mut self, at: At, text: &[u8], tls: bool) -> Option<Rule> {
        let mut decided = None;
        for (index, rule) in self.play.script.rules.iter().enumerate() {
            let here = rule.at == at || (rule.at == At::Any && at != At::SignIn);
            if !here
                || rule.connection.is_some_and(|number| number != self.connection)
                || rule.tls.is_some_and(|wanted| wanted != tls)
                || rule
                    .contains
                    .as_ref()
                    .is_some_and(|part| !contains_ignoring_case(text, part.as_bytes()))
            {
                continue;
            }
            self.held[index] += 1;
            if decided.is_some() || rule.nth.is_some_and(|nth| nth != self.held[index]) {
                continue;
            }
            let limit = rule.times.unwrap_or(u64::MAX);
            let counted = self.play.applied[index].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < limit).then(|| count + 1)
            });
            if counted.is_ok() {
                decided = Some(rule.clone());
            }
        }
        decided
    }

    /// After how many bytes from the client the connection ends.
    pub(crate) fn received_cut(&self) -> Option<u64> {
        self.cuts().filter_map(|cut| cut.received).min()
    }

    /// After how many bytes to the client the connection ends.
    pub(crate) fn sent_cut(&self) -> Option<u64> {
        self.cuts().filter_map(|cut| cut.sent).min()
    }

    /// Whether any rule sends back what was received, so that it must be kept.
    pub(crate) fn echoes(&self) -> bool {
        let mut actions = self.play.script.rules.iter().flat_map(|rule| &rule.actions);
        actions.any(|action| matches!(action, super::Action::Echo { .. }))
    }

    fn cuts(&self) -> impl Iterator<Item = &super::Cut> {
        self.play
            .script
            .cuts
            .iter()
            .filter(|cut| cut.connection.is_none_or(|number| number == self.connection))
    }
}

fn contains_ignoring_case(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
