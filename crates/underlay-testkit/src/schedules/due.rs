use std::time::Duration;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Schedule, Timestamp};

use super::Subject;
use super::subject::{at, definition};
use crate::{SchedulesFixture, sample};

/// Sentence 2: those that are due at a moment are found over all tenants, the longest due first, then in the order
/// of tenants and names, by page.
pub async fn what_is_due_is_found<F: SchedulesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.due(sample::end_of_time(), 10).await, [], "there is none yet");
    let mut stored = Vec::new();
    for tenant in ["globex", "acme", "Acme", "acme.1"] {
        let owner = subject.seen_by(tenant);
        for (name, seconds) in [("z", 30), ("b", 10), ("a", 10), ("é", 10), ("Z", 20)] {
            stored.push(owner.put(name, &definition(name), Some(at(seconds))).await);
        }
        owner.put("never", &definition("never"), None).await;
        stored.push(owner.put("at the end", &definition("end"), Some(sample::end_of_time())).await);
        stored.push(owner.put("long ago", &definition("ago"), Some(Timestamp::UNIX_EPOCH)).await);
    }
    let key = |one: &Schedule| (one.next_due_at, one.tenant.clone(), one.name.clone());
    stored.sort_by_key(key);
    let moment = Duration::from_micros(1);
    let before = |time: Timestamp| time.checked_sub(moment).expect("a moment of this era");
    for now in
        [Timestamp::UNIX_EPOCH, before(at(10)), at(10), before(at(20)), at(20), at(30), sample::end_of_time()]
    {
        let expected: Vec<&Schedule> = stored
            .iter()
            .filter(|schedule| schedule.next_due_at.is_some_and(|due_at| due_at <= now))
            .collect();
        for limit in [1, 3, WORK_PAGE_MAX] {
            let due = subject.due(now, limit).await;
            let expected = &expected[..expected.len().min(limit)];
            assert_eq!(due.iter().collect::<Vec<_>>(), expected, "due at {now}, at most {limit}");
        }
        for limit in [1, 3, 4, WORK_PAGE_MAX] {
            let paged = subject.due_by_page(now, limit).await;
            assert_eq!(paged.iter().collect::<Vec<_>>(), expected, "due at {now}, by pages of {limit}");
        }
    }
    // A place need not be one of a schedule that is there.
    let acme = sample::tenant("acme");
    for (place, follows) in
        [((at(10), &acme, "b"), "é"), ((at(10), &acme, "c"), "é"), ((at(9), &acme, "é"), "a")]
    {
        let due = subject.schedules.due_schedules(at(10), Some(place), WORK_PAGE_MAX).await;
        let due = due.expect("due_schedules answers");
        let key = (place.0, place.1.clone(), place.2.to_owned());
        let expected = stored.iter().filter(|one| one.next_due_at.is_some_and(|due_at| due_at <= at(10)));
        let expected: Vec<&Schedule> = expected
            .filter(|one| (one.next_due_at, &one.tenant, &one.name) > (Some(key.0), &key.1, &key.2))
            .collect();
        assert_eq!(due.iter().collect::<Vec<_>>(), expected, "after {place:?}");
        assert_eq!(due[0].name, follows);
    }
    // Moved on, the first makes room for the next.
    let mut seen = Vec::new();
    while let Some(first) = subject.due(at(30), 1).await.pop() {
        assert!(subject.advance(&first, first.next_due_at.map(|_| sample::end_of_time())).await);
        seen.push(key(&first));
        assert!(seen.len() <= stored.len(), "what was moved on is due again");
    }
    assert!(seen.is_sorted() && seen.len() == stored.len() - 4, "each once, in order");
}

/// Sentence 4: a removed schedule is due no more.
pub async fn a_removed_schedule_is_due_no_more<F: SchedulesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let globex = subject.seen_by("globex");
    let removed = subject.put("monthly", &definition("monthly"), Some(at(1))).await;
    let kept = [
        subject.put("weekly", &definition("weekly"), Some(at(2))).await,
        globex.put("monthly", &definition("monthly"), Some(at(3))).await,
    ];
    assert_eq!(subject.due(at(10), 10).await.len(), 3);
    assert!(subject.remove("monthly").await);
    assert_eq!(subject.due(at(10), 10).await, kept, "it is due no more, and the others are");
    assert_eq!(subject.all().await.len(), 2);
    assert!(!subject.advance(&removed, Some(at(1))).await, "nor does it come back by who has seen it");
    assert_eq!(subject.due(at(10), 10).await, kept);
    drop((subject, globex));
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    assert_eq!(subject.due(at(10), 10).await, kept, "also after reopening");
    let again = subject.put("monthly", &definition("anew"), Some(at(1))).await;
    assert_eq!(again.revision, 2);
    assert_eq!(
        subject.due(at(10), 10).await,
        [vec![again], kept.into()].concat(),
        "put anew, it is due again"
    );
}
