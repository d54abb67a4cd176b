//! The whole log read in order from its start, each event decoded.

use std::time::Instant;

use figures::{Booking, Sample, Seen};

use crate::Scale;
use crate::account::AccountEvent;
use crate::figure::{Figure, Report};
use crate::filled::Filled;

pub(crate) const TEST: &str = "catch-up over the whole log";

pub(crate) async fn measure(scale: &Scale, logs: &[Filled], report: &mut Report) {
    report.begin(TEST);
    let mut figures: Vec<Figure> =
        logs.iter().map(|log| Figure::new(TEST, "events/s", log.entrant)).collect();
    let expected = expected(scale.log_events);
    for round in 0..=scale.rounds {
        for (figure, Filled { entrant, opened }) in figures.iter_mut().zip(logs) {
            let began = Instant::now();
            let seen = opened.log.read_whole().await;
            let speed = scale.log_events as f64 / began.elapsed().as_secs_f64();
            match seen {
                // The first finds nothing in memory, which says little: the logs fit into it.
                Ok(Some(seen)) if seen == expected && round > 0 => figure.runs.push(Sample::of(speed)),
                Ok(Some(seen)) if seen == expected => {}
                Ok(seen) => report.skip(*entrant, format!("{TEST}: it read {seen:?}, not {expected:?}")),
                Err(error) => report.skip(*entrant, format!("{TEST}: {error}")),
            }
        }
    }
    report.figures.extend(figures.into_iter().filter(|figure| !figure.runs.is_empty()));
}

fn expected(events: u64) -> Seen {
    let cents = (0..events).map(|number| AccountEvent::of(Booking { account: 0, number }).cents()).sum();
    Seen { events, cents }
}
