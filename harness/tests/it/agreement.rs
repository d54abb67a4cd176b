//! One query, one meaning: the same entities in every store, asked the same at the same time.

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::mem::discriminant;
use std::sync::Arc;

use async_trait::async_trait;
use servers::{LOGIN, MONGODB_VARIABLE, Mongodb, REDIS_VARIABLE, ROLE_PREFIX, Redis, Server, with_option};
use tempfile::TempDir;
use underlay_core::adapter::{Adapter, OptionValues};
use underlay_core::memory::MemoryAdapter;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, EventStore, Query,
    StoredEntity, TenantId,
};
use underlay_mongodb::MongoAdapter;
use underlay_postgres::{PostgresAdapter, PostgresConfig, migrate};
use underlay_redis::RedisAdapter;
use underlay_sqlite::SqliteAdapter;
use underlay_testkit::{Damage, EntitiesFixture, Fixture, Skip};
use uuid::Uuid;

/// Everybody asks every store, and gets an answer where all stores give the same.
struct Agreeing(Vec<(&'static str, Arc<dyn Entities>)>);

impl Agreeing {
    /// The answer that all stores give.
    async fn all<T, F>(&self, what: &str, ask: impl Fn(Arc<dyn Entities>) -> F) -> Result<T, Error>
    where
        T: Debug + PartialEq,
        F: Future<Output = Result<T, Error>>,
    {
        let mut answers = Vec::new();
        for (name, store) in &self.0 {
            answers.push((*name, ask(store.clone()).await));
        }
        let mut answers = answers.into_iter();
        let (first, answer) = answers.next().unwrap();
        for (other, theirs) in answers {
            let agree = match (&answer, &theirs) {
                (Ok(one), Ok(other)) => one == other,
                (Err(one), Err(other)) => discriminant(one) == discriminant(other),
                _ => false,
            };
            assert!(agree, "{what}\n{first}: {answer:?}\n{other}: {theirs:?}");
        }
        answer
    }
}

#[async_trait]
impl Entities for Agreeing {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.all("prepare", |store| async move { store.prepare(schema).await }).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.all(&format!("load {ids:?}"), |store| async move { store.load(schema, tenant, ids).await }).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.all(&format!("{query:?}"), |store| async move { store.query(schema, tenant, query).await }).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        let what = format!("the count of {query:?}");
        self.all(&what, |store| async move { store.count(schema, tenant, query).await }).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let changes = &changes;
        let apply = |store: Arc<dyn Entities>| async move { store.apply(tenant, changes.clone()).await };
        self.all(&format!("{changes:?}"), apply).await
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::Unit
    }
}

/// Every store, each in a place of its own.
struct Everywhere {
    stores: Arc<Agreeing>,
    /// Goes with what is made in it.
    _places: (TempDir, servers::Database, Server, Option<Mongodb>, Option<Redis>),
}

async fn open(adapter: impl Adapter, address: &str) -> Arc<dyn Entities> {
    adapter.open(address, &OptionValues::new()).await.unwrap().entities.unwrap()
}

impl Fixture for Everywhere {
    async fn create() -> Result<Self, Skip> {
        let skip = |missing: servers::Missing| Skip::new(missing.to_string());
        let name = format!("agree_{}", Uuid::now_v7().simple());
        let folder = TempDir::new().unwrap();
        let server = tokio::task::block_in_place(Server::find).map_err(skip)?;
        let database = server.create("underlay_agreement").await.unwrap();
        let turn = database.prepare_login().await.unwrap();
        let config = PostgresConfig::default().with_role_prefix(ROLE_PREFIX);
        migrate(&database.admin_address(), &config, Some(LOGIN)).await.unwrap();
        drop(turn);
        let postgres = with_option(&database.login_address(), "underlay_role_prefix", ROLE_PREFIX);
        let (mongod, mongodb) = match env::var(MONGODB_VARIABLE) {
            Ok(named) => (None, in_database(&named, &name)),
            Err(_) => {
                let private = tokio::task::block_in_place(Mongodb::start).map_err(skip)?;
                let address = private.address_of(&name);
                (Some(private), address)
            }
        };
        let (private, redis) = match env::var(REDIS_VARIABLE) {
            Ok(named) => (None, named),
            Err(_) => {
                let private = tokio::task::block_in_place(Redis::start).map_err(skip)?;
                let address = private.address();
                (Some(private), address)
            }
        };
        let prefix = &name[..40.min(name.len())];
        let sqlite = format!("sqlite:{}", folder.path().join("store.db").display());
        let stores = vec![
            ("memory", open(MemoryAdapter::default(), "memory:").await),
            ("sqlite", open(SqliteAdapter::default(), &sqlite).await),
            ("postgres", open(PostgresAdapter::default(), &postgres).await),
            ("mongodb", open(MongoAdapter::default(), &mongodb).await),
            ("redis", open(RedisAdapter::default(), &format!("{redis}?prefix={prefix}")).await),
        ];
        let _places = (folder, database, server, mongod, private);
        Ok(Self { stores: Arc::new(Agreeing(stores)), _places })
    }

    async fn reopen(self) -> Self {
        self
    }
}

/// The address of a server of MongoDB with another database.
fn in_database(server: &str, name: &str) -> String {
    let (place, options) = server.split_once('?').unwrap_or((server, ""));
    let host = place.trim_start_matches("mongodb://").split('/').next().unwrap_or_default();
    format!("mongodb://{host}/{name}?{options}")
}

impl EntitiesFixture for Everywhere {
    fn entities(&self) -> Arc<dyn Entities> {
        self.stores.clone()
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        None
    }

    async fn damage(&self, _: &EntitySchema, _: &TenantId, _: &str, _: &str, _: Damage) -> bool {
        false
    }
}

/// Cases of the test kit with one caller, each asked of every store: who of several comes first is each store's own.
macro_rules! agreed {
    ($($case:ident)*) => {$(
        #[test]
        fn $case() {
            let case = underlay_testkit::entities::CASES.iter().find(|case| case.name == stringify!($case));
            underlay_testkit::private::prove(*case.unwrap(), underlay_testkit::entities::$case::<Everywhere>);
        }
    )*};
}

agreed! {
    conditions_hold
    random_queries_agree_with_a_naive_filter
    hostile_text_in_entities_is_data
}
