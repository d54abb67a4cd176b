use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::limits::PAGE_ROWS_MAX;
use underlay_core::memory::{MemoryEntities, MemoryEventStore};
use underlay_core::{
    Atomicity, Change, Commit, Committed, Comparison, Condition, Decimal, Direction, Entities, EntityChange,
    EntityPage, EntitySchema, EntityVersion, Error, EventStore, Query, StoredEntity, TenantId, Value,
};
use underlay_testkit::{
    Damage, EntitiesFixture, EventStoreLayer, Fixture, MemoryFixture, Over, Skip, sample,
};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Decimals are kept as floats.
    KeepsDecimalsAsFloats,
    /// Entities are loaded in the order of their ids.
    LoadsById,
    /// What is created over another takes its place.
    CreatesOver,
    /// An update is stored whatever version is there.
    IgnoresVersions,
    /// A conflict tells the version that was expected as the actual one.
    InventsActualVersion,
    /// The versions are compared first and the changes stored later.
    ComparesThenStores,
    /// Deletes are taken and not done.
    IgnoresDeletes,
    /// What was removed goes on with its old version when it is created anew.
    RemembersTheRemoved,
    /// The changes of a unit are stored one after the other.
    StoresInSteps,
    /// The same, and each is a while after the one before.
    StoresInSlowSteps,
    /// A unit of several is refused once its first change is stored.
    StoresTheFirst,
    /// Of two changes of one entity the last counts.
    TakesTheLast,
    /// What is compared with nothing is neither true nor false, as in SQL.
    KnowsThreeTruths,
    /// A count leaves the condition out.
    CountsWithoutCondition,
    /// Conditions deep within others are taken for true.
    ForgetsDeepConditions,
    /// A page leaves out what has the value of the cursor.
    LosesTies,
    /// A page has as many entities as were asked for, however large they are.
    FillsPages,
    /// Two entities may have the same unique value.
    ForgetsUniqueness,
    /// Who breaks a rule is told the value.
    TellsTheValue,
    /// Entities are kept by their id alone.
    SharesEntities,
    /// Ids lose the blanks around them.
    TrimsIds,
    /// What does not fit is passed over.
    PassesOverMisfits,
    /// Errors say that something does not fit, not what.
    NamesNoColumn,
    /// A count looks at all there is.
    CountsWithoutEnd,
    /// A page looks at all there is.
    LooksWithoutEnd,
    /// Reopened, there are no entities.
    LosesEntities,
    /// What cannot be read is not there.
    HidesDamage,
    /// Damage is told without its place.
    NamesNoPlace,
    /// Entities of another shape are read.
    TakesAnyShape,
    /// No shape is another than the first.
    ExtendsNothing,
    /// Nobody has to prepare an entity.
    PreparesByItself,
    /// The events of a commit are stored first, and then its entities.
    StoresEventsFirst,
    /// A repeat of a commit changes its entities again.
    RepeatsChanges,
    /// The entities of a commit are compared before it, and changed by it.
    ComparesThenCommits,
}

