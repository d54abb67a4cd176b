use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::Denied;

/// Bytes in a bearer token.
pub const BEARER_BYTES_MAX: usize = 8 << 10;

/// The token of `Authorization: Bearer …`: the one place of a request that a token is taken from. What
/// stands in an address ends up in logs and histories, so no query is looked at.
///
/// # Errors
/// [`Denied::Unidentified`] where there is none, more than one, one of another scheme, or one that is
/// too long. The reason never quotes it.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (first, more) = (given.next(), given.next());
    let Some(value) = first else {
        return Err(Denied::missing("say who asks with the header `Authorization: Bearer TOKEN`"));
    };
    if more.is_some() {
        // Whoever stands in between may have read the other one.
        return Err(Denied::missing("the header Authorization is there once"));
    }
    let scheme_and_token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = match scheme_and_token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(Denied::missing("the header Authorization is `Bearer TOKEN`")),
    };
    if token.len() > BEARER_BYTES_MAX {
        return Err(Denied::invalid(format!("the token exceeds BEARER_BYTES_MAX = {BEARER_BYTES_MAX}")));
    }
    // What RFC 6750 lets a token be made of.
    let is_of_a_token = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    if token.is_empty() || !token.bytes().all(is_of_a_token) {
        return Err(Denied::invalid("the token holds what no token is made of"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_token_of_one_header_is_taken() {
        assert_eq!(bearer(&headers(&["Bearer abc.DEF-1_~+/="])).unwrap(), "abc.DEF-1_~+/=");
        assert_eq!(bearer(&headers(&["bEARER  abc"])).unwrap(), "abc");
        let long = format!("Bearer {}", "a".repeat(BEARER_BYTES_MAX + 1));
        for wrong in [
            &[][..],
            &["Bearer a", "Bearer a"],
            &["Bearer a", "Basic b"],
            &["Basic a"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,Bearer b"],
            &["Bearer\ta"],
            &[&long],
        ] {
            bearer(&headers(wrong)).unwrap_err();
        }
    }

    #[test]
    fn what_is_refused_is_not_quoted() {
        let Err(Denied::Unidentified { reason, challenge }) = bearer(&headers(&["Bearer sec ret"])) else {
            panic!("a token with a blank is taken")
        };
        assert!(!reason.contains("sec") && !challenge.to_str().unwrap().contains("sec"));
    }
}
