use axum::http::{HeaderMap, StatusCode};
use underlay_core::{TenantId, Timestamp};

use super::end::End;
use super::{FEED_BEHIND_MAX, FEED_LOOK_INTERVAL, FEED_UNKNOWN_MAX};
use crate::Principal;
use crate::app::App;
use crate::door::roles::{identify, permit_log, permit_view};

/// What a feed gives.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// Events of the log.
    Log,
    /// Rows of a view.
    View(String),
}

/// Sees that whoever asked may still be here, and keeps up.
pub(super) struct Guard {
    app: App,
    /// Those of the request. Which of them say who asks, the port for identity alone knows.
    headers: HeaderMap,
    tenant: TenantId,
    given: Given,
    /// When to look again; none where everybody is let in.
    due: Option<Timestamp>,
    /// Since when nobody can say.
    unknown_since: Option<Timestamp>,
    /// Since when the client is behind those it was with.
    behind_since: Option<Timestamp>,
}

impl Guard {
    pub(super) fn new(app: App, headers: &HeaderMap, principal: &Principal, given: Given) -> Self {
        let now = app.engine().clock().now();
        let due = (!app.config().is_open()).then(|| next_look(now, principal.expires_at));
        Self {
            app,
            headers: headers.clone(),
            tenant: principal.tenant.clone(),
            given,
            due,
            unknown_since: None,
            behind_since: None,
        }
    }

    /// Whether it looks at all.
    pub(super) fn looks(&self) -> bool {
        self.due.is_some()
    }

    /// Sees that the client keeps up with those it was with.
    pub(super) fn check_pace(&mut self, is_left_behind: bool, now: Timestamp) -> Result<(), End> {
        if !is_left_behind {
            self.behind_since = None;
            return Ok(());
        }
        let since = *self.behind_since.get_or_insert(now);
        if since.saturating_add(FEED_BEHIND_MAX).is_ok_and(|end| end <= now) {
            return Err(End::Slow);
        }
        Ok(())
    }

    /// Looks again, where that is due.
    pub(super) async fn check(&mut self, now: Timestamp) -> Result<(), End> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(());
        }
        match identify(&self.app, &self.headers).await {
            Ok(principal) => {
                let permitted = match &self.given {
                    Given::Log => permit_log(&self.app, &principal.actor),
                    Given::View(view) => permit_view(&self.app, &principal.actor, view),
                };
                if principal.tenant != self.tenant || permitted.is_err() {
                    return Err(End::Credentials);
                }
                self.unknown_since = None;
                self.due = Some(next_look(now, principal.expires_at));
                Ok(())
            }
            Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                let since = *self.unknown_since.get_or_insert(now);
                if since.saturating_add(FEED_UNKNOWN_MAX).is_ok_and(|end| end <= now) {
                    return Err(End::Credentials);
                }
                self.due = Some(next_look(now, None));
                Ok(())
            }
            Err(_) => Err(End::Credentials),
        }
    }
}

fn next_look(now: Timestamp, expires_at: Option<Timestamp>) -> Timestamp {
    let next = now.saturating_add(FEED_LOOK_INTERVAL).unwrap_or(Timestamp::MAX);
    expires_at.map_or(next, |end| end.min(next))
}
