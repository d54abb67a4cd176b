//! A pooler before the PostgreSQL server, that gives every transaction another connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::{self, Daemon};
use crate::postgres::{self, Postgres};
use crate::{Result, install, output};

const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// The login of the tests.
pub(crate) const LOGIN: &str = "underlay_test_login";

/// A private pooler in transaction mode; its files are in the folder of the server behind it.
#[derive(Debug)]
pub struct Pgbouncer {
    settings: PathBuf,
    port: u16,
    /// None while it is stopped.
    daemon: Option<Daemon>,
}

impl Pgbouncer {
    /// Starts a pooler before a server, with so few connections to it that callers share them.
    ///
    /// # Errors
    /// Where pgbouncer is missing and cannot be installed, or does not start.
    pub fn start(server: &Postgres) -> Result<Self> {
        Self::start_with(server, 4)
    }

    /// The same with this many connections to the server for a login.
    ///
    /// # Errors
    /// As [`Pgbouncer::start`].
    pub fn start_with(server: &Postgres, pool_size: usize) -> Result<Self> {
        if !Path::new(PROGRAM).exists() {
            install("pgbouncer")?;
        }
        let port = daemon::free_port()?;
        let folder = server.folder();
        let (settings, users) = (folder.join("pgbouncer.ini"), folder.join("pgbouncer.users"));
        // Who may log in through it: the administrator, and the login of the tests.
        fs::write(&users, format!("\"postgres\" \"\"\n\"{LOGIN}\" \"\"\n"))?;
        let lines = [
            "[databases]".to_owned(),
            format!("* = host=127.0.0.1 port={}", server.port()),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "pool_mode = transaction".to_owned(),
            format!("default_pool_size = {pool_size}"),
            // How long it turns everybody away after a server that did not let it in; else 15 s.
            "server_login_retry = 1".to_owned(),
            "auth_type = trust".to_owned(),
            format!("auth_file = {}", users.display()),
        ];
        fs::write(&settings, lines.join("\n") + "\n")?;
        let mut pooler = Self { settings, port, daemon: None };
        pooler.resume()?;
        Ok(pooler)
    }

    /// Stops the pooler at once; its port and settings stay.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn stop(&mut self) -> Result<()> {
        match self.daemon.take() {
            Some(mut daemon) => daemon.end("TERM"),
            None => Ok(()),
        }
    }

    /// Starts the pooler again where it was stopped.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = daemon::as_user(postgres::USER, Path::new(PROGRAM));
        command.arg(&self.settings);
        self.daemon = Some(Daemon::start(command, self.port, &self.settings.with_extension("said"))?);
        Ok(())
    }

    /// The address of the administrator of the server behind it, in the database `postgres`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_of("postgres")
    }

    /// The address of the administrator of the server behind it, in a database.
    #[must_use]
    pub fn address_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens, on this machine alone.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it calls itself.
    ///
    /// # Errors
    /// Where its program does not say.
    pub fn version(&self) -> Result<String> {
        let said = output(Command::new(PROGRAM).arg("--version"))?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    }
}
