//! Live feeds: what happens, given to a client as it happens, in one answer that does not end.
//!
//! ```text
//!  request ─► door ─► a place of its own ─► where it begins ─► opening ─┐
//!                                                                       ▼
//!               ┌──────────── heartbeat: how far it has come ◄──── following ◄──── what happens
//!               └────────────────────────────────────────────────────►  │
//!                                                                       ▼
//!                      end, with a reason: slow, stopping, credentials, reset, failed
//! ```
//!
//! A feed is written in Server-Sent Events. Everything it gives has an id, and so has a heartbeat. A client that comes
//! back with the last id it has seen is given what follows that, without gap or repeat, by whatever process of the
//! service. An id is bound to the log it was given for: where that was restored from an older copy, or is
//! another one, the id is refused.
//!
//! A feed is the future that its answer polls. So a client that takes nothing costs nothing but its place, and holds
//! nobody up: what it has not taken makes room for what comes, and it reads the log for itself where it comes back
//! within [`FEED_BEHIND_MAX`]. One that takes nothing at all is cut by the [pace](crate::edge) of its connection.
//!
//! Who asked is asked about again while the feed lasts, so it ends soon after credentials do. Feeds have places of
//! their own, and take none of those of requests.

mod body;
mod cloud_event;
mod end;
mod events;
mod following;
mod frame;
mod guard;
mod id;
mod rows;
mod shown;
mod views;

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

pub(crate) use body::Lasting;
pub(crate) use cloud_event::{BATCH, CloudEvent, is_batch_asked_for};
pub(crate) use events::follow as follow_events;
pub(crate) use rows::FollowedRows;
pub(crate) use shown::Shown;
pub(crate) use views::follow as follow_view;

use crate::edge::wanted;
use crate::parameters::Parameters;
use crate::problem::Problem;

/// The content type of a feed.
const EVENT_STREAM: &str = "text/event-stream";
/// How long a client waits before it comes back, where it does that by itself.
const FEED_RETRY: Duration = Duration::from_secs(2);
/// After how long in which nothing was given a heartbeat says how far the feed has come.
pub(crate) const FEED_HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client that was with the others may be behind them.
pub(crate) const FEED_BEHIND_MAX: Duration = Duration::from_secs(30);
/// How long to leave a store alone that does not answer, or a page for which there is no room.
const FEED_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at whether who asked may still be here.
const FEED_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a feed goes on where nobody can say whether they may.
const FEED_UNKNOWN_MAX: Duration = Duration::from_secs(60);

/// Whether a feed is asked for rather than a page.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    accepts(headers, EVENT_STREAM)
}

/// Whether a request names this content type among those it takes.
fn accepts(headers: &HeaderMap, content_type: &str) -> bool {
    wanted(headers, &ACCEPT).any(|(name, is_wanted)| is_wanted && name.eq_ignore_ascii_case(content_type))
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// As pages have it.
    #[default]
    Plain,
    /// As CloudEvents 1.0 has it.
    CloudEvents,
}

impl Form {
    /// Takes `format`.
    pub(crate) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        match parameters.take("format")?.as_deref() {
            None => Ok(Self::Plain),
            Some("cloudevents") => Ok(Self::CloudEvents),
            Some(other) => {
                Err(Problem::invalid(format!("format is cloudevents or left out; it is {other:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_feed_is_asked_for_by_its_content_type_alone() {
        let asked = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            is_asked_for(&headers)
        };
        for accept in
            ["text/event-stream", "application/json;q=0.5, Text/Event-Stream; q=1", "*/*, text/event-stream"]
        {
            assert!(asked(accept), "{accept}");
        }
        for accept in [
            "*/*",
            "text/*",
            "application/json",
            "text/event-stream;q=0",
            "text/event-stream;Q=0.0",
            "text/event-streams",
            "",
        ] {
            assert!(!asked(accept), "{accept}");
        }
        assert!(!is_asked_for(&HeaderMap::new()));
    }
}
