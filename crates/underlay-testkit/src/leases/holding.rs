use underlay_core::Lease;

use super::Subject;
use super::subject::{MOMENT, TERM};
use crate::LeasesFixture;
use crate::concurrent::together;

/// Sentence 1: of several who ask for a free lease at the same time, one gets it.
pub async fn one_of_many_gets_the_lease<F: LeasesFixture>(fixture: F) {
    const HOLDERS: usize = 16;
    const ROUNDS: u64 = 8;
    let subject = Subject::of(&fixture);
    for round in 1..=ROUNDS {
        let ask = |number: usize| {
            let subject = subject.clone();
            async move { subject.ask("view balances", &format!("holder {number}")).await }
        };
        let given: Vec<Lease> = together((0..HOLDERS).map(ask)).await.into_iter().flatten().collect();
        assert_eq!(given.len(), 1, "one of {HOLDERS} gets it: {given:?}");
        assert_eq!(given[0].term, round, "each holder is the next");
        // Names are leases of their own.
        subject.take(&format!("view {round}"), "other").await;
        fixture.pass(TERM);
    }
}

/// Sentence 2: while a lease is held nobody gets it, its holder neither; once it has run out, whoever
/// asks first does.
pub async fn a_lease_runs_out<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let first = subject.take("work", "a").await;
    subject.assert_held("work").await;
    fixture.pass(TERM - MOMENT);
    subject.assert_held("work").await;
    fixture.pass(MOMENT);
    let second = subject.take("work", "b").await;
    assert!(second.expires_at > first.expires_at, "it lasts from when it was taken");
    subject.assert_held("work").await;
    subject.assert_lost(&first).await;
}

/// Sentence 5: a released lease is free at once; releasing a lost one changes nothing.
pub async fn a_released_lease_is_free<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let first = subject.take("work", "a").await;
    subject.release(&first).await;
    subject.assert_lost(&first).await;
    let second = subject.take("work", "b").await;
    // Whoever had it before cannot take it from who has it now.
    subject.release(&first).await;
    subject.assert_held("work").await;
    assert_eq!(subject.renew(&second).await.term, second.term);
    subject.release(&second).await;
    subject.release(&second).await;
    let third = subject.take("work", "a").await;
    fixture.pass(TERM);
    let fourth = subject.take("work", "b").await;
    subject.release(&third).await;
    subject.assert_held("work").await;
    // What was never there is released too.
    let stranger = Lease { name: "never taken".to_owned(), ..fourth };
    subject.release(&stranger).await;
    assert_eq!(subject.take("never taken", "a").await.term, 1);
}

/// Sentence 8: who holds a lease is found, with the term and the end; of a free one nobody is.
pub async fn who_holds_a_lease_is_found<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.find("work").await, None, "it was never taken");
    let first = subject.take("work", "a").await;
    subject.take("other work", "b").await;
    assert_eq!(subject.find("work").await, Some(first.clone()));
    fixture.pass(TERM / 2);
    let renewed = subject.renew(&first).await;
    assert_eq!(subject.find("work").await, Some(renewed), "with the end it has now");
    fixture.pass(TERM);
    assert_eq!(subject.find("work").await, None, "it ran out");
    let second = subject.take("work", "b").await;
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    assert_eq!(subject.find("work").await, Some(second.clone()), "also by who opens the store later");
    subject.release(&second).await;
    assert_eq!(subject.find("work").await, None, "it was given back");
    assert_eq!(subject.take("work", "c").await.term, 3, "looking changes nothing");
}
