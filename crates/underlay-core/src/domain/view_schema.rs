use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use crate::words::{Column, Fingerprint, RowSchema, RowsOf};

/// The stored shape of a view: that of its rows, which it can be used as, and what is folded into them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewSchema {
    /// Name, version and columns.
    #[serde(flatten)]
    pub rows: RowSchema,
    /// The event types it folds, sorted. What folds others folds other rows: a process that does not
    /// know a type passes over its events, and must not move the checkpoint of one that does.
    #[serde(default)]
    pub event_types: Vec<String>,
}

impl Deref for ViewSchema {
    type Target = RowSchema;

    fn deref(&self) -> &RowSchema {
        &self.rows
    }
}

impl DerefMut for ViewSchema {
    fn deref_mut(&mut self) -> &mut RowSchema {
        &mut self.rows
    }
}

impl ViewSchema {
    /// A shape that folds no event types yet.
    pub fn new(name: impl Into<String>, version: u32, columns: Vec<Column>) -> Self {
        Self { rows: RowSchema::new(RowsOf::View, name, version, columns), event_types: Vec::new() }
    }

    /// Sets the event types it folds, in any order.
    #[must_use]
    pub fn with_event_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.event_types = types.into_iter().map(Into::into).collect();
        self.event_types.sort_unstable();
        self.event_types.dedup();
        self
    }

    /// The same shape under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.rows.name = name.into();
        self
    }

    /// Changes whenever rows built by one definition must not be read by another.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut parts = self.rows.fingerprint_parts();
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
}
