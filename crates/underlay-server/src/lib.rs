//! The HTTP API of a service and its console, over an [`Engine`](underlay_runtime::Engine).
//!
//! ```text
//!  request ─► edge        every answer gets its headers; a panic, a request for another host, a
//!               │         cross-site write and a malformed path become problems here
//!               ▼
//!             router ─► credentials ─► budgets ─► roles ─► handler ─► engine
//!                           │             │         │         │
//!                           │             └─ 503    └─ 403    └─ answer, or a problem (RFC 9457)
//!                           └─ 401, 403, 503
//! ```
//!
//! The tenant of a request comes from its credentials: no path, query or body can name one. Every
//! answer that is not a success is `application/problem+json`, its type taken from the variant of the
//! error and its fields as members. Bodies, pages, waits and connections have limits with a name:
//! see [`ServerConfig`] and [`ServeLimits`].

mod api;
mod app;
mod config;
mod console;
mod door;
mod edge;
mod feed;
mod links;
mod metrics;
mod options;
pub mod private_file;
mod watched;

// What every room speaks of, by its own name.
use api::request::{parameters, path, request_body, request_headers};
use api::{
    admin, answer, command_status, commands, deferral, entities, events, page, problem, streams, view_orders,
    view_query, views,
};
use edge::{budget, health, host};

pub use api::describe::openapi;
pub use api::router::{Route, check_addresses, router, routes};
pub use api::view_query::read_page_query;
pub use config::{Example, ServerConfig};
pub use console::console_pages;
#[cfg(feature = "jwt")]
pub use door::jwt;
pub use door::{
    BEARER_BYTES_MAX, Credentials, Denied, FileTokens, LogReaders, OneTenant, Principal, Secret,
    TOKENS_LOOK_INTERVAL, TOKENS_REVOKED_WITHIN, Token, TokenFile, TokenList, TokenRequest, bearer,
    check_listener,
};
pub use edge::{ACCESS_LOG_TARGET, HealthPart, ServeLimits, Start, serve, serve_within};
#[cfg(feature = "tls")]
pub use edge::{CERTIFICATE_ENDS_SOON, CERTIFICATE_LOOK_INTERVAL, CertificateFiles, serve_tls_within};
pub use links::{LINK_KEY_BYTES, LinkAnswer, LinkKey, LinkKeys, LinkPage, LinkTarget, OpenedLink};
pub use options::{check_host_name, check_origin};
