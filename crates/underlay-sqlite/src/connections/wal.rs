//! Keeps the WAL short. The writer does it between two batches, so nobody waits inside a COMMIT, and
//! while nothing comes, so that it is rarely due between two batches.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};
use underlay_core::adapter::FaultHook;

use crate::error::Failure;
use crate::fault::FaultPoint;

/// Bytes of a frame: a page and its header.
const FRAME_BYTES: u64 = 4096 + 24;
/// Frames worth copying into the database.
const FRAMES_MIN: u64 = 1024;
/// Writes between two checkpoints, where the WAL has room for their frames. Those of the next write wait behind one
/// too, and of a hundred callers less than one is to wait.
const WRITES_MIN: u32 = 300;
/// How long nothing is to come before frames are copied into the database at leisure.
const REST: Duration = Duration::from_millis(100);
/// How long a restart waits for readers to leave the WAL.
const RESTART_WAIT: Duration = Duration::from_millis(50);

/// The size the WAL is kept under, and how far it has come.
pub(crate) struct Wal {
    bytes_max: u64,
    /// Below this size a restart is not tried again.
    restart_at: u64,
    /// Frames that are not in the database, as far as is known.
    waiting: u64,
    /// Writes since frames were last copied there.
    writes: u32,
    faults: FaultHook<FaultPoint>,
}

impl Wal {
    pub(crate) fn new(bytes_max: u64, faults: FaultHook<FaultPoint>) -> Self {
        Self { bytes_max, restart_at: bytes_max, waiting: 0, writes: 0, faults }
    }

    /// How long to wait for work before [`Wal::copy`]; none where that is not worth it.
    pub(crate) fn rest(&self) -> Option<Duration> {
        (self.waiting >= FRAMES_MIN).then_some(REST)
    }

    /// Checkpoints where that is due after a write. Who comes meanwhile waits for a flush of the
    /// database too, so it is done rarely.
    ///
    /// # Errors
    /// As [`Wal::copy`].
    pub(crate) fn tend(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.writes = self.writes.saturating_add(1);
        let Some((frames, copied)) = progress(connection, CheckpointMode::NOOP)? else { return Ok(()) };
        let bytes = frames * FRAME_BYTES;
        self.waiting = frames.saturating_sub(copied);
        if bytes < self.bytes_max {
            self.restart_at = self.bytes_max;
        }
        if bytes > self.restart_at {
            if self.restart(connection)? {
                self.restart_at = self.bytes_max;
                (self.waiting, self.writes) = (0, 0);
            } else {
                self.restart_at = bytes + self.bytes_max / 4;
                tracing::warn!(
                    bytes,
                    bytes_max = self.bytes_max,
                    "readers keep the WAL from beginning again"
                );
            }
        } else if self.waiting >= FRAMES_MIN && self.writes >= WRITES_MIN {
            self.copy(connection)?;
        }
        Ok(())
    }

    /// Copies frames into the database. Those that a reader keeps back are counted after the next write.
    ///
    /// # Errors
    /// Where something else than a reader, another writer or a full disk prevents it. The WAL is flushed first, so that
    /// may be a flush that failed, and frames that no flush had covered are not to be relied on.
    pub(crate) fn copy(&mut self, connection: &Connection) -> Result<(), Failure> {
        (self.waiting, self.writes) = (0, 0);
        self.faults.at(FaultPoint::Checkpoint)?;
        progress(connection, CheckpointMode::PASSIVE).map(drop)
    }

    /// Copies all into the database and waits a moment for readers to leave the WAL; whether they did.
    fn restart(&self, connection: &Connection) -> Result<bool, Failure> {
        self.faults.at(FaultPoint::Checkpoint)?;
        connection.busy_timeout(RESTART_WAIT)?;
        let done = progress(connection, CheckpointMode::RESTART);
        connection.busy_timeout(Duration::ZERO)?;
        Ok(done?.is_some())
    }
}

/// Flushes the WAL of a file, as opening has found it. A process that was killed while it flushed leaves
/// commits that are read like all others and may not be on the disk; nobody is to be answered from them
/// before they are. It writes nothing, so it works where the disk is full.
pub(crate) fn flush(database: &Path) -> Result<(), Failure> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let path = PathBuf::from(path);
    let failed = |source| Failure::System { doing: format!("flushing {}", path.display()), source };
    // SQLite's locks are on the other files of the database, so closing this one gives up none of them.
    match OpenOptions::new().write(true).open(&path) {
        Ok(wal) => wal.sync_data().map_err(failed)?,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    }
    // Its name too: the killed process may have made it.
    #[cfg(unix)]
    if let Some(folder) = database.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Moves what opening has found in the WAL into the database, where nobody else uses it at this moment. A process whose
/// flush failed and that was killed before it did so leaves frames that are read like all others, that the system takes
/// for flushed, and that are not on the disk: whatever is appended behind them would be lost with them.
///
/// # Errors
/// Where something else than another process or a full disk prevents it.
pub(crate) fn settle(connection: &Connection) -> Result<(), Failure> {
    connection.busy_timeout(Duration::ZERO)?;
    progress(connection, CheckpointMode::TRUNCATE).map(drop)
}

/// Copies all into the database, flushes it and empties the WAL; false where readers prevent it.
pub(crate) fn truncate(connection: &Connection) -> bool {
    match progress(connection, CheckpointMode::TRUNCATE) {
        Ok(done) => done.is_some(),
        Err(failure) => {
            tracing::warn!(%failure, "the WAL is not moved into the database");
            false
        }
    }
}

/// Runs a checkpoint: frames in the WAL, and how many of them are in the database. None where others are in the way, or
/// the disk is full: that costs nothing but size.
fn progress(connection: &Connection, mode: CheckpointMode) -> Result<Option<(u64, u64)>, Failure> {
    match connection.wal_checkpoint_v2(Some(MAIN_DB), mode).map_err(Failure::from) {
        Ok((frames, copied)) => Ok(u64::try_from(frames).ok().zip(u64::try_from(copied).ok())),
        Err(failure) if failure.is_busy() || failure.is_of_a_full_disk() => {
            tracing::debug!(%failure, "checkpoint");
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}
