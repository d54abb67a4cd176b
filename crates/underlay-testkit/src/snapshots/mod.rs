//! The contract of [`Snapshots`](underlay_core::Snapshots): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod reading;
mod replacement;
mod subject;
mod tenants;

pub use reading::a_snapshot_is_read_back;
pub use replacement::a_later_snapshot_replaces_an_earlier;
pub use tenants::snapshots_belong_to_their_tenant;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::snapshots_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! snapshots_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { snapshots $($context)*;
            1 a_snapshot_is_read_back
                "A snapshot stored is read back."
            2 a_later_snapshot_replaces_an_earlier
                "A snapshot replaces one of a lower or equal version or of another definition, and no other."
            3 snapshots_belong_to_their_tenant
                "A tenant reads its own alone."
        }
    };
}
