//! A MongoDB server that is a replica set of its own, so that it has transactions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::{Missing, Result, output};

/// Names the address of a MongoDB server for tests; its database is not used. Commands for tests are enabled on it.
pub const MONGODB_VARIABLE: &str = "UNDERLAY_TEST_MONGODB_URL";
/// Names the program `mongod`, where it is not found by `PATH`.
pub const MONGOD_VARIABLE: &str = "UNDERLAY_TEST_MONGOD";

/// The name of the set.
const SET: &str = "underlay";
/// What it writes once it is told to be a set of one.
const READY: &str = "Transition to primary complete";

/// A private server; dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Mongodb {
    program: PathBuf,
    port: u16,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Mongodb {
    /// Starts a server and makes it a replica set.
    ///
    /// # Errors
    /// Where its program is missing, or does not start.
    pub fn start() -> std::result::Result<Self, Missing> {
        let program = find()?;
        let folder = tempfile::tempdir().map_err(missing)?;
        let port = daemon::free_port().map_err(missing)?;
        fs::create_dir(folder.path().join("data")).map_err(missing)?;
        let mut server = Self { program, port, daemon: None, folder };
        server.resume().map_err(missing)?;
        Ok(server)
    }

    /// Stops it. `hard` lets it no time to write anything down: the next start recovers as after a crash.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self, hard: bool) -> Result<()> {
        let signal = if hard { "KILL" } else { "TERM" };
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.end(signal))
    }

    /// Starts it again on the same port, and waits until it is the primary of its set.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let said = self.folder.path().join("said");
        fs::write(&said, "")?;
        let mut command = daemon::ending_by("KILL", &self.program);
        command.arg("--dbpath").arg(self.folder.path().join("data")).arg("--port").arg(self.port.to_string());
        command.args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--replSet", SET]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--setParameter", "enableTestCommands=1"]);
        let mut daemon = Daemon::start(command, self.port, &said)?;
        self.initiate()?;
        daemon.wait_until(|| fs::read_to_string(&said).is_ok_and(|said| said.contains(READY)))?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// The address of a database on it.
    #[must_use]
    pub fn address_of(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?replicaSet={SET}", self.port)
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        let said = output(Command::new(&self.program).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }
}
