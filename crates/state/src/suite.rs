//! The rules that every implementation keeps, as tests that run over each implementation: one function per rule, and
//! [`expand_suite!`] to run them all over a store.
//!
//! A rule works on a [`Machine`]: something on which processes begin, share a state, and end in order or in a crash.
//!
//! [`expand_suite!`]: crate::expand_suite

mod ledger;
mod object;
mod quota;
mod runs;
mod server_limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub use ledger::*;
pub use object::*;
pub use quota::*;
pub use runs::*;
pub use server_limits::*;
use tokio::time::Instant;

use crate::StateStore;
use crate::clock::{Clock, Moment, length};

/// A clock that follows the simulated time of the tests, and can be set wrong.
#[derive(Debug)]
pub struct SimClock {
    /// Whose time is simulated: a store asks from threads of its own.
    runtime: tokio::runtime::Handle,
    start: Instant,
    offset: AtomicI64,
}

impl Default for SimClock {
    fn default() -> Self {
        Self {
            runtime: tokio::runtime::Handle::current(),
            start: Instant::now(),
            offset: AtomicI64::new(1_800_000_000_000_000),
        }
    }
}

impl SimClock {
    /// Sets the clock forward by this number of microseconds, or back if it is negative.
    pub fn set_by(&self, microseconds: i64) {
        self.offset.fetch_add(microseconds, Ordering::SeqCst);
    }

    /// Sets the clock forward by this number of days.
    pub fn pass_days(&self, days: i64) {
        self.set_by(days * 24 * 60 * 60 * 1_000_000);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        let _within = self.runtime.enter();
        self.offset.load(Ordering::SeqCst) + length(self.start.elapsed())
    }
}

/// A machine on which processes share a state.
pub trait Machine {
    /// The type of one process's store.
    type Process: StateStore;

    /// Whether the state survives a crash: what a process had under way is then known to be over once the process is
    /// gone.
    const OUTLIVES_A_CRASH: bool;

    /// Makes a machine that has no state yet and uses this clock.
    fn new(clock: Arc<SimClock>) -> Self;

    /// Begins another process on this machine.
    fn process(&self) -> Self::Process;

    /// Ends a process as a kill does. The test still holds its ledgers, and drops them.
    fn crash(&self, process: Self::Process);
}

/// Waits for an answer while simulated time does not advance: the clock must not jump while a disk is at work.
pub async fn at_once<T>(answer: impl Future<Output = T>) -> T {
    let (done, working) = std::sync::mpsc::channel::<()>();
    // Tokio's simulated time moves only while nothing works, and a blocking task works.
    let work = tokio::task::spawn_blocking(move || working.recv().is_err());
    let answer = answer.await;
    drop(done);
    work.await.expect("it waits and ends");
    answer
}

/// Returns a duration of whole seconds as the tests write it.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs every rule over a [`Machine`](crate::suite::Machine), each as its own test. With `skipped if`, a test ends before it
/// begins where this is true.
#[macro_export]
macro_rules! expand_suite {
    ($machine:ty) => {
        $crate::expand_suite!($machine, skipped if false);
    };
    ($machine:ty, skipped if $skipped:expr) => {
        $crate::expand_suite!($machine, $skipped;
            what_was_recorded_comes_back_in_the_next_process,
            a_claim_is_all_or_nothing,
            a_part_that_is_named_twice_is_claimed_by_nobody,
            only_what_was_not_committed_may_be_claimed_again,
            another_content_is_refused_once_something_was_committed_and_not_before,
            an_uncertain_message_is_sent_again_only_when_asked_for,
            what_was_confirmed_is_not_sent_again_with_the_rest,
            the_part_that_completes_a_message_brings_its_output,
            a_claim_that_a_crash_left_open_is_uncertain,
            what_was_said_of_a_message_in_doubt_outlives_a_crash_until_its_end_is_recorded,
            what_may_not_be_written_down_is_in_no_output_that_is_kept,
            one_owner_runs_an_execution_at_a_time,
            a_ledger_that_is_dropped_frees_its_execution,
            a_message_of_another_execution_is_not_claimed,
            a_person_settles_what_nobody_can_tell,
            a_message_that_is_sent_again_is_uncertain_until_it_is_claimed_again,
            settled_executions_are_forgotten_after_thirty_days_and_uncertain_ones_never,
            many_executions_at_once_keep_their_claims_apart,
            no_sliding_second_holds_more_than_the_limit_whoever_sends,
            no_sliding_day_holds_more_than_the_limit_whoever_sends,
            a_clock_that_is_set_back_opens_no_window,
            what_a_dead_process_had_under_way_ends_when_it_is_found_dead,
            the_limit_of_a_day_is_told_with_its_end_and_slides,
            how_much_of_its_limits_an_account_has_used_is_told_also_while_it_pauses,
            a_pause_lasts_as_long_as_it_means_and_the_next_process_knows_it,
            a_shorter_pause_does_not_end_a_longer_one,
            a_person_ends_a_pause,
            what_waits_for_its_turn_is_woken_by_an_end,
            what_a_server_teaches_is_known_to_the_next_process,
            what_a_server_taught_is_forgotten_with_its_age,
            a_person_sees_and_forgets_what_servers_taught,
            objects_are_there_for_the_next_process_in_their_order,
            collections_do_not_run_into_each_other,
            a_change_keeps_the_place_of_what_it_replaces,
            changes_of_many_at_once_do_not_lose_each_other,
            a_rehearsal_reads_the_objects_and_leaves_them_as_they_are,
            a_run_is_known_by_its_key_and_content_in_every_process,
            a_run_has_one_performer_and_ends_once,
            an_earlier_performer_writes_nothing_once_the_run_began_again,
            a_run_waits_for_its_time,
            what_waits_follows_a_clock_that_is_set_back,
            a_retry_costs_one_of_the_retries_and_an_interruption_none,
            what_is_due_is_taken_in_turn_and_within_the_room_of_each_pipeline,
            a_run_that_waits_is_cancelled_and_one_that_began_is_not,
            what_waits_for_an_account_goes_on_and_nothing_else_does,
            a_run_that_failed_goes_on_with_its_whole_message_when_asked_to,
            what_a_dead_server_had_under_way_waits_again_or_fails_as_its_document_says,
            a_run_that_ended_its_server_five_times_is_not_tried_again,
            while_a_run_of_the_pipeline_waits_a_further_one_is_skipped_when_asked_to,
            the_runs_of_a_pipeline_are_limited_over_all_that_perform_them,
            a_pipeline_that_pauses_begins_nothing,
            what_a_schedule_did_is_known_to_the_next_process_and_is_never_set_back,
            runs_are_listed_page_by_page_the_last_one_first,
            messages_are_forgotten_before_their_runs_and_what_is_uncertain_never,
        );
    };
    ($machine:ty, $skipped:expr; $($rule:ident),* $(,)?) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $rule() {
                if $skipped {
                    return;
                }
                $crate::suite::$rule::<$machine>().await;
            }
        )*
    };
}
