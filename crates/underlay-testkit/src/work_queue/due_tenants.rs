use std::collections::BTreeSet;
use std::time::Duration;

use underlay_core::limits::{COMMIT_WORK_MAX, WORK_SCAN_MAX};
use underlay_core::{Commit, CommitId, DueLook, DuePlace, Shard, TenantId, Work, WorkScope};

use super::Subject;
use super::subject::{MOMENT, key_in, piece};
use crate::WorkQueueFixture;

const SOON: Duration = Duration::from_secs(30);

/// Sentence 21: reading what is due passes over tenants, or reads one, as asked, goes on after where it was, and
/// comes past any number of pieces it passes over.
pub async fn due_work_is_read_by_tenant<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let shard = Shard::all().nth(5).expect("a sixth shard");
    // Names that a careless comparison takes for one another.
    let tenants = ["acme", "Acme", "acme.1", "globex"].map(|name| subject.seen_by(name));
    let (soon, sooner) = (subject.after(SOON), subject.after(SOON - MOMENT));
    let mut stored: Vec<Work> = Vec::new();
    for round in 0..3 {
        for tenant in &tenants {
            let key = key_in(shard, &tenant.tenant, round);
            let pieces = [soon, sooner].map(|due_at| piece(&key, &format!("{round}")).with_due_at(due_at));
            stored.extend(tenant.send(pieces).await);
        }
    }
    stored.sort_by_key(|work| (work.sent.due_at, work.place));
    subject.pass(SOON);
    let but_two = vec![tenants[0].tenant.clone(), tenants[3].tenant.clone()];
    let mut scopes = vec![WorkScope::default(), WorkScope::EveryTenantBut(but_two)];
    scopes.extend(tenants.iter().map(|tenant| WorkScope::Tenant(tenant.tenant.clone())));
    for scope in scopes {
        let is_of = |work: &&Work| match &scope {
            WorkScope::Tenant(one) => work.tenant == *one,
            WorkScope::EveryTenantBut(passed) => !passed.contains(&work.tenant),
        };
        let expected: Vec<&Work> = stored.iter().filter(is_of).collect();
        for (limit, skip) in [(1, 0_usize), (2, 1), (100, 3)] {
            let after = skip.checked_sub(1).map_or(DuePlace::START, |last| place_of(expected[last]));
            let read = read(&subject, shard, &scope, after, limit).await;
            assert_eq!(read.iter().collect::<Vec<_>>(), expected[skip..], "{scope:?}");
        }
    }
    behind_a_heap(&subject).await;
}

fn place_of(work: &Work) -> DuePlace {
    DuePlace { due_at: work.sent.due_at.expect("what is due has its moment"), place: work.place }
}

/// What is due in a shard, page by page.
async fn read(
    subject: &Subject,
    shard: Shard,
    scope: &WorkScope,
    after: DuePlace,
    limit: usize,
) -> Vec<Work> {
    let mut look = DueLook { scope: scope.clone(), after, ..DueLook::default() };
    let mut work = Vec::new();
    loop {
        let page = subject.look_for_due(shard, &look, limit).await;
        work.extend(page.work.into_iter().map(|read| read.work));
        if page.at_end {
            return work;
        }
        assert!(page.scanned_to > look.after, "a page that is not at the end moves on");
        look.after = page.scanned_to;
    }
}

/// One tenant's piece behind so many of another's that no reading looks at all of them.
async fn behind_a_heap(subject: &Subject) {
    let (acme, heap) = (subject.seen_by("acme"), subject.seen_by("heap"));
    let shard = Shard::all().nth(6).expect("a seventh shard");
    let soon = subject.after(SOON);
    let key = key_in(shard, &heap.tenant, 0);
    for _ in 0..WORK_SCAN_MAX / COMMIT_WORK_MAX + 1 {
        let commit = Commit::new(CommitId::draw());
        let pieces = (0..COMMIT_WORK_MAX).map(|_| piece(&key, "heap").with_due_at(soon));
        heap.commit(pieces.fold(commit, Commit::send)).await;
    }
    let last = piece(&key_in(shard, &acme.tenant, 0), "behind the heap").with_due_at(soon);
    let last = acme.send_one(last).await;
    subject.pass(SOON);
    for scope in
        [WorkScope::EveryTenantBut(vec![heap.tenant.clone()]), WorkScope::Tenant(acme.tenant.clone())]
    {
        let read = read(subject, shard, &scope, DuePlace::START, 7).await;
        let tenants: BTreeSet<&TenantId> = read.iter().map(|work| &work.tenant).collect();
        assert!(!tenants.contains(&heap.tenant), "what is passed over is not read");
        assert_eq!(read.last(), Some(&last), "the last comes in its turn");
    }
}
