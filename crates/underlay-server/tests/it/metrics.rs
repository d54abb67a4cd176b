//! `/metrics`: what is counted, who may read it, and that the table of metrics is that of a running service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::json;
use tokio::sync::Notify;
use underlay_core::{Checkpoint, Column, ColumnType, Error, Position, ReadModels, ViewSchema};
use underlay_server::ServerConfig;

use crate::place::{ByHeader, Place, get_with, post_with};

const KEEPER: [(&str, &str); 1] = [("authorization", "Bearer acme.keeper")];

fn of_many_tenants(config: ServerConfig) -> ServerConfig {
    let mut config = config.with_credentials(ByHeader);
    config.store_operators = vec!["keeper".to_owned()];
    config
}

/// The text, of this moment.
async fn scrape(place: &Place) -> String {
    place.clock.advance(Duration::from_secs(2));
    let answer = place.send(get_with("/metrics", &KEEPER)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.text().to_owned()
}

/// A value, by its name with its labels as they stand in the text.
#[track_caller]
fn value(text: &str, name: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn what_was_done_is_counted_by_its_outcome() {
    let place = Place::with_views();
    let position = place.deposit("cash", "5").await;
    let key = [("idempotency-key", "k")];
    for _ in 0..2 {
        place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &key)).await.ok();
    }
    let refused = place.post("/v1/account/cash/withdraw", r#"{"amount":"70"}"#).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    place.post("/v1/account/cash/deposit", "{").await.problem(400, "problem:invalid-body");
    let after: u64 = position.parse::<u64>().unwrap() + 1;
    let wait = place.engine.wait_for_view("balances", Position::from_number(after), Duration::from_secs(9));
    wait.await.unwrap();
    let text = scrape(&place).await;
    let deposit = |outcome: &str| {
        let labels = format!("category=\"account\",command=\"deposit\",outcome=\"{outcome}\"");
        value(&text, &format!("underlay_commands_total{{{labels}}}"))
    };
    assert_eq!((deposit("accepted"), deposit("repeated"), deposit("failed")), (2.0, 1.0, 0.0));
    let withdrawals =
        "underlay_commands_total{category=\"account\",command=\"withdraw\",outcome=\"refused\"}";
    assert_eq!(value(&text, withdrawals), 1.0);
    let count = "underlay_command_duration_seconds_count{category=\"account\",command=\"deposit\"}";
    assert_eq!(value(&text, count), 3.0);
    assert_eq!(value(&text, "underlay_commits_total{result=\"stored\"}"), 2.0);
    assert_eq!(value(&text, "underlay_events_stored_total"), 2.0);
    assert_eq!(value(&text, "underlay_log_head_position"), 2.0);
    assert_eq!(value(&text, "underlay_view_events_total{view=\"balances\"}"), 2.0);
    assert_eq!(value(&text, "underlay_view_behind_events{view=\"balances\"}"), 0.0);
    let route = "route=\"/v1/{category}/{id}/{command}\",method=\"POST\"";
    let statuses = ["2xx", "4xx", "5xx"]
        .map(|status| value(&text, &format!("underlay_http_requests_total{{{route},status=\"{status}\"}}")));
    assert_eq!(statuses, [3.0, 2.0, 0.0]);
    let buckets = format!("underlay_http_request_duration_seconds_bucket{{{route},le=\"+Inf\"}}");
    assert_eq!(value(&text, &buckets), 5.0);
    assert_eq!(value(&text, "underlay_http_requests_in_progress"), 1.0, "the scrape itself");
    assert_eq!(value(&text, "underlay_store_up"), 1.0);
}

#[tokio::test]
async fn calls_of_entities_are_counted_by_their_registered_names() {
    let place = Place::new();
    let contact =
        r#"{"id":"hazel","email":"a@b","limit":1,"credit":"1","open":true,"since":"2026-01-31T12:00:00Z"}"#;
    for status in [201, 409] {
        assert_eq!(place.post("/v1/entities/contact", contact).await.status, status);
    }
    place.get("/v1/entities/contact/hazel").await.ok();
    place.get("/v1/entities/contact?count=true").await.ok();
    place.get("/v1/entities/willow").await.problem(404, "problem:not-found");
    let text = scrape(&place).await;
    for (operation, outcome, count) in [
        ("apply", "done", 1.0),
        ("apply", "conflict", 1.0),
        ("load", "done", 1.0),
        ("query", "done", 1.0),
        ("count", "done", 1.0),
        ("load", "unavailable", 0.0),
    ] {
        let labels = format!("entity=\"contact\",operation=\"{operation}\",outcome=\"{outcome}\"");
        assert_eq!(value(&text, &format!("underlay_entity_calls_total{{{labels}}}")), count, "{labels}");
    }
    let timed = "underlay_entity_call_duration_seconds_count{entity=\"contact\",operation=\"apply\"}";
    assert_eq!(value(&text, timed), 2.0);
    assert!(!text.contains("hazel") && !text.contains("willow"), "{text}");
}

#[tokio::test]
async fn metrics_are_over_all_tenants_and_for_whom_the_configuration_names() {
    let place = Place::with(|config| {
        let mut config = of_many_tenants(config);
        config.metrics_readers = vec!["prometheus".to_owned()];
        config
    });
    for who in ["Bearer acme", "Bearer acme.operator", "Bearer acme.Prometheus", "Bearer acme.log-reader"] {
        let problem = place.send(get_with("/metrics", &[("authorization", who)])).await;
        assert_eq!(problem.problem(403, "problem:role-required")["roles"], json!(["prometheus", "keeper"]));
    }
    assert_eq!(place.get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    for who in ["Bearer acme.prometheus", "Bearer acme.keeper"] {
        let answer = place.send(get_with("/metrics", &[("authorization", who)])).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    // Who is open to this machine alone lets everybody there read them.
    assert_eq!(Place::new().get("/metrics").await.status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_of_a_request_and_no_tenant_is_told_unless_it_is_named() {
    let ask = async |place: &Place| {
        for who in ["sesame", "poppy"] {
            let with = [("authorization", format!("Bearer {who}"))];
            let with = [("authorization", with[0].1.as_str())];
            place.send(post_with("/v1/account/hazel-7/deposit", r#"{"amount":"1"}"#, &with)).await.ok();
            place.send(get_with("/v1/streams/account-hazel-7", &with)).await.ok();
        }
        place.send(get_with("/nowhere/hazel-7", &[])).await.problem(404, "problem:not-found");
        let odd = Request::builder().method("PROPFINDHAZEL").uri("/v1/events").body(Body::empty()).unwrap();
        place.send(odd).await.problem(405, "problem:method-not-allowed");
        scrape(place).await
    };
    let text = ask(&Place::with(of_many_tenants)).await;
    for secret in ["sesame", "poppy", "hazel", "HAZEL", "acme"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    assert_eq!(
        value(&text, "underlay_http_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"}"),
        1.0
    );
    let named = Place::with(|config| {
        let mut config = of_many_tenants(config);
        config.metrics_tenants = vec!["poppy".to_owned()];
        config
    });
    let text = ask(&named).await;
    assert_eq!(value(&text, "underlay_tenant_http_requests_total{tenant=\"poppy\",status=\"2xx\"}"), 2.0);
    assert!(!text.contains("sesame"));
}

#[test]
fn tenants_that_cannot_be_told_apart_are_refused_at_the_start() {
    let engine = || Place::new().engine;
    let with = |tenants: Vec<String>| {
        let mut config = ServerConfig::new("Bank");
        config.metrics_tenants = tenants;
        underlay_server::router(engine(), config).map(drop).unwrap_err().to_string()
    };
    assert!(with(vec![String::new()]).contains("tenant"));
    let many = with((0..101).map(|number| format!("t{number}")).collect());
    assert!(many.contains("METRICS_TENANTS_MAX = 100"), "{many}");
}

#[tokio::test]
async fn a_store_that_is_away_is_told_by_a_number_and_fails_no_scrape() {
    let place = Place::new();
    place.deposit("cash", "1").await;
    place.store.fail(|| Error::unavailable("no route to 10.0.0.7"));
    let text = scrape(&place).await;
    assert_eq!(value(&text, "underlay_store_up"), 0.0);
    assert_eq!(value(&text, "underlay_part_ready{part=\"store\"}"), 0.0);
    assert!(!text.contains("underlay_view_status"), "nobody knows");
    assert_eq!(value(&text, "underlay_events_stored_total"), 1.0, "what is counted here is told");
    assert!(!text.contains("10.0.0.7"));
}

#[tokio::test]
async fn a_view_that_stopped_is_told_with_how_far_it_is_behind() {
    let place = Place::new();
    let column =
        Column { name: "other".into(), column_type: ColumnType::Text, nullable: false, indexed: false };
    let schema = ViewSchema::new("balances", 1, vec![column]);
    place
        .read_models
        .prepare(&schema, Checkpoint::start(underlay_core::EventStore::store_id(&place.store)))
        .await
        .unwrap();
    let _views = place.engine.start_views();
    place.engine.wait_for_view("balances", Position::from_number(1), Duration::MAX).await.unwrap_err();
    place.deposit("cash", "1").await;
    place.clock.advance(Duration::from_secs(100));
    let text = scrape(&place).await;
    assert_eq!(value(&text, "underlay_view_status{view=\"balances\",status=\"failed\"}"), 1.0);
    assert_eq!(value(&text, "underlay_view_status{view=\"balances\",status=\"live\"}"), 0.0);
    assert_eq!(value(&text, "underlay_view_behind_events{view=\"balances\"}"), 1.0);
    let lag = value(&text, "underlay_view_lag_seconds{view=\"balances\"}");
    assert!((100.0..110.0).contains(&lag), "{lag}");
    assert_eq!(value(&text, "underlay_part_ready{part=\"views\"}"), 0.0);
    assert_eq!(value(&text, "underlay_part_ready{part=\"store\"}"), 1.0);
    // Where it does not say in time how old that is, the rest is told.
    place.store.fail_reads(|| Error::unavailable("away"));
    let text = scrape(&place).await;
    assert!(!text.contains("underlay_view_lag_seconds{"), "{text}");
    assert_eq!(value(&text, "underlay_view_behind_events{view=\"balances\"}"), 1.0);
}

#[tokio::test]
async fn metrics_are_answered_where_requests_are_refused_for_load() {
    let place = Place::with(|config| {
        let mut config = of_many_tenants(config);
        (config.requests_max, config.tenant_requests_max) = (1, 1);
        config
    });
    let held = place.answer_untaken(get_with("/v1/events", &KEEPER)).await;
    place.send(get_with("/v1/events", &KEEPER)).await.problem(429, "problem:too-many-requests");
    let other = [("authorization", "Bearer other")];
    place.send(get_with("/v1/events", &other)).await.problem(503, "problem:overloaded");
    let text = scrape(&place).await;
    assert_eq!(value(&text, "underlay_http_refused_total{bound=\"tenant_requests_max\"}"), 1.0);
    assert_eq!(value(&text, "underlay_http_refused_total{bound=\"requests_max\"}"), 1.0);
    drop(held);
    place.send(get_with("/v1/events", &KEEPER)).await.ok();
}

#[tokio::test]
async fn however_many_ask_at_once_they_are_told_one_text() {
    let place = Arc::new(Place::with(of_many_tenants));
    let first = scrape(&place).await;
    place.send(get_with("/v1/events", &KEEPER)).await.ok();
    let again = place.send(get_with("/metrics", &KEEPER)).await;
    assert_eq!(again.text(), first, "within a second it is the same");
    place.clock.advance(Duration::from_secs(2));
    let begun = Arc::new(Notify::new());
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (place, begun) = (place.clone(), begun.clone());
            tokio::spawn(async move {
                begun.notified().await;
                place.send(get_with("/metrics", &KEEPER)).await.text().to_owned()
            })
        })
        .collect();
    tokio::task::yield_now().await;
    begun.notify_waiters();
    let mut texts = BTreeSet::new();
    for one in asking {
        texts.insert(one.await.unwrap());
    }
    assert_eq!(texts.len(), 1);
    assert!(!texts.contains(&first));
}

#[tokio::test]
async fn a_feed_is_counted_while_it_lasts_and_by_its_end() {
    let place = Place::new();
    let feed = get_with("/v1/events", &[("accept", "text/event-stream")]);
    let feed = place.answer_untaken(feed).await;
    let text = scrape(&place).await;
    assert_eq!(value(&text, "underlay_feed_clients{feed=\"events\"}"), 1.0);
    drop(feed);
    let text = scrape(&place).await;
    assert_eq!(value(&text, "underlay_feed_clients{feed=\"events\"}"), 0.0);
    assert_eq!(value(&text, "underlay_feeds_ended_total{feed=\"events\",reason=\"gone\"}"), 1.0);
    assert_eq!(value(&text, "underlay_feeds_ended_total{feed=\"events\",reason=\"slow\"}"), 0.0);
}

/// A metric as it is told: its kind, what it is, and the labels of its values, where it has any.
#[derive(Default)]
struct Told {
    kind: String,
    about: String,
    labels: Option<BTreeSet<String>>,
}

fn told(text: &str) -> BTreeMap<String, Told> {
    let mut metrics: BTreeMap<String, Told> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, about)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            let told = metrics.entry(name.to_owned()).or_default();
            assert!(told.about.is_empty(), "{name} is told twice");
            told.about = about.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            metrics.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
            let (name, told) = metrics
                .iter_mut()
                .filter(|(metric, told)| {
                    let suffix = name.strip_prefix(metric.as_str());
                    let of_histogram = ["_bucket", "_sum", "_count"];
                    suffix.is_some_and(|end| {
                        end.is_empty() || told.kind == "histogram" && of_histogram.contains(&end)
                    })
                })
                .max_by_key(|(metric, _)| metric.len())
                .unwrap_or_else(|| panic!("{line} is of no metric"));
            let labels = rest.strip_prefix('{').map_or("", |rest| rest.rsplit_once('}').unwrap().0);
            let names = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let labels: BTreeSet<String> = names.filter(|label| label != "le").collect();
            assert_eq!(*told.labels.get_or_insert_with(|| labels.clone()), labels, "{name}");
        }
    }
    metrics
}

/// What a name says of the unit.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next().unwrap() {
        "seconds" => "seconds",
        "bytes" => "bytes",
        "ratio" => "ratio",
        _ => "",
    }
}

#[tokio::test]
async fn the_table_of_metrics_is_what_a_service_tells() {
    let place = Place::with_views();
    place.deposit("cash", "1").await;
    let told = told(&scrape(&place).await);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    // Told where the service itself serves connections, which a test in process has none of.
    let by_listener = ["underlay_http_connections", "underlay_http_connections_accepted_total"];
    let rows: BTreeMap<&str, &str> = page
        .lines()
        .filter_map(|line| Some((line.strip_prefix("| `")?.split_once('`')?.0, line)))
        .filter(|(name, _)| name.starts_with("underlay_") || name.starts_with("process_"))
        .collect();
    for name in rows.keys() {
        assert!(told.contains_key(*name) || by_listener.contains(name), "docs/metrics.md lists {name}");
    }
    let wanted: Vec<String> =
        told.iter().filter_map(|(name, told)| row_wanted(name, told, rows.get(name.as_str()))).collect();
    assert!(wanted.is_empty(), "docs/metrics.md has not, in this form:\n{}", wanted.join("\n"));
}

/// The row that the table should have for a metric, where it has another.
fn row_wanted(name: &str, Told { kind, about, labels }: &Told, row: Option<&&str>) -> Option<String> {
    let cells: Vec<&str> = row.map_or(Vec::new(), |row| row.split('|').map(str::trim).collect());
    let stands = cells.get(4).copied().unwrap_or_default();
    let labels = match labels {
        // Of what has no value here the labels are not known.
        None => stands.to_owned(),
        Some(labels) => {
            let standing: BTreeSet<&str> = stands.split(", ").map(|label| label.trim_matches('`')).collect();
            match labels.iter().map(String::as_str).eq(standing.into_iter().filter(|label| !label.is_empty()))
            {
                true => stands.to_owned(),
                false => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", "),
            }
        }
    };
    let wanted = ["", &format!("`{name}`"), kind, unit(name), &labels, about, ""];
    (cells != wanted).then(|| format!("| `{name}` | {kind} | {} | {labels} | {about} |", unit(name)))
}
