use std::fmt;
use std::sync::Arc;

use underlay_core::{Cache, CacheEntry, Error, TenantId, check_cache_entries};

use super::flight::{Landing, Leading};
use super::item::{Decoded, Item, encode};
use super::tiered::{Part, Takes};
use super::{Cacheable, Keep, LOAD_WAIT_MAX, TieredCache};

/// The cache of one tenant: what feature code is given. There is no way from here to another tenant.
///
/// A value is stored as JSON and shared by all who ask for it, so it comes as an [`Arc`]. What cannot be read as the type that is asked
/// for, since another version of the program has set it, is not found. Where a type comes to mean something else, give it
/// other keys.
///
/// A key has 1 to [`CACHE_KEY_BYTES_MAX`](underlay_core::limits::CACHE_KEY_BYTES_MAX) bytes and begins with no control
/// character. The only error of a method that loads nothing is [`Error::Invalid`]: a cache that is away finds nothing.
///
/// It is handed out for a tenant, and takes no other:
///
/// ```compile_fail,E0061
/// # use std::sync::Arc;
/// # use underlay_core::{Error, TenantId};
/// # use underlay_runtime::TenantCache;
/// async fn reach_past(cache: &TenantCache, other: &TenantId) -> Result<Option<Arc<String>>, Error> {
///     cache.get(other, "key").await
/// }
/// ```
#[derive(Clone)]
pub struct TenantCache {
    cache: TieredCache,
    tenant: TenantId,
}

