use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use underlay_core::limits::{SCHEDULE_BYTES_MAX, SCHEDULES_MAX};
use underlay_core::memory::{MemoryEventStore, MemorySchedules};
use underlay_core::{
    Clock, Commit, Committed, Error, EventStore, Json, Schedule, Schedules, StoredCommand, TenantId,
    Timestamp, WorkKind,
};
use underlay_testkit::{EventStoreLayer, Over, SchedulesLayer};

use super::fires::Aside;
use super::{Missed, ScheduleDefinition, Timetable};
use crate::commands::Commands;
use crate::commands::stored::tests::{Desk, Jar, JarCommand, registry, tenant};
use crate::{EngineConfig, ExecuteNamedError, Ports};

/// Schedules that cannot be moved on, as if the process died before it could.
#[derive(Default)]
struct Stuck {
    below: MemorySchedules,
    is_stuck: AtomicBool,
}

#[async_trait]
impl SchedulesLayer for Stuck {
    type Below = MemorySchedules;

    fn below(&self) -> &MemorySchedules {
        &self.below
    }

    async fn advance_schedule(&self, seen: &Schedule, next_due_at: Option<Timestamp>) -> Result<bool, Error> {
        match self.is_stuck.load(Ordering::SeqCst) {
            true => Err(Error::unavailable("the process is gone")),
            false => self.below.advance_schedule(seen, next_due_at).await,
        }
    }
}

/// Schedules that are put by somebody else, with the moment of an hour before, just before they are put.
struct Overtaken(MemorySchedules);

#[async_trait]
impl SchedulesLayer for Overtaken {
    type Below = MemorySchedules;

    fn below(&self) -> &MemorySchedules {
        &self.0
    }

    async fn put_schedule(
        &self,
        tenant: &TenantId,
        name: &str,
        definition: &Json,
        next_due_at: Option<Timestamp>,
    ) -> Result<Schedule, Error> {
        let earlier = next_due_at.map(|next| next.checked_sub(Duration::from_secs(3_600)).unwrap());
        self.0.put_schedule(tenant, name, definition, earlier).await?;
        self.0.put_schedule(tenant, name, definition, next_due_at).await
    }
}

/// A store that has no room for some tenants, or cannot be reached for them.
struct Refusing {
    below: MemoryEventStore,
    refuses: Arc<AtomicBool>,
    overloaded: bool,
    tried: Arc<AtomicUsize>,
}

#[async_trait]
impl EventStoreLayer for Refusing {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.below.clone()
    }

    async fn commit(&self, tenant: &TenantId, commit: Commit) -> Result<Committed, Error> {
        if self.refuses.load(Ordering::SeqCst) && tenant.as_str().starts_with("full") {
            self.tried.fetch_add(1, Ordering::SeqCst);
            return Err(match self.overloaded {
                true => Error::overloaded("the commit queue is full", Duration::from_secs(1)),
                false => Error::unavailable("the connection was lost"),
            });
        }
        self.below.commit(tenant, commit).await
    }
}

/// A timetable over a store that refuses some tenants until it is told not to, and counts how often it did.
fn refusing(desk: &Desk, overloaded: bool) -> (Arc<Timetable>, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (refuses, tried) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let below = desk.store.clone();
    let store = Refusing { below, refuses: refuses.clone(), overloaded, tried: tried.clone() };
    let ports = Ports { store: Arc::new(Over(store)), ..desk.ports.clone() };
    let commands = Arc::new(Commands::new(&ports, &registry(), &EngineConfig::default()));
    (Arc::new(Timetable::new(&ports, commands, &EngineConfig::default())), refuses, tried)
}

fn timetable(desk: &Desk) -> Arc<Timetable> {
    Arc::new(Timetable::new(&desk.ports, desk.commands.clone(), &EngineConfig::default()))
}

pub(super) fn hourly(cents: i64) -> ScheduleDefinition {
    let command = JarCommand::Put { cents, note: None };
    ScheduleDefinition::command::<Jar>("0 * * * *", "Europe/Berlin", &"1".to_owned(), &command).unwrap()
}

