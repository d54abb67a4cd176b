use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::limits::{
    INDEXED_TEXT_BYTES_MAX, NAME_BYTES_MAX, ROW_KEY_BYTES_MAX, TEXT_BYTES_MAX, VIEW_COLUMNS_MAX,
};
use crate::words::{Column, ColumnType, Error, Value, check_plain_name};

/// What rows are of. Only the texts of errors and the names that are taken depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RowsOf {
    /// Rows of a view, folded from events.
    #[default]
    View,
    /// Entities, written as they are.
    Entity,
}

impl RowsOf {
    /// The columns that every row has beside its own.
    fn names_taken(self) -> &'static [&'static str] {
        match self {
            Self::View => &["tenant", "key", "position"],
            Self::Entity => &["tenant", "key", "id", "version"],
        }
    }
}

impl fmt::Display for RowsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::View => "view",
            Self::Entity => "entity",
        })
    }
}

/// The shape of rows: what a view and an entity have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSchema {
    /// What the rows are of.
    #[serde(skip)]
    pub of: RowsOf,
    /// The name: `a-z 0-9 _`, starting with a letter.
    pub name: String,
    /// The version of the definition, raised by hand: of a view when `route` or `fold` changed, of an entity when
    /// its shape did.
    pub version: u32,
    /// The columns.
    pub columns: Vec<Column>,
}

impl RowSchema {
    /// The shape of rows of a view or an entity.
    pub fn new(of: RowsOf, name: impl Into<String>, version: u32, columns: Vec<Column>) -> Self {
        Self { of, name: name.into(), version, columns }
    }

    /// Checks names and limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn validate(&self) -> Result<(), Error> {
        let mut names = std::iter::once(&self.name).chain(self.columns.iter().map(|column| &column.name));
        names.try_for_each(|name| check_plain_name(name, NAME_BYTES_MAX)).map_err(Error::invalid)?;
        if self.columns.len() > VIEW_COLUMNS_MAX {
            return Err(Error::invalid(format!(
                "{} {} has {} columns, VIEW_COLUMNS_MAX = {VIEW_COLUMNS_MAX}",
                self.of,
                self.name,
                self.columns.len()
            )));
        }
        for (at, column) in self.columns.iter().enumerate() {
            if self.of.names_taken().contains(&column.name.as_str()) {
                return Err(Error::invalid(format!("{}: the name is taken", self.place(column))));
            }
            if self.columns[..at].iter().any(|earlier| earlier.name == column.name) {
                return Err(Error::invalid(format!("{} is there twice", self.place(column))));
            }
            if column.nullable && column.indexed {
                return Err(Error::invalid(format!(
                    "{} is nullable; only columns that always hold a value can be indexed",
                    self.place(column)
                )));
            }
        }
        Ok(())
    }

    /// A column by its name.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn column(&self, name: &str) -> Result<&Column, Error> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.ok_or_else(|| Error::invalid(format!("{} {} has no column {name:?}", self.of, self.name)))
    }

    /// A column that filters and orders may name.
    ///
    /// # Errors
    /// [`Error::Invalid`] that lists the columns there are.
    pub fn indexed_column(&self, name: &str) -> Result<&Column, Error> {
        self.columns.iter().find(|column| column.name == name && column.indexed).ok_or_else(|| {
            let known: Vec<&str> = self
                .columns
                .iter()
                .filter(|column| column.indexed)
                .map(|column| column.name.as_str())
                .collect();
            Error::invalid(format!(
                "{} {} cannot be filtered or sorted by {name:?}; it can by: {}",
                self.of,
                self.name,
                known.join(", ")
            ))
        })
    }

    /// What tells one definition from another: its name, its version and its columns.
    pub(crate) fn fingerprint_parts(&self) -> Vec<String> {
        let mut parts = vec![self.name.clone(), self.version.to_string()];
        parts.extend(self.columns.iter().map(|column| {
            format!("{} {:?} {} {}", column.name, column.column_type, column.nullable, column.indexed)
        }));
        parts
    }

    /// Where a column is among the values of a row.
    #[must_use]
    pub fn column_at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Bytes that the key and the texts of one row have at most.
    #[must_use]
    pub fn row_text_bytes_max(&self) -> usize {
        let most = |column: &Column| match (column.column_type, column.indexed) {
            (ColumnType::Text, true) => INDEXED_TEXT_BYTES_MAX,
            (ColumnType::Text, false) => TEXT_BYTES_MAX,
            _ => 0,
        };
        ROW_KEY_BYTES_MAX + self.columns.iter().map(most).sum::<usize>()
    }

    /// Checks a row's values against the columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn check_row(&self, key: &str, values: &[Value]) -> Result<(), Error> {
        check_key(key)?;
        if values.len() != self.columns.len() {
            return Err(Error::invalid(format!(
                "a row of {} {} has {} values, {} were given",
                self.of,
                self.name,
                self.columns.len(),
                values.len()
            )));
        }
        for (column, value) in self.columns.iter().zip(values) {
            self.check_value(column, value)?;
        }
        Ok(())
    }

    /// Checks one value against its column.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn check_value(&self, column: &Column, value: &Value) -> Result<(), Error> {
        let fits = match value.column_type() {
            None => column.nullable,
            Some(actual) => actual == column.column_type,
        };
        if fits {
            return match value {
                Value::Text(text) => self.check_text(column, text),
                // Of a view the event is stored already, and its time is cut to what stores keep.
                value if self.of == RowsOf::Entity && value.is_below_microseconds() => {
                    Err(Error::invalid(format!(
                        "{}: a time is stored to the microsecond, and this one is finer",
                        self.place(column)
                    )))
                }
                _ => Ok(()),
            };
        }
        Err(Error::invalid(format!("{} holds {:?}, not {value:?}", self.place(column), column.column_type)))
    }

    /// What no store could hold, or only some could, none takes: rows are the same wherever they are.
    fn check_text(&self, column: &Column, text: &str) -> Result<(), Error> {
        let (limit, bytes_max) = if column.indexed {
            ("INDEXED_TEXT_BYTES_MAX", INDEXED_TEXT_BYTES_MAX)
        } else {
            ("TEXT_BYTES_MAX", TEXT_BYTES_MAX)
        };
        let wrong = if text.contains('\0') {
            "a text in a row holds no NUL, this one does".to_owned()
        } else if text.len() > bytes_max {
            format!("a text of {} bytes exceeds {limit} = {bytes_max}", text.len())
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!("{}: {wrong}", self.place(column))))
    }

    /// A column as messages name it.
    fn place(&self, column: &Column) -> String {
        format!("column {} of {} {}", column.name, self.of, self.name)
    }
}

/// Checks the key of a row.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > ROW_KEY_BYTES_MAX || key.contains('\0') {
        return Err(Error::invalid(format!(
            "a row's key has 1 to ROW_KEY_BYTES_MAX = {ROW_KEY_BYTES_MAX} bytes and no NUL, this one has {}",
            key.len()
        )));
    }
    Ok(())
}
