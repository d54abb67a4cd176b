//! Of several processes one folds a view: who it is, and what happens when it stops, stands still or
//! comes back.

use underlay_core::{Keys, Leases, Position, Recorded, View};
use underlay_derive::event;
use underlay_runtime::{Engine, EngineConfig, OnViewChange, RebuildFrom, Registry, SubscriptionState};

use crate::bank::{AccountEvent, Balance, Balances};
use crate::shared::{Call, LEASE, MOMENT, POLL, Place, Process, Shared};
use crate::views::{Doubled, LONG, row, rows};

/// Two processes, of which the first folds.
async fn first_and_second(shared: &Shared) -> (Process, Process) {
    let (first, second) = (shared.process("first"), shared.process("second"));
    let views = first.start();
    shared.until(async || first.is(SubscriptionState::Live)).await;
    let others = second.start();
    shared.until(async || second.is(SubscriptionState::Standby)).await;
    // They run until the test ends.
    std::mem::forget((views, others));
    (first, second)
}

#[tokio::test]
async fn of_several_processes_one_folds_each_event() {
    let shared = Shared::new();
    let processes = [shared.process("a"), shared.process("b"), shared.process("c")];
    let views: Vec<_> = processes.iter().map(Process::start).collect();
    for _ in 0..300 {
        shared.deposit("a").await;
        shared.pass(MOMENT).await;
    }
    let mut folded: Vec<u64> = processes.iter().map(Process::folded).collect();
    folded.sort_unstable();
    assert_eq!(folded, [0, 0, 300], "over {:?} and many renewals", LEASE * 3);
    let holder = processes[0].engine.view_holder("balances").await.unwrap().unwrap();
    assert!(["a/", "b/", "c/"].iter().any(|name| holder.starts_with(name)), "{holder}");
    let folding = processes.iter().filter(|process| process.is(SubscriptionState::Live)).count();
    let standing_by = processes.iter().filter(|process| process.is(SubscriptionState::Standby)).count();
    assert_eq!((folding, standing_by), (1, 2));
    for process in &processes {
        assert_eq!(rows(&process.engine).await, [row("a", 300, 300)], "each answers");
    }
    for views in views {
        views.stop().await;
    }
}

#[tokio::test]
async fn who_ends_in_good_order_hands_over_at_the_next_poll() {
    let shared = Shared::new();
    let (first, second) = (shared.process("first"), shared.process("second"));
    let views = first.start();
    shared.until(async || first.is(SubscriptionState::Live)).await;
    let others = second.start();
    shared.deposit("a").await;
    shared.until(async || first.folded() == 1).await;
    views.stop().await;
    shared.deposit("a").await;
    shared.pass(POLL).await;
    assert!(POLL < LEASE && second.is(SubscriptionState::Live), "{:?}", second.state());
    assert_eq!(rows(&second.engine).await, [row("a", 2, 2)]);
    assert_eq!((first.folded(), second.folded()), (1, 1));
    others.stop().await;
    assert!(shared.is_free("view:balances").await);
    assert_eq!(second.engine.view_holder("balances").await.unwrap(), None);
}

#[tokio::test]
async fn who_stands_by_hears_of_a_swap_as_soon_as_somebody_waits() {
    let shared = Shared::new();
    let (first, second) = first_and_second(&shared).await;
    let position = shared.deposit("a").await;
    shared.pass(POLL).await;
    assert_eq!(second.state().position, position);
    first.engine.rebuild_view("balances", RebuildFrom::Start, |_| {}).await.unwrap();
    let waiting = second.engine.wait_for_view("balances", position, MOMENT * 4);
    let (reached, ()) = tokio::join!(waiting, shared.pass(MOMENT * 4));
    reached.unwrap();
}

#[tokio::test]
async fn views_that_are_dropped_give_their_lease_back() {
    let shared = Shared::new();
    let process = shared.process("first");
    let views = process.start();
    shared.until(async || process.is(SubscriptionState::Live)).await;
    assert!(!shared.is_free("view:balances").await);
    drop(views);
    shared.until(async || shared.is_free("view:balances").await).await;
}

#[tokio::test]
async fn who_is_gone_is_replaced_when_its_lease_has_run_out() {
    let shared = Shared::new();
    let (first, second) = first_and_second(&shared).await;
    first.place.pause();
    shared.deposit("a").await;
    // It may have been renewed a moment ago.
    shared.pass(LEASE - LEASE / 3 - MOMENT).await;
    assert_eq!((shared.stored().await, second.folded()), (0, 0), "not before");
    shared.pass(LEASE / 3 + MOMENT + POLL).await;
    assert_eq!((shared.stored().await, second.folded()), (1, 1));
    assert!(second.is(SubscriptionState::Live));
}

