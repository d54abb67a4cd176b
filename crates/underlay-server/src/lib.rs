//! The HTTP API of a service and its start page, over an [`Engine`](underlay_runtime::Engine).
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

mod admin;
mod answer;
mod app;
mod budget;
mod command_status;
mod commands;
mod config;
mod deferral;
mod door;
mod edge;
mod events;
mod health;
mod host;
mod links;
mod options;
mod pace;
mod page;
mod parameters;
mod path;
pub mod private_file;
mod problem;
mod request_body;
mod request_headers;
mod router;
mod schedules;
mod serve;
mod start_page;
mod streams;
mod view_orders;
mod view_query;
mod views;

pub use config::{Example, ServerConfig};
#[cfg(feature = "jwt")]
pub use door::jwt;
pub use door::{
    BEARER_BYTES_MAX, Credentials, Denied, FileTokens, LogReaders, OneTenant, Principal, Secret,
    TOKENS_LOOK_INTERVAL, TOKENS_REVOKED_WITHIN, Token, TokenFile, TokenList, TokenRequest, bearer,
    check_listener,
};
pub use links::{LINK_KEY_BYTES, LinkAnswer, LinkKey, LinkKeys, LinkPage, LinkTarget, OpenedLink};
pub use options::check_host_name;
pub use router::{Route, check_addresses, router, routes};
pub use serve::{ServeLimits, serve, serve_within};
