//! A row for the head of every stream, changed with each commit, against the index of the events alone:
//! four processes on a hundred streams, some far more often than others, where every caller expects the
//! version it has read and tries again after a conflict.
//!
//! The variant is the product's own function with two places changed, so that nothing else differs.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use underlay_core::{Error, EventStore, ExpectedVersion, StreamName, Version};

use crate::Result;
use crate::bench::Scale;
use crate::bench::account::{Bookings, stream, tenant};
use crate::bench::figure::{Figure, Sample};
use crate::dice::Dice;
use crate::subject::{Place, Postgres, PostgresPlace, Way};

const WRITERS: u64 = 4;
const CALLERS: u64 = 16;
const STREAMS: usize = 100;

/// What is looked up for the version of a stream, and what stands in its place.
const LOOK: (&str, &str) = (
    "FROM events\n            WHERE events.tenant = append_batch.commit_tenants[append_batch.expected_commits[n]]\n                \
     AND events.stream = append_batch.expected_streams[n]\n                AND append_batch.known_versions[n] IS NULL\n            \
     ORDER BY events.version DESC\n            LIMIT 1",
    "FROM stream_heads AS events WHERE events.tenant = append_batch.commit_tenants[append_batch.expected_commits[n]] \
     AND events.stream = append_batch.expected_streams[n] AND append_batch.known_versions[n] IS NULL LIMIT 1",
);
/// Before what the heads are changed.
const CHANGE: (&str, &str) = (
    "    INSERT INTO commits (",
    "    INSERT INTO stream_heads AS there (tenant, stream, version) \
     SELECT append_batch.commit_tenants[append_batch.expected_commits[n]], append_batch.expected_streams[n], \
     append_batch.actual_versions[n] + append_batch.commit_events[append_batch.expected_commits[n]] \
     FROM generate_series(1, cardinality(append_batch.expected_versions)) AS n \
     WHERE append_batch.commit_ends[append_batch.expected_commits[n]] >= 0 ORDER BY 1, 2 \
     ON CONFLICT (tenant, stream) DO UPDATE SET version = excluded.version;\n    INSERT INTO commits (",
);

pub(super) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let subject = Postgres::start()?;
    let (mut index, mut heads) = (Vec::new(), Vec::new());
    let (mut index_conflicts, mut heads_conflicts) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (stored, conflicts) = contend(&subject.new_place().await?, &bookings, scale).await?;
        index.push(stored);
        index_conflicts.push(conflicts);
        let place = subject.new_place().await?;
        add_heads(&place).await?;
        let (stored, conflicts) = contend(&place, &bookings, scale).await?;
        heads.push(stored);
        heads_conflicts.push(conflicts);
    }
    Ok(vec![
        Figure::new("contended, index alone", "commits/s", index).with_baseline("head rows", heads),
        Figure::new("conflicts a commit, index alone", "", index_conflicts)
            .with_baseline("head rows", heads_conflicts),
    ])
}

/// Gives a database the table of heads, and the functions that use it.
async fn add_heads(place: &PostgresPlace) -> Result<()> {
    let admin = place.admin().await?;
    let table = "CREATE TABLE underlay.stream_heads (tenant text COLLATE \"C\", stream text COLLATE \"C\", \
                 version bigint NOT NULL, PRIMARY KEY (tenant, stream))";
    admin.batch_execute(table).await?;
    let row = admin.query_one("SELECT pg_get_functiondef('underlay.append_batch'::regproc)", &[]).await?;
    let mut function: String = row.get(0);
    for (from, to) in [LOOK, CHANGE] {
        if !function.contains(from) {
            return Err(format!("the function does not hold {from:?}").into());
        }
        function = function.replace(from, to);
    }
    admin.batch_execute(&function).await?;
    let grant = "SELECT format('GRANT ALL ON underlay.stream_heads TO %I', proowner::regrole::text) FROM pg_proc \
                 WHERE oid = 'underlay.append_batch'::regproc";
    let grant: String = admin.query_one(grant, &[]).await?.get(0);
    admin.batch_execute(&grant).await?;
    Ok(())
}

/// Commits stored a second, and conflicts for each of them.
async fn contend(place: &PostgresPlace, bookings: &Arc<Bookings>, scale: &Scale) -> Result<(Sample, Sample)> {
    let mut stores = Vec::new();
    let mut calling = JoinSet::new();
    let mut dice = Dice::new(7);
    for _ in 0..WRITERS {
        let store = place.address(Way::USUAL).open().await?;
        stores.push(store.clone());
        for _ in 0..CALLERS {
            calling.spawn(call(store.store.clone(), bookings.clone(), dice.fork(), *scale));
        }
    }
    let (mut stored, mut conflicts) = (0, 0);
    while let Some(called) = calling.join_next().await {
        let called = called??;
        stored += called.0;
        conflicts += called.1;
    }
    for store in stores {
        store.close().await?;
    }
    let rate = stored as f64 / scale.run.as_secs_f64();
    Ok((Sample::of(rate), Sample::of(conflicts as f64 / stored as f64)))
}

/// Writes to streams it picks until the time is up; what was stored and what conflicted after the warm-up.
async fn call(
    store: Arc<dyn EventStore>,
    bookings: Arc<Bookings>,
    mut dice: Dice,
    scale: Scale,
) -> Result<(u64, u64)> {
    let tenant = tenant()?;
    let streams: Vec<StreamName> = (0..STREAMS as u64).map(stream).collect::<Result<_>>()?;
    let mut seen = vec![Version::NONE; STREAMS];
    let (mut stored, mut conflicts) = (0, 0);
    let (begun, end) = (Instant::now(), scale.warm_up + scale.run);
    for number in 0.. {
        let at = zipf(&mut dice);
        // Two events, so that also those that are alone in their batch are written by the function of many.
        let commit = bookings.commit(&streams[at], ExpectedVersion::Exact(seen[at]), number, 2);
        let answer = store.commit(&tenant, commit).await;
        let elapsed = begun.elapsed();
        if elapsed >= end {
            break;
        }
        let counts = u64::from(elapsed >= scale.warm_up);
        match answer {
            Ok(committed) => {
                seen[at] = committed.versions.first().map_or(Version::NONE, |there| there.version);
                stored += counts;
            }
            Err(Error::Conflict(conflict)) => {
                seen[at] = conflict.actual;
                conflicts += counts;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((stored, conflicts))
}

/// A stream, the first as often as the second and the third together, and so on.
fn zipf(dice: &mut Dice) -> usize {
    // The sum of 1/1 to 1/n grows like the logarithm of n.
    let share = dice.below(1 << 20) as f64 / f64::from(1 << 20);
    let at = (STREAMS as f64).powf(share) as usize;
    (at - 1).min(STREAMS - 1)
}
