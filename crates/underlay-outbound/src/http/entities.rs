use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use underlay_core::adapter::check_unit;
use underlay_core::{
    Atomicity, Entities, EntityChange, EntityPage, EntitySchema, EntityVersion, Error, Health, Query,
    StoredEntity, TenantId, check_entity_ids, entity_not_prepared,
};

use super::HttpConfig;
use super::answers::{Asking, told};
use super::connections::Answer;
use super::document::Shape;
use super::kept::KeptAnswers;
use super::remote::{Call, Remote};

/// Entities that are loaded by their ids at one time: an API has one address for each.
const LOADS_AT_ONCE: usize = 16;

/// Entities that another service has.
///
/// Its address is that of a list, such as `https://rates.example/v1/entities/rate`; `{entity}` in it stands for the name of an
/// entity, so that one address is of several. A clone is the same store.
#[derive(Clone)]
pub struct HttpEntities {
    pub(super) remote: Arc<Remote>,
    pub(super) shape: Shape,
    pub(super) kept: Arc<KeptAnswers>,
    /// The entities that were prepared, each with whether the service has said that it has it.
    kinds: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl fmt::Debug for HttpEntities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEntities")
            .field("service", &self.remote.address.authority())
            .field("config", &self.remote.config)
            .finish_non_exhaustive()
    }
}

impl HttpEntities {
    /// Entities at an address, which may have options behind a question mark. Nobody is asked yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address, an option or a file it names is wrong.
    pub fn new(address: &str, config: HttpConfig) -> Result<Self, Error> {
        let (place, config) = config.with_options_of(address)?;
        Ok(Self {
            shape: Shape::of(&config),
            kept: Arc::new(KeptAnswers::new(config.kept_bytes_max)),
            remote: Arc::new(Remote::new(&place, config)?),
            kinds: Arc::default(),
        })
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        // Each change is one call of the map.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_prepared(&self, entity: &str) -> Result<(), Error> {
        match self.kinds().contains_key(entity) {
            true => Ok(()),
            false => Err(entity_not_prepared(entity)),
        }
    }

    /// Whether the service has said that it has an entity.
    pub(super) fn is_seen(&self, entity: &str) -> bool {
        self.kinds().get(entity).copied().unwrap_or_default()
    }

    pub(super) fn saw(&self, entity: &str) {
        self.kinds().insert(entity.to_owned(), true);
    }

    /// What an answer means that is no success.
    pub(super) fn told(&self, call: &Call<'_>, doing: &str, entity: &str, answer: &Answer) -> Error {
        let service = self.remote.name();
        let asking =
            Asking { doing: format!("{doing} {entity}"), entity, service, api: self.remote.config.api };
        told(&asking, answer, call.retry_after(&answer.headers))
    }
}

#[async_trait]
impl Entities for HttpEntities {
    /// Looks whether the service has the entity, where it lets itself be asked. One that is away is asked when it is
    /// needed.
    async fn prepare(&self, schema: &EntitySchema) -> Result<(), Error> {
        schema.validate()?;
        {
            let mut kinds = self.kinds();
            if let Some(other) = kinds.keys().find(|other| **other != schema.name)
                && !self.remote.address.names_entity()
            {
                return Err(Error::invalid(format!(
                    "{} and {other} have one address; {{entity}} in it stands for the name of each",
                    schema.name
                )));
            }
            kinds.entry(schema.name.clone()).or_default();
        }
        match self.look(&self.remote.call(), &schema.name, self.remote.some_tenant().as_ref()).await {
            Err(error) if error.is_retryable() || matches!(error, Error::Denied(_)) => {
                tracing::warn!(
                    entity = schema.name,
                    %error,
                    "it is not certain that the service has these entities; it is asked again once they are needed"
                );
                Ok(())
            }
            Err(error) => {
                self.kinds().remove(&schema.name);
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    async fn load(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        ids: &[String],
    ) -> Result<Vec<Option<StoredEntity>>, Error> {
        check_entity_ids(ids)?;
        self.check_prepared(&schema.name)?;
        let call = self.remote.call();
        let mut loaded = Vec::with_capacity(ids.len());
        for some in ids.chunks(LOADS_AT_ONCE) {
            let entities = some.iter().map(|id| self.current(&call, schema, tenant, id));
            loaded.extend(
                try_join_all(entities).await?.into_iter().map(|found| found.map(|found| found.entity)),
            );
        }
        Ok(loaded)
    }

    async fn query(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        query: &Query,
    ) -> Result<EntityPage, Error> {
        query.validate(schema)?;
        self.check_prepared(&schema.name)?;
        self.page(schema, tenant, query).await
    }

    async fn count(&self, schema: &EntitySchema, tenant: &TenantId, query: &Query) -> Result<u64, Error> {
        query.validate(schema)?;
        self.check_prepared(&schema.name)?;
        self.count_of(schema, tenant, query).await
    }

    async fn apply(
        &self,
        tenant: &TenantId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityVersion>, Error> {
        check_unit(self.atomicity(), &changes)?;
        let Some(change) = changes.first() else { return Ok(Vec::new()) };
        self.check_prepared(change.entity())?;
        Ok(vec![self.change(tenant, change).await?])
    }

    fn atomicity(&self) -> Atomicity {
        Atomicity::OneChange
    }
}

#[async_trait]
impl Health for HttpEntities {
    /// Whether the service answers for every entity that was prepared. The file of tokens is read again before.
    async fn check(&self) -> Result<(), Error> {
        self.remote.read_tokens().await?;
        let names: Vec<String> = self.kinds().keys().cloned().collect();
        let tenant = self.remote.some_tenant();
        for name in &names {
            self.look(&self.remote.call(), name, tenant.as_ref()).await?;
        }
        Ok(())
    }

    /// None: what the service would lose is for who looks after it.
    async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}
