//! Pieces that this process waits for, and that an attempt here has shown to be another program's.
//!
//! A scheduler goes on with such a piece until a program can do it, and tells nobody. Where one is deployed beside this
//! one, that is soon. Where none is, the piece would keep its room here for ever, and enough of them would keep all rooms:
//! so after a time it is left, as it is where no scheduler drives attempts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use underlay_core::{Clock, WorkId};

/// How long it is waited for another program.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The pieces that this process waits for.
#[derive(Default)]
pub(super) struct Anothers(Mutex<Waited>);

#[derive(Default)]
struct Waited {
    pieces: HashMap<WorkId, (u64, watch::Sender<Option<String>>)>,
    last: u64,
}

/// One of them, until it is dropped.
pub(super) struct Waiting {
    of: Arc<Anothers>,
    piece: WorkId,
    number: u64,
    noted: watch::Receiver<Option<String>>,
}

impl Anothers {
    /// Waits for a piece.
    pub(super) fn wait(self: &Arc<Self>, piece: WorkId) -> Waiting {
        let (note, noted) = watch::channel(None);
        let mut waited = self.lock();
        waited.last += 1;
        let number = waited.last;
        waited.pieces.insert(piece, (number, note));
        drop(waited);
        Waiting { of: self.clone(), piece, number, noted }
    }

    /// An attempt here has shown that a piece is another program's.
    pub(super) fn note(&self, piece: WorkId, reason: &str) {
        if let Some((_, note)) = self.lock().pieces.get(&piece) {
            note.send_replace(Some(reason.to_owned()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waited> {
        // Each change is one call of a collection, so a panic leaves none half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Ends once an attempt here has shown so and nobody else has done it for a time; says why it is another's.
    pub(super) async fn for_long(&mut self, clock: &dyn Clock) -> String {
        let noted = self.noted.wait_for(Option::is_some).await.ok().and_then(|noted| noted.clone());
        match noted {
            Some(reason) => {
                clock.sleep(WAIT_MAX).await;
                reason
            }
            // Another waits for it instead.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waited = self.of.lock();
        // The same piece may be waited for anew already.
        if waited.pieces.get(&self.piece).is_some_and(|(number, _)| *number == self.number) {
            waited.pieces.remove(&self.piece);
        }
    }
}