/// The moments that were submitted, in order, each once.
pub(super) async fn submitted(desk: &Desk) -> Vec<String> {
    let mut ids = std::collections::BTreeSet::new();
    let mut moments = Vec::new();
    for work in desk.work(WorkKind::Command).await {
        let stored: StoredCommand = work.sent.payload.json().unwrap().decode().unwrap();
        assert!(ids.insert(stored.command_id.unwrap()), "submitted twice");
        moments.push(work.sent_at.to_string());
    }
    moments
}

/// One look for what is due.
async fn look(timetable: &Arc<Timetable>) -> Result<usize, Error> {
    Ok(timetable.fire_due(&mut Aside::default(), || true).await?.moved)
}

async fn pass(desk: &Desk, timetable: &Arc<Timetable>, hours: u64) -> usize {
    desk.clock.advance(Duration::from_secs(hours * 3_600));
    look(timetable).await.unwrap()
}

#[tokio::test]
async fn a_schedule_is_put_looked_at_and_removed() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    let put = timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    assert_eq!(put.next_due_at, Some("2026-01-01T01:00:00Z".parse().unwrap()));
    let listed = timetable.list(Some(&tenant()), None, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&put));
    assert!(timetable.list(Some(&TenantId::new("globex").unwrap()), None, 10).await.unwrap().is_empty());

    // A program puts its schedules whenever it starts: what is due by then stays due.
    desk.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(timetable.put(&tenant(), "savings", hourly(1)).await.unwrap(), put);
    let changed = timetable.put(&tenant(), "savings", hourly(2)).await.unwrap();
    assert_eq!(changed.revision, 2);
    assert_eq!(changed.next_due_at, Some("2026-01-01T03:00:00Z".parse().unwrap()));
    assert!(timetable.remove(&tenant(), "savings").await.unwrap());
    assert!(!timetable.remove(&tenant(), "savings").await.unwrap());
    assert_eq!(pass(&desk, &timetable, 5).await, 0);
}

