//! The contract of [`Schedules`](underlay_core::Schedules): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod due;
mod keeping;
mod limits;
mod lists;
mod moving;
mod removed;
mod repeats;
mod subject;

pub use due::{a_removed_schedule_is_due_no_more, what_is_due_is_found};
pub use keeping::a_schedule_is_kept_by_its_tenant;
pub use limits::limits_of_schedules_are_named;
pub use lists::schedules_are_listed;
pub use moving::a_schedule_moves_on_once;
pub use removed::a_new_schedule_begins_above_those_that_were_removed;
pub use repeats::the_same_put_again_changes_nothing;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::schedules_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! schedules_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { schedules $($context)*;
            1 a_schedule_is_kept_by_its_tenant
                "What is put is listed as it was put, under its tenant alone, also after reopening; another put in its place has the next revision."
            2 what_is_due_is_found
                "Those that are due at a moment are found over all tenants, the longest due first, then in the order of tenants and names, by page."
            3 a_schedule_moves_on_once
                "Of several who move a schedule on from one moment, one does; one that was put anew or removed meanwhile is left as it is."
            4 a_removed_schedule_is_due_no_more
                "A removed schedule is due no more."
            5 schedules_are_listed
                "Lists are in the order of tenants and names, by page."
            6 limits_of_schedules_are_named
                "What exceeds a limit is `Invalid` with the limit's name."
            7 the_same_put_again_changes_nothing
                "What is put again by the same definition stays as it is, with its revision and its next moment, also where several put it at once."
            8 a_new_schedule_begins_above_those_that_were_removed
                "A new schedule begins above the revisions of all that its tenant removed, also after reopening."
        }
    };
}
