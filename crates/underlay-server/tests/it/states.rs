//! The state of an aggregate, now and then.

use std::time::Duration;

use underlay_runtime::Registry;

use crate::account::Account;
use crate::place::{ByHeader, Place, get_with};

const STATE: &str = "/v1/streams/account-cash/state";

#[tokio::test]
async fn the_state_is_told_after_any_number_of_events() {
    let place = Place::new();
    // More than are read at once, and more than lie between two snapshots.
    for _ in 0..40 {
        place.deposit("cash", "10").await;
    }
    let now = place.get(STATE).await.ok();
    assert_eq!((&now["version"], &now["state"]["balance"]), (&40.into(), &"400".into()), "{now}");
    for version in [1, 2, 31, 32, 33, 39, 40] {
        let then = place.get(&format!("{STATE}?version={version}")).await.ok();
        assert_eq!(then["version"], version);
        assert_eq!(then["state"]["balance"], (version * 10).to_string(), "{then}");
    }
    let beyond = place.get(&format!("{STATE}?version=41")).await.problem(404, "problem:not-found");
    assert!(beyond["detail"].as_str().unwrap().contains("which is at 40"), "{beyond}");
    assert!(place.get(&format!("{STATE}?version=0")).await.invalid().contains("1 or more"));
}

#[tokio::test]
async fn the_state_is_told_at_any_moment() {
    let place = Place::new();
    let before = place.engine.clock().now();
    let mut moments = Vec::new();
    for _ in 0..5 {
        place.clock.advance(Duration::from_secs(60));
        place.deposit("cash", "10").await;
        moments.push(place.get(STATE).await.ok()["recorded_at"].as_str().unwrap().to_owned());
    }
    for (events, moment) in (1..).zip(&moments) {
        let then = place.get(&format!("{STATE}?at={moment}")).await.ok();
        assert_eq!(
            (&then["version"], &then["recorded_at"]),
            (&events.into(), &moment.as_str().into()),
            "{then}"
        );
    }
    place.get(&format!("{STATE}?at={before}")).await.problem(404, "problem:not-found");
    let later = place.get(&format!("{STATE}?at=2999-01-01T00:00:00Z")).await.ok();
    assert_eq!(later["version"], 5);
    let both = place.get(&format!("{STATE}?version=1&at={}", moments[0])).await.invalid();
    assert!(both.contains("only one"), "{both}");
    place.get(&format!("{STATE}?at=yesterday")).await.invalid();
    place.get(&format!("{STATE}?version=-1")).await.invalid();
}

#[tokio::test]
async fn what_has_no_state_to_tell_says_what_to_declare() {
    let place = Place::of(Registry::default().aggregate::<Account>(), |config| config);
    place.deposit("cash", "10").await;
    let problem = place.get(STATE).await.problem(404, "problem:not-found");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("#[underlay::snapshot") && detail.contains("`snapshots`"), "{detail}");
    place.get("/v1/streams/nothing-1/state").await.problem(404, "problem:not-found");
    place.get("/v1/streams/nothing/state").await.invalid();
}

#[tokio::test]
async fn a_state_is_told_to_those_who_read_the_log_of_their_tenant() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    place.store_big_commit("acme", "account-cash", 1).await;
    place.get(STATE).await.problem(401, "problem:unidentified");
    let of = |who: &str| get_with(STATE, &[("authorization", who)]);
    place.send(of("Bearer globex")).await.problem(404, "problem:not-found");
    // Another type of event than the aggregate knows: the log is at fault, and says no more.
    place.send(of("Bearer acme")).await.problem(500, "problem:damaged");
}
