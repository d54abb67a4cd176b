use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::words::limits::{ENTITY_BYTES_MAX, UNIT_BYTES_MAX, UNIT_CHANGES_MAX};
use crate::words::row_schema::check_key;
use crate::words::{EntitySchema, Error, Value};

/// How often an entity was written: 1 after it was created, and one more with each update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityVersion(pub u64);

impl EntityVersion {
    /// An entity that is not stored yet, or not any more.
    pub const NEW: Self = Self(0);

    /// The version after one more update.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EntityVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntity {
    /// Its id: 1 to [`ROW_KEY_BYTES_MAX`](crate::words::limits::ROW_KEY_BYTES_MAX) bytes.
    pub id: String,
    /// Its version, at least 1.
    pub version: EntityVersion,
    /// Its values, in the order of the columns of its schema.
    pub values: Vec<Value>,
}

/// What happens to an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is stored with these values. There must be none of its id.
    Create(Vec<Value>),
    /// Its values are replaced by these.
    Update {
        /// The version it must have.
        expected: EntityVersion,
        /// All its values.
        values: Vec<Value>,
    },
    /// It is removed.
    Delete {
        /// The version it must have; none removes whatever version is there.
        expected: Option<EntityVersion>,
    },
}

/// A change of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// The shape of the entity.
    pub schema: Arc<EntitySchema>,
    /// Its id.
    pub id: String,
    /// What happens to it.
    pub change: Change,
}

impl EntityChange {
    /// Stores a new entity.
    pub fn create(schema: Arc<EntitySchema>, id: impl Into<String>, values: Vec<Value>) -> Self {
        Self { schema, id: id.into(), change: Change::Create(values) }
    }

    /// Replaces the values of an entity that has this version.
    pub fn update(
        schema: Arc<EntitySchema>,
        id: impl Into<String>,
        expected: EntityVersion,
        values: Vec<Value>,
    ) -> Self {
        Self { schema, id: id.into(), change: Change::Update { expected, values } }
    }

    /// Removes an entity that has this version; none removes whatever version is there.
    pub fn delete(schema: Arc<EntitySchema>, id: impl Into<String>, expected: Option<EntityVersion>) -> Self {
        Self { schema, id: id.into(), change: Change::Delete { expected } }
    }

    /// The name of the entity.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.schema.name
    }

    /// The values it leaves; none where the entity is removed.
    #[must_use]
    pub fn values(&self) -> Option<&[Value]> {
        match &self.change {
            Change::Create(values) | Change::Update { values, .. } => Some(values),
            Change::Delete { .. } => None,
        }
    }

    /// The version it expects, where it expects that the entity is there: of a creation none.
    #[must_use]
    pub fn expected(&self) -> Option<EntityVersion> {
        match self.change {
            Change::Create(_) => None,
            Change::Update { expected, .. } => Some(expected),
            Change::Delete { expected } => expected,
        }
    }

    /// The version of the entity once the change is stored; [`EntityVersion::NEW`] where it is removed.
    #[must_use]
    pub fn version_after(&self) -> EntityVersion {
        match self.change {
            Change::Create(_) => EntityVersion::NEW.next(),
            Change::Update { expected, .. } => expected.next(),
            Change::Delete { .. } => EntityVersion::NEW,
        }
    }

    /// Holds the change against the version that is stored; none where there is no such entity. Adapters call it in
    /// the transaction of the change.
    ///
    /// # Errors
    /// [`Error::EntityConflict`]; [`Error::NotFound`] of an entity that is to be removed, whatever its version, and is
    /// not there.
    pub fn check_version(&self, actual: Option<EntityVersion>) -> Result<(), Error> {
        let expected = self.expected();
        match (&self.change, actual) {
            (Change::Create(_), None) => Ok(()),
            (Change::Delete { expected: None }, Some(_)) => Ok(()),
            (Change::Delete { expected: None }, None) => {
                Err(Error::NotFound(format!("{} {}", self.entity(), self.id)))
            }
            (Change::Update { .. } | Change::Delete { .. }, actual) if actual == expected => Ok(()),
            _ => Err(Error::from(EntityConflict {
                entity: self.entity().to_owned(),
                id: self.id.clone(),
                expected,
                actual,
            })),
        }
    }

    /// About how many bytes it is; what byte limits count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 32 };
        let values: usize = self.values().unwrap_or_default().iter().map(text).sum();
        self.entity().len() + self.id.len() + values
    }

    /// Checks everything that can be checked of changes that are stored together, without a store. Adapters call it
    /// first, by [`check_unit`](crate::adapter::check_unit).
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column, the limit, or the entity that is named twice.
    pub fn check_all(changes: &[Self]) -> Result<(), Error> {
        if changes.len() > UNIT_CHANGES_MAX {
            return Err(Error::invalid(format!(
                "{} changes of entities at once exceed UNIT_CHANGES_MAX = {UNIT_CHANGES_MAX}",
                changes.len()
            )));
        }
        let mut seen = HashSet::with_capacity(changes.len());
        let mut bytes = 0;
        for change in changes {
            change.check()?;
            bytes += change.bytes();
            if !seen.insert((change.entity(), change.id.as_str())) {
                return Err(Error::invalid(format!(
                    "{} {:?} is changed twice at once; give its last change alone",
                    change.entity(),
                    change.id
                )));
            }
        }
        if bytes > UNIT_BYTES_MAX {
            return Err(Error::invalid(format!(
                "changes of entities of {bytes} bytes at once exceed UNIT_BYTES_MAX = {UNIT_BYTES_MAX}"
            )));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        match self.values() {
            Some(values) => self.schema.check_row(&self.id, values)?,
            None => check_key(&self.id)?,
        }
        if self.bytes() > ENTITY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "{} {:?} of {} bytes exceeds ENTITY_BYTES_MAX = {ENTITY_BYTES_MAX}",
                self.entity(),
                self.id,
                self.bytes()
            )));
        }
        if self.expected() == Some(EntityVersion::NEW) {
            return Err(Error::invalid(format!(
                "{} {:?} is expected at version 0, which no stored entity has; create it instead",
                self.entity(),
                self.id
            )));
        }
        Ok(())
    }

    /// What a repeat must match.
    pub(super) fn fingerprint_parts(&self) -> Vec<Vec<u8>> {
        let kind = match self.change {
            Change::Create(_) => "create",
            Change::Update { .. } => "update",
            Change::Delete { .. } => "delete",
        };
        let expected = self.expected().map_or_else(|| "any".to_owned(), |version| version.to_string());
        let mut parts: Vec<Vec<u8>> =
            [kind, self.entity(), &self.id, &expected].iter().map(|part| (*part).into()).collect();
        let columns = self.schema.columns.iter().zip(self.values().unwrap_or_default());
        // A value always has a JSON form, and that never changes.
        let text = |value: &Value| serde_json::to_string(value).unwrap_or_default();
        parts.extend(columns.map(|(column, value)| format!("{} {}", column.name, text(value)).into()));
        parts
    }
}

