//! One entity as the service has it now, and whether the service has entities at all.

use hyper::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
use underlay_core::{EntitySchema, Error, StoredEntity, TenantId};

use super::HttpEntities;
use super::address::encoded;
use super::answers::{Problem, json_body};
use super::config::Api;
use super::connections::Answer;
use super::kept::KeptAnswer;
use super::list::ListPage;
use super::remote::Call;

/// An entity as the service has it now.
pub(super) struct Current {
    pub(super) entity: StoredEntity,
    pub(super) etag: Option<HeaderValue>,
}

impl HttpEntities {
    /// The path of an entity.
    pub(super) fn path(&self, entity: &str, tenant: &TenantId, id: &str) -> String {
        format!("{}/{}", self.remote.address.list(entity, Some(tenant)), encoded(id))
    }

    /// Reads an entity. What was given before is sent again only where it has changed.
    pub(super) async fn current(
        &self,
        call: &Call<'_>,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<Current>, Error> {
        let name = schema.name.as_str();
        let path = self.path(name, tenant, id);
        let mut kept = self.kept.get(tenant, name, id);
        loop {
            let condition = kept.as_ref().map(|kept| (IF_NONE_MATCH, kept.etag.clone()));
            let request = self.remote.request(Method::GET, &path, Some(tenant), condition, None)?;
            let answered = call.read(&request).await;
            let answer =
                answered.map_err(|failure| self.remote.away(&format!("reading {name}"), &failure))?;
            match (answer.status, kept.take()) {
                (StatusCode::NOT_MODIFIED, Some(kept)) => {
                    if answer.headers.get(ETAG).is_none_or(|etag| opaque(etag) == opaque(&kept.etag)) {
                        let entity = self.read_body(schema, id, &kept.body)?;
                        return Ok(Some(Current { entity, etag: Some(kept.etag) }));
                    }
                    // It speaks of another state than the one that is kept: it is asked again, without a condition.
                    self.kept.remove(tenant, name, id);
                }
                (StatusCode::OK, _) => return self.take(schema, tenant, id, &answer).map(Some),
                (StatusCode::NOT_FOUND, _) => {
                    self.kept.remove(tenant, name, id);
                    return self.check_missing(call, name, tenant, &answer).await.map(|()| None);
                }
                _ => return Err(self.told(call, "reading", name, &answer)),
            }
        }
    }

    /// Takes an answer that has an entity, and keeps it.
    pub(super) fn take(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        answer: &Answer,
    ) -> Result<Current, Error> {
        self.kept.remove(tenant, &schema.name, id);
        let body = json_body(answer).map_err(|what| Error::damaged_entity(&schema.name, id, what))?;
        let entity = self.read_body(schema, id, body)?;
        let etag = answer.headers.get(ETAG).cloned();
        if let Some(etag) = &etag {
            let version = format!("\"{}\"", entity.version);
            if self.shape.etag_is_version && opaque(etag) != version.as_bytes() {
                let member = self.shape.version_member();
                return Err(Error::damaged_entity(
                    &schema.name,
                    id,
                    format!("member {member} is {}, and the ETag is {etag:?}", entity.version),
                ));
            }
            let kept = KeptAnswer { etag: etag.clone(), body: answer.body.clone() };
            self.kept.set(tenant, &schema.name, id, kept);
        }
        self.saw(&schema.name);
        Ok(Current { entity, etag })
    }

    fn read_body(&self, schema: &EntitySchema, id: &str, body: &[u8]) -> Result<StoredEntity, Error> {
        let members = serde_json::from_slice(body).map_err(|error| {
            Error::damaged_entity(&schema.name, id, format!("the answer is not an object in JSON: {error}"))
        })?;
        self.shape.read(schema, members, Some(id))
    }

    /// Sees that a 404 is about one entity, and not about all of them.
    pub(super) async fn check_missing(
        &self,
        call: &Call<'_>,
        entity: &str,
        tenant: &TenantId,
        answer: &Answer,
    ) -> Result<(), Error> {
        let is_told = match self.remote.config.api {
            Api::Underlay => {
                Problem::of(Api::Underlay, answer).is_some_and(|problem| problem.kind() == "not-found")
            }
            Api::Plain => true,
        };
        if !is_told {
            return Err(self.told(call, "reading", entity, answer));
        }
        if self.is_seen(entity) { Ok(()) } else { self.look(call, entity, Some(tenant)).await }
    }

    /// Looks whether the service has a list of an entity.
    pub(super) async fn look(
        &self,
        call: &Call<'_>,
        entity: &str,
        tenant: Option<&TenantId>,
    ) -> Result<(), Error> {
        let config = &self.remote.config;
        let list = self.remote.address.list(entity, tenant);
        let limit = match config.api {
            Api::Underlay => "limit",
            Api::Plain => config.plain.limit.as_str(),
        };
        let target = if limit.is_empty() { list } else { format!("{list}?{}=1", encoded(limit)) };
        let request = self.remote.request(Method::GET, &target, tenant, None, None)?;
        let doing = format!("looking for {entity}");
        // Once: whoever starts does not wait for long.
        let answer = call.ask(&request).await.map_err(|failure| self.remote.away(&doing, &failure))?;
        match answer.status {
            StatusCode::OK => match ListPage::read(config, &self.remote.address, &target, &answer) {
                Ok(_) => {
                    self.saw(entity);
                    Ok(())
                }
                Err(what) => Err(Error::EntityChanged {
                    entity: entity.to_owned(),
                    reason: format!(
                        "{} has something else at the address that is configured: {what}",
                        self.remote.name()
                    ),
                }),
            },
            // It answers. What it has is for its tenants to see.
            status if status.is_client_error() && tenant.is_none() && !config.shared => Ok(()),
            // It is in trouble, which may pass.
            status if status.is_server_error() => {
                let error = self.told(call, "looking for", entity, &answer);
                match error {
                    Error::EntityChanged { .. } | Error::Unavailable { .. } => Err(error),
                    error => Err(Error::unavailable(error.to_string())),
                }
            }
            _ => Err(self.told(call, "looking for", entity, &answer)),
        }
    }
}

/// An ETag without what says that it is weak: for reading, a weak one is as good.
fn opaque(etag: &HeaderValue) -> &[u8] {
    etag.as_bytes().strip_prefix(b"W/").unwrap_or(etag.as_bytes())
}

/// Whether an ETag can lock: a weak one is of several states.
pub(super) fn is_strong(etag: &HeaderValue) -> bool {
    !etag.as_bytes().starts_with(b"W/")
}
