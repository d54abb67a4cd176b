//! The contract of [`Archive`](underlay_core::Archive): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store, opens a second one to import into where it needs
//! one, and panics where its sentence does not hold. They are run by
//! [`conformance!`](crate::conformance).

mod future;
mod gaps;
mod imports;
mod invalid;
mod others;
mod reading;
mod repeats;
mod subject;

pub use future::an_import_of_the_future_is_refused;
pub use gaps::an_import_with_a_gap_is_refused;
pub use imports::an_import_reads_back_the_same;
pub use invalid::an_import_is_validated;
pub use others::an_import_takes_no_other_commit_for_a_known_one;
pub use reading::{an_archive_of_one_tenant_is_its_own, commits_are_read_in_order};
pub use repeats::an_import_repeats_nothing;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::archive_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! archive_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { archive $($context)*;
            1 commits_are_read_in_order
                "Commits are read in the order they were stored, each with its outcome and all its events."
            2 an_archive_of_one_tenant_is_its_own
                "A read of one tenant yields that tenant's commits alone."
            3 an_import_reads_back_the_same
                "Imported commits read back as they were, but for their positions; repeats get the first answer there too."
            4 an_import_repeats_nothing
                "Importing what is there changes nothing and says so."
            5 an_import_with_a_gap_is_refused
                "A commit whose versions do not continue its streams is a `Conflict`; it and all after it are not stored."
            6 an_import_takes_no_other_commit_for_a_known_one
                "A commit is taken for a known one only where outcome, event ids, streams and versions are the same too; else the error names it and what differs, and nothing of the call is stored."
            7 an_import_is_validated
                "What no commit may be is `Invalid` in an import too, with the commit and the limit, and nothing of the call is stored."
            8 an_import_of_the_future_is_refused
                "A commit recorded later than now by more than `IMPORT_AHEAD_MAX` is `Invalid`; what is stored after an import is never earlier than it."
        }
    };
}
