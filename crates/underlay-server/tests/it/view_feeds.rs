//! The feed of a view: what a client has made of it is what a page says, whatever happens in between.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::Response;
use serde_json::{Value, json};
use underlay_runtime::RebuildFrom;

use crate::account::BREAKING;
use crate::listener::Listener;
use crate::place::{ByHeader, Place, post_with};

const BALANCES: &str = "/v1/views/balances";

/// What a client has made of what it was told.
#[derive(Debug, Default)]
struct Mirror {
    rows: BTreeMap<String, Value>,
    resets: usize,
    is_live: bool,
}

impl Mirror {
    fn hear(&mut self, event: &str, data: &Value) {
        let key = || data["key"].as_str().unwrap().to_owned();
        match event {
            "row" => {
                let mut row = data.clone();
                row.as_object_mut().unwrap().remove("position").unwrap();
                self.rows.insert(key(), row);
            }
            "removed" => {
                self.rows.remove(&key());
            }
            "reset" => {
                self.resets += 1;
                self.is_live = false;
                self.rows.clear();
            }
            "live" => self.is_live = true,
            other => panic!("no event of a view's feed: {other}: {data}"),
        }
    }

    /// Hears until what it has made is what a page says.
    async fn agrees(&mut self, place: &Place, listener: &mut Listener, path: &str) {
        for _ in 0..2_000 {
            if self.is_live && self.rows == page(place, path).await {
                return;
            }
            self.hear_next(place, listener).await;
        }
        panic!("it never agrees: {:?}, {:?}", self.rows, page(place, path).await);
    }

    async fn hear_next(&mut self, place: &Place, listener: &mut Listener) {
        let said = listener.next_in_time(place).await.expect("the feed has ended");
        if let (Some(event), Some(data)) = (&said.event, &said.data) {
            self.hear(event, data);
        }
    }
}

