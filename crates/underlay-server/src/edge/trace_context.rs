//! The trace that a request is part of, as W3C Trace Context has it.
//!
//! A service that draws no spans of its own passes the context on as it came: into the metadata of what it stores,
//! and from there to whatever follows. What is not well formed is as if it were not there, as the specification asks:
//! a caller's broken tracing never costs a request.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};

/// Where the context of a trace stands.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Bytes of the four fields that every version has: version, trace id, parent id and flags.
const FIELDS: usize = 55;

/// The context of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext(String);

impl TraceContext {
    /// The context as it is passed on.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace, in hex.
    pub(crate) fn trace_id(&self) -> &str {
        &self.0[3..35]
    }
}

/// The context that came with a request; none where there is none, several, or one that is not well formed.
pub(crate) fn read(headers: &HeaderMap) -> Option<TraceContext> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (first, more) = (given.next()?, given.next());
    let text = first.to_str().ok().filter(|_| more.is_none())?;
    parse(text).map(|text| TraceContext(text.into_owned()))
}

/// A version, a trace id, a parent id and flags, in lower-case hex. A later version may have more fields: its first
/// four are passed on as the version that is known here, with the one flag that is.
fn parse(text: &str) -> Option<Cow<'_, str>> {
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    if !text.is_ascii() || text.len() < FIELDS {
        return None;
    }
    let (fields, rest) = text.split_at(FIELDS);
    let parts: Vec<&str> = fields.split('-').collect();
    let [version, trace_id, parent_id, flags] = parts.as_slice() else { return None };
    let lengths = (version.len(), trace_id.len(), parent_id.len(), flags.len());
    let is_well_formed = lengths == (2, 32, 16, 2)
        && parts.iter().all(|part| is_hex(part))
        && !is_zero(trace_id)
        && !is_zero(parent_id);
    match *version {
        _ if !is_well_formed => None,
        "ff" => None,
        "00" => rest.is_empty().then_some(Cow::Borrowed(text)),
        _ if rest.is_empty() || rest.starts_with('-') => {
            let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
            Some(Cow::Owned(format!("00-{trace_id}-{parent_id}-0{}", u8::from(is_sampled))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn passed_on(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        read(&headers).map(|context| {
            assert_eq!(context.trace_id(), TRACE);
            context.as_str().to_owned()
        })
    }

    #[test]
    fn a_context_goes_on_as_it_came_and_a_later_version_as_the_one_known_here() {
        let known = format!("00-{TRACE}-{PARENT}-03");
        assert_eq!(passed_on(&[&known]), Some(known.clone()));
        for (later, flags) in [("01", "01"), ("cc", "ff"), ("01", "02")] {
            let sampled = if flags == "02" { "00" } else { "01" };
            let as_known = Some(format!("00-{TRACE}-{PARENT}-{sampled}"));
            assert_eq!(passed_on(&[&format!("{later}-{TRACE}-{PARENT}-{flags}")]), as_known);
            assert_eq!(passed_on(&[&format!("{later}-{TRACE}-{PARENT}-{flags}-more.of-it")]), as_known);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-{PARENT}"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{zero}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("{good}-"),
            format!("{good}-more"),
            format!("{good}0"),
            format!("01-{TRACE}-{PARENT}-010"),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{TRACE}{PARENT}--01"),
            format!(" {good}"),
        ] {
            assert_eq!(passed_on(&[&text]), None, "{text}");
        }
        assert_eq!(passed_on(&[&good, &good]), None);
    }
}
