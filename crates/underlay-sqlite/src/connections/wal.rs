//! Keeps the WAL short. The writer does it between two batches, so nobody waits inside a COMMIT, and
//! while nothing comes, so that it is rarely due between two batches.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};

use crate::error::Failure;

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
#[derive(Debug)]
pub(crate) struct Wal {
    bytes_max: u64,
    /// Below this size a restart is not tried again.
    restart_at: u64,
    /// Frames that are not in the database, as far as is known.
    waiting: u64,
    /// Writes since frames were last copied there.
    writes: u32,
}

impl Wal {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, restart_at: bytes_max, waiting: 0, writes: 0 }
    }

    /// How long to wait for work before [`Wal::copy`]; none where that is not worth it.
    pub(crate) fn rest(&self) -> Option<Duration> {
        (self.waiting >= FRAMES_MIN).then_some(REST)
    }

    /// Checkpoints where that is due after a write. Who comes meanwhile waits for a flush of the
    /// database too, so it is done rarely. A failure costs nothing but size, and is tried again.
    pub(crate) fn tend(&mut self, connection: &Connection) {
        self.writes = self.writes.saturating_add(1);
        let Some((frames, copied)) = progress(connection, CheckpointMode::NOOP) else { return };
        let bytes = frames * FRAME_BYTES;
        self.waiting = frames.saturating_sub(copied);
        if bytes < self.bytes_max {
            self.restart_at = self.bytes_max;
        }
        if bytes > self.restart_at {
            if restart(connection) {
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
            self.copy(connection);
        }
    }

    /// Copies frames into the database. Those that a reader keeps back are counted after the next write.
    pub(crate) fn copy(&mut self, connection: &Connection) {
        progress(connection, CheckpointMode::PASSIVE);
        (self.waiting, self.writes) = (0, 0);
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

/// Copies all into the database, flushes it and empties the WAL; false where readers prevent it.
pub(crate) fn truncate(connection: &Connection) -> bool {
    progress(connection, CheckpointMode::TRUNCATE).is_some()
}

/// Copies all into the database and waits a moment for readers to leave the WAL.
fn restart(connection: &Connection) -> bool {
    // Setting a timeout fails only on a connection that is closed.
    let patient = connection.busy_timeout(RESTART_WAIT).is_ok();
    let done = progress(connection, CheckpointMode::RESTART).is_some();
    patient && connection.busy_timeout(Duration::ZERO).is_ok() && done
}

/// Runs a checkpoint: frames in the WAL, and how many of them are in the database.
fn progress(connection: &Connection, mode: CheckpointMode) -> Option<(u64, u64)> {
    match connection.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        Ok((frames, copied)) => Some((u64::try_from(frames).ok()?, u64::try_from(copied).ok()?)),
        Err(error) => {
            tracing::debug!(%error, "checkpoint");
            None
        }
    }
}
