//! Entities over HTTP, asked for and changed with the ids, the values and the versions of another tenant.

use serde_json::json;

use super::door::{Asked, Door};
use super::site::Known;
use super::tries::{Try, Wanted, escaped, of};
use crate::Result;

const ALL: &str = "/v1/entities/{entity}";
const ONE: &str = "/v1/entities/{entity}/{*key}";
/// Where the keepsakes are.
pub(super) const KEEPSAKES: &str = "/v1/entities/keepsake";

/// A keepsake of a tenant, with its mark.
pub(super) async fn fill(door: &Door, token: &str, mark: &str) -> Result<()> {
    let body = json!({ "id": format!("own-{mark}"), "secret": format!("secret-{mark}") }).to_string();
    let told = door.ask_well(&Asked::post(KEEPSAKES, body).by(token)).await?;
    if told.status == 201 { Ok(()) } else { Err(format!("{}: {}", told.status, told.body).into()) }
}

pub(super) fn reads(known: &Known) -> Vec<Try> {
    use Wanted::{Same, SameAndTheirs};
    let Known { token, vault, secret, .. } = known;
    let get = |target: String| Asked::get(target).by(token);
    let one_of = |secret: &str| json!({ "column": "secret", "in": [secret] }).to_string();
    let not = |secret: &str| {
        json!({ "all": [{ "column": "secret", "prefix": secret }, { "not": { "column": "secret", "in": ["x"] } }] })
            .to_string()
    };
    vec![
        of(ONE, vault, SameAndTheirs, |id| get(format!("{KEEPSAKES}/{id}"))),
        of(ONE, vault, Same, |id| get(format!("{KEEPSAKES}/{id}")).with("if-none-match", "\"1\"")),
        of(ONE, vault, Same, |id| get(format!("{KEEPSAKES}/{}", escaped(id)))),
        of(ONE, vault, Same, |id| get(format!("/v1/entities/{id}/{id}"))),
        of(ALL, secret, SameAndTheirs, |secret| get(format!("{KEEPSAKES}?secret={secret}"))),
        of(ALL, secret, Same, |secret| get(format!("{KEEPSAKES}?secret[prefix]={secret}&sort=-secret"))),
        of(ALL, secret, Same, |secret| get(format!("{KEEPSAKES}?count=true&secret={secret}"))),
        of(ALL, secret, SameAndTheirs, |secret| {
            get(format!("{KEEPSAKES}?condition={}", escaped(&one_of(secret))))
        }),
        of(ALL, secret, Same, |secret| get(format!("{KEEPSAKES}?condition={}", escaped(&not(secret))))),
        of(ALL, vault, Same, |id| get(format!("/v1/entities/{id}"))),
    ]
}

pub(super) fn writes(known: &Known) -> Vec<Try> {
    use Wanted::Same;
    let Known { token, vault, secret, .. } = known;
    let put = |id: &str| {
        let body = json!({ "secret": format!("{id}-changed") }).to_string();
        Asked::put(format!("{KEEPSAKES}/{id}"), body).by(token)
    };
    let remove = |id: &str| Asked::delete(format!("{KEEPSAKES}/{id}")).by(token);
    let create = |id: &str| {
        let body = json!({ "id": id, "secret": format!("{id}-kept") }).to_string();
        Asked::post(KEEPSAKES, body).by(token)
    };
    let if_first = |asked: Asked| asked.with("if-match", "\"1\"");
    vec![
        of(ONE, vault, Same, |id| if_first(put(id))),
        of(ONE, vault, Same, |id| if_first(remove(id))),
        of(ONE, vault, Same, remove),
        of(ONE, vault, Same, put),
        // From here on each has its own.
        of(ALL, vault, Same, create),
        of(ALL, vault, Same, create),
        of(ONE, vault, Same, |id| put(id).with("if-none-match", "*")),
        of(ONE, vault, Same, |id| if_first(put(id))),
        of(ONE, vault, Same, |id| if_first(remove(id))),
        of(ONE, vault, Same, remove),
        // A unique value of the other.
        of(ALL, secret, Same, |secret| {
            Asked::post(KEEPSAKES, json!({ "id": secret, "secret": secret }).to_string()).by(token)
        }),
        of(ONE, vault, Same, |id| put(id).with("if-none-match", "*")),
    ]
}
