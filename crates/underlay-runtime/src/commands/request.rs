use std::fmt;

use serde::Serialize;
use underlay_core::limits::COMMAND_KEY_CHARS_MAX;
use underlay_core::{
    Actor, CommandError, CommitId, Error, Json, Position, RecordedEvent, Refusal, StreamVersion, TenantId,
    Timestamp, Version,
};
use uuid::Uuid;

/// Who asks, for whom, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose data it is about, as the credentials say.
    pub tenant: TenantId,
    /// Who asks, as the credentials say.
    pub actor: Actor,
    /// The identity of the command: a repeat gets the first answer. None draws one.
    pub command_id: Option<CommitId>,
    /// The version the caller has seen of the stream: another one is a conflict, not decided again.
    pub expected: Option<Version>,
    /// One id for everything that follows from the request.
    pub correlation_id: Option<Uuid>,
    /// What led to the command.
    pub causation_id: Option<Uuid>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// What belongs to that context: the W3C `tracestate`.
    pub tracestate: Option<String>,
}

impl Request {
    /// A request of the product itself: no actor, nothing expected.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            actor: Actor::default(),
            command_id: None,
            expected: None,
            correlation_id: None,
            causation_id: None,
            traceparent: None,
            tracestate: None,
        }
    }

    /// Sets who asks.
    #[must_use]
    pub fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Sets the identity of the command, by the key a client chose for it.
    #[must_use]
    pub fn with_key(self, key: &str) -> Self {
        let id = CommitId::from_key(&self.tenant, key);
        self.with_command_id(id)
    }

    /// Sets the identity of the command.
    #[must_use]
    pub fn with_command_id(mut self, id: CommitId) -> Self {
        self.command_id = Some(id);
        self
    }

    /// Sets the version the caller has seen.
    #[must_use]
    pub fn with_expected(mut self, version: Version) -> Self {
        self.expected = Some(version);
        self
    }
}

/// Checks the key that a client gives a command, wherever it comes from. Each key can be part of an address.
///
/// # Errors
/// [`Error::Invalid`] that says what a key is.
pub fn check_command_key(key: &str) -> Result<(), Error> {
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && (1..=COMMAND_KEY_CHARS_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the key of a command is 1 to {COMMAND_KEY_CHARS_MAX} visible ASCII characters without spaces"
    )))
}

/// The answer to a command that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The command.
    pub command_id: CommitId,
    /// A view that has reached it shows the effect.
    pub position: Position,
    /// The streams written, with their versions after it.
    pub versions: Vec<StreamVersion>,
    /// What happened; nothing where there was nothing to do.
    pub events: Vec<RecordedEvent>,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// True where this is the first answer again.
    pub repeated: bool,
}

/// Why a command has no events: the domain refused, or the infrastructure failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: Refusal> {
    /// The domain says no.
    #[error("refused: {0}")]
    Refused(R),
    /// It had ended without a decision before it was given again: it was cancelled or given up, or the stream was not
    /// at the version that whoever stored it expects. The code says which, as [`CANCELLED`](underlay_core::CANCELLED)
    /// does.
    #[error("it has ended: {0}")]
    Ended(ErasedRefusal),
    /// The infrastructure failed. [`Error::NotFound`] where the command was refused before, and the
    /// refusal's fields are past their retention.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A refusal, with its type erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErasedRefusal {
    /// Names the rule.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
    /// The refusal's fields; `null` once its retention has passed.
    pub fields: Json,
    /// Whether this is the first answer again.
    #[serde(skip)]
    pub repeated: bool,
}

impl fmt::Display for ErasedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Why a command called by its name has no events.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteNamedError {
    /// The domain says no.
    #[error("refused: {0}")]
    Refused(ErasedRefusal),
    /// There is no such category, command or operation, or the body does not fit.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The infrastructure failed.
    #[error(transparent)]
    Failed(#[from] Error),
}
