use std::sync::Arc;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::{
    Checkpoint, Error, Swap, Swept, Timestamp, ViewSchema, ViewTable, check_order_number, no_generation,
    none_replaced, still_read,
};

use super::batch::Batch;
use super::catalogue::{State, Stored, collection_name, in_state, lock_view, no_table, no_view, of};
use crate::error::{Failure, Meaning};
use crate::store::Open;
use crate::transaction::Work;

/// How long a collection that is dropped waits for who uses it.
const DROP_MILLISECONDS: i64 = 1_000;
/// The code of a lock that was not given in time.
const LOCK_TIMEOUT: i32 = 24;

/// Begins the generation of a reserved number: the first of a view, or one that is built beside the one that is read.
pub(crate) struct Begin {
    pub(crate) open: Arc<Open>,
    pub(crate) schema: ViewSchema,
    pub(crate) number: u32,
    pub(crate) start: Checkpoint,
    pub(crate) is_first: bool,
}

#[async_trait]
impl Work for Begin {
    /// Whether it was begun; otherwise its number was swept, or the view has its first generation already.
    type Done = bool;

    async fn run(&self, session: &mut ClientSession) -> Result<bool, Failure> {
        let Self { open, schema, number, start, is_first } = self;
        let name = &schema.name;
        match lock_view(open, session, name).await {
            Ok(_) if *is_first => return Ok(false),
            Ok(generations) => {
                if let Some(begun) = in_state(&generations, State::Building) {
                    discard(open, session, begun).await?;
                }
            }
            Err(_) if *is_first => {}
            Err(failure) => return Err(failure),
        }
        let reserved = doc! { "_id": name, "discarded": i64::from(*number) };
        let begun = doc! { "$pull": { "discarded": i64::from(*number) } };
        let views = open.own("views");
        if views.update_one(reserved, begun).session(&mut *session).await?.matched_count == 0 {
            return Ok(false);
        }
        let state = if *is_first { State::Active } else { State::Building };
        let generation = Stored::document(schema, *number, state, start)?;
        open.own("generations").insert_one(generation).session(session).await?;
        Ok(true)
    }
}

/// Makes a generation the one that is read; false where that one is beyond what the swap allows.
pub(crate) struct Activate {
    pub(crate) open: Arc<Open>,
    pub(crate) table: ViewTable,
    pub(crate) swap: Swap,
}

#[async_trait]
impl Work for Activate {
    type Done = bool;

    async fn run(&self, session: &mut ClientSession) -> Result<bool, Failure> {
        let Self { open, table, swap } = self;
        let name = &table.schema.name;
        let generations = lock_view(open, session, name).await.map_err(|failure| match failure {
            Failure::Answer(Error::NotFound(_)) => no_table(table),
            failure => failure,
        })?;
        let built = in_state(&generations, State::Building).filter(|built| built.number == table.generation);
        let (Some(built), Some(active)) = (built, in_state(&generations, State::Active)) else {
            return Err(no_table(table));
        };
        if let Some(known) = swap.order {
            let view = open.own("views").find_one(doc! { "_id": name }).session(&mut *session).await?;
            check_order_number(name, known, view.as_ref().and_then(order_number))?;
        }
        if swap.unless_beyond.is_some_and(|most| active.checkpoint.position > most) {
            return Ok(false);
        }
        if let Some(batch) = &swap.last {
            Batch { open, table, batch }.store(session).await?;
        }
        replace(open, session, &generations, active, swap.at).await?;
        set_state(open, session, built, State::Active, None).await?;
        Ok(true)
    }
}

/// Makes the generation that was replaced the one that is read again.
pub(crate) struct Revert {
    pub(crate) open: Arc<Open>,
    pub(crate) schema: ViewSchema,
    pub(crate) at: Timestamp,
}

#[async_trait]
impl Work for Revert {
    type Done = u32;

