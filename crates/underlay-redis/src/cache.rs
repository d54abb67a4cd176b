//! The cache.
//!
//! A value is a hash with the mark that each of its tags had when it was set, and the mark of its tenant. It counts while
//! the tags still have these marks. To invalidate a tag takes its mark away, and the next value that has the tag gives it
//! another. So invalidating and clearing cost one key, however many values there are, and a mark that the server evicted
//! takes values away and brings none back.
//!
//! Where the server is away, nothing is found and what is set is dropped. What was to be taken away is remembered, and
//! taken away before anything is found again. After a failure nobody asks the server for [`PAUSE`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redis::{FromRedisValue, Script, cmd, pipe};
use underlay_core::{
    Cache, CacheEntry, CachedValue, Clock, Error, SystemClock, TenantId, Timestamp, check_cache_entries,
    check_cache_keys, check_cache_pattern, check_cache_tag,
};
use uuid::Uuid;

use crate::RedisStore;
use crate::connections::{Asked, Failure};
use crate::error::{self, Effect};

static GET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/get_cached.lua")));
static SET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/set_cached.lua")));

/// How long the server is left alone after it did not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// Keys that are remembered to be taken away. Past that, everything of this installation is.
const MISSED_MAX: usize = 10_000;
/// Bytes of values that are kept at once, past the first value.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Keys that are taken away at once.
const TAKEN_MAX: usize = 1_000;

/// What a call does; each is said to be away and back on its own.
#[derive(Clone, Copy)]
enum Doing {
    Find,
    Keep,
    TakeAway,
}

/// What this process knows of the server of its cache.
#[derive(Debug, Default)]
pub(crate) struct CacheState {
    /// Whether it was said that a call of a kind fails.
    said: [AtomicBool; 3],
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    /// Nobody asks before.
    until: Option<Timestamp>,
    /// Keys that are to be taken away, each with the number of the call that asked for it last.
    missed: BTreeMap<String, u64>,
    /// Counts these calls.
    calls: u64,
    /// There were more of them than are remembered.
    everything: bool,
}

impl CacheState {
    fn lock(&self) -> MutexGuard<'_, Rest> {
        // Each change is one assignment or one call of the set.
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server is left alone at the moment.
    fn rests(&self) -> bool {
        let now = SystemClock.now();
        // A clock that was set back makes no rest longer.
        self.lock().until.is_some_and(|until| now < until && until <= after_pause(now))
    }

    fn owes(&self) -> bool {
        let rest = self.lock();
        rest.everything || !rest.missed.is_empty()
    }

    /// Remembers keys that are to be taken away.
    fn remember(&self, keys: impl IntoIterator<Item = String>) {
        let mut rest = self.lock();
        rest.calls += 1;
        let call = rest.calls;
        rest.missed.extend(keys.into_iter().map(|key| (key, call)));
        if rest.missed.len() > MISSED_MAX {
            rest.missed.clear();
            rest.everything = true;
        }
    }

    fn succeeded(&self, doing: Doing) {
        if self.said[doing as usize].swap(false, Ordering::Relaxed) {
            tracing::info!("the cache in Redis {} again", words(doing));
        }
    }

    fn failed(&self, doing: Doing, failure: &Failure) {
        if failure.error().is_io_error() || matches!(failure, Failure::NotSent(_)) {
            self.lock().until = Some(after_pause(SystemClock.now()));
        }
        if !self.said[doing as usize].swap(true, Ordering::Relaxed) {
            let error = error::told("using the cache in Redis", Effect::Repeatable, failure);
            tracing::warn!(%error, "it no longer {}; the service goes on without it", words(doing));
        }
    }
}

fn after_pause(now: Timestamp) -> Timestamp {
    now.saturating_add(PAUSE).unwrap_or(Timestamp::MAX)
}

fn words(doing: Doing) -> &'static str {
    match doing {
        Doing::Find => "finds values",
        Doing::Keep => "keeps values",
        Doing::TakeAway => "takes values away",
    }
}

impl RedisStore {
    /// Whether the cache answers, as far as this process knows: of an operator's questions.
    #[must_use]
    pub fn cache_answers(&self) -> bool {
        !self.0.cache.said.iter().any(|said| said.load(Ordering::Relaxed))
    }

    /// Asks the server of the cache; none where it is away.
    async fn ask_cache<T: FromRedisValue>(&self, doing: Doing, asked: Asked<'_>) -> Option<T> {
        let state = &self.0.cache;
        if state.rests() || (state.owes() && !self.take_away_missed().await) {
            return None;
        }
        self.ask_cache_now(doing, asked).await
    }

    async fn ask_cache_now<T: FromRedisValue>(&self, doing: Doing, asked: Asked<'_>) -> Option<T> {
        let state = &self.0.cache;
        match self.0.cached.ask_again(asked).await {
            Ok(answer) => {
                state.succeeded(doing);
                Some(answer)
            }
            Err(failure) => {
                state.failed(doing, &failure);
                None
            }
        }
    }

    /// Takes keys away, now or before anything is found again.
    async fn take_away(&self, keys: Vec<String>) {
        self.0.cache.remember(keys);
        if !self.0.cache.rests() {
            self.take_away_missed().await;
        }
    }

