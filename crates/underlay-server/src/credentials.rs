use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use underlay_core::{Actor, TenantId};

use crate::app::App;
use crate::problem::Problem;

/// Who asks, and for which tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant whose data the request is about.
    pub tenant: TenantId,
    /// Who asks.
    pub actor: Actor,
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
}

/// The port for identity: reads it from the headers of a request. The tenant of a request comes from
/// here and from nowhere else.
pub trait Credentials: Send + Sync + 'static {
    /// Who asks.
    ///
    /// # Errors
    /// [`Denied`].
    fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied>;
}

/// Every request is this tenant's, and nobody's in particular: for a service of one tenant on a
/// network that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTenant(TenantId);

impl OneTenant {
    /// Every request is this tenant's.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self(tenant)
    }
}

impl Credentials for OneTenant {
    fn identify(&self, _headers: &HeaderMap) -> Result<Principal, Denied> {
        Ok(Principal { tenant: self.0.clone(), actor: Actor::default() })
    }
}

/// Lets nobody in: what holds until a service says how it tells who asks.
pub(crate) struct NoCredentials;

impl Credentials for NoCredentials {
    fn identify(&self, _headers: &HeaderMap) -> Result<Principal, Denied> {
        Err(Denied::Forbidden("this service has no credentials set, so nobody is let in".to_owned()))
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
