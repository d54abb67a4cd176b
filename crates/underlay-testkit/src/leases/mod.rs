//! The contract of [`Leases`](underlay_core::Leases): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance). No case waits: the fixture lets time pass.

mod holding;
mod limits;
mod renewal;
mod subject;
mod terms;
mod writes;

pub use holding::{
    a_lease_runs_out, a_released_lease_is_free, one_of_many_gets_the_lease, who_holds_a_lease_is_found,
};
pub use limits::limits_of_leases_are_named;
pub use renewal::who_lost_a_lease_cannot_renew_it;
pub use terms::terms_only_grow;
pub use writes::{a_lost_lease_stores_nothing, a_term_given_twice_is_its_last_holders};

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::leases_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! leases_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { leases $($context)*;
            1 one_of_many_gets_the_lease
                "Of several who ask for a free lease at the same time, one gets it."
            2 a_lease_runs_out
                "While a lease is held nobody gets it, its holder neither; once it has run out, whoever asks first does."
            3 terms_only_grow
                "Every holder has a higher term than the one before, also after a release and after reopening."
            4 who_lost_a_lease_cannot_renew_it
                "Renewing keeps the term and moves the end; a lease that ran out or is another's is `LeaseLost`."
            5 a_released_lease_is_free
                "A released lease is free at once; releasing a lost one changes nothing."
            6 a_lost_lease_stores_nothing
                "Rows and checkpoint under a lease that is lost are not stored."
            7 limits_of_leases_are_named
                "What exceeds a limit is `Invalid` with the limit's name."
            8 who_holds_a_lease_is_found
                "Who holds a lease is found, with the term and the end; of a free one nobody is."
            9 a_term_given_twice_is_its_last_holders
                "Every acquisition has an id of its own; of two with one term, that which is stored holds, and the other is lost."
        }
    };
}
