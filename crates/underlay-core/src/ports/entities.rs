use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{EntityPage, Query};
use crate::words::limits::PAGE_ROWS_MAX;
use crate::words::row_schema::check_key;
use crate::words::{EntityChange, EntitySchema, EntityVersion, Error, StoredEntity, TenantId};

/// What a store changes together or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// All changes of a unit, of whatever entities of a tenant.
    Unit,
    /// One change. A unit of several is refused before anything is written.
    OneChange,
}

/// Things that are stored as they are: rows with an id and a version.
///
/// Whoever opens a store prepares each entity before anything else is asked of it. What is asked of an entity that
/// nobody prepared is [`Error::NotFound`].
///
/// Changes that come together are stored in this order: what is removed, what is updated, what is created; each by
/// the name of the entity and by id. So two units never wait for each other in a circle, and a unique value that a
/// removed entity had is free for another. Whether one update may take a unique value that another of the same unit gives
/// up differs from store to store.
///
/// The contract, each sentence with the conformance case that attacks it:
///
/// 1. *An entity created is read back, by id and in bulk, with every column type at its extremes.* `entities_are_read_back`
/// 2. *To create one that is there is `EntityConflict` with its version, also where it is the same one.* `what_is_there_is_not_created_again`
/// 3. *An update needs the version that is stored; otherwise it is `EntityConflict` with the actual one.* `an_update_needs_the_stored_version`
/// 4. *Of updates from one version one is stored, also of several stores that are open on the same data.* `one_of_equal_updates_is_stored`
/// 5. *An entity is removed at the version named, or at any; one that is removed can be created anew.* `removed_entities_are_gone`
/// 6. *The changes of a unit are stored together or not at all, also over several entities.* `a_unit_is_stored_whole_or_not_at_all`
/// 7. *A store that changes one entity at a time refuses a unit of several before it writes anything.* `a_unit_past_the_atomicity_is_refused`
/// 8. *An entity that is named twice in a unit is `Invalid`, and nothing is stored.* `an_entity_is_changed_once_in_a_unit`
/// 9. *Filters, conditions and orders hold as `Query::meets` says, and a count counts what meets them.* `conditions_hold`
/// 10. *Whatever a query asks, the answer is the one of a naive filter.* `random_queries_agree_with_a_naive_filter`
/// 11. *Pages follow each other by cursor without gap or repeat, while entities are written.* `entity_pages_follow_each_other`
/// 12. *A unique value is in a tenant once; another is `RuleViolation`, which names entity and column, and stores nothing.* `a_unique_value_is_there_once`
/// 13. *A tenant sees and changes its own entities alone; one id and one unique value in two tenants are two entities.* `entities_belong_to_their_tenant`
/// 14. *Hostile text in ids and values is data.* `hostile_text_in_entities_is_data`
/// 15. *What does not fit the schema or exceeds a limit is `Invalid`, names the column, and stores nothing.* `misfit_entities_are_invalid`
/// 16. *A query that finds its answer within `QUERY_ROWS_SCANNED_MAX` rows of an index that its filters or its order name is answered; any other is `TooBroad`, and names the limit.* `a_query_of_entities_looks_at_a_bounded_number`
/// 17. *After reopening, entities and their versions are there.* `reopening_keeps_entities`
/// 18. *A stored entity that cannot be read is `Damaged`, and names entity, id and column.* `a_damaged_entity_is_named`
/// 19. *Another shape is `EntityChanged`, and nothing of what is stored changes.* `another_shape_is_refused`
/// 20. *A column that can be empty is added, an index comes and goes, and what is stored stays.* `a_shape_is_extended`
/// 21. *An entity that nobody prepared is `NotFound`.* `an_entity_that_nobody_prepared_is_not_found`
/// 22. *A caller that goes away leaves a unit whole or not stored.* `a_caller_that_goes_away_leaves_no_half`
/// 23. *A commit stores entities with its events, or neither; what fails leaves the id of the commit free.* `a_commit_stores_entities_with_its_events`
/// 24. *A repeat of a commit gets the first answer and changes no entity, whatever the entities are by then.* `a_repeated_commit_changes_no_entity`
/// 25. *Of commits written together that update one entity from one version, one is stored, and the others alone fail.* `one_of_the_commits_that_update_an_entity_is_stored`
/// 26. *A page ends with the entity that reaches `PAGE_TEXT_BYTES_MAX`, and says that more follow.* `entity_pages_are_bounded_in_bytes`
#[async_trait]
pub trait Entities: Send + Sync + 'static {
    /// Makes the table of an entity where it is missing. Where it is there and the definition is another one, the table is
    /// extended as [`EntitySchema::extension_of`] says. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`Error::EntityChanged`] where that is not enough; [`Error::Invalid`] where the schema is not well formed.
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error>;

    /// Loads entities by id, in the order asked; none where there is none of an id.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`check_entity_ids`] says; [`Error::Damaged`] where one cannot be read.
    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error>;

    /// Reads a page of entities.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the query does not fit; [`Error::TooBroad`] where it would look at too many entities;
    /// [`Error::Damaged`] where one of its answer cannot be read.
    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error>;

    /// Counts the entities that meet the filters and the condition of a query.
    ///
    /// # Errors
    /// As [`Entities::query`].
    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error>;

    /// Stores changes together, and returns the version of each entity after them, in the order of the changes:
    /// [`EntityVersion::NEW`] of one that was removed. They are durable when this returns.
    ///
    /// # Errors
    /// [`Error::EntityConflict`], [`Error::RuleViolation`], [`Error::NotFound`], [`Error::Invalid`]: nothing was stored.
    /// [`Error::Unavailable`]: nothing was stored. [`Error::UnitUncertain`]: the answer was lost, and nobody knows.
    async fn apply(&self, tenant: &TenantId, changes: Vec<EntityChange>)
    -> Result<Vec<EntityVersion>, Error>;

    /// What is changed together.
    fn atomicity(&self) -> Atomicity;
}

#[async_trait]
impl<S: Entities + ?Sized> Entities for Arc<S> {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        (**self).prepare(schema).await
    }
    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        (**self).load(schema, tenant, ids).await
    }
    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        (**self).query(schema, tenant, query).await
    }
    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        (**self).count(schema, tenant, query).await
    }
    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        (**self).apply(tenant, changes).await
    }
    fn atomicity(&self) -> Atomicity {
        (**self).atomicity()
    }
}

/// Checks the ids of entities that are loaded at once. Adapters call it first.
///
/// # Errors
/// [`Error::Invalid`] where there are more than [`PAGE_ROWS_MAX`], or one of them is no id.
pub fn check_entity_ids(ids: &[String]) -> Result<(), Error> {
    if ids.len() > PAGE_ROWS_MAX {
        return Err(Error::invalid(format!(
            "{} entities at once exceed PAGE_ROWS_MAX = {PAGE_ROWS_MAX}",
            ids.len()
        )));
    }
    ids.iter().try_for_each(|id| check_key(id))
}

/// That nobody prepared an entity in a store.
#[must_use]
pub fn entity_not_prepared(entity: &str) -> Error {
    Error::NotFound(format!("the table of entity {entity}"))
}
