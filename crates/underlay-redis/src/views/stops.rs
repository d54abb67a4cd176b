//! Where a view stopped, and which events a person ordered it to pass over.

use std::sync::LazyLock;

use redis::Script;
use underlay_core::{Error, Json, SkipOrder, SkippedEvent};

use super::catalogue::{DOING, event_key, no_view};
use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

static SKIP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../scripts/skip_event.lua")));

/// How often it is looked again where others change the view.
const TRIES_MAX: usize = 16;

impl RedisStore {
    /// Skips the event that the generation that is read is stopped at, or else the one that is built.
    pub(crate) async fn skip_event(&self, name: &str, skip: &SkipOrder) -> Result<SkippedEvent, Error> {
        for _ in 0..TRIES_MAX {
            let view = self.stored_view(name).await?;
            let active = view.generation("active").ok_or_else(|| no_view(name))?;
            let mut stopped = (active, view.stop(active)?);
            if let Some(building) = view.generation("building").filter(|_| !skip.is_about(stopped.1.as_ref()))
            {
                let stop = view.stop(building)?;
                if skip.is_about(stop.as_ref()) {
                    stopped = (building, stop);
                }
            }
            let (number, stop) = stopped;
            let at = view.checkpoint(number)?.position;
            let skipped = skip.of(name, at, stop.as_ref(), &view.skipped)?;
            let mut script = SKIP.prepare_invoke();
            script.key(self.0.keys.view(name)).key(self.0.keys.skipped(name));
            script.arg(number).arg(view.stop_text(number)).arg(view.skipped.len());
            script.arg(event_key(&skipped.event)).arg(Json::encode(&skipped)?.as_str());
            if self.ask::<bool>(DOING, Effect::Change, Asked::Script(&script)).await? {
                return Ok(skipped);
            }
        }
        Err(Error::unavailable(format!("view {name} is being changed by others; nothing was stored")))
    }

    /// The events of a view that were skipped, in the order of the log.
    pub(crate) async fn skipped_events(&self, name: &str) -> Result<Vec<SkippedEvent>, Error> {
        Ok(self.stored_view(name).await?.skipped)
    }
}
