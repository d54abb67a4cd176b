//! A private Redis, as Debian has it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::{Missing, Result, install, output};

/// Names the address of a Redis for tests, as whoever may do everything there: `redis://127.0.0.1:6379`.
pub const REDIS_VARIABLE: &str = "UNDERLAY_TEST_REDIS_URL";

/// The package of Debian, and its programs.
const PACKAGE: &str = "redis-server";
const SERVER: &str = "redis-server";
const CLIENT: &str = "redis-cli";
/// What it writes once it serves.
const READY: &str = "Ready to accept connections";

/// A private server that flushes each write to the disk before it answers. Dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Errors
    /// Where its program is missing and cannot be installed, or it does not start.
    pub fn start() -> std::result::Result<Self, Missing> {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments for `redis-server`, which go before those it has otherwise.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with(arguments: &[&str]) -> std::result::Result<Self, Missing> {
        let started = || -> Result<Self> {
            let port = daemon::free_port()?;
            let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
            let mut server = Self { port, arguments, daemon: None, folder: tempfile::tempdir()? };
            server.resume()?;
            Ok(server)
        };
        started().map_err(|reason| Missing::new("redis", reason))
    }

    /// Stops it by a signal: `TERM` in good order, `KILL` at once.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self, signal: &str) -> Result<()> {
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.end(signal))
    }

    /// Starts it again on the same port with what it has on the disk, and waits until it serves.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let said = self.folder.path().join("said");
        fs::write(&said, "")?;
        let mut command = daemon::ending_by("KILL", &program(SERVER)?);
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path());
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
            "--enable-debug-command",
            "local",
        ]);
        command.args(&self.arguments);
        let mut daemon = Daemon::start(command, self.port, &said)?;
        daemon.wait_until(|| fs::read_to_string(&said).is_ok_and(|said| said.contains(READY)))?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Where clients connect to, as somebody who may do everything.
    #[must_use]
    pub fn address(&self) -> String {
        format!("redis://{}", self.host())
    }

    /// Where it listens on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens, as `HOST:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the command line answers about this server.
    ///
    /// # Errors
    /// Where it fails; with what it complained of.
    pub fn ask<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let mut command = Command::new(program(CLIENT)?);
        output(command.args(["-e", "-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments))
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        Ok(output(Command::new(program(SERVER)?).arg("--version"))?.trim().to_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.end("KILL").ok();
        }
    }
}

/// A program of the package, which is installed where it is missing.
fn program(name: &str) -> Result<PathBuf> {
    if let Some(found) = in_path(name) {
        return Ok(found);
    }
    install(PACKAGE)?;
    in_path(name).ok_or_else(|| format!("the package {PACKAGE} has no program {name}").into())
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program: &PathBuf| Path::is_file(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_survives_a_kill() {
        let mut server = match Redis::start() {
            Ok(server) => server,
            Err(missing) => return missing.skip_test(),
        };
        assert_eq!(server.ask(&["set", "a", "1"]).unwrap().trim(), "OK");
        server.stop("KILL").unwrap();
        assert!(server.ask(&["get", "a"]).is_err());
        server.resume().unwrap();
        assert_eq!(server.ask(&["get", "a"]).unwrap().trim(), "1");
    }
}
