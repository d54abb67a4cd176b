//! Repositories and units of work.

use underlay_core::{Error, Persistent};

use super::Engine;
use crate::Request;
use crate::entities::{Repositories, Repository, UnitOfWork};

impl Engine {
    /// The repositories of the tenant of a request: what feature code is given.
    #[must_use]
    pub fn repositories(&self, request: &Request) -> Repositories {
        Repositories::new(&self.0.entities, request)
    }

    /// The repository of a type, for the tenant of a request.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the service does not have this entity.
    pub fn repository<T: Persistent>(&self, request: &Request) -> Result<Repository<T>, Error> {
        self.repositories(request).of()
    }

    /// Begins to change several entities of the tenant of a request together, alone or with a command.
    #[must_use]
    pub fn unit_of_work(&self, request: &Request) -> UnitOfWork {
        UnitOfWork::new(&self.0.entities, &self.0.commands, request.clone())
    }

    /// Makes the tables of all entities where they are missing, and sees that those that are there fit. Without, the first
    /// use of an entity does it.
    ///
    /// # Errors
    /// [`Error::EntityChanged`] where what is stored has another shape; what the store says.
    pub async fn prepare_entities(&self) -> Result<(), Error> {
        self.0.entities.prepare().await
    }

    /// The entities by name, each with what its store is called.
    #[must_use]
    pub fn entity_places(&self) -> Vec<(String, String)> {
        self.0.entities.places().map(|(entity, store)| (entity.to_owned(), store.to_owned())).collect()
    }
}
