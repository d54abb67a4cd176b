//! Appends that come to nothing: with the rights of the store it writes a commit, which locks the log,
//! holds it for a moment, and rolls back, goes away, or ends its own session. None of it may be seen.

use std::sync::Arc;
use std::time::Duration;

use servers::Database;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use underlay_core::{ExpectedVersion, StreamName, TenantId};
use uuid::Uuid;

use super::{Tally, Until};
use crate::Result;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::order::evidence::{CATEGORIES, EVENT_TYPES, Intention, Mark, TENANTS, WriterLine};

/// The longest time between two.
const INTERVAL_MAX: Duration = Duration::from_millis(200);
/// The longest time the log is held.
const HOLD_MAX: Duration = Duration::from_millis(40);

/// Abandons one append after the other.
pub(super) async fn abandon(
    database: Database,
    journal: Arc<Journal>,
    mut until: Until,
    mut dice: Dice,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut client = database.login().await?;
    while until.pause(dice.time_below(INTERVAL_MAX)).await {
        let commit = dice.uuid();
        let tenant = TenantId::new(TENANTS[dice.index(TENANTS.len())])?;
        let stream = StreamName::new(CATEGORIES[dice.index(CATEGORIES.len())], dice.below(6))?;
        let call = append(commit, &tenant, &stream, &mut dice)?;
        let expected = vec![(stream, ExpectedVersion::Any)];
        journal.write(&WriterLine::Intended(Intention { commit, tenant, expected }))?;
        let kept = match begin_and_leave(&client, &call, &mut until, &mut dice).await {
            Ok(kept) => {
                tally.appends_abandoned += 1;
                kept
            }
            Err(error) if is_of_an_ended_session(&error) => false,
            Err(error) => return Err(error.into()),
        };
        // Whatever became of the session, it never said COMMIT.
        journal.write(&WriterLine::Declined { commit, conflict: false })?;
        if !kept {
            // Others are ended at any moment too.
            while let Some(again) = reconnect(&database, &mut until).await {
                if let Ok(connected) = again {
                    client = connected;
                    break;
                }
            }
        }
    }
    Ok(tally)
}

/// Holds the log with a commit that is not to be; true where the session is left sound.
async fn begin_and_leave(
    client: &Client,
    call: &str,
    until: &mut Until,
    dice: &mut Dice,
) -> std::result::Result<bool, tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    client.batch_execute(call).await?;
    until.pause(dice.time_below(HOLD_MAX)).await;
    if dice.chance(60) {
        client.batch_execute("ROLLBACK").await?;
        return Ok(true);
    }
    if dice.chance(50) {
        // It ends itself, so there is no answer.
        client.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await.ok();
    }
    // Otherwise it is dropped with the transaction open.
    Ok(false)
}

/// Whether a session was ended, by whomever; anything else would mean that nothing is attacked here.
fn is_of_an_ended_session(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|state| *state == SqlState::ADMIN_SHUTDOWN)
}

/// A connection or why there is none at the moment; none at all where the trouble has ended.
async fn reconnect(database: &Database, until: &mut Until) -> Option<Result<Client>> {
    let connected = database.login().await;
    if connected.is_err() && !until.pause(Duration::from_millis(10)).await {
        return None;
    }
    Some(connected)
}

/// The call that the store makes, for a commit of one event.
fn append(commit: Uuid, tenant: &TenantId, stream: &StreamName, dice: &mut Dice) -> Result<String> {
    let mark = serde_json::to_string(&Mark { commit, index: 0, count: 1 })?;
    let (writer, event) = (dice.uuid(), dice.uuid());
    let event_type = EVENT_TYPES[dice.index(EVENT_TYPES.len())];
    Ok(format!(
        "SELECT underlay.append_one('{writer}', 1, NULL, '{tenant}', '{commit}', '\\x00', '{{}}', '{stream}', -1, \
         '{event}', '{event_type}', 1, '{mark}')"
    ))
}
