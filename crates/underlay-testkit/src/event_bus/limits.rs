use underlay_core::limits::{BUS_SUBSCRIBERS_MAX, LEASE_NAME_BYTES_MAX};
use underlay_core::{BusSubscription, Error};

use super::Subject;
use super::subject::Seen;
use crate::EventBusFixture;

/// Sentence 13: what exceeds a limit is `Invalid` with the limit's name.
pub async fn limits_of_a_bus_are_named<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let plain = || BusSubscription::new("seen");
    let wrong = [
        ("LEASE_NAME_BYTES_MAX", BusSubscription::new("")),
        ("LEASE_NAME_BYTES_MAX", BusSubscription::new("x".repeat(LEASE_NAME_BYTES_MAX + 1))),
        ("LEASE_NAME_BYTES_MAX", BusSubscription::new("a\0b")),
        ("items_max", plain().with_items_max(0)),
        ("attempts_max", plain().with_attempts_max(0)),
        ("dead_letters_max", plain().with_dead_letters_max(0)),
    ];
    for (limit, wanted) in wrong {
        let told = subject.bus.subscribe(wanted.clone(), Seen::taking()).await.unwrap_err();
        assert!(matches!(&told, Error::Invalid(text) if text.contains(limit)), "{wanted:?}: {told}");
    }
    let seen = Seen::taking();
    let longest = BusSubscription::new("x".repeat(LEASE_NAME_BYTES_MAX)).with_items_max(1);
    let first = subject.subscribe(longest, &seen).await;
    for _ in 1..BUS_SUBSCRIBERS_MAX {
        subject.subscribe(plain(), &seen).await;
    }
    let told = subject.bus.subscribe(plain(), seen.clone()).await.unwrap_err();
    assert!(matches!(&told, Error::Invalid(text) if text.contains("BUS_SUBSCRIBERS_MAX = ")), "{told}");
    assert!(subject.bus.unsubscribe(first).await.unwrap());
    subject.subscribe(plain(), &seen).await;
}
