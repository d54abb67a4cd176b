use underlay_core::LogScope;

use super::Subject;
use super::subject::{Given, TENANTS};
use crate::{ArchiveFixture, sample};

/// Sentence 1: commits are read in the order they were stored, each with its outcome and all its events.
pub async fn commits_are_read_in_order<F: ArchiveFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let every = LogScope::EveryTenant;
    assert_eq!(subject.read(&every, 10).await, [], "an empty store has no commits");
    let given = subject.fill().await;
    let whole = subject.read_all().await;
    assert_eq!(whole.len(), given.len(), "every commit is read, refusals and empty ones among them");
    let log = subject.log(&every).await;
    let mut events = Vec::new();
    for (archived, given) in whole.iter().zip(&given) {
        let Given { tenant, commit, committed } = given;
        assert_eq!((&archived.tenant, archived.id), (tenant, commit.id), "in the order they were stored");
        assert_eq!(archived.outcome, commit.outcome, "with the outcome, its body too");
        assert_eq!(archived.fingerprint, commit.fingerprint(), "with what a repeat must match");
        assert_eq!(archived.recorded_at, committed.recorded_at, "with the time");
        assert_eq!(archived.events.len(), commit.event_count(), "with all its events");
        events.extend(archived.events.iter().cloned());
    }
    assert_eq!(events, log, "the events of all commits are the log");
    for limit in [1, 2, 3, 7, whole.len() - 1, whole.len(), whole.len() + 1] {
        let paged = subject.read(&every, limit).await;
        assert_eq!(paged, whole, "pages of {limit} follow each other without gap or repeat");
    }

    // Whoever has read to the end goes on with what is stored later.
    let (_, end) = subject.read_after(&every, 0, 5).await;
    let later = subject.fill().await;
    let (more, _) = subject.read_after(&every, end, 5).await;
    let ids = |given: &[Given]| given.iter().map(|given| given.commit.id).collect::<Vec<_>>();
    assert_eq!(more.iter().map(|commit| commit.id).collect::<Vec<_>>(), ids(&later), "and misses nothing");
}

/// Sentence 2: a read of one tenant yields that tenant's commits alone.
pub async fn an_archive_of_one_tenant_is_its_own<F: ArchiveFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    subject.fill().await;
    let whole = subject.read_all().await;
    for tenant in TENANTS {
        let scope = LogScope::Tenant(sample::tenant(tenant));
        let own: Vec<_> = whole.iter().filter(|commit| commit.tenant.as_str() == tenant).cloned().collect();
        for limit in [1, 3, 100] {
            assert_eq!(subject.read(&scope, limit).await, own, "{tenant} in pages of {limit}");
        }
        let strangers =
            own.iter().flat_map(|commit| &commit.events).filter(|event| event.tenant.as_str() != tenant);
        assert_eq!(strangers.count(), 0, "{tenant}: no event of another tenant leaves with its commits");
    }
    let nobody = LogScope::Tenant(sample::tenant("nobody"));
    assert_eq!(subject.read(&nobody, 3).await, [], "a tenant without commits has none");
}
