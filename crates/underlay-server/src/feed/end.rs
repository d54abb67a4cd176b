use axum::body::Bytes;
use serde::Serialize;

use super::frame;

/// Why a feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client was behind for too long.
    Slow,
    /// The process ends.
    Stopping,
    /// Whoever asked may not be here any more.
    Credentials,
    /// The log is not the one that was followed.
    Reset,
    /// The service is at fault.
    Failed,
}

#[derive(Serialize)]
struct Told {
    reason: &'static str,
    detail: &'static str,
}

impl End {
    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Stopping => "stopping",
            Self::Credentials => "credentials",
            Self::Reset => "reset",
            Self::Failed => "failed",
        }
    }

    /// What a client does about it.
    fn detail(self) -> &'static str {
        match self {
            Self::Slow => {
                "the client did not keep up; come back with the last id, and what was missed follows"
            }
            Self::Stopping => "the process ends; come back with the last id, and another one goes on",
            Self::Credentials => {
                "the credentials have expired, were revoked, or lack a role by now; come back with others"
            }
            Self::Reset => "the log was restored from an older copy; begin again without an id",
            Self::Failed => "the service failed, and its log says why; come back with the last id",
        }
    }

    /// The last event. It has no id, so the client keeps the one it has.
    pub(super) fn frame(self) -> Bytes {
        let told = serde_json::to_vec(&Told { reason: self.word(), detail: self.detail() });
        // Texts alone: there is always a form.
        frame::event(None, frame::END, &told.unwrap_or_default())
    }
}
