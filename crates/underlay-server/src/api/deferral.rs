//! Whether a command is answered once it has run, or as soon as it is stored.

use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use underlay_core::Timestamp;
use underlay_runtime::{CommandInfo, SubmitOptions, Submitted};

use crate::answer::Answer;
use crate::command_status::CommandBody;
use crate::commands::REPLAYED;
use crate::parameters::Parameters;
use crate::problem::Problem;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The preference for an answer as soon as the command is stored; RFC 7240.
const RESPOND_ASYNC: &str = "respond-async";
/// The parameter that says from when on a command may run.
const DUE_AT: &str = "due_at";
/// The soonest and the latest that a client is told to come back.
const RETRY_AFTER_SECONDS: (u64, u64) = (1, 3_600);

/// What a request says about when it is answered.
#[derive(Debug)]
pub(crate) struct Deferral {
    /// Whether it prefers an answer as soon as the command is stored.
    prefers_async: bool,
    due_at: Option<Timestamp>,
}

impl Deferral {
    /// Reads the header `Prefer`, of which other preferences are passed over, and the parameter `due_at`.
    pub(crate) fn read(headers: &HeaderMap, mut parameters: Parameters) -> Result<Self, Problem> {
        let due_at = parameters.take_parsed(DUE_AT)?;
        parameters.finish(&[DUE_AT])?;
        let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let mut preferences = preferences.flat_map(|value| value.split(','));
        let prefers_async = preferences.any(|preference| {
            let name = preference.split([';', '=']).next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
        });
        Ok(Self { prefers_async, due_at })
    }

    /// How the command is stored; none where it is run at once.
    pub(crate) fn options(&self) -> Option<SubmitOptions> {
        let options = SubmitOptions { due_at: self.due_at, ..SubmitOptions::default() };
        (self.prefers_async || self.due_at.is_some()).then_some(options)
    }

    /// The answer to a command that is stored. `known` says where it stands, where it was stored before: it may have
    /// been given up since, or discarded.
    pub(crate) fn accepted(
        &self,
        submitted: &Submitted,
        known: Option<CommandInfo>,
        now: Timestamp,
    ) -> Response {
        let body = known.map_or_else(|| CommandBody::submitted(submitted), CommandBody::from);
        let mut response = Answer(body).into_response();
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        if let Ok(location) = HeaderValue::from_str(&format!("/v1/commands/{}", submitted.command_id)) {
            headers.insert(LOCATION, location);
        }
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds_until(submitted.due_at, now)));
        if self.prefers_async {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC));
        }
        if submitted.repeated {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

fn seconds_until(due_at: Option<Timestamp>, now: Timestamp) -> u64 {
    let left = due_at.and_then(|due_at| Duration::try_from(due_at.duration_since(now)).ok());
    let (soonest, latest) = RETRY_AFTER_SECONDS;
    left.map_or(soonest, |left| (left.as_secs_f64().ceil() as u64).clamp(soonest, latest))
}