/// Entities with the log that keeps them.
#[derive(Clone)]
struct Mutant {
    inner: MemoryFixture,
    mutation: Mutation,
    first: Arc<std::sync::Mutex<Option<EntitySchema>>>,
}

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        Self { inner: MemoryFixture::default(), mutation, first: Arc::default() }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn below(&self) -> &MemoryEntities {
        &self.inner.entities
    }

    fn log(&self) -> MemoryEventStore {
        self.inner.events.clone().with_entities(self.inner.entities.clone())
    }

    fn tenant(&self, tenant: &TenantId) -> TenantId {
        if self.is(Mutation::SharesEntities) { sample::tenant("shared") } else { tenant.clone() }
    }

    /// The schema as the broken store makes it.
    fn schema(&self, schema: &EntitySchema) -> EntitySchema {
        let schema = schema.clone();
        if self.is(Mutation::ForgetsUniqueness) { schema.with_unique([""; 0]) } else { schema }
    }

    /// The changes with the versions that are there.
    async fn at_actual_versions(
        &self,
        tenant: &TenantId,
        mut changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityChange>, Error> {
        for change in &mut changes {
            let stored = self.below().load(&change.schema, tenant, std::slice::from_ref(&change.id)).await?;
            let actual = stored.into_iter().flatten().next().map(|stored| stored.version);
            change.change = match (change.change.clone(), actual) {
                (Change::Create(values) | Change::Update { values, .. }, Some(expected)) => {
                    Change::Update { expected, values }
                }
                (Change::Create(values) | Change::Update { values, .. }, None) => Change::Create(values),
                (Change::Delete { .. }, _) => Change::Delete { expected: None },
            };
        }
        Ok(changes)
    }

    /// Compares versions, as if nobody wrote in between.
    async fn compare(&self, tenant: &TenantId, changes: &[EntityChange]) -> Result<(), Error> {
        for change in changes {
            let stored = self.below().load(&change.schema, tenant, std::slice::from_ref(&change.id)).await?;
            change.check_version(stored.into_iter().flatten().next().map(|stored| stored.version))?;
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Stores changes one after the other.
    async fn in_steps(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let mut versions = Vec::new();
        for change in changes {
            versions.extend(self.below().apply(tenant, vec![change]).await?);
            if self.is(Mutation::StoresInSlowSteps) {
                for _ in 0..256 {
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(versions)
    }

    async fn every(&self, schema: &EntitySchema, tenant: &TenantId) -> Result<Vec<StoredEntity>, Error> {
        let mut query = Query::default().limit(PAGE_ROWS_MAX);
        let mut all = Vec::new();
        loop {
            let page = self.below().query(schema, tenant, &query).await?;
            all.extend(page.entities);
            let Some(next) = page.next else { return Ok(all) };
            query.after = Some(next);
        }
    }

    /// The query as the broken store takes it.
    fn broken(&self, query: &Query) -> Query {
        let mut query = query.clone();
        match self.mutation {
            Mutation::KnowsThreeTruths => query.condition = three_valued(query.condition),
            Mutation::ForgetsDeepConditions => query.condition = shallow(query.condition, 3),
            Mutation::LosesTies => {
                let place = query.sort.column.clone().zip(query.after.clone().and_then(|after| after.value));
                if let Some((column, value)) = place {
                    query.after = None;
                    let beyond = match query.sort.direction {
                        Direction::Ascending => Comparison::Gt,
                        Direction::Descending => Comparison::Lt,
                    };
                    query = query.filter(column, beyond, value);
                }
            }
            _ => {}
        }
        query
    }

    fn told<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        match (answer, self.mutation) {
            (Err(Error::Invalid(_)), Mutation::NamesNoColumn) => {
                Err(Error::invalid("something does not fit"))
            }
            (Err(Error::Damaged(_)), Mutation::NamesNoPlace) => Err(Error::Damaged("something".to_owned())),
            (Err(Error::EntityConflict(mut conflict)), Mutation::InventsActualVersion) => {
                conflict.actual = conflict.expected;
                Err(Error::EntityConflict(conflict))
            }
            (Err(Error::RuleViolation(text)), Mutation::TellsTheValue) => {
                Err(Error::RuleViolation(format!("{text}: secret-code")))
            }
            (answer, _) => answer,
        }
    }
}

/// Nothing is true of what is empty, nor is it false.
fn three_valued(condition: Condition) -> Condition {
    let each = |parts: Vec<Condition>| parts.into_iter().map(three_valued).collect();
    match condition {
        Condition::All(parts) => Condition::All(each(parts)),
        Condition::Any(parts) => Condition::Any(each(parts)),
        Condition::Not(part) => match *part {
            Condition::Compare(filter) => {
                let empty = Condition::IsNull { column: filter.column.clone() };
                Condition::Compare(filter).negated().and(empty.negated())
            }
            part => three_valued(part).negated(),
        },
        leaf => leaf,
    }
}

fn shallow(condition: Condition, depth: usize) -> Condition {
    let each = |parts: Vec<Condition>| parts.into_iter().map(|part| shallow(part, depth - 1)).collect();
    match condition {
        _ if depth == 0 => Condition::default(),
        Condition::All(parts) => Condition::All(each(parts)),
        Condition::Any(parts) => Condition::Any(each(parts)),
        Condition::Not(part) => shallow(*part, depth - 1).negated(),
        leaf => leaf,
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        if self.is(Mutation::LosesEntities) { Self::with(Mutation::LosesEntities) } else { self }
    }
}

impl EntitiesFixture for Mutant {
    fn entities(&self) -> Arc<dyn Entities> {
        Arc::new(self.clone())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        Some(Arc::new(Over(self.clone())))
    }

    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        self.inner.damage(schema, tenant, id, column, damage).await
    }
}

#[async_trait]
impl Entities for Mutant {
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        if self.is(Mutation::ExtendsNothing) {
            let mut first = self.first.lock().unwrap();
            let known = first.get_or_insert_with(|| schema.clone());
            if known.name == schema.name && known.fingerprint() != schema.fingerprint() {
                return Err(Error::EntityChanged { entity: schema.name.clone(), reason: "code".to_owned() });
            }
        }
        match self.below().prepare(&self.schema(schema)).await {
            Err(Error::EntityChanged { .. }) if self.is(Mutation::TakesAnyShape) => Ok(()),
            prepared => self.told(prepared),
        }
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        if self.is(Mutation::PreparesByItself) {
            self.prepare(schema).await?;
        }
        let trimmed: Vec<String> = ids.iter().map(|id| id.trim().to_owned()).collect();
        let ids = if self.is(Mutation::TrimsIds) { &trimmed } else { ids };
        let loaded = self.below().load(schema, &self.tenant(tenant), ids).await;
        match (self.told(loaded), self.mutation) {
            (Err(Error::Damaged(_)), Mutation::HidesDamage) => Ok(vec![None; ids.len()]),
            (Ok(mut loaded), Mutation::LoadsById) => {
                loaded.sort_by_key(|entity| entity.as_ref().map(|entity| entity.id.clone()));
                Ok(loaded)
            }
            (Ok(mut loaded), Mutation::KeepsDecimalsAsFloats) => {
                for value in loaded.iter_mut().flatten().flat_map(|entity| &mut entity.values) {
                    if let Value::Decimal(number) = value {
                        let float: f64 = number.to_string().parse().unwrap();
                        *value = Value::Decimal(Decimal::try_from(float).unwrap_or_default());
                    }
                }
                Ok(loaded)
            }
            (loaded, _) => loaded,
        }
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        if self.is(Mutation::PreparesByItself) {
            self.prepare(schema).await?;
        }
        let tenant = &self.tenant(tenant);
        let mut page = self.below().query(schema, tenant, &self.broken(query)).await;
        if self.is(Mutation::FillsPages)
            && let Ok(page) = &mut page
        {
            while page.entities.len() < query.limit
                && let Some(next) = page.next.take()
            {
                let rest =
                    Query { after: Some(next), ..query.clone() }.limit(query.limit - page.entities.len());
                let more = self.below().query(schema, tenant, &rest).await?;
                page.entities.extend(more.entities);
                page.next = more.next;
            }
        }
        match (self.told(page), self.mutation) {
            (Err(Error::Damaged(_)), Mutation::HidesDamage) => {
                Ok(EntityPage { entities: Vec::new(), next: None })
            }
            (Err(Error::TooBroad(_)), Mutation::LooksWithoutEnd) => {
                let mut entities = self.every(schema, tenant).await?;
                entities.retain(|entity| query.meets(schema, &entity.values));
                Ok(EntityPage::of(entities, query, schema))
            }
            (page, _) => page,
        }
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        if self.is(Mutation::PreparesByItself) {
            self.prepare(schema).await?;
        }
        let tenant = &self.tenant(tenant);
        let mut query = self.broken(query);
        if self.is(Mutation::CountsWithoutCondition) {
            query.condition = Condition::default();
        }
        match self.told(self.below().count(schema, tenant, &query).await) {
            Err(Error::TooBroad(_)) if self.is(Mutation::CountsWithoutEnd) => {
                let all = self.every(schema, tenant).await?;
                Ok(all.iter().filter(|entity| query.meets(schema, &entity.values)).count() as u64)
            }
            counted => counted,
        }
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        mut changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        let tenant = &self.tenant(tenant);
        if let Some(change) = changes.first().filter(|_| self.is(Mutation::PreparesByItself)) {
            self.prepare(&change.schema).await?;
        }
        let versions = changes.iter().map(EntityChange::version_after).collect();
        match self.mutation {
            Mutation::CreatesOver
                if changes.iter().all(|change| matches!(change.change, Change::Create(_))) =>
            {
                changes = self.at_actual_versions(tenant, changes).await?;
            }
            Mutation::IgnoresVersions => changes = self.at_actual_versions(tenant, changes).await?,
            Mutation::ComparesThenStores => {
                self.compare(tenant, &changes).await?;
                changes = self.at_actual_versions(tenant, changes).await?;
            }
            Mutation::IgnoresDeletes => {
                self.compare(tenant, &changes).await?;
                changes.retain(|change| change.values().is_some());
                self.below().apply(tenant, changes).await?;
                return Ok(versions);
            }
            Mutation::RemembersTheRemoved => {
                let anew: Vec<EntityChange> = changes
                    .iter()
                    .filter(|change| matches!(change.change, Change::Create(_)))
                    .map(|change| {
                        let values = change.values().unwrap_or_default().to_vec();
                        EntityChange::update(change.schema.clone(), &change.id, EntityVersion(1), values)
                    })
                    .collect();
                let versions = self.below().apply(tenant, changes).await?;
                self.below().apply(tenant, anew).await?;
                return Ok(versions);
            }
            Mutation::StoresInSteps | Mutation::StoresInSlowSteps => {
                EntityChange::check_all(&changes)?;
                return self.in_steps(tenant, changes).await;
            }
            Mutation::StoresTheFirst if changes.len() > 1 => {
                changes.truncate(1);
                self.below().apply(tenant, changes).await?;
                return Err(Error::invalid("the store changes one at a time"));
            }
            Mutation::TakesTheLast => {
                let mut last: Vec<EntityChange> = Vec::new();
                for change in changes {
                    last.retain(|known| known.id != change.id);
                    last.push(change);
                }
                changes = last;
            }
            Mutation::TrimsIds => {
                for change in &mut changes {
                    change.id = change.id.trim().to_owned();
                }
            }
            Mutation::PassesOverMisfits if EntityChange::check_all(&changes).is_err() => return Ok(versions),
            _ => {}
        }
        self.told(self.below().apply(tenant, changes).await)
    }

    fn atomicity(&self) -> Atomicity {
        if self.is(Mutation::StoresTheFirst) { Atomicity::OneChange } else { Atomicity::Unit }
    }
}

/// The log.
#[async_trait]
impl EventStoreLayer for Mutant {
    type Below = MemoryEventStore;

    fn below(&self) -> MemoryEventStore {
        self.log()
    }

    async fn commit(&self, tenant: &TenantId, mut commit: Commit) -> Result<Committed, Error> {
        commit.validate()?;
        let changes = commit.entities.clone();
        match self.mutation {
            Mutation::StoresEventsFirst => {
                commit.entities.clear();
                let committed = self.log().commit(tenant, commit).await?;
                if !committed.repeated {
                    self.inner.entities.apply(tenant, changes).await?;
                }
                Ok(committed)
            }
            Mutation::RepeatsChanges => {
                let committed = self.log().commit(tenant, commit).await?;
                if committed.repeated {
                    let changes = self.at_actual_versions(tenant, changes).await?;
                    // What is removed already cannot be removed again.
                    let _ = self.inner.entities.apply(tenant, changes).await;
                }
                Ok(committed)
            }
            Mutation::ComparesThenCommits => {
                let content = commit.fingerprint();
                self.compare(tenant, &changes).await?;
                commit.entities = self.at_actual_versions(tenant, changes).await?;
                self.log().commit(tenant, commit.with_content(content)).await
            }
            _ => self.log().commit(tenant, commit).await,
        }
    }
}

underlay_testkit::conformance!(entities, Mutant);

caught! {
    entities;
    decimals_as_floats: entities_are_read_back fails on KeepsDecimalsAsFloats;
    loaded_by_id: entities_are_read_back fails on LoadsById;
    created_over: what_is_there_is_not_created_again fails on CreatesOver;
    versions_ignored: an_update_needs_the_stored_version fails on IgnoresVersions;
    an_invented_version: an_update_needs_the_stored_version fails on InventsActualVersion;
    compared_before_the_write: one_of_equal_updates_is_stored fails on ComparesThenStores;
    deletes_ignored: removed_entities_are_gone fails on IgnoresDeletes;
    the_removed_remembered: removed_entities_are_gone fails on RemembersTheRemoved;
    stored_in_steps: a_unit_is_stored_whole_or_not_at_all fails on StoresInSteps;
    the_first_stored: a_unit_past_the_atomicity_is_refused fails on StoresTheFirst;
    the_last_taken: an_entity_is_changed_once_in_a_unit fails on TakesTheLast;
    three_truths: conditions_hold fails on KnowsThreeTruths;
    counted_without_condition: conditions_hold fails on CountsWithoutCondition;
    three_truths_by_chance: random_queries_agree_with_a_naive_filter fails on KnowsThreeTruths;
    deep_conditions_forgotten: random_queries_agree_with_a_naive_filter fails on ForgetsDeepConditions;
    ties_lost: entity_pages_follow_each_other fails on LosesTies;
    pages_filled: entity_pages_are_bounded_in_bytes fails on FillsPages;
    uniqueness_forgotten: a_unique_value_is_there_once fails on ForgetsUniqueness;
    the_value_told: a_unique_value_is_there_once fails on TellsTheValue;
    entities_shared: entities_belong_to_their_tenant fails on SharesEntities;
    ids_trimmed: hostile_text_in_entities_is_data fails on TrimsIds;
    misfits_passed_over: misfit_entities_are_invalid fails on PassesOverMisfits;
    columns_unnamed: misfit_entities_are_invalid fails on NamesNoColumn;
    counted_without_end: a_query_of_entities_looks_at_a_bounded_number fails on CountsWithoutEnd;
    looked_without_end: a_query_of_entities_looks_at_a_bounded_number fails on LooksWithoutEnd;
    entities_lost: reopening_keeps_entities fails on LosesEntities;
    damage_hidden: a_damaged_entity_is_named fails on HidesDamage;
    damage_without_place: a_damaged_entity_is_named fails on NamesNoPlace;
    any_shape_taken: another_shape_is_refused fails on TakesAnyShape;
    nothing_extended: a_shape_is_extended fails on ExtendsNothing;
    prepared_by_itself: an_entity_that_nobody_prepared_is_not_found fails on PreparesByItself;
    stored_in_slow_steps: a_caller_that_goes_away_leaves_no_half fails on StoresInSlowSteps;
    events_first: a_commit_stores_entities_with_its_events fails on StoresEventsFirst;
    changes_repeated: a_repeated_commit_changes_no_entity fails on RepeatsChanges;
    compared_before_the_commit: one_of_the_commits_that_update_an_entity_is_stored fails on ComparesThenCommits;
}
