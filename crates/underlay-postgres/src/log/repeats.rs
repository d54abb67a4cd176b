//! Answers calls whose commit, or the one it names, was stored before: what was stored is looked up, for all that wait at
//! once.
//!
//! One task looks up, and what comes meanwhile waits for its next look; so however many repeat, they take
//! one connection. It ends with the committer, after everybody was answered.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use underlay_core::Error;
use underlay_core::adapter::{Answer, Request, answer_again, answer_for_other};

use crate::connections::session::Sessions;
use crate::log::known::{Found, Ids, find_commits};

/// Calls that may wait for a look; the next one is refused.
const WAITING_MAX: usize = 4_096;
/// Calls that are looked up at once.
const LOOK_MAX: usize = 512;

/// Where the committer leaves them.
pub(crate) struct Repeats {
    waiting: mpsc::Sender<Request>,
    task: JoinHandle<()>,
}

impl Repeats {
    pub(crate) fn start(sessions: Arc<Sessions>) -> Self {
        let (waiting, taken) = mpsc::channel(WAITING_MAX);
        Self { waiting, task: tokio::spawn(answer(sessions, taken)) }
    }

    /// Leaves a call. Nothing of it was stored, whatever it is answered.
    pub(crate) fn push(&self, request: Request) {
        let (request, error) = match self.waiting.try_send(request) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(request)) => {
                let reason = format!("too many repeats wait (WAITING_MAX = {WAITING_MAX})");
                (request, Error::overloaded(reason, crate::error::RETRY_AFTER))
            }
            Err(mpsc::error::TrySendError::Closed(request)) => {
                (request, Error::unavailable("repeats are not answered any more"))
            }
        };
        request.reply.answer(Err(error));
    }

    /// Answers what waits, and ends.
    pub(crate) async fn close(self) {
        drop(self.waiting);
        // After a panic everybody was told that there is no answer.
        self.task.await.ok();
    }
}

async fn answer(sessions: Arc<Sessions>, mut waiting: mpsc::Receiver<Request>) {
    let mut requests = Vec::new();
    while waiting.recv_many(&mut requests, LOOK_MAX).await > 0 {
        let ids = Ids::of(&requests).and(Ids::named_by(&requests));
        let found = find_commits(&sessions, &ids).await.map_err(Error::from);
        match found {
            Ok(mut found) => {
                let mut others = found.split_off(requests.len()).into_iter();
                for (request, found) in requests.drain(..).zip(found) {
                    let other = request.commit.agreement.and_then(|_| others.next());
                    let answer = answer_stored(&request, found, other);
                    request.reply.answer(answer);
                }
            }
            // The first answer could not be read.
            Err(error) => {
                let reason = error.to_string();
                requests.drain(..).for_each(|request| {
                    request.reply.answer(Err(Error::unavailable(reason.clone())));
                });
            }
        }
    }
}

/// The answer to one call, by what is stored.
fn answer_stored(request: &Request, found: Found, other: Option<Found>) -> Answer {
    // It was forgotten meanwhile, as commits without events are: asked again, this one is decided anew.
    stored_answer(request, found, other).unwrap_or_else(|| {
        let reason = format!("what answers commit {} was there and is forgotten", request.commit.id);
        Err(Error::Unavailable { reason, retry_after: Some(crate::error::RETRY_AFTER), overloaded: false })
    })
}

/// What is stored under the id of a commit, or else under the one it names, as its answer; none where it is not
/// answered by either.
pub(crate) fn stored_answer(request: &Request, found: Found, other: Option<Found>) -> Option<Answer> {
    let found = found.and_then(|own| Ok((own, other.transpose()?.flatten())));
    let (own, other) = match found {
        Ok(found) => found,
        Err(damaged) => return Some(Err(damaged.into())),
    };
    match own {
        Some(first) => Some(answer_again(request, first)),
        None => other.and_then(|other| answer_for_other(&request.commit, request.reply.fingerprint, other)),
    }
}
