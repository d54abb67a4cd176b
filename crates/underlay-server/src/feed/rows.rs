//! Rows that changed, read once for all clients of a view that follow one tenant.
//!
//! ```text
//!  wanted ── were read just now, no earlier than that event ──► given
//!    │  └─── are being read ──► waits ──► looks again
//!    └────── else ──► a flight of its own: waits for the view, then reads ──► given, and to whoever else wants them
//! ```
//!
//! A flight is a task of its own: the client that began it may take nothing for long, and the others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{Position, TenantId};
use underlay_runtime::{Engine, RowsAt};

use super::FEED_PAUSE;

/// How long a flight waits for a view.
const FLIGHT_MAX: Duration = Duration::from_secs(5);

/// The views that are followed, each with its tenant.
#[derive(Default)]
pub(crate) struct FollowedRows(Mutex<HashMap<(String, TenantId), Weak<Rows>>>);

impl FollowedRows {
    /// The rows of a view for everybody who follows this tenant.
    pub(super) fn of(&self, engine: &Engine, view: &str, tenant: &TenantId) -> Arc<Rows> {
        // Nothing below the lock can panic half way.
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (view.to_owned(), tenant.clone());
        if let Some(rows) = followed.get(&name).and_then(Weak::upgrade) {
            return rows;
        }
        followed.retain(|_, rows| rows.strong_count() > 0);
        let rows = Arc::new(Rows {
            engine: engine.clone(),
            view: view.to_owned(),
            tenant: tenant.clone(),
            state: Mutex::default(),
        });
        followed.insert(name, Arc::downgrade(&rows));
        rows
    }
}

/// The rows of one view and tenant that changed last.
pub(super) struct Rows {
    engine: Engine,
    view: String,
    tenant: TenantId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was read last.
    last: Option<Arc<RowsAt>>,
    /// What is being read.
    flight: Option<watch::Receiver<Option<Landed>>>,
}

type Landed = Result<Arc<RowsAt>, Missed>;

/// Why rows were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// The view is not there yet, or the store is away.
    ForNow,
    /// A repeat brings the same.
    ForGood,
}

impl Rows {
    /// Rows by their keys, as they are once the view reflects a position: of this generation, or of whichever is read
    /// where that is not read any more.
    pub(super) async fn at(
        self: &Arc<Self>,
        generation: u32,
        keys: &Arc<[String]>,
        position: Position,
    ) -> Landed {
        loop {
            let mut flight = {
                let mut state = self.state();
                let is_wanted =
                    |last: &&Arc<RowsAt>| last.generation == generation && covers(last, keys, position);
                if let Some(last) = state.last.as_ref().filter(is_wanted) {
                    return Ok(last.clone());
                }
                match &state.flight {
                    Some(flight) if flight.borrow().is_none() && flight.has_changed().is_ok() => {
                        flight.clone()
                    }
                    _ => {
                        let flight = self.begin(keys.clone(), position);
                        state.flight = Some(flight.clone());
                        flight
                    }
                }
            };
            // Where the flight broke off, it is looked at again.
            let landed = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
            match landed {
                Some(Ok(rows)) if covers(&rows, keys, position) => return Ok(rows),
                Some(Err(missed)) => return Err(missed),
                Some(Ok(_)) | None => {}
            }
        }
    }

    fn begin(self: &Arc<Self>, keys: Arc<[String]>, position: Position) -> watch::Receiver<Option<Landed>> {
        let (lands, flight) = watch::channel(None);
        let rows = self.clone();
        tokio::spawn(async move {
            let landed = rows.read(&keys, position).await;
            if let Ok(read) = &landed {
                rows.state().last = Some(read.clone());
            }
            lands.send_replace(Some(landed));
        });
        flight
    }

    async fn read(&self, keys: &[String], position: Position) -> Landed {
        let clock = self.engine.clock();
        let read = tokio::select! {
            biased;
            read = self.engine.rows_at(&self.tenant, &self.view, keys, position) => read,
            () = clock.sleep(FLIGHT_MAX) => return Err(Missed::ForNow),
        };
        match read {
            Ok(rows) => Ok(Arc::new(rows)),
            Err(error) if error.is_retryable() => {
                tracing::debug!(view = self.view, %error, "the rows of a feed are read again");
                // Whoever comes meanwhile waits with the others.
                clock.sleep(FEED_PAUSE).await;
                Err(Missed::ForNow)
            }
            Err(error) => {
                tracing::error!(view = self.view, %error, "the rows of a feed cannot be read");
                Err(Missed::ForGood)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn covers(rows: &RowsAt, keys: &[String], position: Position) -> bool {
    rows.position >= position && keys.iter().all(|key| rows.rows.contains_key(key))
}
