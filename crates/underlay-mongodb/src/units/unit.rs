use std::sync::Arc;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use underlay_core::adapter::{safe_order, stored_number};
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId};

use super::diagnosis::diagnose;
use super::{collection, collection_name};
use crate::error::Failure;
use crate::rows::{columns, row_id};
use crate::store::Open;
use crate::transaction::{Unstored, Work, pause, transact};
use crate::writes::{Verb, Writes};

/// How often a unit is tried again whose refusal nobody can explain: what stood in its way is gone by then.
const TRIES_MAX: u32 = 20;

/// Stores changes that were checked, all or none, and gives the versions after them.
pub(crate) async fn apply(
    open: &Arc<Open>,
    tenant: &TenantId,
    changes: Vec<EntityChange>,
) -> Result<Vec<EntityVersion>, Error> {
    let changes = Arc::new(changes);
    let mut tries = 0;
    loop {
        let stored = match changes.as_slice() {
            [] => Ok(()),
            // A document is stored whole by itself, and the driver repeats that safely.
            [change] => store_alone(open, tenant, change).await,
            _ => {
                let together =
                    Together { open: open.clone(), tenant: tenant.clone(), changes: changes.clone() };
                transact(open, together).await
            }
        };
        let failure = match stored {
            Ok(()) => return Ok(changes.iter().map(EntityChange::version_after).collect()),
            Err(Unstored::Doubtful(failure)) => return Err(Error::unit_uncertain(failure)),
            Err(Unstored::Nothing(failure)) => failure,
        };
        diagnose(open, tenant, &changes, &failure).await?;
        tries += 1;
        let is_gone = matches!(failure, Failure::Missed) || failure.taken_index().is_some();
        let may_pass = is_gone || failure.is_transient();
        if !may_pass || tries == TRIES_MAX {
            return Err(failure.into());
        }
        pause(open, tries).await;
    }
}

/// Stores one change without a transaction.
async fn store_alone(open: &Open, tenant: &TenantId, change: &EntityChange) -> Result<(), Unstored> {
    let rows = collection(open, change.entity());
    let made = match &change.change {
        Change::Create(_) => open.write(rows.insert_one(created(tenant, change))).await.map(|_| 1),
        Change::Update { .. } => {
            let update = rows.update_one(meant(tenant, change), updated(change));
            open.write(update).await.map(|updated| updated.matched_count)
        }
        Change::Delete { .. } => {
            open.write(rows.delete_one(meant(tenant, change))).await.map(|deleted| deleted.deleted_count)
        }
    };
    match made {
        Ok(0) => Err(Unstored::Nothing(Failure::Missed)),
        Ok(_) => Ok(()),
        Err(failure) if failure.is_lost() => Err(Unstored::Doubtful(failure)),
        Err(failure) => Err(Unstored::Nothing(failure)),
    }
}

/// Several changes in one transaction.
struct Together {
    open: Arc<Open>,
    tenant: TenantId,
    changes: Arc<Vec<EntityChange>>,
}

#[async_trait]
impl Work for Together {
    type Done = ();

    async fn run(&self, session: &mut ClientSession) -> Result<(), Failure> {
        for writes in self.writes() {
            let expected = writes.len();
            if writes.send(&self.open, session).await? != expected {
                return Err(Failure::Missed);
            }
        }
        Ok(())
    }
}

impl Together {
    /// The changes in a safe order, those of one kind and one entity together.
    fn writes(&self) -> Vec<Writes> {
        let mut all: Vec<Writes> = Vec::new();
        for at in safe_order(&self.changes) {
            let change = &self.changes[at];
            let (verb, statement) = match &change.change {
                Change::Create(_) => (Verb::Insert, created(&self.tenant, change)),
                Change::Update { .. } => {
                    (Verb::Update, doc! { "q": meant(&self.tenant, change), "u": updated(change) })
                }
                Change::Delete { .. } => {
                    (Verb::Delete, doc! { "q": meant(&self.tenant, change), "limit": 1 })
                }
            };
            let name = collection_name(change.entity());
            if !all.last().is_some_and(|last| last.are_of(verb, &name)) {
                all.push(Writes::new(verb, name));
            }
            if let Some(last) = all.last_mut() {
                last.push(change.bytes(), statement);
            }
        }
        all
    }
}

/// The document of a new entity.
fn created(tenant: &TenantId, change: &EntityChange) -> Document {
    doc! { "_id": row_id(tenant, &change.id), "v": version_after(change), "c": columns_of(change) }
}

/// What an update writes: all columns, so that none stays which the schema does not have.
fn updated(change: &EntityChange) -> Document {
    doc! { "$set": { "v": version_after(change), "c": columns_of(change) } }
}

/// The document that a change is about, at the version that it expects.
fn meant(tenant: &TenantId, change: &EntityChange) -> Document {
    let mut meant = doc! { "_id": row_id(tenant, &change.id) };
    if let Some(expected) = change.expected() {
        meant.insert("v", stored_number(expected.0));
    }
    meant
}

fn version_after(change: &EntityChange) -> i64 {
    stored_number(change.version_after().0)
}

fn columns_of(change: &EntityChange) -> Document {
    columns(&change.schema, change.values().unwrap_or_default())
}
