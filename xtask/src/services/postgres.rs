//! A PostgreSQL server with its files in a fresh folder, as safe as a real one: it flushes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::daemon::{self, Daemon};
use super::{install, quiet};
use crate::Result;
use crate::cargo::output;

/// Names the address of a server for tests, as its administrator.
pub(super) const VARIABLE: &str = "UNDERLAY_TEST_POSTGRES_URL";
/// The user of the system that Debian runs PostgreSQL as.
pub(super) const USER: &str = "postgres";
/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

#[derive(Debug)]
pub(crate) struct Postgres {
    pub(super) version: String,
    daemon: Daemon,
    /// Removed after the server has ended.
    pub(super) folder: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts a server on it.
    pub(super) fn start() -> Result<Self> {
        let programs = find_or_install()?;
        let postgres = programs.join("postgres");
        let version = output(quiet(Command::new(&postgres).arg("--version")))?.trim().to_owned();
        let folder = tempfile::tempdir()?;
        daemon::give(folder.path(), USER)?;
        let data = folder.path().join("data");
        let mut initdb = daemon::as_user(USER, &programs.join("initdb"));
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        output(quiet(initdb.arg("--pgdata").arg(&data)))?;
        let port = daemon::free_port()?;
        let mut server = daemon::as_user(USER, &postgres);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path()).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=on",
            "max_connections=300",
            "shared_buffers=256MB",
            "max_wal_size=4GB",
        ] {
            server.args(["-c", setting]);
        }
        let daemon = Daemon::start(server, port, &folder.path().join("said"))?;
        let postgres = Self { version, daemon, folder };
        postgres.wait_until_ready(&programs.join("pg_isready"))?;
        Ok(postgres)
    }

    /// The address of its administrator.
    pub(super) fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port())
    }

    pub(super) fn port(&self) -> u16 {
        self.daemon.port
    }

    /// It listens before it answers.
    fn wait_until_ready(&self, pg_isready: &Path) -> Result<()> {
        let (host, port) = ("--host=127.0.0.1", format!("--port={}", self.port()));
        for _ in 0..300 {
            if output(quiet(Command::new(pg_isready).args([host, &port]))).is_ok() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("it listens and does not answer".into())
    }
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
