//! Changes of entities that are stored together: what every adapter checks of them, and their order.

use crate::ports::Atomicity;
use crate::words::{Change, EntityChange, Error};

/// Checks changes before anything is written. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] as [`EntityChange::check_all`] says, and where there are more changes than the store makes together.
pub fn check_unit(atomicity: Atomicity, changes: &[EntityChange]) -> Result<(), Error> {
    EntityChange::check_all(changes)?;
    if atomicity == Atomicity::OneChange && changes.len() > 1 {
        let entity = |at: usize| format!("{} {:?}", changes[at].entity(), changes[at].id);
        return Err(Error::invalid(format!(
            "the store of these entities changes one at a time, and {} are to be changed together, {} and {} among them; \
             nothing was stored. Change one at a time, or keep them in a store with transactions",
            changes.len(),
            entity(0),
            entity(1)
        )));
    }
    Ok(())
}

/// The places of changes in the order they are stored in: what is removed, what is updated, what is created, each by
/// the name of the entity and by id. Two units that follow it never wait for each other in a circle.
#[must_use]
pub fn safe_order(changes: &[EntityChange]) -> Vec<usize> {
    let rank = |change: &Change| match change {
        Change::Delete { .. } => 0,
        Change::Update { .. } => 1,
        Change::Create(_) => 2,
    };
    let place = |at: &usize| {
        let change = &changes[*at];
        (rank(&change.change), change.entity(), change.id.as_str())
    };
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    order
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::words::{EntitySchema, EntityVersion};

    #[test]
    fn what_is_removed_comes_first_and_each_kind_by_entity_and_id() {
        let schema = |name: &str| Arc::new(EntitySchema::new(name, 1, Vec::new()));
        let update =
            |name: &str, id: &str| EntityChange::update(schema(name), id, EntityVersion(1), Vec::new());
        let changes = [
            EntityChange::create(schema("a"), "1", Vec::new()),
            update("b", "1"),
            update("a", "2"),
            EntityChange::delete(schema("z"), "9", None),
            update("a", "1"),
        ];
        assert_eq!(safe_order(&changes), [3, 4, 2, 1, 0]);
    }

    #[test]
    fn one_change_at_a_time_is_one_change() {
        let schema = Arc::new(EntitySchema::new("rate", 1, Vec::new()));
        let change = |id: &str| EntityChange::delete(schema.clone(), id, None);
        check_unit(Atomicity::OneChange, &[change("a")]).unwrap();
        check_unit(Atomicity::Unit, &[change("a"), change("b")]).unwrap();
        let refused = check_unit(Atomicity::OneChange, &[change("a"), change("b")]).unwrap_err().to_string();
        assert!(refused.contains("one at a time") && refused.contains("rate \"a\""), "{refused}");
    }
}
