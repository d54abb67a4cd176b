use std::time::Duration;

use underlay_core::{
    Archive, Clock, CommandOutcome, Commit, CommitId, Error, EventStore, EventType, Input, Json, LogFilter,
    LogScope, Outgoing, Position, ProcessStart, Retention, Step, StoredInput, TenantId, Timestamp,
};
use underlay_testkit::{FailsOnce, Troubles, given_process};

use super::house::{House, Killed, Life};
use super::payment::{
    Account, AccountCommand, DEADLINE, Order, OrderCommand, OrderEvent, Payment, PaymentState, aggregates,
    ending, history, place, registry, story, tenant,
};
use crate::ProcessFilter;

const AMOUNTS: [i64; 3] = [50, 500, 5_000];

#[tokio::test]
async fn a_payment_is_settled_released_or_not_begun() {
    let house = House::new();
    let program = house.program(registry());
    for cents in AMOUNTS {
        place(&program.engine, &tenant(), &cents.to_string(), cents).await;
    }
    program.run().await.unwrap();
    for cents in AMOUNTS {
        assert_eq!(story(&house.log, &tenant(), &cents.to_string()).await, ending(cents), "{cents}");
    }
    // The timers that were taken back come due, and nothing happens.
    house.clock.advance(2 * DEADLINE);
    program.run().await.unwrap();
    for cents in AMOUNTS {
        assert_eq!(story(&house.log, &tenant(), &cents.to_string()).await, ending(cents), "{cents}");
    }
    assert!(program.waiting(false).await.is_empty() && program.waiting(true).await.is_empty());
}

#[tokio::test]
async fn killed_at_any_write_it_finishes_after_a_restart_with_each_step_once() {
    for loses_answer in [false, true] {
        let mut writes = 0;
        loop {
            writes += 1;
            let house = House::new();
            for cents in AMOUNTS {
                place(&house.program(registry()).engine, &tenant(), &cents.to_string(), cents).await;
            }
            let mortal = house.mortal(registry(), Life::of(writes, loses_answer));
            let ended = mortal.run().await;
            drop(mortal);
            // The shards of the one that was killed are free once its time has run out.
            house.clock.advance(Duration::from_secs(11));
            let next = house.program(registry());
            next.run().await.unwrap();
            house.clock.advance(Duration::from_secs(2));
            next.run().await.unwrap();
            for cents in AMOUNTS {
                let told = story(&house.log, &tenant(), &cents.to_string()).await;
                assert_eq!(told, ending(cents), "{cents} after write {writes}, {loses_answer}");
            }
            house.clock.advance(2 * DEADLINE);
            next.run().await.unwrap();
            assert!(next.waiting(false).await.is_empty() && next.waiting(true).await.is_empty());
            if ended == Ok(()) {
                break;
            }
            assert_eq!(ended, Err(Killed));
        }
        assert!(writes > 40, "only {writes} writes were tried");
    }
}

#[tokio::test]
async fn each_step_commit_and_settlement_fails_once_at_each_point_and_counts_once() {
    let (house, troubles) = (House::new(), Troubles::default());
    for cents in AMOUNTS {
        place(&house.program(registry()).engine, &tenant(), &cents.to_string(), cents).await;
    }
    let program = house.troubled(aggregates().process(FailsOnce::new(Payment, &troubles)), &troubles);
    for _ in 0..60 {
        program.run().await.unwrap();
        house.clock.advance(Duration::from_secs(1));
    }
    for cents in AMOUNTS {
        assert_eq!(story(&house.log, &tenant(), &cents.to_string()).await, ending(cents), "{cents}");
    }
    house.clock.advance(2 * DEADLINE);
    program.run().await.unwrap();
    assert!(program.waiting(false).await.is_empty() && program.waiting(true).await.is_empty());
    troubles.check();
    assert!(troubles.count() > 100, "{}", troubles.count());
}

