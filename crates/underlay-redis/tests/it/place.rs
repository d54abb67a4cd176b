//! A Redis for a test, and what the test keeps in it.

use std::env;
use std::sync::Arc;

use redis::{Cmd, FromRedisValue};
use servers::{Missing, REDIS_VARIABLE, Redis};
use underlay_core::{
    Column, ColumnType, Entities, EntityChange, EntitySchema, EntityVersion, TenantId, Value,
};
use underlay_redis::{RedisConfig, RedisStore};
use uuid::Uuid;

/// A server, and what the keys of a test begin with there.
pub(crate) struct Place {
    /// None where the tests were told of one.
    pub(crate) server: Option<Redis>,
    pub(crate) address: String,
    pub(crate) prefix: String,
}

impl Place {
    /// On the server the tests were told of, or a private one.
    pub(crate) fn find() -> Result<Self, Missing> {
        match env::var(REDIS_VARIABLE) {
            Ok(address) => Ok(Self { server: None, address, prefix: new_prefix() }),
            Err(_) => Self::start(&[]),
        }
    }

    /// On a server of its own, which the test may stop and configure.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Missing> {
        let server = Redis::start_with(arguments)?;
        let address = server.address();
        Ok(Self { server: Some(server), address, prefix: new_prefix() })
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig::default().with_prefix(&self.prefix)
    }

    /// A store with connections of its own.
    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::new(&self.address, self.config()).unwrap()
    }

    /// What the server answers, past the store.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.address.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }

    /// What the command line of a server of the test's own answers.
    pub(crate) fn tell(&self, command: &[&str]) -> String {
        self.server.as_ref().unwrap().ask(command).unwrap()
    }

    /// A key of a tenant.
    pub(crate) fn key(&self, tenant: &TenantId, rest: &str) -> String {
        format!("{{{}:{tenant}}}:{rest}", self.prefix)
    }
}

fn new_prefix() -> String {
    format!("t{}", Uuid::now_v7().simple())
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

pub(crate) fn column(name: &str, nullable: bool, indexed: bool) -> Column {
    Column { name: name.to_owned(), column_type: ColumnType::Text, nullable, indexed }
}

/// Rates: what they are from, which is indexed and unique, and a note.
pub(crate) fn rates() -> EntitySchema {
    EntitySchema::new("rate", 1, vec![column("base", false, true), column("note", true, false)])
        .with_unique(["base"])
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(crate) fn rate(base: &str) -> Vec<Value> {
    vec![text(base), Value::Null]
}

pub(crate) fn create(id: &str, base: &str) -> EntityChange {
    EntityChange::create(Arc::new(rates()), id, rate(base))
}

pub(crate) fn update(id: &str, expected: u64, base: &str) -> EntityChange {
    EntityChange::update(Arc::new(rates()), id, EntityVersion(expected), rate(base))
}

/// A store in which rates are prepared.
pub(crate) async fn prepared(place: &Place) -> RedisStore {
    let store = place.store();
    store.prepare(&rates()).await.unwrap();
    store
}

/// Lets a test end where there is no server.
macro_rules! place_or_skip {
    ($place:expr) => {
        match $place {
            Ok(place) => place,
            Err(missing) => return missing.skip_test(),
        }
    };
}
pub(crate) use place_or_skip;
