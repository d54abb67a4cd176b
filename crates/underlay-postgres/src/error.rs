use std::time::Duration;

use tokio_postgres::error::SqlState;
use underlay_core::Error;

/// The codes our own functions raise.
pub(crate) mod raised {
    /// An append outside `read committed`.
    pub(crate) const ISOLATION: &str = "UL000";
    /// An attempt that was declared void.
    pub(crate) const FENCED: &str = "UL001";
    /// A generation of a view that is not there.
    pub(crate) const NO_GENERATION: &str = "UL002";
    /// A checkpoint that is elsewhere.
    pub(crate) const CHECKPOINT_MOVED: &str = "UL003";
    /// A lease that ran out, or is somebody else's.
    pub(crate) const LEASE_LOST: &str = "UL004";
    /// A log without the row that is locked by who writes it.
    pub(crate) const NO_HEAD: &str = "UL005";
    /// A log without the last event this process has seen.
    pub(crate) const OTHER_LOG: &str = "UL006";
}

/// When to try again where the server is away or full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The code by which a newer server ends the session of a transaction that took too long.
const TRANSACTION_TIMEOUT: &str = "25P04";

/// What goes wrong inside the adapter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server says so, or the connection to it ended.
    #[error("PostgreSQL: {}", told(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The connection is not there any more.
    #[error("PostgreSQL: {0}")]
    Lost(String),
    /// The server cannot be reached.
    #[error("{0}")]
    NoConnection(String),
    /// Every connection that may be had is in use.
    #[error("{0}")]
    Full(String),
    /// An answer in the words of the core.
    #[error("{0}")]
    Answer(Error),
}

/// What the server said, with its detail.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => match db.detail() {
            Some(detail) => format!("{} ({detail})", db.message()),
            None => db.message().to_owned(),
        },
        None => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            if text.contains("invalid peer certificate") {
                text.push_str(
                    "; sslrootcert=FILE names the authority that signed it, sslmode=disable goes without TLS",
                );
            }
            text
        }
    }
}

impl Failure {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Answer(Error::invalid(text))
    }

    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Self::Answer(Error::Damaged(text.into()))
    }

    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }

    /// Whether one of our own functions raised this code.
    pub(crate) fn is_raised(&self, code: &str) -> bool {
        self.code().is_some_and(|state| state.code() == code)
    }

    /// Whether the relation a statement names is not there.
    pub(crate) fn is_no_table(&self) -> bool {
        self.code() == Some(&SqlState::UNDEFINED_TABLE)
    }

    /// Whether the server did not answer: what was sent may have been done.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Postgres(error) => match error.code() {
                // The server ends sessions with these; the transaction may have been at its end.
                Some(state) => {
                    state.code().starts_with("08")
                        || [
                            &SqlState::ADMIN_SHUTDOWN,
                            &SqlState::CRASH_SHUTDOWN,
                            &SqlState::CANNOT_CONNECT_NOW,
                            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                            &SqlState::IDLE_SESSION_TIMEOUT,
                        ]
                        .contains(&state)
                        || state.code() == TRANSACTION_TIMEOUT
                }
                None => !is_of_the_call(error),
            },
            Self::NoConnection(_) | Self::Full(_) | Self::Answer(_) => false,
        }
    }

    /// Whether the server is there and a limit of its own or of ours is reached.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
            || matches!(self.code(), Some(&SqlState::TOO_MANY_CONNECTIONS | &SqlState::OUT_OF_MEMORY))
    }

    /// Whether the same transaction may succeed when it is run again at once.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
    }

    /// Whether the values are at fault and the server is not.
    pub(crate) fn is_of_the_values(&self) -> bool {
        match self {
            Self::Postgres(error) => match error.code() {
                // Data exceptions, violated constraints, limits of the program such as the size of a key.
                Some(state) => ["22", "23", "54"].iter().any(|class| state.code().starts_with(class)),
                None => is_of_the_call(error),
            },
            _ => false,
        }
    }

    fn is_unavailable(&self) -> bool {
        self.is_lost()
            || self.is_transient()
            || match self {
                Self::NoConnection(_) | Self::Full(_) => true,
                _ => self.code().is_some_and(|state| {
                    ["53", "57", "58"].iter().any(|class| state.code().starts_with(class))
                        || [&SqlState::LOCK_NOT_AVAILABLE, &SqlState::READ_ONLY_SQL_TRANSACTION]
                            .contains(&state)
                }),
            }
    }

    /// As the answer to a call that could not connect: nothing was asked yet, so nothing can be lost.
    pub(crate) fn of_connecting(self) -> Self {
        // A wrong password and a database that is not there stay so; the rest may pass.
        let stays =
            self.code().is_some_and(|state| ["28", "3D"].iter().any(|class| state.code().starts_with(class)));
        match self {
            failure if failure.is_full() => Self::Full(failure.to_string()),
            failure @ Self::Postgres(_) if !stays => {
                Self::NoConnection(format!("{failure} (the server cannot be reached)"))
            }
            failure => failure,
        }
    }

    /// As the answer to a write of which nothing was stored.
    pub(crate) fn nothing_stored(&self) -> Error {
        match self {
            Self::Answer(Error::Damaged(text)) => Error::Damaged(text.clone()),
            Self::Answer(Error::Invalid(text)) => Error::Invalid(text.clone()),
            _ if self.is_raised(raised::NO_HEAD) => Error::Damaged(self.to_string()),
            _ if self.is_of_the_values() => Error::invalid(self.to_string()),
            failure if failure.is_full() => Error::overloaded(failure.to_string(), RETRY_AFTER),
            failure => Error::Unavailable {
                reason: failure.to_string(),
                retry_after: Some(RETRY_AFTER),
                overloaded: false,
            },
        }
    }
}

/// Whether a failure without a code is of what was asked, and the connection is sound: a value that
/// could not be encoded, a column that is not there.
fn is_of_the_call(error: &tokio_postgres::Error) -> bool {
    // The crate tells its kinds apart by their text alone.
    let text = error.to_string();
    ["error serializing parameter", "error deserializing column", "invalid column", "error encoding message"]
        .iter()
        .any(|kind| text.starts_with(kind))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Answer(error) => error,
            failure if failure.is_unavailable() || failure.is_of_the_values() => failure.nothing_stored(),
            failure if failure.is_raised(raised::NO_HEAD) => failure.nothing_stored(),
            failure if failure.is_raised(raised::ISOLATION) => Self::invalid(format!(
                "{failure}; set default_transaction_isolation of the role or database to 'read committed'"
            )),
            failure => {
                let text = failure.to_string();
                match failure.code() {
                    Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Self::Denied(text),
                    Some(&(SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED)) => Self::Damaged(text),
                    Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION | &SqlState::INVALID_PASSWORD) => {
                        Self::Denied(text)
                    }
                    Some(&SqlState::INVALID_CATALOG_NAME) => Self::NotFound(text),
                    _ => match failure {
                        Failure::Postgres(error) => {
                            Self::backend(format!("using PostgreSQL ({text})"), error)
                        }
                        _ => Self::unavailable(text),
                    },
                }
            }
        }
    }
}
