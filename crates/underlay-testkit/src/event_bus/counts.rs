use underlay_core::{BusSubscription, TenantLag};

use super::Subject;
use super::subject::{Act, Seen};
use crate::EventBusFixture;
use crate::sample::tenant;

/// Sentence 12: the counts of a subscriber add up at every moment, and say how much of which tenant waits.
pub async fn counts_add_up<F: EventBusFixture>(fixture: F) {
    const COUNT: usize = 500;
    let subject = Subject::of(fixture);
    let slow = Seen::waiting();
    let id = subject.subscribe(BusSubscription::new("slow"), &slow).await;
    let events = [
        subject.event_of("globex", "note", "noted", "1"),
        subject.event_of("acme", "note", "noted", "2"),
        subject.event_of("globex", "note", "noted", "3"),
    ];
    subject.publish(&events).await;
    slow.given(1).await;
    let standing = subject.standing(id);
    let lag = |name: &str, waiting: usize, oldest: usize| TenantLag {
        tenant: tenant(name),
        waiting,
        oldest_recorded_at: events[oldest].recorded_at,
    };
    assert_eq!(standing.lag, [lag("acme", 1, 1), lag("globex", 2, 0)], "with the one that is being taken");
    assert_eq!((standing.name.as_str(), standing.published, standing.taken), ("slow", 3, 0));
    slow.open();
    subject.until("an empty queue", || subject.standing(id).waiting == 0).await;
    let standing = subject.standing(id);
    assert_eq!((standing.taken, standing.waiting_bytes, standing.lag.len()), (3, 0, 0));

    let seen = Seen::acting(|text, _| if text.ends_with('7') { Act::FailFinally } else { Act::Take });
    let busy = subject.subscribe(BusSubscription::new("busy").with_items_max(20), &seen).await;
    let texts: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let publishing = subject.begin_to_publish(subject.events(&texts));
    let adds_up = || {
        let standing = subject.standing(busy);
        let whole = standing.taken + standing.discarded + (standing.waiting + standing.dead) as u64;
        assert_eq!(standing.published, whole, "{standing:?}");
        let of_tenants: usize = standing.lag.iter().map(|lag| lag.waiting).sum();
        assert_eq!(of_tenants, standing.waiting);
        standing
    };
    subject.until("an end", || adds_up().taken + adds_up().dead as u64 == COUNT as u64).await;
    subject.end(publishing).await.unwrap();
    let standing = adds_up();
    assert_eq!((standing.dead, standing.failures), (COUNT / 10, COUNT as u64 / 10));
    assert_eq!(standing.last_error.as_deref(), Some("never 497"));
}
