//! Balances by account, folded out of the whole log into rows that were not there.

use figures::Sample;

use crate::Scale;
use crate::figure::{Figure, Report};
use crate::filled::Filled;

pub(crate) const TEST: &str = "a view from nothing";

pub(crate) async fn measure(scale: &Scale, logs: &[Filled], report: &mut Report) {
    report.begin(TEST);
    let mut figures: Vec<Figure> =
        logs.iter().map(|log| Figure::new(TEST, "events/s", log.entrant)).collect();
    for _ in 0..scale.rounds {
        for (figure, Filled { entrant, opened }) in figures.iter_mut().zip(logs) {
            match opened.log.fold(scale.log_events, scale.fold_longest).await {
                Ok(Some(speed)) => figure.runs.push(Sample::of(speed)),
                Ok(None) => {}
                Err(error) => report.skip(*entrant, format!("{TEST}: {error}")),
            }
        }
    }
    report.figures.extend(figures.into_iter().filter(|figure| !figure.runs.is_empty()));
}
