use std::time::Duration;

use underlay_core::BusSubscription;

use super::Subject;
use super::subject::{Act, Seen, text};
use crate::EventBusFixture;

/// Sentence 3: a failed attempt is repeated before the next event, up to the attempts the subscriber has; a final
/// failure is not.
pub async fn failed_attempts_are_repeated_in_place<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let seen = Seen::acting(|text, attempt| match (text, attempt) {
        ("twice", 1) | ("thrice", 1 | 2) | ("never", _) => Act::Fail,
        ("final", _) => Act::FailFinally,
        _ => Act::Take,
    });
    subject.subscribe(BusSubscription::new("seen").with_attempts_max(3), &seen).await;
    subject.publish(&subject.events(&["twice", "thrice", "never", "final", "last"])).await;
    let taken = subject.while_time_passes(seen.taken(3)).await;
    assert_eq!(taken, ["twice", "thrice", "last"]);
    let given = ["twice", "twice", "thrice", "thrice", "thrice", "never", "never", "never", "final", "last"];
    assert_eq!(seen.given_now(), given);

    let impatient = Seen::acting(|_, _| Act::Fail);
    let id = subject.subscribe(BusSubscription::new("impatient"), &impatient).await;
    subject.bus.publish_to(id, &subject.events(&["1"])).await.unwrap();
    impatient.given(1).await;
    subject.settle().await;
    assert_eq!(impatient.given_now().len(), 1, "there is a pause before the next attempt");
}

/// Sentence 4: an event that a subscriber cannot take becomes its dead letter, with the reason, and the next one
/// goes on.
pub async fn what_cannot_be_taken_is_a_dead_letter<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let seen = Seen::acting(|text, _| match text {
        "bad" => Act::Fail,
        "worse" => Act::FailFinally,
        _ => Act::Take,
    });
    let id = subject.subscribe(BusSubscription::new("seen").with_attempts_max(2), &seen).await;
    let events = subject.events(&["1", "bad", "2", "worse", "3"]);
    subject.publish(&events).await;
    assert_eq!(subject.while_time_passes(seen.taken(3)).await, ["1", "2", "3"]);
    let letters = subject.bus.dead_letters(id);
    let told: Vec<_> =
        letters.iter().map(|letter| (text(&letter.event), letter.attempts, letter.error.as_str())).collect();
    assert_eq!(told, [("bad".to_owned(), 2, "not bad"), ("worse".to_owned(), 1, "never worse")]);
    assert_eq!(letters[0].event, events[1], "as it was published");
    assert_eq!(subject.standing(id).dead, 2);
}

/// Sentence 5: an error, a panic and an attempt without end disturb no other subscriber, and count as failures.
pub async fn subscribers_fail_alone<F: EventBusFixture>(fixture: F) {
    let subject = Subject::of(fixture);
    let wanted = |name: &str| BusSubscription::new(name).with_attempts_max(2);
    let failing = [Act::Fail, Act::FailFinally, Act::Panic, Act::WaitAtTheGate];
    let mut ids = Vec::new();
    for act in failing {
        let seen = Seen::acting(move |text, _| if text == "good" { Act::Take } else { act });
        ids.push((act, subject.subscribe(wanted("failing"), &seen).await, seen));
    }
    let well = Seen::taking();
    subject.subscribe(wanted("well"), &well).await;
    subject.publish(&subject.events(&["bad", "good"])).await;
    assert_eq!(well.taken(2).await, ["bad", "good"], "while no time passes");
    subject
        .while_time_passes(async {
            for (_, _, seen) in &ids {
                assert_eq!(seen.taken(1).await, ["good"], "it goes on itself");
            }
        })
        .await;
    for (act, id, _) in ids {
        let (letters, standing) = (subject.bus.dead_letters(id), subject.standing(id));
        assert_eq!(letters.len(), 1, "{act:?}: {standing:?}");
        let attempts = if act == Act::FailFinally { 1 } else { 2 };
        assert_eq!((letters[0].attempts, standing.failures), (attempts, u64::from(attempts)), "{act:?}");
        if act == Act::Panic {
            assert!(letters[0].error.contains("no bad"), "{}", letters[0].error);
        }
    }
    subject.pass(Duration::from_secs(60));
    assert_eq!(well.given_now().len(), 2);
}
