//! A view is rebuilt, again and again, while a dump that takes its time looks at every table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::load::{Load, answers, head, view_at};
use super::place::Place;
use crate::Result;
use crate::faults::fault::Means;
use crate::faults::report::Measured;
use crate::faults::resumption::ms;
use crate::faults::serving::Client;

pub(crate) const PROMISED: &str =
    "rebuilds end and readers go on while a dump holds every table, and what they leave goes afterwards";

/// The longest a reader may be kept waiting.
const READ_MAX: Duration = Duration::from_secs(2);
/// How long tables that nobody needs may stay once nobody looks at them.
const SWEEP_MAX: Duration = Duration::from_secs(30);
/// Rebuilds beside one dump.
const REBUILDS: usize = 3;

pub(crate) async fn run(means: &Means) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut place = Place::new(means, &[]).await?;
    let address = place.address();
    let load = Load::start(&mut place, &address).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;

    // What pg_dump holds of every table until its end.
    let mut dump = place.admin().await?;
    let holding = dump.transaction().await?;
    let tables = "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables \
                  WHERE schemaname IN ('underlay', 'underlay_views')";
    let tables: String = holding.query_one(tables, &[]).await?.try_get(0)?;
    holding.batch_execute(&format!("LOCK TABLE {tables} IN ACCESS SHARE MODE")).await?;

    let ended = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> =
        load.clients().into_iter().map(|client| tokio::spawn(read_until(client, ended.clone()))).collect();
    let began = Instant::now();
    for number in 1..=REBUILDS {
        let ledger = place.ledger().clone();
        let database = address.clone();
        let rebuild = move || ledger.done(&database, &["view", "rebuild", "balances"]).map(drop);
        let rebuilt = tokio::task::spawn_blocking(rebuild).await?;
        if let Err(error) = rebuilt {
            measured.hold(false, format!("rebuild {number} beside a dump: {error}"));
        }
    }
    measured.see(format!("{REBUILDS} rebuilds ended within {} beside the dump", ms(began.elapsed())));
    ended.store(true, Ordering::Relaxed);
    let mut longest = Duration::ZERO;
    for reader in readers {
        longest = longest.max(reader.await??);
    }
    measured.hold(longest <= READ_MAX, format!("the longest read took {}", ms(longest)));
    holding.commit().await?;

    let admin = place.admin().await?;
    let released = Instant::now();
    // Of this view the generation that is read, and the one that can come back; of every other the one that is read.
    let left = "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'underlay_views'), \
                (SELECT count(*) + 1 FROM underlay.views)";
    loop {
        let counts = admin.query_one(left, &[]).await?;
        let (tables, of_use): (i64, i64) = (counts.try_get(0)?, counts.try_get(1)?);
        if tables == of_use {
            measured.see(format!("what was discarded is gone within {}", ms(released.elapsed())));
            break;
        }
        if released.elapsed() > SWEEP_MAX {
            measured.hold(false, format!("{tables} tables of rows are left, where {of_use} are of use"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let reverted = place.ledger().done(&address, &["view", "revert", "balances"]);
    measured.hold(reverted.is_ok(), "the generation before comes back");
    let client = load.clients().remove(0);
    answers(&client, &view_at(head(&admin).await?)).await?;
    let (_, findings) = load.finish(&admin).await?;
    measured.compare(&findings);
    Ok(measured)
}

/// Reads the view until told to end; the longest that took.
async fn read_until(client: Client, ended: Arc<AtomicBool>) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while !ended.load(Ordering::Relaxed) {
        let began = Instant::now();
        let reply = client.get("v1/views/balances?limit=10").await?;
        if reply.status != 200 {
            return Err(format!("a reader was answered {reply:?}").into());
        }
        longest = longest.max(began.elapsed());
    }
    Ok(longest)
}
