//! Where the answer to a commit goes: whoever writes it answers, and the caller waits.

use tokio::sync::oneshot;

use super::batch::Queued;
use super::unanswered::Ticket;
use crate::ports::RecordedCommit;
use crate::words::{Commit, CommitId, Committed, Error, Fingerprint, Json};

/// What a commit is answered, once it is durable.
pub type Answer = Result<Committed, Error>;

/// A commit that waits, with what was prepared of it and the place of its answer.
pub type Request = Queued<Reply>;

/// What a commit carries beside itself.
#[derive(Debug)]
pub struct Reply {
    /// What its repeats are known by.
    pub fingerprint: Fingerprint,
    /// What every event of it carries.
    pub metadata: Json,
    answer: oneshot::Sender<Answer>,
    /// Says that there is no answer yet, to who asks by the id.
    ticket: Ticket,
}

impl Reply {
    /// Prepares a commit that was noted, and the wait for its answer.
    ///
    /// # Errors
    /// Where its metadata cannot be written down.
    pub fn prepare(commit: &Commit, ticket: Ticket) -> Result<(Self, Answered), Error> {
        let (answer, answered) = oneshot::channel();
        let (fingerprint, metadata) = (commit.fingerprint(), commit.encode_metadata()?);
        Ok((Self { fingerprint, metadata, answer, ticket }, Answered { id: commit.id, answered }))
    }

    /// Answers the caller.
    pub fn answer(self, answer: Answer) {
        // Before the caller goes on: from then on the commit is not under way.
        drop(self.ticket);
        // A caller that has gone away needs no answer.
        self.answer.send(answer).ok();
    }

    /// Notes, for who asks by the id, that nobody knows what became of the commit.
    pub fn doubt(&self) {
        self.ticket.doubt();
    }
}

/// The answer that a caller waits for.
#[derive(Debug)]
#[must_use = "it is waited for"]
pub struct Answered {
    id: CommitId,
    answered: oneshot::Receiver<Answer>,
}

impl Answered {
    /// Waits for the answer.
    ///
    /// # Errors
    /// Those of the commit; [`Error::Uncertain`] where whoever had to answer is gone.
    pub async fn wait(self) -> Answer {
        let id = self.id;
        // A writer answers everybody, even in a panic; this is for the case that it did not.
        self.answered
            .await
            .unwrap_or_else(|_| Err(Error::Uncertain { id, reason: "the writer gave no answer".to_owned() }))
    }
}

/// What a call is answered whose commit was found stored.
///
/// # Errors
/// [`Error::IdReused`] where something else was stored under its id.
pub fn answer_again(request: &Request, found: RecordedCommit) -> Answer {
    if found.fingerprint == request.reply.fingerprint {
        Ok(found.committed)
    } else {
        Err(Error::IdReused(request.commit.id))
    }
}

/// What a commit is answered that is not stored yet, where the one it names is: `None` where it goes on.
#[must_use]
pub fn answer_for_other(commit: &Commit, fingerprint: Fingerprint, other: RecordedCommit) -> Option<Answer> {
    if other.fingerprint != fingerprint {
        return Some(Err(Error::IdReused(commit.id)));
    }
    let yields = commit.agreement.is_some_and(|agreement| agreement.yields);
    yields.then_some(Ok(Committed { repeated: true, ..other.committed }))
}
