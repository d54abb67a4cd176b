//! The table of an entity: its SQL.

use tokio_postgres::Row;
use underlay_core::adapter::sql_name;
use underlay_core::{
    Change, Column, EntityChange, EntityExtension, EntitySchema, EntityVersion, Fingerprint, StoredEntity,
};

use crate::config::PostgresConfig;
use crate::error::Failure;
use crate::rows::row_table::{RowTable, parameters};
use crate::rows::values::{column_definition, values};

/// Characters of the fingerprint of a column in the name of its index. With them a name stays below 64 bytes.
const INDEX_CHARACTERS: usize = 12;

/// Where the tables of entities are, and whose.
#[derive(Clone, Debug)]
pub(crate) struct EntityTables {
    /// The schema of the store, quoted.
    store: String,
    pub(crate) schema: String,
    reader: String,
    writer: String,
    worker: String,
}

impl EntityTables {
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        Self {
            store: sql_name(&config.schema),
            schema: config.entities_schema(),
            reader: sql_name(&config.role("reader")),
            writer: sql_name(&config.role("writer")),
            worker: sql_name(&config.role("worker")),
        }
    }

    /// The table, as queries of rows name it. No search path stands between: an entity may have any name.
    pub(crate) fn rows<'s>(&self, schema: &'s EntitySchema) -> RowTable<'s> {
        RowTable { name: self.place(&schema.name), schema, beside: &["version"] }
    }

    fn place(&self, name: &str) -> String {
        format!("{}.{}", sql_name(&self.schema), sql_name(name))
    }

    /// Makes the table, its indexes and its policies; who runs it owns the table.
    pub(crate) fn create(&self, schema: &EntitySchema) -> String {
        let place = self.place(&schema.name);
        let columns: String =
            schema.columns.iter().map(|column| format!("{}, ", column_definition(column))).collect();
        let mut sql = format!(
            "CREATE TABLE {place} (tenant text COLLATE \"C\" NOT NULL CHECK (tenant <> ''), \
             \"key\" text COLLATE \"C\" NOT NULL, \"version\" bigint NOT NULL, {columns}\
             CONSTRAINT {key} PRIMARY KEY (tenant, \"key\")); \
             ALTER TABLE {place} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             CREATE POLICY read ON {place} FOR SELECT TO {reader} USING ({of_tenant}); \
             CREATE POLICY written ON {place} TO {writer} USING ({of_tenant}) WITH CHECK ({of_tenant}); \
             GRANT SELECT ON {place} TO {reader}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON {place} TO {writer}; \
             REVOKE ALL ON {place} FROM {worker}",
            key = sql_name(&format!("{}.0", schema.name)),
            reader = self.reader,
            writer = self.writer,
            worker = self.worker,
            of_tenant = "tenant = current_setting('underlay.tenant', true)",
        );
        let indexed = schema.columns.iter().filter(|column| column.indexed);
        for column in indexed {
            sql.push_str("; ");
            sql.push_str(&self.create_index(schema, &column.name));
        }
        for column in &schema.unique {
            sql.push_str("; ");
            sql.push_str(&self.create_unique_index(schema, column));
        }
        sql
    }

    /// Adds columns, takes indexes away and makes others. What makes unique indexes is apart, since it may fail.
    pub(crate) fn extend(&self, schema: &EntitySchema, extension: &EntityExtension) -> Vec<String> {
        let place = self.place(&schema.name);
        let add = |column: &Column| format!("ALTER TABLE {place} ADD COLUMN {}", column_definition(column));
        let drop =
            |index: String| format!("DROP INDEX IF EXISTS {}.{}", sql_name(&self.schema), sql_name(&index));
        let mut steps: Vec<String> = extension.columns.iter().map(add).collect();
        steps.extend(extension.not_indexed.iter().map(|column| drop(index_name(schema, column))));
        steps.extend(extension.not_unique.iter().map(|column| drop(unique_name(schema, column))));
        steps.extend(extension.indexed.iter().map(|column| self.create_index(schema, column)));
        steps
    }

    fn create_index(&self, schema: &EntitySchema, column: &str) -> String {
        format!(
            "CREATE INDEX {} ON {} (tenant, {}, \"key\")",
            sql_name(&index_name(schema, column)),
            self.place(&schema.name),
            sql_name(column)
        )
    }

    pub(crate) fn create_unique_index(&self, schema: &EntitySchema, column: &str) -> String {
        format!(
            "CREATE UNIQUE INDEX {} ON {} (tenant, {})",
            sql_name(&unique_name(schema, column)),
            self.place(&schema.name),
            sql_name(column)
        )
    }

    /// Makes changes of one kind to entities of one shape. The first two parameters are the tenant and how many changes
    /// they are; arrays of ids, expected versions and values follow, as far as the kind has them.
    ///
    /// Rows that are there are locked in the order given, each found by the index of the keys, as
    /// [`RowTable::select_rows`] says; then they are changed where they lie.
    pub(crate) fn write(&self, change: &EntityChange) -> String {
        let (schema, place) = (&*change.schema, self.place(change.entity()));
        let columns: Vec<String> = schema.columns.iter().map(|column| sql_name(&column.name)).collect();
        let given: String = (0..columns.len()).map(|at| format!(", value_{at}")).collect();
        let found = |given: &str, arrays: usize, condition: &str| {
            format!(
                "WITH found AS MATERIALIZED (SELECT rows.\"#\", given.* FROM unnest({}) AS given ({given}) \
                 CROSS JOIN LATERAL (SELECT there.ctid AS \"#\", there.\"version\" FROM {place} AS there \
                 WHERE there.tenant = $1 AND there.\"key\" >= given.\"key\" AND there.\"key\" <= given.\"key\" \
                 ORDER BY there.\"key\" LIMIT 1 FOR UPDATE) AS rows WHERE {condition})",
                parameters(3, arrays + 2)
            )
        };
        let counted = format!("SELECT {}.expect_rows(count(*), $2) FROM changed", self.store);
        match change.change {
            Change::Create(_) => {
                let names: String = columns.iter().map(|column| format!(", {column}")).collect();
                format!(
                    "WITH changed AS (INSERT INTO {place} (tenant, \"version\", \"key\"{names}) \
                     SELECT $1, 1, given.* FROM unnest({}) AS given (\"key\"{given}) RETURNING 1) {counted}",
                    parameters(3, columns.len() + 3)
                )
            }
            Change::Update { .. } => {
                let set: String = columns
                    .iter()
                    .enumerate()
                    .map(|(at, column)| format!(", {column} = found.value_{at}"))
                    .collect();
                let found = found(
                    &format!("\"key\", \"version\"{given}"),
                    columns.len() + 2,
                    "rows.\"version\" = given.\"version\"",
                );
                format!(
                    "{found}, changed AS (UPDATE {place} AS rows SET \"version\" = found.\"version\" + 1{set} \
                     FROM found WHERE rows.ctid = found.\"#\" RETURNING 1) {counted}"
                )
            }
            Change::Delete { .. } => {
                let found = found(
                    "\"key\", \"version\"",
                    2,
                    "given.\"version\" IS NULL OR rows.\"version\" = given.\"version\"",
                );
                format!(
                    "{found}, changed AS (DELETE FROM {place} AS rows USING found \
                     WHERE rows.ctid = found.\"#\" RETURNING 1) {counted}"
                )
            }
        }
    }

    /// The column whose values an index of the table keeps unique; none of another index, or of another table. Which
    /// columns are unique is for the server to say: the schema at hand may be an older one.
    pub(crate) fn unique_column<'s>(
        &self,
        schema: &'s EntitySchema,
        table: Option<&str>,
        index: Option<&str>,
    ) -> Option<&'s str> {
        let mut columns = schema.columns.iter().map(|column| column.name.as_str());
        let of_table = table == Some(schema.name.as_str());
        columns.find(|column| of_table && index == Some(unique_name(schema, column).as_str()))
    }
}

