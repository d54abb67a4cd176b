use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use underlay_core::limits::{PAGE_ROWS_MAX, PAGE_TEXT_BYTES_MAX};
use underlay_core::{
    Cursor, Entity, EntityId as _, EntityPage, EntityVersion, Error, Persistent, Query, StoredEntity,
};

use super::{ByQuery, EntityKeeper, Scope, StoredRepository};
use crate::Request;

/// The id of what is kept in a repository.
pub type IdOf<T> = <<T as Persistent>::Stored as Entity>::Id;

/// Repositories of one tenant: what feature code is given. There is no way from here to another tenant.
#[derive(Clone)]
pub struct Repositories {
    keeper: Arc<EntityKeeper>,
    scope: Scope,
}

impl fmt::Debug for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repositories").field("tenant", &self.scope).finish_non_exhaustive()
    }
}

impl Repositories {
    pub(crate) fn new(keeper: &Arc<EntityKeeper>, request: &Request) -> Self {
        Self { keeper: keeper.clone(), scope: keeper.scope(request) }
    }

    /// The repository of a type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the service does not have this entity.
    pub fn of<T: Persistent>(&self) -> Result<Repository<T>, Error> {
        let kind = self.keeper.kind_of::<T>()?;
        Ok(Repository { stored: StoredRepository::new(kind, self.scope.clone()), of: PhantomData })
    }

    /// The repository of a kind, by its name.
    ///
    /// # Errors
    /// [`Error::NotFound`] that lists the entities there are.
    pub fn named(&self, entity: &str) -> Result<StoredRepository, Error> {
        Ok(StoredRepository::new(self.keeper.find(entity)?, self.scope.clone()))
    }
}

/// Reads and changes the entities of one tenant, one change at a time. [`UnitOfWork`](crate::UnitOfWork) makes several
/// together.
///
/// Every method may fail with what the store says: [`Error::Unavailable`], [`Error::Denied`], [`Error::Damaged`] and
/// [`Error::Backend`]; and with [`Error::Invalid`] where what it is given does not fit.
///
/// It is handed out for a tenant, and takes no other:
///
/// ```compile_fail,E0061
/// # use underlay_core::{Error, Persistent, TenantId};
/// # use underlay_runtime::{IdOf, Repository};
/// async fn reach_past<T: Persistent>(rates: &Repository<T>, id: IdOf<T>, other: &TenantId) -> Result<T, Error> {
///     rates.get(id, other).await
/// }
/// ```
pub struct Repository<T> {
    stored: StoredRepository,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Repository<T> {
    fn clone(&self) -> Self {
        Self { stored: self.stored.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Repository<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.stored).finish()
    }
}

/// A page of entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entities, in the order asked for.
    pub items: Vec<T>,
    /// What [`Repository::paginate`] takes for the next page; none where this is the last.
    pub next: Option<String>,
}

/// A domain type from what is stored.
pub(super) fn read<T: Persistent>(stored: StoredEntity) -> Result<T, Error> {
    T::from_entity(T::Stored::from_stored(stored)?)
}

/// What is stored of a domain type.
pub(super) fn write<T: Persistent>(item: T) -> StoredEntity {
    item.into_entity().into_stored()
}

fn read_all<T: Persistent>(page: EntityPage) -> Result<Vec<T>, Error> {
    page.entities.into_iter().map(read).collect()
}

