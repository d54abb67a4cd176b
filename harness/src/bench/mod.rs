//! The benchmarks: `harness bench`.
//!
//! Every figure is the median of several runs, and stands beside a baseline that was measured in the
//! same minutes on the same disk: one run of ours, one of the baseline, and again. Absolute figures
//! belong to the machine; the ratio is what travels. Where the baseline itself moved, nothing is quoted.
//! The data lies in a fresh folder beside the program, never in memory.

mod account;
mod cache;
mod catch_up;
mod commits;
mod disk;
mod entities;
mod figure;
mod front_door;
mod index_costs;
mod live_feed;
mod log_file;
mod neighbour;
mod placement;
mod plain_appends;
mod plain_scan;
mod postgres;
mod scheduler;
mod size;
mod stream_loads;
mod view_fold;
mod work;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::Result;
use crate::subject::StoreKind;
use disk::Disk;
use figure::Figure;

/// Measures the store and the engine, each figure beside a baseline.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Write every figure and every run to a file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Smaller logs and fewer, shorter runs: a smoke test, not a measurement
    #[arg(long)]
    quick: bool,
    /// Only the figures of one part: commits, loads, catch-up, view, neighbour, indexes, feed, front-door, scheduler,
    /// cache, entities, size, placement; on PostgreSQL commits, catch-up, view, neighbour, log-head, stream-heads, work-horizon; on both
    /// work-drain, work-commands, work-latency, work-cost, work-turns
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How long a transaction keeps dead rows from being cleaned away, in part work-horizon
    #[arg(long, value_name = "SECONDS")]
    pinned: Option<u64>,
    /// Which store
    #[arg(long, default_value_t = StoreKind::Sqlite, value_parser = StoreKind::among(STORES))]
    store: StoreKind,
    /// The program of the ledger, for part front-door
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Serves a route that does nothing
    #[arg(long, hide = true)]
    bare_route: bool,
    /// Serves a new log in this process, and writes to it as standard input says
    #[arg(long, value_name = "FILE", hide = true)]
    feed_of: Option<PathBuf>,
    /// Serves a log in this process, and prints how fast, and the memory that took
    #[arg(long, value_name = "FILE", hide = true, requires = "written")]
    size_of: Option<PathBuf>,
    /// With how many events that log was written
    #[arg(long, value_name = "EVENTS", hide = true)]
    written: Option<u64>,
}

/// The stores with figures.
const STORES: &[StoreKind] = &[StoreKind::Sqlite, StoreKind::Postgres];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Runs of each figure.
    rounds: usize,
    /// Length of a run of commits that is counted.
    run: Duration,
    /// Length of the part before it that is not.
    warm_up: Duration,
    /// Events in the log that is read.
    log_events: u64,
    /// Rows in one run of the index costs.
    index_rows: u64,
    /// Messages in one run that drains them.
    messages: u64,
    /// Commands in one run of stored commands.
    commands: u64,
    /// Messages of one tenant that wait while another sends its first.
    backlog: u64,
    /// How long a transaction stays open beside a queue.
    pinned: Duration,
    /// Writes of entities in one run; reads are four times as many.
    entity_writes: u64,
}

impl Scale {
    /// The part of a long run that is measured at each of its ends.
    fn window(&self) -> Duration {
        self.pinned / 10
    }

    fn is_quick(&self) -> bool {
        self.rounds == QUICK.rounds
    }
}

const FULL: Scale = Scale {
    rounds: 5,
    run: Duration::from_millis(1_500),
    warm_up: Duration::from_millis(300),
    log_events: 1_000_000,
    index_rows: 100_000,
    messages: 40_000,
    commands: 16_000,
    backlog: 100_000,
    pinned: Duration::from_secs(600),
    entity_writes: 400,
};

const QUICK: Scale = Scale {
    rounds: 2,
    run: Duration::from_millis(300),
    warm_up: Duration::from_millis(100),
    log_events: 100_000,
    index_rows: 20_000,
    messages: 8_000,
    commands: 3_200,
    backlog: 20_000,
    pinned: Duration::from_secs(30),
    entity_writes: 50,
};

const PARTS: &[&str] = &[
    "commits",
    "loads",
    "catch-up",
    "view",
    "neighbour",
    "indexes",
    "feed",
    "front-door",
    scheduler::PART,
    cache::PART,
    entities::PART,
    size::PART,
    placement::PART,
];

/// Measures, prints a table, and writes the file where one is asked for.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    if cfg!(debug_assertions) {
        return Err("a debug build is no measure: run `cargo xtask bench`".into());
    }
    if let (Some(path), Some(written)) = (&arguments.size_of, arguments.written) {
        let scale = if arguments.quick { QUICK } else { FULL };
        return size::print_own(path, written, &scale).await;
    }
    if let Some(path) = &arguments.feed_of {
        return live_feed::serve_own(path).await;
    }
    if arguments.bare_route {
        return front_door::serve_bare().await;
    }
    let parts = match arguments.store {
        StoreKind::Postgres => [postgres::PARTS, work::PARTS, &[work::HORIZON]].concat(),
        StoreKind::Sqlite | StoreKind::Memory => [PARTS, work::PARTS].concat(),
    };
    if let Some(only) = arguments.only.as_deref().filter(|only| !parts.contains(only)) {
        return Err(format!("there is no part {only:?}; there are: {}", parts.join(", ")).into());
    }
    let mut scale = if arguments.quick { QUICK } else { FULL };
    if let Some(seconds) = arguments.pinned {
        scale.pinned = Duration::from_secs(seconds);
    }
    let disk = Disk::beside_program()?;
    println!("{}", disk.describe()?);
    let mut figures: Vec<Figure> = Vec::new();
    for part in parts {
        if arguments.only.as_deref().is_some_and(|only| only != part) {
            continue;
        }
        eprintln!("{part} …");
        figures.extend(match part {
            part if part.starts_with("work-") => work::measure(part, arguments.store, &disk, &scale).await?,
            part if arguments.store == StoreKind::Postgres => postgres::measure(part, &scale).await?,
            "commits" => commits::measure(&disk, &scale).await?,
            "loads" => stream_loads::measure(&disk, &scale).await?,
            "catch-up" => catch_up::measure(&disk, &scale).await?,
            "view" => view_fold::measure(&disk, &scale).await?,
            "neighbour" => neighbour::measure(&disk, &scale).await?,
            "feed" => live_feed::measure(&disk, &scale).await?,
            "front-door" => front_door::measure(&disk, arguments.ledger.as_deref(), &scale).await?,
            cache::PART => cache::measure(&scale).await?,
            scheduler::PART => scheduler::measure(&disk, &scale).await?,
            entities::PART => entities::measure(&disk, &scale).await?,
            placement::PART => placement::measure(),
            size::PART => size::measure(&disk, &scale).await?,
            _ => index_costs::measure(&disk, &scale).await?,
        });
    }
    print!("{}", figure::table(&figures));
    if let Some(path) = &arguments.json {
        fs::write(path, figure::json(&disk.describe()?, &figures)?)?;
        println!("written to {}", path.display());
    }
    match figure::unquoted(&figures) {
        None => Ok(()),
        Some(said) => Err(said.into()),
    }
}
