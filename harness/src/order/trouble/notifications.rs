//! Sends notifications, many and large, on the channel of the store and on others. A hint carries
//! nothing, so none of them is more than a look too many.

use std::time::Duration;

use servers::Database;

use super::{Tally, Until};
use crate::Result;
use crate::dice::Dice;

/// The longest time between two.
const INTERVAL_MAX: Duration = Duration::from_millis(4);
/// The longest payload that PostgreSQL takes.
const PAYLOAD_BYTES_MAX: u64 = 7_999;

/// Sends one after the other.
pub(super) async fn send(database: Database, mut until: Until, mut dice: Dice) -> Result<Tally> {
    let client = database.admin().await?;
    let mut tally = Tally::default();
    while until.pause(dice.time_below(INTERVAL_MAX)).await {
        let channel = if dice.chance(70) { "underlay" } else { "others" };
        let payload = "!".repeat(usize::try_from(dice.below(PAYLOAD_BYTES_MAX + 1))?);
        client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload]).await?;
        tally.notifications += 1;
    }
    Ok(tally)
}
