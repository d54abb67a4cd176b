use serde::{Deserialize, Serialize};

use crate::words::limits::{
    INDEXED_TEXT_BYTES_MAX, NAME_BYTES_MAX, ROW_KEY_BYTES_MAX, TEXT_BYTES_MAX, VIEW_COLUMNS_MAX,
};
use crate::words::{Column, Error, Fingerprint, Value};

/// The stored shape of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSchema {
    /// Its name: `a-z 0-9 _`, starting with a letter.
    pub name: String,
    /// The version of its definition: raised by hand when `route` or `fold` changed.
    pub version: u32,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The event types it folds, sorted. What folds others folds other rows: a process that does not
    /// know a type passes over its events, and must not move the checkpoint of one that does.
    #[serde(default)]
    pub event_types: Vec<String>,
}

impl ViewSchema {
    /// A shape that folds no event types yet.
    pub fn new(name: impl Into<String>, version: u32, columns: Vec<Column>) -> Self {
        Self { name: name.into(), version, columns, event_types: Vec::new() }
    }

    /// Sets the event types it folds, in any order.
    #[must_use]
    pub fn with_event_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.event_types = types.into_iter().map(Into::into).collect();
        self.event_types.sort_unstable();
        self.event_types.dedup();
        self
    }

    /// Checks names and limits.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn validate(&self) -> Result<(), Error> {
        let well_formed = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.len() <= NAME_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let names = std::iter::once(&self.name).chain(self.columns.iter().map(|column| &column.name));
        if let Some(name) = names.into_iter().find(|name| !well_formed(name)) {
            return Err(Error::invalid(format!(
                "{name:?} is not 1 to {NAME_BYTES_MAX} characters of a-z, 0-9 and '_', starting with a letter"
            )));
        }
        if self.columns.len() > VIEW_COLUMNS_MAX {
            return Err(Error::invalid(format!(
                "view {} has {} columns, VIEW_COLUMNS_MAX = {VIEW_COLUMNS_MAX}",
                self.name,
                self.columns.len()
            )));
        }
        for (at, column) in self.columns.iter().enumerate() {
            if ["tenant", "key", "position"].contains(&column.name.as_str()) {
                return Err(Error::invalid(format!(
                    "column {} of view {}: the name is taken",
                    column.name, self.name
                )));
            }
            if self.columns[..at].iter().any(|earlier| earlier.name == column.name) {
                return Err(Error::invalid(format!(
                    "column {} of view {} is there twice",
                    column.name, self.name
                )));
            }
            if column.nullable && column.indexed {
                return Err(Error::invalid(format!(
                    "column {} of view {} is nullable; only columns that always hold a value can be indexed",
                    column.name, self.name
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
        found.ok_or_else(|| Error::invalid(format!("view {} has no column {name:?}", self.name)))
    }

    /// A column that queries may filter and sort by.
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
                "view {} cannot be filtered or sorted by {name:?}; it can by: {}",
                self.name,
                known.join(", ")
            ))
        })
    }

    /// Changes whenever rows built by one definition must not be read by another.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts = vec![self.name.clone(), self.version.to_string()];
        for column in &self.columns {
            parts.push(format!(
                "{} {:?} {} {}",
                column.name, column.column_type, column.nullable, column.indexed
            ));
        }
        parts.extend(self.event_types.iter().map(|event_type| format!("folds {event_type}")));
        Fingerprint::of(parts.iter().map(String::as_bytes))
    }

    /// What differs in this shape, which the code has, from the one that rows were stored by; its text is
    /// the JSON of a shape.
    #[must_use]
    pub fn difference_from(&self, stored: &str) -> String {
        let Ok(stored) = serde_json::from_str::<Self>(stored) else {
            return "the stored definition cannot be read".to_owned();
        };
        if stored.version != self.version {
            return format!("version {} there, {} in the code", stored.version, self.version);
        }
        for column in &stored.columns {
            match self.columns.iter().find(|new| new.name == column.name) {
                None => return format!("column {} is not in the code", column.name),
                Some(new) if new != column => {
                    return format!("column {} is {new:?} in the code, {column:?} there", column.name);
                }
                Some(_) => {}
            }
        }
        let new = self.columns.iter().find(|new| stored.columns.iter().all(|old| old.name != new.name));
        if let Some(column) = new {
            return format!("column {} is new in the code", column.name);
        }
        let only = |these: &[String], others: &[String]| {
            these.iter().find(|event_type| !others.contains(event_type)).cloned()
        };
        match (only(&self.event_types, &stored.event_types), only(&stored.event_types, &self.event_types)) {
            (Some(event_type), _) => format!("events of type {event_type} are folded in the code, not there"),
            (None, Some(event_type)) => {
                format!("events of type {event_type} are folded there, not in the code")
            }
            (None, None) => "its columns are in another order".to_owned(),
        }
    }

    /// Checks a row's values against the columns.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the column.
    pub fn check_row(&self, key: &str, values: &[Value]) -> Result<(), Error> {
        check_key(key)?;
        if values.len() != self.columns.len() {
            return Err(Error::invalid(format!(
                "a row of view {} has {} values, {} were given",
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
                _ => Ok(()),
            };
        }
        Err(Error::invalid(format!(
            "column {} of view {} holds {:?}, not {value:?}",
            column.name, self.name, column.column_type
        )))
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
        Err(Error::invalid(format!("column {} of view {}: {wrong}", column.name, self.name)))
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
