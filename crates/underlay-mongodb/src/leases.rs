use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::options::ReturnDocument;
use underlay_core::adapter::{stored_number, stored_time};
use underlay_core::{Error, Lease, LeaseId, LeaseTerm, Leases, check_lease};
use uuid::Uuid;

use crate::error::{Failure, Meaning};
use crate::store::{MongoStore, Open};

/// A lease that a person gave back, or that ran out, ends here.
const FREE: i64 = i64::MIN;

#[async_trait]
impl Leases for MongoStore {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        check_lease(name, holder, duration)?;
        let (open, id) = (&self.0, LeaseId::draw());
        let _turn = open.turn(None).await?;
        // Where it is held it stays as it is, and the id that comes back is its holder's.
        let is_free = doc! { "$lte": [{ "$ifNull": ["$until", FREE] }, now(open)] };
        let if_free = |new: Bson, field: &str| doc! { "$cond": ["$is_free", new, field] };
        let next = Bson::from(doc! { "$add": [{ "$ifNull": ["$term", 0_i64] }, 1_i64] });
        let taken = vec![
            doc! { "$set": { "is_free": is_free } },
            doc! { "$set": {
                "term": if_free(next, "$term"),
                "id": if_free(stored_id(id.0), "$id"),
                "holder": if_free(Bson::from(doc! { "$literal": holder }), "$holder"),
                "until": if_free(end(open, duration), "$until"),
            } },
            doc! { "$unset": "is_free" },
        ];
        let leases = open.own("leases");
        let take = leases
            .find_one_and_update(doc! { "_id": name }, taken)
            .upsert(true)
            .return_document(ReturnDocument::After);
        let stored = match open.write(take).await {
            // Another one made it at the same moment.
            Err(failure) if failure.meaning() == Some(Meaning::Taken) => return Ok(None),
            stored => stored?,
        };
        let there = stored.map(|stored| lease(name, &stored)).transpose()?;
        Ok(there.filter(|there| there.id == id))
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        check_lease(&lease.name, &lease.holder, duration)?;
        let open = &self.0;
        let _turn = open.turn(None).await?;
        let renewed = vec![doc! { "$set": { "until": end(open, duration) } }];
        let leases = open.own("leases");
        let renew = leases
            .find_one_and_update(held(open, &lease.term()), renewed)
            .return_document(ReturnDocument::After);
        let renewed = open.write(renew).await?.ok_or_else(|| lease.term().lost())?;
        Ok(self::lease(&lease.name, &renewed)?)
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        let open = &self.0;
        let _turn = open.turn(None).await?;
        let held = doc! { "_id": name, "$expr": { "$gt": ["$until", now(open)] } };
        let found = open.read(open.own("leases").find_one(held)).await?;
        Ok(found.map(|found| lease(name, &found)).transpose()?)
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let open = &self.0;
        let _turn = open.turn(None).await?;
        // Kept, so that the next holder has a higher term.
        let free = doc! { "$set": { "until": FREE } };
        open.write(open.own("leases").update_one(of_term(&lease.term()), free)).await?;
        Ok(())
    }
}

/// The lease of a term, held or not.
fn of_term(term: &LeaseTerm) -> Document {
    doc! { "_id": &term.name, "term": stored_number(term.term), "id": stored_id(term.id.0) }
}

/// The lease of a term, while it is held.
pub(crate) fn held(open: &Open, term: &LeaseTerm) -> Document {
    let mut held = of_term(term);
    held.insert("$expr", doc! { "$gt": ["$until", now(open)] });
    held
}

/// The microseconds since 1970, by the clock that leases run out by.
fn now(open: &Open) -> Bson {
    match &open.config.clock {
        Some(clock) => Bson::Int64(clock.now().as_microsecond()),
        None => Bson::Document(doc! { "$multiply": [{ "$toLong": "$$NOW" }, 1_000_i64] }),
    }
}

fn end(open: &Open, duration: Duration) -> Bson {
    // A limit of the core keeps it far below the end of the type.
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Bson::Document(doc! { "$add": [now(open), microseconds] })
}

/// An id as it is stored.
pub(crate) fn stored_id(id: Uuid) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

/// An id that was stored.
pub(crate) fn id_in(stored: &Document, field: &str) -> Option<Uuid> {
    match stored.get(field) {
        Some(Bson::Binary(binary)) => Uuid::from_slice(&binary.bytes).ok(),
        _ => None,
    }
}

fn lease(name: &str, stored: &Document) -> Result<Lease, Failure> {
    let read = || {
        Some(Lease {
            name: name.to_owned(),
            holder: stored.get_str("holder").ok()?.to_owned(),
            term: stored.get_i64("term").ok().and_then(|term| u64::try_from(term).ok())?,
            id: LeaseId(id_in(stored, "id")?),
            expires_at: stored_time(stored.get_i64("until").ok()?)?,
        })
    };
    read().ok_or_else(|| Failure::damaged(format!("lease {name:?} cannot be read")))
}
