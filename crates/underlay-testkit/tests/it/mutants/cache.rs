use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::{Cache, CacheEntry, CacheExt, CachedValue, Error, TenantId};
use underlay_testkit::{CacheFixture, Fixture, MemoryCacheFixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Values are text.
    TakesBytesForText,
    /// What was set first stays.
    KeepsTheFirst,
    /// Time does not count.
    KeepsForEver,
    /// A value set again keeps the end of the one before.
    KeepsTheEnd,
    /// To delete takes away whatever begins with the key.
    DeletesByPrefix,
    /// Many answers come in the order of the store.
    AnswersInItsOwnOrder,
    /// Tags are not stored.
    ForgetsTags,
    /// To invalidate a tag clears the tenant.
    ClearsForATag,
    /// A tenant is cleared as it was found at first, and never again.
    ClearsOnce,
    /// The tenant is no part of the key.
    SharesValues,
    /// Stars in tags are patterns.
    ReadsPatterns,
    /// Values are checked one after the other, while they are stored.
    StoresBeforeItChecks,
    /// A value is written in two steps.
    WritesInSteps,
    /// Being away is an error.
    FailsWhenAway,
    /// What was deleted while it was away is found again.
    ForgetsDeletions,
    /// The whole time of a value is told for ever.
    TellsTheWholeTime,
    /// What is found has no tags.
    HidesTags,
    /// A pattern is what a key begins with.
    TakesPatternsForPrefixes,
    /// In patterns a question mark stands for a sign.
    ReadsQuestionMarks,
}

/// A cache that can go away, and breaks a sentence.
#[derive(Clone)]
struct Broken {
    inner: MemoryCacheFixture,
    mutation: Mutation,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    away: bool,
    /// What was to be taken away while it was away.
    missed: Vec<Missed>,
    cleared: HashSet<TenantId>,
    keys: Vec<(TenantId, String)>,
}

enum Missed {
    Keys(TenantId, Vec<String>),
    Tag(TenantId, String),
    Pattern(TenantId, String),
    Tenant(TenantId),
}

struct Mutant(Broken);

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self(Broken { inner: MemoryCacheFixture::default(), mutation, state: Arc::default() })
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl CacheFixture for Mutant {
    fn cache(&self) -> Arc<dyn Cache> {
        Arc::new(self.0.clone())
    }

    async fn pass(&self, time: Duration) {
        if self.0.mutation != Mutation::KeepsForEver {
            self.0.inner.pass(time).await;
        }
    }

    async fn set_away(&mut self, away: bool) -> bool {
        let missed = {
            let mut state = self.0.state.lock().unwrap();
            state.away = away;
            std::mem::take(&mut state.missed)
        };
        for missed in missed.into_iter().filter(|_| self.0.mutation != Mutation::ForgetsDeletions) {
            let cache = &self.0.inner.cache;
            match missed {
                Missed::Keys(tenant, keys) => cache.delete_many(&tenant, &keys).await.unwrap(),
                Missed::Tag(tenant, tag) => cache.invalidate(&tenant, &tag).await.unwrap(),
                Missed::Pattern(tenant, pattern) => {
                    cache.invalidate_matching(&tenant, &pattern).await.unwrap()
                }
                Missed::Tenant(tenant) => cache.clear(&tenant).await.unwrap(),
            }
        }
        true
    }
}

impl Broken {
    fn tenant(&self, tenant: &TenantId) -> TenantId {
        match self.mutation {
            Mutation::SharesValues => TenantId::new("everyone").unwrap(),
            _ => tenant.clone(),
        }
    }

    /// Whether it is there; what is not done is remembered.
    fn is_there(&self, missed: Option<Missed>) -> Result<bool, Error> {
        let mut state = self.state.lock().unwrap();
        if !state.away {
            return Ok(true);
        }
        if self.mutation == Mutation::FailsWhenAway {
            return Err(Error::unavailable("the cache is away"));
        }
        state.missed.extend(missed);
        Ok(false)
    }

    /// The keys of a tenant that were ever set.
    fn keys(&self, tenant: &TenantId) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.keys.iter().filter(|(owner, _)| owner == tenant).map(|(_, key)| key.clone()).collect()
    }

    async fn set_one(&self, tenant: &TenantId, mut entry: CacheEntry) -> Result<(), Error> {
        let cache = &self.inner.cache;
        let there = cache.get(tenant, &entry.key).await.ok().flatten();
        match self.mutation {
            Mutation::TakesBytesForText => {
                entry.value = String::from_utf8_lossy(&entry.value).into_owned().into_bytes();
            }
            Mutation::KeepsTheFirst if there.is_some() => return Ok(()),
            Mutation::KeepsTheEnd if there.is_some() => entry.ttl = entry.ttl.min(Duration::from_millis(500)),
            Mutation::ForgetsTags => entry.tags.clear(),
            Mutation::WritesInSteps => {
                let half = entry.value.len() / 2;
                let torn = entry.value[..half].to_vec();
                cache.set(tenant, CacheEntry { value: torn, ..entry.clone() }).await?;
                tokio::task::yield_now().await;
            }
            _ => {}
        }
        let kept = (tenant.clone(), entry.key.clone());
        cache.set(tenant, entry).await?;
        self.state.lock().unwrap().keys.push(kept);
        Ok(())
    }
}

