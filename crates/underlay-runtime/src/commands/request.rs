use std::fmt;

use serde::{Deserialize, Serialize};
use underlay_core::{
    Actor, CommandError, CommitId, Error, Json, Position, RecordedEvent, Refusal, StreamVersion, TenantId,
    Timestamp, Version,
};
use uuid::Uuid;

/// Who asks, for whom, and how. Its JSON form is what a command that waits in a store keeps of it: a field
/// that is absent is none, and one that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whose data it is about, as the credentials say.
    pub tenant: TenantId,
    /// Who asks, as the credentials say.
    #[serde(default)]
    pub actor: Actor,
    /// The identity of the command: a repeat gets the first answer. None draws one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommitId>,
    /// The version the caller has seen of the stream: another one is a conflict, not decided again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Version>,
    /// One id for everything that follows from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// What led to the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
    /// The W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_was_written_down_is_the_same_when_it_is_read() {
        let tenant = TenantId::new("acme").unwrap();
        let plain = Request::new(tenant.clone());
        let text = serde_json::to_string(&plain).unwrap();
        assert_eq!(text, r#"{"tenant":"acme","actor":{"name":null,"roles":[]}}"#);
        let full = Request {
            correlation_id: Some(Uuid::nil()),
            causation_id: Some(Uuid::nil()),
            traceparent: Some("00-1".to_owned()),
            ..Request::new(tenant).with_key("k").with_expected(Version(3))
        };
        let full = full.with_actor(Actor { name: Some("ann".to_owned()), roles: vec!["teller".to_owned()] });
        for request in [plain, full] {
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
        assert!(serde_json::from_str::<Request>(r#"{"tenant":"acme","priority":1}"#).is_err());
    }
}
