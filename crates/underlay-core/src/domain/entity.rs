use uuid::Uuid;

use crate::words::{EntitySchema, EntityVersion, Error, StoredEntity};

/// A thing with an id that is stored as it is: no events, one row. Written by `#[underlay::entity]`.
///
/// An entity belongs to a tenant; the same id in two tenants is two entities.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an entity",
    label = "put `#[underlay::entity(name = \"…\", version = 1)]` on the struct, `#[id]` on its id and `#[version]` on its version"
)]
pub trait Entity: Sized + Clone + Send + Sync + 'static {
    /// Its name, in the database and in addresses: `a-z 0-9 _`.
    const NAME: &'static str;
    /// Who reads and writes it from outside needs one of these roles; none are needed where there are none.
    /// The edge looks at them, typed code does not. Changing them changes nothing that is stored.
    const ROLES: &'static [&'static str] = &[];
    /// What tells it apart within a tenant.
    type Id: EntityId;

    /// The stored shape.
    #[must_use]
    fn schema() -> EntitySchema;

    /// Its id as it is stored.
    #[must_use]
    fn id(&self) -> String;

    /// The version it was read at; [`EntityVersion::NEW`] where it is not stored yet.
    #[must_use]
    fn version(&self) -> EntityVersion;

    /// As it is stored.
    #[must_use]
    fn into_stored(self) -> StoredEntity;

    /// From what is stored.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names entity, id and column.
    fn from_stored(stored: StoredEntity) -> Result<Self, Error>;
}

/// A type of the domain that is kept as an entity. An entity is kept as it is; a type of another shape names
/// the entity it is kept as, by `#[underlay::entity(of = …)]` on that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in a repository",
    label = "put `#[underlay::entity(…)]` on it, or `#[underlay::entity(…, of = {Self})]` on the struct it is stored as"
)]
pub trait Persistent: Sized + Clone + Send + Sync + 'static {
    /// The entity it is stored as.
    type Stored: Entity;

    /// As the entity it is stored as.
    #[must_use]
    fn into_entity(self) -> Self::Stored;

    /// From the entity it is stored as.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names entity, id and reason.
    fn from_entity(entity: Self::Stored) -> Result<Self, Error>;
}

/// A type that can be the id of an entity: text, a whole number, a UUID, or a type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the id of an entity",
    label = "ids are String, Uuid or whole numbers; implement `EntityId` for a type of your own"
)]
pub trait EntityId: Sized + Clone + Send + Sync + 'static {
    /// As it is stored. Two ids never have the same text.
    #[must_use]
    fn to_key(&self) -> String;

    /// From what is stored; `None` where it is none.
    #[must_use]
    fn from_key(key: &str) -> Option<Self>;
}

macro_rules! entity_id {
    ($($rust:ty),*) => {$(
        impl EntityId for $rust {
            fn to_key(&self) -> String {
                self.to_string()
            }
            fn from_key(key: &str) -> Option<Self> {
                let id: Self = key.parse().ok()?;
                // One id has one text: no other spelling of it is found.
                (id.to_key() == key).then_some(id)
            }
        }
    )*};
}

entity_id!(String, Uuid, i32, i64, u32, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text() {
        assert_eq!(u32::from_key("7"), Some(7));
        assert_eq!(u32::from_key("07"), None);
        assert_eq!(i64::from_key("+7"), None);
        let id = Uuid::from_u128(0xab);
        assert_eq!(Uuid::from_key(&id.to_key()), Some(id));
        assert_eq!(Uuid::from_key(&id.to_key().to_uppercase()), None);
        assert_eq!(String::from_key(" a"), Some(" a".to_owned()));
    }
}
