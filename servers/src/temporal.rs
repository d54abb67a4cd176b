//! A Temporal server for development, which the official command line has in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::{Missing, Result, output};

/// Names the program `temporal`, where it is not found by `PATH`.
pub const TEMPORAL_VARIABLE: &str = "UNDERLAY_TEST_TEMPORAL";

/// What it writes once it serves.
const READY: &str = "Server:";

/// A private server; dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Temporal {
    program: PathBuf,
    port: u16,
    arguments: Vec<String>,
    /// None while it is stopped.
    daemon: Option<Daemon>,
    /// Removed after the server has ended.
    folder: TempDir,
}

impl Temporal {
    /// Starts a server that keeps everything in memory.
    ///
    /// # Errors
    /// Where its program is missing, or does not start.
    pub fn start() -> std::result::Result<Self, Missing> {
        Self::start_with(&[])
    }

    /// Starts a server that keeps everything in a file: stopped and started again, it goes on where it was.
    ///
    /// # Errors
    /// As [`Temporal::start`].
    pub fn start_kept() -> std::result::Result<Self, Missing> {
        let folder = new_folder()?;
        let file = folder.path().join("temporal.db").display().to_string();
        Self::start_in(folder, &["--db-filename", &file])
    }

    /// Starts a server in memory with more arguments for `temporal server start-dev`.
    ///
    /// # Errors
    /// As [`Temporal::start`].
    pub fn start_with(arguments: &[&str]) -> std::result::Result<Self, Missing> {
        Self::start_in(new_folder()?, arguments)
    }

    fn start_in(folder: TempDir, arguments: &[&str]) -> std::result::Result<Self, Missing> {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { program: find()?, port: 0, arguments, daemon: None, folder };
        // It chooses more ports by itself, which others may take too.
        daemon::start_on_free_ports(|| {
            server.port = daemon::free_port()?;
            server.resume()
        })
        .map_err(missing)?;
        Ok(server)
    }

    /// Stops it. What it keeps in memory is lost.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.end("TERM"))
    }

    /// Starts it again on the same port, and waits until it serves.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let said = self.folder.path().join("said");
        fs::write(&said, "")?;
        // Run through another program, as its official builds for other systems are, it does not heed SIGQUIT.
        let mut command = daemon::ending_by("KILL", &self.program);
        command.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port"]);
        command.arg(self.port.to_string()).args(&self.arguments);
        let mut daemon = Daemon::start(command, self.port, &said)?;
        daemon.wait_until(|| fs::read_to_string(&said).is_ok_and(|said| said.contains(READY)))?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// The namespace `default`, with a task queue: what a service is given as its scheduler.
    #[must_use]
    pub fn address(&self, task_queue: &str) -> String {
        format!("temporal://{}/default?task_queue={task_queue}", self.host())
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
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        output(Command::new(&self.program).args(arguments).arg("--address").arg(self.host()))
    }

    /// What the server has written since it was started last.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("said"))?)
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        Ok(output(Command::new(&self.program).arg("--version"))?.trim().to_owned())
    }
}

impl Drop for Temporal {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.end("KILL").ok();
        }
    }
}

fn missing(reason: impl std::fmt::Display) -> Missing {
    Missing::new("temporal", reason)
}

fn new_folder() -> std::result::Result<TempDir, Missing> {
    tempfile::tempdir().map_err(missing)
}

fn find() -> std::result::Result<PathBuf, Missing> {
    let found = match env::var_os(TEMPORAL_VARIABLE) {
        Some(named) => Some(PathBuf::from(named)).filter(|program| program.is_file()),
        None => env::var_os("PATH").and_then(|path| in_path(&path)),
    };
    found.ok_or_else(|| {
        let way = "install Temporal's command line, or name its program in";
        missing(format_args!("`temporal` is not found; {way} {TEMPORAL_VARIABLE}"))
    })
}

fn in_path(path: &std::ffi::OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join("temporal"))
        .find(|program: &PathBuf| Path::is_file(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_keeps_a_file_goes_on_where_it_was() {
        let mut server = match Temporal::start_kept() {
            Ok(server) => server,
            Err(missing) => return missing.skip_test(),
        };
        server.ask(&["operator", "namespace", "create", "--namespace", "kept"]).unwrap();
        server.stop().unwrap();
        assert!(server.ask(&["operator", "namespace", "list"]).is_err());
        server.resume().unwrap();
        assert!(server.ask(&["operator", "namespace", "list"]).unwrap().contains("kept"));
    }
}
