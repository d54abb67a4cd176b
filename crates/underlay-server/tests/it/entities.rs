//! Entities over HTTP. Every answer is held against what is said of it; see [`contract`](crate::contract).

use serde_json::{Value, json};
use underlay_core::limits::{CONDITION_DEPTH_MAX, PAGE_ROWS_MAX};

use crate::place::{Answer, ByHeader, Place, delete_with, get_with, post_with, put_with};

const CONTACTS: &str = "/v1/entities/contact";
const ANN: &str = "/v1/entities/contact/ann";

fn contact(email: &str, credit: &str) -> Value {
    json!({
        "email": email, "limit": 5, "credit": credit, "open": true, "since": "2026-01-31T12:00:00Z",
    })
}

fn with_id(id: &str, mut contact: Value) -> Value {
    contact["id"] = json!(id);
    contact
}

impl Place {
    async fn create(&self, id: &str, email: &str, credit: &str) -> Answer {
        self.post(CONTACTS, &with_id(id, contact(email, credit)).to_string()).await
    }

    async fn put(&self, path: &str, contact: &Value, headers: &[(&str, &str)]) -> Answer {
        self.send(put_with(path, &contact.to_string(), headers)).await
    }

    /// The ids of a page.
    async fn ids(&self, query: &str) -> Vec<String> {
        let page = self.get(&format!("{CONTACTS}?{query}")).await.ok();
        let ids = page["entities"].as_array().unwrap().iter().map(|of| of["id"].as_str().unwrap().to_owned());
        ids.collect()
    }
}

#[tokio::test]
async fn an_entity_is_created_read_changed_and_removed() {
    let place = Place::new();
    let created = place.create("ann", "ann@example.com", "10.50").await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!((created.header("etag"), created.header("location")), (Some("\"1\""), Some(ANN)));
    let mut expected = with_id("ann", contact("ann@example.com", "10.50"));
    (expected["version"], expected["note"]) = (json!(1), Value::Null);
    assert_eq!(created.json(), expected);
    let read = place.get(ANN).await;
    assert_eq!((read.header("etag"), read.ok()), (Some("\"1\""), expected.clone()));

    // What was read can be sent back.
    expected["note"] = json!("late");
    let updated = place.put(ANN, &expected, &[("if-match", "\"1\"")]).await;
    assert_eq!(updated.header("etag"), Some("\"2\""));
    expected["version"] = json!(2);
    assert_eq!(updated.ok(), expected);
    // What is left out and can be empty is emptied: all values are replaced.
    let emptied = place.put(ANN, &contact("ann@example.com", "10.50"), &[("if-match", "2")]).await.ok();
    assert_eq!((&emptied["version"], &emptied["note"]), (&json!(3), &Value::Null));

    let same = place.send(get_with(ANN, &[("if-none-match", "\"3\"")])).await;
    assert_eq!((same.status.as_u16(), same.body.len(), same.header("etag")), (304, 0, Some("\"3\"")));
    // A proxy that packs an answer weakens its tag, and a cache asks by all that it has.
    for known in ["W/\"3\"", "\"1\", \"3\"", "W/\"2\",W/\"3\"", "*"] {
        let same = place.send(get_with(ANN, &[("if-none-match", known)])).await;
        assert_eq!(same.status.as_u16(), 304, "{known}");
    }
    for known in ["\"2\"", "W/\"2\", \"33\"", "\"\"", "\"*\""] {
        place.send(get_with(ANN, &[("if-none-match", known)])).await.ok();
    }

    let removed = place.send(delete_with(ANN, &[("if-match", "\"3\"")])).await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    place.get(ANN).await.problem(404, "problem:not-found");
    place.send(delete_with(ANN, &[])).await.problem(404, "problem:not-found");
    place.create("ann", "ann@example.com", "1").await;
    assert_eq!(place.send(delete_with(ANN, &[])).await.status, 204);
}

