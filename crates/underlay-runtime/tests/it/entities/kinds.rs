//! Entities of two kinds, and a house with engines over them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use underlay_core::memory::{MemoryEntities, MemoryEventStore, MemoryReadModels};
use underlay_core::{
    Atomicity, Column, ColumnType, Decimal, Entities, Entity, EntityChange, EntityColumn, EntityPage,
    EntitySchema, EntityVersion, Error, Persistent, Query, StoredEntity, SystemClock, TenantId, Value,
};
use underlay_runtime::{
    Engine, EngineConfig, EntityStore, EntityStores, Ports, Registry, Repository, Request, Stores, UnitOfWork,
};

use crate::bank::{registry, request, tenant};

/// A price, kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub id: String,
    pub version: EntityVersion,
    pub base: String,
    pub value: Decimal,
    pub note: Option<String>,
}

impl Rate {
    pub const BASE: EntityColumn<Self, String> = EntityColumn::new("base");
    pub const VALUE: EntityColumn<Self, Decimal> = EntityColumn::new("value");
    pub const NOTE: EntityColumn<Self, String> = EntityColumn::new("note");
}

impl Entity for Rate {
    const NAME: &'static str = "rate";
    type Id = String;

    fn schema() -> EntitySchema {
        let column = |name: &str, column_type, nullable, indexed| Column {
            name: name.to_owned(),
            column_type,
            nullable,
            indexed,
        };
        let columns = vec![
            column("base", ColumnType::Text, false, true),
            column("value", ColumnType::Decimal, false, true),
            column("note", ColumnType::Text, true, false),
        ];
        EntitySchema::new("rate", 1, columns)
    }

    fn id(&self) -> String {
        self.id.clone()
    }

    fn version(&self) -> EntityVersion {
        self.version
    }

    fn into_stored(self) -> StoredEntity {
        let note = self.note.map_or(Value::Null, Value::Text);
        let values = vec![Value::Text(self.base), Value::Decimal(self.value), note];
        StoredEntity { id: self.id, version: self.version, values }
    }

    fn from_stored(stored: StoredEntity) -> Result<Self, Error> {
        let StoredEntity { id, version, values } = stored;
        match <[Value; 3]>::try_from(values) {
            Ok([Value::Text(base), Value::Decimal(value), Value::Text(note)]) => {
                Ok(Self { id, version, base, value, note: Some(note) })
            }
            Ok([Value::Text(base), Value::Decimal(value), Value::Null]) => {
                Ok(Self { id, version, base, value, note: None })
            }
            other => Err(Error::damaged_entity("rate", &id, format!("{other:?}"))),
        }
    }
}

impl Persistent for Rate {
    type Stored = Self;

    fn into_entity(self) -> Self {
        self
    }

    fn from_entity(entity: Self) -> Result<Self, Error> {
        Ok(entity)
    }
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

#[derive(Clone)]
pub struct OwnerRow(u32, EntityVersion, String);

impl Entity for OwnerRow {
    const NAME: &'static str = "owner";
    type Id = u32;

    fn schema() -> EntitySchema {
        let email = Column {
            name: "email".to_owned(),
            column_type: ColumnType::Text,
            nullable: false,
            indexed: true,
        };
        EntitySchema::new("owner", 1, vec![email]).with_unique(["email"])
    }

    fn id(&self) -> String {
        self.0.to_string()
    }

    fn version(&self) -> EntityVersion {
        self.1
    }

    fn into_stored(self) -> StoredEntity {
        StoredEntity { id: self.id(), version: self.1, values: vec![Value::Text(self.2)] }
    }

    fn from_stored(stored: StoredEntity) -> Result<Self, Error> {
        let StoredEntity { id, version, values } = stored;
        let damaged = |reason: &str| Error::damaged_entity("owner", &id, reason);
        let number = id.parse().map_err(|_| damaged("the id is no number"))?;
        match values.as_slice() {
            [Value::Text(email)] => Ok(Self(number, version, email.clone())),
            _ => Err(damaged("column email")),
        }
    }
}

impl Persistent for Owner {
    type Stored = OwnerRow;

    fn into_entity(self) -> OwnerRow {
        OwnerRow(self.number, self.version, format!("{}@{}", self.email.0, self.email.1))
    }

    fn from_entity(OwnerRow(number, version, email): OwnerRow) -> Result<Self, Error> {
        let Some((name, host)) = email.split_once('@') else {
            let reason = format!("{email:?} is no address");
            return Err(Error::damaged_entity("owner", &number.to_string(), reason));
        };
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
    pub fn over(below: &MemoryEntities, atomicity: Atomicity) -> Self {
        Self { below: below.clone(), asked: Arc::default(), atomicity }
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
impl Entities for Noting {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.below.prepare(schema).await
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

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.below.query(schema, tenant, query).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.below.count(schema, tenant, query).await
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
    pub entities: Noting,
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

    /// The owners in another store, which makes so many changes together.
    pub fn with_owners_elsewhere(atomicity: Atomicity) -> (Self, Noting) {
        let house = Self::new();
        let other = Noting::over(&MemoryEntities::default(), atomicity);
        let stores = EntityStores::new(of_log(&house.entities))
            .with("owner", EntityStore::new("elsewhere:", Arc::new(other.clone())));
        (Self::over(house.log, house.entities, stores), other)
    }

    fn over(log: MemoryEventStore, entities: Noting, stores: EntityStores) -> Self {
        let ports = Ports {
            work: None,
            store: Arc::new(log.clone()),
            read_models: Arc::new(MemoryReadModels::default()),
            wakeups: Arc::new(log.clone()),
            snapshots: None,
            leases: None,
            clock: Arc::new(SystemClock),
        };
        let stores = Stores { entities: stores, ..Stores::default() };
        let engine = Engine::with_stores(ports, stores, kinds(), EngineConfig::default()).unwrap();
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

pub fn kinds() -> Registry {
    registry().entity::<Rate>().entity::<Owner>()
}

fn of_log(entities: &Noting) -> EntityStore {
    EntityStore::of_log("the store of the log", Arc::new(entities.clone()))
}

pub fn other_tenant() -> Request {
    Request::new(TenantId::new("other").unwrap())
}
