//! One change, sent until it is known what became of it, or until that cannot be told.
//!
//! ```text
//!             ┌──────────── nothing was stored, and it may pass: wait, send it again
//!             ▼                                 │
//!  sent ─► answered ─► done, refused, conflict ─┘
//!             │
//!             └─ no answer, or one that leaves it open ─► the entity is read:
//!                   it is as it was to become          ─► done
//!                   it is as it was before             ─► sent again, where it names what it expects
//!                   somebody else has changed it       ─► conflict
//!                   anything else                      ─► uncertain, and the caller is told so
//! ```
//!
//! A change that names what it expects is carried out once, however often it is sent: the service refuses it where the
//! entity has changed. Only where somebody removes the entity in between, and it comes to what was expected anew, it is
//! carried out on that one too. A change that names nothing is not sent again once it may have arrived.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use hyper::{Method, StatusCode};
use underlay_core::{Change, EntityChange, EntityVersion, Error, TenantId};

use super::HttpEntities;
use super::answers::Problem;
use super::config::Api;
use super::connections::{Answer, Failure};
use super::lost_change::Found;
use super::reading::{Current, is_strong};
use super::remote::{Asked, Call};

/// What became of a change that was sent once.
enum Outcome {
    Done(EntityVersion),
    /// Nothing was stored, and nothing will be.
    Refused(Error),
    /// Nothing was stored, and the same may be sent again after a time.
    Passing(Error, Option<Duration>),
    /// The entity is not as the change expects; with its version, where the service says it.
    Stale(Option<Option<EntityVersion>>),
    /// It may be stored: why that is not known.
    Open(String),
}

impl HttpEntities {
    /// Makes one change; gives the version after it.
    pub(super) async fn change(
        &self,
        tenant: &TenantId,
        change: &EntityChange,
    ) -> Result<EntityVersion, Error> {
        let call = self.remote.call();
        call.begin();
        let (mut open, mut attempts): (Option<String>, u32) = (None, 1);
        let mut sent = None;
        loop {
            match self.attempt(&call, tenant, change, &mut sent).await {
                Outcome::Done(version) => return Ok(version),
                Outcome::Passing(error, after) => {
                    if call.may_repeat(attempts, after).await {
                        attempts += 1;
                        continue;
                    }
                    return Err(open.map_or(error, Error::unit_uncertain));
                }
                Outcome::Refused(error) if open.is_none() => return Err(error),
                Outcome::Stale(actual) if open.is_none() => {
                    match self.conflict(&call, tenant, change, actual).await {
                        Some(error) => return Err(error),
                        // Only its ETag was another one.
                        None if call.may_repeat(attempts, None).await => {
                            attempts += 1;
                            continue;
                        }
                        None => return Err(Self::restless(change)),
                    }
                }
                Outcome::Open(reason) => open = Some(reason),
                // It was sent before, and may have been stored then.
                Outcome::Refused(_) | Outcome::Stale(_) => {}
            }
            let reason = open.clone().unwrap_or_default();
            match self.find_out(&call, tenant, change, sent.as_ref()).await {
                Found::Settled(settled) => return settled,
                Found::Unchanged if self.may_come_twice(change) && call.may_repeat(attempts, None).await => {
                    attempts += 1;
                }
                Found::Unchanged | Found::Unknown => return Err(Error::unit_uncertain(reason)),
            }
        }
    }

    /// Whether a change is carried out once, however often it is sent.
    fn may_come_twice(&self, change: &EntityChange) -> bool {
        match &change.change {
            Change::Create(_) => !self.creates_by_post(),
            Change::Update { .. } => true,
            Change::Delete { expected } => expected.is_some(),
        }
    }

    fn creates_by_post(&self) -> bool {
        self.remote.config.api == Api::Plain && self.remote.config.plain.create_by_post
    }

