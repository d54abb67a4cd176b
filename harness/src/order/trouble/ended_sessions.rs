//! Ends sessions of the store, as an administrator or a failing network does: any of them, those that
//! write the log, those that listen, and now and then all.

use std::time::Duration;

use servers::{Database, LOGIN};

use super::{Tally, Until};
use crate::Result;
use crate::dice::Dice;

/// The longest time between two.
const INTERVAL_MAX: Duration = Duration::from_millis(300);

/// Ends one session after the other.
pub(super) async fn end(database: Database, mut until: Until, mut dice: Dice) -> Result<Tally> {
    let client = database.admin().await?;
    let mut tally = Tally::default();
    while until.pause(dice.time_below(INTERVAL_MAX)).await {
        let (which, how_many) = match dice.below(100) {
            0..55 => ("true", "1"),
            55..80 => ("state = 'active' AND query LIKE '%append%'", "1"),
            80..95 => ("query LIKE 'LISTEN%'", "1"),
            _ => ("true", "ALL"),
        };
        let end = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM (
                SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND usename = '{LOGIN}' AND {which}
                ORDER BY md5(pid::text || $1) LIMIT {how_many}
            ) AS chosen"
        );
        let ended: i64 = client.query_one(&end, &[&dice.roll().to_string()]).await?.get(0);
        tally.sessions_ended += ended.unsigned_abs();
    }
    Ok(tally)
}
