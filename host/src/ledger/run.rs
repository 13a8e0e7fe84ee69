//! The ledger of a run without a name.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::books::Books;
use super::{Answer, ClaimError, Known, Ledger, Message, Part, PartOutcome, Recorded};

/// A ledger that lives as long as its run.
#[derive(Debug, Default)]
pub struct RunLedger {
    books: Mutex<Books>,
}

impl RunLedger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for RunLedger {
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Vec<Known>> {
        let mut books = self.books();
        let known = messages.iter().map(|message| books.look_up(message)).collect();
        Box::pin(std::future::ready(known))
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        let claimed = self.books().claim(parts).map(drop);
        Box::pin(std::future::ready(claimed))
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        self.books().settle(part, outcome);
    }

    fn record(&self, key: &str, recorded: Recorded) {
        self.books().record(key, recorded);
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(key: &str, number: u32) -> Part {
        Part {
            key: key.to_owned(),
            number,
        }
    }

    fn message(resend: bool) -> Message {
        Message {
            key: "run/start/0".to_owned(),
            digest: "d".to_owned(),
            resend,
        }
    }

    async fn known(ledger: &RunLedger, message: &Message) -> Known {
        ledger.look_up(std::slice::from_ref(message)).await.remove(0)
    }

    fn uncertain(remainder: Option<&str>) -> Recorded {
        Recorded {
            output: "{}".to_owned(),
            uncertain: true,
            remainder: remainder.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_claim_is_all_or_nothing() {
        let ledger = RunLedger::default();
        let key = "run/start/0";
        assert_eq!(ledger.claim(vec![part(key, 0)]).await, Ok(()));
        let both = vec![part(key, 1), part(key, 0)];
        assert_eq!(ledger.claim(both).await, Err(ClaimError::Claimed));
        assert_eq!(ledger.claim(vec![part(key, 1)]).await, Ok(()));
    }

    #[tokio::test]
    async fn only_what_was_not_committed_may_be_claimed_again() {
        let ledger = RunLedger::default();
        for (outcome, again) in [
            (PartOutcome::NotCommitted, Ok(())),
            (PartOutcome::Confirmed(None), Err(ClaimError::Claimed)),
            (PartOutcome::Uncertain, Err(ClaimError::Claimed)),
        ] {
            let part = part(&format!("{outcome:?}"), 0);
            assert_eq!(ledger.claim(vec![part.clone()]).await, Ok(()));
            ledger.settle(&part, outcome);
            assert_eq!(ledger.claim(vec![part]).await, again);
        }
    }

    #[tokio::test]
    async fn another_content_is_refused_once_something_was_committed_and_not_before() {
        let ledger = RunLedger::default();
        let first = message(false);
        let other = Message {
            digest: "e".to_owned(),
            ..first.clone()
        };
        assert_eq!(known(&ledger, &first).await, Known::Nothing);
        assert_eq!(known(&ledger, &other).await, Known::Nothing);
        assert_eq!(known(&ledger, &first).await, Known::Nothing);
        let part = part(&first.key, 0);
        ledger.claim(vec![part.clone()]).await.expect("nobody has it");
        assert_eq!(known(&ledger, &other).await, Known::OtherContent);
        ledger.settle(&part, PartOutcome::NotCommitted);
        assert_eq!(known(&ledger, &other).await, Known::Nothing);
    }

    #[tokio::test]
    async fn an_uncertain_message_is_sent_again_only_when_asked_for() {
        for (remainder, again) in [(None, Known::Nothing), (Some("[1]"), Known::Left("[1]".to_owned()))] {
            let ledger = RunLedger::default();
            let part = part("run/start/0", 0);
            assert_eq!(known(&ledger, &message(false)).await, Known::Nothing);
            ledger.claim(vec![part.clone()]).await.expect("nobody has it");
            ledger.settle(&part, PartOutcome::Uncertain);
            ledger.record(&part.key, uncertain(remainder));
            let ended = Known::Ended(uncertain(remainder));
            assert_eq!(known(&ledger, &message(false)).await, ended);
            assert_eq!(ledger.claim(vec![part.clone()]).await, Err(ClaimError::Claimed));
            assert_eq!(known(&ledger, &message(true)).await, again);
            assert_eq!(ledger.claim(vec![part]).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn what_was_confirmed_is_not_sent_again_with_the_rest() {
        let ledger = RunLedger::default();
        let key = "run/start/0";
        assert_eq!(known(&ledger, &message(true)).await, Known::Nothing);
        ledger
            .claim(vec![part(key, 0), part(key, 1)])
            .await
            .expect("nobody has them");
        ledger.settle(&part(key, 0), PartOutcome::Confirmed(None));
        ledger.settle(&part(key, 1), PartOutcome::Uncertain);
        // What is left is not known.
        ledger.record(key, uncertain(None));
        assert_eq!(known(&ledger, &message(true)).await, Known::Ended(uncertain(None)));
        ledger.record(key, uncertain(Some("[1]")));
        assert_eq!(known(&ledger, &message(true)).await, Known::Left("[1]".to_owned()));
        assert_eq!(ledger.claim(vec![part(key, 0)]).await, Err(ClaimError::Claimed));
        assert_eq!(ledger.claim(vec![part(key, 1)]).await, Ok(()));
    }

    #[tokio::test]
    async fn the_part_that_completes_a_message_brings_its_output() {
        let ledger = RunLedger::default();
        let key = "run/start/0";
        assert_eq!(known(&ledger, &message(false)).await, Known::Nothing);
        ledger
            .claim(vec![part(key, 0), part(key, 1)])
            .await
            .expect("nobody has them");
        ledger.settle(&part(key, 0), PartOutcome::Confirmed(None));
        assert!(matches!(known(&ledger, &message(false)).await, Known::Ended(ended) if ended.uncertain));
        ledger.settle(&part(key, 1), PartOutcome::Confirmed(Some("{\"n\":1}".to_owned())));
        let ended = Recorded {
            output: "{\"n\":1}".to_owned(),
            uncertain: false,
            remainder: None,
        };
        assert_eq!(known(&ledger, &message(false)).await, Known::Ended(ended));
    }
}
