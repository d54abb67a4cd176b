//! The contract of [`Checkpoints`](underlay_core::Checkpoints): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod keeping;
mod leases;
mod limits;
mod lists;
mod moving;
mod subject;

pub use keeping::a_checkpoint_is_kept;
pub use leases::a_lost_lease_moves_no_checkpoint;
pub use limits::limits_of_checkpoints_are_named;
pub use lists::checkpoints_are_listed;
pub use moving::a_checkpoint_moves_from_where_it_was;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::checkpoints_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! checkpoints_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { checkpoints $($context)*;
            1 a_checkpoint_is_kept
                "What is stored is found as it was stored, also after reopening; under another name there is none."
            2 a_checkpoint_moves_from_where_it_was
                "A checkpoint moves from the expected place alone; otherwise it is `CheckpointMoved`, and stays. Of several who move it from one place, one does."
            3 a_lost_lease_moves_no_checkpoint
                "Under a lease that is lost it does not move."
            4 checkpoints_are_listed
                "Checkpoints are listed in the order of their names."
            5 limits_of_checkpoints_are_named
                "A name that exceeds its limit is `Invalid` with the limit's name."
        }
    };
}
