//! Work that flows while those who do it are killed, stopped for longer than their terms, and cut off from their
//! database; some of them never hear of a commit and only look for themselves.

use std::path::Path;
use std::time::{Duration, Instant};

use super::trouble::{Tally, Troubles};
use crate::Result;
use crate::dice::Dice;
use crate::subject::{Subject, Way};
use crate::work::{Findings, Flow, LEASE};

/// Processes by each way that a store can be come to, and callers in each.
const PROCESSES: usize = 4;
const CALLERS: usize = 3;
/// The longest time between two moments at which something happens to a process.
const INTERVAL_MAX: Duration = Duration::from_millis(500);
/// How often, in percent, it is killed; otherwise it is stopped for a time.
const KILLED: u64 = 60;
/// The longest time it is stopped: its terms may have passed to others by then, or not.
const STOPPED_MAX: Duration = LEASE.saturating_mul(3);

/// Attacks work in a store of its own. Nothing for a store that no other process comes to.
pub(super) async fn attack(
    subject: &dyn Subject,
    directory: &Path,
    lasts: Duration,
    dice: &mut Dice,
) -> Result<Option<(Findings, Tally)>> {
    let ways = subject.writing();
    if ways.is_empty() {
        return Ok(None);
    }
    let place = subject.place("work").await?;
    let mut flow = Flow::prepare(&directory.join("work-journals"), PROCESSES, CALLERS, LEASE).await?;
    let mut tally = Tally::default();
    let address = |one: usize| place.address(ways[one % ways.len()]);
    for one in 0..flow.places() {
        flow.start(one, address(one), dice, |_| Ok(()))?;
        flow.wait_until_ready(one)?;
    }
    flow.wait_until_it_flows().await?;
    let troubles = match place.database() {
        Some(database) => Some(Troubles::start(database, &directory.join("work-trouble"), dice).await?),
        None => None,
    };
    let ends = Instant::now() + lasts;
    let mut stopped: Vec<Option<Instant>> = vec![None; flow.places()];
    while Instant::now() < ends {
        tokio::time::sleep(dice.time_below(INTERVAL_MAX)).await;
        for (one, until) in stopped.iter_mut().enumerate() {
            if until.is_some_and(|until| until <= Instant::now()) {
                flow.resume(one)?;
                *until = None;
            }
        }
        let chosen = dice.index(flow.places());
        // The first is killed, so that there is one in the shortest run.
        if tally.processes_killed == 0 || dice.chance(KILLED) {
            flow.kill(chosen)?;
            stopped[chosen] = None;
            tally.processes_killed += 1;
            flow.start(chosen, address(chosen), dice, |_| Ok(()))?;
        } else if stopped[chosen].is_none() {
            flow.stop(chosen)?;
            stopped[chosen] = Some(Instant::now() + dice.time_below(STOPPED_MAX));
            tally.processes_stopped += 1;
        }
    }
    for one in (0..flow.places()).filter(|one| stopped[*one].is_some()) {
        flow.resume(one)?;
    }
    if let Some(troubles) = troubles {
        tally.add(&troubles.finish().await?);
    }
    let findings = flow.finish(&place.address(Way::USUAL), dice).await?;
    Ok(Some((findings, tally)))
}
