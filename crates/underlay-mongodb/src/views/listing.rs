use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::adapter::{ListedGeneration, ViewList};
use underlay_core::{Generation, Json, SkippedEvent, StoredOrder, ViewInfo};

use super::catalogue::{State, Stored, parked_event, stored_number_of};
use super::changes::order_number;
use super::stops;
use crate::error::Failure;
use crate::rows::snapshot;
use crate::store::Open;

/// Every view with its generations, of one moment.
pub(crate) async fn list(open: &Open) -> Result<Vec<ViewInfo>, Failure> {
    let mut session = snapshot(open).await?;
    let mut views = HashMap::new();
    for view in all(open, &mut session, "views", doc! {}).await? {
        views.insert(view.get_str("_id").unwrap_or_default().to_owned(), view);
    }
    let found = all(open, &mut session, "generations", doc! {}).await?;
    let mut generations = found.iter().map(Stored::read).collect::<Result<Vec<_>, _>>()?;
    // The one that is read comes first of each view.
    generations.sort_by(|a, b| {
        let place = |stored: &Stored| (stored.view.clone(), stored.state != State::Active, stored.number);
        place(a).cmp(&place(b))
    });
    let mut listed = ViewList::default();
    for stored in generations {
        let view = views.get(&stored.view);
        let of_view = all(open, &mut session, "skipped", doc! { "view": &stored.view }).await?;
        let skipped = stops::read(&of_view, &stored.view)?;
        let (name, is_read) = (stored.view.clone(), stored.state == State::Active);
        let listed_generation = ListedGeneration {
            generation: Generation {
                number: stored.number,
                fingerprint: stored.fingerprint,
                checkpoint: stored.checkpoint,
                parked: parked(open, &mut session, &stored).await?,
                skipped: parked_and_skipped(open, &mut session, &stored, &skipped).await?,
            },
            is_read,
            replaced_at: stored.replaced_at,
            discarded: view.and_then(|view| view.get_array("discarded").ok()).map_or(0, Vec::len) as u64,
            stop: stored.stop,
            order: view.filter(|_| is_read).and_then(order),
        };
        listed.push(name, listed_generation)?;
    }
    Ok(listed.into_views())
}

fn order(view: &Document) -> Option<StoredOrder> {
    let body = view.get_document("order").ok()?.get_str("body").ok()?;
    Some(StoredOrder { number: order_number(view)?, body: Json::from_stored(body) })
}

async fn all(
    open: &Open,
    session: &mut ClientSession,
    of: &str,
    filter: Document,
) -> Result<Vec<Document>, Failure> {
    let documents = open.as_of_snapshot(&open.own(of));
    let find = async {
        let mut found = documents.find(filter).session(&mut *session).await?;
        found.stream(session).try_collect().await
    };
    open.read(Box::pin(find)).await
}

/// How many events a generation has passed over.
async fn parked(open: &Open, session: &mut ClientSession, of: &Stored) -> Result<u64, Failure> {
    let events = open.as_of_snapshot(&open.own("parked"));
    let filter = doc! { "view": &of.view, "generation": i64::from(of.number) };
    open.read(Box::pin(async { events.count_documents(filter).session(session).await })).await
}

/// How many of them a person has skipped.
async fn parked_and_skipped(
    open: &Open,
    session: &mut ClientSession,
    of: &Stored,
    skipped: &[SkippedEvent],
) -> Result<u64, Failure> {
    if skipped.is_empty() {
        return Ok(0);
    }
    let positions: Vec<Bson> =
        skipped.iter().map(|skipped| Bson::Int64(stored_number_of(skipped.event.position))).collect();
    let filter =
        doc! { "view": &of.view, "generation": i64::from(of.number), "position": { "$in": positions } };
    let mut count = 0;
    for found in all(open, session, "parked", filter).await? {
        let event = parked_event(&found)?;
        count += u64::from(skipped.iter().any(|skipped| skipped.is_of(&event)));
    }
    Ok(count)
}
