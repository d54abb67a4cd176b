use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Barrier;
use underlay_core::{
    Commit, CommitId, Committed, Error, ExpectedVersion, LogFilter, LogScope, Position, RecordedEvent,
    StreamName, TenantId,
};

use super::Subject;
use crate::concurrent::finished;
use crate::{EventStoreFixture, sample};

const WRITERS: usize = 8;
const COMMITS_PER_WRITER: usize = 20;
const ATTEMPTS_MAX: usize = 1_000;

/// Sentence 7: the log is in position order; whoever passed position p never misses an event at or below it.
pub async fn a_reader_misses_nothing_while_writers_write<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let done = Arc::new(AtomicBool::new(false));
    // Readers and writers begin together: a fast writer must not be done before they look.
    let start = Arc::new(Barrier::new(WRITERS + 5));
    let tenant = subject.scope();
    let readings = [
        (LogScope::EveryTenant, LogFilter::default(), 1),
        (LogScope::EveryTenant, sample::filter(&["shared"], &[]), 3),
        (tenant.clone(), LogFilter::default(), 7),
        (tenant, sample::filter(&["own", "shared"], &["rare"]), 100),
    ];
    let readers: Vec<_> = readings
        .iter()
        .cloned()
        .map(|(scope, filter, limit)| {
            let (subject, done, start) = (subject.clone(), done.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                follow(subject, scope, filter, limit, done).await
            })
        })
        .collect();
    let watcher = tokio::spawn({
        let (subject, done, start) = (subject.clone(), done.clone(), start.clone());
        async move {
            start.wait().await;
            watch_head(subject, done).await;
        }
    });
    let writer = |number| {
        let (subject, start) = (subject.clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            write(subject, number).await
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();

    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(finished(writer).await);
    }
    done.store(true, Ordering::Release);

    let log = subject.log().await;
    assert_in_order(&log);
    assert_acknowledged(&log, &acknowledged);
    for (reader, (scope, filter, limit)) in readers.into_iter().zip(&readings) {
        let seen = finished(reader).await;
        let in_scope = |event: &&RecordedEvent| match scope {
            LogScope::Tenant(tenant) => event.tenant == *tenant && filter.allows(event),
            LogScope::EveryTenant => filter.allows(event),
        };
        let expected: Vec<&RecordedEvent> = log.iter().filter(in_scope).collect();
        assert!(!expected.is_empty(), "the writers wrote something for every reader");
        let lost = expected.iter().filter(|event| !seen.contains(event)).count();
        assert_eq!(lost, 0, "a reader of {scope:?}, {filter:?}, limit {limit} lost events");
        assert!(
            seen.iter().eq(expected),
            "a reader of {scope:?}, {filter:?}, limit {limit} saw others, or another order"
        );
    }
    finished(watcher).await;
}

/// Commits over a stream of the writer's own and two that all writers share, until every one is stored.
async fn write(subject: Subject, number: usize) -> Vec<(TenantId, Committed)> {
    let subject = if number.is_multiple_of(2) { subject } else { subject.seen_by("globex") };
    let own = sample::stream(&format!("own-{number}"));
    let mut acknowledged = Vec::new();
    for step in 0..COMMITS_PER_WRITER {
        let pair = [number + step, number + step + 1].map(|at| sample::stream(&format!("shared-{}", at % 3)));
        let committed = write_one(&subject, &own, &pair, step).await;
        let read = subject.store.read_stream(&subject.tenant, &own, step_version(step), 10).await;
        let read = read.expect("read_stream");
        assert_eq!(read.events.len(), 1, "a writer reads its own acknowledged write");
        acknowledged.push((subject.tenant.clone(), committed));
        tokio::task::yield_now().await;
    }
    acknowledged
}

/// The version of a writer's own stream before its commit number `step`: one event each.
fn step_version(step: usize) -> underlay_core::Version {
    underlay_core::Version(step as u64)
}

