//! Order: of one instance everything comes in the order of the log, whoever follows it and however often.

use underlay_core::{StoredInput, Timestamp, WorkKind};

use super::house::House;
use super::notes::{CLEAR, FINISH, STAY, TIMER, acme, collected, collecting, note, noted};
use underlay_core::{Clock, EventStore};

#[tokio::test]
async fn events_of_an_instance_come_in_the_order_of_the_log_whoever_follows_it() {
    let house = House::new();
    let (one, other) = (house.program(collecting::<false, 1>()), house.program(collecting::<false, 1>()));
    for round in 0..30_u32 {
        for instance in ["a", "b", "c"] {
            note(&house, instance, &[2 * round + 10, 2 * round + 11]).await;
        }
        // Where the other moves the checkpoint first, this one finds it moved, and looks again.
        let (first, second) = tokio::join!(one.follow(), other.follow());
        drop((first, second));
        if round % 7 == 0 {
            one.work().await.unwrap();
        }
    }
    one.run().await.unwrap();
    let expected: Vec<u32> = (10..70).collect();
    for instance in ["a", "b", "c"] {
        assert_eq!(collected(&one, instance).await, expected, "{instance}");
    }
}

#[tokio::test]
async fn a_page_of_one_instance_keeps_its_order() {
    let house = House::new();
    let numbers: Vec<u32> = (10..500).collect();
    note(&house, "a", &numbers).await;
    let program = house.program(collecting::<false, 1>());
    program.run().await.unwrap();
    assert_eq!(collected(&program, "a").await, numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_of_one_instance_in_two_programs_at_once_are_all_taken_once() {
    let house = House::new();
    let (one, other) = (house.program(collecting::<false, 1>()), house.program(collecting::<false, 1>()));
    for round in 0..40_u32 {
        note(&house, "a", &[10 + 2 * round, 11 + 2 * round]).await;
        one.follow().await.unwrap();
        let waiting: Vec<_> = one.waiting(false).await.into_iter().map(|info| info.work).collect();
        let [.., before, last] = waiting.as_slice() else { panic!("two inputs wait") };
        // Both programs hold the instance in memory, and one of the two is old; each input is given to both.
        let (first, second, third) =
            tokio::join!(one.receive(before), other.receive(last), other.receive(before));
        first.and(second).and(third).unwrap();
        one.receive(last).await.unwrap();
    }
    let mut numbers = collected(&one, "a").await;
    assert_eq!(numbers.len(), 80, "{numbers:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, (10..90).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_timer_that_was_replaced_or_taken_back_does_not_fire_also_where_it_was_read() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[TIMER + 10]).await;
    note(&house, "b", &[TIMER + 10]).await;
    note(&house, "c", &[TIMER + 10]).await;
    program.run().await.unwrap();
    let timers: Vec<_> = program.waiting(false).await.into_iter().map(|info| info.work).collect();
    assert!(timers.iter().all(|work| work.sent.kind == WorkKind::Timer) && timers.len() == 3);
    house.clock.advance(std::time::Duration::from_secs(20));
    // They were read, and are about to be done, when another program takes a step; this one holds the old instance.
    let other = house.program(collecting::<false, 1>());
    note(&house, "a", &[TIMER + 60]).await;
    note(&house, "b", &[CLEAR]).await;
    other.follow().await.unwrap();
    for info in other.waiting(false).await {
        if info.work.sent.kind == WorkKind::Input {
            other.receive(&info.work).await.unwrap();
        }
    }
    for work in &timers {
        program.receive(work).await.unwrap();
    }
    assert_eq!(collected(&program, "a").await, [TIMER + 10, TIMER + 60], "it was replaced");
    assert_eq!(collected(&program, "b").await, [TIMER + 10, CLEAR], "it was taken back");
    assert_eq!(collected(&program, "c").await, [TIMER + 10, 0], "it came due");
    house.clock.advance(std::time::Duration::from_secs(120));
    program.run().await.unwrap();
    assert_eq!(collected(&program, "a").await, [TIMER + 10, TIMER + 60, 0]);
    assert_eq!(collected(&program, "b").await, [TIMER + 10, CLEAR]);
    assert_eq!(collected(&program, "c").await, [TIMER + 10, 0], "a timer comes once");
}

#[tokio::test]
async fn a_step_is_told_the_time_of_its_input_whenever_it_is_taken() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[TIMER + 10]).await;
    let noted_at = house.clock.now();
    house.clock.advance(std::time::Duration::from_secs(5));
    program.run().await.unwrap();
    let shown = program.engine.process(&acme(), "collect", "a").await.unwrap();
    let after = |seconds| noted_at.saturating_add(std::time::Duration::from_secs(seconds)).unwrap();
    assert_eq!(shown.timers[0].due_at, after(10));
    assert_eq!(shown.began_at, Some(noted_at));
    let timer = program.waiting(false).await.remove(0).work;
    let input: StoredInput = timer.sent.payload.json().unwrap().decode().unwrap();
    let StoredInput::Timer { due_at, .. } = input else { panic!("{input:?}") };
    assert_eq!((due_at, timer.sent.due_at), (after(10), Some(after(10))));
    assert!(timer.sent_at > Timestamp::UNIX_EPOCH);
}

#[tokio::test]
async fn a_finished_instance_ignores_everything_and_one_that_stays_does_not_begin() {
    let house = House::new();
    let program = house.program(collecting::<false, 1>());
    note(&house, "a", &[10, TIMER + 1, FINISH, 11]).await;
    note(&house, "b", &[STAY]).await;
    program.run().await.unwrap();
    house.clock.advance(std::time::Duration::from_secs(60));
    note(&house, "a", &[12]).await;
    program.run().await.unwrap();
    assert_eq!(collected(&program, "a").await, [10, TIMER + 1, FINISH]);
    let stays = program.waiting(false).await;
    assert!(stays.is_empty(), "{stays:?}");
    assert!(program.engine.process(&acme(), "collect", "b").await.is_err(), "it has not begun");
    // What it stayed at comes again after it has begun: it was taken, and nothing follows from it now either.
    note(&house, "b", &[10]).await;
    program.run().await.unwrap();
    program.engine.restart_process("collect", underlay_core::ProcessStart::Beginning).await.unwrap();
    program.run().await.unwrap();
    assert_eq!(collected(&program, "b").await, [10]);
    let shown = program.engine.process(&acme(), "collect", "b").await.unwrap();
    assert_eq!(shown.version.0, 1, "a stay of an instance that had not begun is no step of it later");
    house.log.commit(&acme(), noted("c", &[STAY])).await.unwrap();
}