/// The rows as pages have them.
async fn page(place: &Place, path: &str) -> BTreeMap<String, Value> {
    let (mut rows, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page = place.get(&format!("{path}{sign}limit=1000{cursor}")).await.ok();
        for row in page["rows"].as_array().unwrap() {
            rows.insert(row["key"].as_str().unwrap().to_owned(), row.clone());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// The next event that says something.
async fn next(place: &Place, listener: &mut Listener) -> (String, Value, Option<String>) {
    loop {
        let said = listener.next_in_time(place).await.expect("the feed has ended");
        if let Some(event) = said.event {
            return (event, said.data.unwrap(), said.id);
        }
    }
}

async fn follow(place: &Place, path: &str, headers: &[(&str, &str)]) -> Listener {
    let response = Listener::ask(place, path, headers).await;
    assert_eq!(response.status(), 200, "{path}");
    Listener::of(response)
}

async fn problem(response: Response<Body>) -> Value {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn it_gives_the_rows_and_then_what_changes() {
    let place = Place::with_views();
    for account in ["a", "b"] {
        place.deposit(account, "5").await;
    }
    place.get(&format!("{BALANCES}?min_position=2")).await.ok();
    let mut listener = follow(&place, BALANCES, &[]).await;
    for account in ["a", "b"] {
        let (event, row, id) = next(&place, &mut listener).await;
        assert_eq!(
            (event.as_str(), &row["key"], &row["balance"], id),
            ("row", &json!(account), &json!("5"), None)
        );
        assert_eq!(row["position"], "2");
    }
    let (event, live, id) = next(&place, &mut listener).await;
    assert_eq!((event.as_str(), &live["position"]), ("live", &json!("2")));
    assert!(id.is_some_and(|id| id.starts_with("1.2-")));
    place.deposit("b", "2").await;
    let (event, row, id) = next(&place, &mut listener).await;
    assert_eq!((event.as_str(), &row["key"], &row["balance"]), ("row", &json!("b"), &json!("7")));
    assert!(id.is_some_and(|id| id.starts_with("1.3-")));
    // One commit, two rows: the id comes with the last.
    place.post("/v1/operations/transfer", r#"{"from":"a","to":"c","amount":"1"}"#).await.ok();
    let (first, second) = (next(&place, &mut listener).await, next(&place, &mut listener).await);
    assert_eq!((&first.1["key"], first.2), (&json!("a"), None));
    assert_eq!((&second.1["key"], &second.1["balance"]), (&json!("c"), &json!("1")));
    assert!(second.2.is_some_and(|id| id.starts_with("1.5-")));
}

#[tokio::test]
async fn a_row_that_is_gone_or_no_longer_meets_the_filter_is_removed() {
    let place = Place::with_views();
    let path = format!("{BALANCES}?balance[ge]=10");
    let mut few = follow(&place, &path, &[]).await;
    let mut gone = follow(&place, "/v1/views/fragile", &[]).await;
    assert_eq!(next(&place, &mut few).await.0, "live");
    assert_eq!(next(&place, &mut gone).await.0, "live");
    place.deposit("a", "15").await;
    assert_eq!(next(&place, &mut few).await.0, "row");
    assert_eq!(next(&place, &mut gone).await.0, "row");
    place.post("/v1/account/a/withdraw", r#"{"amount":"6"}"#).await.ok();
    for listener in [&mut few, &mut gone] {
        let (event, removed, id) = next(&place, listener).await;
        assert_eq!((event.as_str(), &removed["key"], id.is_some()), ("removed", &json!("a"), true));
    }
    place.deposit("a", "1").await;
    assert_eq!(next(&place, &mut few).await.0, "row");
}

#[tokio::test]
async fn a_client_that_comes_back_is_given_what_has_changed_since() {
    let place = Place::with_views();
    for account in ["a", "b", "c"] {
        place.deposit(account, "5").await;
    }
    place.get(&format!("{BALANCES}?min_position=3")).await.ok();
    let mut listener = follow(&place, BALANCES, &[]).await;
    let mut mirror = Mirror::default();
    mirror.agrees(&place, &mut listener, BALANCES).await;
    let id = listener.blocks.last_id.clone().unwrap();
    drop(listener);
    place.deposit("b", "1").await;
    place.deposit("d", "1").await;
    let mut listener = follow(&place, BALANCES, &[("last-event-id", &id)]).await;
    let (one, two) = (next(&place, &mut listener).await, next(&place, &mut listener).await);
    assert_eq!((&one.1["key"], &two.1["key"]), (&json!("b"), &json!("d")), "and nothing else");
    // An id of another view's generation, of the log, or of nobody is told from it.
    for (wrong, status) in
        [("1.9-0011223344556677", 409), ("7", 400), ("2-0011223344556677", 400), ("x.1", 400)]
    {
        let refused = Listener::ask(&place, BALANCES, &[("last-event-id", wrong)]).await;
        assert_eq!(refused.status(), status, "{wrong}");
    }
    let other = id.replacen("1.", "9.", 1);
    let mut listener = follow(&place, BALANCES, &[("last-event-id", &other)]).await;
    assert_eq!(next(&place, &mut listener).await.0, "reset");
    Mirror::default().agrees(&place, &mut listener, BALANCES).await;
}

#[tokio::test]
async fn whoever_breaks_off_before_all_rows_begins_anew() {
    let place = Place::with_views();
    for account in ["a", "b", "c"] {
        place.deposit(account, "5").await;
    }
    place.get("/v1/views/fragile?min_position=3").await.ok();
    let mut listener = follow(&place, "/v1/views/fragile", &[]).await;
    let mut mirror = Mirror::default();
    while !mirror.rows.contains_key("a") {
        mirror.hear_next(&place, &mut listener).await;
    }
    // The row it has is gone by the time it comes back.
    let id = listener.blocks.last_id.clone().unwrap();
    drop(listener);
    place.post("/v1/account/a/withdraw", r#"{"amount":"1"}"#).await.ok();
    place.get("/v1/views/fragile?min_position=4").await.ok();
    let mut listener = follow(&place, "/v1/views/fragile", &[("last-event-id", &id)]).await;
    while !mirror.is_live {
        mirror.hear_next(&place, &mut listener).await;
    }
    assert_eq!(
        (mirror.rows.into_keys().collect::<Vec<_>>(), mirror.resets),
        (vec!["b".to_owned(), "c".to_owned()], 1)
    );
}

#[tokio::test]
async fn a_rebuild_begins_anew_also_where_nothing_follows() {
    let place = Place::with_views();
    for account in ["a", "b"] {
        place.deposit(account, "5").await;
    }
    let mut listener = follow(&place, BALANCES, &[]).await;
    let mut mirror = Mirror::default();
    mirror.agrees(&place, &mut listener, BALANCES).await;
    let old = listener.blocks.last_id.clone().unwrap();
    place.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
    while mirror.resets == 0 {
        mirror.hear_next(&place, &mut listener).await;
    }
    mirror.agrees(&place, &mut listener, BALANCES).await;
    assert!(listener.blocks.last_id.as_ref().unwrap().starts_with("2."));
    // And who was away meanwhile hears the same.
    let mut late = follow(&place, BALANCES, &[("last-event-id", &old)]).await;
    assert_eq!(next(&place, &mut late).await.0, "reset");
    place.engine.revert_view("balances").await.unwrap();
    while mirror.resets == 1 {
        mirror.hear_next(&place, &mut listener).await;
    }
    mirror.agrees(&place, &mut listener, BALANCES).await;
    place.deposit("a", "1").await;
    mirror.agrees(&place, &mut listener, BALANCES).await;
}

#[tokio::test]
async fn whatever_happens_a_client_has_what_a_page_says() {
    let place = Place::with_views();
    // More than one page of rows, so that some change between two.
    for number in 0..230 {
        place.deposit(&format!("k{number:03}"), "20").await;
    }
    place.get(&format!("{BALANCES}?min_position=230")).await.ok();
    let paths = [BALANCES.to_owned(), format!("{BALANCES}?balance[lt]=20"), "/v1/views/fragile".to_owned()];
    let mut clients = Vec::new();
    for path in &paths {
        clients.push((path, follow(&place, path, &[]).await, Mirror::default()));
    }
    let mut drawn = 17_u64;
    let mut draw = |below: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (drawn >> 33) % below
    };
    for round in 0..150 {
        let (account, other) = (format!("k{:03}", draw(235)), format!("k{:03}", draw(235)));
        match draw(4) {
            0 => drop(place.deposit(&account, "1").await),
            1 => drop(place.post(&format!("/v1/account/{account}/withdraw"), r#"{"amount":"2"}"#).await),
            2 => {
                let body = format!(r#"{{"from":"{account}","to":"{other}","amount":"3"}}"#);
                drop(place.post("/v1/operations/transfer", &body).await);
            }
            _ => {
                for (_, listener, mirror) in &mut clients {
                    for _ in 0..draw(60) {
                        if listener.is_quiet().await {
                            break;
                        }
                        mirror.hear_next(&place, listener).await;
                    }
                }
            }
        }
        if round % 40 == 39 {
            place.engine.rebuild_view("balances", RebuildFrom::default(), |_| {}).await.unwrap();
        }
        // Sometimes one breaks off, in the middle of whatever it was given.
        let (path, listener, mirror) = &mut clients[draw(3) as usize];
        if draw(10) == 0 {
            let last = listener.blocks.last_id.clone();
            if last.is_none() {
                // It had not even heard the opening.
                assert!(mirror.rows.is_empty());
            }
            let header = last.as_deref().map(|id| [("last-event-id", id)]);
            *listener = follow(&place, path, header.as_ref().map_or(&[], |header| header)).await;
            listener.blocks.last_id = last;
        }
    }
    for (path, listener, mirror) in &mut clients {
        mirror.agrees(&place, listener, path).await;
    }
}

#[tokio::test]
async fn where_a_view_is_stopped_the_feed_waits_with_it() {
    let place = Place::with_views();
    place.deposit("a", "1").await;
    let mut listener = follow(&place, "/v1/views/fragile", &[]).await;
    let mut mirror = Mirror::default();
    mirror.agrees(&place, &mut listener, "/v1/views/fragile").await;
    let position = place.deposit("b", &BREAKING.to_string()).await;
    place.deposit("a", "3").await;
    // Heartbeats come, and no row.
    for _ in 0..3 {
        let said = listener.next_in_time(&place).await.unwrap();
        assert!(said.is_comment, "{said:?}");
    }
    place.engine.skip_view("fragile", position.parse().unwrap(), "ada", "a test").await.unwrap();
    mirror.agrees(&place, &mut listener, "/v1/views/fragile").await;
    assert_eq!(mirror.rows["a"]["amount"], "3");
}

#[tokio::test]
async fn it_is_one_tenants_and_for_those_who_may_read_the_view() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let _views = place.engine.start_views();
    let (acme, zeta) =
        ([("authorization", "Bearer acme.auditor")], [("authorization", "Bearer zeta.auditor")]);
    let mut ours = follow(&place, BALANCES, &acme).await;
    let mut theirs = follow(&place, BALANCES, &zeta).await;
    for listener in [&mut ours, &mut theirs] {
        assert_eq!(next(&place, listener).await.0, "live");
    }
    // The same key in two tenants is two rows.
    for (headers, amount) in [(&acme, "1"), (&zeta, "2")] {
        let body = format!(r#"{{"amount":"{amount}"}}"#);
        place.send(post_with("/v1/account/cash/deposit", &body, headers)).await.ok();
    }
    assert_eq!(next(&place, &mut ours).await.1["balance"], "1");
    assert_eq!(next(&place, &mut theirs).await.1["balance"], "2");
    assert!(ours.is_quiet().await && theirs.is_quiet().await);
    let stranger = Listener::ask(&place, "/v1/views/fragile", &[("authorization", "Bearer acme")]).await;
    assert_eq!(stranger.status(), 403);
}

#[tokio::test]
async fn what_is_for_pages_alone_is_refused() {
    let place = Place::with_views();
    for query in ["sort=balance", "limit=1", "cursor=x", "count=true", "min_position=1", "wait=1"] {
        let refused = Listener::ask(&place, &format!("{BALANCES}?{query}"), &[]).await;
        assert_eq!(refused.status(), 400, "{query}");
        assert!(problem(refused).await["detail"].as_str().unwrap().contains("is for pages"), "{query}");
    }
    for (path, status) in [("/v1/views/nothing", 404), ("/v1/views/balances?note=x", 400)] {
        assert_eq!(Listener::ask(&place, path, &[]).await.status(), status, "{path}");
    }
}
