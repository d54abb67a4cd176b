//! A standby: a copy of a server that follows it, and takes its place when it is told to.

use super::{Postgres, SETTINGS, USER};
use crate::{Result, daemon, output};

impl Postgres {
    /// Copies this server and starts the copy as a standby of it, with these settings besides. The
    /// primary knows it by `name`: `synchronous_standby_names` may wait for it.
    ///
    /// # Errors
    /// Where the copy cannot be made, or does not start.
    pub fn start_standby(&self, name: &str, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        daemon::give(folder.path(), USER)?;
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let port = daemon::free_port()?;
        let mut standby =
            Self { programs: self.programs.clone(), settings, port, daemon: None, flush_fault: None, folder };
        let primary = format!(
            "host=127.0.0.1 port={} user=postgres application_name={name} sslmode=disable",
            self.port
        );
        let mut copy = daemon::as_user(USER, &self.programs.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
        output(copy.args(["--dbname", &primary]).arg("--pgdata").arg(standby.data()))?;
        standby.resume()?;
        Ok(standby)
    }
}
