//! A service, what it is asked with, and how often.
//!
//! A call of the port has a time within which it ends, whatever it asks. A request that only reads is sent again where there
//! was no answer, or one that says that it may pass. Who changes something decides for itself; see
//! [`change`](super::change).

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use jiff::fmt::rfc2822;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use underlay_core::{Error, TenantId, Timestamp};

use super::HttpConfig;
use super::address::Address;
use super::budget::RepeatBudget;
use super::connections::{Answer, Connections, Failure};
use super::tokens::Tokens;

/// How often one request is sent.
const ATTEMPTS_MAX: u32 = 3;
/// How long it takes until a request is sent again for the first time, at most; then twice that, and so on.
const PAUSE: Duration = Duration::from_millis(100);
/// When to come back where a service has too much to do and does not say.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest that a service is left alone because it says so.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// A service that has entities.
pub(super) struct Remote {
    pub(super) address: Address,
    pub(super) config: HttpConfig,
    connections: Connections,
    /// As its file had them when it was read last.
    tokens: RwLock<Arc<Tokens>>,
    token_header: HeaderName,
    tenant_header: Option<HeaderName>,
    places: Semaphore,
    budget: RepeatBudget,
}

/// A request that can be sent again.
pub(super) type Asked = Request<Full<Bytes>>;

/// One call of the port.
pub(super) struct Call<'r> {
    remote: &'r Remote,
    until: Timestamp,
}

impl Remote {
    /// # Errors
    /// [`Error::Invalid`] where the configuration does not fit.
    pub(super) fn new(place: &str, config: HttpConfig) -> Result<Self, Error> {
        config.check()?;
        let address = Address::parse(place, config.allow_plain)?;
        let name = |text: &str| {
            text.parse::<HeaderName>().map_err(|_| Error::invalid(format!("{text:?} is no name of a header")))
        };
        let token_header = name(&config.token_header)?;
        let tenant_header = config.tenant_header.as_deref().map(name).transpose()?;
        let tokens = match &config.token_file {
            Some(file) => Tokens::read(file, &token_header)?,
            None => Tokens::default(),
        };
        check_told_apart(&tokens, &config, &address)?;
        let tokens = RwLock::new(Arc::new(tokens));
        let connections = Connections::new(address.clone(), config.clone())?;
        let places = Semaphore::new(config.requests_max);
        let budget = RepeatBudget::default();
        Ok(Self { address, config, connections, tokens, token_header, tenant_header, places, budget })
    }

    /// A tenant to ask for where nobody has asked; none where none is known.
    pub(super) fn some_tenant(&self) -> Option<TenantId> {
        self.tokens().first().cloned()
    }

    /// Reads the file of tokens again. Where it does not fit, those that were read before stay.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with the file.
    pub(super) async fn read_tokens(&self) -> Result<(), Error> {
        let Some(file) = self.config.token_file.clone() else { return Ok(()) };
        let header = self.token_header.clone();
        let read = spawn_blocking(move || Tokens::read(&file, &header)).await;
        let tokens = read.map_err(|error| Error::backend("reading the token_file", error))??;
        check_told_apart(&tokens, &self.config, &self.address)?;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        Ok(())
    }

