use std::collections::BTreeSet;

use underlay_core::limits::{COMMIT_WORK_MAX, WORK_PAGE_MAX, WORK_SCAN_MAX, WORK_TENANTS_PASSED_MAX};
use underlay_core::{
    Json, Lane, NewWork, Payload, ReadWork, SchemaVersion, Shard, TenantId, Work, WorkKind, WorkPlace,
    WorkScope,
};

use super::Subject;
use super::subject::{key_in, piece};
use crate::{WorkQueueFixture, sample};

fn everybody() -> WorkScope {
    WorkScope::EveryTenantBut(Vec::new())
}

fn sent(read: Vec<ReadWork>) -> Vec<Work> {
    read.into_iter().map(|read| read.work).collect()
}

/// Sentence 8: ready work of a shard and lane is read in the order of places, after a place, as it was sent; a
/// page says how far it has looked, and reading changes nothing.
pub async fn ready_work_is_read_in_order<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let start = WorkPlace::START;
    for queue in queues() {
        let page = subject.page(queue, &everybody(), start, 10).await;
        assert!(page.work.is_empty() && page.at_end, "there is nothing yet");
    }
    let mut stored = Vec::new();
    for round in 0..4 {
        stored.extend(subject.send(hostile_pieces(round)).await);
        for number in 0..8 {
            // One key urgent and normal at the same time, and neither in the way of the other.
            let normal = piece("same key", &format!("{round} {number}"));
            stored.extend(subject.send([normal.clone(), normal.urgent()]).await);
        }
    }
    for queue @ (shard, lane) in queues() {
        let of_queue = |work: &&Work| work.shard == shard && work.sent.lane == lane;
        let expected: Vec<Work> = stored.iter().filter(of_queue).cloned().collect();
        for limit in [1, 3, WORK_PAGE_MAX] {
            // The second time as the first: what was read is there until it is settled.
            for _ in 0..2 {
                let read = subject.read(queue, &everybody(), start, limit).await;
                assert!(read.iter().all(|read| !read.is_blocked), "nothing is in the way");
                assert_eq!(sent(read), expected, "{shard} {lane:?} by pages of {limit}");
            }
        }
        for (number, work) in expected.iter().enumerate() {
            let page = subject.page(queue, &everybody(), work.place, 2).await;
            let rest = &expected[number + 1..];
            assert_eq!(page.at_end, rest.len() <= 2, "whether more is there");
            assert_eq!(sent(page.work), rest[..rest.len().min(2)], "after a place comes the next");
            if let Some(last) = rest.get(1) {
                assert_eq!(page.scanned_to, last.place, "a page says how far it has looked");
            }
        }
    }
    what_comes_while_reading(&subject).await;
    more_than_a_page(&subject).await;
}

fn queues() -> impl Iterator<Item = (Shard, Lane)> {
    Shard::all().flat_map(|shard| Lane::ALL.map(|lane| (shard, lane)))
}

/// Pieces whose texts break what is not careful, and the longest there are.
fn hostile_pieces(round: usize) -> Vec<NewWork> {
    let mut pieces = Vec::new();
    for (number, text) in sample::HOSTILE_TEXTS.into_iter().enumerate() {
        let payload =
            Json::parse(format!(" {{ \"blanks\" : [1.50, 1e400] , \"n\": {number} }} ")).expect("JSON");
        let payload = match number % 3 {
            0 => Payload::encoded(payload, "sealed", Some(text)).expect("a payload"),
            1 => Payload::encoded(payload, "sealed", None).expect("a payload"),
            _ => payload.into(),
        };
        let kind = WorkKind::ALL[(number + round) % WorkKind::ALL.len()];
        let piece = NewWork::new(kind, text, text, text, payload);
        let piece = piece.with_version(SchemaVersion(if round == 0 { 1 } else { u32::from(u16::MAX) }));
        pieces.push(if round.is_multiple_of(2) { piece } else { piece.urgent() });
    }
    pieces
}

/// A reader that goes on after what it has looked at misses nothing.
async fn what_comes_while_reading(subject: &Subject) {
    let first = subject.send_one(piece("follow", "first")).await;
    let queue = (first.shard, Lane::Normal);
    let mut after = subject.page(queue, &everybody(), first.place, 10).await.scanned_to;
    for number in 0..5 {
        let page = subject.page(queue, &everybody(), after, 10).await;
        assert!(page.work.is_empty() && page.at_end, "nothing came");
        after = page.scanned_to;
        let next = subject.send_one(piece("follow", &format!("{number}"))).await;
        let page = subject.page(queue, &everybody(), after, 10).await;
        assert_eq!(sent(page.work), [next], "what came since is read, with a hint or without one");
        after = page.scanned_to;
    }
}

async fn more_than_a_page(subject: &Subject) {
    let mut pieces = (0..WORK_PAGE_MAX + 7).map(|number| piece("many", &format!("{number}")));
    let before = subject.send_one(piece("many", "before")).await;
    for _ in 0..2 {
        let commit = pieces.by_ref().take(COMMIT_WORK_MAX);
        let commit =
            commit.fold(underlay_core::Commit::new(underlay_core::CommitId::draw()), |c, p| c.send(p));
        subject.commit(commit).await;
    }
    let queue = (before.shard, Lane::Normal);
    let page = subject.page(queue, &everybody(), before.place, WORK_PAGE_MAX).await;
    assert_eq!((page.work.len(), page.at_end), (WORK_PAGE_MAX, false), "a full page");
    let read = subject.read(queue, &everybody(), before.place, WORK_PAGE_MAX).await;
    let names: Vec<String> = read.into_iter().map(|read| read.work.sent.name).collect();
    let expected: Vec<String> = (0..WORK_PAGE_MAX + 7).map(|number| number.to_string()).collect();
    assert_eq!(names, expected);
}

