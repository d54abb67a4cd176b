use std::time::Duration;

use underlay_core::limits::{
    CACHE_KEY_BYTES_MAX, CACHE_KEYS_MAX, CACHE_PATTERN_STARS_MAX, CACHE_TAG_BYTES_MAX, CACHE_TAGS_MAX,
    CACHE_TTL_MAX, CACHE_VALUE_BYTES_MAX,
};
use underlay_core::{CacheEntry, Error};

use super::Subject;
use super::subject::LONG;
use crate::CacheFixture;

#[track_caller]
fn assert_names(answer: Result<(), Error>, limit: &str) {
    match answer {
        Err(Error::Invalid(text)) => assert!(text.contains(limit), "{text} does not name {limit}"),
        other => panic!("{limit} is exceeded, and the answer is {other:?}"),
    }
}

/// Sentence 9: what exceeds a limit is `Invalid` with the limit's name, and changes nothing.
pub async fn limits_of_a_cache_are_named<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let (cache, tenant) = (&subject.cache, &subject.tenant);
    let longest = "k".repeat(CACHE_KEY_BYTES_MAX);
    let at_the_limit = (0..CACHE_TAGS_MAX)
        .fold(CacheEntry::new(&longest, "v", CACHE_TTL_MAX), |entry, tag| {
            entry.tagged(format!("{tag}{}", "t".repeat(CACHE_TAG_BYTES_MAX - 1)))
        });
    subject.set(at_the_limit.clone()).await;
    assert!(subject.get(&longest).await.is_some(), "what is at every limit is kept");

    let plain = || CacheEntry::new("a", "b", LONG);
    for (entry, limit) in [
        (CacheEntry::new(format!("{longest}k"), "b", LONG), "CACHE_KEY_BYTES_MAX"),
        (CacheEntry::new("", "b", LONG), "CACHE_KEY_BYTES_MAX"),
        (CacheEntry::new("a\0", "b", LONG), "NUL"),
        (CacheEntry::new("a", vec![0; CACHE_VALUE_BYTES_MAX + 1], LONG), "CACHE_VALUE_BYTES_MAX"),
        (CacheEntry::new("a", "b", Duration::ZERO), "CACHE_TTL_MAX"),
        (CacheEntry::new("a", "b", CACHE_TTL_MAX + Duration::from_millis(1)), "CACHE_TTL_MAX"),
        (plain().tagged("t".repeat(CACHE_TAG_BYTES_MAX + 1)), "CACHE_TAG_BYTES_MAX"),
        (plain().tagged(""), "CACHE_TAG_BYTES_MAX"),
        (at_the_limit.tagged("one more"), "CACHE_TAGS_MAX"),
    ] {
        let refused = cache.set_many(tenant, &[CacheEntry::new("beside", "b", LONG), entry]).await;
        assert_names(refused, limit);
        assert_eq!(subject.get("beside").await, None, "{limit}: nothing of the call is kept");
    }
    let many = vec!["a".to_owned(); CACHE_KEYS_MAX + 1];
    assert_names(cache.get_many(tenant, &many).await.map(drop), "CACHE_KEYS_MAX");
    assert_names(cache.delete_many(tenant, &many).await, "CACHE_KEYS_MAX");
    assert_names(cache.set_many(tenant, &vec![plain(); CACHE_KEYS_MAX + 1]).await, "CACHE_KEYS_MAX");
    assert_names(cache.exists(tenant, "").await.map(drop), "CACHE_KEY_BYTES_MAX");
    assert_names(cache.invalidate(tenant, "").await, "CACHE_TAG_BYTES_MAX");
    assert_names(cache.invalidate_matching(tenant, "").await, "CACHE_KEY_BYTES_MAX");
    let stars = "*".repeat(CACHE_PATTERN_STARS_MAX + 1);
    assert_names(cache.invalidate_matching(tenant, &stars).await, "CACHE_PATTERN_STARS_MAX");
    assert!(subject.get(&longest).await.is_some(), "what was there stays");
}
