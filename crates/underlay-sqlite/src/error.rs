//! What SQLite and the system say, and what it is answered as. This is the one place where it is translated.
//!
//! | SQLite says | a read is answered | a write is answered | the writer |
//! |---|---|---|---|
//! | `BUSY`, `LOCKED` | `Unavailable` | `Unavailable` | goes on |
//! | `FULL`, `NOMEM`, `IOERR`, `CANTOPEN` | `Unavailable` | `Unavailable` | opens the file again |
//! | `READONLY`, `PERM` | `Backend` | `Unavailable` | opens the file again |
//! | `CORRUPT`, `NOTADB` | `Damaged` | `Damaged` | opens the file again |
//! | `CONSTRAINT`, `TOOBIG` | `Backend` | fails one commit or one unit | goes on |
//! | `INTERRUPT`, of a query | as its deadline says | - | - |
//! | anything else | `Backend` | `Unavailable` | opens the file again |
//!
//! Of entities, a `CONSTRAINT` that is about a unique value is `RuleViolation`. What says that the table is not the one
//! that a schema speaks of is told by the catalogue of entities.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use underlay_core::Error;
use underlay_core::adapter::Injected;

use crate::fault::FaultPoint;

/// What goes wrong inside the adapter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// SQLite says so.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The system says so.
    #[error("{doing}: {source}")]
    System { doing: String, source: std::io::Error },
    /// The path leads to another file than the one that was opened.
    #[error(
        "{0} was exchanged or moved under this process; put the file back, or start the process again on the one there"
    )]
    Exchanged(PathBuf),
    /// An answer in the words of the core: the caller's doing, not the file's.
    #[error("{0}")]
    Answer(Error),
    /// One commit of a batch cannot be stored; the others can.
    #[error("{0}")]
    Poison(Error),
    /// A test asked for it.
    #[error("injected at {0:?}")]
    Injected(FaultPoint),
}

