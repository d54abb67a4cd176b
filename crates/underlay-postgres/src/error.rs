//! What the server says, in the words of the core.
//!
//! | SQLSTATE | what it is | error |
//! |---|---|---|
//! | ends the session, `08…`, no answer | the connection is lost | of a commit `Uncertain` unless it is found out, of a unit `UnitUncertain`; others are tried again |
//! | `40001`, `40P01` | serialization, deadlock | tried again, then `Unavailable` |
//! | `25006` | the server only reads | another server is looked for, then `Unavailable` |
//! | `55P03`, `57…`, `58…`, `53…` | locks, stops, the system, a full disk | `Unavailable` |
//! | `53200`, `53300` | no memory, no connections | `Unavailable`, overloaded |
//! | `23505` of a unique column of an entity | the value is there | `RuleViolation` |
//! | `UL007`, `23505` of the key of an entity | the version is another one | `EntityConflict`, `NotFound` |
//! | `42P01`, `42703` of an entity | nobody prepared it, or not by this definition | `NotFound`, `EntityChanged` |
//! | `22…`, `23…`, `54…` | the values | `Invalid`, without details of others' rows |
//! | `42501`, `28…` | a right, a password | `Denied` |
//! | `XX001`, `XX002`, `UL005` | damage | `Damaged` |
//! | `3D000` | no such database | `NotFound` |
//! | all else | a bug of ours or theirs | `Backend` |

use std::time::Duration;

use tokio_postgres::error::{DbError, Severity, SqlState};
use underlay_core::Error;
use underlay_core::adapter::Injected;
use underlay_core::reasons::READS_ONLY;

use crate::fault::FaultPoint;

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
    /// Rows of which fewer are as expected than a statement must change.
    pub(crate) const UNEXPECTED_ROWS: &str = "UL007";
}

