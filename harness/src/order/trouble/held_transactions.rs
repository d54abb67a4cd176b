//! Other programs in the same database. They have nothing to do with the log, and hold transactions
//! open for seconds: with a number drawn, with an old snapshot, with locks on tables of their own.

use std::time::{Duration, Instant};

use servers::Database;

use super::{Tally, Until};
use crate::Result;
use crate::dice::Dice;

/// The shortest and the longest time between a transaction's begin and its end.
const HOLD_MIN: Duration = Duration::from_millis(500);
const HOLD_MAX: Duration = Duration::from_millis(4_000);

/// Makes their tables.
pub(super) async fn prepare(database: &Database) -> Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS public.bystanders (name text, noted_at timestamptz)";
    Ok(database.admin().await?.batch_execute(table).await?)
}

/// Holds one transaction after the other.
pub(super) async fn hold(database: Database, number: u32, mut until: Until, mut dice: Dice) -> Result<Tally> {
    let client = database.admin().await?;
    let mut tally = Tally::default();
    let mut goes_on = true;
    while goes_on {
        let begin = match dice.below(4) {
            // A number of a transaction is drawn and not given back for long.
            0 => "BEGIN; INSERT INTO public.bystanders VALUES ('writes', now())",
            // A snapshot that sees the log as it was.
            1 => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM underlay.events",
            2 => "BEGIN; LOCK TABLE public.bystanders IN ROW EXCLUSIVE MODE; SELECT txid_current()",
            // With every event looked at and locked against removal.
            _ => {
                "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT max(position) FROM underlay.events; \
                  INSERT INTO public.bystanders VALUES ('serializable', now())"
            }
        };
        let began = Instant::now();
        client.batch_execute(begin).await?;
        // The first stays until the end: everything happens beside an open transaction.
        let hold = if number == 0 { Duration::MAX } else { HOLD_MIN + dice.time_below(HOLD_MAX - HOLD_MIN) };
        goes_on = until.pause(hold).await;
        client.batch_execute(if dice.chance(50) { "COMMIT" } else { "ROLLBACK" }).await?;
        let held = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally.transactions_held += 1;
        tally.longest_transaction_micros = tally.longest_transaction_micros.max(held);
    }
    Ok(tally)
}
