//! Answers that are sent in fewer bytes, to clients that take gzip.
//!
//! ```text
//!  whole body, as JSON ─► at least compress_from bytes? ─► PIECE_BYTES at a time, as the client takes them
//! ```
//!
//! What is not sent yet is held as it was made, so budgets count it as before. No more than a piece is compressed
//! at once: nobody else waits for a long answer.
//!
//! What has no size yet, such as a feed, goes as it is: each event is to arrive at once. So do pages of HTML. Such a page
//! may hold what only its reader may know beside what another has put into its address, and its length would tell of both.

use std::io::Write;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Frame, SizeHint};

use super::wanted;
use crate::ServerConfig;

/// Bytes that are compressed at once.
const PIECE_BYTES: usize = 64 << 10;

/// Whether a client takes gzip.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for (coding, is_taken) in wanted(headers, &ACCEPT_ENCODING) {
        match coding {
            name if name.eq_ignore_ascii_case("gzip") => return is_taken,
            "*" => any = is_taken,
            _ => {}
        }
    }
    any
}

/// Compresses an answer where that is worth it and the client takes it.
pub(crate) fn compress(config: &ServerConfig, takes_gzip: bool, mut response: Response) -> Response {
    let size = response.body().size_hint().exact().unwrap_or_default();
    let is_worth_it = config.compress_from > 0 && size >= config.compress_from as u64;
    let headers = response.headers_mut();
    if !is_worth_it || headers.contains_key(CONTENT_ENCODING) || !is_text(headers) {
        return response;
    }
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes_gzip {
        return response;
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(CONTENT_LENGTH);
    response.map(|body| Body::new(Compressed::new(body)))
}

/// Whether an answer is JSON, or a file of a page.
fn is_text(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    matches!(
        essence,
        "application/json" | "application/javascript" | "image/svg+xml" | "text/css" | "text/javascript"
    ) || essence.starts_with("application/") && essence.ends_with("+json")
}

struct Compressed {
    body: Body,
    /// Of a part of the body, what was not compressed yet.
    rest: Bytes,
    /// None once the end was given.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Compressed {
    fn new(body: Body) -> Self {
        let encoder = GzEncoder::new(Vec::new(), Compression::fast());
        Self { body, rest: Bytes::new(), encoder: Some(encoder) }
    }
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(mut encoder) = this.encoder.take() else { return Poll::Ready(None) };
        loop {
            if this.rest.is_empty() {
                let next = match Pin::new(&mut this.body).poll_frame(context) {
                    Poll::Ready(next) => next,
                    Poll::Pending => {
                        this.encoder = Some(encoder);
                        return Poll::Pending;
                    }
                };
                match next {
                    // What is made in one piece has no trailers.
                    Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                    Some(failed) => return Poll::Ready(Some(failed)),
                    None => {
                        let last = encoder.finish().map_err(axum::Error::new);
                        return Poll::Ready(Some(last.map(|last| Frame::data(last.into()))));
                    }
                }
            }
            let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
            if let Err(error) = encoder.write_all(&piece) {
                return Poll::Ready(Some(Err(axum::Error::new(error))));
            }
            let compressed = mem::take(encoder.get_mut());
            if !compressed.is_empty() {
                this.encoder = Some(encoder);
                return Poll::Ready(Some(Ok(Frame::data(compressed.into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_takes_is_read_as_it_is_written() {
        let takes = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            takes_gzip(&headers)
        };
        for yes in
            [&["gzip"][..], &["br, GZIP;q=0.5"], &["*"], &["br", "gzip"], &["gzip; q=1"], &["*;q=0, gzip"]]
        {
            assert!(takes(yes), "{yes:?}");
        }
        for no in [
            &[][..],
            &[""],
            &["br"],
            &["gzip;q=0"],
            &["gzip;q=0.000, *"],
            &["*;q=0"],
            &["gzip;q=x"],
            &["gzip;Q=0"],
            &["gzip;level=9;q=0, *"],
            &["identity"],
            &["xgzip"],
        ] {
            assert!(!takes(no), "{no:?}");
        }
    }
}
