//! The feed of a view: the rows that meet the filters, and then those that change.
//!
//! ```text
//!  begin ─► rows ── all pages ──► live ─► following ── an event ──► the view is there ──► row or removed ──► following
//!            ▲                                │
//!            └──────────── reset ─────────────┘  another generation is read, or nobody here knows what an event changed
//! ```
//!
//! The rows are read page by page while the view goes on, and changes follow from where the first page was. So whatever
//! changed between two pages comes again, and nothing is missing. Which rows an event changes, the view's code says
//! alone. They are read once the view has come past the event: a row is never older than the event it is given for, and may
//! be newer.
//!
//! An id is the generation and the place in the log: `2.17-9f86d081884c7d65`. It comes with the last row of what one
//! event, or several together, have changed. A client that comes back with it is given every row that changed since. Where
//! another generation is read by then, or too much has happened, it is told to drop what it has, and given all rows.
//! So is one that broke off before it had all of them.
//!
//! Where a view is stopped, the feed waits with it.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use underlay_core::{Checkpoint, Clock, Error, Position, Query, StoreId, Timestamp, Value, ViewSchema};
use underlay_runtime::{Engine, Kept, RowsAt, TailPage, TailReader, ViewAnswer};

use super::body::{Outlet, answer};
use super::end::End;
use super::following::Following;
use super::guard::{Given, Guard};
use super::id::{self, Begin};
use super::rows::{Missed, Rows};
use super::{FEED_HEARTBEAT, FEED_LOOK_INTERVAL, FEED_PAUSE, FEED_RETRY, Shown, frame};
use crate::Principal;
use crate::app::App;
use crate::edge::budget::Place;
use crate::edge::stopping::Stopping;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::view_query::ViewQuery;
use crate::views::cut;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What is asked of a page and of no feed.
const OF_PAGES: [&str; 6] = ["sort", "cursor", "limit", "count", "min_position", "wait"];
/// Rows that are read at once, before the feed is live.
const ROWS_AT_ONCE: usize = 100;
/// Bytes of them, about.
const ROWS_BYTES: usize = 1 << 20;
/// Rows that changed that are read at once.
const CHANGED_AT_ONCE: usize = 64;
/// Positions that may lie between an id and the end of the log; past them all rows are given anew.
const RESUME_POSITIONS_MAX: u64 = 50_000;

/// `GET /v1/views/{view}` as a feed.
pub(crate) async fn follow(
    app: App,
    principal: Principal,
    view: String,
    headers: &HeaderMap,
    stopping: Stopping,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let schema = app.schema(&view)?.clone();
    for name in OF_PAGES {
        if !parameters.take_all(name).is_empty() {
            return Err(Problem::invalid(format!(
                "{name} is for pages; a feed takes filters and a condition alone"
            )));
        }
    }
    let query = ViewQuery::parse(parameters, &schema, app.config().wait_max)?.query;
    let resumed = read_last_id(headers)?;
    let place = app.budgets().clone().follow(&principal.tenant)?;
    let engine = app.engine().clone();
    let store = engine.store().clone();
    // Whether the query is one that can be answered, and of which generation, is known before the feed begins.
    let probe = engine.query(&principal.tenant, &view, &Query { limit: 1, ..query.clone() }).await?;
    let begin = match &resumed {
        None => None,
        Some((generation, begin)) => {
            let begun = begin.find(&*store).await?;
            let gap = store.head().await?.number().saturating_sub(begun.position.number());
            Some(begun).filter(|_| *generation == probe.generation && gap <= RESUME_POSITIONS_MAX)
        }
    };
    let filter = engine.view_filter(&view)?;
    let begins_at = begin.map_or(probe.page.position, |begun| begun.position);
    let given = Given::View(view.clone());
    let following = Following::begin(&app, &principal.tenant, &given);
    let feed = ViewFeed {
        reader: app.tail().follow(&principal.tenant, filter, begins_at),
        rows: app.followed_rows().of(&engine, &view, &principal.tenant),
        guard: Guard::new(app.clone(), headers, &principal, given),
        clock: engine.clock().clone(),
        app,
        principal,
        view,
        schema: Arc::new(schema),
        query,
        place: place.clone(),
        stopping,
        generation: probe.generation,
        said_at: engine.clock().now(),
    };
    let unfinished = unfinished(store.store_id());
    let first = match (&begin, &resumed) {
        (Some(_), _) => First::Changes,
        (None, Some(_)) => First::Reset,
        (None, None) => First::Rows,
    };
    Ok(answer(place, following, move |outlet| async move {
        let opening = match first {
            First::Changes => frame::retry(FEED_RETRY),
            First::Rows | First::Reset => frame::opening(&unfinished, FEED_RETRY),
        };
        outlet.send(opening).await;
        let end = feed.run(first, &outlet).await;
        outlet.end(end).await;
    }))
}

