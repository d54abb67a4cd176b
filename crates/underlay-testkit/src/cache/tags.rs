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

/// Sentence 13: to invalidate a pattern takes away the values whose keys match it, where a star stands for any text, and no
/// others.
pub async fn a_pattern_is_invalidated<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let other = subject.seen_by("other");
    let keys = [
        "rate:EUR",
        "rate:EUR:day",
        "rate:USD",
        "rate",
        "rates:EUR",
        "a?c",
        "abc",
        "a[b]c",
        "a\\c",
        "^a",
        "a-c",
    ];
    for (pattern, matched) in [
        ("rate:*", &["rate:EUR", "rate:EUR:day", "rate:USD"][..]),
        ("rate*EUR", &["rate:EUR", "rates:EUR"]),
        ("*:*:*", &["rate:EUR:day"]),
        ("rate", &["rate"]),
        ("a?c", &["a?c"]),
        ("a[b]*", &["a[b]c"]),
        ("a[a-z]c", &[]),
        ("a\\*", &["a\\c"]),
        ("[^a]*", &[]),
        ("nothing*", &[]),
        ("*", &keys),
    ] {
        subject.fill(&keys).await;
        other.fill(&keys).await;
        Subject::of(&fixture).invalidate_matching(pattern).await;
        for key in keys {
            assert_eq!(subject.has(key).await, !matched.contains(&key), "{key:?} after {pattern:?}");
            assert!(other.has(key).await, "{key:?} of another tenant after {pattern:?}");
        }
    }
    subject.set(CacheEntry::new("later", "later", LONG)).await;
    assert!(subject.has("later").await, "what is set later is there");
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
