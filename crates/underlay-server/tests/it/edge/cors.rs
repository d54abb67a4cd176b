//! Pages of other sites.

use axum::body::Body;
use axum::http::Request;

use crate::place::{Place, get_with, post_with};

const APP: (&str, &str) = ("origin", "https://app.example");
const EVIL: (&str, &str) = ("origin", "https://evil.example");

fn allowing() -> Place {
    Place::with(|mut config| {
        config.origins_allowed.push(APP.1.to_owned());
        config
    })
}

fn preflight(origin: (&str, &str)) -> Request<Body> {
    Request::options("/v1/account/cash/deposit")
        .header(origin.0, origin.1)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn without_an_allowed_origin_no_other_page_is_told_anything() {
    let place = Place::new();
    place.send(preflight(APP)).await.problem(405, "problem:method-not-allowed");
    let answer = place.send(get_with("/v1/views", &[APP])).await;
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    assert_eq!(answer.header("vary"), None);
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_commands_and_read_answers() {
    let place = allowing();
    let asked = place.send(preflight(APP)).await;
    assert_eq!((asked.status.as_u16(), asked.header("access-control-allow-origin")), (204, Some(APP.1)));
    for (header, wanted) in [
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "idempotency-key"),
        ("access-control-allow-headers", "authorization"),
        ("vary", "origin"),
    ] {
        assert!(asked.header(header).unwrap().contains(wanted), "{header}: {:?}", asked.headers);
    }
    assert_eq!(asked.header("access-control-allow-credentials"), None);
    let done = place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[APP])).await;
    done.ok();
    assert_eq!(done.header("access-control-allow-origin"), Some(APP.1));
    assert!(done.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    // A problem is read as well.
    let wrong = place.send(get_with("/v1/events?limit=0", &[APP])).await;
    wrong.invalid();
    assert_eq!(wrong.header("access-control-allow-origin"), Some(APP.1));
}

#[tokio::test]
async fn a_page_of_any_other_origin_is_told_nothing() {
    let place = allowing();
    for origin in [EVIL, ("origin", "https://app.example.evil.example"), ("origin", "null"), ("origin", "*")]
    {
        place.send(preflight(origin)).await.problem(405, "problem:method-not-allowed");
        let answer = place.send(get_with("/v1/views", &[origin])).await;
        answer.ok();
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin:?}");
        assert_eq!(answer.header("vary"), Some("origin"), "a cache would give it to the page that may");
    }
    let sent = post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[EVIL]);
    place.send(sent).await.problem(403, "problem:cross-site");
}
