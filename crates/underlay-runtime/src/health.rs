//! Whether the stores beside that of the log can be used.
//!
//! ```text
//!  not asked yet ──► up ⇄ away
//! ```
//!
//! Each is asked in the background, so that nobody who wants to know waits for a server. One that does not answer in time is
//! away, and is up as soon as it answers. Of one that was not asked yet nothing is said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use underlay_core::{Clock, Error, Health};

use crate::stops::Stops;
use crate::work::stopped;

/// How often something is asked whether it can be used.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long its answer is waited for.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// What a store beside that of the log is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorePart {
    /// Rows of views.
    Views,
    /// Entities.
    Entities,
    /// Copies of what is stored elsewhere.
    Cache,
}

impl StorePart {
    /// Its name among the parts of a service.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Views => "views",
            Self::Entities => "entities",
            Self::Cache => "cache",
        }
    }
}

/// A store beside that of the log that can be asked how it is.
#[derive(Clone)]
pub struct WatchedStore {
    /// What it is there for.
    pub part: StorePart,
    /// What the log of the service calls it: its address, without what is secret in it.
    pub name: String,
    /// What is asked.
    pub health: Arc<dyn Health>,
}

impl std::fmt::Debug for WatchedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedStore")
            .field("part", &self.part)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The stores beside that of the log, with what is known of each.
pub(crate) struct StoreHealth {
    stores: Vec<Arc<Known>>,
    clock: Arc<dyn Clock>,
}

/// A store, and whether it could be used when it was asked last.
struct Known {
    store: WatchedStore,
    is_up: Mutex<Option<bool>>,
}

impl StoreHealth {
    pub(crate) fn new(stores: Vec<WatchedStore>, clock: Arc<dyn Clock>) -> Self {
        let known = |store| Arc::new(Known { store, is_up: Mutex::default() });
        Self { stores: stores.into_iter().map(known).collect(), clock }
    }

    /// As [`Engine::start_health`](crate::Engine::start_health).
    pub(crate) fn start(&self) -> RunningHealth {
        let mut stops = Stops::default();
        let watch_one = |known: &Arc<Known>| {
            let (known, clock, stop) = (known.clone(), self.clock.clone(), stops.add());
            tokio::spawn(async move {
                watch(&*clock, stop, || known.clone().ask(), |asked| known.tell(asked)).await;
            })
        };
        let tasks = self.stores.iter().map(watch_one).collect();
        RunningHealth { stops, tasks }
    }

    /// As [`Engine::store_parts`](crate::Engine::store_parts).
    pub(crate) fn parts(&self) -> BTreeMap<StorePart, bool> {
        let mut parts = BTreeMap::new();
        for known in &self.stores {
            if let Some(is_up) = known.is_up() {
                *parts.entry(known.store.part).or_insert(true) &= is_up;
            }
        }
        parts
    }
}

impl Known {
    fn is_up(&self) -> Option<bool> {
        // Each change is one assignment.
        *self.is_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether it can be used. One that is there again may have been configured anew, so what it would lose is told then.
    async fn ask(self: Arc<Self>) -> Result<(), Error> {
        let WatchedStore { part, name, health } = &self.store;
        health.check().await?;
        // A cache may lose everything.
        if self.is_up() != Some(true) && *part != StorePart::Cache {
            match health.weaknesses().await {
                Ok(weaknesses) => weaknesses.iter().for_each(|weakness| {
                    tracing::warn!(
                        part = part.name(),
                        store = name,
                        "a store may lose what it keeps: {weakness}"
                    );
                }),
                Err(error) => {
                    tracing::warn!(part = part.name(), store = name, %error, "a store does not say what it would lose");
                }
            }
        }
        Ok(())
    }

    fn tell(&self, asked: Result<(), Error>) {
        let (part, store) = (self.store.part.name(), &self.store.name);
        let mut is_up = self.is_up.lock().unwrap_or_else(PoisonError::into_inner);
        match (*is_up, &asked) {
            (None | Some(true), Err(error)) => {
                tracing::warn!(part, store, error = error as &dyn std::error::Error, "a store cannot be used")
            }
            (Some(false), Ok(())) => tracing::warn!(part, store, "a store can be used again"),
            _ => {}
        }
        *is_up = Some(asked.is_ok());
    }
}

/// Asks now and then whether something can be used, until that is stopped, and hands the answer on.
pub(crate) async fn watch<Asked: Future<Output = Result<(), Error>>>(
    clock: &dyn Clock,
    mut stop: watch::Receiver<bool>,
    ask: impl Fn() -> Asked,
    tell: impl Fn(Result<(), Error>),
) {
    loop {
        let asked = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            asked = ask() => asked,
            () = clock.sleep(CHECK_MAX) => {
                Err(Error::unavailable(format!("it did not answer within {CHECK_MAX:?}")))
            }
        };
        tell(asked);
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = clock.sleep(CHECK_EVERY) => {}
        }
    }
}