async fn write_one(subject: &Subject, own: &StreamName, pair: &[StreamName; 2], step: usize) -> Committed {
    let id = CommitId::draw();
    for _ in 0..ATTEMPTS_MAX {
        let versions = subject.store.versions(&subject.tenant, pair).await.expect("versions");
        let event_type = if step.is_multiple_of(5) { "rare" } else { "common" };
        let shared = (0..=step % 3).map(|_| sample::event_of(event_type, "shared")).collect();
        let mut commit =
            Commit::new(id).append(pair[0].clone(), ExpectedVersion::Exact(versions[0]), shared).append(
                own.clone(),
                ExpectedVersion::Exact(step_version(step)),
                vec![sample::event_of(event_type, "own")],
            );
        commit = if step.is_multiple_of(2) {
            commit.append(pair[1].clone(), ExpectedVersion::Any, vec![sample::event("beside")])
        } else {
            commit.expect(pair[1].clone(), ExpectedVersion::Exact(versions[1]))
        };
        match subject.try_commit(commit).await {
            Ok(committed) => return committed,
            Err(Error::Conflict(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("a writer got neither an answer nor a conflict: {error:?}"),
        }
    }
    panic!("a writer got {ATTEMPTS_MAX} conflicts in a row; somebody must win each time");
}

/// Follows the log until the writers are done and the head is reached.
async fn follow(
    subject: Subject,
    scope: LogScope,
    filter: LogFilter,
    limit: usize,
    done: Arc<AtomicBool>,
) -> Vec<RecordedEvent> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    let mut after = Position::START;
    loop {
        let finished = done.load(Ordering::Acquire);
        let page = subject.store.read_all(&scope, after, &filter, limit).await.expect("read_all");
        for event in page.events {
            assert!(event.position > after, "a page holds only what lies above {after}");
            assert!(event.position <= page.scanned_to, "a page holds only what it scanned");
            seen.push(event);
        }
        assert!(page.scanned_to >= after, "a reader never goes back");
        if page.scanned_to == after {
            assert!(page.at_head, "a page that is not at the head moves on");
            tokio::task::yield_now().await;
        }
        after = page.scanned_to;
        if finished && page.at_head {
            return seen;
        }
    }
}

/// Once `head` has said p, every position up to p is there to be read.
async fn watch_head(subject: Subject, done: Arc<AtomicBool>) {
    let mut after = Position::START;
    loop {
        let finished = done.load(Ordering::Acquire);
        let head = subject.head().await;
        assert!(head >= after, "the head never goes back");
        while after < head {
            let page = subject.store.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), 50).await;
            let page = page.expect("read_all");
            for event in &page.events {
                let next = Position::from_number(after.number() + 1);
                assert_eq!(event.position, next, "below the head {head} every position is there");
                after = next;
            }
            assert!(!page.events.is_empty(), "events below the head {head} are there");
            assert_eq!(page.scanned_to, after, "an unfiltered page ends at its last event");
        }
        if finished {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn assert_in_order(log: &[RecordedEvent]) {
    let mut versions: HashMap<(&TenantId, &StreamName), u64> = HashMap::new();
    let mut tail = 0;
    for (number, event) in (1..).zip(log) {
        assert_eq!(event.position, Position::from_number(number), "positions have no holes");
        let version = versions.entry((&event.tenant, &event.stream)).or_default();
        *version += 1;
        assert_eq!(event.version.0, *version, "within {} the log is in version order", event.stream);
        if tail > 0 {
            assert_eq!(event.commit_tail, tail - 1, "the events of a commit lie together");
        }
        tail = event.commit_tail;
    }
    assert_eq!(tail, 0, "the log ends with a whole commit");
}

fn assert_acknowledged(log: &[RecordedEvent], acknowledged: &[(TenantId, Committed)]) {
    assert_eq!(acknowledged.len(), WRITERS * COMMITS_PER_WRITER, "every writer came to its end");
    let count: usize = acknowledged.iter().map(|(_, committed)| committed.event_count as usize).sum();
    assert_eq!(log.len(), count, "the log holds what was acknowledged, and nothing else");
    for (tenant, committed) in acknowledged {
        let end = committed.position.number() as usize;
        let events = &log[end - committed.event_count as usize..end];
        let whole = events
            .iter()
            .rev()
            .zip(0..)
            .all(|(event, tail)| event.tenant == *tenant && event.commit_tail == tail);
        assert!(whole, "commit {} lies where its answer says, whole", committed.id);
        for written in &committed.versions {
            let last = events.iter().rev().find(|event| event.stream == written.stream);
            assert_eq!(last.map(|event| event.version), Some(written.version), "the answer told the version");
        }
    }
}
