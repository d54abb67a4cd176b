//! What goes wrong, and what it means: every code of the server that is known here stands in [`MEANINGS`].

use std::time::Duration;

use mongodb::bson::Document;
use mongodb::error::{
    Error as MongoError, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
    WriteFailure,
};
use underlay_core::Error;
use underlay_core::reasons::READS_ONLY;

/// When to try again where the server is away or full.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an error of the server means for whoever called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A value is there already that only one document may have.
    Taken,
    /// Others write the same at the moment. Nothing was done.
    Contended,
    /// It took longer than it may.
    Slow,
    /// The server takes no writes, so nothing was done.
    NotPrimary,
    /// The server gave up being the primary meanwhile, or is going down: what was sent may have been done.
    SteppedDown,
    /// The server cannot be reached, or cannot reach another one.
    Away,
    /// It was done, and too few servers have said that they have it.
    Unacknowledged,
    /// The server has no room.
    Full,
    /// The login is wrong, or may not do it.
    NotLetIn,
    /// The document does not pass the validation of its collection.
    BreaksRule,
    /// The document is larger than a document may be.
    TooLarge,
    /// The query needs more memory than a query may.
    TooBroad,
    /// The collection or the database is not there.
    NoSuch,
    /// The server has no transactions, since it is no member of a replica set.
    NoTransactions,
}

/// What the codes mean, each with the name that the server gives it.
pub(crate) const MEANINGS: &[(i32, &str, Meaning)] = &[
    (11_000, "DuplicateKey", Meaning::Taken),
    (24, "LockTimeout", Meaning::Contended),
    (46, "LockBusy", Meaning::Contended),
    (112, "WriteConflict", Meaning::Contended),
    (225, "TransactionTooOld", Meaning::Contended),
    (239, "SnapshotTooOld", Meaning::Contended),
    (246, "SnapshotUnavailable", Meaning::Contended),
    (251, "NoSuchTransaction", Meaning::Contended),
    (267, "PreparedTransactionInProgress", Meaning::Contended),
    (50, "MaxTimeMSExpired", Meaning::Slow),
    (262, "ExceededTimeLimit", Meaning::Slow),
    (10_058, "LegacyNotPrimary", Meaning::NotPrimary),
    (10_107, "NotWritablePrimary", Meaning::NotPrimary),
    (13_435, "NotPrimaryNoSecondaryOk", Meaning::NotPrimary),
    (13_436, "NotPrimaryOrSecondary", Meaning::NotPrimary),
    (91, "ShutdownInProgress", Meaning::SteppedDown),
    (189, "PrimarySteppedDown", Meaning::SteppedDown),
    (11_600, "InterruptedAtShutdown", Meaning::SteppedDown),
    (11_602, "InterruptedDueToReplStateChange", Meaning::SteppedDown),
    (6, "HostUnreachable", Meaning::Away),
    (7, "HostNotFound", Meaning::Away),
    (89, "NetworkTimeout", Meaning::Away),
    (133, "FailedToSatisfyReadPreference", Meaning::Away),
    (134, "ReadConcernMajorityNotAvailableYet", Meaning::Away),
    (9_001, "SocketException", Meaning::Away),
    (64, "WriteConcernFailed", Meaning::Unacknowledged),
    (79, "UnknownReplWriteConcern", Meaning::Unacknowledged),
    (100, "UnsatisfiableWriteConcern", Meaning::Unacknowledged),
    (146, "ExceededMemoryLimit", Meaning::Full),
    (14_031, "OutOfDiskSpace", Meaning::Full),
    (13, "Unauthorized", Meaning::NotLetIn),
    (18, "AuthenticationFailed", Meaning::NotLetIn),
    (8_000, "AtlasError", Meaning::NotLetIn),
    (121, "DocumentValidationFailure", Meaning::BreaksRule),
    (10_334, "BSONObjectTooLarge", Meaning::TooLarge),
    (17_419, "Location17419", Meaning::TooLarge),
    (17_420, "Location17420", Meaning::TooLarge),
    (292, "QueryExceededMemoryLimitNoDiskUseAllowed", Meaning::TooBroad),
    (26, "NamespaceNotFound", Meaning::NoSuch),
    (20, "IllegalOperation", Meaning::NoTransactions),
];

