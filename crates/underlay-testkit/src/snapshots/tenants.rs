use super::Subject;
use super::subject::snapshot;
use crate::{SnapshotsFixture, sample};

/// Names that a careless key would take for one another.
const TENANTS: [&str; 6] = ["acme", "Acme", "acme-1", "acme.1", "acme_1", "a"];

/// Sentence 3: a tenant reads its own alone.
pub async fn snapshots_belong_to_their_tenant<F: SnapshotsFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let tenants: Vec<Subject> = TENANTS.iter().map(|tenant| subject.seen_by(tenant)).collect();
    let stream = sample::stream("account-1");
    let mut stored = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        assert_eq!(tenant.load(&stream).await, None, "{}: another tenant's is not read", tenant.tenant);
        // A lower version each time: in one place none but the first would stay.
        let snapshot = snapshot((TENANTS.len() - number) as u64, "first");
        tenant.store(&stream, &snapshot).await;
        stored.push(snapshot);
    }
    for (tenant, snapshot) in tenants.iter().zip(&stored) {
        assert_eq!(tenant.load(&stream).await.as_ref(), Some(snapshot), "{}: its own", tenant.tenant);
    }
    for (number, tenant) in tenants.iter().enumerate() {
        tenant.remove(&stream).await;
        for (at, (other, snapshot)) in tenants.iter().zip(&stored).enumerate() {
            let expected = (at > number).then_some(snapshot);
            assert_eq!(
                other.load(&stream).await.as_ref(),
                expected,
                "{} after {} removed its own",
                other.tenant,
                tenant.tenant
            );
        }
    }
}
