use underlay_core::{Schedule, TenantId};

use super::Subject;
use super::subject::{at, definition};
use crate::{SchedulesFixture, sample};

/// Sentence 5: lists are in the order of tenants and names, by page.
pub async fn schedules_are_listed<F: SchedulesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    assert_eq!(subject.all().await, []);
    let tenants = ["b", "a", "B", "a-1", "a.b", "a_1"].map(|tenant| subject.seen_by(tenant));
    let mut stored = Vec::new();
    for owner in &tenants {
        for name in ["b", "a", "B", "é", "a b", "%", "_", sample::HOSTILE_TEXTS[0], sample::HOSTILE_TEXTS[17]]
        {
            stored.push(owner.put(name, &definition(name), Some(at(1))).await);
        }
    }
    let key = |schedule: &Schedule| (schedule.tenant.clone(), schedule.name.clone());
    stored.sort_by_key(key);
    for limit in [1, 4, 1_000] {
        assert_eq!(pages(&subject, None, limit).await, stored, "everybody's, by pages of {limit}");
        for owner in &tenants {
            let expected: Vec<&Schedule> =
                stored.iter().filter(|schedule| schedule.tenant == owner.tenant).collect();
            let listed = pages(&subject, Some(&owner.tenant), limit).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{}, by pages of {limit}", owner.tenant);
        }
    }
    // After one that is not there, and after one of another tenant.
    for (after, tenant) in [(("a", "aa"), None), (("a", "zzz"), Some("a-1")), (("b", "b"), Some("a"))] {
        let owner = tenant.map(sample::tenant);
        let after = (sample::tenant(after.0), after.1.to_owned());
        let expected: Vec<&Schedule> = stored
            .iter()
            .filter(|one| key(one) > after && owner.as_ref().is_none_or(|owner| *owner == one.tenant))
            .collect();
        let page = subject.schedules.list_schedules(owner.as_ref(), Some((&after.0, &after.1)), 1_000).await;
        let page = page.expect("list_schedules answers");
        assert_eq!(page.iter().collect::<Vec<_>>(), expected, "after {after:?} of {owner:?}");
    }
    assert_eq!(subject.seen_by("nobody").own().await, []);
}

async fn pages(subject: &Subject, tenant: Option<&TenantId>, limit: usize) -> Vec<Schedule> {
    let mut listed: Vec<Schedule> = Vec::new();
    loop {
        let after = listed.last().map(|last| (&last.tenant, last.name.as_str()));
        let page = subject.schedules.list_schedules(tenant, after, limit).await;
        let page = page.expect("list_schedules answers");
        assert!(page.len() <= limit, "no more than was asked for");
        if page.is_empty() {
            return listed;
        }
        listed.extend(page);
    }
}
