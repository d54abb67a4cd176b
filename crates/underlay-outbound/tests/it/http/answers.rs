//! What each answer means.

use std::time::{Duration, Instant};

use underlay_core::{Entities, Error, Health, Query};
use underlay_outbound::http::HttpEntities;

use super::script::{
    Act, JSON, Script, answer, body, change, config, create, get, missing, page, problem, rate, rates_schema,
    raw_rate, tenant, update,
};

/// Reads one rate while the service does this, as often as it is asked.
async fn read(act: Act) -> Result<Option<u64>, Error> {
    let (_script, rates) = Script::with_rates(vec![act; 3]).await;
    Ok(get(&rates).await?.map(|rate| rate.version.0))
}

fn named(answer: &Result<Option<u64>, Error>, variant: fn(&Error) -> bool, part: &str) {
    match answer {
        Err(error) if variant(error) => {
            let text = error.to_string();
            assert!(text.contains(part), "{text:?} does not say {part}");
        }
        other => panic!("{part}: {other:?}"),
    }
}

fn backend(error: &Error) -> bool {
    matches!(error, Error::Backend { .. })
}

fn damaged(error: &Error) -> bool {
    matches!(error, Error::Damaged(_))
}

fn away(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. })
}

#[tokio::test]
async fn every_answer_to_a_read_has_its_error() {
    assert_eq!(read(rate(3, "1")).await.unwrap(), Some(3));
    assert_eq!(read(missing()).await.unwrap(), None);
    let html = [("content-type", "text/html")];
    // A 404 of somebody else than the service says nothing of the entity.
    named(&read(answer(404, &html, "no such page")).await, backend, "no list of rate");
    for status in [401, 403] {
        named(&read(answer(status, &[], "")).await, |error| matches!(error, Error::Denied(_)), "token_file");
    }
    named(
        &read(problem(400, "invalid", "")).await,
        |error| matches!(error, Error::Invalid(_)),
        "told as invalid",
    );
    named(
        &read(problem(422, "rule-violation", "")).await,
        |error| matches!(error, Error::RuleViolation(_)),
        "told as",
    );
    named(&read(problem(500, "damaged", "")).await, damaged, "rate");
    named(
        &read(problem(500, "entity-changed", "")).await,
        |error| matches!(error, Error::EntityChanged { entity, .. } if entity == "rate"),
        "rate",
    );
    for status in [405, 406, 409, 412, 418, 428, 500, 501, 204, 206] {
        named(&read(answer(status, &[], "")).await, backend, "reading rate");
    }
    for status in [429, 502, 503, 504] {
        named(&read(answer(status, &[], "")).await, away, &status.to_string());
    }
    named(&read(answer(304, &[("etag", "\"3\"")], "")).await, backend, "304");
}

#[tokio::test]
async fn a_read_without_a_whole_answer_is_unavailable() {
    let whole = raw_rate(3, "1");
    let longer = whole.replacen("content-length: ", "content-length: 9", 1);
    for act in [
        Act::Cut(String::new()),
        Act::Cut("HTTP/1.1 200".to_owned()),
        Act::Cut(whole[..whole.len() - 1].to_owned()),
        Act::Cut(longer),
        Act::Cut("no HTTP at all\r\n\r\n".to_owned()),
        Act::Silent,
    ] {
        named(&read(act).await, away, "gave no answer");
    }
    // Of a chunk that breaks off the rest is missing too.
    let chunk = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"id\"";
    named(&read(Act::Cut(chunk.to_owned())).await, away, "gave no answer");
    let chunked =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    named(&read(Act::Cut(chunked.to_owned())).await, away, "gave no answer");
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_given_up_at_its_limit() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
    let (_script, rates) =
        Script::with_rates_and("&answer_bytes_max=64KiB", [Act::Endless(head.to_owned())]).await;
    let read = get(&rates).await.map(|rate| rate.map(|rate| rate.version.0));
    named(&read, backend, "answer_bytes_max = 65536");
}

