use underlay_core::Error;
use underlay_core::limits::{SCHEDULE_BYTES_MAX, SCHEDULE_NAME_BYTES_MAX, SCHEDULES_MAX, WORK_PAGE_MAX};

use super::Subject;
use super::subject::{at, definition};
use crate::SchedulesFixture;

/// Sentence 6: what exceeds a limit is `Invalid` with the limit's name.
pub async fn limits_of_schedules_are_named<F: SchedulesFixture>(fixture: F) {
    let subject = Subject::of(&fixture);
    let (schedules, tenant) = (&subject.schedules, &subject.tenant);
    let empty = definition("");
    let too_long = "n".repeat(SCHEDULE_NAME_BYTES_MAX + 1);
    for name in ["", too_long.as_str(), "a\0b", "a\nb"] {
        let limit = "SCHEDULE_NAME_BYTES_MAX";
        assert_named(schedules.put_schedule(tenant, name, &empty, None).await, limit);
        assert_named(schedules.remove_schedule(tenant, name).await, limit);
        assert_named(schedules.list_schedules(None, Some((tenant, name)), 1).await, limit);
        assert_named(schedules.due_schedules(at(0), Some((at(0), tenant, name)), 1).await, limit);
    }
    for limit in [0, WORK_PAGE_MAX + 1, usize::MAX] {
        assert_named(schedules.list_schedules(None, None, limit).await, "WORK_PAGE_MAX");
        assert_named(schedules.list_schedules(Some(tenant), None, limit).await, "WORK_PAGE_MAX");
        assert_named(schedules.due_schedules(at(0), None, limit).await, "WORK_PAGE_MAX");
    }
    let of_bytes = |bytes: usize| definition(&"b".repeat(bytes - definition("").bytes()));
    let too_large = of_bytes(SCHEDULE_BYTES_MAX + 1);
    assert_named(schedules.put_schedule(tenant, "large", &too_large, None).await, "SCHEDULE_BYTES_MAX");
    assert_eq!(subject.all().await, [], "what is invalid is not stored");
    let large = subject.put("large", &of_bytes(SCHEDULE_BYTES_MAX), None).await;
    assert_eq!(subject.own().await, [large], "what just fits is stored whole");
    assert_named(schedules.put_schedule(tenant, "large", &too_large, None).await, "SCHEDULE_BYTES_MAX");
    assert!(subject.remove("large").await);
    for number in 0..SCHEDULES_MAX {
        subject.put(&format!("{number}"), &empty, Some(at(0))).await;
    }
    assert_named(schedules.put_schedule(tenant, "one more", &empty, None).await, "SCHEDULES_MAX");
    assert_eq!(subject.own().await.len(), SCHEDULES_MAX);
    // Those there are may be put anew, others have their own, and one that is removed makes room.
    assert_eq!(subject.put("7", &of_bytes(8), Some(at(1))).await.revision, 3);
    assert_eq!(subject.seen_by("globex").put("one more", &empty, None).await.revision, 1);
    assert!(subject.remove("7").await);
    assert_eq!(subject.put("one more", &empty, None).await.revision, 4);
    assert_named(schedules.put_schedule(tenant, "7", &empty, None).await, "SCHEDULES_MAX");
    assert_eq!(subject.due(at(0), WORK_PAGE_MAX).await.len(), SCHEDULES_MAX - 1);
}

fn assert_named<T: std::fmt::Debug>(answer: Result<T, Error>, limit: &str) {
    match answer {
        Err(Error::Invalid(message)) => assert!(message.contains(limit), "{message:?} does not name {limit}"),
        other => panic!("not invalid by {limit}: {other:?}"),
    }
}
