use std::sync::Arc;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::stored_number;
use underlay_core::{Error, Json, RowAddress, RowChange, Value, ViewBatch, ViewTable};

use super::catalogue::{
    State, answering_in, collection, collection_name, of, stored_checkpoint, stored_fingerprint,
    stored_number_of,
};
use super::stops::is_skipped;
use crate::error::Failure;
use crate::leases::{held, stored_id};
use crate::rows::{bson, columns, row_id};
use crate::store::Open;
use crate::transaction::Work;
use crate::writes::{Verb, Writes};

/// Bytes that a value counts for which is no text.
const VALUE_BYTES: usize = 32;

/// Stores a batch of changes with the checkpoint that it leads to.
pub(crate) struct Apply {
    pub(crate) open: Arc<Open>,
    pub(crate) table: ViewTable,
    pub(crate) batch: ViewBatch,
}

#[async_trait]
impl Work for Apply {
    type Done = ();

    async fn run(&self, session: &mut ClientSession) -> Result<(), Failure> {
        Batch { open: &self.open, table: &self.table, batch: &self.batch }.store(session).await
    }
}

/// A batch within a transaction.
pub(super) struct Batch<'b> {
    pub(super) open: &'b Open,
    pub(super) table: &'b ViewTable,
    pub(super) batch: &'b ViewBatch,
}

impl Batch<'_> {
    pub(super) async fn store(&self, session: &mut ClientSession) -> Result<(), Failure> {
        self.hold_lease(session).await?;
        self.move_checkpoint(session).await?;
        self.change_rows(session).await?;
        self.park(session).await
    }

    fn moved(&self) -> Failure {
        Failure::Answer(Error::CheckpointMoved { owner: format!("view {}", self.table.schema.name) })
    }

    /// Changes the lease, so that nobody takes it before this is stored.
    async fn hold_lease(&self, session: &mut ClientSession) -> Result<(), Failure> {
        let Some(term) = &self.batch.lease else { return Ok(()) };
        let leases = self.open.own("leases");
        let touch = leases.update_one(held(self.open, term), doc! { "$inc": { "batches": 1_i64 } });
        if touch.session(session).await?.matched_count == 0 {
            return Err(Failure::Answer(term.lost()));
        }
        Ok(())
    }

    async fn move_checkpoint(&self, session: &mut ClientSession) -> Result<(), Failure> {
        let Self { open, table, batch } = self;
        let mut stop = Bson::Null;
        if let Some(why) = &batch.stop {
            if let Some(event) = why.event()
                && is_skipped(open, session, &table.schema.name, event).await?
            {
                return Err(self.moved());
            }
            stop = Bson::from(Json::encode(why)?.as_str());
        }
        let mut there = of(&table.schema.name, table.generation);
        there.extend(doc! {
            "state": { "$in": [State::Active.text(), State::Building.text()] },
            "fingerprint": stored_fingerprint(&table.schema),
            "checkpoint": stored_checkpoint(&batch.from),
        });
        let next = doc! { "$set": { "checkpoint": stored_checkpoint(&batch.to), "stop": stop } };
        let generations = open.own("generations");
        if generations.update_one(there, next).session(&mut *session).await?.matched_count == 1 {
            return Ok(());
        }
        let found = answering_in(open, &open.own("generations"), session, table).await?;
        if found.fingerprint != table.schema.fingerprint() {
            return Err(super::no_table(table));
        }
        Err(self.moved())
    }

    async fn change_rows(&self, session: &mut ClientSession) -> Result<(), Failure> {
        let Self { open, table, batch } = self;
        let name = collection_name(&table.schema.name, table.generation);
        let mut sorted: Vec<&RowChange> = batch.changes.iter().collect();
        // Neighbours share a page, and two batches never wait for each other in a circle.
        sorted.sort_unstable_by(|a, b| a.address().cmp(b.address()));
        let (mut puts, mut patches) = (Writes::new(Verb::Update, &name), Writes::new(Verb::Update, &name));
        let (mut deletes, mut patched) = (Writes::new(Verb::Delete, &name), Vec::new());
        for change in sorted {
            let address = change.address();
            let id = doc! { "_id": row_id(&address.tenant, &address.key) };
            match change {
                RowChange::Upsert(_, values) => {
                    let row = doc! { "c": columns(&table.schema, values) };
                    let bytes = address.key.len() + values.iter().map(bytes).sum::<usize>();
                    puts.push(bytes, doc! { "q": id, "u": row, "upsert": true });
                }
                RowChange::Patch(_, patch) => {
                    let bytes =
                        address.key.len() + patch.iter().map(|(_, value)| bytes(value)).sum::<usize>();
                    patched.push(address);
                    patches.push(bytes, doc! { "q": id, "u": { "$set": patch_of(patch) } });
                }
                RowChange::Delete(_) => deletes.push(address.key.len(), doc! { "q": id, "limit": 1 }),
            }
        }
        puts.send(open, session).await?;
        deletes.send(open, session).await?;
        let expected = patches.len();
        if patches.send(open, session).await? == expected {
            return Ok(());
        }
        Err(self.missing(session, &patched).await?)
    }

    /// That one of these rows is not there.
    async fn missing(
        &self,
        session: &mut ClientSession,
        addresses: &[&RowAddress],
    ) -> Result<Failure, Failure> {
        let rows = collection(self.open, &self.table.schema.name, self.table.generation);
        for address in addresses {
            let id = doc! { "_id": row_id(&address.tenant, &address.key) };
            if rows.find_one(id).session(&mut *session).await?.is_none() {
                return Ok(Failure::Answer(Error::NotFound(format!("row {:?}", address.key))));
            }
        }
        Ok(Failure::Missed)
    }

    /// Keeps the events that were passed over.
    async fn park(&self, session: &mut ClientSession) -> Result<(), Failure> {
        let (view, generation) = (&self.table.schema.name, self.table.generation);
        let mut writes = Writes::new(Verb::Update, self.open.own("parked").name());
        for event in &self.batch.parked {
            let position = stored_number_of(event.position);
            let id = doc! { "_id": format!("{view}.{generation}.{position}") };
            let parked = doc! {
                "view": view,
                "generation": i64::from(generation),
                "tenant": event.tenant.as_str(),
                "position": position,
                "stream": event.stream.as_str(),
                "version": stored_number(event.version.0),
                "event_id": stored_id(event.event_id.0),
                "reason": &event.reason,
            };
            writes.push(event.reason.len(), doc! { "q": id, "u": parked, "upsert": true });
        }
        writes.send(self.open, session).await.map(drop)
    }
}

fn bytes(value: &Value) -> usize {
    if let Value::Text(text) = value { text.len() } else { VALUE_BYTES }
}

/// What a patch writes. The last value of a column is the one that stays.
fn patch_of(patch: &[(String, Value)]) -> Document {
    patch.iter().map(|(name, value)| (format!("c.{name}"), bson(value))).collect()
}
