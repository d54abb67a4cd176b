use tokio_postgres::Row;
use underlay_core::{EntityChange, EntitySchema, Error, Query, TenantId, ViewTable};

use crate::connections::session::{Parameter, SessionRole, Statement};
use crate::error::Failure;
use crate::rows::query::{self, Select};
use crate::rows::row_table::RowTable;
use crate::rows::values::{Stored, stored};
use crate::store::PostgresStore;
use crate::units::unit::Unit;
use crate::views::view_table;

impl PostgresStore {
    /// For tests: what reads a page of a query, and what counts, as they are sent, by the most promising way.
    #[doc(hidden)]
    pub fn statements_of(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<[String; 2], Error> {
        query.validate(&table.schema)?;
        Ok(first_ways(&view_table::rows(table), tenant, query).map(|select| select.sql))
    }

    /// For tests: how the server would run a page of a query, and how it would count, as a tenant's
    /// reader; the lines of both plans.
    #[doc(hidden)]
    pub async fn explain(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<[Vec<String>; 2], Error> {
        query.validate(&table.schema)?;
        self.plans(tenant, &first_ways(&view_table::rows(table), tenant, query)).await
    }

    /// For tests: as [`PostgresStore::explain`], of entities.
    #[doc(hidden)]
    pub async fn explain_entities(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<[Vec<String>; 2], Error> {
        query.validate(schema)?;
        self.plans(tenant, &first_ways(&self.0.entity_tables.rows(schema), tenant, query)).await
    }

    /// For tests: how the server would run the statements of a unit, as a tenant's writer; the lines of each plan.
    #[doc(hidden)]
    pub async fn explain_unit(
        &self,
        tenant: &TenantId,
        changes: &[EntityChange],
    ) -> Result<Vec<Vec<String>>, Error> {
        let unit = Unit::new(&self.0.entity_tables, tenant, changes);
        let statements = unit.statements();
        let explain = |statement: &Statement<'_>| format!("EXPLAIN (COSTS OFF) {}", statement.sql);
        let explained: Vec<String> = statements.iter().map(explain).collect();
        let asked = statements.iter().zip(&explained);
        let asked: Vec<Statement<'_>> =
            asked.map(|(statement, sql)| Statement::new(sql, statement.parameters.clone())).collect();
        let told = self.0.sessions.write_all(&SessionRole::Writer(tenant.clone()), &asked).await;
        let told = told.map_err(|broken| broken.failure)?;
        let lines = |rows: Vec<Row>| rows.iter().map(|row| Ok(row.try_get(0)?)).collect();
        Ok(told.into_iter().map(lines).collect::<Result<_, Failure>>()?)
    }

    async fn plans(&self, tenant: &TenantId, selects: &[Select; 2]) -> Result<[Vec<String>; 2], Error> {
        let mut plans = [Vec::new(), Vec::new()];
        for (select, plan) in selects.iter().zip(&mut plans) {
            let sql = format!("EXPLAIN (COSTS OFF) {}", select.sql);
            let values: Vec<Stored<'_>> = select.values.iter().map(stored).collect();
            let parameters: Vec<Parameter<'_>> = values.iter().map(Stored::parameter).collect();
            let read = |answers: Vec<Vec<Row>>| {
                answers
                    .iter()
                    .flatten()
                    .map(|row| Ok(row.try_get(0)?))
                    .collect::<Result<Vec<String>, Failure>>()
            };
            let statements = [vec![Statement::new(&sql, parameters)]];
            let read = |answers| read(answers).map(Some);
            *plan = self.0.sessions.query(tenant, false, &statements, read).await?.unwrap_or_default();
        }
        Ok(plans)
    }
}

fn first_ways(table: &RowTable<'_>, tenant: &TenantId, query: &Query) -> [Select; 2] {
    // There is always one.
    let (pages, counts) = (query.page_walks(), query.count_walks());
    [query::select_page(table, tenant, query, &pages[0]), query::select_count(table, tenant, &counts[0])]
}