#[tokio::test]
async fn a_step_is_a_pure_function() {
    let at = |seconds: u64| Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds)).unwrap();
    let placed = OrderEvent::Placed { account: "ann".to_owned(), cents: 50 };
    let state = PaymentState { order: "7".to_owned(), account: "ann".to_owned(), cents: 50 };
    let given = || given_process(Payment, []).of("order-7").at(at(10)).and(placed.clone());
    given_process(Payment, []).of("order-7").at(at(10)).when(placed.clone()).then(
        Step::to(state)
            .command(
                "reserve",
                Outgoing::command::<Account>(&"ann".to_owned(), &AccountCommand::Reserve { cents: 50 }),
            )
            .timer("deadline", at(10 + DEADLINE.as_secs())),
    );
    let refused = CommandOutcome::Refused {
        code: "poor".to_owned(),
        message: String::new(),
        body: Json::from_stored("{}"),
    };
    let cancelled = |why: &str| OrderCommand::Cancel { why: why.to_owned() };
    let cancel = |why: &str| Outgoing::command::<Order>(&"7".to_owned(), &cancelled(why));
    given()
        .when(Input::outcome("reserve", refused))
        .then(Step::stay().compensate().command("cancel", cancel("poor")).clear_timer("deadline"));
    given()
        .and(Input::outcome("reserve", CommandOutcome::Accepted))
        .when(Input::timer("deadline"))
        .then(Step::stay().compensate().command("cancel", cancel("deadline")));
}

#[tokio::test]
async fn a_deadline_undoes_what_was_done_and_a_late_answer_changes_nothing() {
    let house = House::new();
    let mut program = house.program(registry());
    program.unanswered.insert("gateway".to_owned());
    place(&program.engine, &tenant(), "a", 50).await;
    program.run().await.unwrap();
    let shown = program.engine.process(&tenant(), "payment", "a").await.unwrap();
    assert_eq!(shown.stream.as_str(), "process_payment-a");
    assert_eq!(shown.commands.iter().map(|command| command.name.as_str()).collect::<Vec<_>>(), ["charge"]);
    let charge = shown.commands[0].command_id;
    let due_at = house.clock.now().saturating_add(DEADLINE).unwrap();
    assert_eq!(
        shown.timers.iter().map(|timer| (timer.name.as_str(), timer.due_at)).collect::<Vec<_>>(),
        [("deadline", due_at)]
    );
    assert_eq!(shown.undos, ["release"]);

    house.clock.advance(DEADLINE - Duration::from_millis(1));
    program.run().await.unwrap();
    assert_eq!(history(&house.log, &tenant(), "order-a").await, ["order-placed"]);
    house.clock.advance(Duration::from_millis(1));
    program.run().await.unwrap();
    let undone = || async {
        (
            history(&house.log, &tenant(), "order-a").await,
            history(&house.log, &tenant(), "account-of-a").await,
        )
    };
    let expected = (
        vec!["order-placed".to_owned(), "order-cancelled".to_owned()],
        vec!["reserved".to_owned(), "released".to_owned()],
    );
    assert_eq!(undone().await, expected);

    // The gateway answers after all.
    let late = StoredInput::Outcome {
        name: "charge".to_owned(),
        command_id: charge,
        outcome: CommandOutcome::Accepted,
    };
    let commit = Commit::new(CommitId::draw()).send(late.work("payment", "a").unwrap());
    house.log.commit(&tenant(), commit).await.unwrap();
    program.run().await.unwrap();
    assert_eq!(undone().await, expected);
    let shown = program.engine.process(&tenant(), "payment", "a").await.unwrap();
    assert!(shown.is_finished && shown.commands.is_empty() && shown.timers.is_empty());
}

#[tokio::test]
async fn what_comes_again_is_one_step() {
    let house = House::new();
    let program = house.program(registry());
    place(&program.engine, &tenant(), "a", 50).await;
    program.follow().await.unwrap();
    let work = program.waiting(false).await.remove(0).work;
    for _ in 0..3 {
        program.receive(&work).await.unwrap();
        // Another program has nothing in memory.
        house.program(registry()).receive(&work).await.unwrap();
    }
    assert_eq!(history(&house.log, &tenant(), "process_payment-a").await.len(), 1);
    program.run().await.unwrap();
    let steps = history(&house.log, &tenant(), "process_payment-a").await.len();
    house.program(registry()).receive(&work).await.unwrap();
    program.receive(&work).await.unwrap();
    assert_eq!(history(&house.log, &tenant(), "process_payment-a").await.len(), steps);
    // The log is followed anew from its beginning.
    program.engine.restart_process("payment", ProcessStart::Beginning).await.unwrap();
    program.run().await.unwrap();
    assert_eq!(story(&house.log, &tenant(), "a").await, ending(50));
    assert_eq!(history(&house.log, &tenant(), "process_payment-a").await.len(), steps);
}

