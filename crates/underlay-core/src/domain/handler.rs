use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::domain::{Event, Outgoing, Query, RowPage};
use crate::words::{Error, Metadata, RecordedEvent, StreamName, TenantId, Timestamp, Value, Version, WorkId};

/// Does what a message asks for: the one kind of code of a service that has effects.
///
/// It is called at least once for every message, in order for each key, until it succeeds, its attempts are used
/// up, or it says that a failure is final. Then the message is a dead letter. Whatever it calls is given
/// [`Delivery::idempotency_key`], which is the same at every attempt.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "implement `Handler`: `NAME`, `Message` and `handle`"
)]
pub trait Handler: Send + Sync + 'static {
    /// Its name, which stores keep with every message: it never changes.
    const NAME: &'static str;
    /// Whether a message that is given up holds its key: then those behind it wait until a person replays or
    /// discards it.
    const HOLDS_KEY: bool = false;
    /// The messages it takes. Declared as events are: they are stored as long.
    type Message: Event;

    /// How often and for how long it is tried.
    fn attempts(&self) -> Attempts {
        Attempts::default()
    }

    /// Does what a message asks for. What it gives is stored with the settlement.
    ///
    /// # Errors
    /// [`HandlerError`], which says whether another attempt may succeed.
    fn handle(
        &self,
        message: Self::Message,
        delivery: &Delivery,
    ) -> impl Future<Output = Result<Handled, HandlerError>> + Send;
}

/// How often and for how long a piece of work is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts before it is given up: at least 1.
    pub attempts_max: u32,
    /// The longest pause after the first failure; it doubles from there, and each pause is drawn between nothing
    /// and that.
    pub delay_min: Duration,
    /// The longest pause after any failure.
    pub delay_max: Duration,
    /// How long an attempt may go on without a heartbeat.
    pub timeout: Duration,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            attempts_max: 20,
            delay_min: Duration::from_millis(500),
            delay_max: Duration::from_secs(10 * 60),
            timeout: Duration::from_secs(30),
        }
    }
}

/// What a handler came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Handled(Vec<Outgoing>);

impl Handled {
    /// It is done, and nothing follows.
    pub fn done() -> Self {
        Self::default()
    }

    /// Sends something on, stored with the settlement. Where an attempt is repeated after it was stored, what the
    /// first one sent counts.
    pub fn send(mut self, outgoing: impl Into<Outgoing>) -> Self {
        self.0.push(outgoing.into());
        self
    }

    /// For the engine: what is sent on, in order.
    #[must_use]
    pub fn into_outgoing(self) -> Vec<Outgoing> {
        self.0
    }
}

/// An attempt failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct HandlerError {
    /// Why. People of the tenant read it in lists; it holds nothing secret.
    pub reason: String,
    /// Whether no other attempt can succeed.
    pub is_final: bool,
    /// What the infrastructure said, where the reason leaves it out.
    #[source]
    cause: Option<Arc<Error>>,
}

impl HandlerError {
    /// A failure that may pass.
    pub fn passing(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_final: false, cause: None }
    }

    /// A failure that no other attempt mends: the message becomes a dead letter at once.
    pub fn last(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), is_final: true, cause: None }
    }

    /// What the infrastructure said, where the reason leaves it out: it is for the log of the service.
    #[must_use]
    pub fn cause(&self) -> Option<&Arc<Error>> {
        self.cause.as_ref()
    }

    /// The reason for those who keep the service: all that the infrastructure said, where it was that.
    #[must_use]
    pub fn whole(&self) -> String {
        self.cause.as_ref().map_or_else(|| self.reason.clone(), ToString::to_string)
    }
}

/// Two failures are the same where they say the same.
impl PartialEq for HandlerError {
    fn eq(&self, other: &Self) -> bool {
        (&self.reason, self.is_final, self.whole()) == (&other.reason, other.is_final, other.whole())
    }
}

impl Eq for HandlerError {}

/// A failure of the infrastructure passes, unless it says that the same call will fail again. Its reason is what a
/// tenant [may know](Error::for_tenant) of it.
impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        let is_final = matches!(error, Error::Invalid(_) | Error::Denied(_));
        let (reason, whole) = (error.for_tenant(), error.to_string());
        Self { is_final, cause: (reason != whole).then(|| Arc::new(error)), reason }
    }
}

/// What one tenant may read: a handler has no other.
#[async_trait]
pub trait TenantReader: Send + Sync {
    /// One row of a view; `None` where there is none.
    ///
    /// # Errors
    /// What the store says.
    async fn row(&self, view: &str, key: &str) -> Result<Option<Vec<Value>>, Error>;

    /// A page of rows.
    ///
    /// # Errors
    /// What the store says.
    async fn query(&self, view: &str, query: &Query) -> Result<RowPage, Error>;

    /// Events of a stream after a version, in order.
    ///
    /// # Errors
    /// What the store says.
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, Error>;
}

/// One attempt at a message.
#[derive(Clone)]
pub struct Delivery {
    /// Whose message it is.
    pub tenant: TenantId,
    /// The message's identity.
    pub work_id: WorkId,
    /// What orders it.
    pub key: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When the message was stored.
    pub sent_at: Timestamp,
    /// When the attempt is given up, unless there is a heartbeat before.
    pub deadline: Timestamp,
    /// What came with the commit that sent it: correlation, actor, and the trace that a call to another service
    /// carries on.
    pub metadata: Metadata,
    reader: Arc<dyn TenantReader>,
    heartbeats: Arc<Notify>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tenant", &self.tenant)
            .field("work_id", &self.work_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Delivery {
    /// For the engine: the first attempt at a message.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        work_id: WorkId,
        key: impl Into<String>,
        reader: Arc<dyn TenantReader>,
    ) -> Self {
        Self {
            tenant,
            work_id,
            key: key.into(),
            attempt: 1,
            sent_at: Timestamp::UNIX_EPOCH,
            deadline: Timestamp::MAX,
            metadata: Metadata::default(),
            reader,
            heartbeats: Arc::default(),
        }
    }

    /// The same text at every attempt, and another for every other message: what it is sent to tells a repeat by it.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.work_id.to_string()
    }

    /// What the tenant may read.
    #[must_use]
    pub fn reader(&self) -> &dyn TenantReader {
        &*self.reader
    }

    /// Says that the attempt goes on: the time of [`Attempts::timeout`] begins anew.
    pub fn heartbeat(&self) {
        self.heartbeats.notify_one();
    }

    /// For the engine: waits for the next heartbeat.
    pub async fn heartbeat_comes(&self) {
        self.heartbeats.notified().await;
    }
}
