use tokio_postgres::Row;
use underlay_core::{Error, Query, TenantId, ViewTable};

use crate::connections::session::{Parameter, Statement};
use crate::error::Failure;
use crate::store::PostgresStore;
use crate::views::query::{self, Select};
use crate::views::row_table::{Stored, stored};

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
        Ok(first_ways(table, tenant, query).map(|select| select.sql))
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
        for (select, plan) in first_ways(table, tenant, query).iter().zip(&mut plans) {
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

fn first_ways(table: &ViewTable, tenant: &TenantId, query: &Query) -> [Select; 2] {
    // There is always one.
    let (pages, counts) = (query.page_walks(), query.count_walks());
    [query::select_page(table, tenant, query, &pages[0]), query::select_count(table, tenant, &counts[0])]
}
