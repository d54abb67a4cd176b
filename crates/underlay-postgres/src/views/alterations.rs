//! How the table of a generation differs from the one that was made for it.

use std::collections::BTreeMap;

use tokio_postgres::Row;
use underlay_core::limits::ALTERATIONS_MAX;
use underlay_core::{Column, ViewTable};

use crate::error::Failure;
use crate::rows::values::column_type;
use crate::views::view_table::plain_name;

/// What a table is: an ordinary one, which a crash leaves as it is.
const ORDINARY: &str = "rp";
/// The policy of a tenant's reader: it reads.
const READS: &str = "r";
/// The policy of a worker: it does all.
const DOES_ALL: &str = "*";

/// The parts of a table by their kind and name, with how each is defined.
type Parts = BTreeMap<(&'static str, String), String>;

/// What differs, for people, given the answer to `select_table_shape`.
pub(crate) fn find(rows: &[Row], table: &ViewTable) -> Result<Vec<String>, Failure> {
    let made = as_made(table);
    let (mut there, mut told, mut checks) = (Parts::new(), Vec::new(), 0);
    for row in rows {
        let (kind, name, defined): (&str, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let kind = match kind {
            "tenant check" => {
                // Its name is the server's.
                checks += 1;
                if checks > 1 {
                    told.push(format!("constraint {name:?} was added"));
                }
                continue;
            }
            "table" => "table",
            "column" => "column",
            "key" => "key",
            "index" => "index",
            "trigger" => "trigger",
            "rule" => "rule",
            "policy" => "policy",
            _ => "constraint",
        };
        there.insert((kind, name), defined);
    }
    if rows.is_empty() {
        return Ok(vec!["the table is missing".to_owned()]);
    }
    if checks == 0 {
        told.push("the constraint that no tenant is empty is missing".to_owned());
    }
    for ((kind, name), defined) in &made {
        match there.remove(&(*kind, name.clone())) {
            None => told.push(format!("{kind} {name:?} is missing")),
            Some(found) if found != *defined => told.push(match *kind {
                "table" => "the table is of another kind than it was made".to_owned(),
                _ => format!("{kind} {name:?} is {found}, and was made {defined}"),
            }),
            Some(_) => {}
        }
    }
    told.extend(there.into_iter().map(|((kind, name), defined)| match kind {
        "index" if defined.contains(" unique ") => format!("unique index {name:?} was added"),
        _ => format!("{kind} {name:?} was added"),
    }));
    told.truncate(ALTERATIONS_MAX);
    Ok(told)
}

/// The parts that [`create`](crate::views::view_table::create) makes.
fn as_made(table: &ViewTable) -> Parts {
    let plain = plain_name(&table.schema.name, table.generation);
    let mut parts = Parts::from([
        (("table", String::new()), ORDINARY.to_owned()),
        (("key", format!("{plain}.0")), "PRIMARY KEY (tenant, key)".to_owned()),
        (("index", format!("{plain}.0")), "btree unique tenant, key".to_owned()),
        (("policy", "worked".to_owned()), DOES_ALL.to_owned()),
        (("policy", "of_tenant".to_owned()), READS.to_owned()),
    ]);
    let plain_type = |column: &Column| column_type(column).replace('"', "");
    for name in ["tenant", "key"] {
        parts.insert(("column", name.to_owned()), "text COLLATE C NOT NULL".to_owned());
    }
    for (at, column) in (1..).zip(&table.schema.columns) {
        let null = if column.nullable { "" } else { " NOT NULL" };
        parts.insert(("column", column.name.clone()), format!("{}{null}", plain_type(column)));
        if column.indexed {
            parts.insert(("index", format!("{plain}.{at}")), format!("btree tenant, {}, key", column.name));
        }
    }
    parts
}
