use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::{self, DeserializeOwned};

use crate::app::App;
use crate::problem::Problem;

/// The body of a request: JSON text, or nothing. Whether it fits is for the command to say.
pub(crate) struct JsonText(pub(crate) String);

impl FromRequest<App> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, app).await?;
        if !bytes.is_empty() && !is_json {
            let detail = "a body is application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported-media-type", "Unsupported media type", detail));
        }
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Self(text)),
            Err(_) => Err(Problem::invalid("the body is not UTF-8")),
        }
    }
}

/// Reads a body that is an object. A struct would be read from a list too, of its members in their order.
pub(crate) fn object<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    match text.trim_start().starts_with('[') {
        true => Err(de::Error::custom("it is a list, and an object is wanted")),
        false => serde_json::from_str(text),
    }
}

/// The body of a request, within its limits of size and time.
pub(crate) async fn read(request: Request, app: &App) -> Result<Bytes, Problem> {
    let config = app.config();
    // What is announced as too large is not waited for.
    if request.body().size_hint().lower() > config.body_bytes_max as u64 {
        return Err(Problem::body_too_large(config.body_bytes_max));
    }
    let bytes = tokio::select! {
        read = Bytes::from_request(request, app) => read,
        () = app.engine().clock().sleep(config.body_wait_max) => {
            let detail = format!("the body took longer than body_wait_max = {:?}", config.body_wait_max);
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "Body too slow", detail));
        }
    };
    bytes.map_err(|rejection| Problem::from_body(rejection, config.body_bytes_max))
}

/// Whether the body says it is JSON, or nothing of itself.
fn is_json(headers: &HeaderMap) -> bool {
    let types: Vec<_> = headers.get_all(CONTENT_TYPE).iter().collect();
    match types.as_slice() {
        [] => true,
        [named] => {
            let essence = named.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("application/json")
        }
        _ => false,
    }
}