/// An entity did not have the version that a change of it expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntityConflict {
    /// The name of the entity.
    pub entity: String,
    /// Its id.
    pub id: String,
    /// The version that was expected; none where there was to be no such entity.
    pub expected: Option<EntityVersion>,
    /// The version that is stored; none where there is no such entity.
    pub actual: Option<EntityVersion>,
}

impl std::error::Error for EntityConflict {}

impl fmt::Display for EntityConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict on {} {}: expected ", self.entity, self.id)?;
        match (self.expected, self.actual) {
            (Some(expected), Some(actual)) => write!(f, "version {expected}, found {actual}"),
            (None, Some(actual)) => write!(f, "none, found version {actual}"),
            (Some(expected), None) => write!(f, "version {expected}, found none"),
            (None, None) => f.write_str("none, found none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Arc<EntitySchema> {
        Arc::new(EntitySchema::new("rate", 1, Vec::new()))
    }

    #[test]
    fn a_conflict_names_what_was_expected_and_what_was_found() {
        let of = |expected: Option<u64>, actual: Option<u64>| {
            let (expected, actual) = (expected.map(EntityVersion), actual.map(EntityVersion));
            let conflict = EntityConflict { entity: "rate".into(), id: "eur-usd".into(), expected, actual };
            conflict.to_string()
        };
        assert_eq!(of(Some(3), Some(5)), "conflict on rate eur-usd: expected version 3, found 5");
        assert_eq!(of(None, Some(1)), "conflict on rate eur-usd: expected none, found version 1");
        assert_eq!(of(Some(3), None), "conflict on rate eur-usd: expected version 3, found none");
    }

    #[test]
    fn a_version_is_as_expected_or_the_change_is_refused() {
        let (one, two) = (Some(EntityVersion(1)), Some(EntityVersion(2)));
        let create = EntityChange::create(schema(), "a", Vec::new());
        let update = EntityChange::update(schema(), "a", EntityVersion(1), Vec::new());
        let delete = |expected| EntityChange::delete(schema(), "a", expected);
        for (change, actual) in [(&create, None), (&update, one), (&delete(one), one), (&delete(None), two)] {
            change.check_version(actual).unwrap();
        }
        for (change, actual) in
            [(&create, one), (&update, two), (&update, None), (&delete(one), two), (&delete(one), None)]
        {
            let refused = change.check_version(actual).unwrap_err();
            assert!(matches!(refused, Error::EntityConflict(_)), "{refused}");
        }
        assert!(matches!(delete(None).check_version(None), Err(Error::NotFound(_))));
    }

    #[test]
    fn changes_that_cannot_be_stored_together_are_refused() {
        let change = |id: &str| EntityChange::delete(schema(), id, None);
        let many: Vec<EntityChange> = (0..=UNIT_CHANGES_MAX).map(|id| change(&id.to_string())).collect();
        EntityChange::check_all(&many[1..]).unwrap();
        let unexpected = EntityChange::update(schema(), "a", EntityVersion::NEW, Vec::new());
        for (changes, named) in [
            (many, "UNIT_CHANGES_MAX"),
            (vec![change("a"), change("a")], "changed twice"),
            (vec![change("")], "ROW_KEY_BYTES_MAX"),
            (vec![unexpected], "create it instead"),
        ] {
            let refused = EntityChange::check_all(&changes).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused} does not say {named}");
        }
    }
}
