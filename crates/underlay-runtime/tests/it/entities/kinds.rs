//! Entities of two kinds, and a house with engines over them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use underlay_core::memory::{MemoryEntities, MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Atomicity, Decimal, Entities, Entity, EntityChange, EntitySchema, EntityVersion, Error, EventStore,
    StoredEntity, SystemClock, TenantId,
};
use underlay_derive::entity;
use underlay_runtime::{
    Engine, EngineConfig, EntityStore, EntityStores, Ports, Registry, Repository, Request, Stores, UnitOfWork,
};
use underlay_testkit::{EntitiesLayer, Over};

use crate::bank::{registry, request, tenant};

/// A price, kept as it is.
#[entity(crate = underlay_core, name = "rate", version = 1)]
#[derive(Eq)]
pub struct Rate {
    #[id]
    pub id: String,
    #[version]
    pub version: EntityVersion,
    #[column(indexed)]
    pub base: String,
    #[column(indexed)]
    pub value: Decimal,
    pub note: Option<String>,
}

/// Who owns an account: a type of the domain, whose stored shape is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub number: u32,
    pub version: EntityVersion,
    pub email: Email,
}

/// A name and where it is, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(pub String, pub String);

#[entity(crate = underlay_core, name = "owner", version = 1, of = Owner)]
pub struct OwnerRow {
    #[id]
    number: u32,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    email: String,
}

impl From<Owner> for OwnerRow {
    fn from(Owner { number, version, email: Email(name, host) }: Owner) -> Self {
        Self { number, version, email: format!("{name}@{host}") }
    }
}

impl TryFrom<OwnerRow> for Owner {
    type Error = String;

    fn try_from(OwnerRow { number, version, email }: OwnerRow) -> Result<Self, String> {
        let (name, host) = email.split_once('@').ok_or_else(|| format!("{email:?} is no address"))?;
        Ok(Self { number, version, email: Email(name.to_owned(), host.to_owned()) })
    }
}

pub fn rate(id: &str, base: &str, value: i64) -> Rate {
    let version = EntityVersion::NEW;
    Rate { id: id.to_owned(), version, base: base.to_owned(), value: value.into(), note: None }
}

pub fn owner(number: u32, name: &str) -> Owner {
    Owner { number, version: EntityVersion::NEW, email: Email(name.to_owned(), "example.com".to_owned()) }
}

/// What was asked of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Loaded(String),
    /// How many changes there were in a batch.
    Applied(usize),
}

/// Entities in memory that note what is asked of them.
#[derive(Clone)]
pub struct Noting {
    pub below: MemoryEntities,
    asked: Arc<Mutex<Vec<Asked>>>,
    atomicity: Atomicity,
}

impl Noting {
    pub fn over(below: &MemoryEntities, atomicity: Atomicity) -> Over<Self> {
        Over(Self { below: below.clone(), asked: Arc::default(), atomicity })
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn note(&self, asked: impl IntoIterator<Item = Asked>) {
        self.asked.lock().unwrap().extend(asked);
    }
}

#[async_trait]
impl EntitiesLayer for Noting {
    type Below = MemoryEntities;

    fn below(&self) -> &MemoryEntities {
        &self.below
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.note(ids.iter().cloned().map(Asked::Loaded));
        self.below.load(schema, tenant, ids).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        self.note([Asked::Applied(changes.len())]);
        self.below.apply(tenant, changes).await
    }

    fn atomicity(&self) -> Atomicity {
        self.atomicity
    }
}

/// A bank whose entities are kept beside its log.
pub struct House {
    pub log: MemoryEventStore,
    pub entities: Over<Noting>,
    pub engine: Engine,
}

impl House {
    pub fn new() -> Self {
        let entities = MemoryEntities::default();
        let log = MemoryEventStore::new(Arc::new(SystemClock)).with_entities(entities.clone());
        let entities = Noting::over(&entities, Atomicity::Unit);
        Self::over(log, entities.clone(), EntityStores::new(of_log(&entities)))
    }

    /// Another process: its own caches, the same stores.
    pub fn beside(&self) -> Self {
        Self::over(self.log.clone(), self.entities.clone(), EntityStores::new(of_log(&self.entities)))
    }

    /// Copies of the rates are kept for so long.
    pub fn with_cached_rates(ttl: Duration) -> Self {
        let house = Self::new();
        let stores = EntityStores::new(of_log(&house.entities)).cached("rate", ttl);
        Self::over(house.log, house.entities, stores)
    }

    /// The owners in another store, which makes so many changes together.
    pub fn with_owners_elsewhere(atomicity: Atomicity) -> (Self, Over<Noting>) {
        let house = Self::new();
        let other = Noting::over(&MemoryEntities::default(), atomicity);
        let stores = EntityStores::new(of_log(&house.entities))
            .with("owner", EntityStore::new("elsewhere:", Arc::new(other.clone())));
        (Self::over(house.log, house.entities, stores), other)
    }

    fn over(log: MemoryEventStore, entities: Over<Noting>, stores: EntityStores) -> Self {
        let engine = engine(Arc::new(log.clone()), stores, EngineConfig::default());
        Self { log, entities, engine }
    }

    pub fn rates(&self) -> Repository<Rate> {
        self.engine.repository(&request()).unwrap()
    }

    pub fn owners(&self) -> Repository<Owner> {
        self.engine.repository(&request()).unwrap()
    }

    pub fn unit(&self) -> UnitOfWork {
        self.engine.unit_of_work(&request())
    }

    /// The version of a rate that is stored; none where there is none.
    pub async fn stored_version(&self, id: &str) -> Option<u64> {
        let found = self.entities.below.load(&Rate::schema(), &tenant(), &[id.to_owned()]).await.unwrap();
        found[0].as_ref().map(|entity| entity.version.0)
    }
}

/// An engine over a log, with entities in these stores.
pub fn engine(log: Arc<dyn EventStore>, stores: EntityStores, config: EngineConfig) -> Engine {
    let ports = Ports {
        work: None,
        store: log,
        read_models: Arc::new(MemoryReadModels::default()),
        // Nobody follows this log.
        wakeups: Arc::new(MemoryEventStore::default()),
        snapshots: None,
        leases: None,
        clock: Arc::new(SystemClock),
    };
    let stores = Stores { entities: stores, ..Stores::default() };
    Engine::with_stores(ports, stores, kinds(), config).unwrap()
}

pub fn kinds() -> Registry {
    registry().entity::<Rate>().entity::<Owner>()
}

fn of_log(entities: &Over<Noting>) -> EntityStore {
    EntityStore::of_log("the store of the log", Arc::new(entities.clone()))
}

pub fn other_tenant() -> Request {
    Request::new(TenantId::new("other").unwrap())
}
