//! Commits of one event each, by callers that wait for their answers.

use figures::Sample;

use crate::entrants::{Entrant, batches};
use crate::figure::{Figure, Report};
use crate::place::Place;
use crate::press::{Accounts, press};
use crate::{Result, Scale};

const CALLERS: &[usize] = &[1, 8, 64, 256];
/// Callers that write the same accounts.
const CALLERS_CONTENDED: usize = 64;
/// Rows of a statement that is as large as it helps.
const ROWS_MANY: usize = 1_000;

pub(crate) const UNIT: &str = "commits/s";

/// What the test with so many callers is called.
pub(crate) fn test(callers: usize) -> String {
    match callers {
        1 => "1 caller".to_owned(),
        _ => format!("{callers} callers"),
    }
}

/// What the test is called in which callers write the same accounts.
pub(crate) fn contended_test() -> String {
    format!("{CALLERS_CONTENDED} callers on the same 100 accounts, Zipf")
}

/// Callers that each have accounts of their own.
pub(crate) async fn measure(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Result<()> {
    for callers in CALLERS {
        interleave(place, scale, entrants, report, test(*callers), Accounts::Own, *callers).await?;
    }
    if entrants.contains(&Entrant::Unnest) {
        let mut figure = Figure::new(format!("unnest of {ROWS_MANY} commits at once"), UNIT, Entrant::Unnest);
        for _ in 0..scale.rounds {
            figure.runs.push(unnest(place, scale, ROWS_MANY).await?);
        }
        report.figures.push(figure);
    }
    Ok(())
}

/// Callers that write the same accounts, and try again where another was first.
pub(crate) async fn measure_contention(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
) -> Result<()> {
    let entrants: Vec<Entrant> = entrants.iter().copied().filter(|it| it.checks_versions()).collect();
    interleave(place, scale, &entrants, report, contended_test(), Accounts::Shared, CALLERS_CONTENDED).await
}

async fn interleave(
    place: &Place,
    scale: &Scale,
    entrants: &[Entrant],
    report: &mut Report,
    test: String,
    accounts: Accounts,
    callers: usize,
) -> Result<()> {
    report.begin(&test);
    let mut figures: Vec<Figure> =
        entrants.iter().map(|entrant| Figure::new(test.clone(), UNIT, *entrant)).collect();
    for _ in 0..scale.rounds {
        let mut running = Vec::new();
        for mut figure in figures {
            match run(place, scale, figure.entrant, accounts, callers).await {
                Ok(Some(sample)) => {
                    figure.runs.push(sample);
                    running.push(figure);
                }
                Ok(None) => {}
                // Without ours there is nothing to compare.
                Err(error) if figure.entrant == Entrant::Ours => return Err(error),
                Err(error) => report.skip(figure.entrant, format!("{test}: {error}")),
            }
        }
        figures = running;
    }
    report.figures.extend(figures);
    Ok(())
}

async fn run(
    place: &Place,
    scale: &Scale,
    entrant: Entrant,
    accounts: Accounts,
    callers: usize,
) -> Result<Option<Sample>> {
    if entrant == Entrant::Unnest {
        return Ok(Some(unnest(place, scale, callers).await?));
    }
    let Some(opened) = entrant.open(place, callers).await? else { return Ok(None) };
    let sample = press(opened.log.clone(), accounts, callers, scale).await;
    opened.close().await?;
    Ok(Some(sample?))
}

async fn unnest(place: &Place, scale: &Scale, rows: usize) -> Result<Sample> {
    let database = place.database().await?;
    let sample = batches(&database, rows, scale).await;
    database.remove().await?;
    sample
}
