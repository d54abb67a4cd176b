use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Where the style of all pages is.
pub(super) const STYLE_PATH: &str = "/console/style.css";
/// Where their script is.
pub(super) const SCRIPT_PATH: &str = "/console/script.js";

/// `GET /console/style.css`.
pub(super) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

/// `GET /console/script.js`.
pub(super) async fn script() -> Response {
    file("text/javascript; charset=utf-8", concat!(include_str!("script.js"), include_str!("log.js")))
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response()
}
