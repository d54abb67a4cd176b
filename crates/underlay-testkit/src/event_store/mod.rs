//! The contract of [`EventStore`](underlay_core::EventStore): one case per sentence.
//!
//! A case takes a fixture of a fresh, empty store and panics where its sentence does not hold. They
//! are run by [`conformance!`](crate::conformance).

mod abandonment;
mod agreement;
mod checkpoints;
mod commits;
mod entities;
mod expectations;
mod filters;
mod limits;
mod log;
mod pages;
mod payloads;
mod poison;
mod refusals;
mod reopening;
mod repeats;
mod stream_list;
mod streams;
mod subject;
mod tenants;
mod times;
mod underway;

pub use abandonment::a_caller_that_goes_away_cancels_nothing;
pub use agreement::{a_commit_yields_to_another, commits_agree_or_one_is_refused};
pub use checkpoints::a_foreign_checkpoint_is_refused;
pub use commits::{
    a_conflict_stores_nothing_anywhere, reads_back_what_was_committed, versions_start_at_one_without_holes,
};
pub use entities::a_log_without_entities_refuses_them;
pub use expectations::{
    expectations_hold_on_written_and_read_streams, one_of_equal_expectations_wins, write_skew_is_a_conflict,
};
pub use filters::a_filtered_read_says_how_far_it_scanned;
pub use limits::limits_are_named;
pub use log::a_reader_misses_nothing_while_writers_write;
pub use pages::no_page_splits_a_commit;
pub use payloads::a_payload_keeps_its_encoding;
pub use poison::a_poison_commit_fails_alone;
pub use refusals::{a_refusal_is_an_outcome, a_stale_refusal_is_a_conflict};
pub use reopening::reopening_keeps_everything;
pub use repeats::{a_repeat_gets_the_first_answer, a_reused_id_is_refused, repeats_in_flight_store_once};
pub use stream_list::streams_are_listed_by_name;
pub use streams::{stream_pages_follow_each_other, versions_are_read_at_one_moment};
pub use tenants::tenants_are_separate;
pub use times::position_at_finds_the_last_event_before;
pub use underway::what_waits_is_under_way;

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::event_store_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! event_store_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { event_store $($context)*;
            1 reads_back_what_was_committed
                "A committed event is read back as it was given, from its stream and from the log."
            2 versions_start_at_one_without_holes
                "The first event of a stream is version 1, and versions have no holes."
            3 one_of_equal_expectations_wins
                "Of commits that expect the same version, one wins; the others get `Conflict` with the actual version."
            4 expectations_hold_on_written_and_read_streams
                "`NoStream`, `Exists`, `Exact` and `Any` hold for streams written and for streams only read."
            5 a_conflict_stores_nothing_anywhere
                "Everything in a commit is stored, or nothing is; a conflict on one stream stores nothing on the others."
            6 no_page_splits_a_commit
                "No page of the log ends in the middle of a commit."
            7 a_reader_misses_nothing_while_writers_write
                "The log is in position order; whoever passed position p never misses an event at or below it."
            8 a_filtered_read_says_how_far_it_scanned
                "A filtered read says how far it has scanned, also where nothing matches."
            9 a_repeat_gets_the_first_answer
                "A repeat of a commit id gets the first answer, and stores nothing."
            10 repeats_in_flight_store_once
                "Repeats in flight at the same time store once."
            11 a_reused_id_is_refused
                "The same id with other content is refused, and stores nothing."
            12 a_refusal_is_an_outcome
                "A refusal is stored with its body and answers repeats."
            13 a_stale_refusal_is_a_conflict
                "A refusal whose expectations no longer hold is a `Conflict`, and is not stored."
            14 tenants_are_separate
                "A commit id belongs to its tenant; so do streams, events and outcomes."
            15 a_poison_commit_fails_alone
                "Of commits written together, a bad one fails alone."
            16 write_skew_is_a_conflict
                "Two commits that each read what the other writes: one wins."
            17 a_caller_that_goes_away_cancels_nothing
                "A caller that goes away does not cancel its commit."
            18 limits_are_named
                "What exceeds a limit is `Invalid` with the limit's name, and nothing is stored."
            19 position_at_finds_the_last_event_before
                "Recorded times never decrease, and `position_at` finds the last event at or before a time."
            20 stream_pages_follow_each_other
                "Pages of a stream follow each other without gap or overlap, and tell the stream's version."
            21 versions_are_read_at_one_moment
                "`versions` reads several streams at one moment."
            22 a_foreign_checkpoint_is_refused
                "A checkpoint of another log, beyond the log, or at another event is refused, and the error names the repair."
            23 reopening_keeps_everything
                "After reopening, everything acknowledged is there."
            24 what_waits_is_under_way
                "A commit is under way, for its tenant alone, until it is answered; so no status misses it."
            25 a_payload_keeps_its_encoding
                "A payload in an encoding of its own comes back as it was given, with its encoding and its key."
            26 commits_agree_or_one_is_refused
                "A commit that names another which is stored with other content is refused, and stores nothing; whichever came first, also together."
            27 a_commit_yields_to_another
                "A commit that yields to another which is stored with the same content gets the answer of that one, and stores nothing."
            28 streams_are_listed_by_name
                "Pages of the list of streams follow each other in the order of names, with every stream of the tenant and the category once, and its version."
            29 a_log_without_entities_refuses_them
                "A store that does not keep entities with its log refuses a commit that changes any, and stores nothing."
        }
    };
}
