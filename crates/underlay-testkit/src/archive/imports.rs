use underlay_core::{Commit, Error, ExpectedVersion, LogScope, Position, TenantId, Version};

use super::Subject;
use super::subject::{Given, TENANTS, placeless, placeless_commits};
use crate::{ArchiveFixture, sample};

/// Sentence 3: imported commits read back as they were, but for their positions; repeats get the first answer there too.
pub async fn an_import_reads_back_the_same<F: ArchiveFixture>(fixture: F) {
    let source = Subject::of(&fixture);
    let (target_fixture, target) = Subject::another::<F>().await;
    // Stored before, so that the same event has another position there.
    let older =
        target.commit("older", sample::write(&sample::stream("note-1"), ExpectedVersion::Any, 3)).await;
    let given = source.fill().await;
    let exported = source.read_all().await;
    for part in exported.chunks(5) {
        let imported = target.import(part.to_vec()).await;
        assert_eq!((imported.stored, imported.known), (part.len() as u64, 0), "all of it is stored");
    }
    assert_reads_the_same(&source, &target, &given, &older).await;
    drop(target);

    let target_fixture = target_fixture.reopen().await;
    let target = Subject::of(&target_fixture);
    assert_reads_the_same(&source, &target, &given, &older).await;

    // Life goes on where it stopped.
    for tenant in TENANTS {
        let last = source.stream(&sample::tenant(tenant), "note-1").await.len() as u64;
        let next = sample::write(&sample::stream("note-1"), ExpectedVersion::Exact(Version(last)), 1);
        let next = target.commit(tenant, next).await;
        assert_eq!(next.committed.versions[0].version, Version(last + 1), "{tenant}: versions go on");
    }
}

async fn assert_reads_the_same(source: &Subject, target: &Subject, given: &[Given], older: &Given) {
    for tenant in TENANTS {
        let scope = LogScope::Tenant(sample::tenant(tenant));
        let (there, here) = (source.log(&scope).await, target.log(&scope).await);
        assert_eq!(placeless(&here), placeless(&there), "{tenant}: the log is the same but for positions");
        for stream in ["note-1", "note-2", "beside-1"] {
            let tenant = sample::tenant(tenant);
            let (there, here) = (source.stream(&tenant, stream).await, target.stream(&tenant, stream).await);
            assert_eq!(placeless(&here), placeless(&there), "{tenant}: stream {stream} is the same");
        }
        let (there, here) = (source.read(&scope, 10).await, target.read(&scope, 10).await);
        assert_eq!(
            placeless_commits(&here),
            placeless_commits(&there),
            "{tenant}: and leaves again as it came"
        );
    }
    let positions: Vec<u64> =
        target.log(&LogScope::EveryTenant).await.iter().map(|event| event.position.number()).collect();
    assert!(positions.is_sorted(), "the log is in order");
    for Given { tenant, commit, committed } in given {
        let mut first = committed.clone();
        first.repeated = true;
        first.position = target.position_of(tenant, commit).await.unwrap_or(first.position);
        let mut answer = target.store.commit(tenant, commit.clone()).await.expect("a repeat is answered");
        if commit.event_count() == 0 {
            // The head of the log it was stored in.
            answer.position = first.position;
        }
        assert_eq!(answer, first, "a repeat gets the first answer there too");
        let other = Commit::new(commit.id).append(
            sample::stream("other-1"),
            ExpectedVersion::Any,
            sample::events("other", 1),
        );
        let reused = target.store.commit(tenant, other).await;
        assert!(matches!(reused, Err(Error::IdReused(_))), "the id stands for what was imported: {reused:?}");
    }
    let kept = target.stream(&older.tenant, "note-1").await;
    assert_eq!(kept.len(), older.commit.event_count(), "what was there before is untouched");
}

impl Subject {
    /// The position of the last event of a commit, by the id of that event.
    async fn position_of(&self, tenant: &TenantId, commit: &Commit) -> Option<Position> {
        let last = commit.writes.last()?.events.last()?.event_id;
        let log = self.log(&LogScope::Tenant(tenant.clone())).await;
        log.iter().find(|event| event.event_id == last).map(|event| event.position)
    }
}