/// What a feed begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// All rows.
    Rows,
    /// That what the client has is of no use, and then all rows.
    Reset,
    /// What has changed since its id.
    Changes,
}

/// `GENERATION.ID`, as a feed gave it.
fn read_last_id(headers: &HeaderMap) -> Result<Option<(u32, Begin)>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.split_once('.'));
    let parsed = parsed.and_then(|(generation, id)| Some((generation.parse().ok()?, Begin::parse(id).ok()?)));
    match parsed {
        Some((generation, begin @ Begin::Resume(..))) => Ok(Some((generation, begin))),
        _ => Err(Problem::invalid("Last-Event-ID is an id that a feed of this view gave")),
    }
}

/// A row, and how far the view was when it was read.
struct GivenRow<'a> {
    schema: &'a ViewSchema,
    key: &'a str,
    values: &'a [Value],
    position: Position,
}

impl Serialize for GivenRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.values.len()))?;
        map.serialize_entry("key", self.key)?;
        for (column, value) in self.schema.columns.iter().zip(self.values) {
            map.serialize_entry(&column.name, value)?;
        }
        map.serialize_entry("position", &self.position)?;
        map.end()
    }
}

/// That no row of a key meets the filters.
#[derive(Serialize)]
struct Removed<'a> {
    key: &'a str,
    position: Position,
}

#[derive(Serialize)]
struct Live {
    position: Position,
}

#[derive(Serialize)]
struct Reset {
    detail: &'static str,
}

/// One client's way along a view.
struct ViewFeed {
    app: App,
    principal: Principal,
    view: String,
    schema: Arc<ViewSchema>,
    query: Query,
    reader: TailReader<Shown>,
    rows: Arc<Rows>,
    guard: Guard,
    clock: Arc<dyn Clock>,
    place: Arc<Place>,
    stopping: Stopping,
    /// Of what the client has.
    generation: u32,
    said_at: Timestamp,
}

/// Why what was being done is left off.
enum Left {
    /// The client has to be given all rows anew.
    Reset,
    /// The feed ends.
    Ends(End),
}

impl From<End> for Left {
    fn from(end: End) -> Self {
        Self::Ends(end)
    }
}

impl ViewFeed {
    async fn run(mut self, first: First, outlet: &Outlet) -> End {
        let stopping = self.stopping.clone();
        let mut following = pin!(async move {
            let mut next = first;
            loop {
                let left = match self.begin(next, outlet).await {
                    Ok(()) => self.follow(outlet).await,
                    Err(left) => left,
                };
                match left {
                    Left::Reset => next = First::Reset,
                    Left::Ends(end) => return end,
                }
            }
        });
        tokio::select! {
            biased;
            () = stopping.stopped() => End::Stopping,
            end = &mut following => end,
        }
    }

