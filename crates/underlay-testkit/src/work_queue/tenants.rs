use std::time::Duration;

use underlay_core::{Commit, CommitId, Settled, Work, WorkFilter, WorkId};

use super::Subject;
use super::subject::{dead, piece, retry};
use crate::WorkQueueFixture;

/// Names that a careless key would take for one another.
const TENANTS: [&str; 6] = ["acme", "Acme", "acme-1", "acme.1", "acme_1", "a"];

/// Sentence 17: a tenant's work is found, listed, replayed and discarded by that tenant alone.
pub async fn work_belongs_to_its_tenant<F: WorkQueueFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let hand = subject.hand("a").await;
    let tenants: Vec<Subject> = TENANTS.iter().map(|tenant| subject.seen_by(tenant)).collect();
    // One id of a commit, one key and one name for all of them.
    let id = CommitId::draw();
    let mut sent: Vec<Vec<Work>> = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        assert_eq!(tenant.find(id, 0).await, None, "{}: another's work is not found", tenant.tenant);
        let commit = (0..3).fold(Commit::new(id), |commit, _| commit.send(piece("key", "x")));
        tenant.commit(commit).await;
        let mut own = Vec::new();
        for number in 0..3 {
            let work = tenant.find(id, number).await.expect("its own is found").work;
            assert_eq!((&work.tenant, work.id), (&tenant.tenant, WorkId::of(&tenant.tenant, id, number)));
            own.push(work);
        }
        sent.push(own);
        assert_eq!(subject.all().await.len(), 3 * (number + 1), "the operator sees everybody's");
    }
    let dead_filter = |tenant: &Subject| WorkFilter {
        tenant: Some(tenant.tenant.clone()),
        dead: true,
        ..WorkFilter::default()
    };
    // Each line is in a state of its own, though all have one key.
    for (number, own) in sent.iter().enumerate() {
        match number % 3 {
            0 => hand.settle_all([(&own[0], dead(true)), (&own[1], Settled::Held)]).await,
            1 => hand.settle_all([(&own[0], retry(Duration::ZERO)), (&own[1], Settled::Held)]).await,
            _ => {}
        }
    }
    for (number, (tenant, own)) in tenants.iter().zip(&sent).enumerate() {
        let filter = WorkFilter { tenant: Some(tenant.tenant.clone()), ..WorkFilter::default() };
        let listed: Vec<WorkId> = tenant.list(&filter).await.iter().map(|info| info.work.id).collect();
        let letters: Vec<WorkId> =
            tenant.list(&dead_filter(tenant)).await.iter().map(|info| info.work.id).collect();
        let ids: Vec<WorkId> = own.iter().map(|work| work.id).collect();
        let dead = usize::from(number % 3 == 0);
        assert_eq!((&listed[..], &letters[..]), (&ids[dead..], &ids[..dead]), "{}: its own", tenant.tenant);
        let ready = subject.ready(own[0].shard).await;
        let blocked: Vec<bool> =
            ready.iter().filter(|read| ids.contains(&read.work.id)).map(|read| read.is_blocked).collect();
        let expected: &[bool] = if number % 3 == 2 { &[false; 3] } else { &[true] };
        assert_eq!(blocked, expected, "{}: another's line blocks nothing", tenant.tenant);
    }
    let before = subject.all().await;
    let everything: Vec<&Work> = sent.iter().flatten().collect();
    for (number, tenant) in tenants.iter().enumerate() {
        let of_others: Vec<&Work> =
            everything.iter().copied().filter(|work| work.tenant != tenant.tenant).collect();
        assert_eq!(tenant.replay(&of_others).await, 0, "{}: another's is not replayed", tenant.tenant);
        assert_eq!(tenant.discard(&of_others).await, 0, "{}: another's is not discarded", tenant.tenant);
        assert_eq!(subject.all().await, before, "nothing of others is changed");
        if number == 1 {
            let stranger = subject.seen_by("stranger");
            assert_eq!(stranger.replay(&everything).await + stranger.discard(&everything).await, 0);
            assert_eq!(stranger.list(&dead_filter(&stranger)).await, []);
            assert_eq!(stranger.find(id, 0).await, None);
        }
    }
    assert_eq!(tenants[0].replay(&everything).await, 1, "of all that were named its own is replayed");
    assert_eq!(tenants[3].discard(&everything).await, 1, "of all that were named its own is discarded");
    assert_eq!(tenants[3].look(&sent[3][0]).await, None);
    assert_eq!(subject.all().await.len(), before.len() - 1);
}