    fn tokens(&self) -> Arc<Tokens> {
        // Each change is one assignment.
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is called where something is wrong with it.
    pub(super) fn name(&self) -> String {
        format!("the service at {}", self.address.authority())
    }

    /// A request for a tenant; for nobody where it is only to see who answers.
    ///
    /// # Errors
    /// [`Error::Denied`] where there is no token for the tenant.
    pub(super) fn request(
        &self,
        method: Method,
        target: &str,
        tenant: Option<&TenantId>,
        condition: Option<(HeaderName, HeaderValue)>,
        body: Option<Bytes>,
    ) -> Result<Asked, Error> {
        let mut request = Request::builder().method(method).uri(target);
        request = request
            .header(HOST, self.address.authority())
            .header(USER_AGENT, "underlay")
            .header(ACCEPT, "application/json");
        let tokens = self.tokens();
        let token = match tenant {
            Some(tenant) => tokens.of(tenant)?,
            None => tokens.of_nobody(),
        };
        if let Some(token) = token {
            request = request.header(self.token_header.clone(), token.clone());
        }
        if let (Some(header), Some(tenant)) = (&self.tenant_header, tenant) {
            request = request.header(header.clone(), tenant.as_str());
        }
        if let Some((name, value)) = condition {
            request = request.header(name, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| Error::backend("asking a service", error))
    }

    pub(super) fn call(&self) -> Call<'_> {
        let until = self.config.clock.now().saturating_add(self.config.timeout);
        Call { remote: self, until: until.unwrap_or(Timestamp::MAX) }
    }

    /// What a caller hears who got no answer to a request that changes nothing, or that was not sent.
    pub(super) fn away(&self, doing: &str, failure: &Failure) -> Error {
        let unavailable = |why: &str| Error::unavailable(format!("{doing}: {} {why}", self.name()));
        match failure {
            Failure::NotSent(reason) => {
                unavailable(&format!("cannot be reached, nothing was stored ({reason})"))
            }
            Failure::Lost(reason) => unavailable(&format!("gave no answer ({reason})")),
            Failure::TooLarge => Error::backend(
                doing,
                format!(
                    "the answer of {} exceeds answer_bytes_max = {}; raise it, or ask for less",
                    self.name(),
                    self.config.answer_bytes_max
                ),
            ),
            Failure::Full => Error::overloaded(
                format!("{doing}: requests_max = {} is reached", self.config.requests_max),
                RETRY_DELAY,
            ),
        }
    }
}

impl Call<'_> {
    /// Sends a request once.
    pub(super) async fn ask(&self, request: &Asked) -> Result<Answer, Failure> {
        let place = match timeout(self.left(), self.remote.places.acquire()).await {
            Ok(Ok(place)) => place,
            _ => return Err(Failure::Full),
        };
        let within = self.left().min(self.remote.config.attempt_timeout);
        if within.is_zero() {
            return Err(Failure::NotSent("the time of the call has run out".to_owned()));
        }
        let answered = self.remote.connections.exchange(request.clone(), within).await;
        drop(place);
        answered
    }

    /// Sends a request that changes nothing, and sends it again where that may help.
    pub(super) async fn read(&self, request: &Asked) -> Result<Answer, Failure> {
        self.begin();
        let mut attempt = 1;
        loop {
            let answered = self.ask(request).await;
            let after = match &answered {
                Ok(answer) if may_pass(answer.status) => self.retry_after(&answer.headers),
                Err(Failure::NotSent(_) | Failure::Lost(_)) => None,
                _ => return answered,
            };
            if !self.may_repeat(attempt, after).await {
                return answered;
            }
            attempt += 1;
        }
    }

    /// Counts a request that is sent for the first time.
    pub(super) fn begin(&self) {
        self.remote.budget.pay_in();
    }

    /// Whether a request may be sent once more after so many attempts. Then it has waited: for a time that the service
    /// named, or one that is drawn, so that not all who wait come back together.
    pub(super) async fn may_repeat(&self, attempts: u32, after: Option<Duration>) -> bool {
        if attempts >= ATTEMPTS_MAX {
            return false;
        }
        let drawn = (PAUSE * (1 << (attempts - 1))).mul_f64(fraction());
        let wait = after.map_or(drawn, |after| after.saturating_add(drawn));
        if wait >= self.left() || !self.remote.budget.take() {
            return false;
        }
        self.remote.config.clock.sleep(wait).await;
        true
    }

    /// How long the service asks to be left alone.
    pub(super) fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        }
        let moment = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        let after = Duration::try_from(moment.duration_since(self.remote.config.clock.now()));
        Some(after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }

    fn left(&self) -> Duration {
        Duration::try_from(self.until.duration_since(self.remote.config.clock.now())).unwrap_or_default()
    }
}

/// # Errors
/// [`Error::Invalid`] where a service could not tell for which tenant it is asked, and nobody said that this is wanted.
fn check_told_apart(tokens: &Tokens, config: &HttpConfig, address: &Address) -> Result<(), Error> {
    let tells = tokens.separate_tenants() || config.tenant_header.is_some() || address.names_tenant();
    if tells || config.shared {
        return Ok(());
    }
    Err(Error::invalid(
        "the service cannot tell one tenant from another, so all would see and change the same entities: give each \
         tenant a token in the token_file, name a tenant_header, or put {tenant} into the address; or say \
         shared=true where that is wanted",
    ))
}

/// Whether another answer may come of the same question, in a while.
fn may_pass(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// A number from 0 to 1, another one each time.
fn fraction() -> f64 {
    let drawn = RandomState::new().hash_one(());
    f64::from((drawn >> 32) as u32) / f64::from(u32::MAX)
}
