use underlay_core::CacheEntry;

use super::Subject;
use super::subject::LONG;
use crate::{CacheFixture, sample};

/// Sentence 7: tenants are apart: one key in two tenants is two values, and a tag is of one tenant.
pub async fn cached_values_belong_to_their_tenant<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    // Names that a careless key would take for one another.
    let others = ["Acme", "acme.", "acme-a", "acm", "a"].map(|tenant| subject.seen_by(tenant));
    subject.set(CacheEntry::new("key", "mine", LONG).tagged("tag")).await;
    for other in &others {
        for key in ["key", "akey", ":key", "-a:key", "e:key"] {
            assert_eq!(other.get(key).await, None, "{} does not see it by {key}", other.tenant);
        }
        other.set(CacheEntry::new("key", other.tenant.as_str(), LONG).tagged("tag")).await;
    }
    assert_eq!(subject.get("key").await.as_deref(), Some(&b"mine"[..]), "nobody else has replaced it");
    others[0].delete("key").await;
    others[1].invalidate("tag").await;
    others[2].clear().await;
    assert_eq!(subject.get("key").await.as_deref(), Some(&b"mine"[..]), "nobody else has taken it away");
    subject.invalidate("tag").await;
    for other in &others[3..] {
        let found = other.get("key").await;
        assert_eq!(found.as_deref(), Some(other.tenant.as_str().as_bytes()), "a tag is of one tenant");
    }
}

/// Sentence 8: hostile text in keys and tags is data.
pub async fn hostile_text_in_a_cache_is_data<F: CacheFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let mut texts = sample::HOSTILE_TEXTS.to_vec();
    texts.extend([
        "?",
        "*",
        "[a-z]",
        "{",
        "}",
        "{}",
        "{acme}",
        ":",
        "::",
        "\r\nFLUSHALL\r\n",
        "\n",
        "a",
        "A",
        "a:",
        ":a",
    ]);
    for text in &texts {
        subject.set(CacheEntry::new(*text, *text, LONG).tagged(*text)).await;
    }
    for text in &texts {
        assert!(subject.has(text).await, "{text:?} is read back");
    }
    for (number, text) in texts.iter().enumerate() {
        if number.is_multiple_of(2) {
            subject.delete(text).await;
        } else {
            subject.invalidate(text).await;
        }
        assert!(!subject.has(text).await, "{text:?} is taken away");
        for other in &texts[number + 1..] {
            assert!(subject.has(other).await, "{other:?} stays where {text:?} is taken away");
        }
    }
}