#[tokio::test]
async fn who_was_paused_while_it_stored_stores_nothing_when_it_comes_back() {
    let shared = Shared::new();
    let (first, second) = first_and_second(&shared).await;
    shared.deposit("a").await;
    shared.until(async || shared.stored().await == 1).await;

    // Two commits so close together would be stored as one.
    shared.pass(POLL).await;
    first.place.pause_at(Call::Apply);
    shared.deposit("a").await;
    shared.until(async || first.place.is_paused()).await;
    // Longer than its lease; nobody else can have a reason to wait for it.
    shared.pass(LEASE + POLL).await;
    assert!(second.is(SubscriptionState::Live));
    for _ in 0..20 {
        shared.deposit("b").await;
    }
    shared.pass(POLL).await;
    assert_eq!(shared.stored().await, 22);
    first.place.go_on();
    shared.until(async || first.is(SubscriptionState::Standby)).await;
    shared.pass(LEASE * 2).await;
    assert!(
        first.is(SubscriptionState::Standby) && second.is(SubscriptionState::Live),
        "it does not take it back"
    );
    assert_eq!(rows(&first.engine).await, [row("a", 2, 2), row("b", 20, 20)]);
    assert_eq!(first.folded(), 2, "the second one in vain");
    assert_eq!(second.folded(), 21);
}

#[tokio::test]
async fn who_comes_back_before_anybody_asked_for_its_lease_stores_under_a_new_one() {
    let shared = Shared::new();
    let first = shared.process("first");
    let views = first.start();
    shared.until(async || first.is(SubscriptionState::Live)).await;
    first.place.pause_at(Call::Apply);
    shared.deposit("a").await;
    shared.until(async || first.place.is_paused()).await;
    shared.pass(LEASE).await;
    let now = shared.leases.acquire("view:balances", "x", LEASE).await.unwrap().expect("it ran out");
    assert_eq!(now.term, 2);
    shared.leases.release(&now).await.unwrap();
    first.place.go_on();
    shared.until(async || first.is(SubscriptionState::Live) && shared.stored().await == 1).await;
    assert_eq!(rows(&first.engine).await, [row("a", 1, 1)]);
    views.stop().await;
}

#[tokio::test]
async fn without_leases_to_be_had_nobody_folds_and_it_says_why() {
    let shared = Shared::new();
    let process = shared.process("first");
    process.place.set_leases_away(true);
    let views = process.start();
    shared.deposit("a").await;
    shared.until(async || process.state().error.is_some()).await;
    shared.pass(LEASE).await;
    assert!(process.state().error.unwrap().contains("the leases are away"));
    assert_eq!(process.folded(), 0);
    process.place.set_leases_away(false);
    shared.pass(EngineConfig::default().retry_delay_max).await;
    assert_eq!((process.state().status, process.state().error), (SubscriptionState::Live, None));
    assert_eq!(process.folded(), 1);
    views.stop().await;
}

#[tokio::test]
async fn who_cannot_renew_folds_until_its_lease_runs_out() {
    let shared = Shared::new();
    let (first, second) = first_and_second(&shared).await;
    first.place.set_leases_away(true);
    shared.pass(LEASE / 3).await;
    shared.deposit("a").await;
    shared.until(async || first.folded() == 1 && shared.stored().await == 1).await;
    shared.pass(LEASE).await;
    shared.until(async || second.is(SubscriptionState::Live)).await;
    shared.deposit("a").await;
    shared.until(async || shared.stored().await == 2).await;
    assert_eq!((first.folded(), second.folded()), (1, 1));
    assert!(first.state().error.is_some(), "{:?}", first.state());
    first.place.set_leases_away(false);
    shared.pass(EngineConfig::default().retry_delay_max).await;
    assert!(first.is(SubscriptionState::Standby), "{:?}", first.state());
}

#[tokio::test]
async fn who_stands_by_reads_what_was_written() {
    let shared = Shared::new();
    let (_first, second) = first_and_second(&shared).await;
    for number in 1..=50 {
        let position = shared.deposit("a").await;
        // Far less than a poll.
        let waiting = second.engine.wait_for_view("balances", position, MOMENT);
        tokio::join!(waiting, shared.pass(MOMENT * 2)).0.unwrap();
        assert_eq!(rows(&second.engine).await, [row("a", number, number)]);
    }
    assert_eq!(second.folded(), 0);
    let late = Position::from_number(51);
    let (late, ()) = tokio::join!(second.engine.wait_for_view("balances", late, POLL), shared.pass(POLL * 2));
    assert!(late.unwrap_err().is_retryable());
}

/// Only withdrawals: other events change no row.
#[event(crate = underlay_core)]
enum Withdrawal {
    #[event(name = "withdrawn", version = 1)]
    Withdrawn { cents: i64 },
}

struct Withdrawals;

