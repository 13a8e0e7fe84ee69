//! How deeply tracks are nested. Each level of a run uses one nested call, so a limit keeps the stack from overflowing.

use std::collections::BTreeSet;

use crate::pipeline::Pipeline;
use crate::step::{BranchId, Step, StepKind, Tracks};

/// Tracks within tracks. Branches of a choice follow each other and do not count.
pub(crate) const DEEPEST: usize = 32;

/// A step whose tracks lie too deep.
pub(crate) fn too_deep(pipeline: &Pipeline) -> Option<&Step> {
    let mut level = BTreeSet::from([pipeline.first()]);
    for depth in 0..=DEEPEST {
        follow_choices(pipeline, &mut level);
        let steps = || level.iter().flat_map(|id| &pipeline.branch(*id).steps);
        let below: BTreeSet<BranchId> = steps().flat_map(tracks).collect();
        if below.is_empty() {
            return None;
        }
        if depth == DEEPEST {
            return steps().find(|step| !tracks(step).is_empty());
        }
        level = below;
    }
    None
}

/// Documents have no circles, so each round finds new branches or ends.
fn follow_choices(pipeline: &Pipeline, level: &mut BTreeSet<BranchId>) {
    let mut waiting: Vec<BranchId> = level.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        for step in &pipeline.branch(id).steps {
            if let StepKind::Choice(choice) = &step.kind {
                let targets = choice.when.iter().map(|when| when.target).chain(choice.otherwise);
                waiting.extend(targets.filter(|target| level.insert(*target)));
            }
        }
    }
}

fn tracks(step: &Step) -> Vec<BranchId> {
    let both = |tracks: &Tracks| std::iter::once(tracks.on_process).chain(tracks.on_exception).collect();
    match &step.kind {
        StepKind::ForEach(each) => both(&each.tracks),
        StepKind::Block(tracks) => both(tracks),
        StepKind::Retry(retry) => both(&retry.tracks),
        StepKind::DoWhile(repeat) => both(&repeat.tracks),
        StepKind::Parallel(parallel) => parallel.executions.iter().map(|execution| execution.target).collect(),
        _ => Vec::new(),
    }
}
