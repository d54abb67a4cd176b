use underlay_core::{
    Commit, CommitId, ExpectedVersion, LogFilter, LogPage, LogScope, Position, RecordedEvent,
};

use super::Subject;
use crate::{EventStoreFixture, sample};

/// Sentence 6: no page of the log ends in the middle of a commit.
pub async fn no_page_splits_a_commit<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    fill(&subject).await;
    let log = subject.log().await;

    let filters = [
        LogFilter::default(),
        sample::filter(&["even"], &[]),
        sample::filter(&["odd", "even"], &[]),
        sample::filter(&[], &["first"]),
        sample::filter(&[], &["last"]),
        sample::filter(&["odd"], &["middle", "last"]),
        sample::filter(&["absent"], &[]),
        sample::filter(&["even"], &["absent"]),
    ];
    let scopes = [
        LogScope::EveryTenant,
        LogScope::Tenant(subject.tenant.clone()),
        LogScope::Tenant(sample::tenant("globex")),
        LogScope::Tenant(sample::tenant("nobody")),
    ];
    for scope in &scopes {
        for filter in &filters {
            for limit in 1..=7 {
                assert_pages(&subject, &log, scope, filter, limit, Position::START).await;
            }
        }
    }
    // A reader may begin anywhere, also inside a commit.
    for event in &log {
        for scope in &scopes[..2] {
            assert_pages(&subject, &log, scope, &filters[0], 2, event.position).await;
        }
    }
}

/// Commits of 1 to 5 events over 1 to 3 streams, of two tenants, and one much larger than a page.
async fn fill(subject: &Subject) {
    let globex = subject.seen_by("globex");
    for step in 0..30 {
        let count = step % 5 + 1;
        let streams = (step % 3 + 1).min(count);
        let mut commit = Commit::new(CommitId::draw());
        for number in 0..streams {
            let category = if number % 2 == 0 { "even" } else { "odd" };
            let stream = sample::stream(&format!("{category}-{number}"));
            let share = count / streams + usize::from(number < count % streams);
            let event = |at: usize| {
                let event_type = match at {
                    0 => "first",
                    at if at + 1 == share => "last",
                    _ => "middle",
                };
                sample::event_of(event_type, "text")
            };
            commit = commit.append(stream, ExpectedVersion::Any, (0..share).map(event).collect());
        }
        let owner = if step % 4 == 3 { &globex } else { subject };
        owner.commit(commit).await;
    }
    let large = Commit::new(CommitId::draw())
        .append(sample::stream("even-0"), ExpectedVersion::Any, sample::events("large", 60))
        .append(sample::stream("odd-1"), ExpectedVersion::Any, sample::events("large", 60));
    subject.commit(large).await;
    subject.commit(sample::write(&sample::stream("odd-3"), ExpectedVersion::Any, 1)).await;
}

/// Walks the log from `start` and holds every page against the whole log.
async fn assert_pages(
    subject: &Subject,
    log: &[RecordedEvent],
    scope: &LogScope,
    filter: &LogFilter,
    limit: usize,
    start: Position,
) {
    let walk = format!("{scope:?} {filter:?} limit {limit} from {start}");
    let in_scope = |event: &RecordedEvent| match scope {
        LogScope::Tenant(tenant) => event.tenant == *tenant,
        LogScope::EveryTenant => true,
    };
    let matching: Vec<&RecordedEvent> = log
        .iter()
        .filter(|event| event.position > start && in_scope(event) && filter.allows(event))
        .collect();
    let mut seen = 0;
    let mut after = start;
    loop {
        let page = subject.store.read_all(scope, after, filter, limit).await.expect("read_all");
        let expected = &matching[seen..matching.len().min(seen + page.events.len())];
        assert!(
            page.events.iter().eq(expected.iter().copied()),
            "{walk}: the page after {after} has other events"
        );
        seen += page.events.len();
        assert_page(log, scope, limit, after, &page, &walk);
        let left = matching.get(seen).is_none_or(|next| next.position > page.scanned_to);
        assert!(left, "{walk}: the page after {after} leaves out an event it says it scanned");
        if page.at_head {
            break;
        }
        after = page.scanned_to;
    }
    assert_eq!(seen, matching.len(), "{walk}: the pages hold every event");
}

fn assert_page(
    log: &[RecordedEvent],
    scope: &LogScope,
    limit: usize,
    after: Position,
    page: &LogPage,
    walk: &str,
) {
    let head = log.last().expect("the log is not empty").position;
    assert_eq!(
        page.at_head,
        page.scanned_to == head,
        "{walk}: at_head says whether the scan reached the head"
    );
    assert!(page.at_head || page.scanned_to > after, "{walk}: a page moves on");
    let at = page.scanned_to.number() as usize - 1;
    assert_eq!(
        log[at].commit_tail, 0,
        "{walk}: the page after {after} ends at {} in the middle of a commit",
        page.scanned_to
    );
    if let Some(last) = page.events.last() {
        assert!(last.position <= page.scanned_to, "{walk}: events lie within the scan");
        // Without the last commit the page is short of its limit: it goes on for that commit alone.
        let last_commit_end = last.position.number() + u64::from(last.commit_tail);
        let earlier = page
            .events
            .iter()
            .filter(|event| event.position.number() + u64::from(event.commit_tail) != last_commit_end);
        assert!(earlier.count() < limit, "{walk}: a page goes past its limit only to end a commit");
    }
    let id = match scope {
        LogScope::EveryTenant => Some(log[at].event_id),
        LogScope::Tenant(_) => None,
    };
    assert_eq!(page.scanned_to_id, id, "{walk}: the id at {}", page.scanned_to);
}
