//! Where a view stopped, and which events a person ordered it to pass over.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use underlay_core::{Json, ParkedEvent, SkipOrder, SkippedEvent};

use super::catalogue::{State, in_state, lock_view, no_view, of, stored_number_of};
use crate::error::Failure;
use crate::store::Open;
use crate::transaction::Work;

/// Skips the event that the generation that is read is stopped at, or else the one that is built.
pub(crate) struct SkipEvent {
    pub(crate) open: Arc<Open>,
    pub(crate) view: String,
    pub(crate) skip: SkipOrder,
}

#[async_trait]
impl Work for SkipEvent {
    type Done = SkippedEvent;

    async fn run(&self, session: &mut ClientSession) -> Result<SkippedEvent, Failure> {
        let Self { open, view, skip } = self;
        let generations = lock_view(open, session, view).await?;
        let active = in_state(&generations, State::Active).ok_or_else(|| no_view(view))?;
        let built = in_state(&generations, State::Building)
            .filter(|built| !skip.is_about(active.stop.as_ref()) && skip.is_about(built.stop.as_ref()));
        let stopped = built.unwrap_or(active);
        let mut found = open.own("skipped").find(doc! { "view": view }).session(&mut *session).await?;
        let found: Vec<Document> = found.stream(&mut *session).try_collect().await?;
        let before = read(&found, view)?;
        let skipped = skip.of(view, stopped.checkpoint.position, stopped.stop.as_ref(), &before)?;
        // Whoever writes the generation meanwhile is not stored, or this is not.
        let goes_on = doc! { "$set": { "stop": Bson::Null } };
        let generation = of(&stopped.view, stopped.number);
        open.own("generations").update_one(generation, goes_on).session(&mut *session).await?;
        let text = Json::encode(&skipped)?;
        let stored = doc! {
            "view": view,
            "position": stored_number_of(skipped.event.position),
            "skipped": text.as_str(),
        };
        let events = open.own("skipped");
        events.replace_one(id(view, &skipped.event), stored).upsert(true).session(session).await?;
        Ok(skipped)
    }
}

/// Whether a person ordered a view to pass over an event.
pub(crate) async fn is_skipped(
    open: &Open,
    session: &mut ClientSession,
    view: &str,
    event: &ParkedEvent,
) -> Result<bool, Failure> {
    Ok(open.own("skipped").find_one(id(view, event)).session(session).await?.is_some())
}

/// The events of a view that were skipped, in the order of the log.
pub(crate) async fn skipped(open: &Open, view: &str) -> Result<Vec<SkippedEvent>, Failure> {
    let events = open.own("skipped");
    let find = async {
        events.find(doc! { "view": view }).sort(doc! { "position": 1 }).await?.try_collect::<Vec<_>>().await
    };
    read(&open.read(Box::pin(find)).await?, view)
}

pub(super) fn read(found: &[Document], view: &str) -> Result<Vec<SkippedEvent>, Failure> {
    let event = |stored: &Document| {
        let text = stored.get_str("skipped").unwrap_or_default();
        Json::from_stored(text)
            .decode()
            .map_err(|error| Failure::damaged(format!("an event that view {view} skipped: {error}")))
    };
    found.iter().map(event).collect()
}

fn id(view: &str, event: &ParkedEvent) -> Document {
    doc! { "_id": format!("{view}.{}.{}", stored_number_of(event.position), event.event_id.0) }
}
