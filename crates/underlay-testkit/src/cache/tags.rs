use underlay_core::CacheEntry;

use super::Subject;
use super::subject::LONG;
use crate::CacheFixture;

/// Sentence 5: to invalidate a tag takes away the values that have it and no others; what is set later is there.
pub async fn a_tag_is_invalidated<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let entry = |key: &str| CacheEntry::new(key, key, LONG);
    let set_all = async || {
        subject.set(entry("none")).await;
        subject.set(entry("one").tagged("rates")).await;
        subject.set(entry("both").tagged("members").tagged("rates")).await;
        subject.set(entry("other").tagged("members")).await;
        subject.set(entry("longer").tagged("rates-of-today")).await;
        // A tag is no key.
        subject.set(entry("rates")).await;
    };
    for round in 0..3 {
        set_all().await;
        for key in ["none", "one", "both", "other", "longer", "rates"] {
            assert!(subject.has(key).await, "round {round}: {key} was set after the tag was invalidated");
        }
        Subject::of(&fixture).invalidate("rates").await;
        for key in ["one", "both"] {
            assert!(!subject.has(key).await, "round {round}: {key} has the tag");
        }
        for key in ["none", "other", "longer", "rates"] {
            assert!(subject.has(key).await, "round {round}: {key} does not have the tag");
        }
    }
    subject.invalidate("nobody has it").await;
    assert!(subject.has("other").await, "a tag that nobody has takes nothing away");
    subject.set(entry("other")).await;
    subject.invalidate("members").await;
    assert!(subject.has("other").await, "the tags it was set with last count");
}

/// Sentence 6: to clear a tenant takes all of its values away and nobody else's.
pub async fn a_tenant_is_cleared<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let others = [subject.seen_by("acme2"), subject.seen_by("a")];
    for round in 0..2 {
        for tenant in others.iter().chain([&subject]) {
            tenant.fill(&["a", "b"]).await;
            tenant.set(CacheEntry::new("c", "c", LONG).tagged("rates")).await;
        }
        Subject::of(&fixture).clear().await;
        for key in ["a", "b", "c"] {
            assert!(!subject.has(key).await, "round {round}: {key} is taken away");
            for other in &others {
                assert!(other.has(key).await, "round {round}: {key} of {} stays", other.tenant);
            }
        }
    }
}
