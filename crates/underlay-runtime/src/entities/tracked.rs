use std::sync::Arc;

use underlay_core::{EntityChange, EntityConflict, EntityVersion, Error, StoredEntity};

use super::keeper::Kind;
use super::repository::check_is_new;

/// What a unit of work knows of one entity, and what it is to become.
pub(super) struct Tracked {
    kind: Arc<Kind>,
    id: String,
    /// What the unit has read.
    read: Read,
    wanted: Wanted,
}

enum Read {
    /// Nothing yet.
    NotYet,
    /// This; none where there is no such entity.
    Found(Option<StoredEntity>),
}

/// What is to become of an entity.
enum Wanted {
    /// It stays as it is stored.
    AsRead,
    /// It has these values. Its version is the one that is expected in the store: new where it is created.
    Put(StoredEntity),
    /// It is gone, where it has this version.
    Gone(EntityVersion),
}

impl Tracked {
    pub(super) fn new(kind: &Arc<Kind>, id: String) -> Self {
        Self { kind: kind.clone(), id, read: Read::NotYet, wanted: Wanted::AsRead }
    }

    /// Notes what is stored.
    pub(super) fn found(mut self, stored: Option<StoredEntity>) -> Self {
        self.read = Read::Found(stored);
        self
    }

    pub(super) fn kind(&self) -> &Arc<Kind> {
        &self.kind
    }

    /// The entity as the unit has it; none where it is not there, or not any more.
    pub(super) fn current(&self) -> Option<&StoredEntity> {
        match &self.wanted {
            Wanted::AsRead => self.stored(),
            Wanted::Put(entity) => Some(entity),
            Wanted::Gone(_) => None,
        }
    }

    /// Whether nothing is known or wanted of it, so that it need not be kept.
    pub(super) fn is_forgotten(&self) -> bool {
        matches!((&self.read, &self.wanted), (Read::NotYet, Wanted::AsRead))
    }

    fn stored(&self) -> Option<&StoredEntity> {
        match &self.read {
            Read::Found(stored) => stored.as_ref(),
            Read::NotYet => None,
        }
    }

    /// Creates it.
    pub(super) fn add(&mut self, entity: StoredEntity) -> Result<(), Error> {
        check_is_new(self.kind.name(), &entity)?;
        let version = match (&self.wanted, self.stored()) {
            // What was removed in this unit and is added again is an update.
            (Wanted::Gone(version), _) => *version,
            (Wanted::Put(_), _) => return Err(self.invalid("is in this unit already; save it")),
            (Wanted::AsRead, Some(stored)) => {
                return Err(Error::from(EntityConflict {
                    entity: self.kind.name().to_owned(),
                    id: self.id.clone(),
                    expected: None,
                    actual: Some(stored.version),
                }));
            }
            (Wanted::AsRead, None) => EntityVersion::NEW,
        };
        self.wanted = Wanted::Put(StoredEntity { version, ..entity });
        Ok(())
    }

    /// Changes it.
    pub(super) fn save(&mut self, entity: StoredEntity) -> Result<(), Error> {
        match (&self.wanted, entity.version) {
            (Wanted::Gone(_), _) => return Err(self.invalid("is removed in this unit; add it again")),
            (Wanted::AsRead, EntityVersion::NEW) => {
                return Err(self.invalid("was never stored; add it"));
            }
            // Whoever made it has no version yet, also where it takes the place of one that was removed.
            (Wanted::Put(before), EntityVersion::NEW) => {
                self.wanted = Wanted::Put(StoredEntity { version: before.version, ..entity });
            }
            _ => self.wanted = Wanted::Put(entity),
        }
        Ok(())
    }

    /// Removes it. What was added in this unit was never there.
    pub(super) fn remove(&mut self, version: EntityVersion) -> Result<(), Error> {
        let version = match (&self.wanted, version) {
            (Wanted::Gone(_), _) => return Err(self.invalid("is removed in this unit already")),
            (Wanted::Put(before), EntityVersion::NEW) => before.version,
            (Wanted::AsRead, EntityVersion::NEW) => {
                return Err(self.invalid("was never stored, so there is nothing to remove"));
            }
            (_, version) => version,
        };
        self.wanted = match version {
            EntityVersion::NEW => Wanted::AsRead,
            version => Wanted::Gone(version),
        };
        Ok(())
    }

    /// What has to be written; none where nothing has.
    pub(super) fn change(&self) -> Option<EntityChange> {
        let schema = self.kind.entry.schema.clone();
        match &self.wanted {
            Wanted::AsRead => None,
            Wanted::Gone(version) => Some(EntityChange::delete(schema, &self.id, Some(*version))),
            Wanted::Put(entity) if self.stored() == Some(entity) => None,
            Wanted::Put(entity) => Some(match entity.version {
                EntityVersion::NEW => EntityChange::create(schema, &self.id, entity.values.clone()),
                version => EntityChange::update(schema, &self.id, version, entity.values.clone()),
            }),
        }
    }

    /// Notes that what was wanted is stored.
    pub(super) fn settle(&mut self) {
        let version = self.change().map(|change| change.version_after());
        match (std::mem::replace(&mut self.wanted, Wanted::AsRead), version) {
            (Wanted::Put(entity), Some(version)) => {
                self.read = Read::Found(Some(StoredEntity { version, ..entity }));
            }
            (Wanted::Gone(_), _) => self.read = Read::Found(None),
            _ => {}
        }
    }

    fn invalid(&self, wrong: &str) -> Error {
        Error::invalid(format!("{} {:?} {wrong}", self.kind.name(), self.id))
    }
}
