use tokio_postgres::Row;
use underlay_core::{Error, Query, TenantId, ViewTable};

use crate::query;
use crate::row_table::{Stored, stored};
use crate::session::{Actor, Parameter, Statement};
use crate::store::PostgresStore;

impl PostgresStore {
    /// For tests: what reads a page of a query, and what counts, as they are sent.
    #[doc(hidden)]
    pub fn statements_of(
        &self,
        table: &ViewTable,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<[String; 2], Error> {
        query.validate(&table.schema)?;
        Ok([query::select_page(table, tenant, query).sql, query::select_count(table, tenant, query).sql])
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
        let mut plans = [Vec::new(), Vec::new()];
        let selects = [query::select_page(table, tenant, query), query::select_count(table, tenant, query)];
        for (select, plan) in selects.iter().zip(&mut plans) {
            let sql = format!("EXPLAIN (COSTS OFF) {}", select.sql);
            let values: Vec<Stored<'_>> = select.values.iter().map(stored).collect();
            let parameters: Vec<Parameter<'_>> = values.iter().map(Stored::parameter).collect();
            let read = |answers: Vec<Vec<Row>>| {
                answers
                    .iter()
                    .skip(1)
                    .flatten()
                    .map(|row| Ok(row.try_get(0)?))
                    .collect::<Result<Vec<String>, _>>()
            };
            let actor = Actor::Reader(tenant.clone());
            let statements =
                [Statement::new(include_str!("sql/allow_sorting.sql"), []), Statement::new(&sql, parameters)];
            *plan = self.0.sessions.read(&actor, &statements, read).await?;
        }
        Ok(plans)
    }
}
