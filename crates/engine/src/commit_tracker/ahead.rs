//! Parts that are claimed in the ledger before they are announced, so that the ledger's disk works while the server does.
//!
//! A claim ahead says nothing about the bytes: until it is announced, a part commits nothing and accounts for nothing on the
//! wire. After a crash it reads as uncertain, like every claim without an end. So the number of claims ahead has a bound.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pipepost_state::ledger::{ClaimError, Ledger, Part};

/// A claim on its way to the ledger.
struct Claiming {
    parts: Vec<(u32, u32)>,
    written: Pin<Box<dyn Future<Output = Result<(), ClaimError>> + Send>>,
}

/// What is claimed ahead, by a call's number and a part's.
#[derive(Default)]
pub(super) struct Ahead {
    /// In the ledger, or on its way there.
    parts: HashSet<(u32, u32)>,
    claiming: Vec<Claiming>,
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Ahead {
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Returns whether it is new.
    pub(super) fn add(&mut self, part: (u32, u32)) -> bool {
        self.parts.insert(part)
    }

    /// Gives the claim to the ledger, and does not wait for its answer. The parts were added before.
    pub(super) fn begin(&mut self, ledger: &Arc<dyn Ledger>, claims: Vec<((u32, u32), Part)>) {
        let (parts, claims): (Vec<_>, Vec<_>) = claims.into_iter().unzip();
        let ledger = Arc::clone(ledger);
        let mut claiming = Claiming {
            parts,
            written: Box::pin(async move { ledger.claim(claims).await }),
        };
        // The ledger notes a claim when it is first asked, in the order of everything that is noted.
        let mut context = Context::from_waker(Waker::noop());
        match claiming.written.as_mut().poll(&mut context) {
            Poll::Pending => self.claiming.push(claiming),
            Poll::Ready(answer) => self.end(&claiming.parts, &answer),
        }
    }

    /// Waits for the claims of these parts.
    pub(super) async fn finish(&mut self, parts: &[(u32, u32)]) {
        // They end in the order in which they were begun.
        let concerns = |claiming: &Claiming| claiming.parts.iter().any(|part| parts.contains(part));
        while self.claiming.iter().any(concerns) {
            let first = &mut self.claiming[0];
            let answer = first.written.as_mut().await;
            let ended = self.claiming.remove(0);
            self.end(&ended.parts, &answer);
        }
    }

    fn end(&mut self, parts: &[(u32, u32)], answer: &Result<(), ClaimError>) {
        if let Err(error) = answer {
            // Each is claimed by itself when it is announced, and then it is known which one cannot be.
            tracing::debug!(%error, "a claim ahead was refused");
            for part in parts {
                self.parts.remove(part);
            }
        }
    }

    /// Whether the part is in the ledger. The claims of it have ended.
    pub(super) fn is_claimed(&self, part: (u32, u32)) -> bool {
        self.parts.contains(&part)
    }

    /// It is announced now.
    pub(super) fn take(&mut self, part: (u32, u32)) {
        self.parts.remove(&part);
    }

    /// What nobody announced.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u32, u32)> {
        self.claiming.clear();
        std::mem::take(&mut self.parts).into_iter()
    }
}

#[cfg(test)]
mod tests;
