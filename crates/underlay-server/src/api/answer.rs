use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use underlay_core::Error;

use crate::problem::Problem;

/// A success, as JSON.
#[derive(Debug)]
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            // Only text that was stored can fail here: it is taken over as it is.
            Err(error) => {
                Problem::from(Error::Damaged(format!("a stored text is not JSON: {error}"))).into_response()
            }
        }
    }
}
