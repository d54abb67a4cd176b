//! Changes of several entities that are stored together, alone or with the events of a command.
//!
//! ```text
//!             get, find                add, save, remove
//!  store ───────────────► read ──────────────────────────► wanted
//!                           ▲                                │  what differs from what was read
//!                           │                                ▼
//!                           └────── stored ◄────── commit: one batch, all or nothing
//!                                                            │
//!                                              it failed: nothing is stored, the unit is as it was
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use underlay_core::adapter::check_unit;
use underlay_core::{
    Aggregate, Entity as _, EntityChange, EntityId as _, Error, Operation, Persistent, StoredEntity,
};

use super::repository::{read, write};
use super::tracked::Tracked;
use super::{EntityKeeper, IdOf, StoredRepository};
use crate::commands::Commands;
use crate::{ExecuteError, Executed, Request};

/// Entities that a unit of work remembers.
const UNIT_ENTITIES_MAX: usize = 10_000;

/// Changes of entities of one tenant that are stored together or not at all.
///
/// What it reads it remembers, so an entity is read once. It writes what has changed and nothing else: an entity that is
/// saved as it was read, or added and removed again, is not written. It reads its own changes.
///
/// A commit that fails stores nothing, and the unit is as it was: its error says what failed, and names the entity where it
/// is one. Where the store was away, the same unit can be committed again. After an
/// [`Error::EntityConflict`], begin another one: this one has read what is old. The same goes for
/// [`Error::UnitUncertain`], the one failure after which the changes may be stored.
pub struct UnitOfWork {
    keeper: Arc<EntityKeeper>,
    commands: Arc<Commands>,
    request: Request,
    tracked: BTreeMap<(&'static str, String), Tracked>,
}

impl fmt::Debug for UnitOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitOfWork")
            .field("tenant", &self.request.tenant)
            .field("entities", &self.tracked.keys())
            .finish_non_exhaustive()
    }
}

impl UnitOfWork {
    pub(crate) fn new(keeper: &Arc<EntityKeeper>, commands: &Arc<Commands>, request: Request) -> Self {
        let tracked = BTreeMap::new();
        Self { keeper: keeper.clone(), commands: commands.clone(), request, tracked }
    }

    /// The entity with this id, as this unit has it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none, or it is removed in this unit; what the store says.
    pub async fn get<T: Persistent>(&mut self, id: impl Into<IdOf<T>>) -> Result<T, Error> {
        let id = id.into();
        let missing = || Error::NotFound(format!("{} {:?}", T::Stored::NAME, id.to_key()));
        self.find::<T>(id.clone()).await?.ok_or_else(missing)
    }

