//! `cargo xtask bench --peers`: event stores of others beside ours, on one server, in one run.
//!
//! Every store gets the same bookings, the same callers, the same server and a database of its own.
//! Rounds are interleaved: each store once, then each again, so that what slows the machine for a
//! while slows all of them. The README says how each is used, and what the words in the tables mean.

mod account;
mod catch_up;
mod commits;
mod entrants;
mod figure;
mod filled;
mod floors;
mod place;
mod press;
mod subscribers;
mod views;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use entrants::Entrant;
use figure::Report;
use place::Place;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures the stores of others beside ours.
#[derive(Parser, Debug)]
struct Arguments {
    /// Write every figure and every run to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One short round on small logs: a smoke test, not a measurement
    #[arg(long)]
    quick: bool,
    /// Only this part: commits, contention, subscribers, catch-up, views; or only this peer beside
    /// ours: cqrs-es, disintegrate, mire, umadb, insert, unnest. It may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// An administrator's address, instead of a private server
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// The server's program of UmaDB
    #[arg(long, value_name = "PROGRAM")]
    umadb: Option<PathBuf>,
    /// Why there is no UmaDB
    #[arg(long, value_name = "REASON", conflicts_with = "umadb")]
    without_umadb: Option<String>,
    /// Connections of the pool of each peer on PostgreSQL, instead of what it was fastest with
    #[arg(long, value_name = "COUNT", hide = true)]
    pool: Option<u32>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Runs of each figure.
    pub(crate) rounds: usize,
    /// Length of a run of commits that is counted.
    pub(crate) run: Duration,
    /// Length of the part before it that is not.
    pub(crate) warm_up: Duration,
    /// Events in the log that is read.
    pub(crate) log_events: u64,
    /// How long writers write beside a subscriber.
    pub(crate) followed: Duration,
    /// When a fold is stopped that has not come to the end of the log.
    pub(crate) fold_longest: Duration,
}

const FULL: Scale = Scale {
    rounds: 5,
    run: Duration::from_millis(2_000),
    warm_up: Duration::from_millis(500),
    log_events: 500_000,
    followed: Duration::from_secs(10),
    fold_longest: Duration::from_secs(8),
};

const QUICK: Scale = Scale {
    rounds: 1,
    run: Duration::from_millis(500),
    warm_up: Duration::from_millis(200),
    log_events: 50_000,
    followed: Duration::from_secs(3),
    fold_longest: Duration::from_secs(3),
};

const PARTS: &[&str] = &["commits", "contention", "subscribers", "catch-up", "views"];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        return Err("a debug build is no measure: run `cargo xtask bench --peers`".into());
    }
    let (parts, peers): (Vec<&str>, Vec<&str>) =
        arguments.only.iter().map(String::as_str).partition(|name| PARTS.contains(name));
    let entrants = Entrant::chosen(&peers)?;
    let scale = if arguments.quick { QUICK } else { FULL };
    let place = Place::start(arguments.postgres.as_deref(), arguments.umadb.clone(), arguments.pool)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut report = Report::new(runtime.block_on(place.describe())?);
    if let Some(reason) = &arguments.without_umadb {
        report.skip(Entrant::Umadb, reason);
    } else if arguments.umadb.is_none() {
        report.skip(Entrant::Umadb, "--umadb names no program of its server");
    }
    println!("{}\n", report.place);
    let wanted = |part: &&&str| parts.is_empty() || parts.contains(*part);
    runtime.block_on(async {
        let mut logs = Vec::new();
        for part in PARTS.iter().filter(wanted) {
            let before = report.figures.len();
            if logs.is_empty() && ["catch-up", "views"].contains(part) {
                logs = filled::fill_all(&place, &scale, &entrants, &mut report).await;
            }
            match *part {
                "commits" => commits::measure(&place, &scale, &entrants, &mut report).await?,
                "contention" => commits::measure_contention(&place, &scale, &entrants, &mut report).await?,
                "subscribers" => subscribers::measure(&place, &scale, &entrants, &mut report).await?,
                "catch-up" => catch_up::measure(&scale, &logs, &mut report).await,
                _ => views::measure(&scale, &logs, &mut report).await,
            }
            print!("{}", figure::tables(&report.figures[before..]));
        }
        for log in logs {
            log.opened.close().await?;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    })?;
    let floors = floors::judge(&report.figures);
    print!("{}{}", report.skipped_lines(), floors::lines(&floors));
    report.end_load = figures::load();
    println!("load at the end {}", report.end_load);
    if let Some(path) = &arguments.json {
        std::fs::write(path, figure::json(&report, &floors)?)?;
        println!("written to {}", path.display());
    }
    Ok(())
}
