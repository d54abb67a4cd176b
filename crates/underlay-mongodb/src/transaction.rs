//! A transaction, from its begin to an end that is known.
//!
//! ```text
//!  begun ──► changes ──► end asked for ──► stored
//!    ▲          │              │  ▲
//!    │          │              └──┘ its end is not known: it is asked for again
//!    └──────────┴──────────────┘    it met others, and nothing was stored: it is begun again
//! ```
//!
//! Where time runs out before the end was asked for, nothing was stored. Where it runs out after that, nobody knows. A
//! transaction that was begun is brought to its end by a task of its own: the driver ends none whose caller goes away
//! during its first call, and the server would keep its documents locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mongodb::ClientSession;
use mongodb::options::ReadConcern;
use underlay_core::Error;

use crate::error::Failure;
use crate::store::{Open, majority};

/// The longest pause before a transaction is begun again.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What a transaction does, perhaps several times until it meets nobody.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
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

/// How far a transaction is: its task and its caller agree on it.
#[derive(Debug, Default)]
struct Stage(AtomicU8);

impl Stage {
    /// Its end was not asked for.
    const CHANGING: u8 = 0;
    /// Its end was asked for, and nobody knows what became of it.
    const ENDING: u8 = 1;
    /// Its caller was told that nothing was stored, so nothing is.
    const GIVEN_UP: u8 = 2;

    /// Goes from one stage to another; whether it was there.
    fn step(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn is_in_doubt(&self) -> bool {
        self.0.load(Ordering::SeqCst) == Self::ENDING
    }

    /// What a failure at this stage says.
    fn unstored(&self, failure: Failure) -> Unstored {
        if self.is_in_doubt() { Unstored::Doubtful(failure) } else { Unstored::Nothing(failure) }
    }
}

/// Pauses before the next try, each time for longer.
pub(crate) async fn pause(open: &Open, tries: u32) {
    open.timer().sleep((Duration::from_millis(1) * 2_u32.saturating_pow(tries.min(10))).min(PAUSE_MAX)).await;
}

/// Stores what `work` does, together or not at all.
pub(crate) async fn transact<W: Work>(open: &Arc<Open>, work: W) -> Result<W::Done, Unstored> {
    let stage = Arc::new(Stage::default());
    let limit = open.config.write_timeout;
    let task = tokio::spawn({
        let (open, stage) = (open.clone(), stage.clone());
        async move {
            // Twice, so that what is given up can still be ended.
            match tokio::time::timeout(limit * 2, Box::pin(repeat(&open, &work, &stage))).await {
                Ok(ended) => ended.map_err(|failure| stage.unstored(failure)),
                Err(_) => Err(stage.unstored(late(limit))),
            }
        }
    });
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Err(stage.unstored(Failure::Answer(Error::unavailable("the process is ending")))),
        Err(_) if stage.step(Stage::CHANGING, Stage::GIVEN_UP) => Err(Unstored::Nothing(late(limit))),
        Err(_) => Err(Unstored::Doubtful(late(limit))),
    }
}

fn late(limit: Duration) -> Failure {
    Failure::Late { name: "write_timeout", limit }
}

/// Begins the transaction until it meets nobody.
async fn repeat<W: Work>(open: &Open, work: &W, stage: &Stage) -> Result<W::Done, Failure> {
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
            Ok(done) => end(open, &mut session, stage).await.map(|()| done),
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
async fn end(open: &Open, session: &mut ClientSession, stage: &Stage) -> Result<(), Failure> {
    let was_in_doubt = stage.is_in_doubt();
    if !was_in_doubt && !stage.step(Stage::CHANGING, Stage::ENDING) {
        session.abort_transaction().await.ok();
        return Err(late(open.config.write_timeout));
    }
    let (mut was_unknown, mut tries) = (was_in_doubt, 0);
    loop {
        let failure = match session.commit_transaction().await.map_err(Failure::from) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if failure.is_unknown_end() {
            was_unknown = true;
            tries += 1;
            // A server may say so at once, again and again.
            pause(open, tries).await;
            continue;
        }
        // Where every answer was one, the last of them holds. Where one was lost, what comes after is of a transaction
        // that may have been stored.
        if !was_unknown {
            stage.step(Stage::ENDING, Stage::CHANGING);
        }
        return Err(failure);
    }
}
