use underlay_core::{BusSubscription, Error};

use super::Subject;
use super::subject::Seen;
use crate::EventBusFixture;

/// Sentence 11: whoever unsubscribed is given no further event, and its publishers wait no longer.
pub async fn who_unsubscribes_is_given_nothing_more<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let (gone, stays) = (Seen::waiting(), Seen::taking());
    let id = subject.subscribe(BusSubscription::new("gone").with_items_max(2), &gone).await;
    let stays_id = subject.subscribe(BusSubscription::new("stays"), &stays).await;
    // The second begins once the first has filled the queue: nobody says which of two goes first.
    let first = subject.begin_to_publish(subject.events(&["1", "2", "3", "4"]));
    gone.given(1).await;
    subject.until("a full queue", || subject.standing(id).waiting == 2).await;
    let waiting = [first, subject.begin_to_publish(subject.events(&["5"]))];
    let alone = {
        let (bus, events) = (subject.bus.clone(), subject.events(&["to one"]));
        tokio::spawn(async move { bus.publish_to(id, &events).await })
    };
    subject.settle().await;
    assert!(waiting.iter().all(|publishing| !publishing.is_finished()));
    assert!(subject.bus.unsubscribe(id).await.unwrap());
    for publishing in waiting {
        subject.end(publishing).await.expect("the others have got it");
    }
    let told = subject.end(alone).await.unwrap_err();
    assert!(matches!(told, Error::NotFound(_)), "{told}");
    gone.open();
    subject.publish(&subject.events(&["6"])).await;
    assert_eq!(stays.taken(6).await.len(), 6);
    subject.settle().await;
    assert_eq!(gone.given_now(), ["1"]);
    assert!(!subject.bus.unsubscribe(id).await.unwrap(), "it has unsubscribed");
    let told = subject.bus.publish_to(id, &subject.events(&["7"])).await.unwrap_err();
    assert!(matches!(told, Error::NotFound(_)), "{told}");
    let left: Vec<_> = subject.bus.subscribers().into_iter().map(|standing| standing.id).collect();
    assert_eq!(left, [stays_id]);
}
