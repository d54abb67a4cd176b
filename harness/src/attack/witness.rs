//! What a tenant has, told past whatever is attacked: an attack must not have changed it.

use async_trait::async_trait;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{LogScope, Query, StreamName, ViewTable, WorkFilter, WorkPlace};

use super::marks::Marked;
use super::place::{ENTITIES, SCHEMA, VIEWS};
use super::population::{SHARED_STREAM, entity, own_stream};
use super::session::{Session, literal};
use crate::Result;
use crate::subject::OpenStore;

/// More than any tenant of an attack has.
const COMMITS_MAX: usize = 10_000;

/// Who sees everything.
#[async_trait]
pub(super) trait Witness: Sync {
    /// Everything a tenant has, in one text.
    async fn everything_of(&self, tenant: &Marked, tables: &[ViewTable]) -> Result<String>;
}

/// The administrator of a database looks into its tables, past every wall.
#[async_trait]
impl Witness for Session {
    async fn everything_of(&self, tenant: &Marked, tables: &[ViewTable]) -> Result<String> {
        let mut names: Vec<String> =
            ["events", "commits", "snapshots", "work", "work_later", "dead_letters", "schedules"]
                .map(|table| format!("{SCHEMA}.{table}"))
                .into();
        names
            .extend(tables.iter().map(|table| format!("{VIEWS}.{}_{}", table.schema.name, table.generation)));
        names.push(format!("{ENTITIES}.{}", entity().name));
        let mut text = String::new();
        for name in names {
            let sql = format!(
                "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {name} AS t WHERE tenant = {}",
                literal(tenant.id.as_str())
            );
            text.push_str(&self.run(&sql).await?.text);
        }
        Ok(text)
    }
}

/// Where there is no administrator the tenant asks for itself.
#[async_trait]
impl Witness for OpenStore {
    async fn everything_of(&self, tenant: &Marked, tables: &[ViewTable]) -> Result<String> {
        let scope = LogScope::Tenant(tenant.id.clone());
        let commits = self.archive.read_commits(&scope, 0, COMMITS_MAX).await?.commits;
        let mut parts = vec![format!("{commits:?}")];
        for stream in [StreamName::parse(SHARED_STREAM)?, own_stream(tenant)?] {
            parts.push(format!("{:?}", self.snapshots.load_snapshot(&tenant.id, &stream).await?));
        }
        let (work, schedules) = self.work()?;
        for dead in [false, true] {
            let filter = WorkFilter { tenant: Some(tenant.id.clone()), dead, ..WorkFilter::default() };
            parts.push(format!("{:?}", work.list_work(&filter, WorkPlace::START, WORK_PAGE_MAX).await?));
        }
        parts.push(format!("{:?}", schedules.list_schedules(Some(&tenant.id), None, WORK_PAGE_MAX).await?));
        let page = self.entities()?.query(&entity(), &tenant.id, &Query::default().limit(1_000)).await?;
        parts.push(format!("{:?}", page.entities));
        for table in tables {
            let page = self.read_models.query(table, &tenant.id, &Query::default().limit(1_000)).await?;
            parts.push(format!("{:?}", page.rows));
        }
        Ok(parts.join("\n"))
    }
}