#[tokio::test]
async fn of_two_who_put_the_same_at_once_the_later_one_passes_over_no_moment() {
    let desk = Desk::new();
    let mut ports = desk.ports.clone();
    ports.work.as_mut().unwrap().schedules = Arc::new(Over(Overtaken(desk.schedules.clone())));
    let late = Arc::new(Timetable::new(&ports, desk.commands.clone(), &EngineConfig::default()));
    desk.clock.advance(Duration::from_secs(3_600));
    let put = late.put(&tenant(), "savings", hourly(1)).await.unwrap();
    assert_eq!((put.next_due_at, put.revision), (Some("2026-01-01T01:00:00Z".parse().unwrap()), 1));
    assert_eq!(look(&timetable(&desk)).await.unwrap(), 1);
    assert_eq!(submitted(&desk).await.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_told_when_it_is_put() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    let definition = |cron, zone, category, command, body| {
        ScheduleDefinition::command_named(cron, zone, category, "1", command, body).unwrap()
    };
    let one = r#"{"cents":1}"#;
    for (definition, told) in [
        (definition("0 6 * *", "UTC", "jar", "put", one), "it has five"),
        (definition("0 6 1 * *", "Mars/Olympus", "jar", "put", one), "no time zone \"Mars/Olympus\""),
        (definition("0 6 1 * *", "UTC", "tin", "put", one), "category \"tin\""),
        (definition("0 6 1 * *", "UTC", "jar", "pour", one), "no command \"pour\""),
        (definition("0 6 1 * *", "UTC", "jar", "put", "{}"), "does not fit"),
    ] {
        let error: ExecuteNamedError = timetable.put(&tenant(), "s", definition).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = timetable.put(&tenant(), "", hourly(1)).await.unwrap_err();
    assert!(error.to_string().contains("SCHEDULE_NAME_BYTES_MAX"), "{error}");
    assert!(timetable.list(None, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn of_moments_that_were_missed_one_runs_or_all_or_none() {
    for (missed, count, next) in [(Missed::One, 1, 6), (Missed::All, 5, 6), (Missed::None, 0, 6)] {
        let desk = Desk::new();
        let timetable = timetable(&desk);
        timetable.put(&tenant(), "savings", hourly(1).with_missed(missed)).await.unwrap();
        desk.clock.advance(Duration::from_secs(600));
        assert_eq!(look(&timetable).await.unwrap(), 0, "nothing is due yet");
        // Ten past five: those of one to five are past.
        assert_eq!(pass(&desk, &timetable, 5).await, 1);
        assert_eq!(look(&timetable).await.unwrap(), 0);
        assert_eq!(submitted(&desk).await.len(), count, "{missed:?}");
        let info = timetable.list(None, None, 10).await.unwrap().remove(0);
        assert_eq!(info.next_due_at, Some(format!("2026-01-01T0{next}:00:00Z").parse().unwrap()));
        // One that is on time runs in any case.
        desk.clock.advance(Duration::from_secs(50 * 60));
        assert_eq!(look(&timetable).await.unwrap(), 1);
        assert_eq!(submitted(&desk).await.len(), count + 1, "{missed:?}");
    }
}

#[tokio::test]
async fn a_long_absence_is_made_up_for_in_turns() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    timetable.put(&tenant(), "savings", hourly(1).with_missed(Missed::All)).await.unwrap();
    let mut turns = 1;
    assert_eq!(pass(&desk, &timetable, 250).await, 1);
    assert_eq!(submitted(&desk).await.len(), 100);
    while look(&timetable).await.unwrap() > 0 {
        turns += 1;
    }
    assert_eq!((turns, submitted(&desk).await.len()), (3, 250));
}

#[tokio::test]
async fn a_process_that_dies_between_submitting_and_moving_on_submits_nothing_twice() {
    let desk = Desk::new();
    let stuck = Arc::new(Over(Stuck { below: desk.schedules.clone(), is_stuck: AtomicBool::new(true) }));
    let mut ports = desk.ports.clone();
    ports.work.as_mut().unwrap().schedules = stuck.clone();
    let dying = Arc::new(Timetable::new(&ports, desk.commands.clone(), &EngineConfig::default()));
    dying.put(&tenant(), "savings", hourly(1).with_missed(Missed::All)).await.unwrap();
    desk.clock.advance(Duration::from_secs(3 * 3_600));
    let looked = dying.fire_due(&mut Aside::default(), || true).await.unwrap();
    assert_eq!(looked.moved, 0);
    assert!(looked.waits.unwrap().to_string().contains("the process is gone"));
    assert_eq!(submitted(&desk).await.len(), 3);

    let next = timetable(&desk.beside(registry()));
    assert_eq!(look(&next).await.unwrap(), 1);
    assert_eq!(submitted(&desk).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_processes_each_moment_is_submitted_by_one() {
    let desk = Desk::new();
    let others = [desk.beside(registry()), desk.beside(registry())];
    let timetables: Vec<_> = [&desk, &others[0], &others[1]].map(timetable).into();
    for name in ["a", "b", "c"] {
        timetables[0].put(&tenant(), name, hourly(1)).await.unwrap();
    }
    for hour in 1..=20 {
        desk.clock.advance(Duration::from_secs(3_600));
        let fires = timetables.iter().cloned().map(|one| tokio::spawn(async move { look(&one).await }));
        let mut moved = 0;
        for fire in fires.collect::<Vec<_>>() {
            moved += fire.await.unwrap().unwrap();
        }
        assert_eq!(moved, 3, "each schedule is moved on once");
        assert_eq!(submitted(&desk).await.len(), 3 * hour);
    }
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_holds_nobody_up() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    let of_tomorrow = Json::parse(r#"{"rhythm":"waltz"}"#).unwrap();
    let due = Some(desk.clock.now());
    desk.schedules.put_schedule(&tenant(), "of-tomorrow", &of_tomorrow, due).await.unwrap();
    timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    assert_eq!(pass(&desk, &timetable, 1).await, 1);
    assert_eq!(submitted(&desk).await.len(), 1);
    let listed = timetable.list(Some(&tenant()), None, 10).await.unwrap();
    assert!(listed[0].definition.is_none() && listed[0].problem.as_ref().unwrap().contains("rhythm"));
}

#[tokio::test]
async fn more_that_cannot_be_submitted_than_a_page_holds_keep_nobody_waiting() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    let of_tomorrow = Json::parse(r#"{"rhythm":"waltz"}"#).unwrap();
    let due = desk.clock.now();
    for number in 0..SCHEDULES_MAX {
        let owner = TenantId::new(if number % 2 == 0 { "globex" } else { "initech" }).unwrap();
        for half in 0..2 {
            let name = format!("{number}-{half}");
            desk.schedules.put_schedule(&owner, &name, &of_tomorrow, Some(due)).await.unwrap();
        }
    }
    timetable.put(&tenant(), "savings", hourly(1).with_missed(Missed::All)).await.unwrap();
    desk.clock.advance(Duration::from_secs(250 * 3_600));
    let mut aside = Aside::default();
    for turn in 1..=3 {
        assert_eq!(timetable.fire_due(&mut aside, || true).await.unwrap().moved, 1, "turn {turn}");
    }
    assert_eq!(timetable.fire_due(&mut aside, || true).await.unwrap().moved, 0);
    assert_eq!(submitted(&desk).await.len(), 250);
    // A minute later they are tried again: a newer program may read them.
    let schedule = desk.schedules.due_schedules(desk.clock.now(), None, 1).await.unwrap().remove(0);
    let known = Json::encode(&hourly(2)).unwrap();
    desk.schedules.put_schedule(&schedule.tenant, &schedule.name, &known, Some(due)).await.unwrap();
    assert_eq!(timetable.fire_due(&mut aside, || true).await.unwrap().moved, 1, "put anew, it is another");
    // One that is told to stop does not go on to the next page.
    assert_eq!(timetable.fire_due(&mut Aside::default(), || false).await.unwrap().moved, 0);
}

#[tokio::test]
async fn tenants_that_the_store_has_no_room_for_keep_nobody_waiting() {
    for overloaded in [true, false] {
        let desk = Desk::new();
        let (timetable, refuses, tried) = refusing(&desk, overloaded);
        // They are due before the others, and more than are submitted side by side.
        for number in 0..40 {
            for full in ["full-1", "full-2"] {
                let full = TenantId::new(full).unwrap();
                timetable.put(&full, &format!("s{number}"), hourly(1)).await.unwrap();
            }
        }
        desk.clock.advance(Duration::from_secs(3_600));
        timetable.put(&tenant(), "savings", hourly(1).with_missed(Missed::All)).await.unwrap();
        desk.clock.advance(Duration::from_secs(3_600));
        let mut aside = Aside::default();
        let looked = timetable.fire_due(&mut aside, || true).await.unwrap();
        assert_eq!((looked.moved, looked.waits.is_some()), (1, true));
        assert_eq!(submitted(&desk).await.len(), 1);
        assert!(tried.load(Ordering::SeqCst) < 80, "what waits is not tried one by one");
        let looked = timetable.fire_due(&mut aside, || true).await.unwrap();
        assert_eq!((looked.moved, looked.waits.is_some()), (0, true), "so it is looked at again soon");
        refuses.store(false, Ordering::SeqCst);
        let looked = timetable.fire_due(&mut aside, || true).await.unwrap();
        assert_eq!((looked.moved, looked.waits.is_none()), (80, true));
        assert_eq!(submitted(&desk).await.len(), 81);
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_not_asked_for_every_tenant() {
    let desk = Desk::new();
    let (timetable, _, tried) = refusing(&desk, false);
    for number in 0..200 {
        let full = TenantId::new(format!("full-{number}")).unwrap();
        timetable.put(&full, "savings", hourly(1)).await.unwrap();
    }
    desk.clock.advance(Duration::from_secs(3_600));
    let error = look(&timetable).await.unwrap_err();
    assert!(error.to_string().contains("the connection was lost"), "{error}");
    assert!(tried.load(Ordering::SeqCst) < 64, "{tried:?}");
}

#[tokio::test]
async fn what_waits_for_room_is_submitted_before_the_next_minute() {
    let desk = Desk::new();
    let (timetable, refuses, tried) = refusing(&desk, true);
    timetable.put(&TenantId::new("full").unwrap(), "savings", hourly(1)).await.unwrap();
    desk.clock.advance(Duration::from_secs(3_600));
    let (stop, stopped) = watch::channel(false);
    let task = timetable.start(stopped);
    while tried.load(Ordering::SeqCst) < 3 {
        desk.clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    refuses.store(false, Ordering::SeqCst);
    while submitted(&desk).await.is_empty() {
        desk.clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    assert!(desk.clock.now() < "2026-01-01T01:01:00Z".parse().unwrap());
    stop.send_replace(true);
    task.await.unwrap();
}

#[tokio::test]
async fn a_schedule_that_is_too_large_to_be_kept_is_told_when_it_is_put() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    let note = |bytes: usize| JarCommand::Put { cents: 1, note: Some("n".repeat(bytes)) };
    let of = |bytes| {
        ScheduleDefinition::command::<Jar>("0 * * * *", "UTC", &"1".to_owned(), &note(bytes)).unwrap()
    };
    let error = timetable.put(&tenant(), "large", of(SCHEDULE_BYTES_MAX)).await.unwrap_err();
    assert!(error.to_string().contains("SCHEDULE_BYTES_MAX"), "{error}");
    // What fits is submitted when it is due.
    timetable.put(&tenant(), "large", of(SCHEDULE_BYTES_MAX - 1_024)).await.unwrap();
    assert_eq!(pass(&desk, &timetable, 1).await, 1);
    assert_eq!(submitted(&desk).await.len(), 1);
}

#[tokio::test]
async fn a_moment_that_was_submitted_as_it_was_before_is_passed() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    let seen = desk.schedules.list_schedules(None, None, 1).await.unwrap().remove(0);
    // A process whose clock is ahead submits the moment, and the schedule is changed before it comes.
    let ahead = "2026-01-01T01:00:00Z".parse().unwrap();
    assert!(timetable.fire(&seen, ahead).await.unwrap());
    timetable.put(&tenant(), "savings", hourly(2)).await.unwrap();
    assert_eq!(pass(&desk, &timetable, 1).await, 1);
    assert_eq!(submitted(&desk).await.len(), 1);
    assert_eq!(pass(&desk, &timetable, 1).await, 1);
    assert_eq!(submitted(&desk).await.len(), 2);
}

#[tokio::test]
async fn what_looks_for_due_schedules_looks_at_full_minutes_and_stops_when_told() {
    let desk = Desk::new();
    let timetable = timetable(&desk);
    timetable.put(&tenant(), "savings", hourly(1)).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = timetable.start(stopped);
    while submitted(&desk).await.is_empty() {
        desk.clock.advance(Duration::from_secs(60));
        tokio::task::yield_now().await;
    }
    assert!(desk.clock.now() < "2026-01-01T02:00:00Z".parse().unwrap());
    stop.send_replace(true);
    task.await.unwrap();
}

#[tokio::test]
async fn a_clock_that_jumps_far_ahead_moves_no_schedule_on() {
    for missed in [Missed::One, Missed::All, Missed::None] {
        let desk = Desk::new();
        let timetable = timetable(&desk);
        let definition = ScheduleDefinition { missed, ..hourly(1) };
        let put = timetable.put(&tenant(), "savings", definition).await.unwrap();
        // The machine wakes in the year 2190.
        assert_eq!(pass(&desk, &timetable, 164 * 365 * 24).await, 0, "{missed:?}");
        let listed = timetable.list(Some(&tenant()), None, 10).await.unwrap();
        assert_eq!(listed[0].next_due_at, put.next_due_at, "{missed:?}");
        assert!(submitted(&desk).await.is_empty(), "{missed:?}");
        let schedule = desk.schedules.list_schedules(None, None, 1).await.unwrap().remove(0);
        let told = timetable.fire(&schedule, timetable.now()).await.unwrap_err();
        assert!(told.to_string().contains("set the clock of this machine"), "{told}");
        // Whoever did not work for a year goes on.
        let due = put.next_due_at.unwrap();
        let late = due.saturating_add(Duration::from_secs(366 * 24 * 3_600)).unwrap();
        assert!(timetable.fire(&schedule, late).await.unwrap(), "{missed:?}");
    }
}
