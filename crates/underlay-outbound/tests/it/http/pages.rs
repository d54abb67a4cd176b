//! Pages of a list.

use underlay_core::limits::QUERY_ROWS_SCANNED_MAX;
use underlay_core::{Comparison, Condition, Direction, Entities, Error, Query, Value};

use super::script::{Act, JSON, Script, answer, body, page, rates_schema, tenant, values};

fn rates(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| body(&format!("r-{number:05}"), 1, &number.to_string())).collect()
}

#[tokio::test]
async fn a_query_is_sent_and_its_answer_is_tested() {
    let (script, entities) =
        Script::with_rates([page(&rates(10..12), Some("abc")), page(&rates(12..13), None)]).await;
    let noted = Condition::IsNull { column: "note".to_owned() };
    let query = Query { condition: noted, ..Query::default() }
        .filter("value", Comparison::Ge, Value::Decimal(11.into()))
        .filter("base", Comparison::Prefix, Value::Text("E&R".to_owned()))
        .sort("value", Direction::Ascending)
        .limit(2);
    let found = entities.query(&rates_schema(), &tenant(), &query).await.unwrap();
    assert_eq!(found.entities, [], "no base begins so, whatever the service says");
    let targets: Vec<String> = script.heard().into_iter().map(|heard| heard.target).collect();
    let asked = "/v1/entities/rate?sort=value&value%5Bge%5D=11&base%5Bprefix%5D=E%26R\
                 &condition=%7B%22column%22%3A%22note%22%2C%22is_null%22%3Atrue%7D&limit=2";
    assert_eq!(targets, [asked.to_owned(), format!("{asked}&cursor=abc")]);
}

#[tokio::test]
async fn a_page_goes_on_where_the_one_before_ended() {
    let (script, entities) =
        Script::with_rates([page(&rates(0..2), Some("x")), page(&rates(2..3), None)]).await;
    let query = Query::default().sort("value", Direction::Ascending).limit(2);
    let first = entities.query(&rates_schema(), &tenant(), &query).await.unwrap();
    let next = first.next.unwrap();
    assert_eq!((next.key.as_str(), next.value.clone()), ("r-00001", Some(Value::Decimal(1.into()))));
    let text = next.to_text(&query.sort);
    let second =
        entities.query(&rates_schema(), &tenant(), &Query { after: Some(next), ..query }).await.unwrap();
    assert_eq!((second.entities.len(), second.next), (1, None));
    assert!(script.heard()[1].target.contains(&format!("cursor={text}")));
}

#[tokio::test]
async fn a_page_that_was_cut_short_is_filled() {
    let acts = [page(&rates(0..1), Some("a")), page(&rates(1..3), Some("b"))];
    let (_script, entities) = Script::with_rates(acts).await;
    let found = entities.query(&rates_schema(), &tenant(), &Query::default().limit(3)).await.unwrap();
    assert_eq!((found.entities.len(), found.next.is_some()), (3, true));
}

#[tokio::test]
async fn a_list_that_contradicts_itself_is_damaged() {
    let unordered = vec![body("b", 1, "1"), body("a", 1, "1")];
    let twice = vec![body("a", 1, "1"), body("a", 1, "1")];
    for (acts, part) in [
        (vec![page(&unordered, None)], "order"),
        (vec![page(&twice, None)], "order"),
        (
            vec![page(&rates(0..1), Some("x")), page(&rates(1..2), Some("x")), page(&rates(2..3), Some("x"))],
            "itself",
        ),
        (vec![page(&[body("a", 0, "1")], None)], "version"),
        (vec![page(&["7".to_owned()], None)], "entities"),
        (
            vec![answer(200, &[JSON], r#"{"entities":[],"next":"https://evil.example/rates"}"#)],
            "another service",
        ),
        (vec![answer(200, &[JSON], r#"{"entities":[],"next":true}"#)], "cursor"),
    ] {
        let (_script, entities) = Script::with_rates(acts).await;
        let error = entities.query(&rates_schema(), &tenant(), &Query::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Damaged(_)) && text.contains(part) && text.contains("rate"), "{text}");
    }
}

#[tokio::test]
async fn a_condition_that_is_too_long_to_be_sent_is_tested_here() {
    let long = |number: u32| Value::Text(format!("{number}{}", "x".repeat(900)));
    let values = (0..10).map(long).chain([Value::Text("EUR".to_owned())]).collect();
    let condition = Condition::In { column: "base".to_owned(), values };
    let query = Query { condition, ..Query::default().limit(2) };
    let (script, entities) =
        Script::with_rates([page(&rates(0..1), Some("a")), page(&rates(1..4), None)]).await;
    let found = entities.query(&rates_schema(), &tenant(), &query).await.unwrap();
    assert_eq!((found.entities.len(), found.next.map(|next| next.key)), (2, Some("r-00001".to_owned())));
    assert_eq!(script.heard()[0].target, "/v1/entities/rate?sort=id&limit=1000");
    let (script, entities) = Script::with_rates([page(&rates(0..3), None)]).await;
    assert_eq!(entities.count(&rates_schema(), &tenant(), &query).await.unwrap(), 3);
    assert!(!script.heard()[0].target.contains("count"));
}

#[tokio::test]
async fn a_count_is_the_one_of_the_service() {
    let counted = answer(200, &[JSON], r#"{"entities":[],"next":null,"count":41}"#);
    let (script, entities) = Script::with_rates([counted, page(&[], None)]).await;
    let query = Query::default().filter("base", Comparison::Eq, values("1")[0].clone());
    assert_eq!(entities.count(&rates_schema(), &tenant(), &query).await.unwrap(), 41);
    assert_eq!(script.heard()[0].target, "/v1/entities/rate?sort=id&base%5Beq%5D=EUR&count=true&limit=1");
    let none = entities.count(&rates_schema(), &tenant(), &query).await.unwrap_err();
    assert!(none.to_string().contains("count"), "{none}");
}

#[tokio::test]
async fn a_list_without_end_is_left_at_the_limit() {
    let per_page = 1_000;
    let pages = QUERY_ROWS_SCANNED_MAX as u32 / per_page;
    let acts: Vec<Act> = (0..=pages)
        .map(|number| {
            let rates = rates(number * per_page..(number + 1) * per_page).join(",");
            answer(200, &[JSON], &format!(r#"{{"items":[{rates}],"next":{}}}"#, number + 1))
        })
        .collect();
    let script = Script::of([answer(200, &[JSON], r#"{"items":[]}"#)].into_iter().chain(acts)).await;
    let config = underlay_outbound::http::HttpConfig {
        timeout: std::time::Duration::from_secs(60),
        ..underlay_outbound::http::HttpConfig::default()
    };
    let address = script.address("&api=plain&version=version&page_rows=1000");
    let entities = underlay_outbound::http::HttpEntities::new(&address, config).unwrap();
    entities.prepare(&rates_schema()).await.unwrap();
    let refused = entities.query(&rates_schema(), &tenant(), &Query::default()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::TooBroad(text) if text.contains("QUERY_ROWS_SCANNED_MAX")),
        "{refused:?}"
    );
    assert_eq!(script.heard().len(), 1 + pages as usize);
}
