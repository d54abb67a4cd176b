use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize};

use crate::words::{Column, Error, Fingerprint, RowSchema, RowsOf};

/// The stored shape of an entity: that of its rows, which it can be used as, and which values are unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitySchema {
    /// Name, version and columns.
    #[serde(flatten, deserialize_with = "rows_of_entity")]
    pub rows: RowSchema,
    /// Names of indexed columns, sorted. No two entities of a tenant have the same value in one of them.
    #[serde(default)]
    pub unique: Vec<String>,
}

fn rows_of_entity<'de, D: Deserializer<'de>>(from: D) -> Result<RowSchema, D::Error> {
    Ok(RowSchema { of: RowsOf::Entity, ..RowSchema::deserialize(from)? })
}

impl Deref for EntitySchema {
    type Target = RowSchema;

    fn deref(&self) -> &RowSchema {
        &self.rows
    }
}

impl DerefMut for EntitySchema {
    fn deref_mut(&mut self) -> &mut RowSchema {
        &mut self.rows
    }
}

impl EntitySchema {
    /// A shape without unique values.
    pub fn new(name: impl Into<String>, version: u32, columns: Vec<Column>) -> Self {
        Self { rows: RowSchema::new(RowsOf::Entity, name, version, columns), unique: Vec::new() }
    }

    /// Sets the columns whose values are unique within a tenant, in any order.
    #[must_use]
    pub fn with_unique(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.unique = columns.into_iter().map(Into::into).collect();
        self.unique.sort_unstable();
        self.unique.dedup();
        self
    }

    /// Whether the values of a column are unique within a tenant.
    #[must_use]
    pub fn is_unique(&self, column: &str) -> bool {
        self.unique.iter().any(|unique| unique == column)
    }

    /// Checks names and limits. Adapters call it first where they prepare an entity.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn validate(&self) -> Result<(), Error> {
        self.rows.validate()?;
        match self.unique.iter().find(|name| self.column_at(name).is_none_or(|at| !self.columns[at].indexed))
        {
            Some(name) => Err(Error::invalid(format!(
                "column {name:?} of entity {} is unique and not indexed; only an indexed column can be unique",
                self.name
            ))),
            None => Ok(()),
        }
    }

    /// What tells one definition from another. The order of columns does not count: they are stored by name.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts = self.rows.fingerprint_parts();
        parts[2..].sort_unstable();
        parts.extend(self.unique.iter().map(|column| format!("unique {column}")));
        Fingerprint::of(parts.iter().map(String::as_bytes))
    }

    /// What has to be added to a store, or taken from it, so that entities that were stored by another definition
    /// are entities of this one. A later version may add columns that can be empty, and change which columns are
    /// indexed and unique.
    ///
    /// # Errors
    /// [`Error::EntityChanged`] where that is not enough.
    pub fn extension_of(&self, stored: &Self) -> Result<EntityExtension, Error> {
        if let Some(reason) = self.differs_from(stored) {
            return Err(Error::EntityChanged { entity: self.name.clone(), reason });
        }
        let mut extension = EntityExtension::default();
        for column in &self.columns {
            let was = stored.column_at(&column.name).map(|at| &stored.columns[at]);
            if was.is_none() {
                extension.columns.push(column.clone());
            }
            let (is, was) = (column.indexed, was.is_some_and(|was| was.indexed));
            note(is, was, &column.name, &mut extension.indexed, &mut extension.not_indexed);
            let (is, was) = (self.is_unique(&column.name), stored.is_unique(&column.name));
            note(is, was, &column.name, &mut extension.unique, &mut extension.not_unique);
        }
        Ok(extension)
    }

    /// What differs so that the entities that are stored are none of this shape.
    fn differs_from(&self, stored: &Self) -> Option<String> {
        if stored.version > self.version {
            return Some(format!(
                "version {} is stored and the code has version {}; start the program that has it",
                stored.version, self.version
            ));
        }
        for was in &stored.columns {
            let Some(at) = self.column_at(&was.name) else {
                return Some(format!(
                    "column {} is stored and not in the code; put it back, or give the new shape another name and move \
                     the entities",
                    was.name
                ));
            };
            let is = &self.columns[at];
            if (is.column_type, is.nullable) != (was.column_type, was.nullable) {
                return Some(format!(
                    "column {} is stored as {:?}{} and the code has {:?}{}; add a column of another name instead",
                    was.name,
                    was.column_type,
                    or_empty(was),
                    is.column_type,
                    or_empty(is)
                ));
            }
        }
        let new = |column: &&Column| !column.nullable && stored.column_at(&column.name).is_none();
        self.columns.iter().find(new).map(|column| {
            format!(
                "column {} is new and no entity that is stored has a value for it; let it be empty, or give the new \
                 shape another name and move the entities",
                column.name
            )
        })
    }
}

