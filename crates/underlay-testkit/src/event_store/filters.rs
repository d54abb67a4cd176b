use underlay_core::limits::{COMMIT_EVENTS_MAX, PAGE_SCAN_MAX};
use underlay_core::{ExpectedVersion, LogFilter, LogScope, Position};

use super::Subject;
use crate::{EventStoreFixture, sample};

/// Sentence 8: a filtered read says how far it has scanned, also where nothing matches.
pub async fn a_filtered_read_says_how_far_it_scanned<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let open = LogFilter::default();
    let absent = sample::filter(&["absent"], &[]);
    let everyone = LogScope::EveryTenant;

    for filter in [&open, &absent] {
        let page = subject.store.read_all(&everyone, Position::START, filter, 5).await.expect("read_all");
        assert_eq!(page.events, [], "an empty log has no events");
        assert_eq!(page.scanned_to, Position::START, "an empty log is scanned to its start");
        assert_eq!(page.scanned_to_id, None, "nothing is at the start");
        assert!(page.at_head, "the start of an empty log is its head");
    }

    for _ in 0..4 {
        subject.commit(sample::write(&sample::stream("common-1"), ExpectedVersion::Any, 3)).await;
    }
    let head = subject.head().await;
    let log = subject.log().await;
    let nobody = LogScope::Tenant(sample::tenant("nobody"));
    for (scope, filter) in
        [(&everyone, &absent), (&subject.scope(), &absent), (&nobody, &open), (&nobody, &absent)]
    {
        for after in [Position::START, log[2].position, head] {
            let page = subject.store.read_all(scope, after, filter, 1).await.expect("read_all");
            assert_eq!(page.events, [], "nothing matches");
            assert_eq!(
                page.scanned_to, head,
                "where nothing matches, the scan says that it reached the head"
            );
            assert!(page.at_head, "and that this is the head");
            let id = (*scope == everyone).then(|| log[log.len() - 1].event_id);
            assert_eq!(page.scanned_to_id, id, "and which event is there, where it may be told");
        }
    }
    for beyond in [head.number() + 1, i64::MAX as u64, u64::MAX] {
        let beyond = Position::from_number(beyond);
        let page =
            subject.store.read_all(&everyone, beyond, &open, 5).await.expect("read_all beyond the log");
        assert_eq!(page.events, [], "nothing lies beyond the log");
        assert_eq!(page.scanned_to, beyond, "a read beyond the log does not go back");
        assert_eq!(page.scanned_to_id, None, "no event is beyond the log");
    }

    long_scans(&subject).await;
}

/// More events that do not match than one page may scan, then one that does.
async fn long_scans(subject: &Subject) {
    let loud = subject.seen_by("loud");
    let bulk = sample::stream("bulk-1");
    let mut written = subject.head().await.number();
    while written < PAGE_SCAN_MAX + COMMIT_EVENTS_MAX as u64 + 10 {
        let committed = loud.commit(sample::write(&bulk, ExpectedVersion::Any, COMMIT_EVENTS_MAX - 10)).await;
        written = committed.position.number();
    }
    let last = subject.commit(sample::write(&sample::stream("rare-1"), ExpectedVersion::Any, 1)).await;

    let rare = sample::filter(&["rare"], &[]);
    let open = LogFilter::default();
    // A scan is bounded by what it looks at: of one tenant, by that tenant's events alone.
    for (scope, filter, is_long, finds) in [
        (LogScope::EveryTenant, &rare, true, true),
        (loud.scope(), &rare, true, false),
        (subject.scope(), &rare, false, true),
        (subject.scope(), &open, false, true),
    ] {
        let mut after = Position::START;
        let mut found = None;
        let mut pages = 0;
        for _ in 0..10 {
            let page = subject.store.read_all(&scope, after, filter, 1_000).await.expect("read_all");
            let scanned = page.scanned_to.number() - after.number();
            let bound = PAGE_SCAN_MAX + COMMIT_EVENTS_MAX as u64;
            assert!(
                !is_long || scanned <= bound,
                "a page scans PAGE_SCAN_MAX events and the rest of a commit, not {scanned}"
            );
            assert!(page.at_head || scanned > 0, "a page that is not at the head moves on");
            pages += 1;
            found = page.events.last().map(|event| event.position).or(found);
            after = page.scanned_to;
            if page.at_head {
                break;
            }
            let tail = subject.store.read_all(&LogScope::EveryTenant, after, &open, 1).await;
            let first = tail.expect("read_all").events.into_iter().next();
            let begins_commit = first.is_some_and(|event| {
                event.commit_tail as usize == COMMIT_EVENTS_MAX - 11 || event.position == last.position
            });
            assert!(begins_commit, "a scan that was cut off ends at the end of a commit");
        }
        assert_eq!(after, last.position, "the scan comes to the head");
        assert_eq!(found, finds.then_some(last.position), "and finds the event that matches");
        assert_eq!(pages > 1, is_long, "in as many pages as it looks at events");
    }
}
