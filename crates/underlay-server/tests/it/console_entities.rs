//! The console's pages of entities: what they show, and that a form never overwrites what somebody else has saved.

use serde_json::{Value, json};

use crate::browser::{Browser, between};
use crate::place::{ByHeader, Place, delete_with, get_with, post_with, put_with};

const ANN: &str = "/console/entities/contact/ids/ann";
const MANAGER: &str = "Bearer acme.manager";

fn site() -> Place {
    Place::with(|config| {
        let mut config = config.with_credentials(ByHeader);
        config.store_operators = vec!["keeper".to_owned()];
        config
    })
}

async fn browser<'a>(place: &'a Place, who: &'a str) -> Browser<'a> {
    Browser::at(place, who, "/console/entities/contact/new").await
}

const FIELDS: [(&str, &str); 6] = [
    ("id", "ann"),
    ("value.email", "ann@example.com"),
    ("value.limit", "5"),
    ("value.credit", "10.50"),
    ("value.open", "true"),
    ("value.since", "2026-01-31T12:00:00Z"),
];

fn with<'a>(changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = FIELDS.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    kept.chain(changed).copied().collect()
}

/// What is stored of ann.
async fn stored(place: &Place) -> Value {
    place.send(get_with("/v1/entities/contact/ann", &[("authorization", MANAGER)])).await.json()
}

/// The fields that change ann, of the form that was made of a version.
fn change<'a>(version: &'a str, changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = with(changed);
    fields.retain(|(name, _)| *name != "id");
    fields.push(("version", version));
    fields
}

#[tokio::test]
async fn an_entity_is_created_saved_and_removed() {
    let place = site();
    let ann = browser(&place, MANAGER).await;
    let created = ann.does("/console/entities/contact/new", &with(&[("nothing.note", "true")])).await;
    assert!(created.contains("The entity is created") && created.contains("<h1>ann</h1>"), "{created}");
    assert_eq!(
        (&stored(&place).await["credit"], &stored(&place).await["note"]),
        (&json!("10.50"), &Value::Null)
    );
    assert_eq!(between(&created, "name=\"version\" value=\"", "\""), "1");

    // A browser sends a line break as two characters; it is stored as one, and shown again as it is.
    let lines = [("value.note", "\r\n one\r\n<two>"), ("nothing.note", "true")];
    let saved = ann.does(ANN, &change("1", &lines)).await;
    assert!(
        saved.contains("The entity is saved") && saved.contains("\n\n one\n&lt;two&gt;</textarea>"),
        "{saved}"
    );
    assert_eq!(
        (&stored(&place).await["note"], &stored(&place).await["version"]),
        (&json!("\n one\n<two>"), &json!(2))
    );

    let list = ann.shown("/console/entities/contact?value.credit=10&is.credit=ge&count=true").await;
    assert!(
        list.contains("href=\"/console/entities/contact/ids/ann\"") && list.contains("1 in all."),
        "{list}"
    );
    let condition = "%7B%22column%22:%22note%22,%22is_null%22:true%7D";
    let none = ann.shown(&format!("/console/entities/contact?condition={condition}")).await;
    assert!(none.contains("There is no such entity") && none.contains("is_null&quot;:true"), "{none}");

    let asked = ann.shown("/console/entities/contact/remove/ann").await;
    assert!(asked.contains("Remove ann?") && asked.contains("at version 2"), "{asked}");
    let removed = ann.does("/console/entities/contact/remove/ann", &[("version", "2")]).await;
    assert!(removed.contains("The entity is removed"), "{removed}");
    assert_eq!(stored(&place).await["status"], 404);
}