#[tokio::test]
async fn the_same_instance_of_two_tenants_is_two() {
    let house = House::new();
    let program = house.program(registry());
    let other = TenantId::new("globex").unwrap();
    place(&program.engine, &tenant(), "a", 50).await;
    place(&program.engine, &other, "a", 500).await;
    program.run().await.unwrap();
    assert_eq!(story(&house.log, &tenant(), "a").await, ending(50));
    assert_eq!(story(&house.log, &other, "a").await, ending(500));
    let of = async |tenant: &TenantId| {
        program.engine.process(tenant, "payment", "a").await.unwrap().state.unwrap()
    };
    assert!(of(&tenant()).await.as_str().contains("50") && of(&other).await.as_str().contains("500"));
    let third = TenantId::new("initech").unwrap();
    let error = program.engine.process(&third, "payment", "a").await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[tokio::test]
async fn after_an_import_into_another_store_a_replay_repeats_nothing() {
    let house = House::new();
    let program = house.program(registry());
    for cents in AMOUNTS {
        place(&program.engine, &tenant(), &cents.to_string(), cents).await;
    }
    program.run().await.unwrap();
    let archived = house.log.read_commits(&LogScope::EveryTenant, 0, 1_000).await.unwrap().commits;
    for forgets_inputs in [false, true] {
        let copy = House::new();
        for commit in &archived {
            copy.log.import_commits(vec![commit.clone()]).await.unwrap();
        }
        if forgets_inputs {
            // What is left are the steps themselves.
            copy.log.forget_empty_commits(Timestamp::MAX).await.unwrap();
        }
        let before = copy.log.head().await.unwrap();
        let replaying = copy.program(registry());
        replaying.follow().await.unwrap();
        assert_eq!(replaying.waiting(false).await.len(), if forgets_inputs { AMOUNTS.len() } else { 0 });
        replaying.run().await.unwrap();
        copy.clock.advance(2 * DEADLINE);
        replaying.run().await.unwrap();
        assert_eq!(copy.log.head().await.unwrap(), before, "a replay appends nothing");
        assert!(replaying.waiting(false).await.is_empty() && replaying.waiting(true).await.is_empty());
        for cents in AMOUNTS {
            assert_eq!(story(&copy.log, &tenant(), &cents.to_string()).await, ending(cents));
        }
    }
}

#[tokio::test]
async fn thousands_of_instances_go_side_by_side() {
    const INSTANCES: usize = 2_000;
    let house = House::new();
    let program = house.program(registry());
    for order in 0..INSTANCES {
        place(&program.engine, &tenant(), &order.to_string(), 50).await;
    }
    program.run().await.unwrap();
    for order in (0..INSTANCES).step_by(97).chain([INSTANCES - 1]) {
        assert_eq!(story(&house.log, &tenant(), &order.to_string()).await, ending(50), "{order}");
    }
    let paid = LogFilter { categories: Vec::new(), event_types: vec![EventType::new("order-paid").unwrap()] };
    let page = house.log.read_all(&LogScope::EveryTenant, Position::START, &paid, 10_000).await.unwrap();
    assert_eq!(page.events.len(), INSTANCES);

    let views = program.engine.start_views();
    let head = house.log.head().await.unwrap();
    let waited = program.engine.wait_for_view("underlay_process_instances", head, Duration::from_secs(60));
    waited.await.unwrap();
    let (mut after, mut listed) = (None, 0);
    loop {
        let page = program
            .engine
            .processes(&tenant(), "payment", ProcessFilter::Finished, after.as_deref(), 1_000)
            .await
            .unwrap();
        assert!(page.instances.iter().all(|instance| instance.is_finished && instance.steps == 4));
        listed += page.instances.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, INSTANCES);
    let open = program.engine.processes(&tenant(), "payment", ProcessFilter::Open, None, 10).await.unwrap();
    assert_eq!(open.instances, []);
    views.stop().await;
}