fn or_empty(column: &Column) -> &'static str {
    if column.nullable { " or empty" } else { "" }
}

fn note(is: bool, was: bool, name: &str, begun: &mut Vec<String>, ended: &mut Vec<String>) {
    match (is, was) {
        (true, false) => begun.push(name.to_owned()),
        (false, true) => ended.push(name.to_owned()),
        _ => {}
    }
}

/// How the stored shape of an entity is extended; each list names columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityExtension {
    /// Columns that are added. They are empty in every entity that is stored, so none of them is indexed.
    pub columns: Vec<Column>,
    /// Columns that get an index.
    pub indexed: Vec<String>,
    /// Columns whose index goes.
    pub not_indexed: Vec<String>,
    /// Columns whose values become unique. Where they are not, the store answers [`EntityExtension::not_yet_unique`].
    pub unique: Vec<String>,
    /// Columns whose values need not be unique any more.
    pub not_unique: Vec<String>,
}

impl EntityExtension {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// That values are stored twice which the code has as unique.
    #[must_use]
    pub fn not_yet_unique(schema: &EntitySchema, column: &str) -> Error {
        Error::EntityChanged {
            entity: schema.name.clone(),
            reason: format!(
                "column {column} is unique in the code, and a tenant has entities with the same value in it; change \
                 those first"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::ColumnType;

    fn column(name: &str, nullable: bool, indexed: bool) -> Column {
        Column { name: name.to_owned(), column_type: ColumnType::Text, nullable, indexed }
    }

    fn rates() -> EntitySchema {
        let columns = vec![column("base", false, true), column("note", true, false)];
        EntitySchema::new("rate", 2, columns).with_unique(["base"])
    }

    #[test]
    fn a_stored_definition_is_read_back_as_one_of_an_entity() {
        let text = serde_json::to_string(&rates()).unwrap();
        assert_eq!(
            text,
            r#"{"name":"rate","version":2,"columns":[{"name":"base","column_type":"text","nullable":false,"indexed":true},{"name":"note","column_type":"text","nullable":true,"indexed":false}],"unique":["base"]}"#
        );
        assert_eq!(serde_json::from_str::<EntitySchema>(&text).unwrap(), rates());
    }

    #[test]
    fn the_order_of_columns_is_no_difference() {
        let mut turned = rates();
        turned.columns.reverse();
        assert_eq!(turned.fingerprint(), rates().fingerprint());
        assert!(turned.extension_of(&rates()).unwrap().is_empty());
        assert_ne!(rates().with_unique([""; 0]).fingerprint(), rates().fingerprint());
    }

    #[test]
    fn what_can_be_empty_and_what_is_found_by_may_change() {
        let mut code = rates().with_unique(["quote_note"; 0]);
        code.columns[0].indexed = false;
        code.columns.push(column("source", true, false));
        let extension = code.extension_of(&rates()).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(extension.columns, [column("source", true, false)]);
        assert_eq!((extension.not_indexed, extension.not_unique), (names(&["base"]), names(&["base"])));
        let stored = {
            let mut stored = code.clone();
            stored.columns.truncate(2);
            stored
        };
        let back = rates().extension_of(&stored).unwrap();
        assert_eq!((back.indexed, back.unique), (names(&["base"]), names(&["base"])));
    }

    #[test]
    fn another_shape_is_told_with_what_to_do() {
        let changed = |change: fn(&mut EntitySchema)| {
            let mut code = rates();
            change(&mut code);
            code.extension_of(&rates()).unwrap_err().to_string()
        };
        for (error, named) in [
            (changed(|code| code.version = 1), "version 2 is stored and the code has version 1"),
            (changed(|code| drop(code.columns.remove(0))), "column base is stored and not in the code"),
            (changed(|code| code.columns[1].nullable = false), "column note is stored as Text or empty"),
            (changed(|code| code.columns[0].column_type = ColumnType::Integer), "the code has Integer"),
            (changed(|code| code.columns.push(column("quote", false, false))), "column quote is new"),
        ] {
            assert!(error.contains(named) && error.contains("rate"), "{error} does not say {named}");
        }
    }

    #[test]
    fn only_what_is_indexed_is_unique_and_names_of_every_entity_are_taken() {
        let error = rates().with_unique(["note"]).validate().unwrap_err().to_string();
        assert!(error.contains("\"note\"") && error.contains("indexed"), "{error}");
        for taken in ["id", "key", "tenant", "version"] {
            let schema = EntitySchema::new("rate", 1, vec![column(taken, false, false)]);
            assert!(schema.validate().unwrap_err().to_string().contains("taken"), "{taken}");
        }
        rates().validate().unwrap();
    }
}
