//! Entities, with what is counted of the calls that reach their store. It says and does nothing else than the store it
//! stands before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{
    Atomicity, Clock, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Query,
    StoredEntity, TenantId, Timestamp,
};

use super::{Counter, Exposition, Family, Histogram, Kind};
use crate::Registry;

static CALLS: Family = Family::new(
    "underlay_entity_calls_total",
    Kind::Counter,
    &["entity", "operation", "outcome"],
    "Calls of the store of an entity that ended in this process; a unit of work counts once for each entity in it.",
);
static DURATION: Family = Family::new(
    "underlay_entity_call_duration_seconds",
    Kind::Histogram,
    &["entity", "operation"],
    "How long the store of an entity took to answer a call.",
);

/// What is asked of a store, but for the preparation of tables.
#[derive(Clone, Copy)]
enum Operation {
    Load,
    Query,
    Count,
    Apply,
}

impl Operation {
    const WORDS: [&str; 4] = ["load", "query", "count", "apply"];
}

/// What became of a call.
#[derive(Clone, Copy)]
enum Ending {
    Done,
    Conflict,
    Rule,
    Invalid,
    Unavailable,
    Uncertain,
    Damaged,
    Failed,
}

impl Ending {
    const WORDS: [&str; 8] =
        ["done", "conflict", "rule", "invalid", "unavailable", "uncertain", "damaged", "failed"];

    fn of<T>(answer: &Result<T, Error>) -> Self {
        match answer {
            Ok(_) => Self::Done,
            Err(Error::EntityConflict(_)) => Self::Conflict,
            Err(Error::RuleViolation(_)) => Self::Rule,
            Err(Error::Invalid(_) | Error::NotFound(_) | Error::TooBroad(_)) => Self::Invalid,
            Err(Error::Unavailable { .. }) => Self::Unavailable,
            Err(Error::UnitUncertain { .. }) => Self::Uncertain,
            Err(Error::Damaged(_)) => Self::Damaged,
            Err(_) => Self::Failed,
        }
    }
}

#[derive(Default)]
struct Measured {
    /// By [`Ending`].
    endings: [Counter; Ending::WORDS.len()],
    duration: Histogram,
}

/// What is counted of entities.
pub(crate) struct EntityMetrics {
    /// By the name of the entity, and then by [`Operation`].
    entities: BTreeMap<&'static str, [Measured; Operation::WORDS.len()]>,
}

impl EntityMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let names = registry.entity_entries().keys();
        Self { entities: names.map(|name| (*name, Default::default())).collect() }
    }

    fn ended(&self, entity: &str, operation: Operation, ending: Ending, [begun, now]: [Timestamp; 2]) {
        if let Some(measured) = self.entities.get(entity) {
            let measured = &measured[operation as usize];
            measured.endings[ending as usize].increment();
            measured.duration.observe_between(begun, now);
        }
    }

    pub(crate) fn write(&self, out: &mut Exposition) {
        let mut counts = out.begin(&CALLS);
        for (entity, operations) in &self.entities {
            for (operation, measured) in Operation::WORDS.iter().zip(operations) {
                for (word, count) in Ending::WORDS.iter().zip(&measured.endings) {
                    counts.add(&[entity, operation, word], count.get());
                }
            }
        }
        let mut durations = out.begin(&DURATION);
        for (entity, operations) in &self.entities {
            for (operation, measured) in Operation::WORDS.iter().zip(operations) {
                durations.add_histogram(&[entity, operation], &measured.duration);
            }
        }
    }
}

/// Entities whose calls are counted.
pub(crate) struct MeasuredEntities {
    pub(crate) entities: Arc<dyn Entities>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<EntityMetrics>,
}

impl MeasuredEntities {
    async fn measure<T>(
        &self,
        entity: &str,
        operation: Operation,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = self.clock.now();
        let answer = call.await;
        self.metrics.ended(entity, operation, Ending::of(&answer), [begun, self.clock.now()]);
        answer
    }
}

#[async_trait]
impl Entities for MeasuredEntities {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        self.entities.prepare(schema).await
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        self.measure(&schema.name, Operation::Load, self.entities.load(schema, tenant, ids)).await
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        self.measure(&schema.name, Operation::Query, self.entities.query(schema, tenant, query)).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        self.measure(&schema.name, Operation::Count, self.entities.count(schema, tenant, query)).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let schemas: Vec<Arc<EntitySchema>> = changes.iter().map(|change| change.schema.clone()).collect();
        let begun = self.clock.now();
        let answer = self.entities.apply(tenant, changes).await;
        let times = [begun, self.clock.now()];
        let names: BTreeSet<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
        for name in names {
            self.metrics.ended(name, Operation::Apply, Ending::of(&answer), times);
        }
        answer
    }

    fn atomicity(&self) -> Atomicity {
        self.entities.atomicity()
    }
}
