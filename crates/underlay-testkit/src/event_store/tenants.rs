use std::collections::HashSet;

use underlay_core::{
    Commit, CommitId, EventId, ExpectedVersion, LogFilter, LogScope, NewEvent, Position, RecordedEvent,
    Version,
};

use super::Subject;
use crate::{EventStoreFixture, sample};

/// Names that a careless key would take for one another.
const TENANTS: [&str; 7] = ["acme", "Acme", "acme-1", "acme.1", "acme_1", "a", "acme-"];

/// Sentence 14: a commit id belongs to its tenant; so do streams, events and outcomes.
pub async fn tenants_are_separate<F: EventStoreFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let tenants: Vec<Subject> = TENANTS.iter().map(|tenant| subject.seen_by(tenant)).collect();
    let stream = sample::stream("note-1");
    let id = CommitId::draw();
    let event_id = EventId::draw();

    let mut answers = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        assert_eq!(
            tenant.find(id).await,
            None,
            "{}: the commit of another tenant is not found",
            tenant.tenant
        );
        assert_eq!(tenant.version(&stream).await, Version::NONE, "{}: nor are its streams", tenant.tenant);
        // The same commit id, stream and event id as every other tenant, with content of its own.
        let event = NewEvent { event_id, ..sample::event(TENANTS[number]) };
        let mut events = vec![event];
        events.extend(sample::events(TENANTS[number], number));
        let commit = Commit::new(id).append(stream.clone(), ExpectedVersion::NoStream, events);
        let committed = tenant.commit(commit.clone()).await;
        assert_eq!(committed.versions[0].version, Version(number as u64 + 1), "a stream of its own");
        answers.push((commit, committed));
    }

    let log = subject.log().await;
    for (number, tenant) in tenants.iter().enumerate() {
        let (commit, committed) = &answers[number];
        let repeat = tenant.repeat(commit.clone()).await;
        assert_eq!(
            repeat.position, committed.position,
            "{}: a repeat gets the tenant's own answer",
            tenant.tenant
        );
        let found = tenant.find(id).await.expect("the tenant's own commit is found");
        assert_eq!(found.fingerprint, commit.fingerprint(), "{}: and it is the tenant's own", tenant.tenant);
        let own: Vec<RecordedEvent> =
            log.iter().filter(|event| event.tenant == tenant.tenant).cloned().collect();
        assert_eq!(own.len(), number + 1, "{}: the log has the tenant's events", tenant.tenant);
        assert_eq!(
            tenant.stream(&stream).await,
            own,
            "{}: a stream has the tenant's events alone",
            tenant.tenant
        );
        assert_eq!(tenant.own_log().await, own, "{}: so does the tenant's log", tenant.tenant);
        assert_pages_are_own(tenant, &own).await;
        tenant.conflict(sample::write(&stream, ExpectedVersion::Exact(Version(99)), 1)).await;
    }
    let owners: HashSet<_> = log.iter().map(|event| event.tenant.clone()).collect();
    assert_eq!(owners.len(), TENANTS.len(), "a read of every tenant has every tenant's events");

    // A write of one tenant is no conflict for another that has read the same stream of its own.
    tenants[0].commit(sample::write(&stream, ExpectedVersion::Exact(Version(1)), 1)).await;
    let reading = sample::write(&sample::stream("note-2"), ExpectedVersion::NoStream, 1)
        .expect(stream.clone(), ExpectedVersion::Exact(Version(2)));
    tenants[1].commit(reading).await;
    let nobody = subject.seen_by("nobody");
    assert_eq!(nobody.own_log().await, [], "a tenant that wrote nothing has nothing");
    assert_eq!(nobody.stream(&stream).await, [], "also where others have that stream");
}

/// Pages of a tenant's log hold its events, and tell no id that may be another's.
async fn assert_pages_are_own(tenant: &Subject, own: &[RecordedEvent]) {
    let scope = LogScope::Tenant(tenant.tenant.clone());
    let filter = LogFilter::default();
    let mut after = Position::START;
    let mut seen = Vec::new();
    loop {
        let page = tenant.store.read_all(&scope, after, &filter, 1).await.expect("read_all");
        assert_eq!(page.scanned_to_id, None, "the id at the end of a tenant's page may be another's");
        seen.extend(page.events);
        if page.at_head {
            break;
        }
        assert!(page.scanned_to > after, "a page that is not at the head moves on");
        after = page.scanned_to;
    }
    assert_eq!(seen, own, "small pages hold the tenant's events");
}
