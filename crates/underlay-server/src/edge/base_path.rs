//! A service below a path of its host, such as `https://host.example/ledger/`.
//!
//! ```text
//!  proxy ─► /ledger/console/views ─┬─► /console/views ─► around every request ─► router
//!       or         /console/views ─┘                                                │
//!  browser ◄─ Location, links, forms and cookies below /ledger ◄────────────────────┘
//! ```
//!
//! Inside, every address is as if the service were at the root of its host. A proxy may take the path away or leave it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;

use crate::{Route, console_pages, routes};

/// Bytes of a base path.
const BASE_PATH_BYTES_MAX: usize = 255;
/// The attributes of a page that hold an address, as the console writes them.
const ADDRESSES: [&str; 4] = [" href=\"", " action=\"", " src=\"", " data-feed=\""];

/// Checks the path of its host that a service is below; empty where it is at the root.
pub(crate) fn check_base_path(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(is_plain) && part.bytes().any(|byte| byte != b'.');
    let is_path = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part));
    if !is_path || text.len() > BASE_PATH_BYTES_MAX {
        return Err(format!(
            "{text:?} is no path of a host; it begins with a slash, ends without one, and is made of letters, digits, \
             `-`, `_`, `.` and `~`, as in /ledger"
        ));
    }
    let first = |path: &'_ str| path.split('/').nth(1).unwrap_or_default().to_owned();
    match routes().iter().chain(&console_pages()).any(|Route { path, .. }| first(path) == first(text)) {
        true => {
            Err(format!("{text:?} begins like an address of the service; choose another name, as in /ledger"))
        }
        false => Ok(()),
    }
}

/// A router whose addresses are below a path too.
pub(crate) fn below(base: &str, router: Router) -> Router {
    if base.is_empty() {
        return router;
    }
    let base: Arc<str> = base.into();
    Router::new().fallback_service(router).layer(middleware::from_fn_with_state(base, pass))
}

async fn pass(State(base): State<Arc<str>>, mut request: Request, next: Next) -> Response {
    if let Some(inner) = without(&base, request.uri()) {
        *request.uri_mut() = inner;
    }
    let mut response = next.run(request).await;
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.filter(|to| to.starts_with('/')).map(|to| format!("{base}{to}"));
    if let Some(location) = location.and_then(|to| HeaderValue::from_str(&to).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The address inside; none where it is that already.
fn without(base: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(base)?;
    let path = match rest {
        "" => "/",
        rest if rest.starts_with('/') => rest,
        _ => return None,
    };
    let inner = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(inner.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A page of the console with its links below the path. What is stored holds no quotation mark as a page is written, so
/// nothing but an attribute is changed.
pub(crate) fn links_below(base: &str, page: String) -> String {
    if base.is_empty() {
        return page;
    }
    ADDRESSES.iter().fold(page, |page, name| page.replace(&format!("{name}/"), &format!("{name}{base}/")))
}

/// What a cookie of the service is for.
pub(crate) fn cookie_path(base: &str) -> &str {
    if base.is_empty() { "/" } else { base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_plain_and_no_address_of_the_service() {
        for good in ["", "/ledger", "/team-a/ledger.v2", "/v1x"] {
            assert_eq!(check_base_path(good), Ok(()), "{good}");
        }
        let long = format!("/{}", "a".repeat(BASE_PATH_BYTES_MAX));
        for bad in [
            "/", "ledger", "/ledger/", "//ledger", "/a//b", "/..", "/a/.", "/a b", "/a?b", "/a%2Fb", "/a\"",
            &long,
        ] {
            assert!(check_base_path(bad).is_err_and(|told| told.contains("as in /ledger")), "{bad}");
        }
        for ours in ["/v1", "/console", "/docs/x", "/metrics", "/livez", "/links"] {
            assert!(check_base_path(ours).is_err_and(|told| told.contains("choose another name")), "{ours}");
        }
    }

    #[test]
    fn an_address_loses_its_base_path_and_nothing_else() {
        let inner = |asked: &str| without("/ledger", &asked.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(inner("/ledger").as_deref(), Some("/"));
        assert_eq!(inner("/ledger?a=/ledger").as_deref(), Some("/?a=/ledger"));
        assert_eq!(inner("/ledger/v1/views?x=1").as_deref(), Some("/v1/views?x=1"));
        assert_eq!(inner("/ledger/ledger").as_deref(), Some("/ledger"));
        assert_eq!(inner("http://a.example/ledger/x").as_deref(), Some("http://a.example/x"));
        for other in ["/", "/ledgers", "/v1/views", "/x/ledger"] {
            assert_eq!(inner(other), None, "{other}");
        }
    }

    #[test]
    fn links_of_a_page_are_below_the_path_and_no_text_is() {
        let page = "<a href=\"/console/x\">/ href=&quot;/y</a><a href=\"#z\"></a><form action=\"/\" method=\"post\">";
        let told = links_below("/ledger", page.to_owned());
        let expected = "<a href=\"/ledger/console/x\">/ href=&quot;/y</a><a href=\"#z\"></a>\
                        <form action=\"/ledger/\" method=\"post\">";
        assert_eq!(told, expected);
        assert_eq!(links_below("", page.to_owned()), page);
    }
}
