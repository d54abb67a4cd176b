//! The contract of [`Scheduler`](underlay_core::Scheduler): one case per sentence.
//!
//! A case takes a fixture of a scheduler that knows no job yet, and panics where its sentence does not hold. They are
//! run by [`conformance!`](crate::conformance). The cases wait for signals of the attempts they script, and for no
//! longer than the pauses they ask for: nobody moves the clock of a scheduler.

mod beginning;
mod failing;
mod moments;
mod processes;
mod subject;

pub use beginning::{a_job_is_begun_once, a_job_that_was_gone_is_begun_anew, who_stops_waiting_ends_nothing};
pub use failing::{
    a_failed_attempt_is_told_and_followed, a_job_that_failed_is_begun_again_from_its_first_attempt,
};
pub use moments::{a_job_that_waits_is_begun_once, a_job_whose_line_is_not_free_waits};
pub use processes::{
    an_attempt_of_a_process_that_ends_is_made_again, heartbeats_keep_an_attempt, stopping_ends_serving,
    what_is_anothers_goes_on,
};

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::scheduler_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! scheduler_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { scheduler $($context)*;
            1 a_job_is_begun_once
                "However often a job is asked for, at once or one after another, it is begun once, and all are told what it came to."
            2 a_failed_attempt_is_told_and_followed
                "An attempt that fails is told to whoever waits, with its reason; the next follows after its pause, without being asked for, until one is the last."
            3 a_job_that_failed_is_begun_again_from_its_first_attempt
                "After the last attempt no other follows, until the job is asked for with attempt 1 again."
            4 who_stops_waiting_ends_nothing
                "Who stops waiting ends nothing: the job goes on, and whoever asks next is told what it came to."
            5 an_attempt_of_a_process_that_ends_is_made_again
                "An attempt that ends with its process is made again in another."
            6 a_job_that_waits_is_begun_once
                "A job that is to wait is begun after its time, or as soon as it is asked for; both begin it once."
            7 a_job_whose_line_is_not_free_waits
                "A job whose line is not free waits until it is asked for."
            8 what_is_anothers_goes_on
                "What another program is to do goes on until one can."
            9 heartbeats_keep_an_attempt
                "An attempt that gives heartbeats goes on beyond its time."
            10 stopping_ends_serving
                "Stopping ends what serves once the attempts that go on have ended, or their grace is over."
            11 a_job_that_was_gone_is_begun_anew
                "A job that was gone is begun anew where it is asked for again."
        }
    };
}
