//! The contract of [`WorkQueue`](underlay_core::WorkQueue): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance). No case waits: the clock of the fixture is moved by hand.

mod begun;
mod commits;
mod cursors;
mod dead_letters;
mod due_later;
mod due_tenants;
mod limits;
mod lines;
mod lists;
mod random_lines;
mod reading;
mod reopening;
mod schedulers;
mod settling;
mod shards;
mod subject;
mod tenants;
mod terms;

pub use begun::what_was_begun_is_counted;
pub use commits::{work_has_the_order_of_commits, work_is_stored_with_its_commit};
pub use cursors::cursors_are_handed_over;
pub use dead_letters::{a_dead_letter_holds_its_key_or_not, dead_letters_are_replayed_or_discarded};
pub use due_later::what_is_due_later_is_in_nobodys_way;
pub use due_tenants::due_work_is_read_by_tenant;
pub use limits::limits_of_work_are_named;
pub use lines::{
    a_retry_blocks_its_key, a_retry_goes_by_the_clock_of_the_store, what_is_held_comes_in_order,
};
pub use lists::{
    depths_of_a_tenant_are_its_own, lists_are_bounded_in_bytes, what_is_tried_again_is_late,
    work_is_listed_and_counted,
};
pub use reading::{ready_work_is_read_in_order, work_is_read_by_tenant};
pub use reopening::work_survives_reopening;
pub use schedulers::shards_are_with_one_scheduler;
pub use settling::{a_lost_shard_settles_nothing, what_is_done_is_gone};
pub use shards::{a_shard_has_one_worker, a_worker_that_is_gone_loses_its_shards, shards_are_spread_evenly};
pub use tenants::work_belongs_to_its_tenant;
pub use terms::terms_of_shards_only_grow;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::work_queue_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! work_queue_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { work_queue $($context)*;
            1 work_is_stored_with_its_commit
                "Work is stored with its commit or not at all: a conflict, an invalid commit and a repeat store none."
            2 work_has_the_order_of_commits
                "Ids and places follow from the commit and the place in it; work of a later commit has a higher place."
            3 a_shard_has_one_worker
                "Of several workers who ask at the same time, one holds a shard."
            4 terms_of_shards_only_grow
                "Every worker of a shard has a higher term than the one before, also after a release and after reopening."
            5 shards_are_spread_evenly
                "Workers that go on asking come to hold parts that differ by one shard at most; what is surplus stays theirs until they release it."
            6 a_worker_that_is_gone_loses_its_shards
                "A worker that asks no more loses its shards when its time has run out, and whoever asks then gets them; one that leaves loses them at once."
            7 cursors_are_handed_over
                "The cursors a worker gave with its last asking for a shard it holds are those that the next one starts at; of a shard that is another's none are taken."
            8 ready_work_is_read_in_order
                "Ready work of a shard and lane is read in the order of places, after a place, as it was sent; a page says how far it has looked, and reading changes nothing."
            9 work_is_read_by_tenant
                "Reading passes over tenants, or reads one, as asked, and comes past any number of pieces it passes over."
            10 what_is_due_later_is_in_nobodys_way
                "Work that is due later is read by nobody until then, blocks nobody, and comes in the order of moments."
            11 what_is_done_is_gone
                "What is done is gone; settling it again changes nothing, and a piece that stands twice in one call is `Invalid`."
            12 a_retry_blocks_its_key
                "A failed attempt is counted, with its reason, and blocks its line, and no other, until it is due and done."
            13 what_is_held_comes_in_order
                "What is held comes one by one, in the order of places, as those before are done; where nothing is before it any more, it is due at once."
            14 a_dead_letter_holds_its_key_or_not
                "A dead letter blocks its key where it holds it, and otherwise lets the next go."
            15 a_lost_shard_settles_nothing
                "A term that is over, was given back, is another worker's or is of another shard settles nothing; other shards of the same call are settled."
            16 dead_letters_are_replayed_or_discarded
                "A replayed dead letter is due at once, before what stands behind it, with no attempts counted; a discarded one is gone, and the next goes; of several who decide, one does."
            17 work_belongs_to_its_tenant
                "A tenant's work is found, listed, replayed and discarded by that tenant alone."
            18 work_is_listed_and_counted
                "Lists are in the order of places, by page, as the filter says; depths count every piece once, and say where they ended at a bound."
            19 work_survives_reopening
                "All of it is there after reopening."
            20 limits_of_work_are_named
                "What exceeds a limit is `Invalid` with the limit's name."
            21 due_work_is_read_by_tenant
                "Reading what is due passes over tenants, or reads one, as asked, goes on after where it was, and comes past any number of pieces it passes over."
            22 what_was_begun_is_counted
                "A shard says up to which place a worker may have begun work that did not give it back. What is begun is counted, under the term that holds the shard, until what became of it is stored."
            23 lists_are_bounded_in_bytes
                "A page of a list ends once it has passed `PAGE_BYTES_MAX`, with a piece at least where one is listed. It says whether more follows, and going on after its last piece leaves out and repeats none."
            24 depths_of_a_tenant_are_its_own
                "The depths of one tenant count its work alone: they are the same, whatever the others have."
            25 what_is_tried_again_is_late
                "A queue is as late as its oldest piece that is ready or due, or was tried and waits for its next attempt; what was never tried is not late before its moment."
            26 a_retry_goes_by_the_clock_of_the_store
                "A failed attempt is due again after its delay by the clock of the store; no clock of a worker has a say in it."
            27 shards_are_with_one_scheduler
                "Workers of one scheduler hold shards at a time, and share them among themselves. One of another scheduler gets none and is told whom it waits for, until no shard is held; of both kinds asking at the same time, one holds shards."
        }
    };
}
