use underlay_core::options::{ConfigOption, Configurable, Place};

use crate::edge::{check_base_path, cors};
use crate::host::check_name;
use crate::metrics::check_tenants;
use crate::{ServeLimits, ServerConfig};

impl Configurable for ServerConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new("access_log", "Whether every request leaves a line in the log", |config| {
            Place::Flag(&mut config.access_log)
        }),
        ConfigOption::<Self>::new(
            "metrics_readers",
            "A role that may read /metrics, beside those that look after what is over all tenants",
            |config| Place::List(&mut config.metrics_readers),
        )
        .checked(check_roles)
        .called("ROLE"),
        ConfigOption::<Self>::new(
            "metrics_tenants",
            "A tenant whose requests /metrics tells apart; 100 at most",
            |config| Place::List(&mut config.metrics_tenants),
        )
        .checked(check_tenants)
        .called("TENANT"),
        ConfigOption::<Self>::new(
            "base_path",
            "The path of its host that the service is below, such as /ledger behind a proxy",
            |config| Place::Text(&mut config.base_path),
        )
        .checked(check_base_path)
        .called("PATH"),
        ConfigOption::<Self>::new(
            "strict_transport",
            "How long browsers are to ask for this service over TLS alone (HSTS); 0s says nothing",
            |config| Place::Time(&mut config.strict_transport),
        ),
        ConfigOption::<Self>::new("body_bytes_max", "Bytes in the body of a request", |config| {
            Place::Bytes(&mut config.body_bytes_max)
        }),
        ConfigOption::<Self>::new("body_wait_max", "How long a body may take to arrive", |config| {
            Place::Time(&mut config.body_wait_max)
        }),
        ConfigOption::<Self>::new(
            "request_wait_max",
            "How long a request may take until its answer begins, beside the wait for a view",
            |config| Place::Time(&mut config.request_wait_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "compress_from",
            "Bytes from which on an answer is compressed for clients that take gzip; 0 compresses none",
            |config| Place::Bytes(&mut config.compress_from),
        ),
        ConfigOption::<Self>::new("page_events_max", "Events in one page", |config| {
            Place::Count(&mut config.page_events_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new("page_bytes_max", "Bytes in one page of events or rows, about", |config| {
            Place::Bytes(&mut config.page_bytes_max)
        }),
        ConfigOption::<Self>::new("wait_max", "How long a query may wait for a view", |config| {
            Place::Time(&mut config.wait_max)
        }),
        ConfigOption::<Self>::new(
            "identify_wait_max",
            "How long it may take to say who asks, where that is not known at once",
            |config| Place::Time(&mut config.identify_wait_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "identify_waiting_max",
            "Requests that wait at one time to be identified; as many again of callers let in before",
            |config| Place::Count(&mut config.identify_waiting_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "identify_tenant_waiting_max",
            "The same, of one tenant's callers who were let in before",
            |config| Place::Count(&mut config.identify_tenant_waiting_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new("requests_max", "Requests in progress at one time", |config| {
            Place::Count(&mut config.requests_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "tenant_requests_max",
            "Requests of one tenant in progress at one time",
            |config| Place::Count(&mut config.tenant_requests_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new("feed_clients_max", "Clients that follow a feed at one time", |config| {
            Place::Count(&mut config.feed_clients_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "tenant_feed_clients_max",
            "Clients of one tenant that follow a feed at one time",
            |config| Place::Count(&mut config.tenant_feed_clients_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new("answer_bytes_max", "Bytes of answers that were not taken yet", |config| {
            Place::Bytes(&mut config.answer_bytes_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new(
            "tenant_answer_bytes_max",
            "Bytes of answers to one tenant that were not taken yet",
            |config| Place::Bytes(&mut config.tenant_answer_bytes_max),
        )
        .at_least(1),
    ];
}

impl Configurable for ServeLimits {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "connections_max",
            "Connections that are served at one time; more wait",
            |limits| Place::Count(&mut limits.connections_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "header_wait_max",
            "How long a connection may take to send the head of a request",
            |limits| Place::Time(&mut limits.header_wait_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "answer_grace",
            "How long a client may take nothing of its answer",
            |limits| Place::Time(&mut limits.answer_grace),
        ),
        ConfigOption::<Self>::new(
            "answer_rate_min",
            "Bytes a second that a client takes of its answer; a slower one is cut",
            |limits| Place::Bytes(&mut limits.answer_rate_min),
        ),
        ConfigOption::<Self>::new(
            "shutdown_wait_max",
            "How long connections may go on after the shutdown",
            |limits| Place::Time(&mut limits.shutdown_wait_max),
        ),
        ConfigOption::<Self>::new(
            "http2_streams_max",
            "Requests that one connection of HTTP/2 may have in progress",
            |limits| Place::Count(&mut limits.http2_streams_max),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "http2_ping_interval",
            "After how long a silence a client of HTTP/2 is asked whether it is there",
            |limits| Place::Time(&mut limits.http2_ping_interval),
        )
        .at_least(1),
        ConfigOption::<Self>::new(
            "http2_ping_wait_max",
            "How long such a client may take to say so",
            |limits| Place::Time(&mut limits.http2_ping_wait_max),
        )
        .at_least(1),
    ];
}

/// An empty role is what a variable leaves that nobody has set.
fn check_roles(text: &str) -> Result<(), String> {
    match text.split(',').find(|role| role.trim().is_empty()) {
        Some(_) => Err("a role is empty; name one, or leave the option out".to_owned()),
        None => Ok(()),
    }
}

/// Checks an origin whose pages may use the service, such as `https://app.example`.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn check_origin(origin: &str) -> Result<(), String> {
    cors::check_origin(origin)
}

/// Checks a name that requests may be for, such as `bank.example`.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn check_host_name(name: &str) -> Result<(), String> {
    check_name(name).map_err(|error| error.to_string())
}
