use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::words::{Checkpoint, CommitId, EntityConflict, ExpectedVersion, StreamName, Version};

/// A stream was not at the version a commit expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("conflict on {stream}: expected {expected}, found version {actual}")]
pub struct Conflict {
    /// The stream.
    pub stream: StreamName,
    /// What the commit expected of it.
    pub expected: ExpectedVersion,
    /// What it was.
    pub actual: Version,
}

/// A failure of the infrastructure: one variant per decision a caller makes.
///
/// What the domain says no to is a [`Refusal`](crate::domain::Refusal), never one of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else wrote first. Load again and decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Somebody else wrote an entity first, or there is one already. Nothing was stored; load it again.
    #[error(transparent)]
    EntityConflict(Box<EntityConflict>),
    /// A rule of the store does not hold: a value is there already which only one entity may have, say. Nothing was
    /// stored. The text names entity and column, and never the value of another.
    #[error("{0}")]
    RuleViolation(String),
    /// The commit id was used before, with other content. Nothing was stored.
    #[error(
        "commit id {0} was used before with other content; a repeat must be the same, something new needs a new id"
    )]
    IdReused(CommitId),
    /// It may or may not be stored. Ask again with the same commit id: the answer will be true.
    #[error(
        "it is uncertain whether commit {id} was stored ({reason}); repeat it with the same id to find out"
    )]
    Uncertain {
        /// The commit to ask about.
        id: CommitId,
        /// What happened.
        reason: String,
    },
    /// The answer to changes of entities was lost, so they may or may not be stored. Read the entities to find out: the
    /// same changes again meet what they have stored themselves.
    #[error("it is uncertain whether the entities were changed ({reason}); read them to find out")]
    UnitUncertain {
        /// What happened.
        reason: String,
    },
    /// What was asked for does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The input is wrong. The text says what would be right.
    #[error("{0}")]
    Invalid(String),
    /// Something else that was ordered stands in the way. Wait until it has ended, or cancel it: the text names it.
    #[error("{0}")]
    Busy(String),
    /// The query asks for more work than one query may. Ask for less: the text names the limit, and says
    /// what would be right. Asking again brings the same.
    #[error("{0}")]
    TooBroad(String),
    /// Nothing was stored; try again later.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What is missing or full, with the name of the limit.
        reason: String,
        /// When to try again, where that is known.
        retry_after: Option<Duration>,
        /// Whether the store is there and a limit is reached; otherwise it is away.
        overloaded: bool,
    },
    /// The caller may not do this.
    #[error("denied: {0}")]
    Denied(String),
    /// The checkpoint does not fit this log: another store, or an older copy of it.
    #[error("{0}")]
    CheckpointRefused(Box<CheckpointRefused>),
    /// A checkpoint was moved on by somebody else since it was read.
    #[error("the checkpoint of {owner} has moved; read it again")]
    CheckpointMoved {
        /// Whose checkpoint it is: a view, a process or a pump.
        owner: String,
    },
    /// The lease a write was made under has run out, or somebody else has it. Nothing was stored; stop
    /// the work, or take the lease again.
    #[error("lease {name:?} of term {term} is lost")]
    LeaseLost {
        /// The work.
        name: String,
        /// The term that was lost.
        term: u64,
    },
    /// A view's stored shape is not the shape in the code.
    #[error("view {view} was built by another definition ({reason}); run `view rebuild {view}`")]
    ViewChanged {
        /// The view.
        view: String,
        /// What differs.
        reason: String,
    },
    /// The stored shape of an entity is not the shape in the code, and differs in a way that opening does not mend.
    #[error("the entities {entity} were stored by another definition: {reason}")]
    EntityChanged {
        /// The name of the entity.
        entity: String,
        /// What differs, and what to do.
        reason: String,
    },
    /// What is stored cannot be read.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// The store failed in a way that a repeat does not mend.
    #[error("{doing}: {source}")]
    Backend {
        /// What was being done.
        doing: String,
        /// The vendor's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<EntityConflict> for Error {
    fn from(conflict: EntityConflict) -> Self {
        Self::EntityConflict(Box::new(conflict))
    }
}

/// Why a checkpoint was refused.
#[derive(Debug)]
pub struct CheckpointRefused {
    /// Whose checkpoint it is: a view, a process or a pump.
    pub owner: String,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// What does not fit.
    pub reason: String,
    /// The command that repairs it.
    pub repair: String,
}

impl fmt::Display for CheckpointRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the checkpoint of {} at position {} does not fit this log: {}; repair it with `{}`",
            self.owner, self.checkpoint.position, self.reason, self.repair
        )
    }
}

impl Error {
    /// [`Error::Invalid`] with this text.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// [`Error::RuleViolation`] of a value that another entity of the tenant has already.
    #[must_use]
    pub fn not_unique(entity: &str, column: &str) -> Self {
        Self::RuleViolation(format!(
            "{entity} has another entity with this value in column {column}, where values are unique"
        ))
    }

