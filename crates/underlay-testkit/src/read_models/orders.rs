use underlay_core::limits::VIEW_ORDER_BYTES_MAX;
use underlay_core::{Checkpoint, Error, Json, StoredOrder, Swap, Timestamp};

use super::Subject;
use super::subject::schema;
use crate::ReadModelsFixture;

const VIEW: &str = "accounts";

fn body(text: &str) -> Json {
    Json::encode(text).expect("a text is JSON")
}

/// Sentence 25: what was ordered of a view is listed with it, and replaced by one of all who know its number.
pub async fn an_order_is_replaced_by_who_knows_it<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let listed =
        async |subject: &Subject| subject.models.views().await.expect("views answers").remove(0).order;
    let put = async |known: u64, text: &str| subject.models.put_order(VIEW, known, &body(text)).await;
    assert_eq!(listed(&subject).await, None);
    let missing = subject.models.put_order("nobody", 0, &body("x")).await;
    assert!(matches!(missing, Err(Error::NotFound(_))), "{missing:?}");
    let large = "x".repeat(VIEW_ORDER_BYTES_MAX);
    let Err(Error::Invalid(reason)) = put(0, &large).await else { panic!("it exceeds the limit") };
    assert!(reason.contains("VIEW_ORDER_BYTES_MAX"), "{reason}");
    for number in [1, 7] {
        let refused = put(number, "ahead").await;
        assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "there is none: {refused:?}");
    }
    assert_eq!(listed(&subject).await, None, "nothing was stored");

    let first = "it's \"quoted\" \u{2603}";
    assert_eq!(put(0, first).await.expect("there was none"), 1);
    assert_eq!(listed(&subject).await, Some(StoredOrder { number: 1, body: body(first) }));
    for number in [0, 2] {
        let refused = put(number, "stale").await;
        assert!(matches!(refused, Err(Error::CheckpointMoved { .. })), "{number}: {refused:?}");
    }
    let (ann, bob) = tokio::join!(put(1, "ann"), put(1, "bob"));
    let won = match (&ann, &bob) {
        (Ok(2), Err(Error::CheckpointMoved { .. })) => "ann",
        (Err(Error::CheckpointMoved { .. }), Ok(2)) => "bob",
        both => panic!("one of two replaces it: {both:?}"),
    };
    let expected = Some(StoredOrder { number: 2, body: body(won) });
    assert_eq!(listed(&subject).await, expected);

    // It is of the view, whatever generation is read.
    let start = Checkpoint::start(subject.log);
    let table = subject.models.begin_generation(&schema(), start).await.expect("a generation is begun");
    assert_eq!(listed(&subject).await, expected);
    assert!(subject.at_table(&table).activate().await);
    assert_eq!(listed(&subject).await, expected);
    subject.models.revert(&schema(), Timestamp::UNIX_EPOCH).await.expect("it comes back");
    assert_eq!(listed(&subject).await, expected);
    drop(subject);
    let fixture = fixture.reopen().await;
    let models = fixture.read_models();
    assert_eq!(models.views().await.expect("views answers").remove(0).order, expected, "after reopening");
    assert_eq!(models.put_order(VIEW, 2, &body("next")).await.expect("it goes on"), 3);
}

/// Sentence 26: a swap that names the number of an order takes place only while the order has that number.
pub async fn a_swap_is_bound_to_its_order<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let begin = async || {
        let start = Checkpoint::start(subject.log);
        subject.models.begin_generation(&schema(), start).await.expect("a generation is begun")
    };
    let read = async || subject.models.views().await.expect("views answers").remove(0).active.number;
    let (table, before) = (begin().await, read().await);
    let swap = |order| Swap { order, ..Swap::default() };
    let refused = async |number: u64| {
        let answer = subject.models.activate(&table, swap(Some(number))).await;
        assert!(matches!(answer, Err(Error::CheckpointMoved { .. })), "as number {number}: {answer:?}");
        assert_eq!(read().await, before, "nothing is swapped");
    };
    // There is none; then there is one, and then another has come of it, a cancelled one say.
    refused(1).await;
    for (number, text) in ["rebuild", "cancelled"].into_iter().enumerate() {
        let number = number as u64;
        let put = subject.models.put_order(VIEW, number, &body(text)).await;
        assert_eq!(put.expect("it is known"), number + 1);
        refused(number).await;
        refused(number + 2).await;
    }
    assert!(subject.models.activate(&table, swap(Some(2))).await.expect("it stands"), "it is swapped in");
    assert_eq!(read().await, table.generation);

    // Of a swap and a cancellation at one time, either the swap was first, or it is refused.
    for number in 2..10 {
        let (table, before) = (begin().await, read().await);
        let cancelled = body("cancelled");
        let (swapped, put) = tokio::join!(
            subject.models.activate(&table, swap(Some(number))),
            subject.models.put_order(VIEW, number, &cancelled)
        );
        assert_eq!(put.expect("nobody else stores one"), number + 1);
        let expected = match swapped {
            Ok(true) => table.generation,
            Err(Error::CheckpointMoved { .. }) => before,
            other => panic!("neither before nor after: {other:?}"),
        };
        assert_eq!(read().await, expected);
    }
}
