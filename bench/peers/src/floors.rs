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
    let (one, many, hot) = (commits::test(1), commits::test(64), commits::contended_test());
    let ratios = [
        (&one, Entrant::Ours, "the fastest library", LIBRARIES, 1.0),
        (&one, Entrant::Ours, "UmaDB", &[Entrant::Umadb], 1.3),
        (&many, Entrant::Ours, "the best library on PostgreSQL", LIBRARIES, 8.0),
        (&many, Entrant::Ours, "UmaDB", &[Entrant::Umadb], 2.2),
        (&many, Entrant::OursSqlite, "UmaDB", &[Entrant::Umadb], 3.0),
        (&many, Entrant::Ours, "unnest into the same tables", &[Entrant::Unnest], 0.4),
        (&hot, Entrant::Ours, "UmaDB", &[Entrant::Umadb], 3.0),
        (&catch_up::TEST.to_owned(), Entrant::Ours, "the best peer", PEERS, 2.0),
    ];
    for (test, own, name, others, aim) in ratios {
        if let Some(ratio) = least_ratio(figures, test, own, others) {
            let what = format!("{test}, {} against {name}", own.name());
            floors.push(at_least(what, ratio, aim, |value| format!("{value:.2}x")));
        }
    }
    if let Some(latency) = find(figures, &many, Entrant::Ours).and_then(Figure::latency) {
        floors.push(at_most("64 callers, p99 against p50", latency.p99 / latency.p50, 3.0));
    }
    if let Some(figure) = find(figures, &hot, Entrant::Ours) {
        floors.push(at_most(
            "conflicts of a commit on the same accounts",
            figure.runs.conflicts().unwrap_or(0.0),
            2.0,
        ));
    }
    if let Some(figure) = find(figures, views::TEST, Entrant::Ours) {
        let say = |value| format!("{} events/s", amount(value));
        floors.push(at_least(views::TEST, figure.value(), 250_000.0, say));
    }
    if let Some(figure) = find(figures, subscribers::TEST, Entrant::Ours) {
        floors.push(at_most(subscribers::TEST, figure.value(), 0.0));
    }
    floors
}

const LIBRARIES: &[Entrant] = &[
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
fn least_ratio(figures: &[Figure], test: &str, own: Entrant, others: &[Entrant]) -> Option<f64> {
    let ours = find(figures, test, own)?;
    let ratios = others.iter().filter_map(|other| find(figures, test, *other)?.ratio_of(ours));
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
        let floor = floors.iter().find(|floor| floor.what.contains("best library")).unwrap();
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
