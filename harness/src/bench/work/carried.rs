//! What a message costs the commit that carries it: commits of one event with a message each, against the same
//! commits without. Nobody takes the messages meanwhile.

use std::sync::Arc;
use std::time::Instant;

use underlay_core::{EventStore, ExpectedVersion, NewWork, Version};

use super::Ground;
use super::courier::{self, message};
use crate::Result;
use crate::bench::Scale;
use crate::bench::account::Bookings;
use crate::bench::commits::{Pressure, Turn, Writer, press};
use crate::bench::figure::{Aim, Figure, Sample};
use crate::subject::Way;

/// Messages that were made beforehand, so that a run measures the store.
const MADE: u64 = 1_000;

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let works = (0..MADE).map(|number| Ok(message(number)?.1)).collect::<Result<Vec<NewWork>>>()?;
    let works = Arc::new(works);
    let mut figures = Vec::new();
    for callers in [1, 8, 64] {
        eprintln!("  {callers} callers");
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            without.push(commits(ground, scale, &bookings, None, callers).await?);
            with.push(commits(ground, scale, &bookings, Some(&works), callers).await?);
        }
        figures.push(
            Figure::new(format!("commits with a message each, {callers} callers"), "commits/s", with)
                .with_baseline("without", without)
                .with_aim(Aim::RatioAtLeast(0.85)),
        );
    }
    Ok(figures)
}

async fn commits(
    ground: &Ground,
    scale: &Scale,
    bookings: &Arc<Bookings>,
    works: Option<&Arc<Vec<NewWork>>>,
    callers: u64,
) -> Result<Sample> {
    let place = ground.place().await?;
    let store = place.address(Way::USUAL).open().await?;
    let writer =
        MessageWriter { store: store.store.clone(), bookings: bookings.clone(), works: works.cloned() };
    let sample = press(writer, Pressure { callers, first: 0, events_each: 1 }, scale).await?;
    store.close().await?;
    Ok(sample)
}

/// Writes an event, and a message where there are any.
#[derive(Clone)]
struct MessageWriter {
    store: Arc<dyn EventStore>,
    bookings: Arc<Bookings>,
    works: Option<Arc<Vec<NewWork>>>,
}

impl Writer for MessageWriter {
    async fn write(&self, turn: Turn<'_>) -> Result<Instant> {
        let expected = match turn.version {
            0 => ExpectedVersion::NoStream,
            version => ExpectedVersion::Exact(Version(version)),
        };
        let tenant = courier::tenant(turn.caller)?;
        let mut commit = self.bookings.commit(turn.stream, expected, turn.number, 1);
        if let Some(works) = &self.works {
            commit = commit.send(works[(turn.number % MADE) as usize].clone());
        }
        let start = Instant::now();
        self.store.commit(&tenant, commit).await?;
        Ok(start)
    }
}
