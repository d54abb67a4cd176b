//! What the one lock of the log costs where several processes write, with a fast and with a slow flush:
//! against the same rows in the same batches without the lock, without checks, at positions drawn from a
//! sequence, as a log without an order would do. And what they store where each has a log of its own, on the same server.
//!
//! Each writer is a store of its own with its own committer, as a process has one; the server cannot tell.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::Result;
use crate::bench::Scale;
use crate::bench::account::Bookings;
use crate::bench::commits::{GroupWriter, Pressure, press};
use crate::bench::figure::{Figure, Sample};
use crate::subject::{Place, Postgres, PostgresPlace, Way};

/// Callers of each writer: also the rows of a batch without the lock.
const CALLERS: u64 = 32;
/// Makes every flush wait, with the lock held, as a disk or a standby far away does.
const SLOW: &[&str] = &["commit_delay=5000", "commit_siblings=0"];

pub(super) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let mut figures = Vec::new();
    for (settings, flush) in [(&[][..], "a fast flush"), (SLOW, "5 ms more for a flush")] {
        let subject = Postgres::start_with(settings)?;
        for writers in [1, 2, 4, 8] {
            eprintln!("  {writers} writers, {flush}");
            let (mut ours, mut theirs, mut several) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..scale.rounds {
                ours.push(with_lock(&[subject.new_place().await?], writers, &bookings, scale).await?);
                theirs.push(without_lock(&subject.new_place().await?, writers, &bookings, scale).await?);
                let mut places = Vec::new();
                for _ in 0..writers {
                    places.push(subject.new_place().await?);
                }
                several.push(with_lock(&places, writers, &bookings, scale).await?);
            }
            let name = |what: &str| format!("{what}, {writers} writers, {flush}");
            figures.extend([
                Figure::new(name("a log each"), "events/s", several).with_baseline("one log", ours.clone()),
                Figure::new(name("log head"), "events/s", ours).with_baseline("no lock, no checks", theirs),
            ]);
        }
    }
    Ok(figures)
}

/// Writers that share a log, or have one each.
async fn with_lock(
    places: &[PostgresPlace],
    writers: u64,
    bookings: &Arc<Bookings>,
    scale: &Scale,
) -> Result<Sample> {
    let mut pressing = JoinSet::new();
    let mut stores = Vec::new();
    for (writer, place) in (0..writers).zip(places.iter().cycle()) {
        let store = place.address(Way::USUAL).open().await?;
        stores.push(store.clone());
        let pressure = Pressure { callers: CALLERS, first: writer * CALLERS, events_each: 1 };
        let writer = GroupWriter::new(store.store, bookings)?;
        let scale = *scale;
        pressing.spawn(async move { press(writer, pressure, &scale).await });
    }
    let mut sum = 0.0;
    while let Some(sample) = pressing.join_next().await {
        sum += sample??.value;
    }
    for store in stores {
        store.close().await?;
    }
    Ok(Sample::of(sum))
}

async fn without_lock(
    place: &PostgresPlace,
    writers: u64,
    bookings: &Arc<Bookings>,
    scale: &Scale,
) -> Result<Sample> {
    let sequences = "CREATE SEQUENCE plain_positions; CREATE SEQUENCE plain_commits";
    place.admin().await?.batch_execute(sequences).await?;
    let mut inserting = JoinSet::new();
    for writer in 0..writers {
        let (client, bookings, scale) = (place.admin().await?, bookings.clone(), *scale);
        inserting.spawn(async move { insert(&client, writer, &bookings, &scale).await });
    }
    let mut rows = 0;
    while let Some(inserted) = inserting.join_next().await {
        rows += inserted??;
    }
    Ok(Sample::of(rows as f64 / scale.run.as_secs_f64()))
}

/// Inserts batches until the time is up; the rows after the warm-up.
async fn insert(client: &Client, writer: u64, bookings: &Bookings, scale: &Scale) -> Result<u64> {
    let insert = client
        .prepare(
            "WITH event AS (INSERT INTO underlay.events (position, version, recorded_at, schema_version, \
             event_id, commit_tail, tenant, stream, type, metadata, payload) \
             SELECT nextval('plain_positions'), 1, 0, 1, gen_random_uuid(), 0, 'bench', stream, type, '{}', \
             payload::json FROM unnest($1::text[], $2::text[], $3::text[]) AS given (stream, type, payload) \
             RETURNING position) INSERT INTO underlay.commits (sequence, position, recorded_at, commit_id, \
             event_count, tenant, fingerprint, kind) SELECT nextval('plain_commits'), position, 0, \
             gen_random_uuid(), 1, 'bench', '\\x00112233445566778899aabbccddeeff', 'accepted' FROM event",
        )
        .await?;
    let (begun, end) = (Instant::now(), scale.warm_up + scale.run);
    let mut rows = 0;
    for batch in 0.. {
        let numbers = batch * CALLERS..(batch + 1) * CALLERS;
        let streams: Vec<String> = numbers.clone().map(|n| format!("account-{writer}x{n}")).collect();
        let (types, payloads): (Vec<&str>, Vec<&str>) = numbers
            .map(|number| {
                let (event_type, payload) = bookings.of(number);
                (event_type.as_str(), payload.as_str())
            })
            .unzip();
        client.execute(&insert, &[&streams, &types, &payloads]).await?;
        if begun.elapsed() >= end {
            break;
        }
        if begun.elapsed() >= scale.warm_up {
            rows += CALLERS;
        }
    }
    Ok(rows)
}
