use underlay_core::{BusSubscription, Error, WhenFull};

use super::Subject;
use super::subject::Seen;
use crate::EventBusFixture;

/// Sentence 6: a slow subscriber delays no other within a batch, nor what is published to another alone.
pub async fn subscribers_are_slow_alone<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    // One on each side, whichever goes first.
    let (slow, quick, slow_too) = (Seen::waiting(), Seen::taking(), Seen::waiting());
    subject.subscribe(BusSubscription::new("slow").with_items_max(1), &slow).await;
    let id = subject.subscribe(BusSubscription::new("quick").with_items_max(2), &quick).await;
    subject.subscribe(BusSubscription::new("slow too").with_items_max(1), &slow_too).await;
    let publishing = subject.begin_to_publish(subject.events(&["1", "2", "3", "4", "5"]));
    assert_eq!(
        quick.taken(5).await,
        ["1", "2", "3", "4", "5"],
        "all of the batch, more than its queue holds"
    );
    assert!(!publishing.is_finished(), "the publisher waits for the slow ones");
    for number in 6..20 {
        subject.bus.publish_to(id, &subject.events(&[&number.to_string()])).await.unwrap();
    }
    assert_eq!(quick.taken(19).await.len(), 19);
    assert_eq!(slow.given(1).await, ["1"]);
    slow.open();
    slow_too.open();
    subject.end(publishing).await.unwrap();
    assert_eq!(slow.taken(5).await, ["1", "2", "3", "4", "5"]);
}

/// Sentence 7: no more events and bytes wait than a subscriber allows: its publisher waits, and then nothing is
/// lost.
pub async fn a_full_queue_makes_its_publisher_wait<F: EventBusFixture>(fixture: F) {
    const BYTES_MAX: usize = 20_000;
    let subject = Subject::of(fixture);
    let (few, light) = (Seen::waiting(), Seen::waiting());
    let few_id = subject.subscribe(BusSubscription::new("few").with_items_max(3), &few).await;
    let first = subject.begin_to_publish(subject.events(&["1", "2", "3", "4", "5"]));
    subject.until("a full queue", || subject.standing(few_id).waiting == 3).await;
    // A second publisher comes after the first, and does not get between its events.
    let second = subject.begin_to_publish(subject.events(&["6", "7"]));
    subject.settle().await;
    assert_eq!(subject.standing(few_id).waiting, 3, "with the one that is being taken");
    assert!(!first.is_finished() && !second.is_finished());
    few.open();
    subject.end(first).await.unwrap();
    subject.end(second).await.unwrap();
    assert_eq!(few.taken(7).await, ["1", "2", "3", "4", "5", "6", "7"]);

    assert!(subject.bus.unsubscribe(few_id).await.unwrap());
    let light_id = subject.subscribe(BusSubscription::new("light").with_bytes_max(BYTES_MAX), &light).await;
    let heavy = "x".repeat(BYTES_MAX / 3);
    let huge = "y".repeat(BYTES_MAX * 2);
    let third = subject.begin_to_publish(subject.events(&[&heavy, &heavy, &heavy, &huge, "end"]));
    subject.until("a queue full of bytes", || subject.standing(light_id).waiting == 2).await;
    subject.settle().await;
    let standing = subject.standing(light_id);
    assert!(standing.waiting == 2 && standing.waiting_bytes <= BYTES_MAX, "{standing:?}");
    light.open();
    subject.end(third).await.unwrap();
    let taken = light.taken(5).await;
    assert_eq!((taken[3].as_str(), taken[4].as_str()), (huge.as_str(), "end"), "what is larger comes alone");
}

/// Sentence 8: where a subscriber refuses instead, the publisher is told by the name of the bound, that subscriber
/// gets nothing of the batch, and the others get all of it.
pub async fn a_full_queue_refuses_by_the_name_of_its_bound<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let (refusing, other) = (Seen::waiting(), Seen::taking());
    let wanted = BusSubscription::new("refusing").with_items_max(3).with_bytes_max(10_000);
    let id = subject.subscribe(wanted.when_full(WhenFull::Refuse), &refusing).await;
    subject.subscribe(BusSubscription::new("other"), &other).await;
    subject.publish(&subject.events(&["1", "2"])).await;
    let refused = subject.bus.publish_batch(&subject.events(&["3", "4"])).await.unwrap_err();
    assert!(refused.is_retryable() && refused.limit() == Some("items_max = 3"), "{refused}");
    assert!(refused.to_string().contains("refusing"), "it is told who refused: {refused}");
    assert_eq!(other.taken(4).await, ["1", "2", "3", "4"]);
    let heavy = "x".repeat(9_000);
    let refused = subject.bus.publish_batch(&subject.events(&[&heavy])).await.unwrap_err();
    assert_eq!(refused.limit(), Some("bytes_max = 10000"), "{refused}");
    let standing = subject.standing(id);
    assert_eq!((standing.published, standing.refused), (2, 3));
    let never = subject.bus.publish_batch(&subject.events(&["5", "6", "7", "8"])).await.unwrap_err();
    assert!(matches!(never, Error::Invalid(_)), "waiting would not help: {never}");
    refusing.open();
    subject.until("an empty queue", || subject.standing(id).waiting == 0).await;
    subject.publish(&subject.events(&["9"])).await;
    assert_eq!(refusing.taken(3).await, ["1", "2", "9"]);
}
