//! What the tables of entities were made by, and how one is made or extended while others start too.

use async_trait::async_trait;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};
use underlay_core::{EntityExtension, EntitySchema};

use crate::connections::session::{Parameter, Statement, Work};
use crate::error::Failure;
use crate::log::event_row::RawJson;
use crate::units::entity_table::EntityTables;

/// What asks for the definition of an entity.
pub(crate) fn select_definition(name: &String) -> Statement<'_> {
    Statement::new(include_str!("../sql/select_entity_definition.sql"), [(name as _, Type::TEXT)])
}

/// The definition in the answer to that; none where nobody has made the table.
pub(crate) fn definition(rows: &[Row], name: &str) -> Result<Option<EntitySchema>, Failure> {
    let Some(row) = rows.first() else { return Ok(None) };
    let stored: RawJson<'_> = row.try_get(0)?;
    let read = serde_json::from_str(stored.0);
    read.map(Some).map_err(|error| Failure::damaged(format!("the definition of entity {name}: {error}")))
}

/// Makes the table of an entity where nobody has made it, and extends it where it was made by another definition.
pub(crate) struct PrepareEntity<'a> {
    pub(crate) tables: &'a EntityTables,
    pub(crate) schema: &'a EntitySchema,
}

#[async_trait]
impl Work for PrepareEntity<'_> {
    type Done = ();

    async fn run(&self, client: &Client) -> Result<(), Failure> {
        let name = &self.schema.name;
        let definition = serde_json::to_string(self.schema)
            .map_err(|error| Failure::refused(format!("entity {name} has no JSON form: {error}")))?;
        let parameters: [Parameter<'_>; 2] = [(name, Type::TEXT), (&definition, Type::TEXT)];
        // Of two that insert it, the second waits for the first to end.
        let insert = include_str!("../sql/insert_entity_definition.sql");
        if !client.query_typed(insert, &parameters).await?.is_empty() {
            client.batch_execute(&self.tables.create(self.schema)).await?;
            return Ok(());
        }
        let lock = include_str!("../sql/lock_entity_definition.sql");
        let rows = client.query_typed(lock, &parameters[..1]).await?;
        let stored = self::definition(&rows, name)?
            .ok_or_else(|| Failure::damaged(format!("the definition of entity {name} is gone")))?;
        let extension = self.schema.extension_of(&stored)?;
        if stored.fingerprint() == self.schema.fingerprint() {
            return Ok(());
        }
        self.extend(client, &extension).await?;
        client.query_typed(include_str!("../sql/update_entity_definition.sql"), &parameters).await?;
        Ok(())
    }
}

impl PrepareEntity<'_> {
    async fn extend(&self, client: &Client, extension: &EntityExtension) -> Result<(), Failure> {
        // Whoever comes later waits behind this, so it does not wait for long itself.
        client.query_typed(include_str!("../sql/set_extend_timeout.sql"), &[]).await?;
        for step in self.tables.extend(self.schema, extension) {
            client.batch_execute(&step).await?;
        }
        for column in &extension.unique {
            let made = client.batch_execute(&self.tables.create_unique_index(self.schema, column)).await;
            made.map_err(Failure::from).map_err(|failure| match failure.code() {
                Some(&SqlState::UNIQUE_VIOLATION) => {
                    Failure::Answer(EntityExtension::not_yet_unique(self.schema, column))
                }
                _ => failure,
            })?;
        }
        Ok(())
    }
}