/// What goes wrong inside the adapter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The driver says so, for the server or of itself.
    #[error("MongoDB: {}", told(.0))]
    Mongo(Box<MongoError>),
    /// The server refused one of several changes that were sent together.
    #[error("MongoDB: {message} (code {code})")]
    Refused {
        /// The code of the server.
        code: i32,
        /// The index whose values are unique, where it is about one.
        index: Option<String>,
        /// What the server says.
        message: String,
    },
    /// A document that was to be changed was not there, or had another version than was named.
    #[error("MongoDB: a document was changed by others at the same time")]
    Missed,
    /// It took longer than it may. What was sent may have been done.
    #[error("MongoDB did not answer within {name} = {limit:?}")]
    Late {
        /// The option that limits it.
        name: &'static str,
        /// Its value.
        limit: Duration,
    },
    /// An answer in the words of the core.
    #[error("{0}")]
    Answer(Error),
}

/// What the driver says, without the labels and documents that it prints beside it.
fn told(error: &MongoError) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => format!("{} (code {})", command.message, command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => {
            format!("{} (code {})", write.message, write.code)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(write)) => {
            format!("{} (code {})", write.message, write.code)
        }
        kind => kind.to_string(),
    }
}

impl Failure {
    pub(crate) fn damaged(text: impl Into<String>) -> Self {
        Self::Answer(Error::Damaged(text.into()))
    }

    /// The first refusal in an answer to several changes; none where all of them were made.
    pub(crate) fn refusal_in(answer: &Document) -> Option<Self> {
        let first = answer.get_array("writeErrors").ok()?.first()?.as_document()?;
        let message = first.get_str("errmsg").unwrap_or_default().to_owned();
        let code = first.get_i32("code").unwrap_or_default();
        Some(Self::Refused { code, index: index_in(&message), message })
    }

    /// The code of the server.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Mongo(error) => match &*error.kind {
                ErrorKind::Command(command) => Some(command.code),
                ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
                ErrorKind::Write(WriteFailure::WriteConcernError(write)) => Some(write.code),
                _ => None,
            },
            Self::Missed | Self::Late { .. } | Self::Answer(_) => None,
        }
    }

    /// What it means; none where nobody knows.
    pub(crate) fn meaning(&self) -> Option<Meaning> {
        if let Self::Mongo(error) = self {
            match &*error.kind {
                ErrorKind::Io(_)
                | ErrorKind::ConnectionPoolCleared { .. }
                | ErrorKind::ServerSelection { .. }
                | ErrorKind::DnsResolve { .. }
                | ErrorKind::Shutdown => return Some(Meaning::Away),
                ErrorKind::Authentication { .. } => return Some(Meaning::NotLetIn),
                ErrorKind::SessionsNotSupported => return Some(Meaning::NoTransactions),
                _ => {}
            }
        }
        let code = self.code()?;
        MEANINGS.iter().find(|(known, ..)| *known == code).map(|(.., meaning)| *meaning)
    }

    /// Whether a write that failed so may have been done.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Late { .. } => true,
            Self::Mongo(error) => match &*error.kind {
                ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => true,
                // It was done, and the answer is of what came after it.
                ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
                _ => matches!(
                    self.meaning(),
                    Some(Meaning::SteppedDown | Meaning::Unacknowledged | Meaning::Slow)
                ),
            },
            Self::Refused { .. } | Self::Missed | Self::Answer(_) => false,
        }
    }

    /// Whether a transaction that failed so was not stored, and may be stored when it is begun again.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Mongo(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR))
            || self.meaning() == Some(Meaning::Contended)
    }

    /// Whether nobody knows what became of a transaction, so that its end is asked for again.
    pub(crate) fn is_unknown_end(&self) -> bool {
        matches!(self, Self::Mongo(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT))
    }

    /// The index in which a value is there already.
    pub(crate) fn taken_index(&self) -> Option<String> {
        match self {
            Self::Refused { code: 11_000, index, .. } => index.clone(),
            Self::Mongo(error) if self.code() == Some(11_000) => index_in(&told(error)),
            _ => None,
        }
    }
}

