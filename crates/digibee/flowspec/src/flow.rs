//! The links between branches: which branches can be reached, and which ones would never end.

use crate::problem::StepPlace;
use crate::step::BranchId;

/// A way that the run may take from one branch to another.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) from: BranchId,
    pub(crate) to: BranchId,
    pub(crate) step: StepPlace,
    /// The reference's pointer in the document.
    pub(crate) pointer: String,
}

/// Which branches the run can reach, by number.
pub(crate) fn reachable(first: BranchId, edges: &[Edge], branches: usize) -> Vec<bool> {
    let outgoing = outgoing(edges, branches);
    let mut reached = vec![false; branches];
    let mut waiting = vec![first];
    while let Some(branch) = waiting.pop() {
        match reached.get_mut(branch.0) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        waiting.extend(outgoing[branch.0].iter().map(|edge| edge.to));
    }
    reached
}

/// The edges that close a circle, each once. A run on a circle would call itself without end: a branch ends with its
/// choice, so nothing in it can leave the circle again, and a track is run inside the step that names it.
pub(crate) fn circles(edges: &[Edge], branches: usize) -> Vec<&Edge> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let outgoing = outgoing(edges, branches);
    let mut states = vec![State::New; branches];
    let mut closing = Vec::new();
    for root in 0..branches {
        if states[root] != State::New {
            continue;
        }
        // Branches being followed, each with the next edge to look at. Not recursive: documents may be long chains.
        let mut path = vec![(root, 0)];
        states[root] = State::Open;
        while let Some((branch, next)) = path.last_mut() {
            let Some(edge) = outgoing[*branch].get(*next) else {
                states[*branch] = State::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match states.get(edge.to.0) {
                Some(State::Open) => closing.push(*edge),
                Some(State::New) => {
                    states[edge.to.0] = State::Open;
                    path.push((edge.to.0, 0));
                }
                _ => {}
            }
        }
    }
    closing
}

fn outgoing(edges: &[Edge], branches: usize) -> Vec<Vec<&Edge>> {
    let mut outgoing: Vec<Vec<&Edge>> = vec![Vec::new(); branches];
    for edge in edges {
        if let Some(list) = outgoing.get_mut(edge.from.0) {
            list.push(edge);
        }
    }
    outgoing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> Vec<Edge> {
        let step = StepPlace {
            index: 0,
            id: None,
            name: None,
        };
        let edge = |(from, to): &(usize, usize)| Edge {
            from: BranchId(*from),
            to: BranchId(*to),
            step: step.clone(),
            pointer: String::new(),
        };
        pairs.iter().map(edge).collect()
    }

    fn closing(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
        circles(&edges(pairs), 5)
            .iter()
            .map(|edge| (edge.from.0, edge.to.0))
            .collect()
    }

    #[test]
    fn branches_that_meet_again_are_no_circle() {
        assert_eq!(closing(&[(0, 1), (0, 2), (1, 3), (2, 3)]), []);
    }

    #[test]
    fn a_circle_is_named_by_the_edge_that_closes_it() {
        assert_eq!(closing(&[(0, 1), (1, 2), (2, 1), (3, 3)]), [(2, 1), (3, 3)]);
    }

    #[test]
    fn reach_follows_edges_forward() {
        assert_eq!(
            reachable(BranchId(0), &edges(&[(0, 1), (2, 3)]), 4),
            [true, true, false, false]
        );
    }
}
