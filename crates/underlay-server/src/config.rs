use std::sync::Arc;
use std::time::Duration;

use crate::Credentials;
use crate::credentials::NoCredentials;

/// A request the start page shows, ready to be copied.
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
    /// Requests the start page shows.
    pub examples: Vec<Example>,
    /// Who asks, and for which tenant.
    pub credentials: Arc<dyn Credentials>,
    /// Sites, such as `https://app.example`, whose pages may send commands from a browser besides the
    /// service's own.
    pub origins_trusted: Vec<String>,
    /// Names, such as `bank.example`, that requests may be for. `localhost` and the addresses of
    /// machines always are: nobody can bind them to another machine. Any other name is turned away,
    /// since a page of another site may have been given a name that leads here.
    pub hosts_allowed: Vec<String>,
    /// Bytes in the body of a request.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_wait_max: Duration,
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
    /// Bytes of answers that were not taken yet.
    pub answer_bytes_max: usize,
    /// The same, of one tenant.
    pub tenant_answer_bytes_max: usize,
}

impl ServerConfig {
    /// The default bounds: bodies of 1 MiB within 30 s, pages of 1,000 events and 8 MiB, waits of 30 s;
    /// 1,024 requests and 256 MiB of answers at one time, 256 requests and 64 MiB of one tenant. Nobody is let
    /// in until there are credentials.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            about: None,
            examples: Vec::new(),
            credentials: Arc::new(NoCredentials),
            origins_trusted: Vec::new(),
            hosts_allowed: Vec::new(),
            body_bytes_max: 1 << 20,
            body_wait_max: Duration::from_secs(30),
            page_events_max: 1_000,
            page_bytes_max: 8 << 20,
            wait_max: Duration::from_secs(30),
            requests_max: 1_024,
            tenant_requests_max: 256,
            answer_bytes_max: 256 << 20,
            tenant_answer_bytes_max: 64 << 20,
        }
    }

    /// Sets who asks, and for which tenant.
    #[must_use]
    pub fn with_credentials(mut self, credentials: impl Credentials) -> Self {
        self.credentials = Arc::new(credentials);
        self
    }

    /// For a service of one tenant: it may have what all tenants together may have.
    #[must_use]
    pub fn with_one_tenant(mut self) -> Self {
        self.tenant_requests_max = self.requests_max;
        self.tenant_answer_bytes_max = self.answer_bytes_max;
        self
    }

    /// Lets requests be for a host of this name.
    #[must_use]
    pub fn with_host_allowed(mut self, name: impl Into<String>) -> Self {
        self.hosts_allowed.push(name.into());
        self
    }

    /// Says what the service is for.
    #[must_use]
    pub fn with_about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Adds a request the start page shows.
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