    /// Gives all rows, unless what has changed is enough.
    async fn begin(&mut self, first: First, outlet: &Outlet) -> Result<(), Left> {
        if first == First::Changes {
            return Ok(());
        }
        if first == First::Reset {
            let detail = "what is told of the rows before this is no longer so; all of them follow";
            let id = unfinished(self.app.engine().store().store_id());
            self.say(outlet, frame::event(Some(&id), "reset", &json(&Reset { detail })?)).await?;
        }
        let mut query = Query { limit: ROWS_AT_ONCE, after: None, ..self.query.clone() };
        let mut begun: Option<(u32, Position)> = None;
        loop {
            let answer = self.read_page(&query, outlet).await?;
            let (generation, position) = *begun.get_or_insert((answer.generation, answer.page.position));
            if answer.generation != generation {
                return Err(Left::Reset);
            }
            for (key, values) in &answer.page.rows {
                let row = GivenRow { schema: &answer.schema, key, values, position: answer.page.position };
                self.say(outlet, frame::event(None, "row", &json(&row)?)).await?;
            }
            drop(self.place.hold(0, true));
            query.after = answer.page.next;
            if query.after.is_none() {
                self.generation = generation;
                let filter = self.app.engine().view_filter(&self.view).map_err(|_| End::Failed)?;
                self.reader = self.app.tail().follow(&self.principal.tenant, filter, position);
                let id = self.id(outlet).await?;
                return self.say(outlet, frame::event(Some(&id), "live", &json(&Live { position })?)).await;
            }
        }
    }

    /// A page of rows, once the store answers and there is room for it.
    async fn read_page(&mut self, query: &Query, outlet: &Outlet) -> Result<ViewAnswer, Left> {
        loop {
            // Before they are read: who waits for room reads nothing meanwhile.
            if self.place.hold(ROWS_BYTES, false).is_err() {
                self.clock.sleep(FEED_PAUSE).await;
                self.look_around(outlet).await?;
                continue;
            }
            match self.app.engine().query(&self.principal.tenant, &self.view, query).await {
                Ok(mut answer) => {
                    cut(&mut answer, &query.sort, ROWS_BYTES);
                    return Ok(answer);
                }
                Err(error) if error.is_retryable() => {
                    tracing::debug!(%error, "the rows of a feed are read again");
                }
                Err(error) => {
                    tracing::error!(view = self.view, %error, "the rows of a feed cannot be read");
                    return Err(End::Failed.into());
                }
            }
            // To hold nothing is always allowed.
            drop(self.place.hold(0, true));
            self.clock.sleep(FEED_PAUSE).await;
            self.look_around(outlet).await?;
        }
    }

    /// Gives what changes, until something ends that.
    async fn follow(&mut self, outlet: &Outlet) -> Left {
        let clock = self.clock.clone();
        let mut tick = clock.sleep(FEED_LOOK_INTERVAL);
        loop {
            let went_on = tokio::select! {
                biased;
                () = &mut tick => {
                    tick = clock.sleep(FEED_LOOK_INTERVAL);
                    self.look_around_and_at_the_view(outlet).await
                }
                page = self.reader.next() => match page {
                    Ok(page) => self.give(page, outlet).await,
                    Err(Error::CheckpointRefused(_)) => Err(End::Reset.into()),
                    Err(error) if error.is_retryable() => {
                        clock.sleep(FEED_PAUSE).await;
                        Ok(())
                    }
                    Err(error) => {
                        tracing::error!(%error, "a feed failed");
                        Err(End::Failed.into())
                    }
                },
            };
            if let Err(left) = went_on {
                return left;
            }
        }
    }

    /// Gives the rows that events have changed.
    async fn give(&mut self, page: TailPage<Shown>, outlet: &Outlet) -> Result<(), Left> {
        let Some(last) = page.events.last().map(|event| event.record().position) else { return Ok(()) };
        self.guard.check_pace(self.reader.is_left_behind(), self.clock.now())?;
        let mut keys: Vec<String> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for event in &page.events {
            let Some(changed) = event.changed_keys(self.app.engine(), &self.view) else {
                // Once the view is past the event, all rows say what it has changed.
                self.rows_at(&Arc::default(), event.record().position, outlet).await?;
                return Err(Left::Reset);
            };
            keys.extend(changed.iter().filter(|key| seen.insert((*key).clone())).cloned());
        }
        drop(page);
        let mut held_back: Option<(String, Bytes)> = None;
        for some in keys.chunks(CHANGED_AT_ONCE) {
            let some: Arc<[String]> = some.into();
            let read = self.rows_at(&some, last, outlet).await?;
            if read.generation != self.generation {
                return Err(Left::Reset);
            }
            for key in some.iter() {
                let meets = |values: &&Vec<Value>| self.query.meets(&self.schema, values);
                let values = read.rows.get(key).and_then(Option::as_ref).filter(meets);
                let (name, data) = match values {
                    Some(values) => (
                        "row",
                        json(&GivenRow { schema: &read.schema, key, values, position: read.position })?,
                    ),
                    None => ("removed", json(&Removed { key, position: read.position })?),
                };
                // The last one has the id: who has it has all of them.
                if let Some((name, data)) = held_back.replace((name.to_owned(), data.into())) {
                    self.say(outlet, frame::event(None, &name, &data)).await?;
                }
            }
        }
        if let Some((name, data)) = held_back {
            let id = self.id(outlet).await?;
            self.say(outlet, frame::event(Some(&id), &name, &data)).await?;
        }
        Ok(())
    }