/// The index along which queries walk. No name of an entity holds a dot, so no index has the name of a table.
fn index_name(schema: &EntitySchema, column: &str) -> String {
    let fingerprint = Fingerprint::of([column.as_bytes()]).to_string();
    let short: String = fingerprint.chars().take(INDEX_CHARACTERS).collect();
    format!("{}.{short}", schema.name)
}

/// The index that keeps values unique. It lacks the id, so no query walks along it.
fn unique_name(schema: &EntitySchema, column: &str) -> String {
    format!("{}.u", index_name(schema, column))
}

/// Reads an entity in a row.
///
/// # Errors
/// [`Damaged`](underlay_core::Error::Damaged) where it is none of its shape; it names entity, id and column.
pub(crate) fn entity(row: &Row, schema: &EntitySchema) -> Result<StoredEntity, Failure> {
    let id: String = row.try_get(0)?;
    let damaged =
        |reason: String| Failure::Answer(underlay_core::Error::damaged_entity(&schema.name, &id, reason));
    let values = values(row, &schema.columns, |column| {
        damaged(format!("column {} does not hold {:?}", column.name, column.column_type))
    })?;
    schema.check_row(&id, &values).map_err(|error| damaged(error.to_string()))?;
    let version = version(row.try_get(schema.columns.len() + 1)?)
        .ok_or_else(|| damaged("column version is below 1".to_owned()))?;
    Ok(StoredEntity { id, version, values })
}

/// A version as it is stored; none that no entity has.
pub(crate) fn version(stored: i64) -> Option<EntityVersion> {
    u64::try_from(stored).ok().filter(|version| *version > 0).map(EntityVersion)
}

#[cfg(test)]
mod tests {
    use underlay_core::limits::NAME_BYTES_MAX;

    use super::*;

    #[test]
    fn the_longest_names_fit_and_tell_columns_apart() {
        let schema = EntitySchema::new("n".repeat(NAME_BYTES_MAX), 1, Vec::new());
        let names: Vec<String> = ["a", "b", &"c".repeat(NAME_BYTES_MAX)]
            .iter()
            .flat_map(|column| [index_name(&schema, column), unique_name(&schema, column)])
            .collect();
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= 63, "PostgreSQL cuts {name}");
            assert!(!names[..at].contains(name), "{name} is there twice");
        }
    }
}
