use std::sync::Arc;
use std::time::Duration;

use underlay_core::{Error, LeaseId, LeaseTerm, Leases};

use super::Subject;
use super::subject::{at, place};
use crate::CheckpointsFixture;

const TERM: Duration = Duration::from_secs(10);

async fn take(leases: &Arc<dyn Leases>, holder: &str) -> underlay_core::Lease {
    let lease = leases.acquire("pump", holder, TERM).await.expect("a lease is given or not");
    lease.unwrap_or_else(|| panic!("the lease is free and not given to {holder}"))
}

/// Sentence 3: under a lease that is lost it does not move.
pub async fn a_lost_lease_moves_no_checkpoint<F: CheckpointsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let leases = fixture.leases();
    let first = take(&leases, "a").await;
    let mut last = at(place(1), "one");
    let assert_lost = async |term: &LeaseTerm, last: &underlay_core::StoredCheckpoint| {
        for (name, from) in [("pump", Some(&last.checkpoint)), ("new", None)] {
            match subject.0.move_checkpoint(name, from, &at(place(9), "lost"), Some(term)).await {
                Err(Error::LeaseLost { name, term: lost }) => {
                    assert_eq!((name, lost), (term.name.clone(), term.term), "the lease that is lost");
                }
                other => panic!("{term:?} is lost, and a checkpoint under it gave {other:?}"),
            }
        }
        assert_eq!(subject.list().await, [("pump".to_owned(), last.clone())], "every checkpoint stays");
    };
    subject.move_on("pump", None, &last, Some(&first.term())).await;
    for term in [
        LeaseTerm { term: first.term + 1, ..first.term() },
        LeaseTerm { term: 0, ..first.term() },
        LeaseTerm { id: LeaseId::draw(), ..first.term() },
        LeaseTerm { name: "another".to_owned(), ..first.term() },
    ] {
        assert_lost(&term, &last).await;
    }
    // The holder was paused; nobody has taken the lease yet.
    fixture.pass(TERM);
    assert_lost(&first.term(), &last).await;
    let second = take(&leases, "b").await;
    assert_lost(&first.term(), &last).await;
    let next = at(place(2), "two");
    subject.move_on("pump", Some(&last.checkpoint), &next, Some(&second.term())).await;
    last = next;
    // Under a lease that holds it is compared all the same.
    match subject.0.move_checkpoint("pump", None, &at(place(3), ""), Some(&second.term())).await {
        Err(Error::CheckpointMoved { .. }) => {}
        other => panic!("the checkpoint is elsewhere: {other:?}"),
    }
    leases.release(&second).await.expect("a release");
    assert_lost(&second.term(), &last).await;
    // Whatever comes first, nothing moves under a lease whose time is over.
    for number in 0..20 {
        let holder = take(&leases, "a").await;
        let next = at(place(number), "held");
        subject.move_on("pump", Some(&last.checkpoint), &next, Some(&holder.term())).await;
        last = next;
        fixture.pass(TERM);
        let (term, late) = (holder.term(), at(place(9_999), "late"));
        let late = subject.0.move_checkpoint("pump", Some(&last.checkpoint), &late, Some(&term));
        let (late, next) = tokio::join!(late, take(&leases, "b"));
        assert!(matches!(late, Err(Error::LeaseLost { .. })), "a late move: {late:?}");
        assert_eq!(subject.find("pump").await.as_ref(), Some(&last));
        leases.release(&next).await.expect("a release");
    }
}
