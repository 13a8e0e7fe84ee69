//! What waits, as far as this process knows, and who gets in line behind it.

use std::collections::BTreeSet;

/// What may wait in the state and be due.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Runs of these pipelines.
    pub(super) of: BTreeSet<String>,
    /// Perhaps others too: it is worth a look.
    pub(super) unknown: bool,
    /// What is being taken at this moment.
    pub(super) taking: Option<Taking>,
}

/// A look for what waits, until what it finds has begun.
#[derive(Debug)]
pub(super) struct Taking {
    /// Runs of these pipelines may be found.
    pub(super) of: BTreeSet<String>,
    /// Perhaps others too.
    pub(super) unknown: bool,
    /// How many may be found.
    pub(super) places: usize,
}

impl Waiting {
    /// Whether an order for this pipeline gets in line: something of it waits, or may.
    pub(super) fn is_in_line(&self, pipeline: &str) -> bool {
        let is_taken = |taking: &Taking| taking.unknown || taking.of.contains(pipeline);
        self.unknown || self.of.contains(pipeline) || self.taking.as_ref().is_some_and(is_taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_gets_in_line_behind_those_of_its_own_pipeline() {
        let of = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let mut waiting = Waiting {
            of: of(&["slow"]),
            ..Waiting::default()
        };
        assert!(waiting.is_in_line("slow") && !waiting.is_in_line("fast"));
        // What is being taken is no longer in the list, and may not be overtaken either.
        waiting.taking = Some(Taking {
            of: std::mem::take(&mut waiting.of),
            unknown: false,
            places: 1,
        });
        assert!(waiting.is_in_line("slow") && !waiting.is_in_line("fast"));
        waiting.taking = None;
        assert!(!waiting.is_in_line("slow"));
        // Where it is not known what waits, it may be anything.
        waiting.unknown = true;
        assert!(waiting.is_in_line("fast"));
    }
}