    /// Takes away what is owed; false where the server is away.
    async fn take_away_missed(&self) -> bool {
        let state = &self.0.cache;
        if state.lock().everything {
            if !self.take_away_everything().await {
                return false;
            }
            state.lock().everything = false;
        }
        loop {
            let keys: Vec<(String, u64)> =
                state.lock().missed.iter().take(TAKEN_MAX).map(|(key, call)| (key.clone(), *call)).collect();
            if keys.is_empty() {
                return true;
            }
            let mut unlink = pipe();
            for (key, _) in &keys {
                // Each by itself: they may be in different slots.
                unlink.cmd("UNLINK").arg(key).ignore();
            }
            if self.ask_cache_now::<()>(Doing::TakeAway, Asked::Pipeline(&unlink)).await.is_none() {
                return false;
            }
            let mut rest = state.lock();
            for (key, call) in keys {
                // Whoever has asked for it since then may mean a value that was kept after this.
                if rest.missed.get(&key) == Some(&call) {
                    rest.missed.remove(&key);
                }
            }
        }
    }

    /// Takes the values of all tenants away: their marks.
    async fn take_away_everything(&self) -> bool {
        self.take_away_matching(&self.0.keys.everything_cached_of_tenants()).await
    }

    /// Takes the keys away that match a pattern of the server; false where the server is away.
    async fn take_away_matching(&self, pattern: &str) -> bool {
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(TAKEN_MAX);
            let found = self.ask_cache_now(Doing::TakeAway, Asked::Command(&scan)).await;
            let Some((next, keys)): Option<(String, Vec<String>)> = found else { return false };
            let mut unlink = pipe();
            for key in &keys {
                unlink.cmd("UNLINK").arg(key).ignore();
            }
            if !keys.is_empty()
                && self.ask_cache_now::<()>(Doing::TakeAway, Asked::Pipeline(&unlink)).await.is_none()
            {
                return false;
            }
            if next == "0" {
                return true;
            }
            cursor = next;
        }
    }

    /// What the script that finds values answers.
    async fn find_cached<T: FromRedisValue>(
        &self,
        tenant: &TenantId,
        keys: &[String],
        what: &str,
    ) -> Option<Vec<Option<T>>> {
        let names = self.0.keys.of(tenant);
        let mut script = GET.prepare_invoke();
        script.key(names.everything_cached());
        for key in keys {
            script.key(names.cached(key));
        }
        script.arg(names.tag("")).arg(what);
        self.ask_cache(Doing::Find, Asked::Script(&script)).await
    }

    /// Keeps values; none where the server is away.
    async fn keep(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Option<bool> {
        let names = self.0.keys.of(tenant);
        let mut script = SET.prepare_invoke();
        script.key(names.everything_cached());
        script.arg(Uuid::now_v7().simple().to_string()).arg(entries.len());
        for entry in entries {
            script.key(names.cached(&entry.key));
            script.arg(&entry.value).arg(entry.ttl.as_millis().to_string()).arg(entry.tags.len());
            for tag in &entry.tags {
                script.key(names.tag(tag)).arg(tag);
            }
        }
        self.ask_cache(Doing::Keep, Asked::Script(&script)).await
    }
}

/// What the script answers of a value: its bytes, the milliseconds that are left of it, and its tags with NUL between them.
type Found = (Vec<u8>, i64, String);

fn found_value((value, left, tags): Found) -> CachedValue {
    let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
    let tags = tags.split('\0').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    CachedValue { value, left, tags }
}

/// Values in pieces that hold nobody up.
fn pieces(mut entries: &[CacheEntry]) -> impl Iterator<Item = &[CacheEntry]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&CacheEntry| {
            bytes += entry.value.len();
            bytes <= KEPT_BYTES_MAX
        };
        let count = entries.iter().take_while(fits).count().max(1).min(entries.len());
        let (piece, rest) = entries.split_at(count);
        entries = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[async_trait]
impl Cache for RedisStore {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let mut found: Vec<Option<CachedValue>> = Vec::with_capacity(keys.len());
        if !keys.is_empty() {
            let answer = self.find_cached::<Found>(tenant, keys, "values").await.unwrap_or_default();
            found.extend(answer.into_iter().map(|value| value.map(found_value)));
        }
        // Of a server that is away nothing is found.
        found.resize(keys.len(), None);
        Ok(found)
    }

    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        check_cache_keys([key].into_iter())?;
        let found: Option<Vec<Option<u8>>> = self.find_cached(tenant, &[key.to_owned()], "exists").await;
        Ok(found.unwrap_or_default().first().is_some_and(Option::is_some))
    }

    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        check_cache_entries(entries)?;
        for some in pieces(entries) {
            if self.keep(tenant, some).await.is_none() {
                // The values that are there are older than those that were to be kept.
                let names = self.0.keys.of(tenant);
                self.take_away(some.iter().map(|entry| names.cached(&entry.key)).collect()).await;
            }
        }
        Ok(())
    }

    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        check_cache_keys(keys.iter().map(String::as_str))?;
        let names = self.0.keys.of(tenant);
        self.take_away(keys.iter().map(|key| names.cached(key)).collect()).await;
        Ok(())
    }

    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        check_cache_tag(tag)?;
        self.take_away(vec![self.0.keys.of(tenant).tag(tag)]).await;
        Ok(())
    }

    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        check_cache_pattern(pattern)?;
        let names = self.0.keys.of(tenant);
        if self.0.cache.rests() || !self.take_away_matching(&names.cached_matching(pattern)).await {
            // Patterns are not remembered: everything of the tenant is taken away before anything is found again.
            self.take_away(vec![names.everything_cached()]).await;
        }
        Ok(())
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        self.take_away(vec![self.0.keys.of(tenant).everything_cached()]).await;
        Ok(())
    }
}
