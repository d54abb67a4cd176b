//! Marks of tags. A value has the mark that each of its tags had when its making began, and counts while they live. To
//! invalidate a tag ends its mark, however many values have it; the next value that has the tag gets another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use underlay_core::TenantId;

/// How many marks there are at least before those are looked for that nobody has any more.
const TIDIED_AT_MIN: usize = 64;

/// The marks that are in use, by tenant and tag.
pub(super) struct Marks {
    of: HashMap<TenantId, HashMap<Box<str>, Weak<AtomicBool>>>,
    /// How many there are, with those that nobody has any more.
    count: usize,
    /// With how many they are tidied up.
    tidied_at: usize,
}

/// The marks that the tags of a value have.
#[derive(Default)]
pub(super) struct Marked(Vec<Arc<AtomicBool>>);

impl Marked {
    /// Whether none of the tags was invalidated.
    pub(super) fn is_live(&self) -> bool {
        self.0.iter().all(|mark| mark.load(Ordering::Relaxed))
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self { of: HashMap::new(), count: 0, tidied_at: TIDIED_AT_MIN }
    }
}

// Whatever has marks is behind one lock, which orders what is done to them.
impl Marks {
    /// The marks that tags have now.
    pub(super) fn of(&mut self, tenant: &TenantId, tags: &[String]) -> Marked {
        if tags.is_empty() {
            return Marked::default();
        }
        if self.count >= self.tidied_at {
            self.tidy();
        }
        let marks = self.of.entry(tenant.clone()).or_default();
        let count = &mut self.count;
        let mark = |tag: &String| {
            if let Some(mark) = marks.get(tag.as_str()).and_then(Weak::upgrade) {
                return mark;
            }
            let mark = Arc::new(AtomicBool::new(true));
            *count += usize::from(marks.insert(tag.as_str().into(), Arc::downgrade(&mark)).is_none());
            mark
        };
        Marked(tags.iter().map(mark).collect())
    }

    /// Takes away all that has a tag.
    pub(super) fn end(&mut self, tenant: &TenantId, tag: &str) {
        let Some(ended) = self.of.get_mut(tenant).and_then(|marks| marks.remove(tag)) else { return };
        self.count -= 1;
        if let Some(mark) = ended.upgrade() {
            mark.store(false, Ordering::Relaxed);
        }
    }

    /// Forgets the marks that nobody has any more. Twice as many as are left come before it is done again.
    fn tidy(&mut self) {
        self.of.retain(|_, marks| {
            marks.retain(|_, mark| mark.strong_count() > 0);
            !marks.is_empty()
        });
        self.count = self.of.values().map(HashMap::len).sum();
        self.tidied_at = (2 * self.count).max(TIDIED_AT_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("tag {number}")).collect()
    }

    #[test]
    fn a_mark_ends_for_all_who_have_it_and_the_next_one_lives() {
        let (mut marks, tenant) = (Marks::default(), TenantId::new("a").unwrap());
        let (one, two) = (marks.of(&tenant, &tags(0..2)), marks.of(&tenant, &tags(1..3)));
        marks.end(&TenantId::new("b").unwrap(), "tag 1");
        assert!(one.is_live() && two.is_live(), "it is another tenant's");
        marks.end(&tenant, "tag 0");
        assert!(!one.is_live() && two.is_live());
        marks.end(&tenant, "tag 1");
        assert!(!two.is_live() && marks.of(&tenant, &tags(0..2)).is_live());
    }

    #[test]
    fn marks_that_nobody_has_are_forgotten() {
        let mut marks = Marks::default();
        let kept = marks.of(&TenantId::new("kept").unwrap(), &tags(0..100));
        for number in 0..10_000 {
            marks.of(&TenantId::new(format!("t{}", number % 50)).unwrap(), &tags(number..number + 3));
        }
        assert!(marks.count <= 2 * (100 + TIDIED_AT_MIN), "{} are kept", marks.count);
        assert_eq!(marks.count, marks.of.values().map(HashMap::len).sum::<usize>());
        marks.end(&TenantId::new("kept").unwrap(), "tag 7");
        assert!(!kept.is_live(), "a mark in use is not forgotten");
    }
}
