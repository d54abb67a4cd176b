//! The contract of [`Retention`](underlay_core::Retention): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod bodies;
mod commits;
mod kept;
mod subject;

pub use bodies::forgotten_bodies_leave_their_ids;
pub use commits::forgotten_commits_free_their_ids;
pub use kept::{cancellations_are_kept, commits_with_work_left_are_kept};

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::retention_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! retention_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { retention $($context)*;
            1 forgotten_bodies_leave_their_ids
                "The bodies of refusals recorded before a time are gone; their ids and codes still answer."
            2 forgotten_commits_free_their_ids
                "Commits without events recorded before a time are gone, but for the last of the store: their ids are free again, and all else is as it was."
            3 cancellations_are_kept
                "A cancelled command stays, whenever it was cancelled: what was asked does not run after all."
            4 commits_with_work_left_are_kept
                "A commit stays as long as work that it sent on is not done: a repeat sends nothing again."
        }
    };
}
