//! The writer thread: the only one that writes the file.
//!
//! It takes turns: one group commit, one write beside the log, each in a transaction of its own. Units of entities
//! are written with the group commit. Nobody is answered before the transaction has ended.
//!
//! States and what happens when something fails:
//!
//! - **Serving.** A commit that conflicts or cannot be stored fails alone. A lock that another process
//!   does not give back in time fails the batch as `Unavailable`: nothing was stored.
//! - **In doubt**, from the call of COMMIT to its end. A COMMIT that reports a failure (a flush that
//!   failed, a full disk) may have left its frames in the WAL, where a crash could bring them back to
//!   life. So a small transaction, the fence, is written over them. Once it is durable the file tells
//!   the truth: a commit found there was stored, any other is `Unavailable`. If the fence fails too,
//!   the batch is `Uncertain`. Of units of entities a commit beside them tells, or an entity that has the version
//!   after its change while no other process has written. Otherwise they are uncertain.
//! - **Broken**, after a failure that is not the caller's. New writes are `Unavailable` at once, while
//!   the file is opened again and fenced, with growing pauses, until that succeeds.
//!   A file that was exchanged under the process is broken until it is put back.
//! - **Ended**, by closing or by a panic: everybody who waits or comes is answered.
//!
//! Writes to views, and what becomes of work, are flushed with the next commit, not on their own: a power
//! cut takes rows and checkpoint back together, and the view catches up again; work that was done is done
//! again. After a flush that failed, that of a COMMIT or of a checkpoint, what was not
//! flushed may be lost from the WAL without a trace; the fence then also moves all of the WAL into the
//! database before anything else is acknowledged.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use underlay_core::adapter::{Answer, FaultHook, Flight, Request, WakeupHub};
use underlay_core::{Clock, Error, WorkHint};

use crate::config::SqliteConfig;
use crate::connections::database::Database;
use crate::connections::wal::{self, Wal};
use crate::error::Failure;
use crate::fault::FaultPoint;
use crate::log::append::{Guard, LogWriter};
use crate::log::intake::{Flush, Intake, Next, SideWrite};
use crate::log::truth;
use crate::log::unit_flight::{Unit, UnitAnswer, UnitFlight};

/// Between two tries to get the write lock from another process.
const LOCK_PAUSE: Duration = Duration::from_micros(500);
/// Between the first two tries to get a broken file back; each pause is twice the one before.
const RECOVERY_PAUSE: Duration = Duration::from_millis(50);
/// The longest of those pauses.
const RECOVERY_PAUSE_MAX: Duration = Duration::from_secs(2);

/// What the commits and the units of a batch are answered, in their order.
struct Answers {
    commits: Vec<Answer>,
    units: Vec<UnitAnswer>,
    /// [`LogWriter::data_version`] in their transaction, where there are units.
    data_version: Option<i64>,
}

/// What the writer thread works with.
pub(crate) struct Committer {
    database: Database,
    intake: Arc<Intake>,
    wakeups: Arc<WakeupHub>,
    /// The last position known, shared with the watcher.
    head: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    wal_bytes_max: u64,
    faults: FaultHook<FaultPoint>,
    /// Whether the WAL may hold frames that no flush has covered.
    unflushed: Cell<bool>,
}

impl Committer {
    pub(crate) fn new(
        database: Database,
        config: &SqliteConfig,
        intake: Arc<Intake>,
        wakeups: Arc<WakeupHub>,
        head: Arc<AtomicU64>,
    ) -> Self {
        Self {
            database,
            intake,
            wakeups,
            head,
            clock: config.clock.clone(),
            busy_timeout: config.busy_timeout,
            wal_bytes_max: config.wal_bytes_max,
            faults: config.faults.clone(),
            unflushed: Cell::new(false),
        }
    }

    /// Writes until the intake is closed and empty.
    pub(crate) fn run(self, connection: Connection) {
        let _ending = Ending(&self.intake);
        let mut connection = connection;
        loop {
            match self.serve(&connection) {
                Ok(()) => break,
                Err(failure) => {
                    // Closed first: what it holds of the file may be what is wrong.
                    drop(connection);
                    match self.recover(failure) {
                        Some(recovered) => connection = recovered,
                        None => return,
                    }
                }
            }
        }
        if connection.busy_timeout(self.busy_timeout).is_err() || !wal::truncate(&connection) {
            tracing::debug!("the WAL stays: somebody else still reads it");
        }
    }

