use std::sync::Arc;

use underlay_core::{
    Checkpoint, Column, ColumnType, Error, EventId, Lease, LeaseId, LeaseTerm, Position, ReadModels,
    RowAddress, RowChange, StoreId, TenantId, Value, ViewBatch, ViewSchema, ViewTable,
};

use super::Subject;
use super::subject::TERM;
use crate::LeasesFixture;

/// A view that is written under leases.
struct View {
    models: Arc<dyn ReadModels>,
    table: ViewTable,
    at: Checkpoint,
}

impl View {
    /// An empty one.
    async fn of<F: LeasesFixture>(fixture: &F) -> Self {
        let models = fixture.read_models();
        let column = Column {
            name: "number".to_owned(),
            column_type: ColumnType::Integer,
            nullable: false,
            indexed: false,
        };
        let schema = ViewSchema::new("counts", 1, vec![column]);
        let at = Checkpoint::start(StoreId(EventId::draw().0));
        let table = models.prepare(&schema, at).await.expect("a view is prepared");
        Self { models, table, at }
    }

    /// Stores the next row under a lease, or under none.
    async fn store(&mut self, lease: Option<LeaseTerm>) -> Result<(), Error> {
        let number = self.at.position.number() + 1;
        let to = Checkpoint {
            position: Position::from_number(number),
            event_id: Some(EventId::draw()),
            ..self.at
        };
        let change = RowChange::Upsert(address(number), vec![Value::Integer(7)]);
        let batch = ViewBatch::new(self.at, to, vec![change]).with_lease(lease);
        self.models.apply(&self.table, batch).await?;
        self.at = to;
        Ok(())
    }

    async fn assert_refused(&mut self, lease: LeaseTerm) {
        let (before, next) = (self.at, address(self.at.position.number() + 1));
        match self.store(Some(lease.clone())).await {
            Err(Error::LeaseLost { name, term }) => assert_eq!((name, term), (lease.name, lease.term)),
            other => panic!("{lease:?} is lost, and a batch under it ended as {other:?}"),
        }
        let checkpoint = self.models.checkpoint(&self.table).await.expect("the checkpoint is read");
        assert_eq!(checkpoint, before, "the checkpoint stays");
        let rows = self.models.load(&self.table, &[next]).await.expect("rows are read");
        assert!(rows.iter().all(|row| row.values.is_none()), "no row is stored");
    }
}

fn address(number: u64) -> RowAddress {
    RowAddress { tenant: TenantId::new("acme").expect("a tenant"), key: format!("row {number}") }
}

/// Sentence 6: rows and checkpoint under a lease that is lost are not stored.
pub async fn a_lost_lease_stores_nothing<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut view = View::of(&fixture).await;
    let first = subject.take("view counts", "a").await;
    view.store(Some(first.term())).await.expect("a batch under a lease that holds");
    view.store(None).await.expect("a batch without a lease");
    let renewed = subject.renew(&first).await;
    view.store(Some(renewed.term())).await.expect("a batch under a lease that was renewed");
    // The holder was paused; nobody has taken the lease yet, and still it cannot write.
    fixture.pass(TERM);
    view.assert_refused(first.term()).await;
    let second = subject.take("view counts", "b").await;
    view.assert_refused(first.term()).await;
    view.store(Some(second.term())).await.expect("a batch of the holder after it");
    for lease in [
        LeaseTerm { name: "another view".to_owned(), ..second.term() },
        LeaseTerm { term: second.term + 1, ..second.term() },
        LeaseTerm { term: u64::MAX, ..second.term() },
    ] {
        view.assert_refused(lease).await;
    }
    subject.release(&second).await;
    view.assert_refused(second.term()).await;
    taken_while_writing(&fixture, &subject, &mut view).await;
}

/// Sentence 9: every acquisition has an id of its own; of two with one term, that which is stored holds, and
/// the other is lost.
pub async fn a_term_given_twice_is_its_last_holders<F: LeasesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut view = View::of(&fixture).await;
    let first = subject.take("view counts", "a").await;
    subject.release(&first).await;
    let second = subject.take("view counts", "b").await;
    assert_ne!(first.id, second.id, "each acquisition has an id of its own");
    // A store that is gone gave the same term to somebody who still works by it.
    for id in [LeaseId::draw(), first.id] {
        let other = Lease { id, ..second.clone() };
        subject.assert_lost(&other).await;
        subject.release(&other).await;
        subject.assert_held("view counts").await;
        view.assert_refused(other.term()).await;
    }
    let renewed = subject.renew(&second).await;
    assert_eq!(renewed.id, second.id, "renewing keeps the id");
    view.store(Some(renewed.term())).await.expect("a batch under the lease that is stored");
    let fixture = fixture.reopen().await;
    let subject = Subject::of(&fixture);
    assert_eq!(subject.find("view counts").await, Some(renewed.clone()), "reopening keeps the id");
    subject.assert_lost(&Lease { id: first.id, ..renewed.clone() }).await;
    subject.release(&renewed).await;
    subject.take("view counts", "c").await;
}

/// Of a late batch and the next holder, whatever happens first, the log of terms has no step back: a
/// batch that was stored after the next holder got the lease would be one.
async fn taken_while_writing<F: LeasesFixture>(fixture: &F, subject: &Subject, view: &mut View) {
    for _ in 0..20 {
        let holder: Lease = subject.take("view counts", "a").await;
        view.store(Some(holder.term())).await.expect("a batch under a lease that holds");
        fixture.pass(TERM);
        let late = view.store(Some(holder.term()));
        let next = subject.take("view counts", "b");
        let (late, next) = tokio::join!(late, next);
        assert!(matches!(late, Err(Error::LeaseLost { .. })), "a late batch: {late:?}");
        subject.release(&next).await;
    }
}
