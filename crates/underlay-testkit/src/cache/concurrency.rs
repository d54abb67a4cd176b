use underlay_core::{CacheEntry, CacheExt};

use super::Subject;
use super::subject::LONG;
use crate::CacheFixture;
use crate::concurrent::together;

/// Sentence 10: callers at the same time see whole values, and after the last answer all see the same.
pub async fn cached_values_are_whole<F: CacheFixture>(fixture: F) {
    const CALLERS: usize = 8;
    const ROUNDS: usize = 60;
    const BYTES: usize = 20_000;
    let calls = (0..CALLERS).map(|caller| {
        let Subject { cache, tenant } = Subject::of(&fixture);
        async move {
            for round in 0..ROUNDS {
                let filled = u8::try_from((caller * ROUNDS + round) % 251).expect("a byte");
                // A value of one byte, repeated: a torn one would have two.
                let entry = CacheEntry::new("a", vec![filled; BYTES + round], LONG).tagged("tag");
                cache.set(&tenant, entry).await.expect("set answers");
                if round % 10 == 9 {
                    cache.invalidate(&tenant, "tag").await.expect("invalidate answers");
                }
                let found = cache.get(&tenant, "a").await.expect("get answers");
                if let Some(value) = found {
                    let first = value[0];
                    assert!(value.iter().all(|byte| *byte == first), "the value is one that was set");
                    assert!(value.len() >= BYTES, "the value is whole");
                }
            }
        }
    });
    together(calls).await;
    Subject::of(&fixture).fill(&["last"]).await;
    let seen = Subject::of(&fixture).get("a").await;
    for _ in 0..CALLERS {
        let other = Subject::of(&fixture);
        assert!(other.get("a").await == seen, "all see the same");
        assert!(other.has("last").await, "what was answered is there");
    }
}