#[tokio::test]
async fn what_is_no_rate_is_damaged_and_named() {
    let etag = ("etag", "\"3\"");
    let with = |headers: &[(&str, &str)], body: &str| answer(200, headers, body);
    let sound = body("eur", 3, "1");
    for (act, part) in [
        (with(&[JSON], "garbage"), "JSON"),
        (with(&[JSON], ""), "JSON"),
        (with(&[JSON], "[]"), "JSON"),
        (with(&[("content-type", "text/html")], &sound), "text/html"),
        (with(&[], &sound), "not JSON"),
        (with(&[JSON, etag], &body("usd", 3, "1")), "id"),
        (with(&[JSON, etag], &sound.replace("\"EUR\"", "null")), "base"),
        (with(&[JSON, etag], &sound.replace("null", "null,\"stray\":1")), "stray"),
        (with(&[JSON, etag], &sound.replace(",\"note\":null", "")), "note"),
        (with(&[JSON, etag], &sound.replace("\"1\"", "1")), "value"),
        (with(&[JSON, ("etag", "\"4\"")], &sound), "version"),
        (with(&[JSON, ("etag", "4")], &sound), "version"),
    ] {
        let read = read(act).await;
        named(&read, damaged, part);
        named(&read, damaged, "rate \"eur\"");
    }
    // A weak ETag of the same version is what an answer has that was compressed on its way.
    assert_eq!(read(with(&[JSON, ("etag", "W/\"3\"")], &sound)).await.unwrap(), Some(3));
    let problem_json = ("content-type", "application/hal+json; charset=utf-8");
    assert_eq!(read(with(&[problem_json], &sound)).await.unwrap(), Some(3));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Script::of([rate(3, "1")]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/v1/entities/rate/eur", elsewhere.authority);
        named(&read(answer(status, &[("location", &location)], "")).await, backend, "redirect");
        let (_script, rates) = Script::with_rates([answer(status, &[("location", &location)], "")]).await;
        let changed = change(&rates, create("1")).await.map(Some);
        named(&changed, backend, "redirect");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn every_answer_to_a_change_that_was_refused_has_its_error() {
    for (act, variant, part) in [
        (
            answer(401, &[], ""),
            (|error| matches!(error, Error::Denied(_))) as fn(&Error) -> bool,
            "token_file",
        ),
        (answer(403, &[], ""), |error| matches!(error, Error::Denied(_)), "token_file"),
        (
            problem(400, "invalid-body", ""),
            |error| matches!(error, Error::Invalid(_)),
            "told as invalid-body",
        ),
        (problem(413, "too-large", ""), |error| matches!(error, Error::Invalid(_)), "told as too-large"),
        (
            problem(422, "rule-violation", ""),
            |error| matches!(error, Error::RuleViolation(_)),
            "told as rule-violation",
        ),
        (problem(409, "busy", ""), backend, "409"),
        (answer(409, &[], ""), backend, "409"),
        (answer(415, &[], ""), backend, "415"),
        (answer(428, &[], ""), backend, "428"),
        (answer(404, &[], ""), backend, "no list of rate"),
    ] {
        let (script, rates) = Script::with_rates([act]).await;
        named(&change(&rates, update(3, "2")).await.map(Some), variant, part);
        assert_eq!(script.methods(), "PUT");
    }
}

#[tokio::test]
async fn a_read_waits_as_long_as_it_is_told() {
    let away = answer(503, &[("retry-after", "1")], "");
    let (script, rates) = Script::with_rates([away, rate(3, "1")]).await;
    let begun = Instant::now();
    assert_eq!(get(&rates).await.unwrap().unwrap().version.0, 3);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(script.heard().len(), 2);
    // Nobody waits past the time of the call. When to come back is told instead.
    let away = answer(503, &[("retry-after", "120")], "");
    let (script, rates) = Script::with_rates([away]).await;
    let begun = Instant::now();
    match get(&rates).await {
        Err(Error::Unavailable { retry_after, .. }) => {
            assert_eq!(retry_after, Some(Duration::from_secs(120)))
        }
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(script.heard().len(), 1);
    // However long that is.
    let away = answer(503, &[("retry-after", &u64::MAX.to_string())], "");
    let (_script, rates) = Script::with_rates([away]).await;
    assert!(matches!(get(&rates).await, Err(Error::Unavailable { .. })));
    // A date is a time too; one that is past is no time.
    let away = answer(503, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], "");
    let (script, rates) = Script::with_rates([away, rate(3, "1")]).await;
    assert!(get(&rates).await.unwrap().is_some());
    assert_eq!(script.heard().len(), 2);
}

#[tokio::test]
async fn a_service_in_trouble_gets_no_multiple_of_its_load() {
    let (script, rates) = Script::with_rates(vec![answer(502, &[], ""); 1_000]).await;
    for _ in 0..100 {
        get(&rates).await.unwrap_err();
    }
    let asked = script.heard().len();
    // One in ten is sent again, and ten that were saved.
    assert!((100..=121).contains(&asked), "{asked}");
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let same = || answer(304, &[("etag", "\"3\"")], "");
    let other = answer(304, &[("etag", "\"9\"")], "");
    let (script, rates) = Script::with_rates([
        rate(3, "1"),
        same(),
        same(),
        rate(4, "2"),
        other,
        rate(9, "3"),
        missing(),
        rate(1, "4"),
    ])
    .await;
    let mut versions = Vec::new();
    for _ in 0..7 {
        versions.push(get(&rates).await.unwrap().map(|rate| (rate.version.0, rate.values[1].clone())));
    }
    let versions: Vec<Option<u64>> =
        versions.into_iter().map(|rate| rate.map(|(version, _)| version)).collect();
    assert_eq!(versions, [Some(3), Some(3), Some(3), Some(4), Some(9), None, Some(1)]);
    let asked: Vec<Option<String>> =
        script.heard().iter().map(|heard| heard.header("if-none-match").map(str::to_owned)).collect();
    let quoted = |version: u64| Some(format!("\"{version}\""));
    assert_eq!(
        asked,
        // What is said of another state than the one that is kept is asked for again.
        [None, quoted(3), quoted(3), quoted(3), quoted(4), None, quoted(9), None]
    );
}

#[tokio::test]
async fn a_service_that_is_away_keeps_nobody_from_starting_and_another_one_does() {
    let schema = rates_schema();
    // Nobody listens there.
    let rates = HttpEntities::new("http://127.0.0.1:1/v1/entities/rate?shared=true", config()).unwrap();
    rates.prepare(&schema).await.unwrap();
    assert!(matches!(rates.check().await, Err(Error::Unavailable { .. })));
    let told = change(&rates, create("1")).await.unwrap_err();
    assert!(told.is_retryable() && told.to_string().contains("nothing was stored"), "{told}");
    for act in [answer(503, &[], ""), answer(500, &[], ""), Act::Silent, answer(401, &[], "")] {
        let script = Script::of(vec![act; 3]).await;
        let rates = HttpEntities::new(&script.address(""), config()).unwrap();
        rates.prepare(&schema).await.unwrap();
    }
    for act in [
        answer(404, &[("content-type", "text/html")], "no such page"),
        missing(),
        answer(200, &[("content-type", "text/html")], "<html>"),
        answer(200, &[JSON], r#"{"rates":[]}"#),
        answer(200, &[JSON], "[]"),
        answer(302, &[("location", "/login")], ""),
    ] {
        let script = Script::of([act]).await;
        let rates = HttpEntities::new(&script.address(""), config()).unwrap();
        let refused = rates.prepare(&schema).await.unwrap_err();
        assert!(matches!(refused, Error::Backend { .. } | Error::EntityChanged { .. }), "{refused:?}");
        assert!(!refused.is_retryable() && refused.to_string().contains("rate"), "{refused}");
    }
}

#[tokio::test]
async fn a_404_that_is_about_all_rates_is_not_taken_for_one() {
    // Nothing was known of the service when it was prepared.
    let script = Script::of([answer(401, &[], ""), missing(), missing(), missing(), page(&[], None)]).await;
    let rates = HttpEntities::new(&script.address(""), config()).unwrap();
    rates.prepare(&rates_schema()).await.unwrap();
    named(&get(&rates).await.map(|_| None), backend, "no list of rate");
    assert_eq!(get(&rates).await.unwrap(), None, "now it has one");
    let targets: Vec<String> = script.heard().into_iter().map(|heard| heard.target).collect();
    let (list, one) = ("/v1/entities/rate?limit=1", "/v1/entities/rate/eur");
    assert_eq!(targets, [list, one, list, one, list]);
    let page = rates.query(&rates_schema(), &tenant(), &Query::default()).await.unwrap_err();
    assert!(matches!(page, Error::Backend { .. }), "{page:?}");
}

#[tokio::test]
async fn too_broad_a_query_is_told_so() {
    let (_script, rates) = Script::with_rates([problem(400, "too-broad", "")]).await;
    let refused = rates.query(&rates_schema(), &tenant(), &Query::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::TooBroad(text) if text == "told as too-broad"), "{refused:?}");
    // What another service says of itself is told to nobody, nor where it is.
    let secret = r#"{"detail":"secret of bob"}"#;
    for (status, of_request) in [(422, "rule"), (400, "does not take it"), (413, "does not take it")] {
        let (_script, rates) = Script::with_rates([answer(status, &[JSON], secret)]).await;
        let refused = change(&rates, create("1")).await.unwrap_err();
        let told = refused.for_tenant();
        assert!(told.contains(of_request) && told.contains("rate"), "{told}");
        assert!(!told.contains("secret") && !told.contains("127.0.0.1"), "{told}");
    }
}