impl View for Withdrawals {
    const NAME: &'static str = "withdrawals";
    type Event = Withdrawal;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<Withdrawal>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }
    fn fold(&self, _: &String, row: Option<Balance>, event: &Recorded<Withdrawal>) -> Option<Balance> {
        let Withdrawal::Withdrawn { cents } = event.event;
        Some(Balance { cents: row.as_ref().map_or(0, |row| row.cents) + cents, events: 0 })
    }
}

#[tokio::test]
async fn who_stands_by_soon_knows_of_events_that_change_no_row() {
    let shared = Shared::new();
    let process = |name| shared.process_of(name, Registry::default().view(Withdrawals), |config| config);
    let (first, second) = (process("first"), process("second"));
    let views = first.start();
    shared.until(async || first.is(SubscriptionState::Live)).await;
    let others = second.start();
    for _ in 0..5 {
        // Others write all the time, so that it is never quiet.
        let position = shared.deposit("a").await;
        let busy = async {
            for _ in 0..6 {
                shared.deposit("a").await;
                shared.pass(MOMENT).await;
            }
        };
        let waiting = second.engine.wait_for_view("withdrawals", position, MOMENT * 4);
        tokio::join!(waiting, busy).0.unwrap();
    }
    views.stop().await;
    others.stop().await;
}

/// Cannot take a deposit to account `bad`, as a version of the program before there were such.
struct Older;

impl View for Older {
    const NAME: &'static str = "balances";
    type Event = AccountEvent;
    type Key = String;
    type Row = Balance;
    fn route(&self, event: &Recorded<AccountEvent>, keys: &mut Keys<String>) {
        assert_ne!(event.stream().id(), "bad");
        Balances.route(event, keys);
    }
    fn fold(&self, key: &String, row: Option<Balance>, event: &Recorded<AccountEvent>) -> Option<Balance> {
        Balances.fold(key, row, event)
    }
}

#[tokio::test]
async fn an_event_one_process_cannot_take_another_may() {
    let shared = Shared::new();
    // The view has been there for long.
    shared.process("first").engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    let older = shared.process_of("older", Registry::default().view(Older), |config| config);
    let views = older.start();
    shared.until(async || older.is(SubscriptionState::Live)).await;
    let newer = shared.process("newer");
    let others = newer.start();
    shared.until(async || newer.is(SubscriptionState::Standby)).await;
    shared.deposit("a").await;
    shared.deposit("bad").await;
    shared.until(async || older.is(SubscriptionState::Paused)).await;
    shared.pass(POLL).await;
    assert!(newer.is(SubscriptionState::Live), "{:?}", newer.state());
    shared.pass(POLL).await;
    assert!(older.is(SubscriptionState::Standby) && older.state().error.is_none(), "{:?}", older.state());
    assert_eq!(rows(&older.engine).await, [row("a", 1, 1), row("bad", 1, 1)]);
    views.stop().await;
    others.stop().await;
}

#[tokio::test]
async fn an_event_nobody_can_take_pauses_the_view_in_every_process() {
    let shared = Shared::new();
    let process = |name| shared.process_of(name, Registry::default().view(Older), |config| config);
    let (first, second) = (process("first"), process("second"));
    let views = (first.start(), second.start());
    shared.deposit("bad").await;
    shared.pass(POLL * 3).await;
    assert!(first.is(SubscriptionState::Paused) && second.is(SubscriptionState::Paused));
    // And it stays so: they do not hand it to each other for ever.
    let term = async || {
        let lease = shared.leases.acquire("view:balances", "a test", LEASE).await.unwrap().unwrap();
        shared.leases.release(&lease).await.unwrap();
        lease.term
    };
    let before = term().await;
    shared.pass(LEASE).await;
    assert_eq!(term().await, before + 1, "nobody but the test has asked");
    views.0.stop().await;
    views.1.stop().await;
}

#[tokio::test]
async fn a_rebuild_goes_on_beside_who_folds() {
    let shared = Shared::new();
    let (first, second) = first_and_second(&shared).await;
    for _ in 0..30 {
        shared.deposit("a").await;
    }
    shared.until(async || shared.stored().await == 30).await;
    // By the process that stands by, and by one that folds nothing.
    for (generation, process) in [(2, &second), (3, &shared.process("operator"))] {
        let (rebuilt, ()) = tokio::join!(
            process.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}),
            shared.pass(MOMENT)
        );
        assert_eq!(rebuilt.unwrap(), generation);
        shared.deposit("a").await;
        shared.pass(POLL * 2).await;
        assert!(
            first.is(SubscriptionState::Live) && second.is(SubscriptionState::Standby),
            "{:?}",
            first.state()
        );
    }
    assert_eq!(rows(&second.engine).await, [row("a", 32, 32)]);
    assert_eq!(second.folded(), 30, "only what it rebuilt");
    assert!(shared.is_free("rebuild:balances").await);
}

