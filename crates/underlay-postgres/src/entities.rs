use async_trait::async_trait;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use underlay_core::adapter::{Walk, check_unit};
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query, StoredEntity,
    TenantId, check_entity_ids,
};

use crate::connections::session::{Parameter, SessionRole, Statement};
use crate::error::Failure;
use crate::rows::query::{self, Select};
use crate::rows::row_table::{not_asked_for, place};
use crate::rows::values::{Stored, stored};
use crate::store::PostgresStore;
use crate::units::definitions::{PrepareEntity, definition, select_definition};
use crate::units::entity_table::entity;
use crate::units::refusal::{not_prepared, refusal};
use crate::units::unit::Unit;

/// How often a unit is run again after a deadlock or a serialization failure, or where others were before it.
const ATTEMPTS_MAX: usize = 4;

#[async_trait]
impl Entities for PostgresStore {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        let read = |answers: Vec<Vec<Row>>| {
            let stored = definition(answers.first().map_or(&[], Vec::as_slice), &schema.name)?;
            // As a rule it is there, and nothing is to be locked.
            Ok(stored.is_some_and(|stored| stored.fingerprint() == schema.fingerprint()))
        };
        let select = select_definition(&schema.name);
        if self.0.sessions.read(&SessionRole::Worker, &[select], read).await? {
            return Ok(());
        }
        let prepare = PrepareEntity { tables: &self.0.entity_tables, schema };
        Ok(self.0.sessions.write(&SessionRole::Worker, &prepare).await?)
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        let table = self.0.entity_tables.rows(schema);
        let select = table.select_rows();
        let owners = vec![tenant.as_str(); ids.len()];
        let parameters: [Parameter<'_>; 2] = [(&owners, Type::TEXT_ARRAY), (&ids, Type::TEXT_ARRAY)];
        let read = |answers: Vec<Vec<Row>>| {
            let mut found = vec![None; ids.len()];
            for row in answers.iter().flatten() {
                *found.get_mut(place(row, table.width())?).ok_or_else(not_asked_for)? =
                    Some(entity(row, schema)?);
            }
            Ok(found)
        };
        let statements = [Statement::new(&select, parameters)];
        let loaded = self.0.sessions.read(&SessionRole::Reader(tenant.clone()), &statements, read).await;
        Ok(loaded.map_err(|failure| not_prepared(failure, &schema.name))?)
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        let table = self.0.entity_tables.rows(schema);
        let walks = query.page_walks();
        let is_exact = walks.first().is_some_and(Walk::is_exact);
        let ways: Vec<Select> =
            walks.iter().map(|walk| query::select_page(&table, tenant, query, walk)).collect();
        let read = |found: &[Row]| {
            if query::is_page_too_broad(found, &table)? {
                return Ok(None);
            }
            let entities = found.iter().map(|row| entity(row, schema)).collect::<Result<_, Failure>>()?;
            Ok(Some(EntityPage::of(entities, query, schema)))
        };
        self.along(schema, tenant, is_exact, &ways, read).await?.ok_or_else(Error::page_too_broad)
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        let table = self.0.entity_tables.rows(schema);
        let walks = query.count_walks();
        let ways: Vec<Select> = walks.iter().map(|walk| query::select_count(&table, tenant, walk)).collect();
        self.along(schema, tenant, false, &ways, query::counted).await?.ok_or_else(Error::count_too_broad)
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let unit = Unit::new(&self.0.entity_tables, tenant, &changes);
        let (role, statements) = (SessionRole::Writer(tenant.clone()), unit.statements());
        let sessions = &self.0.sessions;
        let mut attempt = 1;
        loop {
            let failure = match sessions.write_all(&role, &statements).await {
                Ok(_) => return Ok(changes.iter().map(EntityChange::version_after).collect()),
                Err(broken) => refusal(sessions, &unit, broken).await,
            };
            if failure.is_lost() {
                return Err(Error::unit_uncertain(failure));
            }
            if attempt == ATTEMPTS_MAX || !(failure.is_transient() || failure.is_of_a_reader()) {
                return Err(failure.into());
            }
            tracing::debug!(%failure, attempt, "a unit is begun again");
            attempt += 1;
        }
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}

impl PostgresStore {
    /// Runs a query of a tenant's entities, one way after the other until one gives an answer.
    async fn along<T>(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        is_exact: bool,
        ways: &[Select],
        read: impl Fn(&[Row]) -> Result<Option<T>, Failure>,
    ) -> Result<Option<T>, Failure> {
        let values: Vec<Vec<Stored<'_>>> =
            ways.iter().map(|way| way.values.iter().map(stored).collect()).collect();
        let tries: Vec<Vec<Statement<'_>>> = ways
            .iter()
            .zip(&values)
            .map(|(way, values)| {
                let parameters: Vec<Parameter<'_>> = values.iter().map(Stored::parameter).collect();
                vec![Statement::new(&way.sql, parameters)]
            })
            .collect();
        let read = |answers: Vec<Vec<Row>>| read(answers.first().map_or(&[], Vec::as_slice));
        let found = self.0.sessions.query(tenant, is_exact, &tries, read).await;
        found.map_err(|failure| not_prepared(failure, &schema.name))
    }
}
