use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::words::limits::{
    CACHE_KEY_BYTES_MAX, CACHE_KEYS_MAX, CACHE_PATTERN_STARS_MAX, CACHE_TAG_BYTES_MAX, CACHE_TAGS_MAX,
    CACHE_TTL_MAX, CACHE_VALUE_BYTES_MAX,
};
use crate::words::{Error, TenantId};

/// A value on its way into a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// What it is found by: 1 to [`CACHE_KEY_BYTES_MAX`] bytes.
    pub key: String,
    /// Any bytes, none too: at most [`CACHE_VALUE_BYTES_MAX`].
    pub value: Vec<u8>,
    /// How long it is kept at most: a millisecond to [`CACHE_TTL_MAX`].
    pub ttl: Duration,
    /// What it belongs to: at most [`CACHE_TAGS_MAX`] tags of 1 to [`CACHE_TAG_BYTES_MAX`] bytes. To invalidate one of
    /// them takes the value away.
    pub tags: Vec<String>,
}

impl CacheEntry {
    /// A value without tags.
    pub fn new(key: impl Into<String>, value: impl Into<Vec<u8>>, ttl: Duration) -> Self {
        Self { key: key.into(), value: value.into(), ttl, tags: Vec::new() }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// A value that was found in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedValue {
    /// What was set.
    pub value: Vec<u8>,
    /// How long it is still kept at most.
    pub left: Duration,
    /// The tags it was set with.
    pub tags: Vec<String>,
}

/// Keeps copies of what is stored elsewhere, for a time. Whatever is in it may be gone at any moment.
///
/// A cache never fails because it is away. Then nothing is found, and what is set is dropped. The adapter says in the
/// log that it is away, once, and that it is back. The only error of a call is [`Error::Invalid`].
///
/// Whoever fills a cache after a miss may set what was read before somebody else invalidated it. Such a value stays
/// until its time is over, so the time is the bound of how old an answer can be.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *A value set is read back, whatever its bytes are, and setting it again replaces it.* `a_cached_value_is_read_back`
/// 2. *A value is gone once its time is over, which begins when it is set.* `a_cached_value_runs_out`
/// 3. *A value deleted is gone, and no other is; deleting what is not there changes nothing.* `a_cached_value_is_deleted`
/// 4. *Many at once are answered in the order of their keys; one that is named twice when set has its last value.* `many_cached_values_at_once`
/// 5. *To invalidate a tag takes away the values that have it and no others; what is set later is there.* `a_tag_is_invalidated`
/// 6. *To clear a tenant takes all of its values away and nobody else's.* `a_tenant_is_cleared`
/// 7. *Tenants are apart: one key in two tenants is two values, and a tag is of one tenant.* `cached_values_belong_to_their_tenant`
/// 8. *Hostile text in keys and tags is data.* `hostile_text_in_a_cache_is_data`
/// 9. *What exceeds a limit is `Invalid` with the limit's name, and changes nothing.* `limits_of_a_cache_are_named`
/// 10. *Callers at the same time see whole values, and after the last answer all see the same.* `cached_values_are_whole`
/// 11. *A cache that is away finds nothing and fails no call. Once it is back it serves by itself, and what was deleted or invalidated meanwhile is not found.* `a_cache_that_is_away_fails_nobody`
/// 12. *A value found comes with the tags it was set with, and with the time that is left of its own.* `a_cached_value_knows_its_rest`
/// 13. *To invalidate a pattern takes away the values whose keys match it, where a star stands for any text, and no others.* `a_pattern_is_invalidated`
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// Finds values, in the order of the keys; none where there is none, or the cache is away.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`check_cache_keys`] says.
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error>;

    /// Whether there is a value of a key.
    ///
    /// # Errors
    /// As [`Cache::get_many`].
    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error>;

    /// Keeps values, each for its time at most.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`check_cache_entries`] says.
    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error>;

    /// Takes values away.
    ///
    /// # Errors
    /// As [`Cache::get_many`].
    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error>;

    /// Takes all values of a tenant away that have a tag.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`check_cache_tag`] says.
    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error>;

    /// Takes all values of a tenant away whose keys match a pattern. It may look at every key there is, so a tag is
    /// better where one can be given.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`check_cache_pattern`] says.
    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error>;

    /// Takes all values of a tenant away.
    ///
    /// # Errors
    /// None that a caller can cause.
    async fn clear(&self, tenant: &TenantId) -> Result<(), Error>;
}

/// One value at a time.
#[async_trait]
pub trait CacheExt: Cache {
    /// Finds a value; none where there is none, or the cache is away.
    ///
    /// # Errors
    /// As [`Cache::get_many`].
    async fn get(&self, tenant: &TenantId, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let found = self.get_many(tenant, &[key.to_owned()]).await?.pop().flatten();
        Ok(found.map(|found| found.value))
    }