#[tokio::test]
async fn a_second_rebuild_is_refused_while_one_comes_on_and_not_for_ever() {
    let shared = Shared::new();
    for _ in 0..30 {
        shared.deposit("a").await;
    }
    let (one, other) = (shared.process("one"), shared.process("other"));
    one.place.pause_at(Call::Apply);
    let engine = one.engine.clone();
    let first =
        tokio::spawn(async move { engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await });
    shared.until(async || one.place.is_paused()).await;
    let refused = other.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("another process"), "{refused}");

    shared.pass(LEASE).await;
    let generation = other.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    one.place.go_on();
    // It comes back, finds what it had begun swapped in by the other, and changes nothing.
    assert_eq!(first.await.unwrap().unwrap(), generation);
    assert_eq!(shared.stored().await, 30);
    assert_eq!(other.engine.read_models("balances").views().await.unwrap()[0].active.number, generation);
}

#[tokio::test]
async fn at_start_one_process_rebuilds_while_an_older_one_folds_what_is_read() {
    let shared = Shared::new();
    let older = shared.process("older");
    let views = older.start();
    for _ in 0..30 {
        shared.deposit("a").await;
    }
    shared.pass(POLL).await;
    assert_eq!(shared.stored().await, 30);

    let rebuilding = |config| EngineConfig { on_view_change: OnViewChange::Rebuild, ..config };
    let newer = |name| shared.process_of(name, Registry::default().view(Doubled), rebuilding);
    let (one, other) = (newer("one"), newer("other"));
    one.place.pause_at(Call::Apply);
    let newer_views = one.start();
    shared.until(async || one.place.is_paused()).await;
    let others = other.start();
    // The older one is not in the way, and not kept from its work.
    shared.deposit("a").await;
    shared.pass(POLL).await;
    assert_eq!(shared.stored().await, 31);
    one.place.go_on();
    shared.pass(POLL * 3).await;
    assert!(older.is(SubscriptionState::Failed), "{:?}", older.state());
    let info = shared.process("look").engine.read_models("balances").views().await.unwrap().remove(0);
    assert_eq!(info.active.number, 2, "rebuilt once");
    let folding = [&one, &other].map(|process| process.state().status);
    assert!(
        folding.contains(&SubscriptionState::Live) && folding.contains(&SubscriptionState::Standby),
        "{folding:?}"
    );
    assert_eq!(rows(&one.engine).await, [row("a", 62, 31)]);
    for views in [views, newer_views, others] {
        views.stop().await;
    }
}

#[tokio::test]
async fn what_was_rebuilt_while_somebody_asked_to_is_not_rebuilt_again() {
    let shared = Shared::new();
    shared.deposit("a").await;
    shared.process("older").engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    let rebuilding = |config| EngineConfig { on_view_change: OnViewChange::Rebuild, ..config };
    let newer = |name| shared.process_of(name, Registry::default().view(Doubled), rebuilding);
    let (one, other) = (newer("one"), newer("other"));
    // It has seen that the view must be rebuilt, and asks.
    other.place.pause_at(Call::Acquire);
    let views = other.start();
    shared.until(async || other.place.is_paused()).await;
    let generation = one.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    other.place.go_on();
    shared.until(async || other.is(SubscriptionState::Live)).await;
    assert_eq!(one.engine.read_models("balances").views().await.unwrap()[0].active.number, generation);
    assert!(shared.is_free("rebuild:balances").await);
    views.stop().await;
}

#[tokio::test]
async fn what_is_stored_is_stored_under_the_term() {
    let shared = Shared::new();
    let first = shared.process("first");
    let views = first.start();
    shared.until(async || first.is(SubscriptionState::Live)).await;
    // Taken away from it while it believes to have it.
    let lease = shared.leases.find("view:balances").await.unwrap().expect("it holds it");
    shared.leases.release(&lease).await.unwrap();
    let other = shared.leases.acquire("view:balances", "other", LEASE).await.unwrap().unwrap();
    assert_eq!(other.term, 2);
    shared.deposit("a").await;
    shared.until(async || first.is(SubscriptionState::Standby)).await;
    assert_eq!((first.folded(), shared.stored().await), (1, 0));
    views.stop().await;
}

#[tokio::test]
async fn bounds_of_leases_are_named() {
    let shared = Shared::new();
    let refused = |change: fn(EngineConfig) -> EngineConfig| {
        let config = change(EngineConfig::default());
        Engine::new(shared.ports(&Place::default()), Registry::default(), config).unwrap_err().to_string()
    };
    let long = refused(|config| EngineConfig { process: "x".repeat(300), ..config });
    assert!(long.contains("LEASE_NAME_BYTES_MAX"), "{long}");
    let never = refused(|config| EngineConfig { view_lease: LONG * 1_000_000, ..config });
    assert!(never.contains("LEASE_SECONDS_MAX"), "{never}");
}
