//! The contract of [`Entities`](underlay_core::Entities): one case per sentence.
//!
//! A case takes a fixture of fresh, empty entities and panics where its sentence does not hold.
//! They are run by [`conformance!`](crate::conformance).

mod abandonment;
mod breadth;
mod commits;
mod conditions;
mod damage;
mod hostile;
mod misfits;
mod pages;
mod reading;
mod reopening;
mod shapes;
mod subject;
mod tenants;
mod unique;
mod units;
mod writing;

pub use abandonment::a_caller_that_goes_away_leaves_no_half;
pub use breadth::a_query_of_entities_looks_at_a_bounded_number;
pub use commits::{
    a_commit_stores_entities_with_its_events, a_repeated_commit_changes_no_entity,
    one_of_the_commits_that_update_an_entity_is_stored,
};
pub use conditions::{conditions_hold, random_queries_agree_with_a_naive_filter};
pub use damage::a_damaged_entity_is_named;
pub use hostile::hostile_text_in_entities_is_data;
pub use misfits::misfit_entities_are_invalid;
pub use pages::{entity_pages_are_bounded_in_bytes, entity_pages_follow_each_other};
pub use reading::entities_are_read_back;
pub use reopening::reopening_keeps_entities;
pub use shapes::{
    a_shape_is_extended, an_entity_that_nobody_prepared_is_not_found, another_shape_is_refused,
};
pub use tenants::entities_belong_to_their_tenant;
pub use unique::a_unique_value_is_there_once;
pub use units::{
    a_unit_is_stored_whole_or_not_at_all, a_unit_past_the_atomicity_is_refused,
    an_entity_is_changed_once_in_a_unit,
};
pub use writing::{
    an_update_needs_the_stored_version, one_of_equal_updates_is_stored, removed_entities_are_gone,
    what_is_there_is_not_created_again,
};

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::entities_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! entities_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { entities $($context)*;
            1 entities_are_read_back
                "An entity created is read back, by id and in bulk, with every column type at its extremes."
            2 what_is_there_is_not_created_again
                "To create one that is there is `EntityConflict` with its version, also where it is the same one."
            3 an_update_needs_the_stored_version
                "An update needs the version that is stored; otherwise it is `EntityConflict` with the actual one."
            4 one_of_equal_updates_is_stored
                "Of updates from one version one is stored, also of several stores that are open on the same data."
            5 removed_entities_are_gone
                "An entity is removed at the version named, or at any; one that is removed can be created anew."
            6 a_unit_is_stored_whole_or_not_at_all
                "The changes of a unit are stored together or not at all, also over several entities."
            7 a_unit_past_the_atomicity_is_refused
                "A store that changes one entity at a time refuses a unit of several before it writes anything."
            8 an_entity_is_changed_once_in_a_unit
                "An entity that is named twice in a unit is `Invalid`, and nothing is stored."
            9 conditions_hold
                "Filters, conditions and orders hold as `Query::meets` says, and a count counts what meets them."
            10 random_queries_agree_with_a_naive_filter
                "Whatever a query asks, the answer is the one of a naive filter."
            11 entity_pages_follow_each_other
                "Pages follow each other by cursor without gap or repeat, while entities are written."
            12 a_unique_value_is_there_once
                "A unique value is in a tenant once; another is `RuleViolation`, which names entity and column, and stores nothing."
            13 entities_belong_to_their_tenant
                "A tenant sees and changes its own entities alone; one id and one unique value in two tenants are two entities."
            14 hostile_text_in_entities_is_data
                "Hostile text in ids and values is data."
            15 misfit_entities_are_invalid
                "What does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores nothing."
            16 a_query_of_entities_looks_at_a_bounded_number
                "A query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its order name is answered; any other is `TooBroad`, and names the limit."
            17 reopening_keeps_entities
                "After reopening, entities and their versions are there."
            18 a_damaged_entity_is_named
                "A stored entity that cannot be read is `Damaged`, and names entity, id and column."
            19 another_shape_is_refused
                "Another shape is `EntityChanged`, and nothing of what is stored changes."
            20 a_shape_is_extended
                "A column that can be empty is added, an index comes and goes, and what is stored stays."
            21 an_entity_that_nobody_prepared_is_not_found
                "An entity that nobody prepared is `NotFound`."
            22 a_caller_that_goes_away_leaves_no_half
                "A caller that goes away leaves a unit whole or not stored."
            23 a_commit_stores_entities_with_its_events
                "A commit stores entities with its events, or neither; what fails leaves the id of the commit free."
            24 a_repeated_commit_changes_no_entity
                "A repeat of a commit gets the first answer and changes no entity, whatever the entities are by then."
            25 one_of_the_commits_that_update_an_entity_is_stored
                "Of commits written together that update one entity from one version, one is stored, and the others alone fail."
            26 entity_pages_are_bounded_in_bytes
                "A page ends with the entity that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow."
        }
    };
}
