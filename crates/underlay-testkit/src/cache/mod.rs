//! The contract of [`Cache`](underlay_core::Cache): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty cache and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod away;
mod concurrency;
mod limits;
mod subject;
mod tags;
mod tenants;
mod values;

pub use away::a_cache_that_is_away_fails_nobody;
pub use concurrency::cached_values_are_whole;
pub use limits::limits_of_a_cache_are_named;
pub use tags::{a_pattern_is_invalidated, a_tag_is_invalidated, a_tenant_is_cleared};
pub use tenants::{cached_values_belong_to_their_tenant, hostile_text_in_a_cache_is_data};
pub use values::{
    a_cached_value_is_deleted, a_cached_value_is_read_back, a_cached_value_knows_its_rest,
    a_cached_value_runs_out, many_cached_values_at_once,
};

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::cache_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! cache_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { cache $($context)*;
            1 a_cached_value_is_read_back
                "A value set is read back, whatever its bytes are, and setting it again replaces it."
            2 a_cached_value_runs_out
                "A value is gone once its time is over, which begins when it is set."
            3 a_cached_value_is_deleted
                "A value deleted is gone, and no other is; deleting what is not there changes nothing."
            4 many_cached_values_at_once
                "Many at once are answered in the order of their keys; one that is named twice when set has its last value."
            5 a_tag_is_invalidated
                "To invalidate a tag takes away the values that have it and no others; what is set later is there."
            6 a_tenant_is_cleared
                "To clear a tenant takes all of its values away and nobody else's."
            7 cached_values_belong_to_their_tenant
                "Tenants are apart: one key in two tenants is two values, and a tag is of one tenant."
            8 hostile_text_in_a_cache_is_data
                "Hostile text in keys and tags is data."
            9 limits_of_a_cache_are_named
                "What exceeds a limit is `Invalid` with the limit's name, and changes nothing."
            10 cached_values_are_whole
                "Callers at the same time see whole values, and after the last answer all see the same."
            11 a_cache_that_is_away_fails_nobody
                "A cache that is away finds nothing and fails no call. Once it is back it serves by itself, and what was deleted or invalidated meanwhile is not found."
            12 a_cached_value_knows_its_rest
                "A value found comes with the tags it was set with, and with the time that is left of its own."
            13 a_pattern_is_invalidated
                "To invalidate a pattern takes away the values whose keys match it, where a star stands for any text, and no others."
        }
    };
}
