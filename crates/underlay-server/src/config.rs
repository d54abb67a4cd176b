use std::sync::Arc;
use std::time::Duration;

use underlay_core::TenantId;

use crate::door::credentials::NoCredentials;
use crate::edge::health::HealthParts;
use crate::links::LinkPages;
use crate::{Credentials, HealthPart, LinkKeys, LinkPage, LogReaders, OneTenant, Start};

/// A request the console shows, ready to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What follows `/v1/`, as an address has it: `account/cash/deposit`, `operations/transfer`.
    pub target: String,
    /// The body, as JSON.
    pub body: String,
}

/// How a service is served.
#[derive(Clone)]
pub struct ServerConfig {
    /// The name of the service, for people.
    pub service: String,
    /// What it is for, in a sentence.
    pub about: Option<String>,
    /// Requests the console shows.
    pub examples: Vec<Example>,
    /// Who asks, and for which tenant.
    pub credentials: Arc<dyn Credentials>,
    /// Who may read the log and its streams as they are stored, past every command and view.
    pub log_readers: LogReaders,
    /// The roles one of which it takes to see what waits to be done and to settle what was given up; nobody may
    /// where there are none. Counts are over all tenants; what was sent is shown of the caller's own alone.
    pub operators: Vec<String>,
    /// The roles one of which it takes for what is over all tenants: to see where views stand, and to rebuild, verify
    /// and mend them. Nobody may where there are none; where the service is [of one
    /// tenant](Self::with_one_tenant), its operators may too.
    pub store_operators: Vec<String>,
    /// The roles one of which it takes to read the metrics, beside those of the operators of the store.
    pub metrics_readers: Vec<String>,
    /// The tenants whose requests the metrics tell apart.
    pub metrics_tenants: Vec<String>,
    /// How long it may take to say who asks, where that is not known at once.
    pub identify_wait_max: Duration,
    /// Requests that wait at one time to be identified, of callers who were not let in before; as many
    /// places again are for those who were.
    pub identify_waiting_max: usize,
    /// The same, of one tenant's callers who were let in before.
    pub identify_tenant_waiting_max: usize,
    /// Sites, such as `https://app.example`, whose pages may use the service from a browser: send commands, and read
    /// what is answered. Without any, no page but the service's own may.
    pub origins_allowed: Vec<String>,
    /// Whether every request leaves a line in the log, at the level `INFO` of the target `access`.
    pub access_log: bool,
    /// Names, such as `bank.example`, that requests may be for. `localhost` and the addresses of
    /// machines always are: nobody can bind them to another machine. Any other name is turned away,
    /// since a page of another site may have been given a name that leads here.
    pub hosts_allowed: Vec<String>,
    /// The path of its host that the service is below, such as `/ledger`; empty where it is at the root. Its addresses
    /// are there and at the root, so a proxy may take the path away or leave it, and all that leads back is below it.
    pub base_path: String,
    /// How long a browser that has found the service over TLS is to ask for its name over TLS alone; zero says nothing.
    pub strict_transport: Duration,
    /// Bytes in the body of a request.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_wait_max: Duration,
    /// Bytes from which on an answer is compressed for clients that take gzip; 0 compresses none.
    pub compress_from: usize,
    /// How long a request may take, from its head to the head of its answer. A query has `wait_max` beside it. What
    /// lasts, such as a feed, begins its answer within this time and may go on after it.
    pub request_wait_max: Duration,
    /// Events in one page.
    pub page_events_max: usize,
    /// Bytes in one page of events or rows, about; a page ends early with the event, the commit or the row
    /// that reaches them.
    pub page_bytes_max: usize,
    /// How long a query may wait for a view.
    pub wait_max: Duration,
    /// Requests in progress at one time, from their credentials to the last byte of their answer that was
    /// taken.
    pub requests_max: usize,
    /// The same, of one tenant.
    pub tenant_requests_max: usize,
    /// Clients that follow a feed at one time, beside the requests. There are no more than connections.
    pub feed_clients_max: usize,
    /// The same, of one tenant.
    pub tenant_feed_clients_max: usize,
    /// Bytes of answers that were not taken yet.
    pub answer_bytes_max: usize,
    /// The same, of one tenant.
    pub tenant_answer_bytes_max: usize,
    /// What links lead to that are opened without credentials.
    pub(crate) links: LinkPages,
    /// What is looked at for readiness beside what every service has.
    pub(crate) parts: HealthParts,
    /// Whether it has begun.
    pub(crate) start: Start,
    /// Whether everybody is let in, as one tenant.
    is_open: bool,
    /// Whether there is one tenant, whoever asks.
    is_of_one_tenant: bool,
}

impl ServerConfig {
    /// The role of an operator where nothing else is said.
    pub const OPERATOR_ROLE_DEFAULT: &str = "operator";

