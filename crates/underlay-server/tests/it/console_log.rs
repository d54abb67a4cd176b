//! Events, streams, states and the audit as pages: whose they are, who may read them, and where they lead.

use underlay_server::LogReaders;

use crate::listener::Listener;
use crate::place::{Answer, ByHeader, Place, get_with, post_with};

const HTML: (&str, &str) = ("accept", "text/html");
const ACME: (&str, &str) = ("authorization", "Bearer acme");
const GLOBEX: (&str, &str) = ("authorization", "Bearer globex");

async fn page(place: &Place, path: &str) -> String {
    page_for(place, path, &[]).await
}

async fn page_for(place: &Place, path: &str, who: &[(&str, &str)]) -> String {
    let answer = visit(place, path, who).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.shown());
    assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{path}");
    String::from_utf8(answer.unpacked().into_owned()).unwrap()
}

async fn visit(place: &Place, path: &str, who: &[(&str, &str)]) -> Answer {
    let headers: Vec<(&str, &str)> = who.iter().copied().chain([HTML]).collect();
    place.send(get_with(path, &headers)).await
}

/// Where the next page is.
fn next_of(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\">Next page")?;
    Some(before.rsplit_once("href=\"")?.1.replace("&amp;", "&"))
}

/// The positions of the events that a page lists.
fn positions(page: &str) -> Vec<u64> {
    page.split("data-position=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn events_are_listed_newest_first_to_the_last_page() {
    let place = Place::new();
    for number in 0..120 {
        place.deposit(if number % 3 == 0 { "a" } else { "b" }, "1").await;
    }
    for (query, wanted) in [
        ("", (1..=120).rev().collect::<Vec<u64>>()),
        ("?order=ascending", (1..=120).collect()),
        (
            "?stream=account-a",
            (0..120).filter(|number| number % 3 == 0).map(|number| number + 1).rev().collect(),
        ),
        ("?type=closed&actor=&from=", Vec::new()),
    ] {
        let (mut seen, mut next) = (Vec::new(), Some(format!("/console/events{query}")));
        while let Some(path) = next {
            let page = page(&place, &path).await;
            seen.extend(positions(&page));
            next = next_of(&page);
        }
        assert_eq!(seen, wanted, "{query}");
    }
    let first = page(&place, "/console/events?category=account").await;
    assert!(first.contains("data-feed=\"/console/events/live?category=account&amp;after=120\""), "{first}");
    let later = page(&place, &next_of(&first).unwrap()).await;
    assert!(!later.contains("data-feed"), "what comes is not on a page before it");
    assert!(page(&place, "/console/events?type=closed").await.contains("Nothing was found."));
    for wrong in ["order=newest", "stream=x", "from=yesterday", "position=1", "correlation_id=1"] {
        let answer = visit(&place, &format!("/console/events?{wrong}"), &[]).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_moment_is_written_as_a_field_of_a_browser_has_it() {
    let place = Place::new();
    place.deposit("a", "1").await;
    for (query, wanted) in [
        ("from=2000-01-01T00:00&until=2999-01-01T00:00:00", 1),
        ("from=2999-01-01T00:00:00Z", 0),
        ("until=2000-01-01T00%3A00", 0),
    ] {
        let page = page(&place, &format!("/console/events?{query}")).await;
        assert_eq!(positions(&page).len(), wanted, "{query}");
    }
    assert!(
        page(&place, "/console/events?from=2000-01-01T00:00").await.contains("value=\"2000-01-01T00:00:00\"")
    );
}

#[tokio::test]
async fn an_event_leads_to_its_stream_its_command_and_its_request() {
    let place = Place::new();
    let correlation = "0190aaaa-0000-7000-8000-000000000001";
    place.deposit("a", "3").await;
    place.deposit("b", "3").await;
    let body = r#"{"from":"a","to":"b","amount":"2"}"#;
    let moved = place
        .send(post_with("/v1/operations/transfer", body, &[("x-correlation-id", correlation)]))
        .await
        .ok();
    let command = moved["command_id"].as_str().unwrap();
    let event = page(&place, "/console/events/4").await;
    assert!(event.contains("/console/streams/account-b?version=2") && event.contains(command), "{event}");
    assert!(event.contains(&format!("/console/audit?correlation_id={correlation}")), "{event}");
    assert_eq!(positions(&event), [3, 4], "the events of the same command");
    let chain = page(&place, &format!("/console/audit?correlation_id={correlation}")).await;
    assert!(
        chain.contains(command) && chain.contains("/console/events/3") && chain.contains("/console/events/4")
    );
    assert!(!chain.contains("/console/events/1\""), "{chain}");
    let all = page(&place, "/console/audit").await;
    assert!(all.contains("/console/events/1\"") && all.contains("/console/events/4\""));
    assert_eq!(visit(&place, "/console/events/5", &[]).await.status, 404);
    assert_eq!(visit(&place, "/console/events/x", &[]).await.status, 400);
}

#[tokio::test]
async fn a_stream_shows_its_state_at_any_version_and_what_changed() {
    let place = Place::new();
    place.deposit("cash", "10").await;
    place.post("/v1/account/cash/withdraw", r#"{"amount":"4"}"#).await.ok();
    place.post("/v1/account/cash/close", "").await.ok();
    let path = "/console/streams/account-cash";
    let state = |page: &str| {
        let (_, rest) = page.split_once("<pre class=\"json\"").unwrap();
        rest.split("</pre>").next().unwrap().replace("&quot;", "\"")
    };
    let now = page(&place, path).await;
    assert!(
        now.contains("max=\"3\" step=\"1\" value=\"3\"") && state(&now).contains("\"closed\": true"),
        "{now}"
    );
    let then = page(&place, &format!("{path}?version=2")).await;
    assert!(state(&then).contains("\"balance\": \"6\""), "{then}");
    let (_, changed) = then.split_once("What changed since version 1").unwrap();
    let row = changed.split("</tr>").nth(1).unwrap().replace("&quot;", "\"");
    assert!(
        row.contains("balance") && row.contains("\"10\"") && row.contains("\"6\"") && !row.contains("closed")
    );
    let two = page(&place, &format!("{path}?version=3&compare=1")).await;
    assert!(two.contains("What changed since version 1") && two.contains("<code>closed</code>"), "{two}");
    let first = page(&place, &format!("{path}?version=1")).await;
    assert!(first.contains("before the first event"), "{first}");
    let beyond = page(&place, &format!("{path}?version=9")).await;
    assert!(beyond.contains("It cannot be shown.") && beyond.contains("which is at 3"), "{beyond}");
    assert!(page(&place, &format!("{path}?at=2999-01-01T00:00")).await.contains("State at version 3"));
    assert_eq!(visit(&place, &format!("{path}?at=2999-01-01T00:00&version=1"), &[]).await.status, 400);
    assert_eq!(visit(&place, "/console/streams/account-none", &[]).await.status, 404);
}

#[tokio::test]
async fn streams_are_listed_and_opened_by_name() {
    let place = Place::new();
    let id = "a%2Fb%20%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    place.post(&format!("/v1/account/{id}/deposit"), r#"{"amount":"1"}"#).await.ok();
    let list = page(&place, "/console/streams?category=account").await;
    assert!(!list.contains("<script>alert"), "{list}");
    let link = list.split("href=\"/console/streams/").nth(1).unwrap().split('"').next().unwrap();
    let stream = page(&place, &format!("/console/streams/{link}")).await;
    assert!(stream.contains("account-a/b &lt;script&gt;") && !stream.contains("<script>alert"), "{stream}");
    let opened = visit(&place, &format!("/console/streams?name=account-{id}"), &[]).await;
    assert_eq!(opened.status, 303);
    assert_eq!(opened.header("location").unwrap(), format!("/console/streams/{link}"));
    assert_eq!(visit(&place, "/console/streams?name=account", &[]).await.status, 400);
    assert!(page(&place, "/console/streams?category=other").await.contains("There is no stream here."));
}

#[tokio::test]
async fn no_page_shows_what_is_another_tenants() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let correlation = "0190aaaa-0000-7000-8000-000000000001";
    let sent = post_with(
        "/v1/account/marker-acme/deposit",
        r#"{"amount":"4771.23"}"#,
        &[ACME, ("x-correlation-id", correlation)],
    );
    let command = place.send(sent).await.ok()["command_id"].as_str().unwrap().to_owned();
    place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[GLOBEX])).await.ok();
    let signs = ["marker-acme", "4771.23", "someone at acme", &command];
    for path in [
        "/console/events".to_owned(),
        "/console/events?order=ascending".to_owned(),
        "/console/events/2".to_owned(),
        "/console/events?actor=someone%20at%20globex".to_owned(),
        "/console/streams".to_owned(),
        "/console/streams/account-cash".to_owned(),
        "/console/audit".to_owned(),
    ] {
        let seen = page_for(&place, &path, &[GLOBEX]).await;
        for sign in signs {
            assert!(!seen.contains(sign), "{path}: {sign}: {seen}");
        }
    }
    // What is asked for by a name of theirs is not there; the page may say the name again.
    for (path, status) in [
        ("/console/events/1", 404),
        ("/console/streams/account-marker-acme", 404),
        ("/console/events?stream=account-marker-acme", 200),
        ("/console/events?actor=someone%20at%20acme", 200),
        (&*format!("/console/audit?correlation_id={correlation}"), 200),
        (&*format!("/console/audit?command_id={command}"), 200),
    ] {
        let answer = visit(&place, path, &[GLOBEX]).await;
        let text = String::from_utf8_lossy(&answer.unpacked()).into_owned();
        assert_eq!(answer.status, status, "{path}");
        assert!(!text.contains("4771.23") && positions(&text).is_empty(), "{path}: {text}");
    }
    assert!(page_for(&place, "/console/events", &[ACME]).await.contains("marker-acme"), "a control");
}

#[tokio::test]
async fn only_those_who_may_read_the_log_see_its_pages() {
    let place = Place::with(|config| {
        config.with_credentials(ByHeader).with_log_readers(LogReaders::Roles(vec!["auditor".to_owned()]))
    });
    let auditor = ("authorization", "Bearer acme.auditor");
    place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[ACME])).await.ok();
    for path in [
        "/console/events",
        "/console/events/1",
        "/console/streams",
        "/console/streams/account-cash",
        "/console/audit",
    ] {
        assert_eq!(visit(&place, path, &[ACME]).await.status, 403, "{path}");
        page_for(&place, path, &[auditor]).await;
        assert_eq!(visit(&place, path, &[]).await.status, 303, "{path}");
    }
    let live = Listener::ask(&place, "/console/events/live", &[ACME]).await;
    assert_eq!(live.status(), 403);
    Listener::follow(&place, "/console/events/live?after=0", &[auditor]).await.data(1).await;
    let overview = page_for(&place, "/", &[ACME]).await;
    assert!(!overview.contains("/console/streams") && !overview.contains("/console/audit"), "{overview}");
}

#[tokio::test]
async fn the_feed_of_a_page_is_for_who_has_signed_in_there() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    place.send(post_with("/v1/account/cash/deposit", r#"{"amount":"1"}"#, &[ACME])).await.ok();
    let session = ("cookie", "underlay-session=acme");
    let mut live = Listener::follow(&place, "/console/events/live?after=0", &[session]).await;
    assert_eq!(live.data(1).await[0]["stream"], "account-cash");
    // The address of the API looks at no cookie.
    assert_eq!(Listener::ask(&place, "/v1/events?after=0", &[session]).await.status(), 401);
    assert_eq!(Listener::ask(&place, "/console/events/live", &[]).await.status(), 303);
    let opened = visit(&place, "/console/events/live?after=3&type=deposited", &[ACME]).await;
    assert_eq!(
        (opened.status.as_u16(), opened.header("location")),
        (303, Some("/console/events?type=deposited"))
    );
}
