//! A cache whose server goes away: callers go on without it, and find nothing that is not so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use underlay_core::{Cache, CacheEntry, CacheExt, TenantId};

use super::stand::RedisStand;
use crate::Result;
use crate::faults::entities::{AFTER, BEFORE, Stand, Times};
use crate::faults::fault::Means;
use crate::faults::progress::Progress;
use crate::faults::report::Measured;
use crate::faults::resumption::{ms, resume_max};
use crate::faults::wire::{Passage, Wire};

pub(crate) const PROMISED: &str = "no call fails, none waits for long; nothing is found that was replaced, deleted or \
                                   invalidated; it finds again within 5 s after the server answers";

const CALLERS: usize = 6;
/// How long a value is kept.
const TTL: Duration = Duration::from_secs(60);
/// The longest that a call may wait: `cache_timeout` for what is owed and for itself, each with a new connection.
const CALL_MAX: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);
/// Examples that are kept of what must not be, of each caller.
const EXAMPLES_MAX: usize = 2;

/// The server is killed and comes back, again and again.
pub(super) async fn killed(means: &Means) -> Result<Measured> {
    let mut stand = RedisStand::start(None).await?;
    let port = stand.port();
    let cache = CacheLoad::start(&stand, port).await?;
    let mut moments = Vec::new();
    for _ in 0..if means.quick { 1 } else { 5 } {
        tokio::time::sleep(BEFORE).await;
        tokio::task::block_in_place(|| stand.stop(true))?;
        tokio::time::sleep(BEFORE / 2).await;
        tokio::task::block_in_place(|| stand.resume())?;
        moments.push(Instant::now());
        cache.progress.all_since(Instant::now(), CALLERS).await;
    }
    tokio::time::sleep(AFTER).await;
    cache.finish(&moments).await
}

/// Every connection is cut, again and again.
pub(super) async fn cut_off(means: &Means) -> Result<Measured> {
    let stand = RedisStand::start(None).await?;
    let wire = Wire::to(stand.port()).await?;
    let cache = CacheLoad::start(&stand, wire.port()).await?;
    let mut moments = Vec::new();
    for _ in 0..if means.quick { 3 } else { 10 } {
        tokio::time::sleep(BEFORE).await;
        wire.set(Passage::Cut);
        tokio::time::sleep(BEFORE / 4).await;
        wire.set(Passage::Open);
        moments.push(Instant::now());
        cache.progress.all_since(Instant::now(), CALLERS).await;
    }
    tokio::time::sleep(AFTER).await;
    cache.finish(&moments).await
}

/// Callers at one cache, each with a key of its own.
struct CacheLoad {
    callers: JoinSet<CacheTold>,
    progress: Arc<Progress>,
    stop: watch::Sender<bool>,
}

/// What a caller found.
#[derive(Debug, Default)]
struct CacheTold {
    calls: u64,
    /// When values were found.
    hits: Vec<Instant>,
    longest: Duration,
    wrong: Vec<String>,
}

impl CacheLoad {
    async fn start(stand: &RedisStand, port: u16) -> Result<Self> {
        let cache = stand.open(port, Times::Usual).await?.cache.ok_or("a Redis has a cache")?;
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let caller = Caller {
                number,
                cache: cache.clone(),
                tenant: TenantId::new("main")?,
                progress: progress.clone(),
            };
            callers.spawn(caller.run(stopped.clone()));
        }
        Ok(Self { callers, progress, stop })
    }

    async fn finish(mut self, moments: &[Instant]) -> Result<Measured> {
        let mut measured = Measured::default();
        self.stop.send_replace(true);
        let (mut calls, mut hits, mut longest) = (0, 0, Duration::ZERO);
        let mut waited = Some(Duration::ZERO);
        while let Some(told) = self.callers.join_next().await {
            let told = told?;
            (calls, hits, longest) = (calls + told.calls, hits + told.hits.len(), longest.max(told.longest));
            measured.broken.extend(told.wrong.into_iter().take(EXAMPLES_MAX));
            for moment in moments {
                let first = told.hits.iter().find(|hit| *hit >= moment);
                let wait = first.map(|first| first.duration_since(*moment));
                waited = waited.and_then(|waited| Some(waited.max(wait?)));
            }
        }
        measured.see(format!("{} times away, {calls} calls, {hits} values found", moments.len()));
        measured.hold(longest <= CALL_MAX, format!("no call waited for more than {}", ms(longest)));
        match waited {
            Some(waited) => {
                measured
                    .hold(waited <= resume_max(), format!("every caller finds values within {}", ms(waited)));
            }
            None => measured.hold(false, "a caller never found a value again"),
        }
        Ok(measured)
    }
}

/// Somebody with a key of their own.
struct Caller {
    number: usize,
    cache: Arc<dyn Cache>,
    tenant: TenantId,
    progress: Arc<Progress>,
}

impl Caller {
    /// Sets, finds and takes away one value after the other.
    async fn run(self, stopped: watch::Receiver<bool>) -> CacheTold {
        let mut told = CacheTold::default();
        let (key, tag) = (format!("key-{}", self.number), format!("tag-{}", self.number));
        for number in 0_u64.. {
            if *stopped.borrow() {
                break;
            }
            let value = number.to_string().into_bytes();
            let entry = CacheEntry::new(key.as_str(), value.clone(), TTL).tagged(tag.as_str());
            told.timed("set", self.cache.set(&self.tenant, entry)).await;
            self.find(&mut told, &key, Some(&value)).await;
            match number % 4 {
                0 => told.timed("delete", self.cache.delete(&self.tenant, &key)).await,
                2 => told.timed("invalidate", self.cache.invalidate(&self.tenant, &tag)).await,
                // The next one replaces it.
                _ => continue,
            };
            self.find(&mut told, &key, None).await;
            tokio::time::sleep(PAUSE).await;
        }
        told
    }

    /// Looks for a value: what was set last, or nothing.
    async fn find(&self, told: &mut CacheTold, key: &str, last: Option<&Vec<u8>>) {
        let Some(Some(found)) = told.timed("get", self.cache.get(&self.tenant, key)).await else { return };
        if Some(&found) == last {
            told.hits.push(Instant::now());
            self.progress.note(self.number);
        } else {
            told.wrong.push(format!("{key} is found as {found:?}, and was {last:?}"));
        }
    }
}

impl CacheTold {
    /// Makes a call, which may not fail.
    async fn timed<T>(
        &mut self,
        what: &str,
        call: impl Future<Output = std::result::Result<T, underlay_core::Error>>,
    ) -> Option<T> {
        let asked = Instant::now();
        let answer = call.await;
        self.calls += 1;
        self.longest = self.longest.max(asked.elapsed());
        answer.map_err(|error| self.wrong.push(format!("{what} failed: {error}"))).ok()
    }
}
