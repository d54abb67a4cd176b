use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use underlay_core::TenantId;

/// Bytes that an answer counts for beside its own.
const ENTRY_BYTES: usize = 256;

/// Answers that were given before, each with its ETag: so that an entity that has not changed is not sent again. Nothing
/// is taken from here without asking whether it still holds.
///
/// What was used lately stays: answers are in a young half and an old one. Once the young half is full, it becomes the
/// old one, and what was old and not asked for since is let go.
pub(super) struct KeptAnswers {
    bytes_max: usize,
    halves: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    young: Half,
    old: Half,
}

#[derive(Default)]
struct Half {
    answers: HashMap<Place, KeptAnswer>,
    bytes: usize,
}

/// Whose entity it is, of which name, and its id.
type Place = (TenantId, String, String);

/// An answer that was given before.
#[derive(Clone)]
pub(super) struct KeptAnswer {
    pub(super) etag: HeaderValue,
    pub(super) body: Bytes,
}

impl Half {
    fn insert(&mut self, place: Place, answer: KeptAnswer) {
        self.bytes += bytes(&place, &answer);
        if let Some((place, before)) = self.remove_entry(&place) {
            self.bytes -= bytes(&place, &before);
        }
        self.answers.insert(place, answer);
    }

    fn take(&mut self, place: &Place) -> Option<KeptAnswer> {
        let (place, answer) = self.remove_entry(place)?;
        self.bytes -= bytes(&place, &answer);
        Some(answer)
    }

    fn remove_entry(&mut self, place: &Place) -> Option<(Place, KeptAnswer)> {
        self.answers.remove_entry(place)
    }
}

fn bytes((tenant, entity, id): &Place, answer: &KeptAnswer) -> usize {
    ENTRY_BYTES + tenant.as_str().len() + entity.len() + id.len() + answer.etag.len() + answer.body.len()
}

impl KeptAnswers {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, halves: Mutex::default() }
    }

    pub(super) fn get(&self, tenant: &TenantId, entity: &str, id: &str) -> Option<KeptAnswer> {
        let place = place(tenant, entity, id);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = halves.young.answers.get(&place) {
            return Some(answer.clone());
        }
        let answer = halves.old.take(&place)?;
        self.insert(&mut halves, place, answer.clone());
        Some(answer)
    }

    pub(super) fn set(&self, tenant: &TenantId, entity: &str, id: &str, answer: KeptAnswer) {
        let place = place(tenant, entity, id);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.old.take(&place);
        if bytes(&place, &answer) > self.bytes_max / 2 {
            halves.young.take(&place);
            return;
        }
        self.insert(&mut halves, place, answer);
    }

    pub(super) fn remove(&self, tenant: &TenantId, entity: &str, id: &str) {
        let place = place(tenant, entity, id);
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.young.take(&place);
        halves.old.take(&place);
    }

    fn insert(&self, halves: &mut Halves, place: Place, answer: KeptAnswer) {
        if halves.young.bytes + bytes(&place, &answer) > self.bytes_max / 2 {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(place, answer);
    }
}

fn place(tenant: &TenantId, entity: &str, id: &str) -> Place {
    (tenant.clone(), entity.to_owned(), id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::new("acme").unwrap()
    }

    fn answer(bytes: usize) -> KeptAnswer {
        KeptAnswer { etag: HeaderValue::from_static("\"1\""), body: Bytes::from(vec![b'x'; bytes]) }
    }

    fn held(kept: &KeptAnswers) -> usize {
        let halves = kept.halves.lock().unwrap();
        for half in [&halves.young, &halves.old] {
            let counted: usize = half.answers.iter().map(|(place, answer)| bytes(place, answer)).sum();
            assert_eq!(counted, half.bytes);
        }
        halves.young.bytes + halves.old.bytes
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let kept = KeptAnswers::new(20_000);
        kept.set(&tenant(), "rate", "used", answer(1_000));
        for number in 0..100 {
            kept.set(&tenant(), "rate", &format!("r-{number}"), answer(1_000));
            assert!(kept.get(&tenant(), "rate", "used").is_some(), "after {number}");
            assert!(held(&kept) <= 20_000);
        }
        assert!(kept.get(&tenant(), "rate", "r-0").is_none());
        assert!(kept.get(&tenant(), "rate", "r-99").is_some());
    }

    #[test]
    fn what_is_replaced_or_removed_or_too_large_is_not_there() {
        let kept = KeptAnswers::new(20_000);
        kept.set(&tenant(), "rate", "a", answer(10));
        kept.set(&tenant(), "rate", "a", answer(20));
        assert_eq!(kept.get(&tenant(), "rate", "a").unwrap().body.len(), 20);
        kept.set(&tenant(), "rate", "a", answer(20_000));
        assert!(kept.get(&tenant(), "rate", "a").is_none());
        kept.set(&tenant(), "rate", "a", answer(10));
        kept.remove(&tenant(), "rate", "a");
        assert!(kept.get(&tenant(), "rate", "a").is_none() && held(&kept) == 0);
        let none = KeptAnswers::new(0);
        none.set(&tenant(), "rate", "a", answer(0));
        assert!(none.get(&tenant(), "rate", "a").is_none());
    }
}
