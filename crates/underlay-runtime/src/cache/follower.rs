//! Follows the log for the cache: what an event makes stale is taken away, in every process and in the outer tier.
//!
//! ```text
//!  log ── page ──► CacheFollower, in every process ─────► both tiers
//!     └── page ──► pump `underlay_cache`, in one process ► both tiers       only where there is an outer tier
//! ```
//!
//! The follower begins at the end of the log and takes everything away from the process then, since nobody knows which events
//! came before that. It does so again where an older copy of the log was restored. What the outer tier has it cannot know: events may
//! have been stored while no process was there. So a pump goes through the log from where the last one was, and invalidates
//! whatever events came meanwhile.
//!
//! Where the tags of an event cannot be told, since its payload does not decode or the code panics, all values of its
//! tenant are taken away.

use std::collections::{BTreeMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use underlay_core::{
    Cache, Checkpoint, Error, Event, EventType, HandlerError, LogFilter, LogPage, ProcessStart, Recorded,
    RecordedEvent, Sink,
};

use super::TieredCache;
use crate::commands::guarded;
use crate::stops::Stops;
use crate::subscription::{Live, LiveLog, RecentLog};

/// The pump that keeps the outer tier true.
pub(crate) const CACHE_PUMP: &str = "underlay_cache";

/// What events take away from the cache, by their types.
#[derive(Clone, Default)]
pub(crate) struct Invalidations(BTreeMap<&'static str, Vec<Arc<dyn Invalidates>>>);

/// What an event takes away, without its type.
trait Invalidates: Send + Sync {
    fn tags(&self, event: &RecordedEvent) -> Result<Vec<String>, Error>;
}

struct By<E, F> {
    tags: F,
    of: PhantomData<fn() -> E>,
}

impl<E: Event, F: Fn(&Recorded<E>) -> Vec<String> + Send + Sync> Invalidates for By<E, F> {
    fn tags(&self, event: &RecordedEvent) -> Result<Vec<String>, Error> {
        let name = event.event_type.as_str();
        let decoded = Recorded::<E>::decode(event.clone());
        match decoded
            .map_err(|error| Error::Damaged(format!("event {} ({name}): {error}", event.event_id)))?
        {
            Some(event) => {
                guarded(|| format!("what {name} takes away from the cache"), || (self.tags)(&event))
            }
            None => Ok(Vec::new()),
        }
    }
}

impl Invalidations {
    pub(crate) fn add<E: Event>(
        &mut self,
        tags: impl Fn(&Recorded<E>) -> Vec<String> + Send + Sync + 'static,
    ) {
        let by: Arc<dyn Invalidates> = Arc::new(By::<E, _> { tags, of: PhantomData });
        for descriptor in E::descriptors() {
            self.0.entry(descriptor.name).or_default().push(by.clone());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The types of the events that take something away.
    pub(crate) fn event_types(&self) -> impl Iterator<Item = &&'static str> {
        self.0.keys()
    }

    fn filter(&self) -> Result<LogFilter, Error> {
        let types: Result<Vec<EventType>, Error> = self.0.keys().map(|name| EventType::new(*name)).collect();
        Ok(LogFilter { event_types: types?, ..LogFilter::default() })
    }

    fn tags(&self, event: &RecordedEvent) -> Result<Vec<String>, Error> {
        let mut tags = Vec::new();
        for by in self.0.get(event.event_type.as_str()).into_iter().flatten() {
            tags.extend(by.tags(event)?);
        }
        Ok(tags)
    }
}

/// Takes away from a cache what events make stale.
#[derive(Clone)]
pub(crate) struct Invalidator {
    cache: TieredCache,
    invalidations: Arc<Invalidations>,
    filter: LogFilter,
}

impl Invalidator {
    /// # Errors
    /// [`Error::Invalid`] where the name of a type is none.
    pub(crate) fn new(cache: &TieredCache, invalidations: &Invalidations) -> Result<Self, Error> {
        let filter = invalidations.filter()?;
        Ok(Self { cache: cache.clone(), invalidations: Arc::new(invalidations.clone()), filter })
    }

    /// Takes away what events make stale.
    async fn take(&self, events: &[RecordedEvent]) {
        let mut ended = HashSet::new();
        for event in events {
            let told = match self.invalidations.tags(event) {
                Ok(tags) => self.invalidate(event, tags, &mut ended).await,
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                let (tenant, position) = (event.tenant.as_str(), event.position.to_string());
                tracing::warn!(%error, tenant, position, "what an event takes away from the cache cannot be told; all of its tenant is");
                if let Err(error) = self.cache.clear(&event.tenant).await {
                    tracing::error!(%error, tenant, "the values of a tenant cannot be taken away from the cache");
                }
            }
        }
    }

    async fn invalidate<'e>(
        &self,
        event: &'e RecordedEvent,
        tags: Vec<String>,
        ended: &mut HashSet<(&'e str, String)>,
    ) -> Result<(), Error> {
        for tag in tags {
            // Once for a page: what it has was stored before the page was read.
            if ended.insert((event.tenant.as_str(), tag.clone())) {
                self.cache.invalidate(&event.tenant, &tag).await?;
            }
        }
        Ok(())
    }

    /// Follows the log from its end on, until the answer is stopped or dropped.
    pub(crate) fn start(&self, log: &LiveLog<'_>, recent_log: &Arc<RecentLog>) -> RunningFollower {
        let mut stops = Stops::default();
        let page_events_max = log.config.pump_batch_events_max;
        let follower =
            CacheFollower { invalidator: self.clone(), recent_log: recent_log.clone(), page_events_max };
        let task = tokio::spawn(log.follow(follower, None, stops.add()).run());
        RunningFollower { stops, task }
    }
}

/// What follows the log for the cache of this process.
#[derive(Debug)]
pub(crate) struct RunningFollower {
    stops: Stops,
    task: JoinHandle<()>,
}

impl RunningFollower {
    pub(crate) async fn stop(self) {
        self.stops.stop();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "what follows the log for the cache ended badly");
        }
    }
}

struct CacheFollower {
    invalidator: Invalidator,
    recent_log: Arc<RecentLog>,
    page_events_max: usize,
}

impl Live for CacheFollower {
    fn name(&self) -> &str {
        "cache"
    }

    async fn read(&self, after: &Checkpoint) -> Result<LogPage, Error> {
        self.recent_log.read(after, &self.invalidator.filter, self.page_events_max).await
    }

    fn begin(&mut self, _: Checkpoint) {
        self.invalidator.cache.forget();
    }

    fn lose_place(&mut self, _: &str) {}

    async fn take(&mut self, events: Vec<RecordedEvent>, _: Checkpoint) -> Result<(), Error> {
        self.invalidator.take(&events).await;
        Ok(())
    }

    async fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Sink for Invalidator {
    async fn take(&self, events: &[RecordedEvent]) -> Result<(), HandlerError> {
        Invalidator::take(self, events).await;
        Ok(())
    }

    fn filter(&self) -> LogFilter {
        self.filter.clone()
    }

    fn start(&self) -> ProcessStart {
        ProcessStart::Now
    }
}