    /// [`Error::Damaged`] of a stored entity. Its reason says what is wrong, and names the column where it is about one.
    #[must_use]
    pub fn damaged_entity(entity: &str, id: &str, reason: impl fmt::Display) -> Self {
        Self::Damaged(format!("{entity} {id:?}: {reason}"))
    }

    /// [`Error::UnitUncertain`] with this reason.
    #[must_use]
    pub fn unit_uncertain(reason: impl fmt::Display) -> Self {
        Self::UnitUncertain { reason: reason.to_string() }
    }

    /// [`Error::Unavailable`] with this reason and no known time to wait.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: None, overloaded: false }
    }

    /// [`Error::Unavailable`] of a store that is there and has no room at the moment; the reason names
    /// the limit and its value, `name = value`; see [`Error::limit`].
    pub fn overloaded(reason: impl Into<String>, retry_after: Duration) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: Some(retry_after), overloaded: true }
    }

    /// The limit that was reached and its value, `queue_items_max = 4096`, where the reason has them so.
    /// It is what a caller may know of the reason, which may also name files, servers and others.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        let Self::Unavailable { reason, overloaded: true, .. } = self else { return None };
        let of_name = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
        reason.match_indices(" = ").find_map(|(at, between)| {
            let (before, after) = (&reason.as_bytes()[..at], &reason.as_bytes()[at + between.len()..]);
            let name = before.iter().rev().take_while(|byte| of_name(byte)).count();
            let value = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let found = reason.get(at - name..at + between.len() + value)?;
            (value > 0 && found.contains('_')).then_some(found)
        })
    }

    /// What a tenant may know of it, where it is kept with their work. What is said of what they asked for is told
    /// as it is. What a store says of itself is for the log of the service: it may name files, servers, and what
    /// belongs to others.
    #[must_use]
    pub fn for_tenant(&self) -> String {
        match self {
            Self::Conflict(_)
            | Self::EntityConflict(_)
            | Self::RuleViolation(_)
            | Self::IdReused(_)
            | Self::NotFound(_)
            | Self::Invalid(_)
            | Self::TooBroad(_) => self.to_string(),
            Self::UnitUncertain { .. } => {
                "it is uncertain whether the entities were changed; read them to find out".to_owned()
            }
            _ => match self.limit() {
                Some(limit) => format!("the store has no room at the moment ({limit})"),
                None if self.is_retryable() => "the store was away".to_owned(),
                None => "the service failed; its log says why".to_owned(),
            },
        }
    }

    /// [`Error::Backend`] around a vendor's error.
    pub fn backend(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Backend { doing: doing.into(), source: source.into() }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. }
                | Self::Uncertain { .. }
                | Self::UnitUncertain { .. }
                | Self::CheckpointMoved { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_told_what_was_asked_wrongly_and_nothing_of_the_store() {
        let secret = "/var/lib/bank at 10.0.0.7: Key (id)=(bob) already exists";
        let wrong = [Error::invalid("too long"), Error::TooBroad("ask for less".to_owned())];
        let wrong = wrong
            .into_iter()
            .chain([Error::NotFound("view rich".to_owned()), Error::IdReused(CommitId::draw())]);
        for error in wrong {
            assert_eq!(error.for_tenant(), error.to_string());
        }
        let full = Error::overloaded(format!("{secret} (queue_items_max = 7)"), Duration::from_secs(1));
        for (error, told) in [
            (full, "the store has no room at the moment (queue_items_max = 7)"),
            (Error::unavailable(secret), "the store was away"),
            (Error::Uncertain { id: CommitId::draw(), reason: secret.to_owned() }, "the store was away"),
            (
                Error::unit_uncertain(secret),
                "it is uncertain whether the entities were changed; read them to find out",
            ),
            (Error::backend("using PostgreSQL", secret), "the service failed; its log says why"),
            (Error::Damaged(secret.to_owned()), "the service failed; its log says why"),
            (Error::Denied(secret.to_owned()), "the service failed; its log says why"),
        ] {
            assert_eq!(error.for_tenant(), told, "{error}");
        }
    }

    #[test]
    fn of_a_reason_the_limit_is_told_and_nothing_else() {
        let limit = |reason: &str| {
            let error = Error::overloaded(reason, Duration::from_secs(1));
            error.limit().map(str::to_owned)
        };
        assert_eq!(
            limit("the commit queue is full (queue_items_max = 7)").as_deref(),
            Some("queue_items_max = 7")
        );
        assert_eq!(limit("connections_max = 8 at 10.0.0.7").as_deref(), Some("connections_max = 8"));
        let line = "the line for account-db_max is full (turns_waiting_max = 1)";
        assert_eq!(limit(line).as_deref(), Some("turns_waiting_max = 1"));
        for reason in [
            "out of memory at /var/lib/bank_max",
            "",
            " = ",
            " = 7",
            "port = 7",
            "a_max = x",
            "ä = 1",
            "a_max 7",
        ] {
            assert_eq!(limit(reason), None, "{reason}");
        }
        assert_eq!(Error::unavailable("queue_items_max = 7").limit(), None, "no limit was reached");
    }
}
