//! A plain JSON API: ETags that say nothing but whether something has changed, pages by `Link`, numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query as Parameters, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use underlay_core::{
    Comparison, Condition, Direction, Entities, EntityVersion, Error, Query, StoredEntity, Value,
};
use underlay_outbound::http::HttpEntities;

use super::script::{
    JSON, Script, answer, change, config, create, delete, get, lost, rates_schema, tenant, update, values,
};

/// Rates by their codes, each with the number of its ETag.
#[derive(Default)]
struct Books {
    rates: BTreeMap<String, (Json, u64)>,
    written: u64,
    /// Whether ETags are weak.
    weak: bool,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Books>>;

impl Books {
    fn etag(&self, number: u64) -> String {
        format!("{}\"x{number}y\"", if self.weak { "W/" } else { "" })
    }

    fn write(&mut self, code: &str, mut rate: Json) -> u64 {
        self.written += 1;
        rate["code"] = json!(code);
        self.rates.insert(code.to_owned(), (rate, self.written));
        self.written
    }
}

async fn list(
    State(books): State<Shared>,
    Parameters(asked): Parameters<BTreeMap<String, String>>,
) -> impl IntoResponse {
    let mut books = books.lock().unwrap();
    books.asked.push(format!("{asked:?}"));
    let (page, size): (usize, usize) =
        (asked.get("page").map_or(0, |page| page.parse().unwrap()), asked["size"].parse().unwrap());
    let is_asked = |rate: &&Json| asked.get("base").is_none_or(|base| rate["base"] == **base);
    // In an order of its own.
    let rates: Vec<&Json> = books.rates.values().rev().map(|(rate, _)| rate).filter(is_asked).collect();
    let next = (rates.len() > (page + 1) * size).then(|| {
        let base = asked.get("base").map(|base| format!("base={base}&")).unwrap_or_default();
        format!(
            r#"</rates?first>; rel="first", </rates?{base}size={size}&page={}>; title="a, b"; rel=next"#,
            page + 1
        )
    });
    let rates: Vec<Json> = rates.into_iter().skip(page * size).take(size).cloned().collect();
    let mut headers = HeaderMap::new();
    if let Some(next) = next {
        headers.insert("link", next.parse().unwrap());
    }
    (headers, axum::Json(rates))
}

async fn one(State(books): State<Shared>, Path(code): Path<String>, headers: HeaderMap) -> Response {
    let books = books.lock().unwrap();
    let Some((rate, number)) = books.rates.get(&code) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = books.etag(*number);
    if headers.get("if-none-match").is_some_and(|known| known == etag.as_str()) {
        return (StatusCode::NOT_MODIFIED, [("etag", etag)]).into_response();
    }
    ([("etag", etag)], axum::Json(rate.clone())).into_response()
}

async fn put(
    State(books): State<Shared>,
    Path(code): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut books = books.lock().unwrap();
    let there = books.rates.get(&code).map(|(_, number)| books.etag(*number));
    let is_met = match (headers.get("if-match"), headers.get("if-none-match")) {
        (Some(known), None) => there.as_deref() == known.to_str().ok(),
        (None, Some(_)) => there.is_none(),
        _ => return StatusCode::PRECONDITION_REQUIRED.into_response(),
    };
    if !is_met {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    books.write(&code, serde_json::from_slice(&body).unwrap());
    StatusCode::NO_CONTENT.into_response()
}

async fn remove(State(books): State<Shared>, Path(code): Path<String>, headers: HeaderMap) -> StatusCode {
    let mut books = books.lock().unwrap();
    let Some((_, number)) = books.rates.get(&code) else { return StatusCode::NOT_FOUND };
    let etag = books.etag(*number);
    if headers.get("if-match").is_some_and(|known| known != etag.as_str()) {
        return StatusCode::PRECONDITION_FAILED;
    }
    books.rates.remove(&code);
    StatusCode::NO_CONTENT
}

async fn serve() -> (Shared, HttpEntities) {
    let books = Shared::default();
    let router = Router::new()
        .route("/rates", route(list))
        .route("/rates/{code}", route(one).put(put).delete(remove))
        .with_state(books.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = "shared=true&api=plain&items=.&next=link&limit=size&id=code&filters=base&decimal_numbers=true&page_rows=2";
    let address = format!("http://{}/rates?{options}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let rates = HttpEntities::new(&address, config()).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    (books, rates)
}

fn version(changed: Result<u64, Error>) -> u64 {
    changed.unwrap()
}

#[tokio::test]
async fn a_change_is_made_at_the_state_that_was_seen() {
    let (books, rates) = serve().await;
    let first = version(change(&rates, create("1.50")).await);
    assert_eq!(
        books.lock().unwrap().rates["eur"].0,
        json!({"code": "eur", "base": "EUR", "value": 1.5, "note": null})
    );
    let seen = get(&rates).await.unwrap().unwrap();
    assert_eq!(
        seen,
        StoredEntity { id: "eur".to_owned(), version: EntityVersion(first), values: values("1.5") }
    );
    let second = version(change(&rates, update(first, "2")).await);
    assert_ne!(first, second);
    assert_eq!(get(&rates).await.unwrap().unwrap().version.0, second);
    // What was seen first is no longer there.
    let conflict = change(&rates, update(first, "3")).await.unwrap_err().to_string();
    assert_eq!(conflict, format!("conflict on rate eur: expected version {first}, found {second}"));
    let there = change(&rates, create("3")).await.unwrap_err().to_string();
    assert_eq!(there, format!("conflict on rate eur: expected none, found version {second}"));
    // Another one writes the same: the state is the one that was seen, though its ETag is not.
    let same = books.lock().unwrap().rates["eur"].0.clone();
    books.lock().unwrap().write("eur", same);
    version(change(&rates, update(second, "3")).await);
    let stale = change(&rates, delete(Some(second))).await.unwrap_err();
    assert!(matches!(stale, Error::EntityConflict(_)), "{stale:?}");
    let third = get(&rates).await.unwrap().unwrap().version.0;
    assert_eq!(version(change(&rates, delete(Some(third))).await), 0);
    assert_eq!(get(&rates).await.unwrap(), None);
    assert!(matches!(change(&rates, delete(None)).await, Err(Error::NotFound(_))));
    let gone = change(&rates, update(third, "4")).await.unwrap_err().to_string();
    assert_eq!(gone, format!("conflict on rate eur: expected version {third}, found none"));
}

#[tokio::test]
async fn without_a_strong_etag_nothing_is_changed_at_one_state() {
    let (books, rates) = serve().await;
    let first = version(change(&rates, create("1")).await);
    books.lock().unwrap().weak = true;
    let refused = change(&rates, update(first, "2")).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Invalid(text) if text.contains("ETag") && text.contains("nothing was stored"))
    );
    assert!(!refused.to_string().contains("127.0.0.1"), "{refused}");
    assert_eq!(get(&rates).await.unwrap().unwrap().version.0, first);
}

#[tokio::test]
async fn a_page_is_made_of_the_whole_list() {
    let (books, rates) = serve().await;
    for number in 0..9 {
        let base = ["EUR", "CHF"][number % 2];
        let rate = json!({"base": base, "value": number, "note": if number > 4 { json!("late") } else { Json::Null }});
        books.lock().unwrap().write(&format!("r-{number}"), rate);
    }
    let query = async |query: &Query| rates.query(&rates_schema(), &tenant(), query).await.unwrap();
    let ids =
        |entities: &[StoredEntity]| entities.iter().map(|rate| rate.id.clone()).collect::<Vec<_>>().join(" ");
    let by_value = Query::default().sort("value", Direction::Descending).limit(4);
    let first = query(&by_value).await;
    assert_eq!(ids(&first.entities), "r-8 r-7 r-6 r-5");
    let second = query(&Query { after: first.next, ..by_value.clone() }).await;
    assert_eq!(ids(&second.entities), "r-4 r-3 r-2 r-1");
    let last = query(&Query { after: second.next, ..by_value }).await;
    assert_eq!((ids(&last.entities).as_str(), last.next), ("r-0", None));
    books.lock().unwrap().asked.clear();
    let late = Condition::IsNull { column: "note".to_owned() }.negated();
    let swiss = Query { condition: late, ..Query::default() }
        .filter("base", Comparison::Eq, Value::Text("CHF".to_owned()))
        .filter("value", Comparison::Lt, Value::Decimal(7.into()));
    assert_eq!(ids(&query(&swiss).await.entities), "r-5");
    assert_eq!(rates.count(&rates_schema(), &tenant(), &swiss).await.unwrap(), 1);
    // What the service understands is sent, on each page; the rest is tested here.
    let asked = books.lock().unwrap().asked.clone();
    assert_eq!(asked.len(), 4);
    assert!(
        asked.iter().all(|asked| asked.contains(r#""base": "CHF""#) && !asked.contains("value")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn what_is_created_by_post_is_not_created_again() {
    let item =
        answer(200, &[JSON, ("etag", "\"a\"")], r#"{"id":"eur","base":"EUR","value":"1","note":null}"#);
    let plain = "&api=plain&create_by_post=true";
    let list = answer(200, &[JSON], r#"{"items":[]}"#);
    let begun = async |acts: Vec<_>| {
        let script = Script::of([list.clone()].into_iter().chain(acts)).await;
        let rates = HttpEntities::new(&script.address(plain), config()).unwrap();
        rates.prepare(&rates_schema()).await.unwrap();
        (script, rates)
    };
    let (script, rates) = begun(vec![lost(), answer(404, &[], "")]).await;
    let uncertain = change(&rates, create("1")).await.unwrap_err();
    assert!(uncertain.to_string().contains("uncertain"), "{uncertain}");
    assert_eq!(script.methods(), "GET POST GET");
    assert_eq!(script.heard()[1].body, r#"{"base":"EUR","id":"eur","note":null,"value":"1"}"#);
    // It is there, with what was sent.
    let (_script, rates) = begun(vec![lost(), item.clone()]).await;
    change(&rates, create("1")).await.unwrap();
    // A conflict that is about no version is a rule.
    let refused = [answer(409, &[], ""), answer(404, &[], "")].into_iter().cycle().take(6).collect();
    let (_script, rates) = begun(refused).await;
    let refused = change(&rates, create("1")).await.unwrap_err();
    assert!(matches!(refused, Error::RuleViolation(_)), "{refused:?}");
}

#[tokio::test]
async fn a_lost_change_is_made_again_at_the_very_state_that_was_seen() {
    let with = |etag: &str, value: &str| {
        let body = format!(r#"{{"id":"eur","base":"EUR","value":"{value}","note":null}}"#);
        answer(200, &[JSON, ("etag", etag)], &body)
    };
    let list = answer(200, &[JSON], r#"{"items":[]}"#);
    let began = async |acts: Vec<_>| {
        let script = Script::of([list.clone(), with("\"a\"", "1")].into_iter().chain(acts)).await;
        let rates = HttpEntities::new(&script.address("&api=plain"), config()).unwrap();
        rates.prepare(&rates_schema()).await.unwrap();
        let seen = get(&rates).await.unwrap().unwrap().version.0;
        (script, rates, seen)
    };
    let same = || answer(304, &[("etag", "\"a\"")], "");
    let (script, rates, seen) =
        began(vec![same(), lost(), with("\"a\"", "1"), same(), answer(204, &[], "")]).await;
    assert_ne!(version(change(&rates, update(seen, "2")).await), seen);
    assert_eq!(script.methods(), "GET GET GET PUT GET GET PUT");
    let locks: Vec<String> =
        script.heard().iter().filter_map(|heard| heard.header("if-match").map(str::to_owned)).collect();
    assert_eq!(locks, ["\"a\"", "\"a\""]);
    // It is as it was, and not since it was seen: the change may have been made and undone.
    let (script, rates, seen) = began(vec![same(), lost(), with("\"b\"", "1")]).await;
    let uncertain = change(&rates, update(seen, "2")).await.unwrap_err();
    assert!(uncertain.to_string().contains("uncertain"), "{uncertain}");
    assert_eq!(script.methods(), "GET GET GET PUT GET");
    // It is as it was to become.
    let (_script, rates, seen) = began(vec![same(), lost(), with("\"b\"", "2")]).await;
    assert_ne!(version(change(&rates, update(seen, "2")).await), seen);
}
