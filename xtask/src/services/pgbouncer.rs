//! A pooler before the PostgreSQL server, that gives every transaction another connection.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::daemon::{self, Daemon};
use super::postgres::{self, Postgres};
use super::{install, quiet};
use crate::Result;
use crate::cargo::output;

/// Names the address of a pooler for tests; it leads to the server the tests use.
pub(super) const VARIABLE: &str = "UNDERLAY_TEST_PGBOUNCER_URL";
const PROGRAM: &str = "/usr/sbin/pgbouncer";

#[derive(Debug)]
pub(crate) struct Pgbouncer {
    pub(super) version: String,
    daemon: Daemon,
}

impl Pgbouncer {
    /// Starts a pooler before a server.
    pub(super) fn start(server: &Postgres) -> Result<Self> {
        let program = Path::new(PROGRAM);
        if !program.exists() {
            install("pgbouncer")?;
        }
        let version = output(quiet(Command::new(program).arg("--version")))?;
        let version = version.lines().next().unwrap_or_default().trim().to_owned();
        let port = daemon::free_port()?;
        let folder = server.folder.path();
        let (settings, users) = (folder.join("pgbouncer.ini"), folder.join("pgbouncer.users"));
        fs::write(&users, "\"postgres\" \"\"\n\"underlay_test_login\" \"\"\n")?;
        let lines = [
            "[databases]".to_owned(),
            format!("* = host=127.0.0.1 port={}", server.port()),
            "[pgbouncer]".to_owned(),
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
            "unix_socket_dir =".to_owned(),
            "pool_mode = transaction".to_owned(),
            "default_pool_size = 4".to_owned(),
            "auth_type = trust".to_owned(),
            format!("auth_file = {}", users.display()),
        ];
        fs::write(&settings, lines.join("\n") + "\n")?;
        let mut pooler = daemon::as_user(postgres::USER, program);
        pooler.arg(&settings);
        Ok(Self { version, daemon: Daemon::start(pooler, port, &folder.join("pgbouncer.said"))? })
    }

    /// The address of the administrator of the server behind it.
    pub(super) fn address(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.daemon.port)
    }
}