    /// The same; none where there is none.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find<T: Persistent>(&mut self, id: impl Into<IdOf<T>>) -> Result<Option<T>, Error> {
        let place = (T::Stored::NAME, id.into().to_key());
        let tracked = match self.tracked.get(&place) {
            Some(tracked) => tracked,
            None => {
                self.check_room()?;
                let kind = self.keeper.kind_of::<T>()?.clone();
                let scope = self.keeper.scope(&self.request);
                let stored = StoredRepository::new(&kind, scope).find_stored(&place.1).await?;
                let tracked = Tracked::new(&kind, place.1.clone()).found(stored);
                self.tracked.entry(place).or_insert(tracked)
            }
        };
        tracked.current().cloned().map(read).transpose()
    }

    /// Creates an entity.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it was read from a store, or is in this unit already; [`Error::EntityConflict`] where this
    /// unit has read that there is one.
    pub fn add<T: Persistent>(&mut self, item: T) -> Result<(), Error> {
        self.track::<T>(item, Tracked::add)
    }

    /// Changes an entity that was read before, in this unit or elsewhere. One that was added in this unit takes these
    /// values instead.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it was never stored, or is removed in this unit.
    pub fn save<T: Persistent>(&mut self, item: T) -> Result<(), Error> {
        self.track::<T>(item, Tracked::save)
    }

    /// Removes an entity that was read before. One that was added in this unit was never there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it was never stored, or is removed in this unit already.
    pub fn remove<T: Persistent>(&mut self, item: T) -> Result<(), Error> {
        self.track::<T>(item, |tracked, entity| tracked.remove(entity.version))
    }

    /// How many entities have to be written.
    #[must_use]
    pub fn changed(&self) -> usize {
        self.tracked.values().filter(|tracked| tracked.change().is_some()).count()
    }

    /// Stores the changes.
    ///
    /// # Errors
    /// Nothing is stored then, but after [`Error::UnitUncertain`] nobody knows. [`Error::EntityConflict`] where an entity has another version than it was read at;
    /// [`Error::RuleViolation`]; [`Error::Invalid`] where the entities are of two stores, or of one that does not change
    /// so many together; what the store says.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let changes = self.changes();
        let Some(store) = self.keeper.one_store(&changes)? else { return Ok(()) };
        check_unit(store.entities.atomicity(), &changes)?;
        self.prepare().await?;
        let names: BTreeSet<&str> = changes.iter().map(EntityChange::entity).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let forgetting = self.keeper.forgetting(&self.request.tenant, &changes);
        let apply = store.entities.apply(&self.request.tenant, changes);
        let stored = self.keeper.scope(&self.request).traced("apply", &names, apply).await;
        forgetting.end().await;
        stored?;
        self.settle();
        Ok(())
    }

    /// Runs a command against one aggregate, and stores the changes with its events, in one commit. Where the stream was
    /// written meanwhile, it is loaded and decided again; where an entity was, the caller decides.
    ///
    /// A command that was given before, by the id of the request, gets its first answer: nothing is stored, and the unit
    /// forgets what it has. A command that is refused changes no entity, and leaves the unit as it is.
    ///
    /// # Errors
    /// As [`Engine::execute`](crate::Engine::execute) and [`UnitOfWork::commit`]; [`Error::Invalid`] where the entities are
    /// not kept beside the log.
    pub async fn commit_with<A: Aggregate>(
        &mut self,
        id: &A::Id,
        command: A::Command,
    ) -> Result<Executed, ExecuteError<A::Refusal>> {
        let changes = self.changes_with_log().await?;
        let forgetting = self.keeper.forgetting(&self.request.tenant, &changes);
        let executed = self.commands.execute_with::<A>(&self.request, id, command, &changes).await;
        forgetting.end().await;
        let executed = executed?;
        self.answered(&executed);
        Ok(executed)
    }

    /// The same with an operation over several streams.
    ///
    /// # Errors
    /// As [`UnitOfWork::commit_with`].
    pub async fn commit_with_operation<O: Operation>(
        &mut self,
        operation: O,
    ) -> Result<Executed, ExecuteError<O::Refusal>> {
        let changes = self.changes_with_log().await?;
        let forgetting = self.keeper.forgetting(&self.request.tenant, &changes);
        let executed = self.commands.operate_with(&self.request, operation, &changes).await;
        forgetting.end().await;
        let executed = executed?;
        self.answered(&executed);
        Ok(executed)
    }

    fn track<T: Persistent>(
        &mut self,
        item: T,
        change: impl FnOnce(&mut Tracked, StoredEntity) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let kind = self.keeper.kind_of::<T>()?.clone();
        let entity = write(item);
        let place = (T::Stored::NAME, entity.id.clone());
        if !self.tracked.contains_key(&place) {
            self.check_room()?;
        }
        let tracked =
            self.tracked.entry(place.clone()).or_insert_with(|| Tracked::new(&kind, entity.id.clone()));
        let changed = change(tracked, entity);
        if tracked.is_forgotten() {
            self.tracked.remove(&place);
        }
        changed
    }

    fn check_room(&self) -> Result<(), Error> {
        if self.tracked.len() < UNIT_ENTITIES_MAX {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a unit of work remembers at most UNIT_ENTITIES_MAX = {UNIT_ENTITIES_MAX} entities; begin another one"
        )))
    }

    fn changes(&self) -> Vec<EntityChange> {
        self.tracked.values().filter_map(Tracked::change).collect()
    }

    /// What a commit of the log stores with its events.
    async fn changes_with_log(&self) -> Result<Vec<EntityChange>, Error> {
        let changes = self.changes();
        self.keeper.check_with_log(&changes)?;
        EntityChange::check_all(&changes)?;
        self.prepare().await?;
        Ok(changes)
    }

    /// What was added without being read may be of a kind that nobody prepared yet.
    async fn prepare(&self) -> Result<(), Error> {
        for tracked in self.tracked.values() {
            tracked.kind().prepare().await?;
        }
        Ok(())
    }

    fn answered(&mut self, executed: &Executed) {
        match executed.repeated {
            // What is stored is what the first one made, whatever this one has read.
            true => self.tracked.clear(),
            false => self.settle(),
        }
    }

    fn settle(&mut self) {
        self.tracked.values_mut().for_each(Tracked::settle);
    }
}
