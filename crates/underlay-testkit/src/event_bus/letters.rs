use underlay_core::BusSubscription;

use super::Subject;
use super::subject::{Act, Seen, text};
use crate::EventBusFixture;

fn bad_is_final() -> std::sync::Arc<Seen> {
    Seen::acting(|text, attempt| match text {
        text if text.starts_with("bad") && attempt == 1 => Act::FailFinally,
        _ => Act::Take,
    })
}

/// Sentence 9: no more dead letters are kept than a subscriber allows: with one more it stops, and goes on where
/// one is replayed or discarded.
pub async fn dead_letters_are_bounded<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let seen = bad_is_final();
    let id = subject.subscribe(BusSubscription::new("seen").with_dead_letters_max(2), &seen).await;
    subject
        .publish(&subject.events(&["bad 1", "bad 2", "good 1", "bad 3", "good 2", "bad 4", "good 3"]))
        .await;
    subject.until("a stop", || subject.standing(id).is_stopped).await;
    subject.settle().await;
    let standing = subject.standing(id);
    assert_eq!((standing.dead, standing.waiting, standing.taken), (2, 4, 1), "{standing:?}");
    let letters = subject.bus.dead_letters(id);
    assert_eq!(letters.iter().map(|letter| text(&letter.event)).collect::<Vec<_>>(), ["bad 1", "bad 2"]);

    assert_eq!(subject.bus.discard(id, &[letters[0].event.event_id]).await.unwrap(), 1);
    assert_eq!(seen.taken(2).await, ["good 1", "good 2"]);
    subject.until("another stop", || subject.standing(id).is_stopped).await;
    assert_eq!(subject.standing(id).dead, 2);
    assert_eq!(subject.bus.replay(id, &[letters[1].event.event_id]).await.unwrap(), 1);
    assert_eq!(seen.taken(4).await, ["good 1", "good 2", "bad 2", "good 3"]);
    subject.until("an end", || subject.standing(id).waiting == 0).await;
    let standing = subject.standing(id);
    assert!(!standing.is_stopped && standing.dead == 2 && standing.discarded == 1, "{standing:?}");
}

/// Sentence 10: a replayed dead letter is given again before what waits; a discarded one is gone.
pub async fn dead_letters_of_a_bus_are_replayed_or_discarded<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let seen = Seen::acting(|text, attempt| match text {
        text if text.starts_with("bad") && attempt == 1 => Act::FailFinally,
        "gate" => Act::WaitAtTheGate,
        _ => Act::Take,
    });
    let id = subject.subscribe(BusSubscription::new("seen"), &seen).await;
    subject.publish(&subject.events(&["bad 1", "bad 2", "bad 3", "gate", "after"])).await;
    seen.given(4).await;
    let letters = subject.bus.dead_letters(id);
    let ids: Vec<_> = letters.iter().map(|letter| letter.event.event_id).collect();
    assert_eq!(subject.bus.discard(id, &ids[1..2]).await.unwrap(), 1);
    assert_eq!(subject.bus.discard(id, &ids[1..2]).await.unwrap(), 0, "it is gone");
    assert_eq!(subject.bus.replay(id, &ids).await.unwrap(), 2, "what is gone is not replayed");
    assert!(subject.bus.dead_letters(id).is_empty());
    seen.open();
    assert_eq!(seen.taken(4).await, ["gate", "bad 1", "bad 3", "after"]);
    subject.until("an end", || subject.standing(id).waiting == 0).await;
    let standing = subject.standing(id);
    assert_eq!((standing.published, standing.taken, standing.discarded, standing.dead), (5, 4, 1, 0));
}
