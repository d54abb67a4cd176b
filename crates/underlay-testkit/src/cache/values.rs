use std::time::Duration;

use underlay_core::limits::{CACHE_KEYS_MAX, CACHE_VALUE_BYTES_MAX};
use underlay_core::{CacheEntry, CachedValue};

use super::Subject;
use super::subject::LONG;
use crate::CacheFixture;

/// Sentence 1: a value set is read back, whatever its bytes are, and setting it again replaces it.
pub async fn a_cached_value_is_read_back<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = [
        Vec::new(),
        vec![0],
        b"\r\n$3\r\nabc\r\n".to_vec(),
        every_byte,
        vec![0xff; CACHE_VALUE_BYTES_MAX],
        b"short again".to_vec(),
    ];
    assert_eq!(subject.get("a").await, None, "nothing is there before it is set");
    for value in &values {
        subject.set(CacheEntry::new("a", value.clone(), LONG)).await;
        assert!(subject.get("a").await.as_ref() == Some(value), "{} bytes are read back", value.len());
        let other = Subject::of(&fixture);
        assert!(other.get("a").await.as_ref() == Some(value), "another process finds them too");
    }
}

/// Sentence 2: a value is gone once its time is over, which begins when it is set.
pub async fn a_cached_value_runs_out<F: CacheFixture>(fixture: F) {
    const SHORT: Duration = Duration::from_secs(2);
    let subject = Subject::of(&fixture);
    subject.fill(&["long"]).await;
    subject.set(CacheEntry::new("short", "short", SHORT)).await;
    subject.set(CacheEntry::new("again", "again", SHORT)).await;
    subject.set(CacheEntry::new("shorter", "shorter", LONG)).await;
    subject.set(CacheEntry::new("shorter", "shorter", SHORT)).await;
    assert!(subject.has("short").await && subject.has("shorter").await, "it is there until then");
    subject.set(CacheEntry::new("again", "again", LONG)).await;
    fixture.pass(SHORT).await;
    assert!(!subject.has("short").await, "its time is over");
    assert!(!subject.has("shorter").await, "the time it was set with last counts");
    assert!(subject.has("again").await, "to set it again begins its time anew");
    assert!(subject.has("long").await, "the others stay");
}

/// Sentence 3: a value deleted is gone, and no other is; deleting what is not there changes nothing.
pub async fn a_cached_value_is_deleted<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    subject.fill(&["a", "ab", "b"]).await;
    subject.delete("a").await;
    assert!(!subject.has("a").await, "what was deleted is gone");
    assert!(subject.has("ab").await && subject.has("b").await, "the others stay");
    subject.delete("a").await;
    subject.delete("nothing").await;
    assert!(subject.has("ab").await && subject.has("b").await, "the others stay");
    subject.fill(&["a"]).await;
    assert!(subject.has("a").await, "it may be set again");
}

/// Sentence 4: many at once are answered in the order of their keys; one that is named twice when set has its last
/// value.
pub async fn many_cached_values_at_once<F: CacheFixture>(fixture: F) {
    let Subject { cache, tenant } = Subject::of(&fixture);
    let entry = |number: usize| CacheEntry::new(format!("key {number}"), format!("value {number}"), LONG);
    let mut entries: Vec<CacheEntry> = (1..CACHE_KEYS_MAX).map(entry).collect();
    entries.push(CacheEntry::new("key 7", "the last", LONG));
    cache.set_many(&tenant, &entries).await.expect("set_many answers");
    let keys: Vec<String> = (0..CACHE_KEYS_MAX).rev().map(|number| format!("key {number}")).collect();
    let values = |found: Vec<Option<CachedValue>>| -> Vec<Option<Vec<u8>>> {
        found.into_iter().map(|found| found.map(|found| found.value)).collect()
    };
    let found = values(cache.get_many(&tenant, &keys).await.expect("get_many answers"));
    let meant = |key: &String| match key.as_str() {
        "key 0" => None,
        "key 7" => Some(b"the last".to_vec()),
        key => Some(key.replace("key", "value").into_bytes()),
    };
    assert_eq!(found, keys.iter().map(meant).collect::<Vec<_>>(), "each at the place of its key");
    let twice = [keys[0].clone(), keys[0].clone()];
    let twice = values(cache.get_many(&tenant, &twice).await.expect("get_many answers"));
    assert!(twice.len() == 2 && twice[0].is_some() && twice[0] == twice[1], "a key may be asked for twice");

    cache.delete_many(&tenant, &keys[..CACHE_KEYS_MAX / 2]).await.expect("delete_many answers");
    let found = cache.get_many(&tenant, &keys).await.expect("get_many answers");
    let (deleted, kept) = found.split_at(CACHE_KEYS_MAX / 2);
    assert!(deleted.iter().all(Option::is_none), "what was deleted is gone");
    assert!(kept[..kept.len() - 1].iter().all(Option::is_some), "the others stay");
    assert_eq!(cache.get_many(&tenant, &[]).await.expect("get_many answers"), [], "of no key there is none");
    cache.set_many(&tenant, &[]).await.expect("set_many answers");
    cache.delete_many(&tenant, &[]).await.expect("delete_many answers");
}

/// Sentence 12: a value found comes with the tags it was set with, and with the time that is left of its own.
pub async fn a_cached_value_knows_its_rest<F: CacheFixture>(fixture: F) {
    const TTL: Duration = Duration::from_secs(20);
    const PASSED: Duration = Duration::from_secs(2);
    let subject = Subject::of(&fixture);
    let found = async |key: &str| {
        let Subject { cache, tenant } = Subject::of(&fixture);
        let found = cache.get_many(&tenant, &[key.to_owned()]).await.expect("get_many answers");
        found.into_iter().flatten().next().expect("it is found")
    };
    subject.set(CacheEntry::new("plain", "plain", TTL)).await;
    subject.set(CacheEntry::new("tagged", "tagged", TTL).tagged("rates").tagged("é b")).await;
    assert_eq!(found("plain").await.tags, [""; 0], "it has no tags");
    assert_eq!(found("tagged").await.tags, ["rates", "é b"], "in the order they were set with");
    fixture.pass(PASSED).await;
    for key in ["plain", "tagged"] {
        let left = found(key).await.left;
        assert!(left <= TTL - PASSED && left > TTL / 2, "{left:?} are left of {key}");
    }
    subject.set(CacheEntry::new("tagged", "tagged", LONG)).await;
    let again = found("tagged").await;
    assert!(again.left > TTL && again.tags.is_empty(), "what it was set with last counts: {again:?}");
}
