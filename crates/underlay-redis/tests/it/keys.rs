//! All keys of a tenant are in one slot, and whatever is removed leaves nothing behind.

use redis::cmd;
use std::sync::Arc;
use underlay_core::{Entities, EntityChange, TenantId};

use crate::place::{Place, create, place_or_skip, prepared, rates, tenant, update};

async fn keys(place: &Place, of: &TenantId) -> Vec<String> {
    let mut keys: Vec<String> = place.ask(cmd("KEYS").arg(place.key(of, "*"))).await;
    keys.sort();
    keys
}

#[tokio::test]
async fn what_is_removed_leaves_nothing_but_the_definition() {
    let place = place_or_skip!(Place::find());
    let store = prepared(&place).await;
    store.apply(&tenant(), vec![create("a", "EUR"), create("b", "USD")]).await.unwrap();
    store.apply(&tenant(), vec![update("a", 1, "GBP"), update("b", 1, "EUR")]).await.unwrap();
    let meant = ["d:rate", "e:rate:a", "e:rate:b", "i:rate:base", "k:rate", "u:rate:base"];
    assert_eq!(keys(&place, &tenant()).await, meant.map(|rest| place.key(&tenant(), rest)));
    let members: Vec<String> =
        place.ask(cmd("ZRANGE").arg(place.key(&tenant(), "i:rate:base")).arg(0).arg(-1)).await;
    assert_eq!(members, ["tEUR\0b", "tGBP\0a"], "the index has what is stored and nothing of before");

    let delete = |id: &str| EntityChange::delete(Arc::new(rates()), id, None);
    store.apply(&tenant(), vec![delete("a"), delete("b")]).await.unwrap();
    assert_eq!(keys(&place, &tenant()).await, [place.key(&tenant(), "d:rate")]);
}

#[tokio::test]
async fn the_keys_of_a_tenant_are_in_one_slot() {
    let place = place_or_skip!(Place::start(&["--cluster-enabled", "yes"]));
    for tenant in ["acme", "a", "A.b_c-d"].map(|name| TenantId::new(name).unwrap()) {
        let mut slots = Vec::new();
        for rest in [
            "d:rate",
            "k:rate",
            "i:rate:base",
            "u:rate:base",
            "e:rate:{x}",
            "e:rate:}",
            "c:v:{",
            "c:t:x",
            "c:a",
        ] {
            slots.push(place.tell(&["cluster", "keyslot", &place.key(&tenant, rest)]));
        }
        slots.dedup();
        assert_eq!(slots.len(), 1, "{tenant}");
    }
}

#[tokio::test]
async fn values_change_places_within_a_unit() {
    let place = place_or_skip!(Place::find());
    let store = prepared(&place).await;
    store.apply(&tenant(), vec![create("a", "EUR"), create("b", "USD")]).await.unwrap();
    store.apply(&tenant(), vec![update("a", 1, "USD"), update("b", 1, "EUR")]).await.unwrap();
    let taken = store.apply(&tenant(), vec![create("c", "EUR")]).await.unwrap_err().to_string();
    assert!(taken.contains("base"), "{taken}");
    let loaded = store.load(&rates(), &tenant(), &["a".to_owned(), "b".to_owned()]).await.unwrap();
    let bases: Vec<_> = loaded.into_iter().flatten().map(|entity| entity.values[0].clone()).collect();
    assert_eq!(bases, [crate::place::text("USD"), crate::place::text("EUR")]);
}