/// When to try again where the server is away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What goes wrong inside the adapter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server says so, or the connection to it ended.
    #[error("PostgreSQL: {}", told(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The connection is not there any more.
    #[error("PostgreSQL: {0}")]
    Lost(String),
    /// The server let nobody in: a wrong password, a database that is not there. Nothing was asked yet.
    #[error("PostgreSQL: {}", told(.0))]
    NotLetIn(tokio_postgres::Error),
    /// The server is there and takes no writes, so what it says of the log may be old.
    #[error("{0}")]
    ReadsOnly(String),
    /// The server cannot be reached.
    #[error("{0}")]
    NoConnection(String),
    /// Every connection that may be had is in use.
    #[error("{0}")]
    Full(String),
    /// Others changed what it is about, and nothing was stored. By now it may be.
    #[error("{0}")]
    Overtaken(String),
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

    /// What the server said, for whoever gave it the values.
    fn without_detail(&self) -> String {
        match self {
            Self::Postgres(error) => match error.as_db_error() {
                Some(db) => format!("PostgreSQL: {}", db.message()),
                None => self.to_string(),
            },
            _ => self.to_string(),
        }
    }

    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) | Self::NotLetIn(error) => error.code(),
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
    ///
    /// An error that ends the session is no answer, whatever it speaks of: a flush that failed at COMMIT
    /// is a PANIC, and after the recovery the transaction may be there.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::Postgres(error) => match error.as_db_error() {
                Some(db) => ends_session(db) || db.code().code().starts_with("08"),
                None => !is_of_the_call(error),
            },
            Self::NotLetIn(_)
            | Self::ReadsOnly(_)
            | Self::NoConnection(_)
            | Self::Full(_)
            | Self::Overtaken(_)
            | Self::Answer(_) => false,
        }
    }

    /// Whether this server takes no writes, so that another one is to be looked for. Nothing was done.
    pub(crate) fn is_of_a_reader(&self) -> bool {
        matches!(self, Self::ReadsOnly(_))
            || (!self.is_lost() && self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
    }

    /// Whether a call that ends its transaction by itself may have ended it before this: the server was told
    /// to stop, or ran out of memory, and either can come to light after the commit as well as before it.
    pub(crate) fn may_follow_the_commit(&self) -> bool {
        matches!(self.code(), Some(&SqlState::QUERY_CANCELED | &SqlState::OUT_OF_MEMORY))
    }

    /// Whether the server is there and a limit of its own or of ours is reached.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
            || matches!(self.code(), Some(&SqlState::TOO_MANY_CONNECTIONS | &SqlState::OUT_OF_MEMORY))
    }

    /// Whether the same transaction may succeed when it is run again at once.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Overtaken(_) => true,
            _ => {
                !self.is_lost()
                    && matches!(
                        self.code(),
                        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
                    )
            }
        }
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
            || self.is_of_a_reader()
            || match self {
                Self::NoConnection(_) | Self::Full(_) => true,
                _ => self.code().is_some_and(|state| {
                    ["53", "57", "58"].iter().any(|class| state.code().starts_with(class))
                        || *state == SqlState::LOCK_NOT_AVAILABLE
                }),
            }
    }

    /// As what a call that could not connect came to: nothing was asked yet, so nothing can be lost.
    pub(crate) fn of_connecting(self) -> Self {
        let full = self.is_full();
        match self {
            failure if full => Self::Full(failure.to_string()),
            // A wrong password and a database that is not there stay so; the rest may pass.
            Self::Postgres(error) if is_of_the_login(&error) => Self::NotLetIn(error),
            failure @ (Self::Postgres(_) | Self::Lost(_)) => {
                Self::NoConnection(format!("{failure} (the server cannot be reached)"))
            }
            failure => failure,
        }
    }

    /// As the answer to who starts, and may know what servers there are.
    pub(crate) fn at_the_start(self) -> Self {
        match self {
            Self::ReadsOnly(text) => {
                Self::Answer(Error::unavailable(format!("{READS_ONLY} ({text}); connect to the primary")))
            }
            failure => failure,
        }
    }

    /// As the answer to a write of which nothing was stored.
    pub(crate) fn nothing_stored(&self) -> Error {
        match self {
            Self::Answer(Error::Damaged(text)) => Error::Damaged(text.clone()),
            Self::Answer(Error::Invalid(text)) => Error::Invalid(text.clone()),
            // As it was told before: it passes, or does not, by itself.
            Self::Answer(Error::Unavailable { reason, retry_after, overloaded }) => Error::Unavailable {
                reason: reason.clone(),
                retry_after: *retry_after,
                overloaded: *overloaded,
            },
            _ if self.is_raised(raised::NO_HEAD) => Error::Damaged(self.to_string()),
            failure if failure.is_of_the_values() => {
                // The detail may be of rows of others: it is for the log.
                tracing::warn!(%failure, "PostgreSQL refuses what it was given");
                Error::invalid(failure.without_detail())
            }
            failure if failure.is_full() => Error::overloaded(failure.to_string(), RETRY_AFTER),
            failure if failure.is_of_a_reader() => {
                // Servers are named in the log, and not to whoever asks.
                tracing::warn!(%failure, "a server of the store takes no writes");
                Error::Unavailable {
                    reason: READS_ONLY.to_owned(),
                    retry_after: Some(RETRY_AFTER),
                    overloaded: false,
                }
            }
            failure => Error::Unavailable {
                reason: failure.to_string(),
                retry_after: Some(RETRY_AFTER),
                overloaded: false,
            },
        }
    }
}

/// Whether an error is one that the server ends the session with.
fn ends_session(error: &DbError) -> bool {
    match error.parsed_severity() {
        Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
        // Poolers leave that field out, and translate nothing.
        None => ["FATAL", "PANIC"].contains(&error.severity()),
    }
}

