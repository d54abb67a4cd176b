//! The feed of a tenant's log.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use underlay_core::{Clock, Error, Position, StoreId, Timestamp};
use underlay_runtime::{EventFilter, Kept, TailPage, TailReader};

use super::body::{Outlet, answer};
use super::end::End;
use super::following::Following;
use super::guard::{Given, Guard};
use super::id::Begin;
use super::{FEED_HEARTBEAT, FEED_LOOK_INTERVAL, FEED_PAUSE, FEED_RETRY, Form, Shown, frame, id};
use crate::Principal;
use crate::app::App;
use crate::edge::budget::Place;
use crate::edge::stopping::Stopping;
use crate::events::{FILTERS, take_filter};
use crate::parameters::Parameters;
use crate::problem::Problem;

/// What a page takes and a feed does not.
const OF_PAGES: [&str; 4] = ["limit", "order", "from", "until"];

/// `GET /v1/events` as a feed: everything that happens in the tenant, after an id or from now on.
pub(crate) async fn follow(
    app: App,
    principal: Principal,
    headers: &HeaderMap,
    stopping: Stopping,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let begin = Begin::take(&mut parameters, headers)?;
    let filter = take_filter(&mut parameters)?;
    let form = Form::take(&mut parameters)?;
    for name in OF_PAGES {
        if parameters.take(name)?.is_some() {
            return Err(Problem::invalid(format!(
                "{name} is for pages: a feed gives what happens from after on, in order, and does not end"
            )));
        }
    }
    parameters.finish(&["after"].iter().chain(&FILTERS).chain(&["format"]).copied().collect::<Vec<_>>())?;
    let place = app.budgets().clone().follow(&principal.tenant)?;
    let store = app.engine().store();
    let begins_at = begin.find(&**store).await?;
    let opening = frame::opening(&id::text(&begins_at), FEED_RETRY);
    let feed = EventFeed {
        reader: app.tail().follow(&principal.tenant, filter.of_log(), begins_at.position),
        filter,
        guard: Guard::new(app.clone(), headers, &principal, Given::Log),
        clock: app.engine().clock().clone(),
        store: store.store_id(),
        place: place.clone(),
        stopping,
        form,
        said_at: app.engine().clock().now(),
    };
    let following = Following::begin(&app, &principal.tenant, &Given::Log);
    Ok(answer(place, following, move |outlet| async move {
        outlet.send(opening).await;
        let end = feed.run(&outlet).await;
        outlet.end(end).await;
    }))
}

/// One client's way along the log.
struct EventFeed {
    reader: TailReader<Shown>,
    /// What the tail does not leave out for everybody.
    filter: EventFilter,
    guard: Guard,
    clock: Arc<dyn Clock>,
    store: StoreId,
    place: Arc<Place>,
    stopping: Stopping,
    form: Form,
    /// When it last said something.
    said_at: Timestamp,
}

impl EventFeed {
    /// Follows until something ends it.
    async fn run(mut self, outlet: &Outlet) -> End {
        let stopping = self.stopping.clone();
        tokio::select! {
            biased;
            // Also within a page: its client may take long over it.
            () = stopping.stopped() => End::Stopping,
            end = self.follow(outlet) => end,
        }
    }

    async fn follow(&mut self, outlet: &Outlet) -> End {
        let clock = self.clock.clone();
        let interval = if self.guard.looks() { FEED_LOOK_INTERVAL } else { FEED_HEARTBEAT };
        let mut tick = clock.sleep(interval);
        loop {
            let before = self.reader.position();
            let went_on = tokio::select! {
                biased;
                () = &mut tick => {
                    tick = clock.sleep(interval);
                    self.look_around(outlet).await
                }
                page = self.reader.next() => match page {
                    Ok(page) => self.give(page, before, outlet).await,
                    Err(error) => self.bear(error).await,
                },
            };
            if let Err(end) = went_on {
                return end;
            }
        }
    }

    /// Gives what has come.
    async fn give(&mut self, page: TailPage<Shown>, before: Position, outlet: &Outlet) -> Result<(), End> {
        self.guard.check_pace(self.reader.is_left_behind(), self.clock.now())?;
        if !page.is_shared {
            // Nobody else has it in memory: it counts for its tenant.
            let bytes = page.events.iter().map(|event| event.bytes()).sum();
            if self.place.hold(bytes, false).is_err() {
                drop(page);
                self.reader.go_back(before);
                self.clock.sleep(FEED_PAUSE).await;
                return Ok(());
            }
        }
        for event in page.events {
            if !self.filter.allows(event.record()) {
                continue;
            }
            let now = self.clock.now();
            self.guard.check(now).await?;
            let Some(frame) = event.frame(self.form, self.store) else { return Err(End::Failed) };
            outlet.give(frame).await;
            self.said_at = now;
        }
        if !page.is_shared {
            // To hold nothing is always allowed.
            drop(self.place.hold(0, true));
        }
        Ok(())
    }

    /// Looks whether the client may stay, and says that the feed is there.
    async fn look_around(&mut self, outlet: &Outlet) -> Result<(), End> {
        let now = self.clock.now();
        self.guard.check(now).await?;
        self.guard.check_pace(self.reader.is_left_behind(), now)?;
        if self.said_at.saturating_add(FEED_HEARTBEAT).is_ok_and(|due| due <= now) {
            let id = match self.reader.checkpoint().await {
                Ok(checkpoint) => Some(id::text(&checkpoint)),
                Err(error) => {
                    tracing::debug!(%error, "a heartbeat says no place");
                    None
                }
            };
            outlet.send(frame::heartbeat(id.as_deref())).await;
            self.said_at = now;
        }
        Ok(())
    }

    /// What the store says of a page of its own.
    async fn bear(&mut self, error: Error) -> Result<(), End> {
        match error {
            Error::CheckpointRefused(_) => Err(End::Reset),
            error if error.is_retryable() => {
                tracing::debug!(%error, "a feed tries again");
                self.clock.sleep(FEED_PAUSE).await;
                Ok(())
            }
            error => {
                tracing::error!(%error, "a feed failed");
                Err(End::Failed)
            }
        }
    }
}
