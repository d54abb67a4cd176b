//! A transaction, from its begin to an end that is known.
//!
//! ```text
//!  begun ──► changes ──► end asked for ──► stored
//!    ▲          │              │  ▲
//!    │          │              └──┘ its end is not known: it is asked for again
//!    └──────────┴──────────────┘    it met others, and nothing was stored: it is begun again
//! ```
//!
//! Where time runs out before the end was asked for, nothing was stored. Where it runs out after that, nobody knows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::options::ReadConcern;

use crate::error::Failure;
use crate::store::{Open, majority};

/// The longest pause before a transaction is begun again.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What a transaction does, perhaps several times until it meets nobody.
#[async_trait]
pub(crate) trait Work: Send + Sync {
    /// What it comes to.
    type Done: Send;

    /// Makes the changes.
    async fn run(&self, session: &mut ClientSession) -> Result<Self::Done, Failure>;
}

/// How a transaction failed.
#[derive(Debug)]
pub(crate) enum Unstored {
    /// Nothing was stored.
    Nothing(Failure),
    /// Nobody knows whether it was stored.
    Doubtful(Failure),
}

/// Pauses before the next try, each time for longer.
pub(crate) async fn pause(open: &Open, tries: u32) {
    open.timer().sleep((Duration::from_millis(1) * 2_u32.saturating_pow(tries.min(10))).min(PAUSE_MAX)).await;
}

/// Stores what `work` does, together or not at all.
pub(crate) async fn transact<W: Work>(open: &Open, work: &W) -> Result<W::Done, Unstored> {
    let in_doubt = AtomicBool::new(false);
    let limit = open.config.write_timeout;
    let stored = tokio::time::timeout(limit, Box::pin(repeat(open, work, &in_doubt))).await;
    let late = Err(Failure::Late { name: "write_timeout", limit });
    stored.unwrap_or(late).map_err(|failure| {
        if in_doubt.load(Ordering::Relaxed) { Unstored::Doubtful(failure) } else { Unstored::Nothing(failure) }
    })
}

/// Begins the transaction until it meets nobody. `in_doubt` says whether its end was asked for and no answer came.
async fn repeat<W: Work>(open: &Open, work: &W, in_doubt: &AtomicBool) -> Result<W::Done, Failure> {
    let mut session = open.client.start_session().await?;
    let mut tries = 0;
    loop {
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(majority(&open.config))
            .max_commit_time(open.config.write_timeout)
            .await?;
        let ended = match work.run(&mut session).await {
            Ok(done) => end(&mut session, in_doubt).await.map(|()| done),
            Err(failure) => {
                // Where that fails too, the server ends it by itself.
                session.abort_transaction().await.ok();
                Err(failure)
            }
        };
        match ended {
            Err(failure) if failure.is_transient() => {
                tries += 1;
                pause(open, tries).await;
            }
            ended => return ended,
        }
    }
}

/// Ends a transaction; asks again for as long as its end is not known.
async fn end(session: &mut ClientSession, in_doubt: &AtomicBool) -> Result<(), Failure> {
    let mut was_unknown = false;
    loop {
        in_doubt.store(true, Ordering::Relaxed);
        let failure = match session.commit_transaction().await.map_err(Failure::from) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if failure.is_unknown_end() {
            was_unknown = true;
            continue;
        }
        // Where every answer was one, the last of them holds. Where one was lost, what comes after is of a transaction
        // that may have been stored.
        in_doubt.store(was_unknown, Ordering::Relaxed);
        return Err(failure);
    }
}
