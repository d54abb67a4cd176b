//! Balances by account, folded out of the whole log into rows that were not there.

use crate::catch_up::{open_filled, reads};
use crate::entrants::Entrant;
use crate::figure::{Figure, Report, Sample};
use crate::place::Place;
use crate::{Result, Scale};

pub(crate) const TEST: &str = "a view from nothing";

pub(crate) async fn measure(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Result<()> {
    let mut filled = Vec::new();
    // UmaDB has no views.
    for entrant in entrants.iter().filter(|entrant| reads(**entrant) && **entrant != Entrant::Umadb) {
        match open_filled(place, scale, *entrant).await {
            Ok(Some(opened)) => filled.push((Figure::new(TEST, "events/s", *entrant), opened)),
            Ok(None) => {}
            Err(error) => report.skip(*entrant, format!("{TEST}: {error}")),
        }
    }
    for _ in 0..scale.rounds {
        for (figure, opened) in &mut filled {
            match opened.log.fold(scale.log_events, scale.fold_longest).await {
                Ok(Some(speed)) => figure.runs.push(Sample::of(speed)),
                Ok(None) => {}
                Err(error) => report.skip(figure.entrant, format!("{TEST}: {error}")),
            }
        }
    }
    for (figure, opened) in filled {
        report.figures.extend(Some(figure).filter(|figure| !figure.runs.is_empty()));
        opened.close().await?;
    }
    Ok(())
}
