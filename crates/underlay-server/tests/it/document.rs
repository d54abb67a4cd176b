//! What is said of the API, and what there is.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use underlay_server::{Route, routes};

use crate::account::registry;
use crate::place::{ByHeader, Place, get_with};

/// A path of the document as an address of the table has it: with what is declared as what varies.
fn is_at(address: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (address.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(_)) if wanted.starts_with('{') => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let all = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, told)| (method.to_uppercase(), path.clone(), told))
    });
    all.collect()
}

#[tokio::test]
async fn every_address_is_described_and_no_other() {
    let document = Place::new().get("/openapi.json").await.ok();
    let operations = operations(&document);
    for Route { method, path, .. } in routes() {
        let described = operations.iter().any(|(known, at, _)| known == method && is_at(path, at));
        assert!(described, "{method} {path} has no description: add `.says(…)` to its entry");
    }
    for (method, path, _) in &operations {
        let known = routes().iter().any(|route| route.method == method && is_at(route.path, path));
        assert!(known, "{method} {path} is described, and is no address");
    }
}

#[tokio::test]
async fn everything_that_is_declared_is_described() {
    let document = Place::new().get("/openapi.json").await.ok();
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let registry = registry();
    let mut declared = BTreeSet::new();
    for aggregate in registry.aggregates() {
        for command in aggregate.commands {
            declared.insert(format!("/v1/{}/{{id}}/{}", aggregate.category, command.name));
        }
    }
    declared.extend(registry.operations().iter().map(|of| format!("/v1/operations/{}", of.name)));
    for view in registry.views() {
        declared.insert(format!("/v1/views/{}", view.name));
        declared.insert(format!("/v1/views/{}/{{key}}", view.name));
    }
    for entity in registry.entities() {
        declared.insert(format!("/v1/entities/{}", entity.name));
        declared.insert(format!("/v1/entities/{}/{{key}}", entity.name));
    }
    assert!(!declared.is_empty());
    for path in &declared {
        assert!(paths.contains(path.as_str()), "{path} is not in {paths:?}");
    }
    let ids: Vec<String> = operations(&document)
        .iter()
        .map(|(_, _, told)| told["operationId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is there twice: {ids:?}");
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = Place::new().get("/openapi.json").await.ok();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{found:?}");
    for reference in found {
        let place = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn every_link_leads_to_an_address_that_takes_what_it_gives() {
    let document = Place::new().get("/openapi.json").await.ok();
    let operations = operations(&document);
    let mut seen = BTreeSet::new();
    for (method, path, told) in &operations {
        for response in told["responses"].as_object().unwrap().values() {
            for link in response["links"].as_object().into_iter().flat_map(|links| links.values()) {
                let found = operations.iter().find(|(.., other)| other["operationId"] == link["operationId"]);
                let (.., other) = found.unwrap_or_else(|| panic!("{method} {path}: {link}"));
                for name in link["parameters"].as_object().unwrap().keys() {
                    let takes = |parameter: &Value| {
                        let [place, own] = ["in", "name"].map(|part| parameter[part].as_str().unwrap());
                        *name == format!("{place}.{own}")
                    };
                    assert!(
                        other["parameters"].as_array().unwrap().iter().any(takes),
                        "{method} {path}: {link}"
                    );
                }
                seen.insert(link["operationId"].as_str().unwrap());
            }
        }
    }
    for to in ["findCommand", "cancelCommand", "readStream", "readState", "removeSchedule"] {
        assert!(seen.contains(to), "{to}: {seen:?}");
    }
}

#[tokio::test]
async fn what_is_declared_is_described_by_its_schemas() {
    let document = Place::new().get("/openapi.json").await.ok();
    let schemas = &document["components"]["schemas"];
    let deposit = &schemas["body.account.deposit"];
    assert_eq!(deposit["required"], serde_json::json!(["amount"]), "{deposit}");
    assert_eq!(deposit["additionalProperties"], false, "{deposit}");
    let refusal = &schemas["refusal.account"];
    // A member of a problem keeps its place, also in what is said of a refusal.
    let overdrawn = &refusal["allOf"][0]["then"]["properties"];
    assert!(overdrawn["available"].is_object() && overdrawn["status_"].is_object(), "{refusal}");
    assert!(schemas["event.deposited"]["properties"]["amount"].is_object(), "{schemas}");
    let closing = &document["paths"]["/v1/account/{id}/close"]["post"];
    assert_eq!(closing["requestBody"]["required"], false, "{closing}");
    let sorts = document.pointer("/paths/~1v1~1views~1balances/get/parameters").unwrap();
    let named = |name: &str| sorts.as_array().unwrap().iter().any(|of| of["name"] == name);
    // A column of a parameter's name is reached by a comparison alone.
    assert!(
        named("balance") && named("balance[ge]") && named("count[eq]") && named("account[prefix]"),
        "{sorts}"
    );
    assert!(!named("note") && !named("balance[prefix]"), "{sorts}");
    let contacts = document.pointer("/paths/~1v1~1entities~1contact/get/parameters").unwrap().to_string();
    assert!(contacts.contains("\"limit[ge]\"") && contacts.contains("\"condition\""), "{contacts}");
    let required = |schema: &str| schemas[schema]["required"].clone();
    let values = ["email", "limit", "credit", "open", "since"];
    assert_eq!(required("values.contact"), serde_json::json!(values));
    assert_eq!(required("new.contact"), serde_json::json!([&["id"][..], &values].concat()));
    let secret = &document["paths"]["/v1/entities/secret/{key}"]["put"]["responses"];
    assert!(
        secret["412"].is_object()
            && secret["428"].is_object()
            && secret["201"]["headers"]["Location"].is_object()
    );
}

#[tokio::test]
async fn the_description_is_for_whoever_is_let_in() {
    let place = Place::with(|config| config.with_credentials(ByHeader));
    for path in ["/openapi.json"] {
        place.get(path).await.problem(401, "problem:unidentified");
    }
    let document = place.send(get_with("/openapi.json", &[("authorization", "Bearer acme")])).await.ok();
    let close = &document["paths"]["/v1/account/{id}/close"]["post"];
    assert_eq!(close["security"], serde_json::json!([{ "bearer": ["teller"] }, { "bearer": ["manager"] }]));
    assert!(close["responses"]["401"].is_object());
    // The page tells nothing to others, and loads without credentials what it is made of.
    let page = place.get("/docs").await;
    assert!(page.status.is_success() && !page.text().contains("deposit"), "{}", page.text());
    for (path, media_type) in [("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")] {
        let file = place.get(path).await;
        assert!(file.header("content-type").unwrap().starts_with(media_type), "{path}");
    }
    let page = place.send(get_with("/docs", &[("authorization", "Bearer acme")])).await;
    assert!(page.text().contains("/account/"), "{}", page.text());
    place.send(get_with("/docs", &[("authorization", "Bearer guest")])).await.problem(403, "problem:denied");
}

#[tokio::test]
async fn the_page_shows_every_operation() {
    let place = Place::with(|mut config| {
        config.service = "<b>Bank".to_owned();
        config
    });
    let page = place.get("/docs").await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    assert!(text.contains("&lt;b&gt;Bank") && !text.contains("<b>Bank"), "{text}");
    for (_, _, told) in operations(&place.get("/openapi.json").await.ok()) {
        let id = told["operationId"].as_str().unwrap();
        assert!(text.contains(&format!("id=\"{id}\"")), "{id} is not on the page");
    }
    // Whatever stands on the page is there without the script, and every field has a name for those who hear it.
    assert_eq!(
        text.matches("<label").count(),
        text.matches("<input").count() + text.matches("<select").count() + text.matches("<textarea").count()
    );
}

#[tokio::test]
async fn a_described_address_is_an_address() {
    let place = Place::new();
    let document = place.get("/openapi.json").await.ok();
    for (method, path, _) in operations(&document) {
        let path = path.replace("{stream}", "account-1").replace(['{', '}'], "");
        let request = Request::builder().method(method.as_str()).uri(&path).body(Body::empty()).unwrap();
        let answer = place.send(request).await;
        assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
        if answer.status.as_u16() == 404 {
            assert!(!answer.text().contains("there is nothing at"), "{method} {path}: {}", answer.text());
        }
    }
}
