//! A server that crashes while the bank is at work.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use servers::{Database, LOGIN, Shutdown, output};

use crate::Result;
use crate::dice::Dice;
use crate::subject::{Place, RowsServer, Subject};

/// How long a crashed server may take until it answers.
const RECOVERY_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// How a server was crashed, and how often.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ServerCrashes {
    /// One session got SIGKILL, so the server ended all and recovered.
    pub(super) sessions_killed: u64,
    /// All processes ended at once, and the server was started again.
    pub(super) immediate_stops: u64,
    /// The server of the rows was killed, and started again.
    pub(super) rows_server_kills: u64,
    /// The longest until it answered again.
    pub(super) longest_recovery_micros: u64,
}

impl fmt::Display for ServerCrashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions_killed, immediate_stops, rows_server_kills, longest_recovery_micros } = self;
        write!(
            f,
            "the server crashed {} times: {sessions_killed} by the kill of a session, {immediate_stops} by an \
             immediate stop, {rows_server_kills} by the kill of the server of the rows; the longest recovery took {} ms",
            sessions_killed + immediate_stops + rows_server_kills,
            longest_recovery_micros / 1_000
        )
    }
}

/// Crashes the server of a place in one of two ways, and waits until it answers again. Where the place is on
/// no server, nothing happens.
pub(super) async fn crash(
    subject: &mut dyn Subject,
    place: &dyn Place,
    dice: &mut Dice,
    crashes: &mut ServerCrashes,
) -> Result<()> {
    let (Some(server), Some(database)) = (subject.server_mut(), place.database()) else { return Ok(()) };
    let server = server.private().ok_or("a server that others use is not crashed")?;
    let began = Instant::now();
    if dice.chance(50) && kill_a_session(database, dice).await? {
        crashes.sessions_killed += 1;
    } else {
        crashes.immediate_stops += 1;
        tokio::task::block_in_place(|| -> Result<()> {
            server.stop(Shutdown::Immediate)?;
            server.resume()
        })?;
    }
    while database.admin().await.is_err() {
        if began.elapsed() > RECOVERY_MAX {
            return Err("the server does not come back".into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    crashes.recovered(began);
    Ok(())
}

impl ServerCrashes {
    /// Kills the server of the rows, and starts it again.
    pub(super) fn of_rows(&mut self, rows: &mut RowsServer) -> Result<()> {
        let began = Instant::now();
        rows.crash()?;
        self.rows_server_kills += 1;
        self.recovered(began);
        Ok(())
    }

    fn recovered(&mut self, began: Instant) {
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_recovery_micros = self.longest_recovery_micros.max(took);
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
