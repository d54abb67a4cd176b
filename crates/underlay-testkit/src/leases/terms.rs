use super::Subject;
use super::subject::TERM;
use crate::LeasesFixture;

/// Sentence 3: every holder has a higher term than the one before, also after a release and after
/// reopening.
pub async fn terms_only_grow<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut last = 0;
    for round in 0..3 {
        for holder in ["a", "a", "b"] {
            let lease = subject.take("work", holder).await;
            assert!(lease.term > last, "term {} after {last}", lease.term);
            last = lease.term;
            if round == 1 {
                subject.release(&lease).await;
            } else {
                fixture.pass(TERM);
            }
        }
    }
    let held = subject.take("held", "a").await;
    drop(subject);
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    // What was held when the store was closed is held still.
    subject.assert_held("held").await;
    let lease = subject.take("work", "a").await;
    assert!(lease.term > last, "term {} after {last} and reopening", lease.term);
    assert_eq!(subject.renew(&held).await.term, held.term);
}
