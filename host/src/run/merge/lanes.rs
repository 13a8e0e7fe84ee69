//! How many connections share a merge.
//!
//! One connection sends a message in a round trip at best, or a window of them. When the server is near, that is next to
//! nothing and the processor is the bound. When it is far, only more connections help. How far it is, the first batch
//! finds out; nothing else of the merge begins before that is known.

use std::sync::Arc;
use std::time::Duration;

use pipepost_accounts::{Account, Limits};
use pipepost_net::Connections;

use super::{BATCH_BYTES_MAX, BATCH_BYTES_MIN, BATCH_CALLS_MAX, BATCH_CALLS_MIN, IN_FLIGHT_BYTES};

/// From here on a server is far: a connection sends fewer than 50 messages a second there, one after another.
const FAR: Duration = Duration::from_millis(20);

/// Connections to a far server where neither the account nor the server says how many.
const FAR_CONNECTIONS: u32 = 8;

/// To a far server a batch is worth a connection from here on: opening one and signing in takes about seven round trips.
const FAR_BATCH_CALLS_MIN: usize = 16;

/// What is known of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Distance {
    /// The first batch is to find out.
    Unknown,
    Near,
    Far,
}

/// The connections of a merge, and how its elements are shared among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes {
    /// Connections that the merge may use.
    most: usize,
    distance: Distance,
    /// Elements that are handed over together.
    pub(super) size: usize,
    /// Connections that it uses.
    pub(super) used: usize,
}

impl Lanes {
    /// For a merge that sends its messages one by one.
    pub(super) const fn one() -> Self {
        Self {
            most: 1,
            distance: Distance::Near,
            size: 1,
            used: 1,
        }
    }

    /// For a merge of the account's messages, with what is known of its server. `total` is how many elements there are; none
    /// where that is not known.
    pub(super) fn begin(account: Option<&Arc<Account>>, connections: &Connections, total: Option<usize>) -> Self {
        let most = Self::usual(account);
        let lanes = Self {
            most,
            distance: Distance::Near,
            size: BATCH_CALLS_MAX,
            used: most,
        };
        let Some(account) = account else {
            return lanes.over(total);
        };
        if let Some(known) = connections.round_trip(account) {
            return lanes.at(known, account, connections).over(total);
        }
        let shared = lanes.over(total);
        // One connection, or one batch, tells nothing in time.
        if most == 1 || total.is_some_and(|total| total <= BATCH_CALLS_MIN) {
            return shared;
        }
        // A full batch where all are full: what follows is shared evenly anyway.
        let is_full = shared.size == BATCH_CALLS_MAX;
        Self {
            distance: Distance::Unknown,
            size: if is_full { BATCH_CALLS_MAX } else { BATCH_CALLS_MIN },
            ..shared
        }
    }

    /// How many connections a merge of the account's messages uses when nothing is known of its server.
    pub(super) fn usual(account: Option<&Arc<Account>>) -> usize {
        let stated = account.and_then(|account| account.limits().max_connections);
        stated.unwrap_or(Limits::MAX_CONNECTIONS_DEFAULT).max(1) as usize
    }

    /// Whether the first batch has to tell how far the server is before another one begins.
    pub(super) fn is_unknown(&self) -> bool {
        self.distance == Distance::Unknown
    }

    /// The same when the round trip is known: to a server that is far more connections are opened, unless somebody has said
    /// how many.
    pub(super) fn at(self, round_trip: Duration, account: &Account, connections: &Connections) -> Self {
        if round_trip < FAR || self.most == 1 {
            return Self {
                distance: Distance::Near,
                ..self
            };
        }
        let most = connections.widen(account, FAR_CONNECTIONS).max(1) as usize;
        tracing::debug!(
            account = account.label(),
            ?round_trip,
            most,
            "the server is far: more connections share the merge"
        );
        Self {
            most,
            distance: Distance::Far,
            ..self
        }
    }

    /// The same for so many elements that are left, when `taken` connections are busy with others. None: very many.
    pub(super) fn sharing(self, left: Option<usize>, taken: usize) -> Self {
        let lanes = Self {
            most: self.most.saturating_sub(taken).max(1),
            ..self
        };
        let shared = lanes.over(left);
        Self {
            size: shared.size,
            used: shared.used + taken.min(self.most - 1),
            ..self
        }
    }

    /// The same when the first batch is over and nothing was learned: what it held was sent before, or failed.
    pub(super) fn settled(self) -> Self {
        Self {
            distance: Distance::Near,
            ..self
        }
    }

    /// How much one batch has at most, in octets.
    pub(super) fn bytes(&self) -> usize {
        (IN_FLIGHT_BYTES / self.ahead()).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
    }

    /// The same for so many elements.
    fn over(self, total: Option<usize>) -> Self {
        let least = if self.distance == Distance::Far {
            FAR_BATCH_CALLS_MIN
        } else {
            BATCH_CALLS_MIN
        };
        let Some(total) = total else {
            return Self {
                size: BATCH_CALLS_MAX,
                used: self.most,
                ..self
            };
        };
        let size = total.div_ceil(self.most).clamp(least, BATCH_CALLS_MAX);
        Self {
            size,
            used: self.most.min(total.div_ceil(size)).max(1),
            ..self
        }
    }

    /// How many batches are under way at most: two more than there are connections. While the others are sent, the messages
    /// of one are made and the parameters of the next.
    pub(super) fn ahead(&self) -> usize {
        if self.size == 1 { 1 } else { self.most + 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(most: usize, distance: Distance) -> Lanes {
        Lanes {
            most,
            distance,
            size: BATCH_CALLS_MAX,
            used: most,
        }
    }

    fn shared(lanes: Lanes) -> (usize, usize) {
        (lanes.size, lanes.used)
    }

    #[test]
    fn elements_are_shared_evenly_in_batches_that_are_worth_a_connection() {
        let near = lanes(5, Distance::Near);
        for (total, expected) in [
            (1, (64, 1)),
            (65, (64, 2)),
            (500, (100, 5)),
            (1280, (256, 5)),
            (9999, (256, 5)),
        ] {
            assert_eq!(shared(near.over(Some(total))), expected, "{total}");
        }
        assert_eq!(shared(near.over(None)), (256, 5));
        let far = lanes(8, Distance::Far);
        for (total, expected) in [(1, (16, 1)), (17, (16, 2)), (100, (16, 7)), (500, (63, 8))] {
            assert_eq!(shared(far.over(Some(total))), expected, "{total}");
        }
    }

    #[test]
    fn what_is_left_behind_the_first_batch_is_shared_among_the_other_connections() {
        assert_eq!(shared(lanes(8, Distance::Far).sharing(Some(436), 1)), (63, 8));
        assert_eq!(shared(lanes(5, Distance::Near).sharing(Some(436), 1)), (109, 5));
        assert_eq!(shared(lanes(5, Distance::Near).sharing(None, 1)), (256, 5));
        assert_eq!(shared(lanes(1, Distance::Near).sharing(Some(10), 1)), (64, 1));
    }
}
