//! The way into the service: a request and its answer, in one process, with a mistake before it or none.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::mistakes::Mistake;
use super::site::Known;
use crate::Result;

/// The content type of an answer that does not end.
pub(super) const FEED: &str = "text/event-stream";
/// How long such an answer says nothing until it is taken for heard.
const FEED_QUIET: Duration = Duration::from_millis(50);

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
}

impl Asked {
    pub(super) fn get(target: impl Into<String>) -> Self {
        Self { method: "GET", target: target.into(), headers: Vec::new(), body: None }
    }

    pub(super) fn post(target: impl Into<String>, body: impl Into<String>) -> Self {
        Self { method: "POST", target: target.into(), headers: Vec::new(), body: Some(body.into()) }
    }

    pub(super) fn put(target: impl Into<String>, body: impl Into<String>) -> Self {
        Self { method: "PUT", ..Self::post(target, body) }
    }

    pub(super) fn delete(target: impl Into<String>) -> Self {
        Self { method: "DELETE", ..Self::get(target) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same as a feed.
    pub(super) fn followed(self) -> Self {
        self.with("accept", FEED)
    }

    pub(super) fn by(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    /// The same by somebody else alone.
    pub(super) fn only_by(mut self, token: &str) -> Self {
        self.headers.retain(|(name, _)| *name != "authorization");
        self.by(token)
    }

    /// Whether it holds a text anywhere.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.target.contains(text)
            || self.headers.iter().any(|(_, value)| value.contains(text))
            || self.body.as_ref().is_some_and(|body| body.contains(text))
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// The way into a service.
pub(super) struct Door {
    router: Router,
    mistake: Option<&'static Mistake>,
}

impl Door {
    pub(super) fn new(router: Router, mistake: Option<&'static Mistake>) -> Self {
        Self { router, mistake }
    }

    /// Asks as the attack does: whatever mistake there is makes itself felt.
    pub(super) async fn ask(&self, asked: &Asked, known: &Known) -> Result<Told> {
        let Some(mistake) = self.mistake else { return self.ask_well(asked).await };
        let mut told = self.ask_well(&mistake.before(asked, known)).await?;
        mistake.after(asked, known, &mut told).await;
        Ok(told)
    }

    /// Asks the service itself.
    pub(super) async fn ask_well(&self, asked: &Asked) -> Result<Told> {
        let mut request =
            Request::builder().method(asked.method).uri(&asked.target).header("host", "localhost");
        // Two answers that are compared name the same request.
        request = request.header("x-request-id", "a-try");
        if asked.body.is_some() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &asked.headers {
            request = request.header(*name, value);
        }
        let body = asked.body.clone().map_or_else(Body::empty, Body::from);
        let response = self.router.clone().oneshot(request.body(body)?).await?;
        let (parts, body) = response.into_parts();
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let is_feed = parts.headers.get("content-type").is_some_and(|told| told == FEED);
        let bytes = if is_feed { hear(body).await? } else { to_bytes(body, usize::MAX).await?.to_vec() };
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Told { status: parts.status.as_u16(), headers, body })
    }
}

/// What a feed says until it says no more for now.
async fn hear(mut feed: Body) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    loop {
        let next = poll_fn(|context| Pin::new(&mut feed).poll_frame(context));
        match tokio::time::timeout(FEED_QUIET, next).await {
            Ok(Some(frame)) => heard.extend(frame?.into_data().unwrap_or_default()),
            Ok(None) | Err(_) => return Ok(heard),
        }
    }
}