#[tokio::test]
async fn a_change_names_the_version_that_was_seen() {
    let place = Place::new();
    let body = contact("ann@example.com", "1");
    let new = [("if-none-match", "*")];
    let needed = place.put(ANN, &body, &[]).await.problem(428, "problem:precondition-required");
    assert!(needed["detail"].as_str().unwrap().contains("If-Match"), "{needed}");
    let missing =
        place.put(ANN, &body, &[("if-match", "\"1\"")]).await.problem(412, "problem:precondition-failed");
    assert_eq!((&missing["expected"], &missing["actual"]), (&json!(1), &Value::Null));
    let created = place.put(ANN, &body, &new).await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, Some(ANN)));
    let there = place.put(ANN, &body, &new).await.problem(412, "problem:precondition-failed");
    assert_eq!(
        (&there["entity"], &there["id"], &there["actual"]),
        (&json!("contact"), &json!("ann"), &json!(1))
    );
    place.put(ANN, &body, &[("if-match", "\"1\"")]).await.ok();
    for path in [
        put_with(ANN, &body.to_string(), &[("if-match", "\"1\"")]),
        delete_with(ANN, &[("if-match", "\"1\"")]),
    ] {
        let stale = place.send(path).await.problem(412, "problem:precondition-failed");
        assert_eq!(stale["detail"], "conflict on contact ann: expected version 1, found 2");
    }
    let twice = place.create("ann", "other@example.com", "1").await.problem(409, "problem:entity-conflict");
    assert_eq!((&twice["expected"], &twice["actual"]), (&Value::Null, &json!(2)));
    let taken = place.create("bob", "ann@example.com", "1").await.problem(422, "problem:rule-violation");
    let told = taken["detail"].as_str().unwrap();
    assert!(told.contains("email") && !told.contains("ann"), "{told}");
    for headers in [
        &[("if-match", "*")][..],
        &[("if-match", "\"0\"")],
        &[("if-match", "\"+1\"")],
        &[("if-none-match", "\"1\"")],
        &[("if-match", "\"2\""), ("if-none-match", "*")],
    ] {
        place.put(ANN, &body, headers).await.invalid();
    }
    place.send(delete_with(ANN, &new)).await.invalid();
    assert_eq!(place.get(ANN).await.header("etag"), Some("\"2\""));
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_what_would() {
    let place = Place::new();
    let good = || with_id("ann", contact("ann@example.com", "1"));
    let changed = |change: fn(&mut Value)| {
        let mut body = good();
        change(&mut body);
        body.to_string()
    };
    for (body, told) in [
        (changed(|body| drop(body.as_object_mut().unwrap().remove("id"))), "member id is missing"),
        (changed(|body| drop(body.as_object_mut().unwrap().remove("email"))), "member email is missing"),
        (changed(|body| body["email"] = Value::Null), "email is null"),
        (changed(|body| body["emial"] = json!("a")), "no column \"emial\"; there are: email, limit"),
        (changed(|body| body["credit"] = json!(1.5)), "member credit: \"1.5\" is not a decimal"),
        // It would be rounded to nothing.
        (changed(|body| body["credit"] = json!("0.00000000000000000000000000001")), "at most 28 digits"),
        (changed(|body| body["limit"] = json!("5")), "not an integer"),
        (changed(|body| body["open"] = json!("true")), "not true or false"),
        (changed(|body| body["since"] = json!("yesterday")), "not a time"),
        (changed(|body| body["version"] = json!(1)), "version is for an entity that is there"),
        (changed(|body| body["version"] = json!("1")), "a whole number"),
        (changed(|body| body["id"] = json!(7)), "id is a string"),
        ("[]".to_owned(), "no JSON object"),
        ("{".to_owned(), "no JSON object"),
        (String::new(), "no JSON object"),
    ] {
        let problem = place.post(CONTACTS, &body).await.problem(400, "problem:invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{body}: {problem}");
    }
    // What its columns would take and the domain does not.
    for (body, told) in [
        (changed(|body| body["credit"] = json!("-1")), "less than zero"),
        (changed(|body| body["id"] = json!("")), "ROW_KEY_BYTES_MAX"),
        (changed(|body| body["email"] = json!("a\0b")), "email"),
        (changed(|body| body["since"] = json!("2026-01-31T12:00:00.0000001Z")), "microsecond"),
        (changed(|body| body["email"] = json!("x".repeat(100_000))), "INDEXED_TEXT_BYTES_MAX"),
    ] {
        let told_wrong = place.post(CONTACTS, &body).await.invalid();
        assert!(told_wrong.contains(told), "{told_wrong}");
    }
    let other = place.put("/v1/entities/contact/bob", &good(), &[("if-none-match", "*")]).await;
    let told = other.problem(400, "problem:invalid-body")["detail"].to_string();
    assert!(told.contains("member id"), "{told}");
    place
        .put("/v1/entities/secret/seven", &json!({ "text": "a" }), &[("if-none-match", "*")])
        .await
        .invalid();
    place.get("/v1/entities/secret/seven").await.problem(404, "problem:not-found");
    let unknown = place.get("/v1/entities/contacts").await.problem(404, "problem:not-found");
    assert!(unknown["detail"].as_str().unwrap().contains("contact, secret"), "{unknown}");
    assert_eq!(place.ids("").await, [""; 0]);
}