/// Whether a server let nobody in, and will not next time.
fn is_of_the_login(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|state| ["28", "3D"].iter().any(|class| state.code().starts_with(class)))
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<Injected<FaultPoint>> for Failure {
    fn from(Injected(step): Injected<FaultPoint>) -> Self {
        Self::Lost(format!("injected at {step:?}"))
    }
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
                    // Whoever reads it is told once that it does not exist.
                    Some(&SqlState::INVALID_CATALOG_NAME) => {
                        Self::NotFound(text.strip_suffix(" does not exist").unwrap_or(&text).to_owned())
                    }
                    _ => match failure {
                        Failure::Postgres(error) | Failure::NotLetIn(error) => {
                            Self::backend(format!("using PostgreSQL ({text})"), error)
                        }
                        _ => Self::unavailable(text),
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_postgres::{Config, NoTls};

    use super::*;

    /// A message of the server.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// An error as a server sends it, or as a pooler does, that leaves the severity's second field out.
    fn error(severity: &str, code: &str, by_a_pooler: bool) -> Vec<u8> {
        let again = if by_a_pooler { String::new() } else { format!("V{severity}\0") };
        message(b'E', format!("S{severity}\0{again}C{code}\0Mit failed\0\0").as_bytes())
    }

    async fn heard(stream: &mut DuplexStream) {
        let mut bytes = [0; 1_024];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
    }

    /// What a call comes to that is answered so, on a connection that was made.
    async fn answered(answer: Vec<u8>) -> Failure {
        let (ours, mut server) = tokio::io::duplex(4_096);
        let serving = tokio::spawn(async move {
            heard(&mut server).await;
            server.write_all(&[message(b'R', &[0; 4]), message(b'Z', b"I")].concat()).await.unwrap();
            heard(&mut server).await;
            server.write_all(&[answer, message(b'Z', b"I")].concat()).await.unwrap();
            server
        });
        let (client, connection) = Config::new().user("u").connect_raw(ours, NoTls).await.unwrap();
        let moving = tokio::spawn(connection);
        let failure = client.batch_execute("COMMIT").await.unwrap_err();
        drop((client, serving.await.unwrap()));
        moving.await.unwrap().ok();
        failure.into()
    }

    /// What connecting comes to where it is answered so.
    async fn turned_away(answer: Vec<u8>) -> Failure {
        let (ours, mut server) = tokio::io::duplex(4_096);
        let serving = tokio::spawn(async move {
            heard(&mut server).await;
            server.write_all(&answer).await.unwrap();
            server
        });
        let failure = match Config::new().user("u").connect_raw(ours, NoTls).await {
            Ok(_) => panic!("it was let in"),
            Err(error) => Failure::from(error).of_connecting(),
        };
        drop(serving.await.unwrap());
        failure
    }

    #[tokio::test]
    async fn an_error_that_ends_the_session_is_no_answer_whatever_its_code() {
        for by_a_pooler in [false, true] {
            for severity in ["FATAL", "PANIC"] {
                for code in
                    ["58030", "53100", "XX000", "57P01", "57P02", "25P03", "25P04", "40001", "23505", "25006"]
                {
                    let failure = answered(error(severity, code, by_a_pooler)).await;
                    assert!(failure.is_lost(), "{severity} {code} by a pooler: {by_a_pooler}");
                }
            }
            for code in ["58030", "53100", "XX000", "40001", "23505", "25006", "55P03"] {
                let failure = answered(error("ERROR", code, by_a_pooler)).await;
                assert!(!failure.is_lost(), "ERROR {code} by a pooler: {by_a_pooler}");
            }
            assert!(answered(error("ERROR", "08006", by_a_pooler)).await.is_lost(), "the connection ended");
        }
    }

    #[tokio::test]
    async fn what_the_values_are_refused_for_is_told_without_the_rows_of_others() {
        let body =
            b"SERROR\0VERROR\0C23505\0Mduplicate key\0DKey (email)=(ann@example.org) already exists.\0\0";
        let failure = answered(message(b'E', body)).await;
        assert!(failure.to_string().contains("ann@example.org"), "the log has it: {failure}");
        let told = Error::from(failure);
        assert!(matches!(&told, Error::Invalid(text) if text == "PostgreSQL: duplicate key"), "{told:?}");
    }

    #[tokio::test]
    async fn who_was_not_let_in_has_lost_nothing() {
        for (code, told) in [
            ("28P01", "denied"),
            ("28000", "denied"),
            ("3D000", "does not exist"),
            ("53300", "unavailable"),
            ("57P03", "unavailable"),
            ("58030", "unavailable"),
        ] {
            let failure = turned_away(error("FATAL", code, false)).await;
            assert!(!failure.is_lost(), "{code}");
            let error = Error::from(failure);
            assert!(error.to_string().contains(told), "{code}: {error}");
        }
        let full = Error::from(turned_away(error("FATAL", "53300", false)).await);
        assert!(matches!(full, Error::Unavailable { overloaded: true, .. }), "{full:?}");
    }

    #[tokio::test]
    async fn a_server_that_takes_no_writes_is_told_without_its_name() {
        let failure = answered(error("ERROR", "25006", false)).await;
        assert!(failure.is_of_a_reader() && !failure.is_lost());
        let named = Failure::ReadsOnly("db-7.internal is a standby".to_owned());
        for failure in [failure, named] {
            let error = Error::from(failure);
            assert!(matches!(&error, Error::Unavailable { reason, .. } if reason == READS_ONLY), "{error:?}");
        }
    }
}
