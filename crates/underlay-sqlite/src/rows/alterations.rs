//! How a table of rows differs from the one that was made for them.
//!
//! The one it was made as is made once more, in a database of its own in memory, and both are looked at in the
//! same way. So whatever SQLite says of a table is compared, and nothing of it is written down twice.

use std::collections::BTreeMap;

use rusqlite::Connection;
use underlay_core::limits::ALTERATIONS_MAX;

use crate::error::Failure;
use crate::rows::row_table::RowTable;

/// Characters of a definition that are told.
const DEFINITION_CHARS_MAX: usize = 200;

/// What differs, for people.
pub(crate) fn find(connection: &Connection, table: &RowTable<'_>) -> Result<Vec<String>, Failure> {
    let as_made = Connection::open_in_memory()?;
    table.create(&as_made)?;
    let (made, found) = (Shape::of(&as_made, table)?, Shape::of(connection, table)?);
    let mut told = made.difference(&found);
    told.truncate(ALTERATIONS_MAX);
    Ok(told)
}

/// What a table is made of.
struct Shape {
    /// Its own text; none where it is not there.
    table: Option<String>,
    columns: BTreeMap<String, String>,
    /// Indexes and triggers, by what they are and their name.
    objects: BTreeMap<(String, String), String>,
}

impl Shape {
    fn of(connection: &Connection, table: &RowTable<'_>) -> Result<Self, Failure> {
        let name = table.plain_name();
        let mut shape = Self { table: None, columns: BTreeMap::new(), objects: BTreeMap::new() };
        let mut select = connection.prepare_cached(include_str!("../sql/select_table_objects.sql"))?;
        let mut rows = select.query([name])?;
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let sql: Option<String> = row.get(2)?;
            match kind.as_str() {
                "table" => shape.table = sql,
                _ => {
                    shape.objects.insert((kind, name), sql.unwrap_or_default());
                }
            }
        }
        let mut select = connection.prepare_cached(include_str!("../sql/select_table_columns.sql"))?;
        let mut rows = select.query([name])?;
        while let Some(row) = rows.next()? {
            shape.columns.insert(row.get(0)?, row.get(1)?);
        }
        Ok(shape)
    }

    /// What differs in another shape from this one.
    fn difference(&self, found: &Self) -> Vec<String> {
        let Some(text) = &found.table else { return vec!["the table is missing".to_owned()] };
        let mut told = Vec::new();
        for (name, defined) in &self.columns {
            match found.columns.get(name) {
                None => told.push(format!("column {name:?} is missing")),
                Some(other) if other != defined => {
                    told.push(format!("column {name:?} is {other}, and was made {defined}"));
                }
                Some(_) => {}
            }
        }
        let is_new = |name: &&String| !self.columns.contains_key(*name);
        told.extend(found.columns.keys().filter(is_new).map(|name| format!("column {name:?} was added")));
        if told.is_empty() && self.table.as_ref() != Some(text) {
            told.push(format!("the table is defined otherwise: {}", shortened(text)));
        }
        for ((kind, name), sql) in &self.objects {
            match found.objects.get(&(kind.clone(), name.clone())) {
                None => told.push(format!("{kind} {name:?} is missing")),
                Some(other) if other != sql => {
                    told.push(format!("{kind} {name:?} is another: {}", shortened(other)));
                }
                Some(_) => {}
            }
        }
        for ((kind, name), sql) in &found.objects {
            if !self.objects.contains_key(&(kind.clone(), name.clone())) {
                let unique = if sql.to_ascii_uppercase().contains(" UNIQUE ") { "unique " } else { "" };
                told.push(format!("{unique}{kind} {name:?} was added"));
            }
        }
        told
    }
}

fn shortened(text: &str) -> String {
    let plain = text.replace(char::is_control, " ");
    match plain.char_indices().nth(DEFINITION_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &plain[..end]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::{Column, ColumnType, ViewSchema, ViewTable};

    use super::*;

    fn table() -> ViewTable {
        let column = |name: &str, column_type, indexed: bool| Column {
            name: name.to_owned(),
            column_type,
            nullable: !indexed,
            indexed,
        };
        let columns = vec![
            column("owner", ColumnType::Text, true),
            column("order", ColumnType::Integer, true),
            column("note", ColumnType::Text, false),
        ];
        ViewTable { schema: ViewSchema::new("accounts", 1, columns), generation: 3 }
    }

    #[test]
    fn every_way_to_alter_a_table_is_named() {
        for (sql, told) in [
            ("DROP TABLE view_accounts_3", "the table is missing"),
            ("ALTER TABLE view_accounts_3 DROP COLUMN note", "column \"note\" is missing"),
            ("ALTER TABLE view_accounts_3 ADD COLUMN more INTEGER", "column \"more\" was added"),
            (
                "ALTER TABLE view_accounts_3 DROP COLUMN note; \
                 ALTER TABLE view_accounts_3 ADD COLUMN note INTEGER",
                "column \"note\" is INTEGER, and was made TEXT",
            ),
            ("DROP INDEX \"view_accounts_3.owner\"", "index \"view_accounts_3.owner\" is missing"),
            (
                "DROP INDEX \"view_accounts_3.owner\"; \
                 CREATE INDEX \"view_accounts_3.owner\" ON view_accounts_3 (owner)",
                "index \"view_accounts_3.owner\" is another",
            ),
            ("CREATE INDEX mine ON view_accounts_3 (note)", "index \"mine\" was added"),
            ("CREATE UNIQUE INDEX mine ON view_accounts_3 (note)", "unique index \"mine\" was added"),
            (
                "CREATE TRIGGER mine AFTER INSERT ON view_accounts_3 BEGIN SELECT 1; END",
                "trigger \"mine\" was added",
            ),
            (
                "DROP TABLE view_accounts_3; CREATE TABLE view_accounts_3 (tenant TEXT NOT NULL, \"key\" TEXT \
                 NOT NULL, owner TEXT NOT NULL, \"order\" INTEGER NOT NULL, note TEXT, \
                 PRIMARY KEY (tenant, \"key\"), CHECK (owner <> 'ann')) STRICT, WITHOUT ROWID",
                "the table is defined otherwise",
            ),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            let made = table();
            let made = RowTable::of_view(&made);
            made.create(&connection).unwrap();
            assert_eq!(find(&connection, &made).unwrap(), Vec::<String>::new());
            connection.execute_batch(sql).unwrap();
            let found = find(&connection, &made).unwrap();
            assert!(found.iter().any(|found| found.contains(told)), "{sql}: {found:?}");
        }
    }
}
