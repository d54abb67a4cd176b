//! What else happens in a database while it is written and read: sessions are ended, other programs
//! hold transactions open, the log is locked for commits that come to nothing, and notifications come
//! that nobody needs.

mod abandoned_appends;
mod ended_sessions;
mod held_transactions;
mod notifications;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use servers::Database;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Result;
use crate::dice::Dice;
use crate::journal::Journal;

/// Programs beside ours that hold transactions open.
const HOLDERS: u32 = 4;
/// Who begins appends that come to nothing.
const ABANDONERS: usize = 2;
/// Who sends notifications that mean nothing.
const NOTIFIERS: usize = 2;

/// What was done besides writing and reading.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) processes_killed: u64,
    /// Stopped for a time, and let go on.
    pub(crate) processes_stopped: u64,
    /// By `pg_terminate_backend`.
    pub(crate) sessions_ended: u64,
    /// Transactions of others that were held open.
    pub(crate) transactions_held: u64,
    pub(crate) longest_transaction_micros: u64,
    /// Appends that held the log and were rolled back, or whose session ended.
    pub(crate) appends_abandoned: u64,
    pub(crate) notifications: u64,
    /// Moves of the log by dump and restore.
    pub(crate) moves: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.processes_killed += other.processes_killed;
        self.processes_stopped += other.processes_stopped;
        self.sessions_ended += other.sessions_ended;
        self.transactions_held += other.transactions_held;
        self.longest_transaction_micros =
            self.longest_transaction_micros.max(other.longest_transaction_micros);
        self.appends_abandoned += other.appends_abandoned;
        self.notifications += other.notifications;
        self.moves += other.moves;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} processes killed", self.processes_killed)?;
        if self.processes_stopped > 0 {
            write!(f, ", {} stopped for a time", self.processes_stopped)?;
        }
        if self.sessions_ended > 0 {
            write!(
                f,
                ", {} sessions ended, {} transactions of others (the longest of {} ms), {} appends abandoned, \
                 {} notifications, {} moves by dump and restore",
                self.sessions_ended,
                self.transactions_held,
                self.longest_transaction_micros / 1_000,
                self.appends_abandoned,
                self.notifications,
                self.moves,
            )?;
        }
        Ok(())
    }
}

/// All of it, in one database.
pub(crate) struct Troubles {
    tasks: JoinSet<Result<Tally>>,
    stop: watch::Sender<bool>,
}

impl Troubles {
    /// Begins in a database. The journal says which commits must not be in the log.
    pub(crate) async fn start(database: &Database, journal: &Path, dice: &mut Dice) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let journal = Arc::new(Journal::open(journal)?);
        let mut tasks = JoinSet::new();
        let until = || Until(stopped.clone());
        held_transactions::prepare(database).await?;
        for number in 0..HOLDERS {
            tasks.spawn(held_transactions::hold(database.clone(), number, until(), dice.fork()));
        }
        for _ in 0..ABANDONERS {
            let journal = journal.clone();
            tasks.spawn(abandoned_appends::abandon(database.clone(), journal, until(), dice.fork()));
        }
        for _ in 0..NOTIFIERS {
            tasks.spawn(notifications::send(database.clone(), until(), dice.fork()));
        }
        tasks.spawn(ended_sessions::end(database.clone(), until(), dice.fork()));
        Ok(Self { tasks, stop })
    }

    /// Ends it, and says how much there was.
    pub(crate) async fn finish(mut self) -> Result<Tally> {
        self.stop.send_replace(true);
        let mut tally = Tally::default();
        while let Some(ended) = self.tasks.join_next().await {
            tally.add(&ended??);
        }
        Ok(tally)
    }
}

/// The end of the trouble.
#[derive(Clone)]
struct Until(watch::Receiver<bool>);

impl Until {
    /// Waits so long; false where the trouble has ended before.
    async fn pause(&mut self, time: Duration) -> bool {
        tokio::select! {
            // Who ends it may be gone, which is an end too.
            _ended = self.0.wait_for(|ended| *ended) => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