    /// Rows by their keys, once the view is there.
    async fn rows_at(
        &mut self,
        keys: &Arc<[String]>,
        position: Position,
        outlet: &Outlet,
    ) -> Result<Arc<RowsAt>, Left> {
        loop {
            match self.rows.at(self.generation, keys, position).await {
                Ok(read) => return Ok(read),
                Err(Missed::ForNow) => self.look_around(outlet).await?,
                Err(Missed::ForGood) => return Err(End::Failed.into()),
            }
        }
    }

    /// Where it is, for a client that comes back.
    async fn id(&mut self, outlet: &Outlet) -> Result<String, Left> {
        loop {
            match self.reader.checkpoint().await {
                Ok(checkpoint) => return Ok(text(self.generation, &checkpoint)),
                Err(error) => tracing::debug!(%error, "a place is asked for again"),
            }
            self.clock.sleep(FEED_PAUSE).await;
            self.look_around(outlet).await?;
        }
    }

    /// Says something to whoever may still hear it.
    async fn say(&mut self, outlet: &Outlet, frame: Bytes) -> Result<(), Left> {
        let now = self.clock.now();
        self.guard.check(now).await?;
        outlet.give(frame).await;
        self.said_at = now;
        Ok(())
    }

    /// Looks whether the client may stay, and says that the feed is there.
    async fn look_around(&mut self, outlet: &Outlet) -> Result<(), Left> {
        let now = self.clock.now();
        self.guard.check(now).await?;
        if self.said_at.saturating_add(FEED_HEARTBEAT).is_ok_and(|due| due <= now) {
            outlet.send(frame::heartbeat(None)).await;
            self.said_at = now;
        }
        Ok(())
    }

    /// The same, between two changes: it says how far it has come, and sees whether another generation is read.
    async fn look_around_and_at_the_view(&mut self, outlet: &Outlet) -> Result<(), Left> {
        let now = self.clock.now();
        self.guard.check(now).await?;
        if is_swapped(self.app.engine(), &self.view, self.generation).await {
            // What everybody knows may be a second old: the rows themselves say which generation is read.
            let query = Query { limit: 1, after: None, ..self.query.clone() };
            if let Ok(answer) = self.app.engine().query(&self.principal.tenant, &self.view, &query).await
                && answer.generation != self.generation
            {
                return Err(Left::Reset);
            }
        }
        if self.said_at.saturating_add(FEED_HEARTBEAT).is_ok_and(|due| due <= now) {
            let id = self.reader.checkpoint().await.ok().map(|place| text(self.generation, &place));
            outlet.send(frame::heartbeat(id.as_deref())).await;
            self.said_at = now;
        }
        Ok(())
    }
}

fn text(generation: u32, checkpoint: &Checkpoint) -> String {
    format!("{generation}.{}", id::text(checkpoint))
}

/// The id of whoever has not been given all rows: of no generation, so that coming back with it resets what they have.
fn unfinished(store: StoreId) -> String {
    text(0, &Checkpoint::start(store))
}

/// Whether another generation seems to be read. Where the store does not say, none is.
async fn is_swapped(engine: &Engine, view: &str, generation: u32) -> bool {
    let Ok(standings) = engine.view_standings().await else { return false };
    standings.views.iter().any(|standing| standing.view == view && standing.generation != generation)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, End> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "a stored row is not JSON");
        End::Failed
    })
}