    /// Sends a change once; notes the ETag that it names.
    async fn attempt(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        sent: &mut Option<HeaderValue>,
    ) -> Outcome {
        let request = match self.write(call, tenant, change).await {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        *sent = request.headers().get(IF_MATCH).cloned();
        self.kept.remove(tenant, change.entity(), &change.id);
        let doing = format!("changing {}", change.entity());
        match call.ask(&request).await {
            Ok(answer) => self.judged(call, tenant, change, &answer).await,
            Err(failure @ Failure::NotSent(_)) => Outcome::Passing(self.remote.away(&doing, &failure), None),
            Err(failure @ Failure::Full) => Outcome::Refused(self.remote.away(&doing, &failure)),
            Err(failure @ (Failure::Lost(_) | Failure::TooLarge)) => {
                Outcome::Open(self.remote.away(&doing, &failure).to_string())
            }
        }
    }

    /// The request that asks for a change.
    async fn write(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
    ) -> Result<Asked, Outcome> {
        let (schema, id) = (&change.schema, change.id.as_str());
        let one = || self.path(change.entity(), tenant, id);
        let only_new = || (IF_NONE_MATCH, HeaderValue::from_static("*"));
        let (method, target, condition, values) = match &change.change {
            Change::Create(values) if self.creates_by_post() => (
                Method::POST,
                self.remote.address.list(change.entity(), Some(tenant)),
                None,
                Some((values, Some(id))),
            ),
            Change::Create(values) => (Method::PUT, one(), Some(only_new()), Some((values, None))),
            Change::Update { expected, values } => {
                let lock = self.lock(call, tenant, change, *expected).await?;
                (Method::PUT, one(), Some(lock), Some((values, None)))
            }
            Change::Delete { expected: None } => (Method::DELETE, one(), None, None),
            Change::Delete { expected: Some(expected) } => {
                (Method::DELETE, one(), Some(self.lock(call, tenant, change, *expected).await?), None)
            }
        };
        let refused = |error| Outcome::Refused(error);
        let body = values.map(|(values, id)| self.shape.write(schema, values, id)).transpose();
        let body = body.map_err(|error| refused(Error::backend("writing an entity as JSON", error)))?;
        self.remote.request(method, &target, Some(tenant), condition, body).map_err(refused)
    }

    /// The header that lets a change be made at this version alone.
    async fn lock(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        expected: EntityVersion,
    ) -> Result<(HeaderName, HeaderValue), Outcome> {
        if self.shape.etag_is_version {
            let value = HeaderValue::from_str(&format!("\"{expected}\""));
            let value = value.map_err(|error| Outcome::Refused(Error::backend("writing an ETag", error)))?;
            return Ok((IF_MATCH, value));
        }
        let current =
            self.current(call, &change.schema, tenant, &change.id).await.map_err(Outcome::Refused)?;
        let Some(Current { entity, etag }) = current else { return Err(Outcome::Stale(Some(None))) };
        if entity.version != expected {
            return Err(Outcome::Stale(Some(Some(entity.version))));
        }
        match etag.filter(is_strong) {
            Some(etag) => Ok((IF_MATCH, etag)),
            None => Err(Outcome::Refused(Error::invalid(format!(
                "the service that has {} gives {:?} no strong ETag, so it cannot be changed at one version alone; nothing \
                 was stored",
                change.entity(),
                change.id
            )))),
        }
    }

    /// What an answer to a change means.
    async fn judged(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        answer: &Answer,
    ) -> Outcome {
        let api = self.remote.config.api;
        let problem = Problem::of(api, answer);
        let told = || self.told(call, "changing", change.entity(), answer);
        let after = call.retry_after(&answer.headers);
        match answer.status {
            status if status.is_success() => self.done(call, tenant, change, answer).await,
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => match (api, problem) {
                (Api::Underlay, Some(problem))
                    if matches!(problem.kind(), "precondition-failed" | "entity-conflict") =>
                {
                    Outcome::Stale(Some(problem.actual.map(EntityVersion)))
                }
                (Api::Underlay, _) => Outcome::Refused(told()),
                (Api::Plain, _) => Outcome::Stale(None),
            },
            StatusCode::NOT_FOUND => {
                match self.check_missing(call, change.entity(), tenant, answer).await {
                    // There is no list to create it in.
                    Ok(()) if matches!(change.change, Change::Create(_)) => Outcome::Refused(told()),
                    Ok(()) => Outcome::Stale(Some(None)),
                    Err(error) => Outcome::Refused(error),
                }
            }
            StatusCode::TOO_MANY_REQUESTS => Outcome::Passing(told(), after),
            // Of Underlay it says that nothing was done; of others, nobody knows who has answered.
            StatusCode::SERVICE_UNAVAILABLE if problem.is_some() => Outcome::Passing(told(), after),
            status if status.is_server_error() => {
                Outcome::Open(format!("{} answered {status}", self.remote.name()))
            }
            _ => Outcome::Refused(told()),
        }
    }

    /// The version after a change that the service says it has made.
    async fn done(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        answer: &Answer,
    ) -> Outcome {
        let Some(values) = change.values() else { return Outcome::Done(EntityVersion::NEW) };
        if answer.body.is_empty() {
            if let Some(version) = self.shape.version_of(&change.schema, values) {
                return Outcome::Done(version);
            }
            return match self.current(call, &change.schema, tenant, &change.id).await {
                Ok(Some(current)) => self.follows(change, current.entity.version),
                Ok(None) => Outcome::Open("it was stored, and is gone".to_owned()),
                Err(error) => Outcome::Open(error.to_string()),
            };
        }
        match self.take(&change.schema, tenant, &change.id, answer) {
            Ok(current) => self.follows(change, current.entity.version),
            // What was answered cannot be read; what is stored may be.
            Err(error) => Outcome::Open(error.to_string()),
        }
    }

    /// Sees that a version comes after the one that was expected.
    fn follows(&self, change: &EntityChange, version: EntityVersion) -> Outcome {
        if self.is_next(change, version) {
            return Outcome::Done(version);
        }
        let expected = change
            .expected()
            .map_or_else(|| "its creation".to_owned(), |version| format!("version {version}"));
        let reason = format!("member {} is {version} after {expected}", self.shape.version_member());
        Outcome::Refused(Error::damaged_entity(change.entity(), &change.id, reason))
    }

    /// Whether an entity can have this version after a change.
    pub(super) fn is_next(&self, change: &EntityChange, version: EntityVersion) -> bool {
        match &change.change {
            _ if self.shape.counts => version == change.version_after(),
            // A hash of values has no order.
            Change::Update { expected, .. } => self.shape.has_hashes() || version > *expected,
            Change::Create(_) | Change::Delete { .. } => true,
        }
    }

    /// The conflict of a change that the service did not make; none where the entity is as the change expects.
    async fn conflict(
        &self,
        call: &Call<'_>,
        tenant: &TenantId,
        change: &EntityChange,
        actual: Option<Option<EntityVersion>>,
    ) -> Option<Error> {
        let actual = match actual {
            Some(actual) => actual,
            None => match self.current(call, &change.schema, tenant, &change.id).await {
                Ok(current) => current.map(|current| current.entity.version),
                Err(error) => return Some(error),
            },
        };
        change.check_version(actual).err()
    }

    /// A change that the service refuses although the entity is as it expects.
    fn restless(change: &EntityChange) -> Error {
        Error::RuleViolation(format!(
            "the service that has {} refuses a change of {:?}, though it is as the change expects; nothing was stored",
            change.entity(),
            change.id
        ))
    }
}
