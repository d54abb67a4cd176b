//! Where the bank's database is: a file, or a database on a server that may crash as well.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use servers::{Shutdown, output};

use crate::Result;
use crate::address::Address;
use crate::database::{Database, Hearing, LOGIN, Server};
use crate::dice::Dice;

/// How long a crashed server may take until it answers, and sessions of a killed process until they end.
const RECOVERY_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Where databases are made.
#[derive(Debug)]
pub(super) enum Ground {
    /// In this directory.
    Sqlite(PathBuf),
    Postgres(Box<Server>),
}

/// One database.
#[derive(Debug)]
pub(super) enum Place {
    /// The only file in its directory.
    Sqlite(PathBuf),
    Postgres(Database),
}

/// How a server was crashed, and how often.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ServerCrashes {
    /// One session got SIGKILL, so the server ended all and recovered.
    pub(super) sessions_killed: u64,
    /// All processes ended at once, and the server was started again.
    pub(super) immediate_stops: u64,
    /// The longest until it answered again.
    pub(super) longest_recovery_micros: u64,
}

impl fmt::Display for ServerCrashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions_killed, immediate_stops, longest_recovery_micros } = self;
        write!(
            f,
            "the server crashed {} times: {sessions_killed} by the kill of a session, {immediate_stops} by an \
             immediate stop; the longest recovery took {} ms",
            sessions_killed + immediate_stops,
            longest_recovery_micros / 1_000
        )
    }
}

impl Ground {
    pub(super) async fn new_place(&self, round: u64) -> Result<Place> {
        match self {
            Self::Sqlite(directory) => {
                let directory = directory.join(format!("database-{round}"));
                std::fs::create_dir(&directory)?;
                Ok(Place::Sqlite(directory))
            }
            Self::Postgres(server) => Ok(Place::Postgres(server.create().await?)),
        }
    }

    /// Crashes the server in one of two ways, and waits until it answers again.
    pub(super) async fn crash_server(
        &mut self,
        place: &Place,
        dice: &mut Dice,
        crashes: &mut ServerCrashes,
    ) -> Result<()> {
        let (Self::Postgres(server), Place::Postgres(database)) = (self, place) else { return Ok(()) };
        let server = server.private().ok_or("a server that others use is not crashed")?;
        let began = Instant::now();
        if dice.chance(50) && kill_a_session(database, dice).await? {
            crashes.sessions_killed += 1;
        } else {
            crashes.immediate_stops += 1;
            server.stop(Shutdown::Immediate)?;
            server.resume()?;
        }
        while database.admin().await.is_err() {
            if began.elapsed() > RECOVERY_MAX {
                return Err("the server does not come back".into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        crashes.longest_recovery_micros = crashes.longest_recovery_micros.max(took);
        Ok(())
    }
}

/// Kills a session of the bank with SIGKILL, more often than not the one that writes the log. The server
/// must take its shared memory for damaged, and recovers as after a crash. False where there is none.
async fn kill_a_session(database: &Database, dice: &mut Dice) -> Result<bool> {
    let admin = database.admin().await?;
    let writes = if dice.chance(60) { "query LIKE '%append%'" } else { "pid > 0" };
    let select = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = '{LOGIN}'
         ORDER BY ({writes}) DESC, md5(pid::text || $1) LIMIT 1"
    );
    let Some(row) = admin.query_opt(&select, &[&dice.roll().to_string()]).await? else { return Ok(false) };
    let session: i32 = row.try_get(0)?;
    output(Command::new("kill").args(["-KILL", &session.to_string()]))?;
    // The server ends every session, this one too.
    while !admin.is_closed() {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}

impl Place {
    pub(super) fn address(&self) -> Address {
        match self {
            Self::Sqlite(directory) => Address::Sqlite(directory.join("bank.db")),
            Self::Postgres(database) => database.address(Hearing::Listens),
        }
    }

    /// The directory of the file, where there is one.
    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(directory) => Some(directory),
            Self::Postgres(_) => None,
        }
    }

    /// Waits until the sessions of a killed process have ended: what they were doing is done or is not.
    pub(super) async fn wait_until_left(&self) -> Result<()> {
        let Self::Postgres(database) = self else { return Ok(()) };
        let admin = database.admin().await?;
        let count = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = '{LOGIN}'"
        );
        let began = Instant::now();
        while admin.query_one(&count, &[]).await?.get::<_, i64>(0) > 0 {
            if began.elapsed() > RECOVERY_MAX {
                return Err("sessions of a killed process do not end".into());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Removes the files. A database is removed with all others, at the end.
    pub(super) fn remove(&self) -> Result<()> {
        match self {
            Self::Sqlite(directory) => Ok(std::fs::remove_dir_all(directory)?),
            Self::Postgres(_) => Ok(()),
        }
    }
}
