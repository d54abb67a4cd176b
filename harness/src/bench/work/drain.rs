//! A backlog stored and drained, beside a bare table that is claimed from and deleted, and beside a queue of others.
//!
//! Ours has terms, order by key, tenants that take turns, and a handler that checks the order. The bare table has
//! none of that: it is what the database gives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay_runtime::EngineConfig;

use super::bare_file::BareFile;
use super::bare_table::BareTable;
use super::courier::Round;
use super::crew::Crew;
use super::graphile::{Graphile, Manner};
use super::{Ground, backlog};
use crate::Result;
use crate::bench::Scale;
use crate::bench::figure::{Aim, Figure, Sample};
use crate::subject::{StoreKind, Way};

/// How long the end of a run may take to be stored.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// Of so many parts of the backlog the queue of others has one: it is slower.
const PART: u64 = 4;

/// Messages a second, into the store and out of it.
pub(super) struct Rates {
    pub(super) stored: Sample,
    pub(super) drained: Sample,
}

impl Rates {
    pub(super) fn of(count: u64, stored: Duration, drained: Duration) -> Self {
        let rate = |time: Duration| Sample::of(count as f64 / time.as_secs_f64());
        Self { stored: rate(stored), drained: rate(drained) }
    }
}

/// Runs of one kind.
#[derive(Default)]
struct Both {
    stored: Vec<Sample>,
    drained: Vec<Sample>,
}

impl Both {
    fn push(&mut self, rates: Rates) {
        self.stored.push(rates.stored);
        self.drained.push(rates.drained);
    }
}

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    let graphile = Graphile::find(ground.kind()).await?;
    let mut figures = Vec::new();
    for workers in [1, 4, 8] {
        let count = scale.messages;
        eprintln!("  {workers} workers, {count} messages");
        let (mut ours, mut bare) = (Both::default(), Both::default());
        let (mut plain, mut batched) = (Both::default(), Both::default());
        for _ in 0..scale.rounds {
            ours.push(drain(ground, workers, count).await?);
            bare.push(claim_and_delete(ground, workers, count).await?);
            if let Some(graphile) = &graphile {
                let part = (count / PART).max(1);
                plain.push(graphile.drain(&*ground.place().await?, workers, part, Manner::Plain).await?);
                batched.push(graphile.drain(&*ground.place().await?, workers, part, Manner::Batched).await?);
            }
        }
        figures.push(
            Figure::new(format!("messages drained, {workers} workers"), "messages/s", ours.drained.clone())
                .with_baseline("claim and delete", bare.drained)
                .with_aim(Aim::RatioAtLeast(0.4)),
        );
        for (theirs, name) in [(plain, "graphile-worker"), (batched, "graphile-worker in batches")] {
            if !theirs.drained.is_empty() {
                let name = (format!("messages drained, {workers} workers"), name);
                let figure = Figure::new(name.0, "messages/s", ours.drained.clone())
                    .with_baseline(name.1, theirs.drained);
                figures.push(match name.1 {
                    "graphile-worker" => figure.with_aim(Aim::RatioAtLeast(3.0)),
                    _ => figure,
                });
                if workers == 1 && name.1 == "graphile-worker" {
                    figures.push(
                        Figure::new("messages stored in batches of 500", "messages/s", ours.stored.clone())
                            .with_baseline(name.1, theirs.stored),
                    );
                }
            }
        }
        if workers == 1 {
            figures.push(
                Figure::new("messages stored in batches of 500", "messages/s", ours.stored)
                    .with_baseline("plain inserts", bare.stored),
            );
        }
    }
    Ok(figures)
}

/// Ours: workers that stand ready, a backlog, and the time until nothing of it is left.
async fn drain(ground: &Ground, workers: usize, count: u64) -> Result<Rates> {
    let place = ground.place().await?;
    let round = Arc::new(Round::closed());
    let crew = Crew::start(&*place, workers, &round, &EngineConfig::default()).await?;
    let sender = place.address(Way::USUAL).open().await?;
    let begun = Instant::now();
    backlog::store(&sender.store, 0..count).await?;
    let stored = begun.elapsed();
    let begun = Instant::now();
    round.let_go();
    round.wait_for(count).await?;
    crew.settled(SETTLED_MAX).await?;
    let drained = begun.elapsed();
    crew.stop().await?;
    sender.close().await?;
    Ok(Rates::of(count, stored, drained))
}

async fn claim_and_delete(ground: &Ground, workers: usize, count: u64) -> Result<Rates> {
    let place = ground.place().await?;
    match ground.kind() {
        StoreKind::Postgres => BareTable::create(place).await?.drain(workers, count).await,
        StoreKind::Sqlite | StoreKind::Memory => BareFile::create(place).await?.drain(workers, count).await,
    }
}