    /// Keeps a value for its time at most.
    ///
    /// # Errors
    /// As [`Cache::set_many`].
    async fn set(&self, tenant: &TenantId, entry: CacheEntry) -> Result<(), Error> {
        self.set_many(tenant, &[entry]).await
    }

    /// Takes a value away.
    ///
    /// # Errors
    /// As [`Cache::get_many`].
    async fn delete(&self, tenant: &TenantId, key: &str) -> Result<(), Error> {
        self.delete_many(tenant, &[key.to_owned()]).await
    }
}

impl<C: Cache + ?Sized> CacheExt for C {}

#[async_trait]
impl<C: Cache + ?Sized> Cache for Arc<C> {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        (**self).get_many(tenant, keys).await
    }
    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        (**self).exists(tenant, key).await
    }
    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        (**self).set_many(tenant, entries).await
    }
    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        (**self).delete_many(tenant, keys).await
    }
    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        (**self).invalidate(tenant, tag).await
    }
    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        (**self).invalidate_matching(tenant, pattern).await
    }
    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        (**self).clear(tenant).await
    }
}

/// Checks the keys of a call. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_cache_keys<'k>(keys: impl ExactSizeIterator<Item = &'k str>) -> Result<(), Error> {
    check_count("keys", keys.len(), "CACHE_KEYS_MAX", CACHE_KEYS_MAX)?;
    for key in keys {
        check_text("key", key, "CACHE_KEY_BYTES_MAX", CACHE_KEY_BYTES_MAX)?;
    }
    Ok(())
}

/// Checks values on their way into a cache. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_cache_entries(entries: &[CacheEntry]) -> Result<(), Error> {
    check_cache_keys(entries.iter().map(|entry| entry.key.as_str()))?;
    for entry in entries {
        check_count("bytes in a value", entry.value.len(), "CACHE_VALUE_BYTES_MAX", CACHE_VALUE_BYTES_MAX)?;
        check_count("tags", entry.tags.len(), "CACHE_TAGS_MAX", CACHE_TAGS_MAX)?;
        entry.tags.iter().try_for_each(|tag| check_cache_tag(tag))?;
        if entry.ttl < Duration::from_millis(1) || entry.ttl > CACHE_TTL_MAX {
            return Err(Error::invalid(format!(
                "a cache keeps a value for a millisecond to CACHE_TTL_MAX = {CACHE_TTL_MAX:?}, {:?} was asked for",
                entry.ttl
            )));
        }
    }
    Ok(())
}

/// Checks a tag. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_cache_tag(tag: &str) -> Result<(), Error> {
    check_text("tag", tag, "CACHE_TAG_BYTES_MAX", CACHE_TAG_BYTES_MAX)
}

/// Checks a pattern. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] that names the limit.
pub fn check_cache_pattern(pattern: &str) -> Result<(), Error> {
    check_text("pattern", pattern, "CACHE_KEY_BYTES_MAX", CACHE_KEY_BYTES_MAX)?;
    let stars = pattern.bytes().filter(|byte| *byte == b'*').count();
    check_count("stars in a pattern", stars, "CACHE_PATTERN_STARS_MAX", CACHE_PATTERN_STARS_MAX)
}

/// Whether a key matches a pattern: a star stands for any text, none too, and everything else for itself.
#[must_use]
pub fn cache_pattern_matches(pattern: &str, key: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == key };
    let Some(mut key) = key.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The first place of each is as good as any later one, since whatever follows may stand anywhere behind it.
    for part in between.split('*') {
        match key.find(part) {
            Some(at) => key = &key[at + part.len()..],
            None => return false,
        }
    }
    key.ends_with(last)
}

fn check_count(what: &str, count: usize, limit: &str, max: usize) -> Result<(), Error> {
    if count > max {
        return Err(Error::invalid(format!("{count} {what} exceed {limit} = {max}")));
    }
    Ok(())
}

fn check_text(what: &str, text: &str, limit: &str, max: usize) -> Result<(), Error> {
    if text.is_empty() || text.len() > max || text.contains('\0') {
        return Err(Error::invalid(format!(
            "a {what} of a cache has 1 to {limit} = {max} bytes and no NUL, this one has {}",
            text.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, key) in [
            ("*", "a"),
            ("a", "a"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abbc"),
            ("a*b*c", "abc"),
            ("*b*", "abc"),
            ("a**c", "ac"),
            ("*ab", "aab"),
            ("a*b*ab", "abab"),
            ("é*", "éa"),
            ("a?[b]*", "a?[b]c"),
        ] {
            assert!(cache_pattern_matches(pattern, key), "{pattern} matches {key}");
        }
        for (pattern, key) in [
            ("a", "ab"),
            ("a*", "ba"),
            ("*a", "ab"),
            ("ab*b", "ab"),
            ("a*b*ab", "aab"),
            ("a?", "ab"),
            ("[a]", "a"),
            ("*b*b*", "ab"),
        ] {
            assert!(!cache_pattern_matches(pattern, key), "{pattern} does not match {key}");
        }
    }
}