    /// Takes turns; an error means the file is broken.
    fn serve(&self, connection: &Connection) -> Result<(), Failure> {
        // The wait for the write lock is ours, see `begin`.
        connection.busy_timeout(Duration::ZERO)?;
        let mut writer = LogWriter::prepare(connection)?;
        let mut wal = Wal::new(self.wal_bytes_max, self.faults.clone());
        loop {
            match self.intake.next(wal.rest()) {
                Next::Turn(turn) => {
                    if !(turn.batch.is_empty() && turn.units.is_empty()) {
                        let units = UnitFlight::new(turn.units);
                        self.write_batch(&mut writer, Flight::new(turn.batch), units)?;
                    }
                    if let Some(write) = turn.side_write {
                        self.write_beside(&mut writer, write)?;
                    }
                    self.judge_checkpoint(wal.tend(connection))?;
                }
                Next::Rested => self.judge_checkpoint(wal.copy(connection))?,
                Next::Closed => return Ok(()),
            }
        }
    }

    /// Whether the writer goes on after a checkpoint. One that failed may have failed to flush the WAL, and what no flush
    /// had covered by then may be lost from it without a trace; all that came behind it would be lost with it. Where
    /// everything was flushed before, a failure costs nothing but size, and is tried again.
    fn judge_checkpoint(&self, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Err(failure) if self.unflushed.get() => Err(failure),
            Err(failure) => {
                tracing::warn!(%failure, "the WAL is not copied into the database");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn write_batch(
        &self,
        writer: &mut LogWriter<'_>,
        mut flight: Flight,
        mut units: UnitFlight,
    ) -> Result<(), Failure> {
        let answers = match self.fill(writer, &flight.requests, &units.units) {
            Ok(answers) => answers,
            Err(failure) => {
                let rolled_back = writer.rollback();
                flight.answer_all(|_| Err(failure.nothing_stored()));
                units.answer_all(|| Err(failure.nothing_stored()));
                rolled_back?;
                return if failure.is_of_the_file() { Err(failure) } else { Ok(()) };
            }
        };
        let mut doubt = |reason: String| {
            flight.in_doubt = Some(reason.clone());
            units.in_doubt = Some(reason);
        };
        doubt("the writer ended during the commit".to_owned());
        match self.finish(writer) {
            Ok(()) => {
                self.unflushed.set(false);
                // It is stored where nobody may find it again; whoever puts the file back will.
                if let Err(exchanged) = self.database.check_in_place() {
                    doubt(exchanged.to_string());
                    return Err(exchanged);
                }
                self.acknowledge(flight, answers.commits);
                units.answer_each(answers.units);
                Ok(())
            }
            Err(failure) => {
                // Frames of another process may be lost too, and this one does not know of them.
                self.unflushed.set(self.unflushed.get() || failure.is_of_the_system());
                tracing::warn!(%failure, commits = answers.commits.len(), units = answers.units.len(), "a COMMIT failed");
                doubt(failure.to_string());
                self.resolve_doubt(writer, flight, units, answers, &failure)
            }
        }
    }

    /// Begins the transaction and inserts the rows of a batch.
    fn fill(
        &self,
        writer: &mut LogWriter<'_>,
        batch: &[Request],
        units: &[Unit],
    ) -> Result<Answers, Failure> {
        self.begin(writer)?;
        let now = self.clock.now().as_microsecond();
        let commits = match writer.write(batch, now, Guard::None) {
            // Poison is rare: the savepoints that keep it apart are paid for only when it is there.
            Err(Failure::Poison(_)) => {
                writer.rollback()?;
                self.begin(writer)?;
                writer.write(batch, now, Guard::Savepoint)?
            }
            other => other?,
        };
        let units = writer.write_units(units)?;
        let data_version = if units.is_empty() { None } else { Some(writer.data_version()?) };
        self.faults.at(FaultPoint::Inserted)?;
        Ok(Answers { commits, units, data_version })
    }

    /// Takes the write lock, waiting where another process has it. SQLite has no signal for a lock given
    /// back, and its own wait pauses ever longer, which starves a process beside a busy one; short even
    /// pauses find the gap between two of its batches.
    fn begin(&self, writer: &mut LogWriter<'_>) -> Result<(), Failure> {
        self.faults.at(FaultPoint::Begin)?;
        let mut pauses_left = self.busy_timeout.as_nanos() / LOCK_PAUSE.as_nanos();
        loop {
            match writer.begin() {
                Err(failure) if failure.is_busy() && pauses_left > 0 => {
                    // A pause that something else cut short is not counted.
                    pauses_left -= u128::from(self.intake.wait_for_change(LOCK_PAUSE));
                }
                other => return other,
            }
        }
    }

    fn finish(&self, writer: &mut LogWriter<'_>) -> Result<(), Failure> {
        self.faults.at(FaultPoint::Commit)?;
        writer.commit()?;
        Ok(self.faults.at(FaultPoint::Committed)?)
    }

    fn acknowledge(&self, flight: Flight, answers: Vec<Answer>) {
        let (mut head, mut hint) = (None, WorkHint::default());
        for (request, answer) in flight.requests.iter().zip(&answers) {
            if let Ok(committed) = answer
                && !committed.repeated
            {
                hint.add(&request.tenant, &request.commit.work);
                if committed.event_count > 0 {
                    head = head.max(Some(committed.position.number()));
                }
            }
        }
        if let Some(position) = head {
            self.head.fetch_max(position, Ordering::Relaxed);
        }
        self.intake.learn(flight.requests.iter().map(|request| &request.tenant).zip(&answers));
        flight.answer_each(answers);
        if head.is_some() || !hint.is_empty() {
            self.wakeups.wake();
        }
        self.wakeups.wake_for_work(hint);
    }

    /// Finds out what became of a batch whose COMMIT reported a failure.
    fn resolve_doubt(
        &self,
        writer: &mut LogWriter<'_>,
        flight: Flight,
        mut units: UnitFlight,
        answers: Answers,
        failure: &Failure,
    ) -> Result<(), Failure> {
        // A transaction that COMMIT has left open is given up; one that is closed stays as it is.
        writer.rollback()?;
        self.begin(writer)?;
        let mut is_stored = None;
        if answers.data_version == Some(writer.data_version()?) {
            is_stored = truth::of_units(writer.connection(), &units.units, &answers.units)?;
        }
        self.fence(writer.connection())?;
        let requests = &flight.requests;
        let (commits, beside) = truth::of_commits(writer.connection(), requests, answers.commits, failure)?;
        self.acknowledge(flight, commits);
        match beside.or(is_stored) {
            Some(true) => units.answer_each(answers.units),
            Some(false) => units.answer_all(|| Err(failure.nothing_stored())),
            None => drop(units),
        }
        Ok(())
    }

    /// Ends a transaction begun for it by writing over what a failed COMMIT may have left.
    fn fence(&self, connection: &Connection) -> Result<(), Failure> {
        self.faults.at(FaultPoint::Fence)?;
        connection.execute(include_str!("../sql/raise_fence.sql"), [])?;
        connection.execute_batch("COMMIT")?;
        if self.unflushed.get() {
            connection.busy_timeout(self.busy_timeout)?;
            let moved = wal::truncate(connection);
            connection.busy_timeout(Duration::ZERO)?;
            if !moved {
                return Err(Failure::Answer(Error::unavailable(
                    "the WAL could not be moved into the database after a flush failed",
                )));
            }
            self.unflushed.set(false);
        }
        Ok(())
    }

    fn write_beside(&self, writer: &mut LogWriter<'_>, write: SideWrite) -> Result<(), Failure> {
        let SideWrite { flush, change, answer, place: _place } = write;
        let connection = writer.connection();
        if flush == Flush::Later {
            connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        let changed = self
            .begin(writer)
            .and_then(|()| change(connection))
            .and_then(|()| Ok(self.faults.at(FaultPoint::Inserted)?));
        let outcome = match changed {
            Err(failure) => {
                writer.rollback()?;
                Err(failure)
            }
            Ok(()) => {
                self.unflushed.set(true);
                match self.finish(writer) {
                    Ok(()) => Ok(()),
                    Err(failure) => {
                        writer.rollback()?;
                        // The next turn begins on a file that is fenced.
                        answer.send(Err(failure.nothing_stored())).ok();
                        return Err(failure);
                    }
                }
            }
        };
        if flush == Flush::Later {
            connection.execute_batch("PRAGMA synchronous = FULL")?;
        } else if outcome.is_ok() {
            self.unflushed.set(false);
        }
        match outcome {
            Err(failure) if failure.is_of_the_file() => {
                answer.send(Err(failure.nothing_stored())).ok();
                Err(failure)
            }
            outcome => {
                // A caller that has gone away needs no answer.
                answer.send(outcome.map_err(Error::from)).ok();
                Ok(())
            }
        }
    }

    /// Opens the file again until it takes a fence; `None` where the store is closed meanwhile.
    fn recover(&self, failure: Failure) -> Option<Connection> {
        let mut failure = failure;
        let mut pause = RECOVERY_PAUSE;
        loop {
            tracing::error!(%failure, "the SQLite file is out of order");
            self.intake.break_down(&format!("the SQLite file is out of order: {failure}"));
            match self.reopen() {
                Ok(connection) => {
                    tracing::info!("the SQLite file is in order again");
                    self.intake.unanswered.end_doubts();
                    self.intake.mend();
                    return Some(connection);
                }
                Err(again) => failure = again,
            }
            if self.intake.wait_for_closing(pause) {
                return None;
            }
            pause = (pause * 2).min(RECOVERY_PAUSE_MAX);
        }
    }

    fn reopen(&self) -> Result<Connection, Failure> {
        self.faults.at(FaultPoint::Reopen)?;
        let connection = self.database.reopen()?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        self.fence(&connection)?;
        // A file whose tables are gone takes a fence too, and is not in order for that.
        LogWriter::prepare(&connection)?;
        Ok(connection)
    }
}

/// Answers everybody when the thread ends, however it ends.
struct Ending<'a>(&'a Intake);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
