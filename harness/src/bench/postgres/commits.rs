//! Commits by callers that each wait for their answer, against one plain INSERT for each.

use std::sync::Arc;

use crate::Result;
use crate::bench::Scale;
use crate::bench::account::Bookings;
use crate::bench::commits::{GroupWriter, Pressure, press};
use crate::bench::figure::{Aim, Figure};
use crate::subject::{Place, Postgres, Way};

use super::plain_inserts::PlainInserter;

pub(super) async fn measure(scale: &Scale) -> Result<Vec<Figure>> {
    let bookings = Arc::new(Bookings::new()?);
    let subject = Postgres::start()?;
    let mut figures = Vec::new();
    for callers in [1, 8, 64, 256] {
        let pressure = Pressure { callers, first: 0, events_each: 1 };
        eprintln!("  {callers} callers");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..scale.rounds {
            let place = subject.new_place().await?;
            let store = place.address(Way::USUAL).open().await?;
            ours.push(press(GroupWriter::new(store.store.clone(), &bookings)?, pressure, scale).await?);
            store.close().await?;
            let place = subject.new_place().await?;
            let plain = PlainInserter::new(&place, callers, &bookings).await?;
            theirs.push(press(plain, pressure, scale).await?);
        }
        let figure = Figure::new(format!("commits, {callers} callers"), "events/s", ours)
            .with_baseline("plain inserts", theirs);
        figures.push(if callers == 64 { figure.with_aim(Aim::SpreadAtMost(3.0)) } else { figure });
    }
    Ok(figures)
}
