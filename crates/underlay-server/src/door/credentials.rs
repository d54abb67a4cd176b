use std::time::Duration;

use async_trait::async_trait;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use underlay_core::{Actor, TenantId, Timestamp};

use crate::app::App;
use crate::problem::Problem;

/// Who asks, and for which tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose data the request is about.
    pub tenant: TenantId,
    /// Who asks, and in which roles.
    pub actor: Actor,
    /// From when on this is no longer so; none where it has no end.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// Somebody without a name, a role or an end.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, actor: Actor::default(), expires_at: None }
    }

    /// Names who asks. The name is stored with every event that follows.
    #[must_use]
    pub fn with_actor(mut self, name: impl Into<String>) -> Self {
        self.actor.name = Some(name.into());
        self
    }

    /// Adds a role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.actor.roles.push(role.into());
        self
    }

    /// Sets from when on this is no longer so.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }
}

/// Why nobody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The headers do not say who asks, or not truly: 401.
    Unidentified {
        /// How to say it, for `WWW-Authenticate`: `Bearer`.
        challenge: HeaderValue,
        /// What is missing or wrong, in a sentence.
        reason: String,
    },
    /// It is known who asks, and they may not: 403, with the reason.
    Forbidden(String),
    /// Nobody can say now who asks, since whoever knows is away: 503. Why is for the log of the service,
    /// where whoever answers this writes it.
    Away {
        /// When to ask again; none where nobody knows.
        retry_after: Option<Duration>,
    },
}

impl Denied {
    /// No bearer token came with the request.
    #[must_use]
    pub fn missing(reason: impl Into<String>) -> Self {
        Self::Unidentified { challenge: HeaderValue::from_static("Bearer"), reason: reason.into() }
    }

    /// A bearer token came that opens nothing, or no longer.
    #[must_use]
    pub fn invalid(reason: impl Into<String>) -> Self {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        Self::Unidentified { challenge, reason: reason.into() }
    }
}

/// The port for identity: reads it from the headers of a request. The tenant of a request comes from
/// here and from nowhere else.
///
/// 1. An answer depends on the headers alone, and on what the port knows of identities.
/// 2. The same headers may be asked about any number of times at once.
/// 3. A caller may stop waiting for an answer: at once, where too many wait already, and after
///    [`identify_wait_max`](crate::ServerConfig::identify_wait_max) else.
/// 4. An answer says from when on it is no longer true; the caller checks that.
/// 5. Where nobody can say who asks, the answer is [`Denied::Away`], never a guess.
#[async_trait]
pub trait Credentials: Send + Sync + 'static {
    /// Who asks.
    ///
    /// # Errors
    /// [`Denied`].
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied>;

    /// What is wrong with the port itself, for `/readyz`, which everybody may read; none where nothing is.
    fn trouble(&self) -> Option<String>;
}

/// Every request is this tenant's, and nobody's in particular: for a service of one tenant on a
/// network that is trusted. A program that listens checks its address with
/// [`check_listener`](crate::check_listener).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTenant(TenantId);

impl OneTenant {
    /// Every request is this tenant's.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self(tenant)
    }
}

#[async_trait]
impl Credentials for OneTenant {
    async fn identify(&self, _headers: &HeaderMap) -> Result<Principal, Denied> {
        Ok(Principal::new(self.0.clone()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Lets nobody in: what holds until a service says how it tells who asks.
pub(crate) struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn identify(&self, _headers: &HeaderMap) -> Result<Principal, Denied> {
        Err(Denied::Forbidden("this service has no credentials set, so nobody is let in".to_owned()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Who was let in, for a handler that has to know.
pub(crate) struct Caller(pub(crate) Principal);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        parts.extensions.get().cloned().map(Self).ok_or_else(Problem::failed)
    }
}