impl Failure {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Answer(Error::invalid(text))
    }

    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Self::Answer(Error::Damaged(text.into()))
    }

    /// Says where something was found that is not what it must be.
    pub(crate) fn within(self, place: impl fmt::Display) -> Self {
        match self {
            Self::Answer(Error::Damaged(text)) => Self::damaged(format!("{place}: {text}")),
            failure if failure.is_misfit() => Self::damaged(format!("{place}: {failure}")),
            failure => failure,
        }
    }

    /// As the answer to opening a file, which it names.
    pub(crate) fn opening(self, path: &Path) -> Error {
        let place = path.display();
        match self {
            Self::System { .. } => self.into(),
            failure => match Error::from(failure) {
                Error::Backend { source, .. } => Error::backend(format!("opening {place}"), source),
                Error::Damaged(text) => Error::Damaged(format!("{place}: {text}")),
                Error::Unavailable { reason, retry_after, overloaded } => {
                    Error::Unavailable { reason: format!("{place}: {reason}"), retry_after, overloaded }
                }
                error => error,
            },
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        self.told_by_sqlite().map(|error| error.code)
    }

    /// What SQLite said, of a statement that was run or one that was only read.
    fn told_by_sqlite(&self) -> Option<&ffi::Error> {
        match self {
            Self::Sqlite(
                rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. },
            ) => Some(error),
            _ => None,
        }
    }

    /// Whether another connection holds what this one needs.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// Whether there was no room for what was to be written. A flush that failed is another failure, also where the
    /// disk is full.
    pub(crate) fn is_of_a_full_disk(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the system failed to read, write or flush.
    pub(crate) fn is_of_the_system(&self) -> bool {
        self.code() == Some(ErrorCode::SystemIoFailure)
    }

    /// Whether the statement was ended from outside; the connection is sound.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.code() == Some(ErrorCode::OperationInterrupted)
    }

    /// Whether the value is at fault and the file is not.
    pub(crate) fn is_poison(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig))
    }

    /// Whether a value is there twice that may be there once.
    pub(crate) fn is_not_unique(&self) -> bool {
        self.told_by_sqlite().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_UNIQUE)
    }

    /// Whether a statement does not fit the table it is about: it or a part of it is not there, or has another rule.
    pub(crate) fn is_of_the_shape(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation))
    }

    /// Whether a stored value is not what it must be, while the file can be read.
    fn is_misfit(&self) -> bool {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        matches!(
            self,
            Self::Sqlite(
                FromSqlConversionFailure(..)
                    | IntegralValueOutOfRange(..)
                    | InvalidColumnType(..)
                    | Utf8Error(..)
            )
        )
    }

    /// Whether what is in the file is no database any more.
    fn is_damage(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether the file or the system is at fault, so that the next write would fail too.
    pub(crate) fn is_of_the_file(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Poison(_) => false,
            Self::Sqlite(_) => !self.is_busy() && !self.is_poison() && !self.is_misfit(),
            Self::System { .. } | Self::Exchanged(_) | Self::Injected(_) => true,
        }
    }

    /// As the answer to a read. What the system refuses may pass: descriptors that ran out, a disk that
    /// was gone for a moment.
    pub(crate) fn reading(self) -> Error {
        match self.code() {
            Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => Error::unavailable(self.to_string()),
            _ => self.into(),
        }
    }

    /// As the answer to a write that was rolled back before COMMIT.
    pub(crate) fn nothing_stored(&self) -> Error {
        match self {
            Self::Answer(Error::Damaged(text)) => Error::Damaged(text.clone()),
            _ if self.is_damage() => Error::Damaged(self.to_string()),
            _ if self.is_busy() => {
                Error::unavailable("another process holds the SQLite file (busy_timeout was reached)")
            }
            _ => Error::unavailable(self.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<Injected<FaultPoint>> for Failure {
    fn from(Injected(step): Injected<FaultPoint>) -> Self {
        Self::Injected(step)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match (failure.code(), failure) {
            (_, Failure::Answer(error) | Failure::Poison(error)) => error,
            (_, failure) if failure.is_damage() => Self::Damaged(failure.to_string()),
            (
                Some(
                    ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::OutOfMemory,
                ),
                failure,
            ) => failure.nothing_stored(),
            (_, failure) if failure.is_misfit() => Self::Damaged(failure.to_string()),
            (_, Failure::Sqlite(error)) => Self::backend("using the SQLite file", error),
            (_, Failure::System { doing, source }) => Self::backend(doing, source),
            (_, failure @ (Failure::Exchanged(_) | Failure::Injected(_))) => failure.nothing_stored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Failure {
        Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    fn kind(error: &Error) -> &'static str {
        match error {
            Error::Unavailable { .. } => "Unavailable",
            Error::Damaged(_) => "Damaged",
            Error::Backend { .. } => "Backend",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whatever_sqlite_says_is_answered_as_the_table_says() {
        const UNAVAILABLE: &str = "Unavailable";
        for (codes, read, write, reopened) in [
            (
                &[ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED][..],
                UNAVAILABLE,
                UNAVAILABLE,
                false,
            ),
            (
                &[
                    ffi::SQLITE_FULL,
                    ffi::SQLITE_NOMEM,
                    ffi::SQLITE_IOERR,
                    ffi::SQLITE_IOERR_FSYNC,
                    ffi::SQLITE_CANTOPEN,
                ],
                UNAVAILABLE,
                UNAVAILABLE,
                true,
            ),
            (&[ffi::SQLITE_READONLY, ffi::SQLITE_PERM, ffi::SQLITE_ERROR], "Backend", UNAVAILABLE, true),
            (&[ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB], "Damaged", "Damaged", true),
        ] {
            for code in codes {
                assert_eq!(kind(&failure(*code).reading()), read, "a read: {code}");
                assert_eq!(kind(&failure(*code).nothing_stored()), write, "a write: {code}");
                assert_eq!(failure(*code).is_of_the_file(), reopened, "{code}");
                assert!(!failure(*code).is_poison(), "{code}");
            }
        }
        for code in [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_CHECK, ffi::SQLITE_TOOBIG] {
            assert_eq!(kind(&failure(code).reading()), "Backend", "{code}");
            assert!(failure(code).is_poison() && !failure(code).is_of_the_file(), "{code}");
            assert_eq!(failure(code).is_not_unique(), code == ffi::SQLITE_CONSTRAINT_UNIQUE, "{code}");
        }
        assert!(failure(ffi::SQLITE_INTERRUPT).is_interrupted());
    }

    #[test]
    fn a_read_that_the_system_refuses_is_tried_again_and_damage_is_not() {
        for code in [ffi::SQLITE_CANTOPEN, ffi::SQLITE_IOERR, ffi::SQLITE_FULL, ffi::SQLITE_BUSY] {
            assert!(failure(code).reading().is_retryable(), "{code}");
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_ERROR] {
            assert!(!failure(code).reading().is_retryable(), "{code}");
        }
    }
}
