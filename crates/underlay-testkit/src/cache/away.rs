use std::time::Duration;

use underlay_core::CacheEntry;

use super::Subject;
use super::subject::LONG;
use crate::CacheFixture;

/// How often it is asked until it serves again.
const ATTEMPTS_MAX: usize = 100;

/// Sentence 11: a cache that is away finds nothing and fails no call. Once it is back it serves by itself, and what was
/// deleted or invalidated meanwhile is not found.
pub async fn a_cache_that_is_away_fails_nobody<F: CacheFixture>(mut fixture: F) {
    let subject = Subject::of(&fixture);
    let other = subject.seen_by("other");
    subject.fill(&["kept", "deleted"]).await;
    subject.set(CacheEntry::new("tagged", "tagged", LONG).tagged("tag")).await;
    other.fill(&["kept", "cleared"]).await;
    let third = subject.seen_by("third");
    third.fill(&["matched"]).await;
    if !fixture.set_away(true).await {
        return;
    }
    for key in ["kept", "deleted", "tagged"] {
        assert!(!subject.has(key).await, "{key} is not found while the cache is away");
    }
    subject.set(CacheEntry::new("dropped", "dropped", LONG)).await;
    subject.delete("deleted").await;
    subject.invalidate("tag").await;
    other.clear().await;
    third.invalidate_matching("m*").await;
    assert!(fixture.set_away(false).await, "it comes back");

    let mut attempts = 0;
    while !subject.has("back").await {
        assert!(attempts < ATTEMPTS_MAX, "it serves again by itself");
        for key in ["deleted", "tagged"] {
            assert!(!subject.has(key).await, "{key} was taken away while the cache was away");
        }
        subject.fill(&["back"]).await;
        fixture.pass(Duration::from_millis(20)).await;
        attempts += 1;
    }
    for key in ["deleted", "tagged"] {
        assert!(!subject.has(key).await, "{key} was taken away while the cache was away");
    }
    assert!(!third.has("matched").await, "the pattern was invalidated while the cache was away");
    assert!(!other.has("cleared").await, "the tenant was cleared while the cache was away");
}
