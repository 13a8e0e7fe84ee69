//! How many messages a server accepts on one connection, as far as this process has learned it.
//!
//! Each batch learns it for itself, because it sees the dialogue; what is kept here is what later batches start with.

/// How many messages more than before a connection has to carry until the earlier end counts as an accident. A loss hides
/// the replies of what was in flight, so the number that was seen may be lower than the server's own.
const HIDDEN_MAX: u32 = 32;

/// What is known about a server's limit of messages per connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerCapacity {
    /// The server has not ended a connection in the middle of its work.
    #[default]
    Unlimited,
    /// The last connection that the server ended had carried this number of messages; it is not known yet whether that
    /// is the limit.
    Suspected(u32),
    /// Two connections in a row ended after this number of messages.
    Known(u32),
}

impl ServerCapacity {
    /// Notes that the server has ended a connection that carried `carried` messages.
    pub(crate) fn note_end(&mut self, carried: u32) {
        *self = match *self {
            _ if carried == 0 => return,
            Self::Known(known) if known <= carried => return,
            Self::Suspected(seen) if seen == carried => Self::Known(carried),
            Self::Unlimited | Self::Suspected(_) | Self::Known(_) => Self::Suspected(carried),
        };
    }

    /// Notes that a connection has carried `carried` messages and is still alive.
    pub(crate) fn note_alive(&mut self, carried: u32) {
        if let Self::Suspected(seen) = *self
            && carried > seen.saturating_add(HIDDEN_MAX)
        {
            *self = Self::Unlimited;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_after_as_many_messages_show_the_limit() {
        let mut capacity = ServerCapacity::default();
        capacity.note_end(0);
        assert_eq!(
            capacity,
            ServerCapacity::Unlimited,
            "nothing was carried, so it was no limit"
        );
        capacity.note_end(7);
        assert_eq!(capacity, ServerCapacity::Suspected(7));
        capacity.note_end(10);
        assert_eq!(capacity, ServerCapacity::Suspected(10));
        capacity.note_end(10);
        assert_eq!(capacity, ServerCapacity::Known(10));
        // A connection that began before it was known.
        capacity.note_end(12);
        assert_eq!(capacity, ServerCapacity::Known(10));
        // The server has changed its mind.
        capacity.note_end(4);
        assert_eq!(capacity, ServerCapacity::Suspected(4));
    }

    #[test]
    fn a_connection_that_carries_far_more_shows_that_the_end_was_an_accident() {
        let mut capacity = ServerCapacity::Suspected(3);
        capacity.note_alive(3 + HIDDEN_MAX);
        assert_eq!(capacity, ServerCapacity::Suspected(3));
        capacity.note_alive(4 + HIDDEN_MAX);
        assert_eq!(capacity, ServerCapacity::Unlimited);
    }
}
