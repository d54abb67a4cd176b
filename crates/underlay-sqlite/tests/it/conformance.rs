//! Every sentence of every contract, on a file that is closed and opened again where the case asks.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use underlay_core::{
    Archive, ColumnType, Entities, EntitySchema, EventStore, ReadModels, Retention, Schedules, Snapshots,
    TenantId,
};
use underlay_sqlite::{SqliteConfig, SqliteStore};
use underlay_testkit::{
    ArchiveFixture, Damage, EntitiesFixture, EventStoreFixture, Fixture, ReadModelsFixture, RetentionFixture,
    SchedulesFixture, Skip, SnapshotsFixture,
};

struct File {
    store: SqliteStore,
    path: PathBuf,
    folder: TempDir,
}

impl Fixture for File {
    async fn create() -> Result<Self, Skip> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store.db");
        Ok(Self { store: SqliteStore::open(&path, SqliteConfig::default()).unwrap(), path, folder })
    }

    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        let store = SqliteStore::open(&self.path, SqliteConfig::default()).unwrap();
        Self { store, path: self.path, folder: self.folder }
    }
}

impl EventStoreFixture for File {
    fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.store.clone())
    }
}

impl ReadModelsFixture for File {
    fn read_models(&self) -> Arc<dyn ReadModels> {
        Arc::new(self.store.clone())
    }
}

impl EntitiesFixture for File {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(SqliteStore::open(&self.path, SqliteConfig::default()).unwrap())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(self.store.clone()))
    }

    /// The tables are STRICT and refuse what is empty, so a column is damaged where its type is stored as another.
    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        let (Damage::OtherType, Some(at)) = (damage, schema.column_at(column)) else { return false };
        let value = match schema.columns[at].column_type {
            ColumnType::Text => "CAST(x'ff' AS TEXT)",
            ColumnType::Decimal => "'lots'",
            ColumnType::Boolean => "2",
            ColumnType::Timestamp => "-9223372036854775808",
            ColumnType::Integer => return false,
        };
        let table = format!("entity_{}", schema.name);
        let sql = format!("UPDATE \"{table}\" SET \"{column}\" = {value} WHERE tenant = ?1 AND \"key\" = ?2");
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        assert_eq!(connection.execute(&sql, [tenant.as_str(), id]).unwrap(), 1);
        true
    }
}

impl SnapshotsFixture for File {
    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(self.store.clone())
    }
}

impl ArchiveFixture for File {
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.store.clone())
    }
}

impl RetentionFixture for File {
    fn retention(&self) -> Arc<dyn Retention> {
        Arc::new(self.store.clone())
    }
}

impl SchedulesFixture for File {
    fn schedules(&self) -> Arc<dyn Schedules> {
        Arc::new(self.store.clone())
    }
}

mod event_store {
    use super::File;

    underlay_testkit::conformance!(event_store, File);
}

mod read_models {
    use super::File;

    underlay_testkit::conformance!(read_models, File);
}

mod entities {
    use super::File;

    underlay_testkit::conformance!(entities, File);
}

mod snapshots {
    use super::File;

    underlay_testkit::conformance!(snapshots, File);
}

mod archive {
    use super::File;

    underlay_testkit::conformance!(archive, File);
}

mod retention {
    use super::File;

    underlay_testkit::conformance!(retention, File);
}

mod schedules {
    use super::File;

    underlay_testkit::conformance!(schedules, File);
}
