//! How long a server's answers take to come, from the dialogue itself.
//!
//! The time of the TCP handshake would be the time to a proxy that stands before the server.

use std::time::Duration;

use tokio::time::Instant;

/// A round trip is known after so many answers: one may have waited for a name server, or for this process.
const SAMPLES_MIN: u32 = 2;

/// What one connection has measured.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// When something was said while no answer was to come.
    asked: Option<Instant>,
    least: Option<Duration>,
    samples: u32,
    /// The least that nobody has taken yet.
    news: Option<Duration>,
}

impl RoundTrip {
    /// Something is said, and no answer to anything before it is to come.
    pub(crate) fn said(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// Something was heard.
    pub(crate) fn heard(&mut self, now: Instant) {
        let Some(asked) = self.asked.take() else { return };
        let sample = now.duration_since(asked);
        self.samples += 1;
        let least = self.least.map_or(sample, |least| least.min(sample));
        let is_new = self.samples == SAMPLES_MIN || (self.samples > SAMPLES_MIN && self.least != Some(least));
        self.least = Some(least);
        if is_new {
            self.news = self.least;
        }
    }

    /// Returns the shortest time that an answer took, once it is known and whenever it has become shorter.
    pub(crate) fn take_news(&mut self) -> Option<Duration> {
        self.news.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trip: &mut RoundTrip, milliseconds: u64) -> Option<u128> {
        let asked = Instant::now();
        round_trip.said(asked);
        round_trip.heard(asked + Duration::from_millis(milliseconds));
        round_trip.take_news().map(|news| news.as_millis())
    }

    #[test]
    fn the_shortest_of_two_answers_and_more_counts() {
        let mut round_trip = RoundTrip::default();
        // A greeting answers nothing.
        round_trip.heard(Instant::now());
        assert_eq!(after(&mut round_trip, 90), None);
        assert_eq!(after(&mut round_trip, 40), Some(40));
        assert_eq!(after(&mut round_trip, 60), None);
        assert_eq!(after(&mut round_trip, 39), Some(39));
    }

    #[test]
    fn one_question_has_one_answer() {
        let mut round_trip = RoundTrip::default();
        let asked = Instant::now();
        round_trip.said(asked);
        round_trip.heard(asked + Duration::from_millis(40));
        // The rest of the same answer, and what comes after an answer that nothing was asked before.
        round_trip.heard(asked + Duration::from_millis(41));
        round_trip.heard(asked + Duration::from_millis(42));
        assert_eq!(round_trip.take_news(), None);
    }
}
