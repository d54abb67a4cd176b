use std::process::{ExitCode, Termination};

use underlay_core::Error;

/// How a program ends. The numbers mean the same in every service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Done,
    /// It failed: 1.
    Failed,
    /// The input was wrong, or refused by the domain; nothing was stored of what was wrong: 2.
    Invalid,
    /// What was asked for does not exist: 3.
    NotFound,
    /// Not now; nothing was stored, and the same call may succeed later: 4.
    Unavailable,
    /// It may or may not be stored; the text says by which id to find out: 5.
    Uncertain,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::NotFound => 3,
            Self::Unavailable => 4,
            Self::Uncertain => 5,
        })
    }
}

/// Why a command of the command line ended early: the exit code, and a text for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExitError {
    /// The exit code.
    pub exit: Exit,
    /// What was wrong and what would be right.
    pub message: String,
}

impl ExitError {
    /// Wrong input.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { exit: Exit::Invalid, message: message.into() }
    }

    /// A failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }
}

impl From<Error> for ExitError {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Invalid(_)
            | Error::IdReused(_)
            | Error::TooBroad(_)
            | Error::RuleViolation(_)
            | Error::EntityConflict(_) => Exit::Invalid,
            Error::NotFound(_) => Exit::NotFound,
            Error::Uncertain { .. } | Error::UnitUncertain { .. } => Exit::Uncertain,
            Error::Busy(_) => Exit::Unavailable,
            error if error.is_retryable() => Exit::Unavailable,
            _ => Exit::Failed,
        };
        Self { exit, message: error.to_string() }
    }
}

impl From<std::io::Error> for ExitError {
    fn from(error: std::io::Error) -> Self {
        // A reader that closes the pipe early (`| head`) has what it wanted.
        let exit = if error.kind() == std::io::ErrorKind::BrokenPipe { Exit::Done } else { Exit::Failed };
        Self { exit, message: error.to_string() }
    }
}

impl From<serde_json::Error> for ExitError {
    fn from(error: serde_json::Error) -> Self {
        match error.io_error_kind() {
            Some(kind) => std::io::Error::from(kind).into(),
            None => Self::failed(format!("the answer has no JSON form: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use underlay_core::CommitId;

    use super::*;

    #[test]
    fn what_may_be_stored_does_not_end_like_what_is_not() {
        let uncertain = Error::Uncertain { id: CommitId::draw(), reason: "lost".into() };
        assert_eq!(ExitError::from(uncertain).exit, Exit::Uncertain);
        assert_eq!(ExitError::from(Error::unit_uncertain("lost")).exit, Exit::Uncertain);
        assert_eq!(ExitError::from(Error::unavailable("away")).exit, Exit::Unavailable);
    }
}
