//! Who has signed in with a browser.
//!
//! The cookie holds the bearer token itself, and stands for the header `Authorization` on pages of the console alone. The
//! token is looked at again with every page, so one that is revoked or has expired opens nothing more. No script reads
//! the cookie, and no request that another site has caused carries it.

use axum::http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Redirect;

use crate::edge::FORWARDED_PROTO;
use crate::edge::base_path::cookie_path;

/// Where somebody signs in.
pub(super) const SIGN_IN: &str = "/console/sign-in";
/// Where they sign out.
pub(super) const SIGN_OUT: &str = "/console/sign-out";
/// Bytes of a token that a browser keeps: it has room for 4,096 with the name and the rest of a cookie.
pub(super) const SESSION_TOKEN_BYTES_MAX: usize = 3_900;
/// Bytes of an address that somebody is led to after they have signed in.
const NEXT_BYTES_MAX: usize = 2_048;

const PLAIN: &str = "underlay-session";
/// A browser takes a cookie of this name over TLS alone, from this very host, for all of it.
const OVER_TLS: &str = "__Host-underlay-session";
/// The same for a part of the host, which a neighbour of the same domain may set too.
const OVER_TLS_BELOW: &str = "__Secure-underlay-session";

/// The name of the cookie over TLS, of a service below a base path.
fn over_tls(base: &str) -> &'static str {
    if base.is_empty() { OVER_TLS } else { OVER_TLS_BELOW }
}

/// A cookie of a request, by its name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value).next()
}

/// The token of whoever has signed in.
pub(super) fn token<'a>(headers: &'a HeaderMap, base: &str) -> Option<&'a str> {
    // Without TLS, anybody on the way can plant a cookie for this name.
    let plain = || if is_over_tls(headers) { None } else { cookie(headers, PLAIN) };
    cookie(headers, over_tls(base)).or_else(plain)
}

/// Lets the cookie stand for the header that it was made of. Who sends the header says who they are by that.
pub(super) fn resume(headers: &mut HeaderMap, base: &str) {
    if headers.contains_key(AUTHORIZATION) {
        return;
    }
    let value = token(headers, base).and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}

/// Whether the browser has reached the service over TLS, whoever has spoken it.
pub(super) fn is_over_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| origin.starts_with("https://"))
        || headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

/// The cookie of somebody who has signed in with a token that was found good; none where it is too long for one.
pub(super) fn begin(token: &str, is_over_tls: bool, base: &str) -> Option<HeaderValue> {
    let (name, secure) = if is_over_tls { (over_tls(base), "; Secure") } else { (PLAIN, "") };
    let fits = token.len() <= SESSION_TOKEN_BYTES_MAX;
    let text = format!("{name}={token}; Path={}; HttpOnly; SameSite=Strict{secure}", cookie_path(base));
    fits.then(|| HeaderValue::from_str(&text).ok()).flatten()
}

/// What makes a browser forget the cookie, whichever of the two it has.
pub(super) fn end(base: &str) -> impl Iterator<Item = HeaderValue> {
    let path = cookie_path(base);
    let cookies = [(PLAIN, ""), (over_tls(base), " Secure;")];
    cookies.into_iter().filter_map(move |(name, secure)| {
        let cookie = format!("{name}=; Path={path}; HttpOnly; SameSite=Strict;{secure} Max-Age=0");
        HeaderValue::from_str(&cookie).ok()
    })
}

/// Leads somebody who is not signed in to where they sign in, and back from there.
pub(super) fn sign_in_first(uri: &Uri) -> Redirect {
    let asked = uri.path_and_query().map_or("/", |asked| asked.as_str());
    match checked_next(asked) {
        Some(next) if next != "/" => {
            Redirect::to(&format!("{SIGN_IN}?{}", super::show::query(&[("next", next)])))
        }
        _ => Redirect::to(SIGN_IN),
    }
}

/// An address of a page of this console, and nothing that a browser could take for one elsewhere.
pub(super) fn checked_next(text: &str) -> Option<&str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = text == super::ROOT || text.starts_with("/?") || text.starts_with(super::BELOW);
    (text.len() <= NEXT_BYTES_MAX && is_plain && is_ours).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in cookies {
            headers.append(COOKIE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let several = headers(&["a=1; underlay-session=t=1", "b=2"]);
        assert_eq!(cookie(&several, PLAIN), Some("t=1"));
        assert_eq!(cookie(&several, "b"), Some("2"));
        assert_eq!(cookie(&several, "session"), None);
        assert_eq!(token(&headers(&["underlay-session="]), ""), None);
    }

    #[test]
    fn over_tls_the_cookie_counts_that_nobody_on_the_way_can_plant() {
        let mut both = headers(&["underlay-session=planted; __Host-underlay-session=own"]);
        assert_eq!(token(&both, ""), Some("own"));
        both = headers(&["underlay-session=planted"]);
        assert_eq!(token(&both, ""), Some("planted"));
        both.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        assert_eq!(token(&both, ""), None);
    }

    #[test]
    fn below_a_path_the_cookie_is_for_that_path_alone() {
        let cookie = begin("t", true, "/ledger").unwrap();
        assert_eq!(cookie, "__Secure-underlay-session=t; Path=/ledger; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(begin("t", false, "").unwrap(), "underlay-session=t; Path=/; HttpOnly; SameSite=Strict");
        let secure = headers(&["__Secure-underlay-session=planted"]);
        assert_eq!((token(&secure, ""), token(&secure, "/ledger")), (None, Some("planted")));
        assert!(end("/ledger").all(|cookie| cookie.to_str().unwrap().contains("Path=/ledger;")));
    }

    #[test]
    fn a_header_that_was_sent_is_left_alone() {
        let mut sent = headers(&["underlay-session=cookie"]);
        resume(&mut sent, "");
        assert_eq!(sent[AUTHORIZATION], "Bearer cookie");
        let mut own = headers(&["underlay-session=cookie"]);
        own.insert(AUTHORIZATION, HeaderValue::from_static("Bearer header"));
        resume(&mut own, "");
        assert_eq!(own[AUTHORIZATION], "Bearer header");
    }

    #[test]
    fn nobody_is_led_elsewhere() {
        for good in ["/", "/?done=x", "/console/views", "/console/streams/a-%2F?version=3"] {
            assert_eq!(checked_next(good), Some(good));
        }
        let long = format!("/console/{}", "a".repeat(NEXT_BYTES_MAX));
        for bad in [
            "",
            "console/views",
            "//evil.example",
            "/\\evil.example",
            "/console/\\evil",
            "https://evil.example",
            "/console/\nx",
            "/console/ x",
            "/v1/events",
            "/consolex",
            "\t//evil.example",
            &long,
        ] {
            assert_eq!(checked_next(bad), None, "{bad}");
        }
    }
}
