//! The ledger of a named execution: what the run works at is in memory, and every change is written down. What earlier
//! owners left is read when the run comes to it, so that the memory does not grow with the execution.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pipepost_state::ledger::{ClaimError, Known, Ledger, LedgerState, Message, Part, PartOutcome, Recorded};
use pipepost_state::{Answer, Redact, StateError};
use tokio::sync::oneshot;

use crate::book::Book;
use crate::writer::{Claiming, Closing, Job, Look, Opened, Tenure};

/// A ledger that outlives its process. Dropped without [`Ledger::close`], it frees its execution, and what is claimed then
/// is uncertain.
#[derive(Debug)]
pub(crate) struct PostgresLedger {
    book: Arc<Book>,
    tenure: Tenure,
    state: Mutex<LedgerState>,
    /// Earlier owners left messages that are not in memory.
    has_earlier: bool,
    redact: Redact,
    is_closed: AtomicBool,
}

impl PostgresLedger {
    pub(crate) fn new(book: Arc<Book>, execution: Arc<str>, redact: Redact, opened: Opened) -> Self {
        let Opened {
            epoch,
            state,
            has_earlier,
        } = opened;
        Self {
            book,
            tenure: Tenure { execution, epoch },
            state: Mutex::new(state),
            has_earlier,
            redact,
            is_closed: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what earlier owners left of these messages, as far as it is not in memory.
    async fn read(&self, messages: &[Message]) -> Result<(), StateError> {
        if !self.has_earlier {
            return Ok(());
        }
        let keys: Vec<String> = {
            let state = self.state();
            let unknown = messages.iter().filter(|message| !state.knows(&message.key));
            unknown.map(|message| message.key.clone()).collect()
        };
        if keys.is_empty() {
            return Ok(());
        }
        let (done, answer) = oneshot::channel();
        self.book.give(Job::Look(Look {
            execution: Arc::clone(&self.tenure.execution),
            keys,
            done,
            asked: Instant::now(),
        }))?;
        let closed = |_| Err(StateError::unusable(self.book.place(), "it is closed"));
        let found = answer.await.unwrap_or_else(closed)?;
        self.state().take_in(found);
        Ok(())
    }

    fn give(&self, job: Job) {
        if self.book.give(job).is_err() {
            // Only when the thread is gone: then every claim fails too.
            tracing::error!("the ledger is closed, and something was not written to it");
        }
    }

    fn closing(&self, done: Option<oneshot::Sender<Result<(), String>>>, is_durable: bool) -> Job {
        Job::Close(Closing {
            tenure: self.tenure.clone(),
            done,
            is_durable,
            asked: Instant::now(),
        })
    }
}

impl PostgresLedger {
    fn end(&self, is_durable: bool) -> Answer<'_, Result<(), String>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            self.is_closed.store(true, Ordering::Release);
            self.give(self.closing(Some(done), is_durable));
            answer.await.unwrap_or_else(|_| Err("it is closed".to_owned()))
        })
    }
}

impl Drop for PostgresLedger {
    fn drop(&mut self) {
        if !self.is_closed.load(Ordering::Acquire) {
            // A thread that is gone has given everything up.
            drop(self.book.give(self.closing(None, false)));
        }
    }
}

impl Ledger for PostgresLedger {
    fn look_up<'l>(&'l self, messages: &'l [Message]) -> Answer<'l, Result<Vec<Known>, StateError>> {
        Box::pin(async move {
            self.read(messages).await?;
            let mut state = self.state();
            Ok(messages.iter().map(|message| state.look_up(message)).collect())
        })
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn in_doubt(&self, key: &str, output: &str) {
        self.state().in_doubt(key, output);
    }

    fn claim(&self, parts: Vec<Part>) -> Answer<'_, Result<(), ClaimError>> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            let undo = {
                // Under the lock, so that the notes stand in the order of what is known: what was settled before is
                // written with this claim or before it.
                let mut state = self.state();
                let claim = state.claim(parts)?;
                let undo = claim.clone();
                self.give(Job::Claim(Claiming {
                    tenure: self.tenure.clone(),
                    claim,
                    done,
                    asked: Instant::now(),
                    was_asked: false,
                }));
                undo
            };
            let written = answer
                .await
                .unwrap_or_else(|_| Err(ClaimError::Unrecorded("it is closed".to_owned())));
            if written.is_err() {
                self.state().unclaim(&undo);
            }
            written
        })
    }

    fn settle(&self, part: &Part, outcome: PartOutcome) {
        let mut state = self.state();
        let kept = match &outcome {
            PartOutcome::Confirmed(Some(output)) => PartOutcome::Confirmed(Some(self.redact.apply(output))),
            other => other.clone(),
        };
        state.settle(part, outcome);
        self.give(Job::Settle(self.tenure.clone(), part.clone(), kept));
    }

    fn record(&self, key: &str, recorded: Recorded) {
        let mut state = self.state();
        let kept = Recorded {
            output: self.redact.apply(&recorded.output),
            ..recorded.clone()
        };
        let digest = state.record(key, recorded);
        self.give(Job::Record(self.tenure.clone(), key.to_owned(), digest, kept));
    }

    fn let_go(&self, keys: &[String]) {
        self.state().let_go(keys);
    }

    fn close(&self) -> Answer<'_, Result<(), String>> {
        self.end(true)
    }

    fn hand_over(&self) -> Answer<'_, Result<(), String>> {
        // The commit that follows makes everything durable that was committed before it, on whichever connection.
        self.end(false)
    }
}
