//! For whom a request is.
//!
//! A page of another site can be given a name that leads to this machine (DNS rebinding). Its browser
//! takes it for a page of this service: it sends what it knows of this origin, and shows the page the
//! answers. All that is left to tell them apart is the name, which the browser sends along. So a
//! request has to be for a name that is allowed: `localhost`, which no name server is asked for, the
//! address of a machine, which nobody can bind to another, or a name the configuration has.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri};
use underlay_core::Error;

use crate::problem::Problem;

/// Bytes of a name that an answer repeats.
const NAME_BYTES_SHOWN: usize = 255;

/// Whether the request is for one of these names, for this machine or for an address. A target that
/// names a host counts beside the header.
pub(crate) fn check_request(allowed: &[String], uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let mut named = Vec::new();
    for host in headers.get_all(HOST) {
        named.push(host.to_str().unwrap_or_default());
    }
    if named.len() > 1 {
        return Err(not_allowed("a request names its host once, in the header Host"));
    }
    named.extend(uri.authority().map(|authority| authority.as_str()));
    if named.is_empty() {
        return Err(not_allowed("a request names its host, in the header Host"));
    }
    match named.iter().find(|authority| !is_allowed(allowed, authority)) {
        None => Ok(()),
        Some(authority) => {
            let plain = authority.len() <= NAME_BYTES_SHOWN
                && authority.bytes().all(|byte| is_of_a_name(byte) || matches!(byte, b':' | b'[' | b']'));
            let shown = if plain { authority } else { "of this request" };
            Err(not_allowed(&format!(
                "this service does not answer for the host {shown}; `--allow-host NAME` of `serve` and \
                 hosts_allowed of the configuration allow a name"
            )))
        }
    }
}

/// Whether a configured name is one, without scheme and port.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if !name.is_empty() && name.bytes().all(is_of_a_name) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{name:?} is no name of a host; it is written without scheme and port, as in bank.example"
    )))
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn not_allowed(detail: &str) -> Problem {
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host-not-allowed", "Host not allowed", detail)
}

fn is_allowed(allowed: &[String], authority: &str) -> bool {
    let is_port = |rest: &str| {
        rest.is_empty()
            || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(bracketed) = authority.strip_prefix('[') {
        let Some((address, rest)) = bracketed.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && is_port(rest);
    }
    let (name, rest) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    // With its root spelled out a name is the same name.
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_known = name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok()
        || allowed.iter().any(|own| own.eq_ignore_ascii_case(name));
    is_known && is_port(rest)
}