    /// The default bounds: bodies of 1 MiB within 30 s, answers within 2 minutes, pages of 1,000 events and 8 MiB,
    /// waits of 30 s; 1,024 requests, 512 feeds and 256 MiB of answers at one time, 256 requests, 128 feeds and 64 MiB
    /// of one tenant; 5 s to say who asks, 256 that wait for it and 64 of one tenant. Nobody is let in until there are
    /// credentials, and
    /// the log is for the role [`LogReaders::ROLE_DEFAULT`], and the work for [`Self::OPERATOR_ROLE_DEFAULT`].
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            about: None,
            examples: Vec::new(),
            credentials: Arc::new(NoCredentials),
            log_readers: LogReaders::default(),
            operators: vec![Self::OPERATOR_ROLE_DEFAULT.to_owned()],
            store_operators: Vec::new(),
            metrics_readers: Vec::new(),
            metrics_tenants: Vec::new(),
            identify_wait_max: Duration::from_secs(5),
            identify_waiting_max: 256,
            identify_tenant_waiting_max: 64,
            origins_allowed: Vec::new(),
            access_log: true,
            hosts_allowed: Vec::new(),
            base_path: String::new(),
            strict_transport: Duration::ZERO,
            body_bytes_max: 1 << 20,
            body_wait_max: Duration::from_secs(30),
            compress_from: 4 << 10,
            request_wait_max: Duration::from_secs(120),
            page_events_max: 1_000,
            page_bytes_max: 8 << 20,
            wait_max: Duration::from_secs(30),
            requests_max: 1_024,
            tenant_requests_max: 256,
            feed_clients_max: 512,
            tenant_feed_clients_max: 128,
            answer_bytes_max: 256 << 20,
            tenant_answer_bytes_max: 64 << 20,
            links: LinkPages::default(),
            parts: HealthParts::default(),
            start: Start::default(),
            is_open: false,
            is_of_one_tenant: false,
        }
    }

    /// The example of a command of a category, or of an operation where there is none.
    pub(crate) fn example(&self, category: Option<&str>, name: &str) -> Option<&Example> {
        let first = category.unwrap_or("operations");
        self.examples.iter().find(|example| {
            let named = |(start, rest): (&str, &str)| start == first && rest.rsplit('/').next() == Some(name);
            example.target.split_once('/').is_some_and(named)
        })
    }

    /// Sets who asks, and for which tenant.
    #[must_use]
    pub fn with_credentials(self, credentials: impl Credentials) -> Self {
        self.with_shared_credentials(Arc::new(credentials))
    }

    /// The same, of credentials that others hold too. What was [open](Self::open_to) is closed: the log is
    /// for the role [`LogReaders::ROLE_DEFAULT`] again, and a tenant no longer has what all may have.
    #[must_use]
    pub fn with_shared_credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        if self.is_open {
            self.is_of_one_tenant = false;
            let usual = Self::new("");
            self.log_readers = usual.log_readers;
            if self.tenant_requests_max == self.requests_max {
                self.tenant_requests_max = usual.tenant_requests_max.min(self.requests_max);
            }
            if self.tenant_feed_clients_max == self.feed_clients_max {
                self.tenant_feed_clients_max = usual.tenant_feed_clients_max.min(self.feed_clients_max);
            }
            if self.tenant_answer_bytes_max == self.answer_bytes_max {
                self.tenant_answer_bytes_max = usual.tenant_answer_bytes_max.min(self.answer_bytes_max);
            }
        }
        self.credentials = credentials;
        self.is_open = false;
        self
    }

    /// Lets everybody in as this tenant, in every role the service declares, to read the log too: for a
    /// service that only its own machine reaches; see [`check_listener`](crate::check_listener).
    #[must_use]
    pub fn open_to(self, tenant: TenantId) -> Self {
        let mut open = self.with_credentials(OneTenant::new(tenant)).with_one_tenant();
        open.log_readers = LogReaders::Everybody;
        open.is_open = true;
        open
    }

    /// Whether everybody is let in, as one tenant.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Sets who may read the log and its streams as they are stored.
    #[must_use]
    pub fn with_log_readers(mut self, readers: LogReaders) -> Self {
        self.log_readers = readers;
        self
    }

    /// Whether there is one tenant, so that nothing it is told is another's.
    pub(crate) fn is_of_one_tenant(&self) -> bool {
        self.is_of_one_tenant
    }

    /// For a service of one tenant: it may have what all tenants together may have, and its operators are those of the
    /// store.
    #[must_use]
    pub fn with_one_tenant(mut self) -> Self {
        self.is_of_one_tenant = true;
        self.tenant_requests_max = self.requests_max;
        self.tenant_feed_clients_max = self.feed_clients_max;
        self.tenant_answer_bytes_max = self.answer_bytes_max;
        self
    }

    /// Lets requests be for a host of this name.
    #[must_use]
    pub fn with_host_allowed(mut self, name: impl Into<String>) -> Self {
        self.hosts_allowed.push(name.into());
        self
    }

    /// Adds the pages that signed links lead to, which ask for no credentials, and who has the key of the links.
    #[must_use]
    pub fn with_links(mut self, keys: Arc<dyn LinkKeys>, pages: Vec<Arc<dyn LinkPage>>) -> Self {
        self.links = LinkPages { keys: Some(keys), pages };
        self
    }

    /// Adds something that `/readyz` looks at: where it has a trouble, the service is degraded.
    #[must_use]
    pub fn with_part(mut self, part: Arc<dyn HealthPart>) -> Self {
        self.parts.0.push(part);
        self
    }

    /// Lets the service answer nothing but its health until it has begun.
    #[must_use]
    pub fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Says what the service is for.
    #[must_use]
    pub fn with_about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Adds a request the console shows.
    #[must_use]
    pub fn with_example(mut self, target: impl Into<String>, body: impl Into<String>) -> Self {
        self.examples.push(Example { target: target.into(), body: body.into() });
        self
    }
}

impl std::fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerConfig").field("service", &self.service).finish_non_exhaustive()
    }
}
