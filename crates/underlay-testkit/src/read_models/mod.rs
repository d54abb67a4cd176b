//! The contract of [`ReadModels`](underlay_core::ReadModels): one case per sentence.
//!
//! A case takes a fixture of fresh, empty read models and panics where its sentence does not hold.
//! They are run by [`conformance!`](crate::conformance).

mod batches;
mod breadth;
mod definitions;
mod filters;
mod generations;
mod hostile;
mod misfits;
mod orders;
mod pages;
mod reflected;
mod reopening;
mod rows;
mod scans;
mod stops;
mod subject;
mod tenants;

pub use batches::{
    one_of_two_batches_is_stored, rows_and_checkpoint_change_together,
    the_checkpoint_moves_only_from_the_expected_place,
};
pub use breadth::a_query_looks_at_a_bounded_number_of_rows;
pub use definitions::a_changed_view_is_refused;
pub use filters::filters_and_sorts_hold;
pub use generations::{
    a_generation_is_built_beside, a_replaced_generation_comes_back, a_swap_takes_nothing_back,
    discarded_generations_are_swept, parked_events_are_kept,
};
pub use hostile::hostile_text_is_data;
pub use misfits::misfits_are_invalid;
pub use orders::{a_swap_is_bound_to_its_order, an_order_is_replaced_by_who_knows_it};
pub use pages::{pages_are_bounded_in_bytes, pages_follow_each_other};
pub use reflected::rows_say_what_they_reflect;
pub use reopening::reopening_keeps_rows;
pub use rows::{rows_are_read_back, upsert_patch_and_delete};
pub use scans::{a_scan_yields_every_row, an_untouched_table_is_as_it_was_made};
pub use stops::{
    a_stop_counts_until_the_next_batch, one_skips_the_event_a_view_is_stopped_at, what_was_skipped_is_kept,
};
pub use tenants::rows_belong_to_their_tenant;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::read_models_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! read_models_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { read_models $($context)*;
            1 rows_are_read_back
                "Rows written are read back, by key and in bulk, with every column type at its extremes."
            2 upsert_patch_and_delete
                "Upsert replaces, patch changes the columns named, delete removes."
            3 rows_and_checkpoint_change_together
                "Rows and checkpoint change together, or neither does; where a store cannot, its rows say what they reflect."
            4 the_checkpoint_moves_only_from_the_expected_place
                "The checkpoint moves only from the expected place; otherwise `CheckpointMoved`."
            5 one_of_two_batches_is_stored
                "Of two batches from one place, one is stored."
            6 filters_and_sorts_hold
                "A query yields the rows that meet every filter and the condition, in the order asked for."
            7 pages_follow_each_other
                "Pages follow each other by cursor without gap or repeat, while rows are written."
            8 rows_belong_to_their_tenant
                "A tenant sees its own rows alone; one key in two tenants is two rows."
            9 hostile_text_is_data
                "Hostile text in keys and values is data."
            10 a_changed_view_is_refused
                "A view of another definition is `ViewChanged`."
            11 a_generation_is_built_beside
                "A generation is built beside the one that is read, and activated in one step."
            12 misfits_are_invalid
                "What does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores nothing."
            13 reopening_keeps_rows
                "After reopening, rows and checkpoint are there."
            14 a_swap_takes_nothing_back
                "A generation is swapped in together with its last changes, and only where the one that is read has not come further than allowed."
            15 a_replaced_generation_comes_back
                "A generation that was replaced answers nothing, and comes back with its rows and its checkpoint."
            16 discarded_generations_are_swept
                "What a discarded generation has left is removed piece by piece, beside readers and writers; its number is never given again."
            17 parked_events_are_kept
                "Events that were passed over are kept with the rows of their generation, in the order of the log."
            18 a_query_looks_at_a_bounded_number_of_rows
                "A query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its order name is answered; any other is `TooBroad`, and names the limit."
            19 a_stop_counts_until_the_next_batch
                "Why a view stopped is stored with a batch, and counts until the next one."
            20 one_skips_the_event_a_view_is_stopped_at
                "An event is skipped only where the view, or what is built of it, is stopped at it, and by one of all who try."
            21 what_was_skipped_is_kept
                "Who skipped what, when and why is kept, whatever generation is read, and nothing stops at it again."
            22 rows_say_what_they_reflect
                "A row that says what it reflects says no more than it does, and never goes back to less."
            23 a_scan_yields_every_row
                "A scan yields every row of a generation, of every tenant, once and in the order of tenants and keys, each page with the checkpoint its rows lead to."
            24 an_untouched_table_is_as_it_was_made
                "A table that nobody altered is as it was made."
            25 an_order_is_replaced_by_who_knows_it
                "What was ordered of a view is listed with it, and replaced by one of all who know its number."
            26 a_swap_is_bound_to_its_order
                "A swap that names the number of an order takes place only while the order has that number."
            27 pages_are_bounded_in_bytes
                "A page ends with the row that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow."
        }
    };
}
