//! What ours is to reach beside the others.

use std::fmt::Write as _;

use serde::Serialize;

use crate::commits;
use crate::entrants::Entrant;
use figures::amount;

use crate::figure::Figure;
use crate::{catch_up, subscribers, views};

/// Something to reach, and how far it is reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Floor {
    what: String,
    aim: String,
    reached: String,
    met: bool,
}

/// Judges what was measured; what was not is left out.
pub(crate) fn judge(figures: &[Figure]) -> Vec<Floor> {
    let mut floors = Vec::new();
    let (one, many) = (commits::test(1), commits::test(64));
    let ratios = [
        ("cqrs-es", &[Entrant::CqrsEs, Entrant::CqrsEsPersist][..], 6.0),
        ("mire", &[Entrant::Mire], 3.0),
        ("UmaDB", &[Entrant::Umadb], 1.3),
        ("unnest into the same tables", &[Entrant::Unnest], 0.4),
        ("the best library on PostgreSQL, as a goal", ON_POSTGRES, 8.0),
    ];
    for (name, others, aim) in ratios {
        if let Some(ratio) = least_ratio(figures, &many, others) {
            let what = format!("64 callers, against {name}");
            floors.push(at_least(what, ratio, aim, |value| format!("{value:.2}x")));
        }
    }
    if let Some(latency) = find(figures, &many, Entrant::Ours).and_then(Figure::latency) {
        floors.push(at_most("64 callers, p99 against p50", latency.p99 / latency.p50, 3.0));
    }
    if let Some(ratio) = least_ratio(figures, &one, PEERS) {
        floors
            .push(at_least("1 caller, against the fastest peer", ratio, 1.0, |value| format!("{value:.2}x")));
    }
    for (test, aim) in [(catch_up::TEST, 800_000.0), (views::TEST, 250_000.0)] {
        if let Some(figure) = find(figures, test, Entrant::Ours) {
            floors.push(at_least(test, figure.value(), aim, |value| format!("{} events/s", amount(value))));
        }
    }
    if let Some(figure) = find(figures, subscribers::TEST, Entrant::Ours) {
        floors.push(at_most(subscribers::TEST, figure.value(), 0.0));
    }
    floors
}

const ON_POSTGRES: &[Entrant] = &[
    Entrant::CqrsEs,
    Entrant::CqrsEsPersist,
    Entrant::Disintegrate,
    Entrant::DisintegrateUnchecked,
    Entrant::Mire,
];

const PEERS: &[Entrant] = &[
    Entrant::CqrsEs,
    Entrant::CqrsEsPersist,
    Entrant::Disintegrate,
    Entrant::DisintegrateUnchecked,
    Entrant::Mire,
    Entrant::Umadb,
];

fn find<'f>(figures: &'f [Figure], test: &str, entrant: Entrant) -> Option<&'f Figure> {
    figures.iter().find(|figure| figure.test == test && figure.entrant == entrant)
}

/// Ours against the best of some others.
fn least_ratio(figures: &[Figure], test: &str, others: &[Entrant]) -> Option<f64> {
    let ours = find(figures, test, Entrant::Ours)?;
    let ratios = others.iter().filter_map(|other| Some(find(figures, test, *other)?.ratio_of(ours)));
    ratios.filter(|ratio| ratio.is_finite()).min_by(f64::total_cmp)
}

fn at_least(what: impl Into<String>, reached: f64, aim: f64, say: impl Fn(f64) -> String) -> Floor {
    Floor { what: what.into(), aim: format!("≥ {}", say(aim)), reached: say(reached), met: reached >= aim }
}

fn at_most(what: impl Into<String>, reached: f64, aim: f64) -> Floor {
    let say = |value| format!("{value:.2}");
    Floor { what: what.into(), aim: format!("≤ {}", say(aim)), reached: say(reached), met: reached <= aim }
}

/// One line for each.
pub(crate) fn lines(floors: &[Floor]) -> String {
    let width = floors.iter().map(|floor| floor.what.chars().count()).max().unwrap_or(0);
    floors.iter().fold(String::new(), |mut lines, Floor { what, aim, reached, met }| {
        let word = if *met { "met" } else { "MISSED" };
        // Writing to a String does not fail.
        writeln!(lines, "{what:<width$}  {reached:>16}  {aim:>16}  {word}").ok();
        lines
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use figures::{Latency, Runs, Sample};

    fn figure(test: &str, entrant: Entrant, value: f64) -> Figure {
        let sample = Sample { latency: Some(Latency { p50: 10.0, p99: 31.0 }), ..Sample::of(value) };
        Figure { runs: Runs(vec![sample]), ..Figure::new(test, "commits/s", entrant) }
    }

    #[test]
    fn a_floor_is_held_against_the_faster_way_to_use_a_peer() {
        let figures = [
            figure("64 callers", Entrant::Ours, 60.0),
            figure("64 callers", Entrant::CqrsEs, 6.0),
            figure("64 callers", Entrant::CqrsEsPersist, 12.0),
        ];
        let floors = judge(&figures);
        let floor = floors.iter().find(|floor| floor.what.contains("cqrs-es")).unwrap();
        assert_eq!((floor.reached.as_str(), floor.met), ("5.00x", false));
    }

    #[test]
    fn the_spread_of_latencies_is_judged_too() {
        let lines = lines(&judge(&[figure("64 callers", Entrant::Ours, 1.0)]));
        assert!(lines.contains("3.10") && lines.contains("MISSED"), "{lines}");
    }

    #[test]
    fn what_was_not_measured_is_left_out() {
        assert!(judge(&[]).is_empty());
    }
}
