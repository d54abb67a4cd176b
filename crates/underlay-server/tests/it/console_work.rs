//! The console's pages of work: what they show of whom, and what their forms do.

use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use underlay_server::ServerConfig;

use crate::admin::{OPERATOR, broken, give_up, site};
use crate::browser::{Browser, HTML, between};
use crate::place::{ByHeader, Place, get_with, post_with};

const STORE_OPERATOR: &str = "Bearer acme.keeper";
const PAGES: [&str; 5] = [
    "/console/commands",
    "/console/outbox",
    "/console/dead-letters",
    "/console/processes",
    "/console/schedules",
];

#[tokio::test]
async fn the_pages_of_work_are_for_operators_and_show_no_other_tenant() {
    let place = site();
    give_up(&place, "globex", &["the-secret-of-globex"]).await;
    let ours = give_up(&place, "acme", &["ours"]).await;
    let later = "/v1/account/the-secret-of-globex/deposit?due_at=2999-01-01T00:00:00Z";
    place.send(post_with(later, r#"{"amount":"1"}"#, &[("authorization", "Bearer globex")])).await;
    let schedule = json!({ "cron": "0 3 * * *", "for": "account/the-secret-of-globex/close" });
    let put = axum::http::Request::put("/v1/admin/schedules/the-secret-of-globex")
        .header("authorization", "Bearer globex.operator.teller")
        .header("content-type", "application/json")
        .body(Body::from(schedule.to_string()));
    place.send(put.unwrap()).await.ok();
    let theirs =
        place.send(get_with("/v1/admin/dead-letters", &[("authorization", "Bearer globex.operator")]));
    let theirs = theirs.await.ok()["dead_letters"][0]["work_id"].as_str().unwrap().to_owned();
    let letter = format!("/console/dead-letters/{}", ours[0]);
    let operator = Browser::of(&place, OPERATOR).await;
    for path in PAGES.into_iter().chain([letter.as_str()]) {
        let shown = operator.shown(path).await;
        assert!(!shown.contains("the-secret-of-globex"), "{path}: {shown}");
        if path != "/console/commands" {
            let other = place.send(get_with(path, &[("authorization", "Bearer acme.manager"), HTML])).await;
            assert_eq!(other.status, 403, "{path}");
            assert!(other.text().contains("operator"), "{}", other.text());
        }
    }
    for path in
        [format!("/console/dead-letters/{theirs}"), "/console/schedules/the-secret-of-globex".to_owned()]
    {
        for path in
            [path.clone(), format!("{path}/discard"), format!("{path}/remove"), format!("{path}/replay")]
        {
            assert!(operator.page(&path).await.status != 200, "{path}");
            assert!(operator.press(&path, &[]).await.status != 303, "{path}");
        }
    }
    let all = Browser::of(&place, "Bearer globex.operator").await;
    for path in ["/console/commands", "/console/outbox", "/console/dead-letters", "/console/schedules"] {
        assert!(all.shown(path).await.contains("the-secret-of-globex"), "{path}");
    }
}

#[tokio::test]
async fn dead_letters_are_picked_asked_about_again_and_settled() {
    let place = site();
    let ids = give_up(&place, "acme", &["one", "two", "<three>", "four"]).await;
    let browser = Browser::of(&place, OPERATOR).await;
    let list = browser.shown("/console/dead-letters").await;
    assert!(list.contains("&lt;three&gt;") && !list.contains("<three>"), "{list}");
    let letter = browser.shown(&format!("/console/dead-letters/{}", ids[0])).await;
    assert!(letter.contains("no such address") && letter.contains("&quot;text&quot;"), "{letter}");

    const SELECTED: &str = "/console/dead-letters/selected";
    assert!(browser.does(SELECTED, &[("order", "replay")]).await.contains("Nothing was picked"));
    let two = [("order", "discard"), ("id", ids[0].as_str()), ("id", ids[1].as_str())];
    let asked = browser.press(SELECTED, &two).await;
    assert_eq!(asked.status, 200);
    assert!(asked.text().contains("Discard 2 dead letters"), "{}", asked.text());
    assert!(browser.shown("/console/dead-letters").await.contains(&ids[0]), "nothing is removed yet");
    let confirmed: Vec<_> = two.into_iter().chain([("confirmed", "yes")]).collect();
    let left = browser.does(SELECTED, &confirmed).await;
    assert!(left.contains("The dead letters are removed"), "{left}");
    assert!(!left.contains(&ids[0]) && !left.contains(&ids[1]) && left.contains(&ids[2]), "{left}");

    let path = format!("/console/dead-letters/{}", ids[2]);
    assert!(browser.shown(&format!("{path}/discard")).await.contains("Nothing brings it back"));
    assert!(!browser.does(&format!("{path}/discard"), &[]).await.contains(&ids[2]));
    let of_mailer = [("order", "replay-all"), ("receiver", "mailer")];
    let left = browser.does(SELECTED, &of_mailer).await;
    assert!(left.contains("There are no dead letters"), "{left}");
    assert!(browser.shown("/console/outbox").await.contains("four"), "it is due again");
    let wrong = browser.press(SELECTED, &[("order", "burn")]).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}

#[tokio::test]
async fn nothing_is_done_without_the_token_of_the_form() {
    let place = site();
    let ids = give_up(&place, "acme", &["one"]).await;
    let mut browser = Browser::of(&place, OPERATOR).await;
    browser.token = "0".repeat(64);
    let letter = format!("/console/dead-letters/{}", ids[0]);
    for (path, fields) in [
        (format!("{letter}/replay"), vec![]),
        (format!("{letter}/discard"), vec![]),
        ("/console/dead-letters/selected".to_owned(), vec![("order", "replay-all")]),
        (
            "/console/schedules".to_owned(),
            vec![("name", "a"), ("cron", "0 3 * * *"), ("for", "account/a/close")],
        ),
        ("/console/commands/k/cancel".to_owned(), vec![]),
        ("/console/processes/lost".to_owned(), vec![]),
        ("/console/pumps/audit".to_owned(), vec![]),
    ] {
        assert_eq!(browser.press(&path, &fields).await.status, 403, "{path}");
    }
    assert!(browser.shown(&letter).await.contains("no such address"), "it is as it was");
}

#[tokio::test]
async fn a_command_is_found_and_cancelled() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let who = ("authorization", "Bearer acme.operator");
    let later = "/v1/account/cash/deposit?due_at=2999-01-01T00:00:00Z";
    let stored = post_with(later, r#"{"amount":"5"}"#, &[who, ("idempotency-key", "a/b")]);
    assert_eq!(place.send(stored).await.status, 202);
    let closed =
        post_with("/v1/account/cash/deposit", r#"{"amount":"-5"}"#, &[who, ("idempotency-key", "bad")]);
    place.send(closed).await;
    let browser = Browser::of(&place, who.1).await;
    let list = browser.shown("/console/commands").await;
    assert!(list.contains("deposit") && list.contains("account cash"), "{list}");
    let found = browser.page("/console/commands?key=a%2Fb").await;
    assert_eq!(found.header("location"), Some("/console/commands/a%2Fb"));
    assert!(browser.shown("/console/commands/a%2Fb").await.contains("pending"));
    let cancelled = browser.does("/console/commands/a%2Fb/cancel", &[]).await;
    assert!(cancelled.contains("It never runs") && cancelled.contains("cancelled"), "{cancelled}");
    assert!(!cancelled.contains("Cancel it"), "{cancelled}");
    assert_eq!(browser.page("/console/commands/nothing").await.status, 404);
    assert_eq!(browser.page("/console/commands?status=late").await.status, 400);
    assert!(browser.shown("/console/commands?status=failed").await.contains("No command was given up"));
}

#[tokio::test]
async fn a_schedule_is_put_shown_and_removed_and_a_wrong_one_keeps_what_was_typed() {
    let place = site();
    let browser = Browser::of(&place, "Bearer acme.operator.teller").await;
    let fields = |cron: &'static str| {
        [
            ("name", "each night/1"),
            ("cron", cron),
            ("for", "account/a/close"),
            ("body", ""),
            ("zone", ""),
            ("missed", "all"),
        ]
    };
    let wrong = browser.press("/console/schedules", &fields("at <night>")).await;
    assert_eq!(wrong.status, 400);
    let shown = wrong.text();
    assert!(shown.contains("at &lt;night&gt;") && shown.contains("each night/1"), "{shown}");
    assert!(shown.contains("role=\"alert\""), "{shown}");
    let list = browser.does("/console/schedules", &fields("0 3 * * *")).await;
    assert!(list.contains("The schedule is put") && list.contains("runs for each of them"), "{list}");
    let path = "/console/schedules/each%20night%2F1";
    assert!(list.contains(path), "{list}");
    assert!(browser.shown(path).await.contains("value=\"0 3 * * *\""));
    assert!(browser.shown(&format!("{path}/remove")).await.contains("Remove it"));
    let list = browser.does(&format!("{path}/remove"), &[]).await;
    assert!(list.contains("The schedule is removed") && !list.contains(path), "{list}");
    // Who may not give a command puts no schedule of it.
    let other = Browser::of(&place, OPERATOR).await;
    assert_eq!(other.press("/console/schedules", &fields("0 3 * * *")).await.status, 403);
}

#[tokio::test]
async fn a_process_that_stopped_is_tried_again_by_whom_that_is_for() {
    let place = broken(|config: ServerConfig| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config.operators.push("keeper".to_owned());
        config
    });
    let running = (place.engine.start_pumps(), place.engine.start_work());
    place.store_big_events("acme", "note-1", 2).await;
    let keeper = Browser::of(&place, STORE_OPERATOR).await;
    let mut queues = Value::Null;
    for _ in 0..500 {
        place.clock.advance(Duration::from_millis(100));
        queues = place.send(get_with("/v1/admin/queues", &[("authorization", OPERATOR)])).await.ok();
        if queues["processes"][0]["status"] == "paused" && queues["pumps"][0]["status"] == "paused" {
            break;
        }
    }
    assert_eq!(queues["processes"][0]["status"], "paused", "{queues}");
    let operator = Browser::of(&place, OPERATOR).await;
    let shown = operator.shown("/console/processes").await;
    assert!(!shown.contains("globex") && !shown.contains("Try lost again"), "{shown}");
    assert_eq!(operator.press("/console/processes/lost", &[]).await.status, 403);
    assert_eq!(operator.press("/console/pumps/audit", &[]).await.status, 403);
    let shown = keeper.shown("/console/processes").await;
    assert!(shown.contains("Try lost again") && shown.contains("Try audit again"), "{shown}");
    assert!(keeper.does("/console/processes/lost", &[]).await.contains("It tries again"));
    assert!(keeper.does("/console/pumps/audit", &[]).await.contains("It tries again"));
    assert_eq!(keeper.press("/console/pumps/nothing", &[]).await.status, 404);
    assert!(operator.shown("/console/processes/lost").await.contains("There is no such instance"));
    assert_eq!(operator.page("/console/processes/nothing").await.status, 404);
    assert_eq!(operator.page("/console/processes/lost/1").await.status, 404);
    drop(running);
}

#[tokio::test]
async fn the_audit_says_how_far_it_has_looked_for_the_work_of_a_request() {
    let place = site();
    let keys: Vec<String> = (0..201).map(|number| format!("letter-{number}")).collect();
    give_up(&place, "acme", &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let who = "Bearer acme.operator.auditor";
    let browser = Browser { place: &place, who, cookie: String::new(), token: String::new() };
    let request = "/console/audit?correlation_id=00000000-0000-4000-8000-000000000001";
    let first = browser.shown(request).await;
    assert!(
        first.contains(
            "Nothing yet. This page has looked at the first 0 pieces that wait and 200 dead letters"
        ),
        "{first}"
    );
    let next = between(&first, "tenant. <a href=\"", "\"").replace("&amp;", "&");
    assert!(next.contains("waiting_after=end&dead_after=") && next.ends_with("#work-heading"), "{next}");
    let next = browser.shown(next.trim_end_matches("#work-heading")).await;
    assert!(next.contains("looked at the next 0 pieces that wait and 1 dead letters"), "{next}");
    assert!(!next.contains("Look further"), "{next}");
    let wrong = browser.page(&format!("{request}&dead_after=x")).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
}
