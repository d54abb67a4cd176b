use std::future::Future;
use std::pin::Pin;

use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::{safe_order, stored_number};
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId};

use super::diagnosis::diagnose;
use super::{collection, collection_name};
use crate::error::Failure;
use crate::rows::{columns, row_id};
use crate::store::Open;
use crate::transaction::{Unstored, Work, pause, transact};

/// Bytes of changes that are sent at once, well below the largest message that the server takes.
const SENT_BYTES_MAX: usize = 8 << 20;
/// How often a unit is tried again whose refusal nobody can explain: what stood in its way is gone by then.
const TRIES_MAX: u32 = 20;

/// Stores changes that were checked, all or none, and gives the versions after them.
pub(crate) async fn apply(
    open: &Open,
    tenant: &TenantId,
    changes: &[EntityChange],
) -> Result<Vec<EntityVersion>, Error> {
    let mut tries = 0;
    loop {
        let stored = match changes {
            [] => Ok(()),
            // A document is stored whole by itself, and the driver repeats that safely.
            [change] => store_alone(open, tenant, change).await,
            changes => transact(open, &Together { open, tenant, changes }).await,
        };
        let failure = match stored {
            Ok(()) => return Ok(changes.iter().map(EntityChange::version_after).collect()),
            Err(Unstored::Doubtful(failure)) => return Err(Error::unit_uncertain(failure)),
            Err(Unstored::Nothing(failure)) => failure,
        };
        diagnose(open, tenant, changes, &failure).await?;
        tries += 1;
        let may_pass = failure.is_transient() || Missed::is(&failure) || failure.taken_index().is_some();
        if !may_pass || tries == TRIES_MAX {
            return Err(failure.into());
        }
        pause(open, tries).await;
    }
}

/// That a document did not have the version that its change names, or was not there.
pub(crate) struct Missed;

impl Missed {
    const REASON: &str = "a document was changed by others at the same time";

    fn failure() -> Failure {
        Failure::Answer(Error::unavailable(Self::REASON))
    }

    /// Whether a failure is this.
    pub(crate) fn is(failure: &Failure) -> bool {
        matches!(failure, Failure::Answer(Error::Unavailable { reason, .. }) if reason == Self::REASON)
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
        Ok(0) => Err(Unstored::Nothing(Missed::failure())),
        Ok(_) => Ok(()),
        Err(failure) if failure.is_lost() => Err(Unstored::Doubtful(failure)),
        Err(failure) => Err(Unstored::Nothing(failure)),
    }
}

/// Several changes in one transaction.
struct Together<'a> {
    open: &'a Open,
    tenant: &'a TenantId,
    changes: &'a [EntityChange],
}

impl Work for Together<'_> {
    type Done = ();

    fn run<'a>(
        &'a self,
        session: &'a mut ClientSession,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            for (command, expected) in self.commands() {
                let answer = self.open.database.run_command(command).session(&mut *session).await?;
                if let Some(refused) = Failure::refusal_in(&answer) {
                    return Err(refused);
                }
                if answer.get_i32("n").unwrap_or_default() != expected {
                    return Err(Missed::failure());
                }
            }
            Ok(())
        })
    }
}

impl Together<'_> {
    /// The changes in a safe order, those of one kind and one entity together, each with the number of documents that
    /// it changes.
    fn commands(&self) -> Vec<(Document, i32)> {
        let mut commands = Vec::new();
        let mut sent: Option<Sent> = None;
        for at in safe_order(self.changes) {
            let change = &self.changes[at];
            let next = Sent::of(change);
            let open = sent.take_if(|sent| !sent.takes(&next));
            commands.extend(open.map(Sent::command));
            sent.get_or_insert(next).add(change, self.statement(change));
        }
        commands.extend(sent.map(Sent::command));
        commands
    }

    fn statement(&self, change: &EntityChange) -> Document {
        match &change.change {
            Change::Create(_) => created(self.tenant, change),
            Change::Update { .. } => doc! { "q": meant(self.tenant, change), "u": updated(change) },
            Change::Delete { .. } => doc! { "q": meant(self.tenant, change), "limit": 1 },
        }
    }
}

/// Changes of one kind and one entity that are sent at once.
struct Sent {
    verb: &'static str,
    list: &'static str,
    entity: String,
    bytes: usize,
    statements: Vec<Bson>,
}

impl Sent {
    /// None yet, of the kind of this one.
    fn of(change: &EntityChange) -> Self {
        let (verb, list) = match change.change {
            Change::Create(_) => ("insert", "documents"),
            Change::Update { .. } => ("update", "updates"),
            Change::Delete { .. } => ("delete", "deletes"),
        };
        Self { verb, list, entity: change.entity().to_owned(), bytes: change.bytes(), statements: Vec::new() }
    }

    fn takes(&self, next: &Self) -> bool {
        (self.verb, &self.entity) == (next.verb, &next.entity) && self.bytes + next.bytes <= SENT_BYTES_MAX
    }

    fn add(&mut self, change: &EntityChange, statement: Document) {
        if !self.statements.is_empty() {
            self.bytes += change.bytes();
        }
        self.statements.push(Bson::Document(statement));
    }

    fn command(self) -> (Document, i32) {
        // A unit has far fewer changes than that.
        let expected = i32::try_from(self.statements.len()).unwrap_or(i32::MAX);
        (doc! { self.verb: collection_name(&self.entity), self.list: self.statements }, expected)
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
