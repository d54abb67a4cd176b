//! Which views there are, in which generations, and how far each has come.
//!
//! ```text
//!  reserved ──► building ──► active ──► replaced ──► active …
//!     │            │                        │
//!     └────────────┴──► discarded ◄─────────┘ ──► its collection is dropped
//! ```
//!
//! A number is reserved as one that is discarded, and its collection is made before the generation is begun: what a
//! process leaves half made is swept. Only the generation that is active and the one being built answer. Whoever changes
//! the generations of a view changes its document too, so that they follow each other.

use futures_util::TryStreamExt as _;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, Collection};
use underlay_core::adapter::{stored_number, stored_time};
use underlay_core::{
    Checkpoint, Error, EventId, Fingerprint, Json, ParkedEvent, Position, StoreId, StreamName, TenantId,
    Timestamp, Version, ViewSchema, ViewStop, ViewTable, no_generation, order_moved,
};

use crate::error::Failure;
use crate::leases::{id_in, stored_id};
use crate::rows::{index_specs, validator};
use crate::store::Open;

/// The code of a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// A generation as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) view: String,
    pub(crate) number: u32,
    pub(crate) state: State,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) definition: String,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) stop: Option<ViewStop>,
    /// When it stopped being the one that is read.
    pub(crate) replaced_at: Option<Timestamp>,
}

/// What a generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Building,
    Active,
    Replaced,
}

impl State {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Replaced => "replaced",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Building, Self::Active, Self::Replaced].into_iter().find(|state| state.text() == text)
    }
}

impl Stored {
    /// A new generation that is built.
    pub(crate) fn document(
        schema: &ViewSchema,
        number: u32,
        state: State,
        start: &Checkpoint,
    ) -> Result<Document, Error> {
        let definition = serde_json::to_string(schema)
            .map_err(|error| Error::invalid(format!("view {} has no JSON form: {error}", schema.name)))?;
        let mut document = of(&schema.name, number);
        document.extend(doc! {
            "view": &schema.name,
            "number": i64::from(number),
            "state": state.text(),
            "fingerprint": stored_fingerprint(schema),
            "definition": definition,
            "checkpoint": stored_checkpoint(start),
            "stop": Bson::Null,
            "replaced_at": Bson::Null,
        });
        Ok(document)
    }

    pub(crate) fn read(stored: &Document) -> Result<Self, Failure> {
        let read = || {
            let checkpoint = stored.get_document("checkpoint").ok()?;
            let fingerprint = match stored.get("fingerprint")? {
                Bson::Binary(binary) => Fingerprint(binary.bytes.as_slice().try_into().ok()?),
                _ => return None,
            };
            let position = u64::try_from(checkpoint.get_i64("position").ok()?).ok()?;
            Some(Self {
                view: stored.get_str("view").ok()?.to_owned(),
                number: u32::try_from(stored.get_i64("number").ok()?).ok()?,
                state: State::read(stored.get_str("state").ok()?)?,
                fingerprint,
                definition: stored.get_str("definition").ok()?.to_owned(),
                checkpoint: Checkpoint {
                    store: StoreId(id_in(checkpoint, "store")?),
                    position: Position::from_number(position),
                    event_id: id_in(checkpoint, "event_id").map(EventId),
                },
                stop: None,
                replaced_at: stored.get_i64("replaced_at").ok().and_then(stored_time),
            })
        };
        let id = stored.get_str("_id").unwrap_or("?");
        let mut found =
            read().ok_or_else(|| Failure::damaged(format!("generation {id} of a view cannot be read")))?;
        if let Ok(text) = stored.get_str("stop") {
            let stop = ViewStop::from_stored(&Json::from_stored(text));
            found.stop =
                Some(stop.map_err(|error| {
                    Failure::damaged(format!("where view {} stopped: {error}", found.view))
                })?);
        }
        Ok(found)
    }

    /// Whether it answers.
    pub(crate) fn answers(&self) -> bool {
        self.state != State::Replaced
    }
}

/// The document of a generation.
pub(crate) fn of(view: &str, number: u32) -> Document {
    doc! { "_id": format!("{view}.{number}") }
}

pub(crate) fn stored_fingerprint(schema: &ViewSchema) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: schema.fingerprint().0.to_vec() })
}

pub(crate) fn stored_checkpoint(checkpoint: &Checkpoint) -> Document {
    doc! {
        "store": stored_id(checkpoint.store.0),
        "position": stored_number(checkpoint.position.number()),
        "event_id": checkpoint.event_id.map_or(Bson::Null, |id| stored_id(id.0)),
    }
}

/// The rows of a generation.
pub(crate) fn collection(open: &Open, view: &str, generation: u32) -> Collection<Document> {
    open.database.collection(&collection_name(view, generation))
}

pub(crate) fn collection_name(view: &str, generation: u32) -> String {
    format!("view_{view}.{generation}")
}

pub(crate) fn no_table(table: &ViewTable) -> Failure {
    Failure::Answer(no_generation(&table.schema.name, table.generation))
}

pub(crate) fn no_view(view: &str) -> Failure {
    Failure::Answer(Error::NotFound(format!("view {view}")))
}

/// A number of a place in the log.
pub(crate) fn stored_number_of(position: Position) -> i64 {
    stored_number(position.number())
}

/// The generation that is read; none where the view is not there.
pub(crate) async fn active(open: &Open, view: &str) -> Result<Option<Stored>, Failure> {
    let generations = open.own("generations");
    let find = generations.find_one(doc! { "view": view, "state": State::Active.text() });
    open.read(find).await?.as_ref().map(Stored::read).transpose()
}

