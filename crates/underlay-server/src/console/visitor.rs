use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use underlay_core::{TenantId, Timestamp};

use super::form::FormKey;
use super::layout::notice;
use crate::Principal;
use crate::app::App;
use crate::door::roles::{Use, may};
use crate::parameters::{PARAMETERS_MAX, Parameters};
use crate::problem::Problem;

/// The parameter with the word for what was done just now.
const DONE: &str = "done";

/// Who looks at a page.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(super) app: App,
    pub(super) principal: Principal,
    pub(super) form_key: FormKey,
    /// Whether they have signed in here, and so can sign out.
    pub(super) has_signed_in: bool,
    /// What was done just now, in a sentence.
    pub(super) notice: Option<&'static str>,
}

impl Visitor {
    pub(super) fn new(
        app: &App,
        principal: &Principal,
        form_key: FormKey,
        has_signed_in: bool,
        uri: &Uri,
    ) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        let notice = pairs.filter(|(name, _)| *name == DONE).find_map(|(_, word)| notice(word));
        Self { app: app.clone(), principal: principal.clone(), form_key, has_signed_in, notice }
    }

    /// Whether they may use what needs no name to know that: the log, the work, views as a whole.
    pub(super) fn may(&self, to: Use) -> bool {
        may(&self.app, &self.principal.actor, to)
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    pub(super) fn now(&self) -> Timestamp {
        self.app.engine().clock().now()
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::failed)
    }
}

/// The parameters of a page. A field of a form that was left empty asks for nothing, and the word for what was done is
/// for the layout.
pub(super) struct Given(pub(super) Parameters);

impl FromRequestParts<App> for Given {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut parameters = Parameters::parse(query, "PARAMETERS_MAX", PARAMETERS_MAX)?;
        parameters.take_all(DONE);
        Ok(Self(parameters.without_empty()))
    }
}
