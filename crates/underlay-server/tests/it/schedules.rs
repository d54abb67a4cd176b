//! Schedules over HTTP: of whom, who may, and what is refused.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::place::{Answer, ByHeader, Place, delete_with, get_with};

const OPERATOR: &str = "Bearer acme.operator";

fn site() -> Place {
    Place::with(|config| config.with_credentials(ByHeader))
}

async fn put(place: &Place, name: &str, body: &Value, who: &str) -> Answer {
    let request = Request::put(format!("/v1/admin/schedules/{name}"))
        .header("content-type", "application/json")
        .header("authorization", who);
    place.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn remove(place: &Place, name: &str, who: &str) -> Answer {
    place.send(delete_with(&format!("/v1/admin/schedules/{name}"), &[("authorization", who)])).await
}

async fn find(place: &Place, name: &str, who: &str) -> Answer {
    place.send(get_with(&format!("/v1/admin/schedules/{name}"), &[("authorization", who)])).await
}

async fn list(place: &Place, who: &str) -> Value {
    let path = "/v1/admin/schedules";
    place.send(get_with(path, &[("authorization", who)])).await.ok()["schedules"].clone()
}

fn monthly() -> Value {
    json!({
        "cron": "0 6 1 * *", "zone": "Europe/Berlin", "missed": "all", "urgent": true,
        "for": "account/a/b/deposit", "body": { "amount": "1.50" },
    })
}

#[tokio::test]
async fn a_schedule_is_put_listed_and_removed() {
    let place = site();
    let first = put(&place, "interest", &monthly(), OPERATOR).await.ok();
    assert_eq!((&first["revision"], first["next_due_at"].is_string()), (&json!(1), true), "{first}");
    // Put again it is the same; put otherwise it is another.
    assert_eq!(put(&place, "interest", &monthly(), OPERATOR).await.ok(), first);
    for (member, value) in monthly().as_object().unwrap() {
        assert_eq!(&list(&place, OPERATOR).await[0][member], value, "{member}");
    }
    let mut daily = monthly();
    daily["cron"] = json!("0 6 * * *");
    assert_eq!(put(&place, "interest", &daily, OPERATOR).await.ok()["revision"], 2);
    let transfer = json!({
        "cron": "0 0 * * 1", "for": "operations/transfer", "body": { "from": "a", "to": "b", "amount": "1" },
    });
    let put_transfer = put(&place, "weekly%20rent", &transfer, OPERATOR).await.ok();
    assert_eq!((&put_transfer["zone"], &put_transfer["missed"]), (&json!("UTC"), &json!("one")));
    assert_eq!(put_transfer["name"], "weekly rent");
    assert_eq!(list(&place, OPERATOR).await.as_array().unwrap().len(), 2);
    assert_eq!(find(&place, "interest", OPERATOR).await.ok(), list(&place, OPERATOR).await[0]);
    assert_eq!(find(&place, "weekly%20rent", OPERATOR).await.ok()["for"], "operations/transfer");
    let removed = remove(&place, "interest", OPERATOR).await.ok();
    assert_eq!(removed, json!({ "name": "interest", "removed": true }));
    remove(&place, "interest", OPERATOR).await.problem(404, "problem:not-found");
    find(&place, "interest", OPERATOR).await.problem(404, "problem:not-found");
    assert_eq!(list(&place, OPERATOR).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn schedules_are_listed_by_page() {
    let small = Place::with(|mut config| {
        config.page_bytes_max = 600;
        config.with_credentials(ByHeader)
    });
    for (place, asked, pages) in
        [(site(), "?limit=19", 3), (site(), "?limit=40", 1), (small, "?limit=1000", 3)]
    {
        let names: Vec<String> = (100..140).map(|number| number.to_string()).collect();
        for name in &names {
            put(&place, name, &monthly(), OPERATOR).await.ok();
        }
        let (mut seen, mut query, mut count) = (Vec::new(), asked.to_owned(), 0);
        loop {
            let listed = page(&place, &query).await.ok();
            let here = listed["schedules"].as_array().unwrap();
            assert!(!here.is_empty(), "{listed}");
            seen.extend(here.iter().map(|schedule| schedule["name"].as_str().unwrap().to_owned()));
            count += 1;
            let Some(next) = listed["next"].as_str() else { break };
            query = format!("{asked}&after={next}");
        }
        assert_eq!((seen, count), (names, pages), "{asked}");
    }
    for wrong in ["?limit=0", "?limit=1001", "?before=x", "?tenant=globex"] {
        page(&site(), wrong).await.problem(400, "problem:invalid");
    }
}

async fn page(place: &Place, query: &str) -> Answer {
    let path = format!("/v1/admin/schedules{query}");
    place.send(get_with(&path, &[("authorization", OPERATOR)])).await
}

#[tokio::test]
async fn schedules_are_of_the_callers_tenant_alone() {
    let place = site();
    put(&place, "ours", &monthly(), OPERATOR).await.ok();
    let theirs = "Bearer globex.operator";
    assert_eq!(list(&place, theirs).await, json!([]));
    let foreign = remove(&place, "ours", theirs).await.problem(404, "problem:not-found");
    let nobodys = remove(&place, "none", theirs).await.problem(404, "problem:not-found");
    assert_eq!(foreign["title"], nobodys["title"]);
    find(&place, "ours", theirs).await.problem(404, "problem:not-found");
    assert_eq!(put(&place, "ours", &monthly(), theirs).await.ok()["revision"], 1);
    assert_eq!(remove(&place, "ours", theirs).await.ok()["removed"], true);
    assert_eq!(list(&place, OPERATOR).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn who_puts_a_schedule_is_an_operator_and_may_give_its_command() {
    let place = site();
    for who in ["Bearer acme", "Bearer acme.manager", "Bearer acme.Operator"] {
        put(&place, "x", &monthly(), who).await.problem(403, "problem:role-required");
        remove(&place, "x", who).await.problem(403, "problem:role-required");
        find(&place, "x", who).await.problem(403, "problem:role-required");
        let listed = place.send(get_with("/v1/admin/schedules", &[("authorization", who)])).await;
        listed.problem(403, "problem:role-required");
    }
    // To close an account is for tellers and managers, now and at any time.
    let close = json!({ "cron": "0 6 1 * *", "for": "account/a/close", "body": null });
    let told = put(&place, "x", &close, OPERATOR).await.problem(403, "problem:role-required");
    assert_eq!(told["roles"], json!(["teller", "manager"]));
    put(&place, "x", &close, "Bearer acme.teller").await.problem(403, "problem:role-required");
    put(&place, "x", &close, "Bearer acme.operator.teller").await.ok();
    let unknown = place.send(get_with("/v1/admin/schedules", &[])).await;
    unknown.problem(401, "problem:unidentified");
}

#[tokio::test]
async fn what_is_wrong_with_a_schedule_is_told_and_nothing_is_put() {
    let place = site();
    let wrong = [
        ("cron", json!("0 6 1 *"), "it has five"),
        ("cron", json!("0 6 31 2 *"), "no month has"),
        ("zone", json!("Europe/Bärlin"), "there is no time zone"),
        ("missed", json!("some"), "some"),
        ("for", json!("account"), "CATEGORY/ID/COMMAND"),
        ("for", json!("account/deposit"), "CATEGORY/ID/COMMAND"),
        ("tenant", json!("globex"), "tenant"),
        ("actor", json!({ "name": "eve", "roles": ["manager"] }), "actor"),
        ("is_typed", json!(true), "is_typed"),
    ];
    for (member, value, told) in wrong {
        let mut body = monthly();
        body[member] = value;
        let detail = put(&place, "x", &body, OPERATOR).await.invalid();
        assert!(detail.contains(told), "{member}: {detail}");
    }
    let mut unknown = monthly();
    unknown["for"] = json!("account/a/burn");
    assert!(!put(&place, "x", &unknown, OPERATOR).await.status.is_success());
    unknown["for"] = json!("tin/a/deposit");
    put(&place, "x", &unknown, OPERATOR).await.problem(404, "problem:not-found");
    let mut ill_formed = monthly();
    ill_formed["body"] = json!({ "amount": [] });
    assert!(!put(&place, "x", &ill_formed, OPERATOR).await.status.is_success());
    for name in ["%00", &"a".repeat(2_000)] {
        put(&place, name, &monthly(), OPERATOR).await.invalid();
    }
    assert_eq!(list(&place, OPERATOR).await, json!([]));
}