impl<T: Persistent> Repository<T> {
    /// The one with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn get(&self, id: impl Into<IdOf<T>>) -> Result<T, Error> {
        read(self.stored.get(&id.into().to_key()).await?)
    }

    /// Whether there is one with this id.
    ///
    /// # Errors
    /// What the store says.
    pub async fn exists(&self, id: impl Into<IdOf<T>>) -> Result<bool, Error> {
        Ok(self.stored.find(&id.into().to_key()).await?.is_some())
    }

    /// A page of all, by id; `cursor` is the `next` of the page before.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the cursor is none.
    pub async fn list(&self, cursor: Option<&str>) -> Result<Page<T>, Error> {
        self.paginate(Query::default(), cursor).await
    }

    /// Stores a new one, and returns it with its version.
    ///
    /// # Errors
    /// [`Error::EntityConflict`] where there is one of its id, [`Error::RuleViolation`] where a value is taken that
    /// only one may have.
    pub async fn create(&self, item: T) -> Result<T, Error> {
        let entity = write(item);
        check_is_new(T::Stored::NAME, &entity)?;
        read(self.stored.create_checked(entity).await?)
    }

    /// Stores one that was changed, and returns it with its new version.
    ///
    /// # Errors
    /// [`Error::EntityConflict`] where what is stored does not have the version that this one was read at;
    /// [`Error::RuleViolation`] where a value is taken that only one may have.
    pub async fn update(&self, item: T) -> Result<T, Error> {
        let entity = write(item);
        if entity.version == EntityVersion::NEW {
            return Err(Error::invalid(format!(
                "{} {:?} was never stored, so there is nothing to update; create it",
                T::Stored::NAME,
                entity.id
            )));
        }
        read(self.stored.update_checked(entity).await?)
    }

    /// Removes the one with this id, whatever its version.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn delete(&self, id: impl Into<IdOf<T>>) -> Result<(), Error> {
        self.stored.delete(&id.into().to_key(), None).await
    }

    /// Removes the one with this id, if it has the version that the caller has seen.
    ///
    /// # Errors
    /// [`Error::EntityConflict`] where it has another one, or there is none.
    pub async fn delete_at(&self, id: impl Into<IdOf<T>>, version: EntityVersion) -> Result<(), Error> {
        self.stored.delete(&id.into().to_key(), Some(version)).await
    }

    /// All that meet a specification, [`PAGE_ROWS_MAX`] at most.
    ///
    /// # Errors
    /// [`Error::TooBroad`] where there are more, or they reach [`PAGE_TEXT_BYTES_MAX`], or too many would be looked at.
    pub async fn find(&self, by: impl ByQuery<T::Stored>) -> Result<Vec<T>, Error> {
        let page = self.stored.query(&by.into_query().limit(PAGE_ROWS_MAX)).await?;
        match page.next {
            Some(_) => Err(more_than_a_page(T::Stored::NAME)),
            None => read_all(page),
        }
    }

    /// One that meets a specification: the first by id; none where there is none.
    ///
    /// # Errors
    /// [`Error::TooBroad`] where too many would be looked at.
    pub async fn find_one(&self, by: impl ByQuery<T::Stored>) -> Result<Option<T>, Error> {
        self.first(by).await
    }

    /// The entities of a query, as many as its limit says.
    ///
    /// # Errors
    /// [`Error::TooBroad`] where they reach [`PAGE_TEXT_BYTES_MAX`] before, or too many would be looked at.
    pub async fn query(&self, by: impl ByQuery<T::Stored>) -> Result<Vec<T>, Error> {
        let query = by.into_query();
        let page = self.stored.query(&query).await?;
        match page.next {
            Some(_) if page.entities.len() < query.limit => Err(more_than_a_page(T::Stored::NAME)),
            _ => read_all(page),
        }
    }

    /// A page of a query. `cursor` is the `next` of the page before, of the same query.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the cursor is none, or of another order.
    pub async fn paginate(
        &self,
        by: impl ByQuery<T::Stored>,
        cursor: Option<&str>,
    ) -> Result<Page<T>, Error> {
        let mut query = by.into_query();
        if let Some(text) = cursor {
            query.after = Some(Cursor::from_text(text, &query.sort, self.stored.schema())?);
        }
        let mut page = self.stored.query(&query).await?;
        let next = page.next.take().map(|cursor| cursor.to_text(&query.sort));
        Ok(Page { items: read_all(page)?, next })
    }

    /// The first of a query; none where there is none.
    ///
    /// # Errors
    /// [`Error::TooBroad`] where too many would be looked at.
    pub async fn first(&self, by: impl ByQuery<T::Stored>) -> Result<Option<T>, Error> {
        let page = self.stored.query(&by.into_query().limit(1)).await?;
        page.entities.into_iter().next().map(read).transpose()
    }

    /// How many there are that meet a specification or a query.
    ///
    /// # Errors
    /// [`Error::TooBroad`] where too many would be looked at.
    pub async fn count(&self, by: impl ByQuery<T::Stored>) -> Result<u64, Error> {
        self.stored.count(&by.into_query()).await
    }
}

/// That a page does not hold what was asked for at once.
fn more_than_a_page(name: &str) -> Error {
    Error::TooBroad(format!(
        "more entities {name} meet this than PAGE_ROWS_MAX = {PAGE_ROWS_MAX}, or more bytes of them than \
         PAGE_TEXT_BYTES_MAX = {PAGE_TEXT_BYTES_MAX}; ask for less, or for one page after the other"
    ))
}

/// Refuses to create what was stored before.
pub(super) fn check_is_new(name: &str, entity: &StoredEntity) -> Result<(), Error> {
    if entity.version == EntityVersion::NEW {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{name} {:?} was read at version {}, so it is not new; update it",
        entity.id, entity.version
    )))
}
