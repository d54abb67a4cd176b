use std::sync::Arc;

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{Json, Schedule, Schedules, TenantId, Timestamp};

use crate::{SchedulesFixture, sample};

/// A moment so many seconds after a fixed one.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + seconds).expect("a moment of this era")
}

/// A definition that a store does not read.
pub(super) fn definition(text: &str) -> Json {
    Json::encode(&[text]).expect("text has a JSON form")
}

/// The schedules under attack, seen by one tenant. Their ways to ask panic where the store cannot answer.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) schedules: Arc<dyn Schedules>,
    pub(super) tenant: TenantId,
}

impl Subject {
    pub(super) fn of<F: SchedulesFixture>(fixture: &F) -> Self {
        Self { schedules: fixture.schedules(), tenant: sample::tenant("acme") }
    }

    /// The same store, seen by another tenant.
    pub(super) fn seen_by(&self, tenant: &str) -> Self {
        Self { tenant: sample::tenant(tenant), ..self.clone() }
    }

    /// Puts a schedule that is not there by the same definition; gives it as it must be stored.
    pub(super) async fn put(
        &self,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Schedule {
        let put = self.put_again(name, definition, next_due_at).await;
        let expected = Schedule {
            tenant: self.tenant.clone(),
            name: name.to_owned(),
            definition: definition.clone(),
            next_due_at,
            revision: put.revision,
        };
        assert_eq!(put, expected, "it is given as it was put");
        put
    }

    /// Puts a schedule; gives it as the store says that it stands.
    pub(super) async fn put_again(
        &self,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Schedule {
        let put = self.schedules.put_schedule(&self.tenant, name, definition, next_due_at).await;
        put.expect("put_schedule answers")
    }

    pub(super) async fn remove(&self, name: &str) -> bool {
        self.schedules.remove_schedule(&self.tenant, name).await.expect("remove_schedule answers")
    }

    /// The tenant's own.
    pub(super) async fn own(&self) -> Vec<Schedule> {
        let listed = self.schedules.list_schedules(Some(&self.tenant), None, WORK_PAGE_MAX).await;
        listed.expect("list_schedules answers")
    }

    /// Everybody's.
    pub(super) async fn all(&self) -> Vec<Schedule> {
        let listed = self.schedules.list_schedules(None, None, WORK_PAGE_MAX).await;
        listed.expect("list_schedules answers")
    }

    /// The tenant's own by its name.
    pub(super) async fn find(&self, name: &str) -> Option<Schedule> {
        self.own().await.into_iter().find(|schedule| schedule.name == name)
    }

    pub(super) async fn due(&self, now: Timestamp, limit: usize) -> Vec<Schedule> {
        self.schedules.due_schedules(now, None, limit).await.expect("due_schedules answers")
    }

    /// All that is due, page by page.
    pub(super) async fn due_by_page(&self, now: Timestamp, limit: usize) -> Vec<Schedule> {
        let mut due: Vec<Schedule> = Vec::new();
        loop {
            let last = due.last().cloned();
            let after =
                last.as_ref().and_then(|last| Some((last.next_due_at?, &last.tenant, last.name.as_str())));
            let page = self.schedules.due_schedules(now, after, limit).await.expect("due_schedules answers");
            let is_last = page.len() < limit;
            if let (Some(last), Some(first)) = (&last, page.first()) {
                assert_ne!(last, first, "a page moves on");
            }
            due.extend(page);
            if is_last {
                return due;
            }
        }
    }

    pub(super) async fn advance(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> bool {
        self.schedules.advance_schedule(seen, next_due_at).await.expect("advance_schedule answers")
    }
}
