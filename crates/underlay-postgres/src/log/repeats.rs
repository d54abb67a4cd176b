//! Answers calls whose commit was stored before: what was stored is looked up, for all that wait at once.
//!
//! One task looks up, and what comes meanwhile waits for its next look; so however many repeat, they take
//! one connection. It ends with the committer, after everybody was answered.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use underlay_core::Error;
use underlay_core::adapter::{Request, answer_again};

use crate::connections::session::Sessions;
use crate::log::known::{Ids, find_commits};

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
        let found = find_commits(&sessions, &Ids::of(&requests)).await.map_err(Error::from);
        match found {
            Ok(found) => {
                for (request, found) in requests.drain(..).zip(found) {
                    let answer = match found {
                        Ok(Some(found)) => answer_again(&request, found),
                        // It was forgotten meanwhile, as commits without events are: asked again, this one
                        // is decided anew.
                        Ok(None) => {
                            let reason = format!("commit {} was there and is forgotten", request.commit.id);
                            let retry_after = Some(crate::error::RETRY_AFTER);
                            Err(Error::Unavailable { reason, retry_after, overloaded: false })
                        }
                        Err(damaged) => Err(damaged.into()),
                    };
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
