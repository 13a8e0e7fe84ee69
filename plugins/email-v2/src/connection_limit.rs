//! The number of messages that a server takes on one connection, as far as a batch learns it.
//!
//! Many servers close a connection after some messages, and few say so beforehand. A connection that ends in the middle
//! of a stream leaves the messages in flight uncertain, so that may happen once. After that only one message is in
//! flight, and its content is sent only when the server has asked for it, until a second connection has ended after the
//! same number of messages. Then the number is known: messages stream again, and each connection is closed in order
//! before the server would close it.

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionLimit {
    /// As the account states it, or as two connections have shown it.
    known: Option<u32>,
    /// After how many the last connection ended that the server ended.
    seen: Option<u32>,
}

impl ConnectionLimit {
    pub(crate) fn stated(known: Option<u32>) -> Self {
        Self { known, seen: None }
    }

    /// Notes that the server has ended a connection after it had answered so many messages on it.
    pub(crate) fn note(&mut self, answered: u32) {
        if answered == 0 {
            return;
        }
        self.known = self.known.filter(|known| *known < answered);
        if self.seen.replace(answered) == Some(answered) {
            self.known = Some(answered);
        }
    }

    /// The most messages for the next connection.
    pub(crate) fn most(self) -> Option<u32> {
        self.known
    }

    /// Whether the next connection may be ended by the server at any message, so that only one is to be in flight.
    pub(crate) fn is_unknown(self) -> bool {
        self.seen.is_some() && self.known.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_connections_of_one_length_show_the_limit() {
        let mut limit = ConnectionLimit::stated(None);
        assert_eq!((limit.most(), limit.is_unknown()), (None, false));
        limit.note(0);
        assert!(!limit.is_unknown(), "nothing was answered, so it was no limit");
        limit.note(7);
        assert_eq!((limit.most(), limit.is_unknown()), (None, true));
        limit.note(10);
        assert!(limit.is_unknown());
        limit.note(10);
        assert_eq!((limit.most(), limit.is_unknown()), (Some(10), false));
        // It has changed its mind.
        limit.note(4);
        assert_eq!((limit.most(), limit.is_unknown()), (None, true));
    }

    #[test]
    fn what_the_account_states_holds_until_the_server_ends_earlier() {
        let mut limit = ConnectionLimit::stated(Some(50));
        assert_eq!((limit.most(), limit.is_unknown()), (Some(50), false));
        limit.note(20);
        assert_eq!((limit.most(), limit.is_unknown()), (None, true));
    }
}
