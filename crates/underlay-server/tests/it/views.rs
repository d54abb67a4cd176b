use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{
    Checkpoint, EventId, EventStore, Leases, Position, ReadModels, RowAddress, RowChange, TenantId,
    Timestamp, ViewBatch,
};
use underlay_runtime::SubscriptionState;

use crate::account::BREAKING;
use crate::place::Place;

/// Twelve accounts, in the view: `k/00` with 0, `k/01` with 10, up to `k/11` with 110; every third is closed.
async fn filled() -> Place {
    let place = Place::with_views();
    let mut position = String::new();
    for number in 0..12 {
        position = place.deposit(&format!("k%2F{number:02}"), &format!("{}.50", number * 10)).await;
        if number % 3 == 0 {
            let closed = place.post(&format!("/v1/account/k%2F{number:02}/close"), "").await.ok();
            position = closed["position"].as_str().unwrap().to_owned();
        }
    }
    place.get(&format!("/v1/views/balances?min_position={position}")).await.ok();
    place
}

fn keys(page: &Value) -> Vec<&str> {
    page["rows"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_process_that_stands_by_tells_how_far_the_view_is() {
    let place = Place::new();
    let lease = place.leases.acquire("view:balances", "another process", Duration::from_secs(60)).await;
    let lease = lease.unwrap().expect("it is free");
    let _views = place.engine.start_views();
    while place.engine.view_states()[0].status != SubscriptionState::Standby {
        tokio::task::yield_now().await;
    }
    // What the view is, and not what this process does: whoever asks does not know which one answers.
    let stands = async || {
        let views = place.get("/v1/views").await.ok();
        (views["views"][0]["status"].clone(), views["views"][0]["position"].clone())
    };
    assert_eq!(stands().await, (json!("live"), json!("0")));
    let position = place.deposit("cash", "1").await;
    // The store is asked once in a while, however often this is.
    assert_eq!(stands().await, (json!("live"), json!("0")));
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(stands().await, (json!("catching_up"), json!("0")));
    place.get("/readyz").await.ok();
    assert!(place.get("/").await.text().contains("catching up"));

    place.leases.release(&lease).await.unwrap();
    let waiting = Request::get(format!("/v1/views/balances?min_position={position}&wait=5"));
    let page = place.send_while_time_passes(waiting.body(Body::empty()).unwrap()).await.ok();
    assert_eq!(page["rows"][0]["balance"], "1");
    assert_eq!(stands().await, (json!("live"), json!(position)));
}

#[tokio::test]
async fn a_row_shows_its_key_and_columns_in_order() {
    let place = filled().await;
    let answer = place.get("/v1/views/balances?limit=1").await;
    let row = answer.ok()["rows"][0].clone();
    let changed_at = row["changed_at"].as_str().unwrap();
    let expected = format!(
        r#"{{"key":"k/00","account":"k/00","balance":"0.50","count":2,"open":false,"changed_at":"{changed_at}","note":null}}"#
    );
    assert!(answer.text().contains(&expected), "{}", answer.text());
}

#[tokio::test]
async fn a_view_is_read_to_its_end_by_filter_and_sort() {
    let place = filled().await;
    for limit in [1, 2, 3, 100] {
        let (mut cursor, mut balances) = (String::new(), Vec::new());
        loop {
            let path = format!(
                "/v1/views/balances?account[prefix]=k/&balance[ge]=20&balance[lt]=100.5&open=true&sort=-balance&limit={limit}{cursor}"
            );
            let page = place.get(&path).await.ok();
            let rows = page["rows"].as_array().unwrap();
            assert!(rows.len() <= limit);
            balances.extend(rows.iter().map(|row| row["balance"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(balances, ["80.50", "70.50", "50.50", "40.50", "20.50"], "limit={limit}");
    }
}

#[tokio::test]
async fn every_comparison_compares() {
    let place = filled().await;
    for (query, expected) in [
        ("balance=20.5", vec!["k/02"]),
        ("balance[eq]=20.50", vec!["k/02"]),
        ("balance[lt]=20.50", vec!["k/00", "k/01"]),
        ("balance[le]=20.50", vec!["k/00", "k/01", "k/02"]),
        ("balance[gt]=90.50", vec!["k/10", "k/11"]),
        ("balance[ge]=90.50", vec!["k/09", "k/10", "k/11"]),
        ("account[prefix]=k%2F1", vec!["k/10", "k/11"]),
        ("balance%5Bgt%5D=90.50&balance[lt]=110.50", vec!["k/10"]),
        ("open=false&sort=-key", vec!["k/09", "k/06", "k/03", "k/00"]),
        ("open=false&sort=key", vec!["k/00", "k/03", "k/06", "k/09"]),
        ("changed_at[gt]=9999-01-01T00:00:00Z", vec![]),
    ] {
        let page = place.get(&format!("/v1/views/balances?{query}")).await.ok();
        assert_eq!(keys(&page), expected, "{query}");
        assert_eq!(page["next"], Value::Null, "{query}");
    }
}

#[tokio::test]
async fn a_column_named_like_a_parameter_is_reached_with_a_comparison() {
    let place = filled().await;
    let page = place.get("/v1/views/balances?count[eq]=2&count=true&limit=1").await.ok();
    assert_eq!(keys(&page), ["k/00"]);
    assert_eq!(page["count"], 4, "all pages are counted");
    let page = place.get("/v1/views/balances?limit=1").await.ok();
    assert!(page.get("count").is_none(), "counting is asked for");
    place.get("/v1/views/balances?count=2").await.invalid();
}

#[tokio::test]
async fn a_condition_says_what_filters_cannot() {
    let place = filled().await;
    let ids = async |condition: Value, filters: &str| {
        let condition: String = condition.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let page = place.get(&format!("/v1/views/balances?condition={condition}{filters}")).await.ok();
        keys(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let either = json!({"any": [{"column": "account", "eq": "k/01"}, {"column": "balance", "gt": "99"}]});
    assert_eq!(ids(either.clone(), "").await, ["k/01", "k/10", "k/11"]);
    assert_eq!(ids(either.clone(), "&balance[lt]=105&sort=-balance").await, ["k/10", "k/01"]);
    let closed = json!({"not": {"column": "open", "eq": true}});
    assert_eq!(ids(closed, "").await, ["k/00", "k/03", "k/06", "k/09"]);
    assert_eq!(ids(json!({"column": "note", "is_null": false}), "").await, [""; 0]);
    // It is counted and paged as filters are.
    let condition: String = either.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/v1/views/balances?condition={condition}&count=true&limit=2");
    let page = place.get(&path).await.ok();
    assert_eq!((&page["count"], keys(&page)), (&json!(3), vec!["k/01", "k/10"]));
    let next = page["next"].as_str().unwrap();
    assert_eq!(keys(&place.get(&format!("{path}&cursor={next}")).await.ok()), ["k/11"]);
    for (condition, told) in
        [("1", "a condition is"), ("{", "not JSON"), (r#"{"column":"x","eq":1}"#, "no column")]
    {
        let condition: String = condition.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let detail = place.get(&format!("/v1/views/balances?condition={condition}")).await.invalid();
        assert!(detail.contains(told), "{detail}");
    }
}

#[tokio::test]
async fn what_a_view_cannot_be_asked_is_answered_with_what_it_can() {
    let place = filled().await;
    for (query, part) in [
        (
            "colour=red",
            "account, balance, count[eq], open, changed_at, sort, cursor, limit, condition, min_position, wait, count",
        ),
        ("note=x", "account, balance"),
        ("balance[like]=1", "eq, lt, le, gt, ge, prefix"),
        ("balance[=1", "no parameter"),
        ("balance=much", "a decimal such as"),
        ("balance[prefix]=1", "prefix is for text"),
        ("open=maybe", "true or false"),
        ("sort=note", "account, balance"),
        ("sort=--balance", "account, balance"),
        ("cursor=00", "cursor"),
        ("cursor=%C3%A4", "cursor"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("limit=-1", "limit=-1"),
        ("limit=1&limit=2", "twice"),
        ("wait=3", "min_position"),
        ("min_position=here", "position"),
        ("min_position=1&wait=0", "1 to 30"),
        ("min_position=1&wait=31", "1 to 30"),
        ("min_position=1&wait=99999999999999999999", "wait"),
    ] {
        let detail = place.get(&format!("/v1/views/balances?{query}")).await.invalid();
        assert!(detail.contains(part), "{query}: {detail}");
    }
    let nine = "balance[ge]=1&".repeat(9);
    assert!(place.get(&format!("/v1/views/balances?{nine}")).await.invalid().contains("QUERY_FILTERS_MAX"));
}

#[tokio::test]
async fn a_cursor_belongs_to_its_sort() {
    let place = filled().await;
    let page = place.get("/v1/views/balances?sort=balance&limit=1").await.ok();
    let cursor = page["next"].as_str().unwrap();
    let detail = place.get(&format!("/v1/views/balances?sort=-balance&cursor={cursor}")).await.invalid();
    assert!(detail.contains("another sort"), "{detail}");
}

#[tokio::test]
async fn a_row_is_read_by_its_key_whatever_is_in_it() {
    let place = filled().await;
    for path in ["/v1/views/balances/k/03", "/v1/views/balances/k%2F03"] {
        let row = place.get(path).await.ok();
        assert_eq!((&row["key"], &row["balance"]), (&json!("k/03"), &json!("30.50")), "{path}");
    }
    let problem = place.get("/v1/views/balances/k/99").await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("k/99"));
    assert!(place.get("/v1/views/balances/k/03?limit=1").await.invalid().contains("min_position, wait"));
    let problem = place.get("/v1/views/sums").await.problem(404, "problem:not-found");
    assert!(problem["detail"].as_str().unwrap().contains("balances, fragile"));
    place.get("/v1/views/sums/k").await.problem(404, "problem:not-found");
}

#[tokio::test]
async fn a_query_waits_for_what_was_written() {
    let place = Place::with_views();
    for number in 1..=20 {
        let position = place.deposit("cash", "1").await;
        let row = place.get(&format!("/v1/views/balances/cash?min_position={position}&wait=30")).await.ok();
        assert_eq!(row["count"], number);
    }
}

#[tokio::test]
async fn a_wait_ends() {
    let place = Place::with_views();
    let path = "/v1/views/balances?min_position=1000000&wait=1";
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = place.send_while_time_passes(request).await;
    let problem = answer.problem(503, "problem:unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("1000000"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_view_that_stopped_says_so_and_keeps_the_event_to_itself() {
    let place = Place::with_views();
    let position = place.deposit("secret-account", &BREAKING.to_string()).await;
    let answer = place.get(&format!("/v1/views/fragile?min_position={position}&wait=30")).await;
    let problem = answer.problem(503, "problem:unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("has stopped"), "{problem}");
    assert!(!answer.text().contains("secret-account"), "{problem}");
    let views = place.get("/v1/views").await;
    assert_eq!(views.ok()["views"][1]["status"], "paused");
    assert!(views.ok()["views"][1]["stopped_since"].is_string());
    assert!(!views.text().contains("secret-account"));
    let ready = place.get("/readyz").await.ok();
    assert_eq!(ready["views_stopped"], json!({"fragile": "paused"}));
    assert!(place.get("/").await.text().contains("status bad\">paused"));
}

#[tokio::test]
async fn the_views_are_listed_with_columns_and_status() {
    let place = filled().await;
    let listed = place.get("/v1/views").await.ok();
    let balances = &listed["views"][0];
    assert_eq!((&balances["name"], &balances["status"]), (&json!("balances"), &json!("live")));
    assert_eq!(balances["version"], 1);
    assert_eq!(balances["position"], "16");
    assert_eq!(
        balances["columns"][1],
        json!({"name": "balance", "type": "decimal", "nullable": false, "indexed": true})
    );
    assert_eq!(
        balances["columns"][5],
        json!({"name": "note", "type": "text", "nullable": true, "indexed": false})
    );
}

#[tokio::test]
async fn views_kept_by_another_process_are_listed_from_the_catalogue() {
    let place = Place::new();
    let listed = place.get("/v1/views").await.ok();
    assert_eq!(listed["views"][0]["status"], "not_running", "no process keeps it");
    let lease = place.leases.acquire("view:balances", "another process", Duration::from_secs(60)).await;
    lease.unwrap().expect("it is free");
    place.clock.advance(Duration::from_secs(1));
    let listed = place.get("/v1/views").await.ok();
    assert_eq!(listed["views"][0]["status"], "live", "there is nothing to catch up with");
    place.deposit("cash", "1").await;
    place.clock.advance(Duration::from_secs(1));
    let listed = place.get("/v1/views").await.ok();
    assert_eq!(
        (&listed["views"][0]["status"], &listed["views"][0]["position"]),
        (&json!("catching_up"), &json!("0"))
    );
}

#[tokio::test]
async fn a_query_that_is_too_broad_says_so_and_the_service_stays_up() {
    let place = Place::new();
    let schema = place.engine.registry().views().into_iter().find(|view| view.name == "balances").unwrap();
    let start = Checkpoint::start(place.store.store_id());
    let table = place.read_models.prepare(&schema, start).await.unwrap();
    let row = |number: i64| {
        let address = RowAddress { tenant: TenantId::new("acme").unwrap(), key: format!("{number:06}") };
        let values = vec![
            underlay_core::Value::Text(format!("account {number}")),
            underlay_core::Value::Decimal(number.into()),
            underlay_core::Value::Integer(number),
            underlay_core::Value::Boolean(true),
            underlay_core::Value::Timestamp(Timestamp::UNIX_EPOCH),
            underlay_core::Value::Null,
        ];
        RowChange::Upsert(address, values)
    };
    let rows = QUERY_ROWS_SCANNED_MAX as i64 + 1;
    let to = Checkpoint { position: Position::from_number(1), event_id: Some(EventId::draw()), ..start };
    let batch = ViewBatch::new(start, to, (0..rows).map(row).collect());
    place.read_models.apply(&table, batch).await.unwrap();

    for broad in ["?count=true", "?open=true&count=true&limit=1", "?balance[ge]=0&count=true"] {
        let answer = place.get(&format!("/v1/views/balances{broad}")).await;
        let problem = answer.problem(400, "problem:too-broad");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("QUERY_ROWS_SCANNED_MAX") && detail.contains("add a filter"), "{detail}");
        assert_eq!(answer.header("retry-after"), None, "asking again brings the same");
    }
    let page = place.get("/v1/views/balances?limit=2&sort=-balance").await.ok();
    assert_eq!(page["rows"].as_array().unwrap().len(), 2);
    let page = place.get("/v1/views/balances?balance[lt]=3&count=true").await.ok();
    assert_eq!(page["count"], 3);
    place.get("/readyz").await.ok();
}
