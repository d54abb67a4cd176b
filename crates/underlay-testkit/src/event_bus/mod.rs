//! The contract of [`EventBus`](underlay_core::EventBus): one case per sentence.
//!
//! A case takes a fixture of a bus without subscribers and panics where its sentence does not hold. They are run by
//! [`conformance!`](crate::conformance). No case waits for a pause of the bus: the fixture lets time pass.

mod counts;
mod delivery;
mod ending;
mod failures;
mod letters;
mod limits;
mod queues;
mod subject;

pub use counts::counts_add_up;
pub use delivery::{one_subscriber_is_published_to_alone, subscribers_get_what_they_want_in_order};
pub use ending::who_unsubscribes_is_given_nothing_more;
pub use failures::{
    failed_attempts_are_repeated_in_place, subscribers_fail_alone, what_cannot_be_taken_is_a_dead_letter,
};
pub use letters::{dead_letters_are_bounded, dead_letters_of_a_bus_are_replayed_or_discarded};
pub use limits::limits_of_a_bus_are_named;
pub use queues::{
    a_full_queue_makes_its_publisher_wait, a_full_queue_refuses_by_the_name_of_its_bound,
    subscribers_are_slow_alone,
};

use subject::Subject;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::event_bus_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! event_bus_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { event_bus $($context)*;
            1 subscribers_get_what_they_want_in_order
                "A subscriber is given what is published after it subscribed, of the tenant, the categories and the types it names, in the order of publishing."
            2 one_subscriber_is_published_to_alone
                "What is published to one subscriber is given to no other."
            3 failed_attempts_are_repeated_in_place
                "A failed attempt is repeated before the next event, up to the attempts the subscriber has; a final failure is not."
            4 what_cannot_be_taken_is_a_dead_letter
                "An event that a subscriber cannot take becomes its dead letter, with the reason, and the next one goes on."
            5 subscribers_fail_alone
                "An error, a panic and an attempt without end disturb no other subscriber, and count as failures."
            6 subscribers_are_slow_alone
                "A slow subscriber delays no other within a batch, nor what is published to another alone."
            7 a_full_queue_makes_its_publisher_wait
                "No more events and bytes wait than a subscriber allows: its publisher waits, and then nothing is lost."
            8 a_full_queue_refuses_by_the_name_of_its_bound
                "Where a subscriber refuses instead, the publisher is told by the name of the bound, that subscriber gets nothing of the batch, and the others get all of it."
            9 dead_letters_are_bounded
                "No more dead letters are kept than a subscriber allows: with one more it stops, and goes on where one is replayed or discarded."
            10 dead_letters_of_a_bus_are_replayed_or_discarded
                "A replayed dead letter is given again before what waits; a discarded one is gone."
            11 who_unsubscribes_is_given_nothing_more
                "Whoever unsubscribed is given no further event, and its publishers wait no longer."
            12 counts_add_up
                "The counts of a subscriber add up at every moment, and say how much of which tenant waits."
            13 limits_of_a_bus_are_named
                "What exceeds a limit is `Invalid` with the limit's name."
        }
    };
}