/// What asks stores how they are, in this process. Dropping it stops that.
#[derive(Debug)]
pub struct RunningHealth {
    stops: Stops,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningHealth {
    /// Asks nobody any more.
    pub async fn stop(self) {
        self.stops.stop();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "asking a store how it is ended badly");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use underlay_core::{ManualClock, Timestamp};

    use super::*;

    #[derive(Clone, Copy)]
    enum Says {
        Up,
        Away,
        Nothing,
    }

    struct Server {
        says: Mutex<Says>,
        weaknesses: AtomicU32,
    }

    impl Server {
        fn new() -> Arc<Self> {
            Arc::new(Self { says: Mutex::new(Says::Up), weaknesses: AtomicU32::default() })
        }

        fn say(&self, says: Says) {
            *self.says.lock().unwrap() = says;
        }

        fn weaknesses(&self) -> u32 {
            self.weaknesses.load(Ordering::Relaxed)
        }
    }

    #[async_trait]
    impl Health for Server {
        async fn check(&self) -> Result<(), Error> {
            let says = *self.says.lock().unwrap();
            match says {
                Says::Up => Ok(()),
                Says::Away => Err(Error::unavailable("no route")),
                Says::Nothing => std::future::pending().await,
            }
        }

        async fn weaknesses(&self) -> Result<Vec<String>, Error> {
            self.weaknesses.fetch_add(1, Ordering::Relaxed);
            Err(Error::Denied("nobody is told".to_owned()))
        }
    }

    /// Lets time pass until the parts are so.
    async fn until(health: &StoreHealth, clock: &ManualClock, parts: &[(StorePart, bool)]) {
        let parts: BTreeMap<_, _> = parts.iter().copied().collect();
        for _ in 0..1_000 {
            if health.parts() == parts {
                return;
            }
            clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
        panic!("{:?}", health.parts());
    }

    #[tokio::test]
    async fn a_store_is_up_again_by_itself() {
        use StorePart::{Cache, Entities};
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let (one, other, cache) = (Server::new(), Server::new(), Server::new());
        let watched = [(Entities, &one), (Entities, &other), (Cache, &cache)];
        let watched = watched.map(|(part, server)| WatchedStore {
            part,
            name: "memory:".to_owned(),
            health: server.clone(),
        });
        let health = StoreHealth::new(watched.into(), clock.clone());
        assert!(health.parts().is_empty(), "nobody was asked");
        let running = health.start();
        until(&health, &clock, &[(Entities, true), (Cache, true)]).await;
        for says in [Says::Away, Says::Nothing] {
            one.say(says);
            until(&health, &clock, &[(Entities, false), (Cache, true)]).await;
            one.say(Says::Up);
            until(&health, &clock, &[(Entities, true), (Cache, true)]).await;
        }
        other.say(Says::Away);
        until(&health, &clock, &[(Entities, false), (Cache, true)]).await;
        cache.say(Says::Nothing);
        until(&health, &clock, &[(Entities, false), (Cache, false)]).await;
        // Who does not answer keeps nobody from the end.
        running.stop().await;
        assert_eq!((one.weaknesses(), other.weaknesses(), cache.weaknesses()), (3, 1, 0));
    }
}
