//! An UmaDB server, which benchmarks measure beside ours.

use std::path::Path;

use tempfile::TempDir;

use crate::Result;
use crate::daemon::{self, Daemon};

/// A private server with its files in a fresh folder; dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Umadb {
    port: u16,
    _daemon: Daemon,
    /// Removed after the server has ended.
    _folder: TempDir,
}

impl Umadb {
    /// Starts a server as this user, by the program `umadb` of its Python package.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(program: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = daemon::free_port()?;
        let mut command = daemon::ending_with_this(program);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--db-path").arg(folder.path());
        let daemon = Daemon::start(command, port, &folder.path().join("said"))?;
        Ok(Self { port, _daemon: daemon, _folder: folder })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