    async fn run(&self, session: &mut ClientSession) -> Result<u32, Failure> {
        let Self { open, schema, at } = self;
        let generations = lock_view(open, session, &schema.name).await?;
        let active = in_state(&generations, State::Active).ok_or_else(|| no_view(&schema.name))?;
        let replaced = in_state(&generations, State::Replaced);
        let replaced = replaced.ok_or_else(|| Failure::Answer(none_replaced(schema)))?;
        if replaced.fingerprint != schema.fingerprint() {
            let reason = schema.difference_from(&replaced.definition);
            return Err(Failure::Answer(Error::ViewChanged { view: schema.name.clone(), reason }));
        }
        set_state(open, session, active, State::Replaced, Some(*at)).await?;
        set_state(open, session, replaced, State::Active, None).await?;
        Ok(replaced.number)
    }
}

/// Gives up a generation that is not read.
pub(crate) struct GiveUp {
    pub(crate) open: Arc<Open>,
    pub(crate) view: String,
    pub(crate) generation: u32,
}

#[async_trait]
impl Work for GiveUp {
    type Done = ();

    async fn run(&self, session: &mut ClientSession) -> Result<(), Failure> {
        let Self { open, view, generation } = self;
        let generations = lock_view(open, session, view).await?;
        match generations.iter().find(|stored| stored.number == *generation) {
            Some(read) if read.state == State::Active => Err(Failure::Answer(still_read(view, *generation))),
            Some(found) => discard(open, session, found).await,
            None => Err(Failure::Answer(no_generation(view, *generation))),
        }
    }
}

/// The number of the order of a view.
pub(super) fn order_number(view: &Document) -> Option<u64> {
    let number = view.get_document("order").ok()?.get_i64("number").ok()?;
    u64::try_from(number).ok()
}

/// Keeps the generation that is read in place of the one that was kept until now.
async fn replace(
    open: &Open,
    session: &mut ClientSession,
    generations: &[Stored],
    active: &Stored,
    at: Timestamp,
) -> Result<(), Failure> {
    if let Some(kept) = in_state(generations, State::Replaced) {
        discard(open, session, kept).await?;
    }
    set_state(open, session, active, State::Replaced, Some(at)).await
}

async fn set_state(
    open: &Open,
    session: &mut ClientSession,
    generation: &Stored,
    state: State,
    at: Option<Timestamp>,
) -> Result<(), Failure> {
    let at = at.map_or(Bson::Null, |at| Bson::Int64(at.as_microsecond()));
    let set = doc! { "$set": { "state": state.text(), "replaced_at": at } };
    let generations = open.own("generations");
    generations.update_one(of(&generation.view, generation.number), set).session(session).await?;
    Ok(())
}

/// Takes a generation out of the catalogue; what it has left is for [`sweep`].
async fn discard(open: &Open, session: &mut ClientSession, generation: &Stored) -> Result<(), Failure> {
    let document = of(&generation.view, generation.number);
    open.own("generations").delete_one(document).session(&mut *session).await?;
    let left = doc! { "$addToSet": { "discarded": i64::from(generation.number) } };
    open.own("views").update_one(doc! { "_id": &generation.view }, left).session(session).await?;
    Ok(())
}

/// Drops the collection of a discarded generation.
pub(crate) async fn sweep(open: &Open) -> Result<Swept, Failure> {
    let left = doc! { "discarded.0": { "$exists": true } };
    let Some(found) = open.read(open.own("views").find_one(left)).await? else { return Ok(Swept::All) };
    let view = found.get_str("_id").unwrap_or_default();
    let first = found.get_array("discarded").ok().and_then(|numbers| numbers.first()?.as_i64());
    let number = first.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
        Failure::damaged(format!("view {view} has a discarded generation without a number"))
    })?;
    let drop = doc! { "drop": collection_name(view, number), "maxTimeMS": DROP_MILLISECONDS };
    match open.write(open.database.run_command(drop)).await {
        Ok(_) => {}
        Err(failure) if failure.meaning() == Some(Meaning::NoSuch) => {}
        Err(failure) if failure.meaning() == Some(Meaning::Slow) || failure.code() == Some(LOCK_TIMEOUT) => {
            return Ok(Swept::Held);
        }
        Err(failure) => return Err(failure),
    }
    let parked = doc! { "view": view, "generation": i64::from(number) };
    open.write(open.own("parked").delete_many(parked)).await?;
    let swept = doc! { "$pull": { "discarded": i64::from(number) } };
    open.write(open.own("views").update_one(doc! { "_id": view }, swept)).await?;
    Ok(Swept::Piece)
}
