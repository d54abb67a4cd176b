use std::sync::Arc;

use underlay_core::{Entity, EntitySchema, Error, Persistent, StoredEntity};

/// What is known of a kind of entity, with its type erased.
#[derive(Clone)]
pub(crate) struct EntityEntry {
    pub(crate) schema: Arc<EntitySchema>,
    /// Who reads and writes it from outside needs one of these.
    pub(crate) roles: &'static [&'static str],
    /// Reads what is stored, as the code has it.
    pub(crate) read: fn(StoredEntity) -> Result<(), Error>,
}

impl EntityEntry {
    pub(super) fn of<T: Persistent>() -> Self {
        let read = |stored| T::from_entity(T::Stored::from_stored(stored)?).map(drop);
        Self { schema: Arc::new(T::Stored::schema()), roles: T::Stored::ROLES, read }
    }
}
