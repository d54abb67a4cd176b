use underlay_core::{Comparison, Cursor, Query, RowAddress, Value};

use super::Subject;
use super::subject::{row, text};
use crate::ReadModelsFixture;

/// Names that a careless key would take for one another.
const TENANTS: [&str; 6] = ["acme", "Acme", "acme-1", "acme.1", "acme_1", "a"];

/// Sentence 8: a tenant sees its own rows alone; one key in two tenants is two rows.
pub async fn rows_belong_to_their_tenant<F: ReadModelsFixture>(fixture: F) {
    let subject = Subject::of(&fixture).await;
    let tenants: Vec<Subject> = TENANTS.iter().map(|tenant| subject.seen_by(tenant)).collect();
    let keys = ["one", "two", "three"];
    // One batch holds rows of every tenant, as the engine writes them.
    let mut changes = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        changes.extend(keys.map(|key| tenant.upsert(key, row(TENANTS[number], number as i64))));
        changes.push(tenant.upsert(&format!("of {number}"), row(TENANTS[number], number as i64)));
    }
    subject.apply(changes).await;

    for (number, tenant) in tenants.iter().enumerate() {
        assert_sees_own_rows(tenant, &tenants, number).await;
    }

    // A change of one tenant's row leaves the same key of the others alone.
    subject
        .apply(vec![
            tenants[0].delete("one"),
            tenants[1].patch("one", "owner", text("patched")),
            tenants[2].upsert("one", row("replaced", 99)),
        ])
        .await;
    assert_eq!(tenants[0].get("one").await, None, "a tenant's row is gone");
    let mut patched = row(TENANTS[1], 1);
    patched[0] = text("patched");
    assert_eq!(tenants[1].get("one").await, Some(patched), "another's is patched");
    assert_eq!(tenants[2].get("one").await, Some(row("replaced", 99)), "another's is replaced");
    for number in 3..TENANTS.len() {
        let expected = row(TENANTS[number], number as i64);
        assert_eq!(tenants[number].get("one").await, Some(expected), "the others' are as they were");
    }
    let nobody = subject.seen_by("nobody");
    assert_eq!(nobody.rows().await, [], "a tenant without rows sees none");
    assert_eq!(nobody.count(&Query::default()).await, 0, "and counts none");
}

async fn assert_sees_own_rows(tenant: &Subject, all: &[Subject], number: usize) {
    let owner = row(TENANTS[number], number as i64);
    let own = format!("of {number}");
    let rows = tenant.rows().await;
    assert_eq!(rows.len(), 4, "{}: its own rows and no others", tenant.tenant);
    assert!(rows.iter().all(|(_, row)| *row == owner), "{}: its own rows alone: {rows:?}", tenant.tenant);
    assert_eq!(tenant.count(&Query::default()).await, 4, "{}: its own rows are counted", tenant.tenant);
    let foreign = format!("of {}", (number + 1) % TENANTS.len());
    assert_eq!(tenant.get(&own).await, Some(owner), "{}: its own row", tenant.tenant);
    assert_eq!(tenant.get(&foreign).await, None, "{}: not another's row", tenant.tenant);
    for other in 0..TENANTS.len() {
        let query = Query::default().filter("entries", Comparison::Eq, Value::Integer(other as i64));
        let expected = if other == number { 4 } else { 0 };
        assert_eq!(
            tenant.query(&query).await.rows.len(),
            expected,
            "{}: a filter finds its own rows",
            tenant.tenant
        );
        assert_eq!(tenant.count(&query).await, expected as u64, "{}: a count too", tenant.tenant);
        // A cursor another tenant was given leads to no row of that tenant.
        let after = Some(Cursor { value: Some(Value::Integer(other as i64 - 1)), key: "zzz".to_owned() });
        let sorted = Query { after, ..Query::default().sort("entries", underlay_core::Direction::Ascending) };
        let page = tenant.query(&sorted).await;
        assert!(
            page.rows.iter().all(|(_, row)| row[1] == Value::Integer(number as i64)),
            "{}: a cursor of another",
            tenant.tenant
        );
    }
    // The engine loads rows of any tenants; each address is one tenant's.
    let addresses: Vec<RowAddress> = all.iter().map(|other| other.address(&own)).collect();
    let loaded = tenant.load(&addresses).await;
    let there: Vec<bool> = loaded.iter().map(Option::is_some).collect();
    let expected: Vec<bool> = (0..all.len()).map(|other| other == number).collect();
    assert_eq!(there, expected, "{}: the key is there for its own tenant alone", tenant.tenant);
}
