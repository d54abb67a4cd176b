use underlay_core::{Comparison, Condition, Cursor, Direction, Query};

use super::Subject;
use super::subject::{conflict_of, member, stored, text};
use crate::EntitiesFixture;

/// Sentence 13: a tenant sees and changes its own entities alone; one id and one unique value in two tenants are two
/// entities.
pub async fn entities_belong_to_their_tenant<F: EntitiesFixture>(fixture: F) {
    let acme = Subject::of(&fixture).await;
    let globex = acme.seen_by("globex");
    // Names that begin with one another, and look like parts of keys.
    let others = ["acm", "acme2", "acme.member", "acme-e-member"].map(|tenant| acme.seen_by(tenant));
    acme.apply(acme.create("ada", member("ada", "of acme", 1))).await;
    globex.apply(globex.create("ada", member("ada", "of globex", 2))).await;
    globex.apply(globex.create("bob", member("bob", "of globex", 3))).await;
    let of_acme = stored("ada", 1, member("ada", "of acme", 1));
    assert_eq!(acme.load(&["ada", "bob"]).await, [Some(of_acme.clone()), None]);
    for other in &others {
        assert_eq!(other.load(&["ada", "bob"]).await, [None, None]);
        assert_eq!(other.all().await, []);
        assert_eq!(other.count(&Query::default()).await, 0);
    }
    assert_eq!(acme.all().await, std::slice::from_ref(&of_acme));

    // Whatever a query asks, and wherever its cursor is.
    let everything = [
        Query::default(),
        Query::default().sort("owner", Direction::Descending),
        Query::default().filter("entries", Comparison::Ge, underlay_core::Value::Integer(0)),
        Query {
            condition: Condition::Any(vec![Condition::default(), Condition::default()]),
            ..Query::default()
        },
        Query::of(Condition::IsNull { column: "note".to_owned() }, &acme.schema),
        Query::of(Condition::compare("owner", Comparison::Eq, text("of globex")).negated(), &acme.schema),
    ];
    for query in &everything {
        assert_eq!(acme.query(query).await.entities, std::slice::from_ref(&of_acme), "{query:?}");
        assert_eq!(acme.count(query).await, 1, "{query:?}");
    }
    let foreign = Query::of(Condition::compare("owner", Comparison::Eq, text("of globex")), &acme.schema);
    assert_eq!((acme.query(&foreign).await.entities, acme.count(&foreign).await), (Vec::new(), 0));
    for key in ["", "a", "ada"] {
        let after = Some(Cursor { value: None, key: key.to_owned() });
        for entity in acme.query(&Query { after, ..Query::default() }).await.entities {
            assert_eq!(entity, of_acme);
        }
    }

    // Whoever writes changes their own alone.
    acme.apply(acme.update("ada", 1, member("ada", "of acme", 9))).await;
    let conflict = acme.conflict(vec![acme.update("bob", 1, member("bob", "of acme", 9))]).await;
    assert_eq!(conflict, conflict_of("bob", Some(1), None), "what is another's is not there");
    assert!(acme.try_apply(vec![acme.delete("bob", None)]).await.is_err());
    acme.apply(acme.delete("ada", Some(2))).await;
    let of_globex =
        [stored("ada", 1, member("ada", "of globex", 2)), stored("bob", 1, member("bob", "of globex", 3))];
    assert_eq!(globex.all().await, of_globex, "nothing of another tenant has changed");
    acme.apply(acme.create("bob", member("bob", "of acme", 1))).await;
    assert_eq!(globex.all().await, of_globex);
}