/// The name of the index that the server names where a value is there already. Its own part of the text comes before
/// any value.
fn index_in(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" index: ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

impl From<MongoError> for Failure {
    fn from(error: MongoError) -> Self {
        Self::Mongo(Box::new(error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

/// [`Error::Unavailable`] that may pass by itself.
fn away(reason: String) -> Error {
    Error::Unavailable { reason, retry_after: Some(RETRY_AFTER), overloaded: false }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        let failure = match failure {
            Failure::Answer(error) => return error,
            Failure::Late { name, limit } => {
                let reason = format!("MongoDB did not answer in time ({name} = {})", limit.as_millis());
                return Self::overloaded(reason, RETRY_AFTER);
            }
            Failure::Missed => return away(text),
            failure => failure,
        };
        match failure.meaning() {
            Some(Meaning::Taken) => {
                Self::RuleViolation("another document has a value that only one may have".to_owned())
            }
            Some(Meaning::NotPrimary | Meaning::SteppedDown) => {
                // Servers are named in the log, and not to whoever asks.
                tracing::warn!(failure = text, "a server of the store takes no writes");
                away(READS_ONLY.to_owned())
            }
            Some(Meaning::Contended | Meaning::Slow | Meaning::Away | Meaning::Unacknowledged) => away(text),
            Some(Meaning::Full) => Self::overloaded(text, RETRY_AFTER),
            Some(Meaning::NotLetIn) => Self::Denied(text),
            Some(Meaning::BreaksRule) => {
                tracing::warn!(failure = text, "MongoDB refuses a document");
                Self::RuleViolation("the document does not pass the validation of its collection".to_owned())
            }
            Some(Meaning::TooLarge) => {
                Self::invalid("the document is larger than MongoDB takes, 16 MiB; store less in it")
            }
            Some(Meaning::TooBroad) => {
                Self::TooBroad("the query needs more memory than MongoDB gives one; ask for less".to_owned())
            }
            Some(Meaning::NoSuch) => Self::NotFound(text),
            Some(Meaning::NoTransactions) => Self::invalid(format!(
                "{text}; underlay needs transactions, which a server has that is a member of a replica set, be it alone"
            )),
            None => match failure {
                Failure::Mongo(error) => match *error.kind {
                    ErrorKind::InvalidArgument { message, .. }
                    | ErrorKind::InvalidTlsConfig { message, .. } => {
                        Self::invalid(format!("MongoDB: {message}"))
                    }
                    _ => Self::backend(format!("using MongoDB ({text})"), *error),
                },
                _ => Self::backend("using MongoDB", text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn every_code_stands_in_the_table_once() {
        let mut codes: Vec<i32> = MEANINGS.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        let before = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), before);
    }

    #[test]
    fn a_value_cannot_pass_for_the_name_of_an_index() {
        let message = "E11000 duplicate key error collection: d.entity_rate index: one.base dup key: { _id.t: \"a\", \
                       c.base: \" index: one.quote dup key\" }";
        let refused = |message: &str| {
            let answer = doc! { "n": 0, "writeErrors": [{ "index": 0, "code": 11_000, "errmsg": message }] };
            Failure::refusal_in(&answer).unwrap()
        };
        assert_eq!(refused(message).taken_index().as_deref(), Some("one.base"));
        assert_eq!(refused("E11000").taken_index(), None);
        assert!(Failure::refusal_in(&doc! { "n": 1 }).is_none());
    }
}