impl fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantCache").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl TenantCache {
    pub(crate) fn new(cache: &TieredCache, tenant: TenantId) -> Self {
        Self { cache: cache.clone(), tenant }
    }

    /// Finds a value; none where there is none, or it is known that there is nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the key is none.
    pub async fn get<T: Cacheable>(&self, key: &str) -> Result<Option<Arc<T>>, Error> {
        check_key(key)?;
        let found = self.cache.find(&self.tenant, key).await?;
        Ok(found.and_then(|item| item.read::<T>()).flatten())
    }

    /// Finds values, in the order of the keys.
    ///
    /// # Errors
    /// As [`TenantCache::get`]; [`Error::Invalid`] where there are more than
    /// [`CACHE_KEYS_MAX`](underlay_core::limits::CACHE_KEYS_MAX).
    pub async fn get_many<T: Cacheable>(&self, keys: &[String]) -> Result<Vec<Option<Arc<T>>>, Error> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let found = self.cache.find_many(&self.tenant, keys).await?;
        Ok(found.into_iter().map(|item| item.and_then(|item| item.read::<T>()).flatten()).collect())
    }

    /// Whether there is a value of a key, of whatever type.
    ///
    /// # Errors
    /// As [`TenantCache::get`].
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        check_key(key)?;
        Ok(self.cache.find(&self.tenant, key).await?.is_some_and(|item| !item.is_negative()))
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the value has no JSON form, or exceeds a limit.
    pub async fn set<T: Cacheable>(&self, key: &str, value: T, keep: impl Into<Keep>) -> Result<(), Error> {
        self.set_many([(key, value)], keep).await
    }

    /// Keeps values, all in the same way.
    ///
    /// # Errors
    /// As [`TenantCache::set`]; [`Error::Invalid`] where there are more than
    /// [`CACHE_KEYS_MAX`](underlay_core::limits::CACHE_KEYS_MAX). Nothing is kept then.
    pub async fn set_many<K: Into<String>, T: Cacheable>(
        &self,
        values: impl IntoIterator<Item = (K, T)>,
        keep: impl Into<Keep>,
    ) -> Result<(), Error> {
        let keep = keep.into();
        let (mut entries, mut decoded) = (Vec::new(), Vec::<Decoded>::new());
        for (key, value) in values {
            let key = key.into();
            check_key(&key)?;
            entries.push(CacheEntry {
                key,
                value: encode(Some(&value))?,
                ttl: keep.ttl,
                tags: keep.tags.clone(),
            });
            decoded.push(Arc::new(value));
        }
        self.cache.put(&self.tenant, entries, decoded).await
    }

    /// Takes a value away.
    ///
    /// # Errors
    /// As [`TenantCache::get`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        self.delete_many(&[key.to_owned()]).await
    }

    /// Takes values away.
    ///
    /// # Errors
    /// As [`TenantCache::get_many`].
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), Error> {
        keys.iter().try_for_each(|key| check_key(key))?;
        self.cache.take_away(&self.tenant, keys).await
    }

    /// Takes all values away that have a tag.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is no tag.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<(), Error> {
        self.cache.invalidate(&self.tenant, tag).await
    }

    /// Takes all values away whose keys match a pattern, in which a star stands for any text. It may look at every key there
    /// is; a tag costs less.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has more than
    /// [`CACHE_PATTERN_STARS_MAX`](underlay_core::limits::CACHE_PATTERN_STARS_MAX) stars, or is too long.
    pub async fn invalidate_pattern(&self, pattern: &str) -> Result<(), Error> {
        self.cache.invalidate_matching(&self.tenant, pattern).await
    }

    /// Takes all values of the tenant away.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub async fn clear(&self) -> Result<(), Error> {
        self.cache.clear(&self.tenant).await
    }

    /// Finds a value, or loads and keeps it. Where several callers want it, one of them loads it and the others wait.
    ///
    /// An error is given to whoever loaded, and is not kept: one of the others loads then. A value that is invalidated while it is
    /// loaded is given to those who asked for it before, and is not kept. One that is too large is not kept either.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use underlay_core::Error;
    /// # use underlay_runtime::{Keep, TenantCache};
    /// # async fn rates_of(_: &str) -> Result<Vec<u32>, Error> { Ok(Vec::new()) }
    /// # async fn example(cache: TenantCache) -> Result<(), Error> {
    /// let keep = Keep::new(Duration::from_secs(60)).tagged("rates");
    /// let rates = cache.get_or_load("rates:USD", keep, async || rates_of("USD").await).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where the key or what is said of its keeping exceeds a limit; otherwise what the load says.
    pub async fn get_or_load<T, F, L>(
        &self,
        key: &str,
        keep: impl Into<Keep>,
        load: F,
    ) -> Result<Arc<T>, Error>
    where
        T: Cacheable,
        F: FnOnce() -> L,
        L: Future<Output = Result<T, Error>>,
    {
        check_key(key)?;
        let load = async { load().await.map(Some) };
        self.load_through(key, &keep.into(), |item| item.read::<T>().flatten(), load).await
    }

    /// The same of a value that may not be there. Where [`Keep::none_for`] says so, it is kept that there is nothing.
    ///
    /// # Errors
    /// As [`TenantCache::get_or_load`].
    pub async fn find_or_load<T, F, L>(
        &self,
        key: &str,
        keep: impl Into<Keep>,
        load: F,
    ) -> Result<Option<Arc<T>>, Error>
    where
        T: Cacheable,
        F: FnOnce() -> L,
        L: Future<Output = Result<Option<T>, Error>>,
    {
        check_key(key)?;
        self.load_through(key, &keep.into(), Item::read::<T>, async { load().await }).await
    }

    /// Finds what can be read, or loads it: `load` is not begun before.
    pub(crate) async fn load_through<T: Cacheable, R>(
        &self,
        key: &str,
        keep: &Keep,
        read: impl Fn(&Item) -> Option<R>,
        load: impl Future<Output = Result<Option<T>, Error>>,
    ) -> Result<R, Error> {
        if let Some(found) = self.cache.look(&self.tenant, key).and_then(|item| read(&item)) {
            return Ok(found);
        }
        check_keep(key, keep)?;
        let leading = match self.follow_or_lead(key, keep, &read).await {
            Followed::Answer(found) => return Ok(found),
            Followed::Lead(leading) => leading,
        };
        if let Some(outside) = self.cache.find_for(&leading).await?
            && let Some(found) = read(&outside.item)
        {
            // What may have been written since is for who asked first alone: the others look again.
            if outside.is_kept {
                leading.land(outside.item);
            }
            return Ok(found);
        }
        let loading = self.cache.metrics().begin_load();
        let loaded = loading.ended(load.await)?;
        let ttl = if loaded.is_some() { Some(keep.ttl) } else { keep.none_ttl };
        let value = encode(loaded.as_ref())?;
        let decoded: Option<Decoded> = loaded.map(|value| Arc::new(value) as Decoded);
        let entry = ttl.map(|ttl| CacheEntry {
            key: key.to_owned(),
            value: value.clone(),
            ttl,
            tags: keep.tags.clone(),
        });
        let item = Item::new(value, keep.tags.clone(), self.cache.until(ttl.unwrap_or_default()), decoded);
        self.cache.land(leading, entry, item.clone()).await;
        read(&item)
            .ok_or_else(|| Error::backend("reading what was loaded into the cache", "it is another type"))
    }

    /// Waits for who loads it, where somebody does. Where that takes too long, one of those who wait loads it, and the others
    /// wait for that one once more.
    async fn follow_or_lead<R>(
        &self,
        key: &str,
        keep: &Keep,
        read: &impl Fn(&Item) -> Option<R>,
    ) -> Followed<R> {
        let mut takes = Takes { is_there: true, is_loaded: true, hangs: None };
        let mut patience = self.cache.clock().sleep(LOAD_WAIT_MAX);
        loop {
            let mut landing = match self.cache.take_part(&self.tenant, key, &keep.tags, &takes) {
                Part::Lead(leading) => return Followed::Lead(leading),
                Part::Found(item) => match read(&item) {
                    Some(found) => return Followed::Answer(found),
                    None => {
                        takes.is_there = false;
                        continue;
                    }
                },
                Part::Follow(landing) => landing,
            };
            tokio::select! {
                item = brought(&mut landing) => match item.map(|item| read(&item)) {
                    Some(Some(found)) => {
                        self.cache.metrics().joined();
                        return Followed::Answer(found);
                    }
                    // It is of another type, and so is what is kept of it.
                    Some(None) => (takes.is_there, takes.is_loaded) = (false, false),
                    // Nothing came of it.
                    None => {}
                },
                () = &mut patience => {
                    takes.is_loaded = takes.hangs.is_none();
                    takes.hangs = Some(landing);
                    patience = self.cache.clock().sleep(LOAD_WAIT_MAX);
                }
            }
        }
    }
}

/// What came of waiting.
enum Followed<R> {
    Answer(R),
    Lead(Leading),
}

/// What a load brings; none where nothing comes of it.
async fn brought(landed: &mut Landing) -> Option<Item> {
    landed.wait_for(Option::is_some).await.ok()?.clone()
}

/// Keys that begin with a control character are the engine's own.
fn check_key(key: &str) -> Result<(), Error> {
    match key.chars().next() {
        Some(first) if first.is_control() => {
            Err(Error::invalid("a key of the cache begins with no control character"))
        }
        _ => Ok(()),
    }
}

/// Checks everything that can be before the value is there.
fn check_keep(key: &str, keep: &Keep) -> Result<(), Error> {
    for ttl in [Some(keep.ttl), keep.none_ttl].into_iter().flatten() {
        let entry = CacheEntry { key: key.to_owned(), value: Vec::new(), ttl, tags: keep.tags.clone() };
        check_cache_entries(&[entry])?;
    }
    Ok(())
}