#[async_trait]
impl Cache for Broken {
    async fn get_many(&self, tenant: &TenantId, keys: &[String]) -> Result<Vec<Option<CachedValue>>, Error> {
        if !self.is_there(None)? {
            return Ok(vec![None; keys.len()]);
        }
        if self.mutation == Mutation::WritesInSteps {
            // Others write between, also where one thread runs all of them.
            tokio::task::yield_now().await;
        }
        let mut keys = keys.to_vec();
        if self.mutation == Mutation::AnswersInItsOwnOrder {
            keys.sort();
        }
        let mut found = self.inner.cache.get_many(&self.tenant(tenant), &keys).await?;
        for found in found.iter_mut().flatten() {
            match self.mutation {
                Mutation::TellsTheWholeTime => found.left = Duration::from_secs(20),
                Mutation::HidesTags => found.tags.clear(),
                _ => {}
            }
        }
        Ok(found)
    }

    async fn exists(&self, tenant: &TenantId, key: &str) -> Result<bool, Error> {
        Ok(self.is_there(None)? && self.inner.cache.exists(&self.tenant(tenant), key).await?)
    }

    async fn set_many(&self, tenant: &TenantId, entries: &[CacheEntry]) -> Result<(), Error> {
        if !self.is_there(None)? {
            return Ok(());
        }
        if self.mutation != Mutation::StoresBeforeItChecks {
            underlay_core::check_cache_entries(entries)?;
        }
        for entry in entries {
            self.set_one(&self.tenant(tenant), entry.clone()).await?;
        }
        Ok(())
    }

    async fn delete_many(&self, tenant: &TenantId, keys: &[String]) -> Result<(), Error> {
        let tenant = self.tenant(tenant);
        if !self.is_there(Some(Missed::Keys(tenant.clone(), keys.to_vec())))? {
            return Ok(());
        }
        if self.mutation == Mutation::DeletesByPrefix {
            let mut taken = self.keys(&tenant);
            taken.retain(|there| keys.iter().any(|key| there.starts_with(key.as_str())));
            taken.truncate(100);
            return self.inner.cache.delete_many(&tenant, &taken).await;
        }
        self.inner.cache.delete_many(&tenant, keys).await
    }

    async fn invalidate(&self, tenant: &TenantId, tag: &str) -> Result<(), Error> {
        let tenant = self.tenant(tenant);
        if !self.is_there(Some(Missed::Tag(tenant.clone(), tag.to_owned())))? {
            return Ok(());
        }
        match self.mutation {
            Mutation::ClearsForATag => self.inner.cache.clear(&tenant).await,
            Mutation::ReadsPatterns if tag == "*" => self.inner.cache.clear(&tenant).await,
            _ => self.inner.cache.invalidate(&tenant, tag).await,
        }
    }

    async fn invalidate_matching(&self, tenant: &TenantId, pattern: &str) -> Result<(), Error> {
        let tenant = self.tenant(tenant);
        if !self.is_there(Some(Missed::Pattern(tenant.clone(), pattern.to_owned())))? {
            return Ok(());
        }
        let pattern = match self.mutation {
            Mutation::TakesPatternsForPrefixes if !pattern.ends_with('*') => format!("{pattern}*"),
            Mutation::ReadsQuestionMarks => pattern.replace('?', "*"),
            _ => pattern.to_owned(),
        };
        self.inner.cache.invalidate_matching(&tenant, &pattern).await
    }

    async fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        let tenant = self.tenant(tenant);
        if !self.is_there(Some(Missed::Tenant(tenant.clone())))? {
            return Ok(());
        }
        let first = self.state.lock().unwrap().cleared.insert(tenant.clone());
        if self.mutation == Mutation::ClearsOnce && !first {
            return Ok(());
        }
        self.inner.cache.clear(&tenant).await
    }
}

underlay_testkit::conformance!(cache, Mutant);

caught! { cache;
    text_alone: a_cached_value_is_read_back fails on TakesBytesForText;
    the_first_stays: a_cached_value_is_read_back fails on KeepsTheFirst;
    no_end: a_cached_value_runs_out fails on KeepsForEver;
    the_end_of_the_one_before: a_cached_value_runs_out fails on KeepsTheEnd;
    deleted_by_prefix: a_cached_value_is_deleted fails on DeletesByPrefix;
    an_order_of_its_own: many_cached_values_at_once fails on AnswersInItsOwnOrder;
    no_tags: a_tag_is_invalidated fails on ForgetsTags;
    everything_for_a_tag: a_tag_is_invalidated fails on ClearsForATag;
    cleared_once: a_tenant_is_cleared fails on ClearsOnce;
    values_of_everyone: cached_values_belong_to_their_tenant fails on SharesValues;
    patterns: hostile_text_in_a_cache_is_data fails on ReadsPatterns;
    half_of_a_call: limits_of_a_cache_are_named fails on StoresBeforeItChecks;
    torn_values: cached_values_are_whole fails on WritesInSteps;
    away_is_an_error: a_cache_that_is_away_fails_nobody fails on FailsWhenAway;
    deleted_and_there_again: a_cache_that_is_away_fails_nobody fails on ForgetsDeletions;
    the_whole_time: a_cached_value_knows_its_rest fails on TellsTheWholeTime;
    hidden_tags: a_cached_value_knows_its_rest fails on HidesTags;
    patterns_as_prefixes: a_pattern_is_invalidated fails on TakesPatternsForPrefixes;
    question_marks: a_pattern_is_invalidated fails on ReadsQuestionMarks;
}
