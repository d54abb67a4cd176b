use underlay_core::{BusSubscription, Category, EventType, LogFilter};

use super::Subject;
use super::subject::Seen;
use crate::EventBusFixture;
use crate::sample::tenant;

/// Sentence 1: a subscriber is given what is published after it subscribed, of the tenant, the categories and the
/// types it names, in the order of publishing.
pub async fn subscribers_get_what_they_want_in_order<F: EventBusFixture>(fixture: F) {
    const COUNT: usize = 300;
    let subject = Subject::of(fixture);
    subject.publish(&subject.events(&["to nobody"])).await;
    let (all, acme, notes, typed) = (Seen::taking(), Seen::taking(), Seen::taking(), Seen::taking());
    subject.subscribe(BusSubscription::new("all").with_items_max(7), &all).await;
    subject.subscribe(BusSubscription::new("acme").of_tenant(tenant("acme")), &acme).await;
    let of_notes = LogFilter { categories: vec![Category::new("note").unwrap()], event_types: Vec::new() };
    subject.subscribe(BusSubscription::new("notes").with_filter(of_notes), &notes).await;
    let of_type = LogFilter { categories: Vec::new(), event_types: vec![EventType::new("noted").unwrap()] };
    subject.subscribe(BusSubscription::new("typed").with_filter(of_type), &typed).await;
    let events = [
        subject.event_of("acme", "note", "noted", "1"),
        subject.event_of("globex", "note", "noted", "2"),
        subject.event_of("acme", "task", "noted", "3"),
        subject.event_of("acme", "note", "struck", "4"),
    ];
    subject.publish(&events).await;
    assert_eq!(acme.taken(3).await, ["1", "3", "4"]);
    assert_eq!(notes.taken(3).await, ["1", "2", "4"]);
    assert_eq!(typed.taken(3).await, ["1", "2", "3"]);
    assert_eq!(all.taken(4).await, ["1", "2", "3", "4"], "and not what came before it");

    let texts: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    for batch in texts.chunks(13) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        subject.publish(&subject.events(&batch)).await;
    }
    assert_eq!(all.taken(4 + COUNT).await[4..], texts);
    assert_eq!(acme.taken(3 + COUNT).await[3..], texts);
    assert_eq!(all.given_now().len(), 4 + COUNT, "each of them once");
}

/// Sentence 2: what is published to one subscriber is given to no other.
pub async fn one_subscriber_is_published_to_alone<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let (one, other) = (Seen::taking(), Seen::taking());
    let id = subject.subscribe(BusSubscription::new("one").of_tenant(tenant("acme")), &one).await;
    subject.subscribe(BusSubscription::new("other"), &other).await;
    let foreign = subject.event_of("globex", "note", "noted", "another tenant's");
    subject.bus.publish_to(id, &[foreign, subject.event("1"), subject.event("2")]).await.unwrap();
    assert_eq!(one.taken(2).await, ["1", "2"], "no more than it wants");
    subject.publish(&subject.events(&["3"])).await;
    assert_eq!(other.taken(1).await, ["3"]);
    assert_eq!(one.taken(3).await, ["1", "2", "3"]);
}
