//! The keys of an issuer, fetched when they are needed.
//!
//! ```text
//!            a key is there                              a key is not there
//!  known ──► younger than JWKS_FRESH: used          ───► asked for, unless that was less than
//!         ─► older: used, and asked for beside           JWKS_UNKNOWN_INTERVAL ago; where the
//!                                                         issuer is away: 503
//!         ─► older than JWKS_KEPT_MAX: as if there were none
//!  none  ──► asked for, unless that was less than JWKS_RETRY_INTERVAL ago; without an answer: 503
//! ```
//!
//! One request at a time goes to the issuer, whoever asks: all that need its answer wait for the same one.
//! It goes on where they go away. So a flood of tokens with invented keys costs the issuer one request in
//! each interval. Where the issuer is away, the keys that were fetched last hold for JWKS_KEPT_MAX.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::Mutex;
use underlay_core::{Clock, Error, Timestamp};

use super::fetch::Fetcher;
use super::keys::KeySet;
use crate::Denied;

/// How old keys are when they are asked for again while they are used.
pub const JWKS_FRESH: Duration = Duration::from_secs(5 * 60);
/// How long keys are used where their issuer is away.
pub const JWKS_KEPT_MAX: Duration = Duration::from_secs(60 * 60);
/// Between two requests for keys that are not known.
pub const JWKS_UNKNOWN_INTERVAL: Duration = Duration::from_secs(10);
/// Between two requests where there are no keys.
pub const JWKS_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long one request may take.
pub const JWKS_FETCH_MAX: Duration = Duration::from_secs(4);

/// Keeps the keys of one issuer.
pub(super) struct KeyKeeper(Arc<Inner>);

struct Inner {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// Held by who asks the issuer.
    asking: Arc<Mutex<()>>,
}

#[derive(Clone, Default)]
struct Known {
    keys: Option<(Arc<KeySet>, Timestamp)>,
    asked_at: Option<Timestamp>,
    /// Whether the issuer gave no keys when it was asked last.
    is_away: bool,
}

impl KeyKeeper {
    pub(super) fn new(fetcher: Fetcher, clock: Arc<dyn Clock>) -> Self {
        let (known, asking) = (RwLock::default(), Arc::default());
        Self(Arc::new(Inner { fetcher, clock, known, asking }))
    }

    /// The keys, after the issuer was asked where that is needed for this one.
    pub(super) async fn keys(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, Denied> {
        let inner = &self.0;
        let Some((keys, age)) = inner.usable() else {
            inner.ask(JWKS_RETRY_INTERVAL, true).await;
            let retry_after = Some(JWKS_RETRY_INTERVAL);
            return inner.usable().map(|(keys, _)| keys).ok_or(Denied::Away { retry_after });
        };
        if keys.find(id, algorithm).next().is_none() {
            inner.ask(JWKS_UNKNOWN_INTERVAL, true).await;
            let keys = inner.usable().map_or(keys, |(keys, _)| keys);
            // It may be a new one, which an issuer that is away cannot say.
            if keys.find(id, algorithm).next().is_none() && inner.known().is_away {
                return Err(Denied::Away { retry_after: Some(JWKS_UNKNOWN_INTERVAL) });
            }
            return Ok(keys);
        }
        if age >= JWKS_FRESH {
            inner.ask(JWKS_UNKNOWN_INTERVAL, false).await;
        }
        Ok(keys)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let told = "the issuer of signed tokens gives no keys; those it gave before hold for a while";
        self.0.known().is_away.then(|| told.to_owned())
    }
}

impl Inner {
    fn known(&self) -> Known {
        // Nothing below the lock can panic half way.
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that may be used, and how old they are.
    fn usable(&self) -> Option<(Arc<KeySet>, Duration)> {
        let (keys, fetched_at) = self.known().keys?;
        let age = self.since(fetched_at);
        (age < JWKS_KEPT_MAX).then_some((keys, age))
    }

    fn since(&self, time: Timestamp) -> Duration {
        // A clock that was set back says nothing: as if it were long ago.
        Duration::try_from(self.clock.now().duration_since(time)).unwrap_or(Duration::MAX)
    }

    /// Asks the issuer where that was not done within an interval, or waits for who asks just now.
    async fn ask(self: &Arc<Self>, interval: Duration, waits: bool) {
        let due = |known: &Known| known.asked_at.is_none_or(|asked_at| self.since(asked_at) >= interval);
        match self.asking.clone().try_lock_owned() {
            Ok(turn) if due(&self.known()) => {
                let inner = self.clone();
                // A task of its own: whoever asked may go away, and others wait for the same answer.
                let asked = tokio::spawn(async move {
                    inner.refresh().await;
                    drop(turn);
                });
                if waits && let Err(error) = asked.await {
                    tracing::error!(%error, "the issuer of signed tokens was not asked");
                }
            }
            Ok(_) => {}
            Err(_) if waits => drop(self.asking.lock().await),
            Err(_) => {}
        }
    }

    async fn refresh(&self) {
        let fetched = tokio::select! {
            fetched = self.fetcher.fetch() => fetched.map_err(|error| error.to_string()),
            () = self.clock.sleep(JWKS_FETCH_MAX) => Err(format!("there was no answer within {JWKS_FETCH_MAX:?}")),
        };
        let keys = fetched.and_then(|text| KeySet::of_jwks(&text).map_err(|error: Error| error.to_string()));
        let now = self.clock.now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.asked_at = Some(now);
        known.is_away = keys.is_err();
        match keys {
            Ok(keys) => known.keys = Some((Arc::new(keys), now)),
            Err(error) => tracing::error!(error, "the issuer of signed tokens gives no keys"),
        }
    }
}