#[tokio::test]
async fn what_somebody_else_has_saved_is_never_overwritten() {
    let place = site();
    let by = [("authorization", MANAGER)];
    let ann = browser(&place, MANAGER).await;
    ann.does("/console/entities/contact/new", &with(&[])).await;
    let mut now = stored(&place).await;
    now["limit"] = json!(7);
    let put = put_with("/v1/entities/contact/ann", &now.to_string(), &[by[0], ("if-match", "1")]);
    place.send(put).await.ok();

    let refused = ann.press(ANN, &change("1", &[("value.credit", "99")])).await;
    assert_eq!(refused.status, 412);
    let page = refused.text();
    for part in [
        "you saw version 1, and it is at version 2 now",
        "Nothing was changed",
        "<th scope=\"row\">limit</th><td>7</td><td>5</td>",
        "<th scope=\"row\">credit</th><td>10.50</td><td>99</td>",
        "Load what is stored now",
        // What was typed is still there, and so is the version it was typed over.
        "value=\"99\"",
        "name=\"version\" value=\"1\"",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    assert!(!page.contains("<th scope=\"row\">email</th>"), "only what differs is shown: {page}");
    assert_eq!(
        (&stored(&place).await["credit"], &stored(&place).await["version"]),
        (&json!("10.50"), &json!(2))
    );

    let kept = ann.press("/console/entities/contact/remove/ann", &[("version", "1")]).await;
    assert!(kept.status == 412 && kept.text().contains("at version 2 now"), "{}", kept.text());
    place.send(delete_with("/v1/entities/contact/ann", &by)).await;
    let gone = ann.press(ANN, &change("2", &[])).await;
    assert!(gone.status == 412 && gone.text().contains("has removed it since"), "{}", gone.text());
    assert_eq!(stored(&place).await["status"], 404, "it is not made again");
}

#[tokio::test]
async fn what_does_not_fit_stays_in_the_form_and_is_not_saved() {
    let place = site();
    let ann = browser(&place, MANAGER).await;
    let new = "/console/entities/contact/new";
    for (changed, status, told) in [
        (("value.limit", "many"), 400, "not an integer"),
        (("value.credit", ""), 400, "has to have a value"),
        (("value.since", "yesterday"), 400, "not a time"),
        (("value.open", ""), 400, "has to have a value"),
        (("value.credit", "-1"), 400, "less than zero"),
        (("id", ""), 400, "ROW_KEY_BYTES_MAX"),
    ] {
        let refused = ann.press(new, &with(&[changed])).await;
        assert_eq!(refused.status.as_u16(), status, "{changed:?}: {}", refused.text());
        let page = refused.text();
        assert!(page.contains(told) && page.contains("value=\"ann@example.com\""), "{changed:?}: {page}");
    }
    assert_eq!(stored(&place).await["status"], 404);
    ann.does(new, &with(&[])).await;
    let twice = ann.press(new, &with(&[])).await;
    assert!(twice.status == 409 && twice.text().contains("found version 1"), "{}", twice.text());
    let taken = ann.press(new, &with(&[("id", "bob")])).await;
    assert!(taken.status == 422 && taken.text().contains("column email"), "{}", taken.text());
    let wrong = ann.press(ANN, &change("1", &[("value.limit", "")])).await;
    assert!(wrong.status == 400 && wrong.text().contains("has to have a value"), "{}", wrong.text());
    assert_eq!(ann.press(ANN, &with(&[])).await.status, 400, "a form of no version");
    assert_eq!(ann.press(ANN, &change("1", &[("value.other", "1")])).await.status, 400);
    assert_eq!(stored(&place).await["version"], 1);
}

#[tokio::test]
async fn a_kind_is_shown_to_those_who_may_use_it() {
    let place = site();
    let plain = browser(&place, "Bearer acme").await;
    let list = plain.shown("/console/entities").await;
    assert!(list.contains(">contact</a>") && !list.contains("secret") && !list.contains("memory:"), "{list}");
    for path in ["/console/entities/secret", "/console/entities/secret/new", "/console/entities/secret/ids/1"]
    {
        assert_eq!(plain.page(path).await.status, 403, "{path}");
    }
    let fields = [("id", "1"), ("value.text", "a")];
    assert_eq!(plain.press("/console/entities/secret/new", &fields).await.status, 403);
    let keeper = browser(&place, "Bearer acme.manager.keeper").await;
    let list = keeper.shown("/console/entities").await;
    assert!(list.contains("secret") && list.contains("<code>memory:</code>"), "{list}");
    keeper.does("/console/entities/secret/new", &fields).await;

    // A long list goes on with what it was asked.
    for id in 0..60 {
        let contact = json!({
            "id": format!("c/{id:02}"), "email": format!("{id}@example.com"), "limit": id % 2, "credit": "1",
            "open": true, "since": "2026-01-31T12:00:00Z",
        });
        let created =
            post_with("/v1/entities/contact", &contact.to_string(), &[("authorization", "Bearer acme")]);
        assert_eq!(place.send(created).await.status, 201);
    }
    let first = plain.shown("/console/entities/contact?value.limit=1&is.limit=lt&limit=20&sort=-id").await;
    assert!(first.contains("/ids/c%2F58\"") && !first.contains("/ids/c%2F59\""), "{first}");
    let next = between(&first, "aria-label=\"Pages\"><a href=\"", "\"").replace("&amp;", "&");
    let last = plain.shown(&next).await;
    assert!(last.contains("/ids/c%2F00\"") && !last.contains("/ids/c%2F58\""), "{last}");
    assert!(plain.shown("/console/entities/contact/ids/c%2F00").await.contains("<h1>c/00</h1>"));
}