/// Sentence 9: reading passes over tenants, or reads one, as asked, and comes past any number of pieces it
/// passes over.
pub async fn work_is_read_by_tenant<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let shard = Shard::all().nth(5).expect("a sixth shard");
    let queue = (shard, Lane::Normal);
    // Names that a careless comparison takes for one another.
    let tenants = ["acme", "Acme", "acme.1", "acme_1", "globex"].map(|name| subject.seen_by(name));
    let ids: Vec<TenantId> = tenants.iter().map(|tenant| tenant.tenant.clone()).collect();
    let mut stored = Vec::new();
    for round in 0..3 {
        for tenant in &tenants {
            for key in 0..2 {
                let piece = piece(&key_in(shard, &tenant.tenant, key), &format!("{round}"));
                stored.extend(tenant.send([piece.clone(), piece.urgent()]).await);
            }
        }
    }
    stored.retain(|work| work.sent.lane == Lane::Normal);
    for passed in 0_usize..1 << ids.len() {
        let is_passed = |tenant: &TenantId| {
            ids.iter().position(|id| id == tenant).is_some_and(|number| passed & (1 << number) != 0)
        };
        let expected: Vec<&Work> = stored.iter().filter(|work| !is_passed(&work.tenant)).collect();
        let scope = WorkScope::EveryTenantBut(ids.iter().filter(|id| is_passed(id)).cloned().collect());
        let limit = if passed % 2 == 0 { 1 } else { 4 };
        let read = subject.read(queue, &scope, WorkPlace::START, limit).await;
        assert_eq!(sent(read).iter().collect::<Vec<_>>(), expected, "all but {scope:?}");
    }
    for tenant in &ids {
        let expected: Vec<&Work> = stored.iter().filter(|work| work.tenant == *tenant).collect();
        for (limit, skip) in [(1, 0), (2, 1), (WORK_PAGE_MAX, 3)] {
            let after = if skip == 0 { WorkPlace::START } else { expected[skip - 1].place };
            let read = subject.read(queue, &WorkScope::Tenant(tenant.clone()), after, limit).await;
            assert_eq!(sent(read).iter().collect::<Vec<_>>(), expected[skip..], "of {tenant} alone");
        }
    }
    let nobody = WorkScope::Tenant(sample::tenant("nobody"));
    assert!(subject.read(queue, &nobody, WorkPlace::START, 10).await.is_empty());
    // As many as may be passed over, who have nothing here.
    let strangers =
        (0..WORK_TENANTS_PASSED_MAX - 1).map(|number| sample::tenant(&format!("stranger-{number}")));
    let scope = WorkScope::EveryTenantBut(strangers.chain([sample::tenant("globex")]).collect());
    let read = subject.read(queue, &scope, WorkPlace::START, WORK_PAGE_MAX).await;
    assert_eq!(read.len(), stored.len() / 5 * 4);
    behind_a_heap(&subject, shard).await;
}

/// One tenant's piece behind so many of another's that no reading looks at all of them.
async fn behind_a_heap(subject: &Subject, shard: Shard) {
    let (acme, heap) = (subject.seen_by("acme"), subject.seen_by("heap"));
    let key = key_in(shard, &heap.tenant, 0);
    for _ in 0..WORK_SCAN_MAX / COMMIT_WORK_MAX + 1 {
        let commit = underlay_core::Commit::new(underlay_core::CommitId::draw());
        heap.commit((0..COMMIT_WORK_MAX).fold(commit, |commit, _| commit.send(piece(&key, "heap")))).await;
    }
    let last = acme.send_one(piece(&key_in(shard, &acme.tenant, 0), "behind the heap")).await;
    let queue = (shard, Lane::Normal);
    let but_heap = WorkScope::EveryTenantBut(vec![heap.tenant.clone()]);
    for scope in [but_heap.clone(), WorkScope::Tenant(acme.tenant.clone())] {
        let read = subject.read(queue, &scope, WorkPlace::START, 7).await;
        let tenants: BTreeSet<&TenantId> = read.iter().map(|read| &read.work.tenant).collect();
        assert!(!tenants.contains(&heap.tenant), "what is passed over is not read");
        assert_eq!(read.last().map(|read| &read.work), Some(&last), "the last comes in its turn");
    }
    // What comes where the reader has looked already to the end is not skipped.
    let after = {
        let mut after = last.place;
        loop {
            let page = subject.page(queue, &but_heap, after, 7).await;
            after = page.scanned_to;
            if page.at_end {
                break after;
            }
        }
    };
    heap.send_one(piece(&key, "heap")).await;
    let page = subject.page(queue, &but_heap, after, 7).await;
    assert!(page.work.is_empty() && page.at_end);
    let next = acme.send_one(piece(&key_in(shard, &acme.tenant, 0), "next")).await;
    let page = subject.page(queue, &but_heap, page.scanned_to, 7).await;
    assert_eq!(sent(page.work), [next]);
}
