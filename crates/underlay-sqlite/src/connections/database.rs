//! The file: where it lies, whose it is, and how connections to it are set up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};
use underlay_core::Error;

use crate::config::SqliteConfig;
use crate::connections::mount;
use crate::error::Failure;

/// Written into the header of the file: `undl` in ASCII.
const APPLICATION_ID: i32 = 0x756e_646c;

/// Statements each connection keeps prepared.
const STATEMENTS_MAX: usize = 256;

/// A file, and how connections to it are set up.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    path: PathBuf,
    /// Which file it is, since it was opened to write.
    identity: Arc<OnceLock<FileIdentity>>,
    busy_timeout: Duration,
    wal_bytes_max: u64,
    writer_cache_bytes: usize,
    reader_cache_bytes: usize,
}

/// Device and number of a file; a system without them has one identity for all.
type FileIdentity = (u64, u64);

#[cfg(unix)]
fn file_identity(path: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_identity(path: &Path) -> Option<FileIdentity> {
    path.exists().then_some((0, 0))
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody's: it is empty.
    Nobody,
    /// Ours.
    Underlay,
}

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it.
    Make,
    /// Say so, and leave everything as it is.
    Refuse,
}

impl Database {
    /// Finds the place of a file, which need not exist; its folder must.
    pub(crate) fn locate(path: &Path, config: &SqliteConfig) -> Result<Self, Failure> {
        let Some(name) = path.file_name() else {
            return Err(Failure::refused(format!("{} is not the path of a file", path.display())));
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // An absolute path is never taken for ":memory:" or a URI.
        let folder = folder.canonicalize().map_err(|source| Failure::System {
            doing: format!("finding the folder of {}", path.display()),
            source,
        })?;
        let path = folder.join(name);
        if path.is_dir() {
            return Err(Failure::refused(format!(
                "{} is a folder; give the path of a file in it, as in {}",
                path.display(),
                path.join("store.db").display()
            )));
        }
        // The file may be a link into another file system.
        mount::refuse_network(&path.canonicalize().unwrap_or_else(|_| path.clone()))?;
        Ok(Self {
            path,
            identity: Arc::default(),
            busy_timeout: config.busy_timeout,
            wal_bytes_max: config.wal_bytes_max,
            writer_cache_bytes: config.writer_cache_bytes,
            reader_cache_bytes: config.reader_cache_bytes,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file to write for the first time. From then on it must stay that file.
    pub(crate) fn open_to_write(&self, missing: Missing) -> Result<Connection, Failure> {
        let connection = self.open_writer(missing)?;
        if let Some(identity) = file_identity(&self.path) {
            self.identity.get_or_init(|| identity);
        }
        Ok(connection)
    }

    /// Whether the path still leads to the file that was opened. A copy put in its place, or a file
    /// moved away, would leave this process writing what nobody reads.
    pub(crate) fn check_in_place(&self) -> Result<(), Failure> {
        match self.identity.get() {
            Some(opened) if file_identity(&self.path).as_ref() != Some(opened) => {
                Err(Failure::Exchanged(self.path.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Opens the file to write; it must be there, and be the same one.
    pub(crate) fn reopen(&self) -> Result<Connection, Failure> {
        self.check_in_place()?;
        self.open_writer(Missing::Refuse)
    }

    fn open_writer(&self, missing: Missing) -> Result<Connection, Failure> {
        let make = match missing {
            Missing::Make => OpenFlags::SQLITE_OPEN_CREATE,
            Missing::Refuse => OpenFlags::empty(),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | make;
        let connection = self.open(flags)?;
        // SQLite opens such a file all the same, and would refuse every write to it later.
        if connection.is_readonly(MAIN_DB)? {
            return Err(Failure::Answer(Error::Denied(format!(
                "{} is read-only; a store needs a file it can write",
                self.path.display()
            ))));
        }
        connection.busy_timeout(self.busy_timeout)?;
        // Before the first write: a file of somebody else stays as it is. Looked at in one moment, or
        // the name could be missing and the tables there, made by another process in between.
        let moment = connection.unchecked_transaction()?;
        let owner = self.owner(&moment)?;
        moment.finish()?;
        if owner == Owner::Nobody && missing == Missing::Refuse {
            let path = self.path.display();
            return Err(Failure::Answer(Error::NotFound(format!("a store in the empty file {path}"))));
        }
        self.write_ahead(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On macOS a plain fsync leaves data in the drive's cache; elsewhere these do nothing.
        connection.pragma_update(None, "fullfsync", "ON")?;
        connection.pragma_update(None, "checkpoint_fullfsync", "ON")?;
        // So that INSERT OR REPLACE fires the trigger that refuses deletes.
        connection.pragma_update(None, "recursive_triggers", "ON")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", kibibytes(self.writer_cache_bytes))?;
        // The writer checkpoints between batches, not inside a COMMIT that somebody waits for.
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        let limit = i64::try_from(self.wal_bytes_max).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
        Ok(connection)
    }

    /// Opens the file to read.
    pub(crate) fn open_reader(&self) -> Result<Connection, Failure> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(self.busy_timeout)?;
        connection.pragma_update(None, "cache_size", kibibytes(self.reader_cache_bytes))?;
        Ok(connection)
    }

    fn open(&self, flags: OpenFlags) -> Result<Connection, Failure> {
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        // Otherwise the quoted name of a column that is not there is read as a text.
        for strict in [DbConfig::SQLITE_DBCONFIG_DQS_DML, DbConfig::SQLITE_DBCONFIG_DQS_DDL] {
            connection.set_db_config(strict, false)?;
        }
        Ok(connection)
    }

    /// Whose the file is.
    ///
    /// # Errors
    /// Where it is no SQLite database, or one of another application.
    pub(crate) fn owner(&self, connection: &Connection) -> Result<Owner, Failure> {
        let id: i32 = match connection.pragma_query_value(None, "application_id", |row| row.get(0)) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                return Err(Failure::refused(format!("{} is not an SQLite database", self.path.display())));
            }
            other => other?,
        };
        if id == APPLICATION_ID {
            return Ok(Owner::Underlay);
        }
        let objects: i64 =
            connection.query_row(include_str!("../sql/count_schema_objects.sql"), [], |row| row.get(0))?;
        if id == 0 && objects == 0 {
            return Ok(Owner::Nobody);
        }
        Err(Failure::refused(format!(
            "{} is an SQLite database of another application (application_id {id}); give a path of its own",
            self.path.display()
        )))
    }

    /// Writes our name into the header, inside the transaction that makes the tables.
    pub(crate) fn claim(connection: &Connection) -> Result<(), Failure> {
        Ok(connection.pragma_update(None, "application_id", APPLICATION_ID)?)
    }

    /// Turns the WAL on. Two openers of a new file exclude each other here for a moment without
    /// SQLite waiting, so the wait is ours.
    fn write_ahead(&self, connection: &Connection) -> Result<(), Failure> {
        let deadline = Instant::now() + self.busy_timeout;
        loop {
            let mode = connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
            match mode.map_err(Failure::from) {
                Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
                Ok(mode) => {
                    return Err(Failure::refused(format!(
                        "{} cannot have a write-ahead log here (journal mode {mode})",
                        self.path.display()
                    )));
                }
                Err(failure) if failure.is_busy() && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// As `cache_size` takes it: negative means KiB.
fn kibibytes(bytes: usize) -> i64 {
    -i64::try_from(bytes / 1024).unwrap_or(i64::MAX)
}