#[tokio::test]
async fn entities_are_filtered_sorted_counted_and_paged() {
    let place = Place::new();
    for (id, credit) in [("a", "3"), ("b", "1"), ("c/d e", "2"), ("d%", "2")] {
        assert_eq!(place.create(id, &format!("{credit}-{}@example.com", id.len()), credit).await.status, 201);
    }
    assert_eq!(place.ids("").await, ["a", "b", "c/d e", "d%"]);
    assert_eq!(place.ids("sort=-id").await, ["d%", "c/d e", "b", "a"]);
    assert_eq!(place.ids("credit[ge]=2&sort=-credit").await, ["a", "d%", "c/d e"]);
    assert_eq!(place.ids("email[prefix]=1&limit[eq]=5").await, ["b"]);
    let page = place.get(&format!("{CONTACTS}?count=true&limit=3&sort=credit")).await.ok();
    assert_eq!((&page["count"], page["entities"].as_array().unwrap().len()), (&json!(4), 3));
    let next = page["next"].as_str().unwrap();
    assert_eq!(place.ids(&format!("limit=3&sort=credit&cursor={next}")).await, ["a"]);
    place.get(&format!("{CONTACTS}?cursor={next}")).await.invalid();
    for (path, id) in [("c%2Fd%20e", "c/d e"), ("c/d%20e", "c/d e"), ("d%25", "d%")] {
        let found = place.get(&format!("{CONTACTS}/{path}")).await;
        assert_eq!(found.ok()["id"], id);
    }
    // Where it is said that one is, it is.
    let created = place.create("ä/&?#", "e@example.com", "1").await;
    let location = created.header("location").unwrap().to_owned();
    assert_eq!(place.get(&location).await.ok()["id"], "ä/&?#");
    for (query, told) in [
        ("note=a", "there is no parameter \"note\""),
        ("wait=1", "there is no parameter"),
        ("credit[like]=1", "no comparison"),
        ("credit=a", "decimal"),
        ("sort=note", "email, limit, credit, since"),
        (&format!("limit={}", PAGE_ROWS_MAX + 1), "limit is 1 to"),
    ] {
        let problem = place.get(&format!("{CONTACTS}?{query}")).await;
        let detail = problem.invalid();
        assert!(detail.contains(told), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_condition_names_any_column_and_has_its_limits() {
    let place = Place::new();
    for (id, credit) in [("a", "1"), ("b", "2"), ("c", "3")] {
        place.create(id, &format!("{id}@example.com"), credit).await;
    }
    let noted = json!({
        "email": "a@example.com", "limit": 5, "credit": "1", "open": false, "since": "2026-01-31T12:00:00Z", "note": "x",
    });
    place.put(&format!("{CONTACTS}/a"), &noted, &[("if-match", "1")]).await.ok();
    let encoded = |condition: &Value| {
        condition.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()
    };
    for (condition, ids) in [
        (json!({"column": "note", "is_null": false}), vec!["a"]),
        (json!({"not": {"column": "note", "eq": "x"}}), vec!["b", "c"]),
        (json!({"any": [{"column": "open", "eq": false}, {"column": "credit", "gt": "2"}]}), vec!["a", "c"]),
        (
            json!({"all": [{"column": "credit", "ge": "2"}, {"column": "email", "in": ["b@example.com"]}]}),
            vec!["b"],
        ),
        (json!({"all": []}), vec!["a", "b", "c"]),
        (json!({"any": []}), vec![]),
    ] {
        assert_eq!(place.ids(&format!("condition={}", encoded(&condition))).await, ids, "{condition}");
    }
    let open = encoded(&json!({"column": "open", "eq": true}));
    assert_eq!(place.ids(&format!("credit[le]=2&condition={open}&count=true")).await, ["b"]);
    let deep = (0..=CONDITION_DEPTH_MAX).fold(json!({"all": []}), |inner, _| json!({ "not": inner }));
    for (condition, told) in [
        ("1".to_owned(), "a condition is"),
        ("{".to_owned(), "not JSON"),
        (json!({"column": "none", "eq": 1}).to_string(), "no column"),
        (deep.to_string(), "CONDITION_DEPTH_MAX"),
    ] {
        let query: String = condition.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let detail = place.get(&format!("{CONTACTS}?condition={query}")).await.invalid();
        assert!(detail.contains(told), "{detail}");
    }
}

#[tokio::test]
async fn the_kinds_are_told_to_those_who_may_use_them() {
    let place = Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config
    });
    place.get("/v1/entities").await.problem(401, "problem:unidentified");
    let kinds = async |who: &str| {
        place.send(get_with("/v1/entities", &[("authorization", who)])).await.ok()["entities"].clone()
    };
    let column = |name: &str, of: &str, [nullable, indexed, unique]: [bool; 3]| json!({ "name": name, "type": of, "nullable": nullable, "indexed": indexed, "unique": unique });
    let contact = json!({
        "name": "contact",
        "version": 1,
        "columns": [
            column("email", "text", [false, true, true]),
            column("limit", "integer", [false, true, false]),
            column("credit", "decimal", [false, true, false]),
            column("open", "boolean", [false, false, false]),
            column("since", "timestamp", [false, true, false]),
            column("note", "text", [true, false, false]),
        ],
        "roles": [],
    });
    assert_eq!(kinds("Bearer acme").await, json!([contact]));
    // An operator of a tenant is told nothing of the installation.
    let both = kinds("Bearer acme.manager.operator").await;
    assert_eq!(
        (&both[0], &both[1]["name"], &both[1]["roles"]),
        (&contact, &json!("secret"), &json!(["manager"]))
    );
    assert_eq!(both[1]["store"], Value::Null);
    assert_eq!(kinds("Bearer acme.keeper").await[0]["store"], "memory:");
    let open = Place::new();
    assert_eq!(open.get("/v1/entities").await.ok()["entities"][1]["store"], "memory:");
    open.get("/v1/entities?store=x").await.invalid();
}

#[tokio::test]
async fn entities_belong_to_the_tenant_of_the_credentials_and_their_roles() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    let (acme, zeta) = (("authorization", "Bearer acme"), ("authorization", "Bearer zeta"));
    let body = with_id("ann", contact("ann@example.com", "1")).to_string();
    place.get(CONTACTS).await.problem(401, "problem:unidentified");
    for by in [acme, zeta] {
        assert_eq!(place.send(post_with(CONTACTS, &body, &[by])).await.status, 201);
    }
    let put = put_with(ANN, &contact("other@example.com", "1").to_string(), &[acme, ("if-match", "1")]);
    place.send(put).await.ok();
    assert_eq!(place.send(get_with(ANN, &[zeta])).await.ok()["email"], "ann@example.com");
    assert_eq!(place.send(delete_with(ANN, &[zeta])).await.status, 204);
    assert_eq!(place.send(get_with(ANN, &[acme])).await.ok()["version"], 2);

    let (secrets, one) = ("/v1/entities/secret", "/v1/entities/%73ecret/7");
    let text = json!({ "id": "7", "text": "a" }).to_string();
    let manager = ("authorization", "Bearer acme.manager");
    for request in [
        get_with(secrets, &[acme]),
        get_with(one, &[acme]),
        post_with(secrets, &text, &[acme]),
        put_with(one, &text, &[acme, ("if-none-match", "*")]),
        delete_with(one, &[acme]),
    ] {
        let problem = place.send(request).await.problem(403, "problem:role-required");
        assert_eq!(problem["roles"], json!(["manager"]));
    }
    assert_eq!(place.send(post_with(secrets, &text, &[manager])).await.status, 201);
    assert_eq!(place.send(get_with(secrets, &[manager])).await.ok()["entities"][0]["text"], "a");
}

#[tokio::test]
async fn a_page_ends_where_its_bytes_are_reached() {
    let place = Place::with(|mut config| {
        config.page_bytes_max = 2_000;
        config
    });
    for at in 0..5 {
        let mut body = with_id(&format!("c{at}"), contact(&format!("{at}@example.com"), "1"));
        body["note"] = json!("x".repeat(900));
        assert_eq!(place.post(CONTACTS, &body.to_string()).await.status, 201);
    }
    let (mut seen, mut query) = (Vec::new(), String::new());
    for _ in 0..5 {
        let page = place.get(&format!("{CONTACTS}?{query}")).await.ok();
        let found = page["entities"].as_array().unwrap();
        assert!(found.len() <= 2, "{page}");
        seen.extend(found.iter().map(|of| of["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("cursor={next}");
    }
    assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"]);
}
