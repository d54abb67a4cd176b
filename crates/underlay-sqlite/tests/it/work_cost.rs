//! What a message costs the commit that carries it, in bytes that are flushed.

use underlay_core::{Commit, CommitId, EventStore, ExpectedVersion, TenantId};

use crate::failures::Gate;
use crate::sample::{Place, append, begin};
use crate::work::piece;

/// Commits in a group.
const GROUP: usize = 64;
const GROUPS: usize = 8;

/// Bytes of groups of commits, of one event each, with a message or without. The file has work already.
async fn written(with_message: bool) -> u64 {
    let place = Place::new();
    let tenants: Vec<TenantId> =
        (0..8).map(|number| TenantId::new(format!("tenant-{number}")).unwrap()).collect();
    let store = place.open();
    for tenant in &tenants {
        let pieces = (0..1_000).map(|number| piece(&format!("k{number}")));
        let commit = pieces.fold(Commit::new(CommitId::draw()), |commit, piece| commit.send(piece));
        store.commit(tenant, commit).await.unwrap();
    }
    store.close().await.unwrap();
    let mut bytes = 0;
    for group in 0..GROUPS {
        // The writer is held by a first commit, so that the others wait together.
        let (gate, config) = Gate::new();
        let store = place.open_with(config);
        let first = begin(store.commit(&tenants[0], append(&format!("held-{group}"), ExpectedVersion::Any)));
        gate.reached().await;
        let mut waiting = Vec::new();
        for number in 0..GROUP {
            let mut commit = append(&format!("s-{number}"), ExpectedVersion::Any);
            if with_message {
                commit = commit.send(piece(&format!("k{}", group * GROUP + number)));
            }
            waiting.push(begin(store.commit(&tenants[number % tenants.len()], commit)));
        }
        gate.open();
        first.await.unwrap();
        for waiting in waiting {
            waiting.await.unwrap();
        }
        bytes += place.wal_bytes();
        store.close().await.unwrap();
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_adds_little_to_what_a_group_of_commits_writes() {
    let (with, without) = (written(true).await, written(false).await);
    let each = with.saturating_sub(without) / (GROUP * GROUPS) as u64;
    assert!(each <= 1_024, "a message adds {each} bytes: {with} with messages, {without} without");
}