/// A generation that answers.
///
/// # Errors
/// `NotFound` where there is none.
pub(crate) async fn answering(open: &Open, table: &ViewTable) -> Result<Stored, Failure> {
    let generations = open.own("generations");
    let find = generations.find_one(of(&table.schema.name, table.generation));
    answer(open.read(find).await?.as_ref(), table)
}

/// The same in a transaction or a snapshot, which `generations` are read in.
pub(crate) async fn answering_in(
    open: &Open,
    generations: &Collection<Document>,
    session: &mut ClientSession,
    table: &ViewTable,
) -> Result<Stored, Failure> {
    let find = generations.find_one(of(&table.schema.name, table.generation));
    let found = open.read(Box::pin(async { find.session(session).await })).await?;
    answer(found.as_ref(), table)
}

fn answer(found: Option<&Document>, table: &ViewTable) -> Result<Stored, Failure> {
    let found = found.map(Stored::read).transpose()?;
    found.filter(Stored::answers).ok_or_else(|| no_table(table))
}

/// Every generation of a view, for who changes them in a transaction: others do so after it.
///
/// # Errors
/// `NotFound` where there is no such view.
pub(crate) async fn lock_view(
    open: &Open,
    session: &mut ClientSession,
    view: &str,
) -> Result<Vec<Stored>, Failure> {
    let views = open.own("views");
    views
        .update_one(doc! { "_id": view }, doc! { "$inc": { "changes": 1_i64 } })
        .session(&mut *session)
        .await?;
    let generations = open.own("generations");
    let mut found = generations.find(doc! { "view": view }).session(&mut *session).await?;
    let found: Vec<Document> = found.stream(session).try_collect().await?;
    let found = found.iter().map(Stored::read).collect::<Result<Vec<_>, _>>()?;
    // One of them is read as soon as there is the view.
    if found.iter().any(|generation| generation.state == State::Active) {
        Ok(found)
    } else {
        Err(no_view(view))
    }
}

/// The one of these that is in a state.
pub(crate) fn in_state(generations: &[Stored], state: State) -> Option<&Stored> {
    generations.iter().find(|generation| generation.state == state)
}

/// Gives the next number of a view, as one that is discarded until it is begun.
pub(crate) async fn reserve(open: &Open, view: &str) -> Result<u32, Failure> {
    let next = vec![
        doc! { "$set": { "last": { "$add": [{ "$ifNull": ["$last", 0_i64] }, 1_i64] } } },
        doc! { "$set": {
            "discarded": { "$concatArrays": [{ "$ifNull": ["$discarded", []] }, ["$last"]] },
        } },
    ];
    let views = open.own("views");
    let reserve = views
        .find_one_and_update(doc! { "_id": view }, next)
        .upsert(true)
        .return_document(ReturnDocument::After);
    let reserved = open.write(reserve).await?.and_then(|view| view.get_i64("last").ok());
    reserved
        .and_then(|last| u32::try_from(last).ok())
        .ok_or_else(|| Failure::damaged(format!("view {view} has no number for a generation")))
}

/// Makes the collection of a generation.
pub(crate) async fn make_collection(
    open: &Open,
    schema: &ViewSchema,
    generation: u32,
) -> Result<(), Failure> {
    let name = collection_name(&schema.name, generation);
    let create = open.database.create_collection(&name).validator(validator(schema, false));
    match open.make(create).await {
        Err(failure) if failure.code() != Some(NAMESPACE_EXISTS) => return Err(failure),
        _ => {}
    }
    let indexed = schema.columns.iter().filter(|column| column.indexed);
    let indexes = index_specs(indexed.map(|column| column.name.as_str()));
    if !indexes.is_empty() {
        open.make(open.database.run_command(doc! { "createIndexes": name, "indexes": indexes })).await?;
    }
    Ok(())
}

/// Stores an order in place of the one with the number that is known.
pub(crate) async fn put_order(open: &Open, view: &str, known: u64, body: &Json) -> Result<u64, Failure> {
    active(open, view).await?.ok_or_else(|| no_view(view))?;
    let mut there = doc! { "_id": view };
    let number = stored_number(known);
    there.insert("order.number", if known == 0 { Bson::Null } else { Bson::Int64(number) });
    let order = doc! { "number": number.saturating_add(1), "body": body.as_str() };
    let views = open.own("views");
    let put = open.write(views.update_one(there, doc! { "$set": { "order": order } })).await?;
    if put.matched_count == 0 {
        return Err(Failure::Answer(order_moved(view)));
    }
    Ok(known + 1)
}

/// An event that was passed over, as it is stored.
pub(crate) fn parked_event(stored: &Document) -> Result<ParkedEvent, Failure> {
    let number = |field: &str| stored.get_i64(field).ok().and_then(|number| u64::try_from(number).ok());
    let read = || {
        Some(ParkedEvent {
            tenant: TenantId::new(stored.get_str("tenant").ok()?).ok()?,
            position: Position::from_number(number("position")?),
            stream: StreamName::parse(stored.get_str("stream").ok()?).ok()?,
            version: Version(number("version")?),
            event_id: EventId(id_in(stored, "event_id")?),
            reason: stored.get_str("reason").ok()?.to_owned(),
        })
    };
    read().ok_or_else(|| Failure::damaged("an event that was passed over cannot be read"))
}
