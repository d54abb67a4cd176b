use underlay_core::Lease;

use super::Subject;
use super::subject::{MOMENT, TERM};
use crate::LeasesFixture;

/// Sentence 4: renewing keeps the term and moves the end; a lease that ran out or is another's is
/// `LeaseLost`.
pub async fn who_lost_a_lease_cannot_renew_it<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let first = subject.take("work", "a").await;
    let mut lease = first.clone();
    for _ in 0..3 {
        fixture.pass(TERM / 2);
        let renewed = subject.renew(&lease).await;
        assert_eq!(renewed.term, first.term, "the term stays");
        assert_eq!(renewed.holder, first.holder, "so does the holder");
        assert!(renewed.expires_at > lease.expires_at, "the end moves");
        lease = renewed;
        subject.assert_held("work").await;
    }
    fixture.pass(TERM - MOMENT);
    lease = subject.renew(&lease).await;
    fixture.pass(TERM);
    // It ran out, though nobody has taken it since.
    subject.assert_lost(&lease).await;
    let second = subject.take("work", "b").await;
    subject.assert_lost(&lease).await;
    for term in [0, second.term - 1, second.term + 1, u64::MAX] {
        subject.assert_lost(&Lease { term, ..second.clone() }).await;
    }
    subject.assert_lost(&Lease { name: "never taken".to_owned(), ..second.clone() }).await;
    assert_eq!(subject.renew(&second).await.term, second.term);
}
