//! Processes as the engine runs them, with its worker and its followers.

use std::time::Duration;

use underlay_core::{Clock, EventStore, SystemClock, TenantId, Wakeups};

use super::house::House;
use super::notes::{LOST, acme, collecting, note, noted};
use super::payment::{ending, place, registry, story, tenant};
use crate::{FollowerStatus, ProcessFilter, SubscriptionState};

const LONG: Duration = Duration::from_secs(60);

/// Waits until the orders of a tenant have come to their endings.
async fn settled(house: &House, tenant: &TenantId, orders: impl Iterator<Item = (String, i64)> + Clone) {
    let mut wakeup = house.log.subscribe();
    let all = async {
        'again: loop {
            for (order, cents) in orders.clone() {
                if story(&house.log, tenant, &order).await != ending(cents) {
                    wakeup.hint().await;
                    continue 'again;
                }
            }
            return;
        }
    };
    tokio::select! {
        () = all => {}
        () = SystemClock.sleep(LONG) => panic!("the orders have not come to an end"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_share_a_store_finish_what_one_of_them_left() {
    let house = House::in_time(super::IS_DRIVEN);
    let amounts = [50, 500, 5_000];
    let orders = (0..60_i64).map(|order| (order.to_string(), amounts[order as usize % 3]));
    let (one, other) = (house.engine(registry()), house.engine(registry()));
    let (running, remaining) = (one.start_work(), other.start_work());
    for (order, cents) in orders.clone().take(30) {
        place(&one, &tenant(), &order, cents).await;
    }
    // One of them is killed in the midst of it: nothing is given back.
    drop(running);
    for (order, cents) in orders.clone().skip(30) {
        place(&other, &tenant(), &order, cents).await;
    }
    settled(&house, &tenant(), orders.clone()).await;
    remaining.stop().await;

    let views = other.start_views();
    let head = house.log.head().await.unwrap();
    other.wait_for_view("underlay_process_instances", head, LONG).await.unwrap();
    let page = other.processes(&tenant(), "payment", ProcessFilter::Every, None, 100).await.unwrap();
    assert_eq!(page.instances.len(), 60);
    let page = other.processes(&tenant(), "payment", ProcessFilter::Every, Some("0"), 2).await.unwrap();
    let names: Vec<&str> = page.instances.iter().map(|instance| instance.instance.as_str()).collect();
    assert_eq!((names, page.next.as_deref()), (vec!["1", "10"], Some("10")));
    views.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stopped_goes_on_once_a_person_asks_and_a_program_can_take_the_event() {
    let house = House::in_time(super::IS_DRIVEN);
    let strict = house.engine(collecting::<false, 1>());
    let running = strict.start_work();
    note(&house, "a", &[LOST, 10]).await;
    let paused = async {
        loop {
            let standing = strict.process_standings().await.unwrap().remove(0);
            if standing.status == FollowerStatus::Paused {
                return strict.process_states().remove(0);
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let state = tokio::time::timeout(LONG, paused).await.unwrap();
    assert!(state.status == SubscriptionState::Paused || state.error.is_some(), "{state:?}");
    running.stop().await;

    let parking = house.engine(collecting::<true, 1>());
    let running = parking.start_work();
    house.log.commit(&acme(), noted("b", &[11])).await.unwrap();
    let collected = async {
        loop {
            if let Ok(shown) = parking.process(&acme(), "collect", "b").await {
                return shown.state.unwrap();
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let state = tokio::time::timeout(LONG, collected).await.unwrap();
    assert_eq!(state.as_str(), r#"{"numbers":[11]}"#);
    // The step is taken as soon as its input is stored, and the follower stores how far it came after that.
    let came_past = async {
        loop {
            let standing = parking.process_standings().await.unwrap().remove(0);
            if standing.stop.is_none() {
                return standing;
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let standing = tokio::time::timeout(LONG, came_past).await.expect("it came past what stopped it");
    assert!(standing.held_by.is_some());
    running.stop().await;
    let standing = parking.process_standings().await.unwrap().remove(0);
    assert_eq!(standing.status, FollowerStatus::NotRunning);
}
