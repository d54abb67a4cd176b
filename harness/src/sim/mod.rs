//! `harness sim`: the whole engine over stores in memory, by a clock that nobody waits for, with faults drawn from a seed.
//!
//! A run of a seed has several [programs](program) over the same stores. Calls to the stores and to the [outside] take
//! time, get lost and happen twice ([network]); hints are lost; programs are paused, killed and told to end. Clients do
//! their [errands](errand) in a small [bank], until every answer is certain. Then nothing fails any more, and the
//! [audit] compares what is stored, what the outside was told and what clients heard.
//!
//! Everything is drawn from the seed, and nothing else makes runs differ: a seed that fails, fails again in the same way.
//! With `--check`, each seed is played twice, and both traces must be equal. [Mistakes](mistakes) that are made on
//! purpose must be found.

mod agenda;
mod audit;
mod bank;
mod errand;
mod mistakes;
mod network;
mod outside;
mod program;
mod report;
mod stage;
mod world;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Args;

use self::mistakes::Mistake;
use self::report::{Found, Report};
use self::world::{Ending, play};
use crate::Result;

/// Seeds of a quick run.
const QUICK_SEEDS: u64 = 50;
/// Seeds in which a mistake must be found.
const MISTAKE_SEEDS_MAX: u64 = 200;
/// Failures that are told in full.
const FAILURES_MAX: usize = 3;

/// Plays the engine in a simulation, with faults from a seed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How many seeds are played.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Plays this seed alone, and prints its whole trace.
    #[arg(long, conflicts_with_all = ["seeds", "from", "quick"])]
    seed: Option<u64>,
    /// Plays each seed twice, and compares the traces.
    #[arg(long)]
    check: bool,
    /// Plays few seeds.
    #[arg(long, conflicts_with = "seeds")]
    quick: bool,
    /// Also makes every mistake on purpose, and fails where one is not found.
    #[arg(long)]
    compare: bool,
    /// Makes this mistake on purpose.
    #[arg(long, value_enum)]
    mistake: Option<Mistake>,
    /// How many seeds are played side by side; as many as there are processors where it is left out.
    #[arg(long)]
    threads: Option<usize>,
    /// Prints JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Taken for the sake of the other commands: nothing is written.
    #[arg(long, hide = true)]
    directory: Option<std::path::PathBuf>,
}

/// Plays the seeds; true where no promise was broken.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(seed) = arguments.seed {
        return replay(seed, arguments);
    }
    let seeds = if arguments.quick { QUICK_SEEDS } else { arguments.seeds };
    let mut report = play_all(arguments, arguments.from..arguments.from.saturating_add(seeds));
    if arguments.compare {
        report.mistakes = Mistake::ALL.into_iter().map(find).collect();
    }
    report.print(arguments.json)?;
    Ok(report.is_good())
}

/// Plays one seed, and prints everything that happened.
fn replay(seed: u64, arguments: &Arguments) -> Result<bool> {
    let ending = play(seed, arguments.mistake);
    for line in &ending.trace {
        crate::terminal::print(line)?;
    }
    let again = arguments.check.then(|| play(seed, arguments.mistake));
    let differs = again.and_then(|again| report::difference(seed, &ending, &again));
    let is_good = ending.breaches.is_empty() && differs.is_none();
    crate::terminal::print(&format!("seed {seed}: trace {:016x}, {:?}", ending.hash, ending.tally))?;
    for breach in &ending.breaches {
        crate::terminal::print(&format!("broken: {}: {}", breach.promise, breach.what))?;
    }
    if let Some(differs) = differs {
        crate::terminal::print(&differs)?;
    }
    Ok(is_good)
}

fn play_all(arguments: &Arguments, seeds: std::ops::Range<u64>) -> Report {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let has_enough = AtomicBool::new(false);
    let report = Mutex::new(Report::from(seeds.start));
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or(processors).max(1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            // A thread of its own for each: within a runtime no other can run.
            scope.spawn(|| {
                while !has_enough.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let ending = play(seed, arguments.mistake);
                    let again = arguments.check.then(|| play(seed, arguments.mistake));
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.add(seed, &ending, again.as_ref());
                    if report.failures.len() >= FAILURES_MAX {
                        has_enough.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.failures.sort_by_key(|failure| failure.seed);
    report.seconds = began.elapsed().as_secs_f64();
    report
}

/// Plays seeds until a mistake is found.
fn find(mistake: Mistake) -> Found {
    let found = (1..=MISTAKE_SEEDS_MAX).find_map(|seed| {
        let Ending { breaches, .. } = play(seed, Some(mistake));
        let breach = breaches.into_iter().find(|breach| breach.promise == mistake.breaks())?;
        Some((seed, breach.what))
    });
    Found { mistake, found }
}
